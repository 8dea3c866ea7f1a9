//! What two analyses in a row prove of the frames between them.

use std::time::Duration;

use super::rhythm::Rhythm;
use super::ruling::{Bracket, Cause};
use super::strand::Between;

/// A frame whose time differs by more than this from what its place between two analysed frames says cannot be told where its
/// faces were on their way: a stream's times stand still, or jump, while its pictures go on.
const MOST_UNEVEN: Duration = Duration::from_millis(50);

/// An analysed frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub number: u64,
    pub at: Duration,
    /// Which part of the stream it is of, between two cuts.
    pub shot: u64,
}

/// From one analysed frame to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    from: Option<Mark>,
    to: Mark,
    /// Why frames that are not between two analysed ones are not proven.
    broken: Cause,
    /// Why nothing between the two is.
    unproven: Option<Cause>,
    /// Frames are expected to come evenly.
    even: bool,
}

impl Stretch {
    /// Up to `to`; `from` is the analysed frame before, unless the stream was `broken` in between.
    pub fn new(from: Option<Mark>, to: Mark, broken: Cause) -> Self {
        // no way leads from a face before a cut to one after it
        let unproven = from.is_some_and(|from| from.shot != to.shot).then_some(Cause::Cut);
        Self { from, to, broken, unproven, even: false }
    }

    /// Of a live camera: analyses further apart than `farthest` prove nothing, nor do frames that come against their `rhythm`.
    pub fn live(self, farthest: Duration, rhythm: &Rhythm) -> Self {
        let Self { from, to, .. } = self;
        let live = from.and_then(|from| {
            let (frames, time) = (to.number.saturating_sub(from.number), to.at.saturating_sub(from.at));
            let squeezed = || (!rhythm.fits(frames, time)).then_some(Cause::ClockJumped);
            if time > farthest { Some(Cause::Late) } else { squeezed() }
        });
        Self { unproven: self.unproven.or(live), even: true, ..self }
    }

    /// Each frame needs an analysis of its own.
    pub fn apart(self) -> Self {
        Self { unproven: Some(Cause::NotAnalysed), ..self }
    }

    /// What frame `number` rests on, whose time is `at`.
    ///
    /// # Errors
    /// Why it is not proven.
    pub fn brackets(&self, number: u64, at: Duration) -> Result<(Bracket, Between), Cause> {
        let to = self.to;
        let between = |from: Mark| {
            (Bracket { from: from.number, to: to.number }, Between { from: from.at, to: to.at, shot: to.shot })
        };
        if number == to.number {
            return Ok(between(to));
        }
        if let Some(cause) = self.unproven {
            return Err(cause);
        }
        let Some(from) = self.from else { return Err(self.broken) };
        if self.even && is_uneven((from, to), number, at) {
            return Err(Cause::ClockJumped);
        }
        (from.number <= number && from.at <= at).then(|| between(from)).ok_or(self.broken)
    }
}

/// Whether a frame between two analysed ones is far from where its number would have it in time.
fn is_uneven((from, to): (Mark, Mark), number: u64, at: Duration) -> bool {
    let (before, all) = (number.saturating_sub(from.number), to.number.saturating_sub(from.number).max(1));
    let even = from.at + to.at.saturating_sub(from.at).mul_f64(before as f64 / all as f64);
    at.abs_diff(even) > MOST_UNEVEN
}
