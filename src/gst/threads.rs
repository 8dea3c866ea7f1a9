//! How many threads a codec is given.

use std::thread::available_parallelism;

use crate::geometry::Size;

/// A thread for so many pixels a second, a little more than 720p at 30: a small machine has time to spare with them, too. Threads
/// that share a picture wait for each other: to encode it, four took a fifth more processor time than one.
const PIXELS: f64 = 1280.0 * 720.0 * 36.0;

/// What a stream of unknown rate is taken for.
pub const USUAL_FPS: f64 = 30.0;

/// Threads for live pictures of this size, `fps` of them a second.
pub fn threads(size: Size, fps: Option<f64>) -> usize {
    let pixels = size.pixels() as f64 * fps.filter(|fps| *fps > 0.0).unwrap_or(USUAL_FPS);
    let most = available_parallelism().map_or(1, usize::from);
    ((pixels / PIXELS).ceil() as usize).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_and_faster_streams_get_more_threads_as_far_as_there_are_processors() {
        let most = available_parallelism().unwrap().get();
        let counts = [(640, 360, Some(25.0)), (1280, 720, Some(30.0)), (1280, 720, None), (1920, 1080, Some(30.0))]
            .map(|(width, height, fps)| threads(Size::new(width, height), fps));
        assert_eq!(counts, [1, 1, 1, 2.min(most)]);
        assert_eq!(threads(Size::new(3840, 2160), Some(60.0)), 15.min(most));
        assert_eq!(threads(Size::new(0, 0), Some(0.0)), 1);
    }
}
