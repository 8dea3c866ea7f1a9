//! Wakes the thread that waits for a source's next frame.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::clock::Monotonic;

/// Rung by whoever has something for the thread that waits in [`Frames::next`](super::Frames::next). Clones are the same bell.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A bell that is silent.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Whoever waits wakes up, and does not wait again until [`Bell::hush`].
    pub fn ring(&self) {
        // it fails only where the bell has been rung 2^64 times, and rings then
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Silences the bell. To be called before one looks what there is, so that nothing that comes after is missed.
    pub fn hush(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }

    /// Whether it rings.
    pub fn rings(&self) -> bool {
        self.wait(Monotonic::default())
    }

    /// Waits until it rings; false once `until` has passed.
    pub fn wait(&self, until: Monotonic) -> bool {
        let left = until.since(Monotonic::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_rings_until_it_is_hushed() {
        let bell = Bell::new().unwrap();
        assert!(!bell.rings());
        let other = bell.clone();
        let ringer = std::thread::spawn(move || (0..3).for_each(|_| other.ring()));
        assert!(bell.wait(Monotonic::now().plus(Duration::from_secs(10))));
        ringer.join().unwrap();
        assert!(bell.rings());
        bell.hush();
        assert!(!bell.rings() && !bell.wait(Monotonic::now()));
    }
}
