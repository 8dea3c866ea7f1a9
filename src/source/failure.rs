//! Why a capture child is replaced, and what follows from it.

use std::fmt;
use std::time::Duration;

use super::SourceState;
use super::watch::Overdue;
use crate::ring::wire::FailReason;

/// The longest pause where a cure may come at any moment: with the time to open a stream and to wait for its keyframe
/// this stays below five seconds.
const OFTEN: Duration = Duration::from_secs(2);

/// Why a capture child is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Its socket closed.
    Crashed,
    /// It did something too late.
    Overdue(Overdue),
    /// It broke the protocol.
    Lied(String),
    /// A stream that should have no end has ended.
    Ended,
    /// It gave up, and said why.
    GaveUp(FailReason, String),
    /// This side lacks something.
    Here(String),
}

impl Failure {
    /// The word in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Crashed => "crash",
            Self::Overdue(Overdue::Frame) => "stall",
            Self::Overdue(Overdue::Opening) => FailReason::Timeout.as_str(),
            Self::Overdue(Overdue::Startup | Overdue::Alive) => "hang",
            Self::Lied(_) => "protocol",
            Self::Ended => "end_of_stream",
            Self::GaveUp(reason, _) => reason.as_str(),
            Self::Here(_) => "system",
        }
    }

    /// The longest pause before the next try. What may be cured at any moment from outside is tried often, a password
    /// too: cameras that lock an account do so after a handful of tries, however far apart. A crash is not.
    pub(super) fn longest_pause(&self, most: Duration) -> Duration {
        let often = match self {
            Self::Ended | Self::Overdue(Overdue::Frame | Overdue::Opening) => true,
            Self::GaveUp(reason, _) => matches!(
                reason,
                FailReason::Unreachable
                    | FailReason::Unauthorised
                    | FailReason::Untrusted
                    | FailReason::NotFound
                    | FailReason::Timeout
                    | FailReason::EndedEarly
            ),
            _ => false,
        };
        if often { most.min(OFTEN) } else { most }
    }

    /// The source's state from now on.
    pub(super) fn state(&self, retry_in: Duration) -> SourceState {
        let reason = self.to_string();
        match self {
            Self::Overdue(Overdue::Frame | Overdue::Alive) => SourceState::Stalled { reason },
            _ => SourceState::Offline { reason, retry_in: Some(retry_in) },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed => f.write_str("the capture child crashed"),
            Self::Overdue(Overdue::Startup) => f.write_str("the capture child did not start in time"),
            Self::Overdue(Overdue::Alive) => f.write_str("the capture child hangs"),
            Self::Overdue(Overdue::Opening) => f.write_str("no picture came in time"),
            Self::Overdue(Overdue::Frame) => f.write_str("pictures stopped coming"),
            Self::Lied(what) => write!(f, "the capture child broke the protocol: {what}"),
            Self::Ended => f.write_str("the stream ended"),
            Self::GaveUp(reason, text) if text.is_empty() => f.write_str(reason.as_str()),
            Self::GaveUp(_, text) | Self::Here(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_right_at_the_camera_is_noticed_soon() {
        let most = Duration::from_secs(30);
        let gave_up = |reason| Failure::GaveUp(reason, String::new()).longest_pause(most);
        for reason in [FailReason::Unauthorised, FailReason::Untrusted, FailReason::NotFound, FailReason::Unreachable] {
            assert_eq!(gave_up(reason), OFTEN, "{reason:?}");
        }
        assert_eq!(gave_up(FailReason::Unsupported), most);
        assert_eq!(Failure::Crashed.longest_pause(most), most);
        assert_eq!(Failure::Ended.longest_pause(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
