//! Waiting for what another process or thread does: polled, with a deadline.

use std::time::{Duration, Instant};

/// Longest time that anything in a scenario may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `found` until it has something. Panics, naming `what`, when patience ends.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = found() {
            return it;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// How long a soak lasts: `VISOR_SOAK_SECONDS`, or 30 s within the tests.
pub fn soak_time() -> Duration {
    let seconds = std::env::var("VISOR_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}
