//! The other book: what was reported of which frame, from which it is checked once more whether a frame may be shown.
//!
//! [`Line`](super::Line) decides by what it holds and changes while frames pass through it. This book knows neither its frames
//! nor its decisions, and asks a plain question of what it was told itself: were the two analyses that a frame is to rest on
//! really made, do they lie around it, and did anything come between them? Where it does not find that, a part of
//! Visor is wrong; the frame is covered, and `visor_mask_unproven_frames_total` counts it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use metrics::counter;

use super::policy::Analysis;
use super::ruling::{Bracket, Cause, Ruling};
use crate::frame::Frame;
use crate::geometry::Size;
use crate::metrics::MASK_UNPROVEN;

/// Frames that are remembered: more than are held, together with those that they may rest on.
const REMEMBERED: usize = 1024;

/// A frame of which something was, or may still be, reported.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    at: Duration,
    size: Size,
    /// Which part of the stream it is of, between two events that make analyses strangers to each other.
    run: u64,
    /// The same between two cuts.
    shot: u64,
    analysed: bool,
    failed: bool,
}

/// What is known of a camera's frames beside its delay line.
#[derive(Debug)]
pub struct Evidence {
    camera: String,
    entries: VecDeque<Entry>,
    run: u64,
    shot: u64,
    /// Nothing may be shown.
    shut: bool,
}

impl Evidence {
    /// Of `camera`, which has shown nothing yet.
    pub fn new(camera: &str) -> Self {
        Self { camera: camera.to_owned(), entries: VecDeque::new(), run: 0, shot: 0, shut: false }
    }

    /// A frame is about to be taken in, in its order.
    pub fn frame(&mut self, frame: &Frame) {
        let (number, at, size) = (frame.number, frame.stamp.pts, frame.size());
        if let Some(last) = self.entries.back() {
            self.run += u64::from(at < last.at || size != last.size);
            // numbers that begin anew are those of other frames
            if number <= last.number {
                self.entries.clear();
            }
        }
        if self.entries.len() == REMEMBERED {
            self.entries.pop_front();
        }
        let (run, shot) = (self.run, self.shot);
        self.entries.push_back(Entry { number, at, size, run, shot, analysed: false, failed: false });
    }

    /// The stream is cut before the next frame.
    pub fn cut(&mut self) {
        self.shot += 1;
    }

    /// A frame was analysed. It counts where nothing has happened since it was taken in that takes its meaning away.
    pub fn analysed(&mut self, analysis: &Analysis) {
        let run = self.run;
        if let Some(entry) = self.of(analysis.number).filter(|entry| entry.run == run) {
            entry.analysed = true;
        }
    }

    /// A frame's analysis failed.
    pub fn failed(&mut self, number: u64) {
        if let Some(entry) = self.of(number) {
            entry.failed = true;
        }
    }

    /// What was analysed before says nothing of frames to come, nor what is being analysed.
    pub fn interrupted(&mut self) {
        self.run += 1;
    }

    /// Nothing may be shown from now on, or something again.
    pub fn shut(&mut self, shut: bool) {
        if self.shut || shut {
            self.interrupted();
        }
        self.shut = shut;
    }

