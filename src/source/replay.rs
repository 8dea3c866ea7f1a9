//! Frames from memory.

use std::collections::VecDeque;

use super::{Frames, Losses, SourceEvent};
use crate::clock::Monotonic;
use crate::frame::Frame;

/// Gives the frames it was made of, at once, and ends.
pub struct Replay {
    frames: VecDeque<Frame>,
}

impl Replay {
    /// A source of these frames, in this order.
    pub fn new(frames: impl IntoIterator<Item = Frame>) -> Self {
        Self { frames: frames.into_iter().collect() }
    }
}

impl Frames for Replay {
    fn next(&mut self, _until: Monotonic) -> SourceEvent {
        self.frames.pop_front().map_or(SourceEvent::Ended, SourceEvent::Frame)
    }

    fn losses(&self) -> Losses {
        Losses::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat, Stamp};
    use crate::geometry::Size;

    #[test]
    fn replay_gives_each_frame_once_and_ends() {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(2, 2), PixelFormat::I420, colour);
        let stamp = Stamp {
            pts: Duration::ZERO,
            arrived_at: Monotonic::default(),
            decode: None,
            captured_at: SystemTime::UNIX_EPOCH,
            clock: ClockSource::Media,
        };
        let frames = (0..2).map(|n| Frame::new(n, stamp, layout, Arc::new(vec![0; 6])).unwrap());
        let mut replay = Replay::new(frames);
        for expected in 0..2 {
            let SourceEvent::Frame(frame) = replay.next(Monotonic::default()) else { panic!("a frame") };
            assert_eq!(frame.number, expected);
        }
        assert!(matches!(replay.next(Monotonic::default()), SourceEvent::Ended));
        assert!(matches!(replay.next(Monotonic::default()), SourceEvent::Ended));
    }
}
