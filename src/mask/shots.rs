//! Which shot of a stream a frame is of: what lies between two cuts.

use std::collections::VecDeque;

/// Cuts that are remembered: more than there are in the frames that are held. Frames before the oldest count as of one shot.
const REMEMBERED: usize = 64;

/// The cuts of a stream.
#[derive(Debug, Default)]
pub(super) struct Shots {
    /// Numbers of the first frames of shots.
    begin: VecDeque<u64>,
    /// Shots that are not remembered any more.
    past: u64,
}

impl Shots {
    /// A shot begins with frame `number`.
    pub fn begin(&mut self, number: u64) {
        if self.begin.len() == REMEMBERED {
            self.begin.pop_front();
            self.past += 1;
        }
        self.begin.push_back(number);
    }

    /// The shot of frame `number`.
    pub fn of(&self, number: u64) -> u64 {
        self.past + self.begin.iter().filter(|first| **first <= number).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_from_a_cut_on_are_of_another_shot_however_many_there_were() {
        let mut shots = Shots::default();
        assert_eq!(shots.of(7), 0);
        (1..=100).for_each(|n| shots.begin(10 * n));
        assert_ne!(shots.of(999), shots.of(1000));
        assert_eq!(shots.of(1000), shots.of(1009));
        assert_eq!(shots.of(1005), 100);
    }
}
