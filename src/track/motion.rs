//! How a box moves: centre and extent, each with its rate, on the clock of the stream.
//!
//! All noise is relative to the box's own size (the root of its area), so that a face near the camera and one far away
//! obey the same numbers. A face 0.2 m wide that walks by at 1.4 m/s moves seven of its widths a second; a body 0.9 m
//! "wide" by the same measure moves 1.6. What manoeuvres is therefore taken to grow with the speed: the acceleration's
//! density is a share of the size, plus a share of the square of the speed.

use super::kalman::{Axis, ProcessNoise};
use crate::geometry::{Point, Rect, Size};

/// Spread of a detected centre about the true one, in sizes.
const CENTRE_SPREAD: f64 = 0.05;
/// Spread of a detected width or height about the true one, in sizes.
const EXTENT_SPREAD: f64 = 0.06;
/// Spread of a new face's speed about rest, in sizes a second.
const UNKNOWN_SPEED: f64 = 5.0;
/// Spread of the growth of a new face's width and height, in their own size a second.
const UNKNOWN_GROWTH: f64 = 0.5;
/// Acceleration of the centre while the face is seen, in sizes a second per root second.
const MANOEUVRE: f64 = 0.3;
/// The same while it is not seen: nobody knows what it does then.
const UNSEEN_MANOEUVRE: f64 = 4.0;
/// Share of its speed, squared, that a face may change in a second.
const SPEED_MANOEUVRE: f64 = 0.3;
/// Acceleration of the extent, in sizes a second per root second.
const GROWTH_MANOEUVRE: f64 = 0.1;
/// Seconds in which the speed of an unseen face falls to 1/e.
const UNSEEN_REST: f64 = 0.5;

/// The state of one box.
#[derive(Clone, Debug)]
pub struct BoxMotion {
    x: Axis,
    y: Axis,
    w: Axis,
    h: Axis,
    seen: Rect,
}

impl BoxMotion {
    /// A box first seen as `rect`, its movement unknown.
    pub fn new(rect: Rect) -> Self {
        let (centre, size) = (rect.centre(), size_of(rect));
        let (position, speed) = ((CENTRE_SPREAD * size).powi(2), (UNKNOWN_SPEED * size).powi(2));
        let extent = |value: f32| {
            let growth = UNKNOWN_GROWTH * f64::from(value);
            Axis::new(value.into(), (EXTENT_SPREAD * size).powi(2), growth.powi(2))
        };
        Self {
            x: Axis::new(centre.x.into(), position, speed),
            y: Axis::new(centre.y.into(), position, speed),
            w: extent(rect.w),
            h: extent(rect.h),
            seen: rect,
        }
    }

    /// Moves on by `dt` seconds while the box was seen in the last analysis.
    pub fn predict(&mut self, dt: f64) {
        self.step(dt, MANOEUVRE);
    }

    /// Moves on by `dt` seconds while the box is out of sight: it comes to rest, in the frame (a face that walked out can
    /// only come back at the edge), and may have done anything meanwhile. Its extent stays: what makes a box shrink or
    /// grow before it is lost, the edge of the frame or of what covers it, does not go on beyond.
    pub fn predict_unseen(&mut self, dt: f64, frame: Size) {
        let share = (-dt / UNSEEN_REST).exp();
        for axis in [&mut self.x, &mut self.y, &mut self.w, &mut self.h] {
            axis.damp(share);
        }
        let extent = (self.w.value, self.h.value);
        self.step(dt, UNSEEN_MANOEUVRE);
        (self.w.value, self.h.value) = extent;
        for (axis, limit) in [(&mut self.x, frame.width), (&mut self.y, frame.height)] {
            let inside = axis.value.clamp(0.0, f64::from(limit));
            if inside != axis.value {
                axis.value = inside;
                axis.rate = 0.0;
            }
        }
    }

    fn step(&mut self, dt: f64, manoeuvre: f64) {
        let size = size_of(self.rect());
        let speed_squared = self.x.rate.powi(2) + self.y.rate.powi(2);
        let centre = (manoeuvre * size).powi(2) + SPEED_MANOEUVRE * speed_squared;
        let centre = ProcessNoise::white_acceleration(centre, dt);
        let extent = ProcessNoise::white_acceleration((GROWTH_MANOEUVRE * size).powi(2), dt);
        self.x.predict(dt, centre);
        self.y.predict(dt, centre);
        self.w.predict(dt, extent);
        self.h.predict(dt, extent);
    }