    /// The ruling on a frame that is about to be painted; where it is to be shown and what was reported does not bear that out,
    /// one that covers it. That is counted.
    pub fn check<'a>(&self, frame: &Frame, ruling: &'a Ruling) -> Cow<'a, Ruling> {
        match ruling {
            Ruling::Masked(plan) if !self.bears_out(frame.number, plan.bracket()) => {
                counter!(MASK_UNPROVEN, "camera" => self.camera.clone()).increment(1);
                Cow::Owned(Ruling::Covered(Cause::Unproven))
            }
            _ => Cow::Borrowed(ruling),
        }
    }

    /// Whether frame `number` lies between these two, both were analysed, and nothing came between them.
    pub(super) fn bears_out(&self, number: u64, Bracket { from, to }: Bracket) -> bool {
        let (Some(first), Some(last)) = (self.place(from), self.place(to)) else { return false };
        if self.shut || !(from..=to).contains(&number) {
            return false;
        }
        let (a, b) = (&self.entries[first], &self.entries[last]);
        let goes_on = (a.run, a.shot) == (b.run, b.shot);
        let failed = self.entries.range(first..=last).any(|entry| entry.failed && !entry.analysed);
        a.analysed && b.analysed && goes_on && !failed
    }

    fn of(&mut self, number: u64) -> Option<&mut Entry> {
        self.place(number).and_then(|place| self.entries.get_mut(place))
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::super::ruling::{Fingerprint, Plan};
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat, Stamp};

    /// Frame `number` of a stream of 25 a second.
    fn frame(number: u64, width: u32) -> Frame {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(width, 2), PixelFormat::I420, colour);
        let stamp = Stamp {
            pts: Duration::from_millis(40) * number as u32,
            arrived_at: Monotonic::default(),
            decode: None,
            captured_at: SystemTime::UNIX_EPOCH,
            clock: ClockSource::Arrival,
        };
        Frame::new(number, stamp, layout, Arc::new(vec![0; layout.end().unwrap()])).unwrap()
    }

    fn analysis(number: u64) -> Analysis {
        Analysis { number, at: Duration::ZERO, generation: 0, sightings: Vec::new(), withdrawn: false }
    }

    /// Frames 0 to 9, of which 2 and 6 were analysed; `happens` before the frame of that number is taken in, and says how wide
    /// that is.
    fn book(happens: impl Fn(&mut Evidence, u64) -> u32) -> Evidence {
        let mut book = Evidence::new("book");
        for number in 0..10 {
            let width = happens(&mut book, number);
            book.frame(&frame(number, width));
            if [2, 6].contains(&number) {
                book.analysed(&analysis(number));
            }
        }
        book
    }

    fn bears_out(book: &Evidence, number: u64, from: u64, to: u64) -> bool {
        book.bears_out(number, Bracket { from, to })
    }

    #[test]
    fn a_frame_is_shown_between_two_frames_that_were_analysed_and_nowhere_else() {
        let book = book(|_, _| 8);
        assert!((2..=6).all(|number| bears_out(&book, number, 2, 6)) && bears_out(&book, 2, 2, 2));
        for (number, from, to) in [(1, 2, 6), (7, 2, 6), (4, 6, 2), (4, 3, 6), (4, 2, 5), (7, 6, 9), (12, 12, 12)] {
            assert!(!bears_out(&book, number, from, to), "{number} on {from} and {to}");
        }
    }

    #[test]
    fn whatever_comes_between_takes_the_proof_away() {
        type Happens = fn(&mut Evidence) -> u32;
        let events: [(&str, Happens); 3] = [
            ("cut", |book| {
                book.cut();
                8
            }),
            ("interrupted", |book| {
                book.interrupted();
                8
            }),
            ("another size", |_| 10),
        ];
        for (what, happens) in events {
            let book = book(|book, number| if number == 4 { happens(book) } else { 8 });
            assert!(!bears_out(&book, 4, 2, 6) && !bears_out(&book, 5, 2, 6), "{what}");
            assert!(bears_out(&book, 2, 2, 2) && bears_out(&book, 6, 6, 6), "{what}: each by itself");
        }
        let mut failed = book(|_, _| 8);
        failed.failed(4);
        assert!(!bears_out(&failed, 3, 2, 6));
        let mut shut = book(|_, _| 8);
        shut.shut(true);
        assert!(!bears_out(&shut, 3, 2, 6));
    }

    #[test]
    fn an_analysis_that_comes_after_a_break_says_nothing_of_a_frame_before_it() {
        let mut book = book(|_, _| 8);
        book.interrupted();
        book.analysed(&analysis(8));
        assert!(!bears_out(&book, 8, 8, 8) && bears_out(&book, 3, 2, 6));
    }

    #[test]
    fn a_wrong_ruling_is_covered_and_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let exporter = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let book = book(|_, _| 8);
            let rule = |number: u64, from: u64, to: u64| {
                let frame = frame(number, 8);
                let plan = Plan::new(Vec::new(), Bracket { from, to }, Fingerprint::of(frame.picture()));
                book.check(&frame, &Ruling::Masked(plan)).into_owned()
            };
            assert!(matches!(rule(4, 2, 6), Ruling::Masked(_)));
            assert!(!exporter.render().contains(MASK_UNPROVEN));
            // nobody has looked at frame 8
            assert!(matches!(rule(7, 6, 8), Ruling::Covered(Cause::Unproven)));
            let counted = format!("{MASK_UNPROVEN}{{camera=\"book\"}} 1");
            assert!(exporter.render().contains(&counted), "{}", exporter.render());
        });
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut book = Evidence::new("book");
        (0..3 * REMEMBERED as u64).for_each(|number| book.frame(&frame(number, 8)));
        assert_eq!(book.entries.len(), REMEMBERED);
        book.frame(&frame(0, 8));
        assert_eq!(book.entries.len(), 1, "frames that are counted anew");
    }
}
