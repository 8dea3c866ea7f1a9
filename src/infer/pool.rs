//! A pool of things that one caller at a time may use: first come, first served, and nobody waits past a deadline.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pool. Who waits is a thread that calls, so the queue is bounded by the number of threads.
pub(super) struct Pool<T> {
    things: Vec<Mutex<T>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: Vec<usize>,
    /// For each thing, since when it is in use.
    taken: Vec<Option<Instant>>,
    /// Tickets of those who wait, the first in front.
    queue: VecDeque<u64>,
    next_ticket: u64,
}

/// A thing in use; dropping it gives it back.
pub(super) struct Lease<'a, T> {
    pool: &'a Pool<T>,
    index: usize,
    thing: MutexGuard<'a, T>,
}

impl<T> Pool<T> {
    pub(super) fn new(things: Vec<T>) -> Self {
        let state = State {
            free: (0..things.len()).collect(),
            taken: vec![None; things.len()],
            queue: VecDeque::new(),
            next_ticket: 0,
        };
        Self { things: things.into_iter().map(Mutex::new).collect(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A thing, once all who asked before have theirs; `None` when the deadline passes first.
    pub(super) fn take(&self, deadline: Instant) -> Option<Lease<'_, T>> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(ticket);
        loop {
            let now = Instant::now();
            if now >= deadline {
                state.queue.retain(|&waiting| waiting != ticket);
                self.changed.notify_all();
                return None;
            }
            if state.queue.front() == Some(&ticket)
                && let Some(index) = state.free.pop()
            {
                state.queue.pop_front();
                state.taken[index] = Some(now);
                drop(state);
                // The next in the queue may find another thing free.
                self.changed.notify_all();
                let thing = self.things[index].lock().unwrap_or_else(PoisonError::into_inner);
                return Some(Lease { pool: self, index, thing });
            }
            state = self.changed.wait_timeout(state, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For how long the thing that is longest in use is so.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.lock().taken.iter().flatten().min().map(Instant::elapsed)
    }

    /// Number of things.
    pub(super) fn len(&self) -> usize {
        self.things.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> DerefMut for Lease<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.taken[self.index] = None;
        state.free.push(self.index);
        drop(state);
        self.pool.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn nobody_waits_past_the_deadline() {
        let pool = Pool::new(vec![1]);
        let held = pool.take(soon()).unwrap();
        assert!(pool.take(Instant::now() + Duration::from_millis(20)).is_none());
        assert!(pool.take(Instant::now()).is_none(), "a deadline that passed before is no licence to wait");
        assert!(pool.oldest().unwrap() >= Duration::from_millis(20));
        drop(held);
        assert_eq!(pool.oldest(), None);
        assert_eq!(*pool.take(soon()).unwrap(), 1, "who gave up does not block those who come later");
    }

    #[test]
    fn who_asked_first_is_served_first() {
        let pool = Pool::new(vec![()]);
        let held = pool.take(soon()).unwrap();
        let (served, order) = mpsc::channel();
        std::thread::scope(|scope| {
            for caller in 0..5 {
                let (pool, served) = (&pool, served.clone());
                scope.spawn(move || {
                    let lease = pool.take(soon()).unwrap();
                    served.send(caller).unwrap();
                    drop(lease);
                });
                while pool.lock().queue.len() <= caller {
                    std::thread::yield_now();
                }
            }
            drop(held);
        });
        drop(served);
        assert_eq!(order.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_caller_that_panics_gives_its_thing_back() {
        let pool = Pool::new(vec![7]);
        let panicked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _lease = pool.take(soon()).unwrap();
                    panic!("on purpose");
                })
                .join()
        });
        assert!(panicked.is_err());
        assert_eq!(*pool.take(soon()).unwrap(), 7);
    }
}
