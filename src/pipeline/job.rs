//! Frames on their way from `cam-` to `see-`.

use std::iter::once;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::frame::Frame;

/// Frames that wait before another one for an analysis of their own, at most: of two cuts.
const MOST_OWED: usize = 4;

/// A frame on its way from `cam-` to `see-`.
pub struct Job {
    pub(super) epoch: u64,
    /// Of the delay line, if there is one.
    pub(super) generation: u64,
    pub(super) frame: Frame,
    /// Whether it stands beside a cut: a newer one does not take its place.
    pub(super) pinned: bool,
    /// Others that are to be analysed first.
    pub(super) before: Vec<Self>,
}

impl Job {
    /// The analysis of one frame.
    pub(super) fn new(epoch: u64, generation: u64, frame: Frame) -> Self {
        Self { epoch, generation, frame, pinned: false, before: Vec::new() }
    }

    /// Takes the place of a job that still waits, and what of that must not be left out with it; how many frames are.
    pub(super) fn replaces(&mut self, older: Self) -> usize {
        let (cut_at, all) = (self.pinned.then_some(self.frame.number), older.before.len() + 1);
        let beside = |job: &Self| job.pinned || cut_at == Some(job.frame.number + 1);
        let mut kept: Vec<Self> = older.in_order().filter(beside).collect();
        let left_out = all - kept.len();
        kept.append(&mut self.before);
        let too_many = kept.len().saturating_sub(MOST_OWED);
        self.before = kept.split_off(too_many);
        left_out + too_many
    }

    /// All frames to be analysed, the oldest first.
    pub(super) fn in_order(mut self) -> impl Iterator<Item = Self> {
        std::mem::take(&mut self.before).into_iter().chain(once(self))
    }
}

/// The channel between the loops: a live camera keeps one job waiting, a file as many as it has detectors.
pub fn channel(waiting: usize) -> (Sender<Job>, Receiver<Job>) {
    bounded(waiting.max(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat, Stamp};
    use crate::geometry::Size;

    fn job(number: u64) -> Job {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(2, 2), PixelFormat::I420, colour);
        let stamp = Stamp {
            pts: Duration::from_millis(number * 40),
            arrived_at: Monotonic::default(),
            decode: None,
            captured_at: SystemTime::UNIX_EPOCH,
            clock: ClockSource::Arrival,
        };
        Job::new(0, 0, Frame::new(number, stamp, layout, Arc::new(vec![0; 6])).unwrap())
    }

    fn pinned(number: u64, before: &[u64]) -> Job {
        let before = before.iter().map(|number| pinned(*number, &[])).collect();
        Job { pinned: true, before, ..job(number) }
    }

    /// The numbers of all frames, and how many are left out, when `newer` comes.
    fn replaced(older: Job, mut newer: Job) -> (Vec<u64>, usize) {
        let left_out = newer.replaces(older);
        (newer.in_order().map(|job| job.frame.number).collect(), left_out)
    }

    #[test]
    fn a_newer_frame_takes_the_place_of_one_that_waits_but_of_none_beside_a_cut() {
        assert_eq!(replaced(job(3), job(6)), (vec![6], 1));
        assert_eq!(replaced(pinned(3, &[2]), job(6)), (vec![2, 3, 6], 0));
        assert_eq!(replaced(job(2), pinned(3, &[])), (vec![2, 3], 0), "the last one before a cut");
        assert_eq!(replaced(job(1), pinned(3, &[2])), (vec![2, 3], 1));
    }

    #[test]
    fn no_more_wait_than_those_of_two_cuts() {
        let mut second = pinned(6, &[5]);
        assert_eq!(second.replaces(pinned(3, &[2])), 0);
        assert_eq!(replaced(second, pinned(9, &[8])), (vec![3, 5, 6, 8, 9], 1));
    }
}
