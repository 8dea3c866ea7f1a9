//! Why everything of a masked camera is covered, whatever its analyses say: by the clock of `cam-<id>`, which waits for nobody.

use std::time::Duration;

use super::sight::TEST_EVERY;
use super::{Control, LIVE_DEADLINE};
use crate::clock::Monotonic;
use crate::mask::Cause;

/// Without having seen the test face for so long a detector counts as blind, whatever `see-<id>` is busy with.
pub(super) const SIGHT_LASTS: Duration =
    TEST_EVERY.saturating_add(LIVE_DEADLINE).saturating_add(Duration::from_millis(250));

/// What covers everything.
pub(super) struct Shutter {
    /// When the test face was shown that was found last.
    seen_at: Option<Monotonic>,
    /// What to call it while that is too long ago.
    unseen: Cause,
    /// `see-<id>` has ended although frames still come.
    gone: bool,
}

impl Shutter {
    /// Closed until the detector has seen the test face.
    pub fn new() -> Self {
        Self { seen_at: None, unseen: Cause::Starting, gone: false }
    }

    /// The test face that was shown at `at` was found.
    pub fn sees(&mut self, at: Monotonic) {
        (self.seen_at, self.unseen) = (self.seen_at.max(Some(at)), Cause::Blind);
    }

    /// The test face was not found.
    pub fn blind(&mut self) {
        (self.seen_at, self.unseen) = (None, Cause::Blind);
    }

    /// Nothing is analysed for now, nor tested: no fault of the detector's.
    pub fn rests(&mut self, cause: Cause) {
        self.unseen = cause;
    }

    /// `see-<id>` has ended.
    pub fn gone(&mut self) {
        self.gone = true;
    }

    /// Why everything is covered at `now`, if it is.
    pub fn cause(&self, control: &Control, now: Monotonic) -> Option<Cause> {
        let seen = self.seen_at.is_some_and(|at| now.since(at) <= SIGHT_LASTS);
        match () {
            () if !control.detects() => Some(Cause::DetectOff),
            () if self.gone => Some(Cause::Failed),
            () if !seen => Some(self.unseen),
            () if control.covers(now) => Some(Cause::FaceSeen),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_only_while_the_test_face_is_seen() {
        let control = Control::new("shutter");
        let (mut shutter, start) = (Shutter::new(), Monotonic::now());
        let cause = |shutter: &Shutter, after: Duration| shutter.cause(&control, start.plus(after));
        assert_eq!(cause(&shutter, Duration::ZERO), Some(Cause::Starting));
        shutter.sees(start);
        assert_eq!(cause(&shutter, SIGHT_LASTS), None);
        assert_eq!(cause(&shutter, SIGHT_LASTS + Duration::from_millis(1)), Some(Cause::Blind));
        shutter.blind();
        assert_eq!(cause(&shutter, Duration::ZERO), Some(Cause::Blind));
        shutter.sees(start);
        shutter.rests(Cause::SourceLost);
        assert_eq!(cause(&shutter, Duration::ZERO), None);
        assert_eq!(cause(&shutter, 2 * SIGHT_LASTS), Some(Cause::SourceLost));
    }

    #[test]
    fn what_is_switched_off_or_gone_covers_whatever_is_seen() {
        let control = Control::new("shutter");
        let (mut shutter, now) = (Shutter::new(), Monotonic::now());
        shutter.sees(now);
        control.cover_for(Duration::from_secs(60));
        assert_eq!(shutter.cause(&control, now), Some(Cause::FaceSeen));
        shutter.gone();
        assert_eq!(shutter.cause(&control, now), Some(Cause::Failed));
        control.detect(false);
        assert_eq!(shutter.cause(&control, now), Some(Cause::DetectOff));
    }
}