    /// Takes in the box that was detected.
    pub fn correct(&mut self, rect: Rect) {
        let (centre, size) = (rect.centre(), size_of(rect));
        let (position, extent) = ((CENTRE_SPREAD * size).powi(2), (EXTENT_SPREAD * size).powi(2));
        self.x.correct(centre.x.into(), position);
        self.y.correct(centre.y.into(), position);
        self.w.correct(rect.w.into(), extent);
        self.h.correct(rect.h.into(), extent);
        self.seen = rect;
    }

    /// Moves the box with the picture, without a movement of its own.
    pub fn shift(&mut self, by: Point) {
        self.x.value += f64::from(by.x);
        self.y.value += f64::from(by.y);
    }

    /// Where the box is believed to be.
    pub fn rect(&self) -> Rect {
        let (w, h) = (self.w.value.max(1.0), self.h.value.max(1.0));
        Rect::new((self.x.value - w / 2.0) as f32, (self.y.value - h / 2.0) as f32, w as f32, h as f32)
    }

    /// The box as last detected.
    pub fn seen(&self) -> Rect {
        self.seen
    }

    /// Movement of the centre, in pixels a second.
    pub fn velocity(&self) -> Point {
        Point::new(self.x.rate as f32, self.y.rate as f32)
    }

    /// Spread of the centre's horizontal place about the believed one, that of a detection included, in sizes.
    pub fn spread(&self) -> f64 {
        let size = size_of(self.rect());
        (self.x.variance().max(self.y.variance()) + (CENTRE_SPREAD * size).powi(2)).sqrt() / size
    }

    /// Whether all numbers are finite and the covariances are such.
    pub fn is_sound(&self) -> bool {
        [&self.x, &self.y, &self.w, &self.h].iter().all(|axis| axis.is_sound())
    }
}

/// The root of a box's area, in pixels; at least 1.
pub fn size_of(rect: Rect) -> f64 {
    f64::from(rect.area()).max(1.0).sqrt()
}

/// How much a box would have to change its shape to become another: the sum of the logarithms of both ratios of extent.
/// A tenth more width and height is 0.19.
pub fn shape_change(a: Rect, b: Rect) -> f64 {
    f64::from((a.w / b.w).ln().abs() + (a.h / b.h).ln().abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Size = Size::new(1000, 1000);

    fn walk(fps: f64) -> BoxMotion {
        let at = |t: f64| Rect::new((100.0 + 120.0 * t) as f32, 300.0, 60.0, 80.0);
        let mut motion = BoxMotion::new(at(0.0));
        for step in 1..=(2.0 * fps) as u32 {
            motion.predict(1.0 / fps);
            motion.correct(at(f64::from(step) / fps));
        }
        motion
    }

    #[test]
    fn a_walk_is_learnt_alike_at_5_and_30_fps() {
        let (slow, fast) = (walk(5.0), walk(30.0));
        for motion in [&slow, &fast] {
            assert!((motion.velocity().x - 120.0).abs() < 3.0, "{motion:?}");
        }
        let (mut slow, mut fast) = (slow, fast);
        slow.predict(0.5);
        fast.predict(0.5);
        assert!((slow.rect().x - fast.rect().x).abs() < 2.0);
    }

    #[test]
    fn out_of_sight_it_comes_to_rest_inside_the_frame() {
        let mut motion = walk(10.0);
        for _ in 0..100 {
            motion.predict_unseen(0.1, Size::new(350, 1000));
            assert!(motion.is_sound());
        }
        assert_eq!(motion.rect().centre().x, 350.0);
        assert_eq!(motion.velocity().x, 0.0);
        let mut free = walk(10.0);
        let before = free.rect().x;
        (0..100).for_each(|_| free.predict_unseen(0.1, FRAME));
        assert!(
            (free.rect().x - before - 60.0).abs() < 6.0,
            "it stops after speed times 0.5 s: {}",
            free.rect().x - before
        );
    }

    #[test]
    fn out_of_sight_it_keeps_its_extent() {
        let cut = |step: u32| Rect::new(940.0 + 4.0 * step as f32, 300.0, 60.0 - 4.0 * step as f32, 80.0);
        let mut motion = BoxMotion::new(cut(0));
        for step in 1..10 {
            motion.predict(0.1);
            motion.correct(cut(step));
        }
        let before = motion.rect();
        (0..20).for_each(|_| motion.predict_unseen(0.1, FRAME));
        assert_eq!((motion.rect().w, motion.rect().h), (before.w, before.h));
        assert!(motion.is_sound());
    }

    #[test]
    fn shape_change_is_symmetric_and_without_scale() {
        let (a, b) = (Rect::new(0.0, 0.0, 10.0, 10.0), Rect::new(5.0, 5.0, 11.0, 11.0));
        assert!((shape_change(a, b) - 0.19).abs() < 0.01);
        assert!((shape_change(a, b) - shape_change(b, a)).abs() < 1e-6);
    }
}
