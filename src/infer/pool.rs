//! A pool of things that one caller at a time may use: nobody waits past a deadline, and of those who wait alike the first
//! is served first.
//!
//! Whoever can wait is served last. While others ask at all one thing is kept free of them, so that a camera need not
//! wait for a call that is under way, which nothing can interrupt.

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
    /// Tickets of those who wait, the first in front: by turn.
    queues: [VecDeque<u64>; 2],
    next_ticket: u64,
    /// When somebody asked who cannot wait.
    asked: Option<Instant>,
}

/// Whose turn it is where several wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// As soon as anything is free: cameras.
    First,
    /// Once nobody of the others waits.
    Last,
}

/// For how long after a call of those who come first one thing is kept free for their next.
const KEPT_FREE: Duration = Duration::from_secs(1);

impl State {
    /// Whether those who come first have asked of late.
    fn in_demand(&self, now: Instant) -> bool {
        self.asked.is_some_and(|asked| now - asked < KEPT_FREE)
    }

    /// The thing that the holder of `ticket` may have now.
    fn grant(&mut self, turn: Turn, ticket: u64, now: Instant) -> Option<usize> {
        if self.queues[turn as usize].front() != Some(&ticket) {
            return None;
        }
        if turn == Turn::Last {
            let expected = self.taken.len() > 1 && self.in_demand(now);
            if !self.queues[Turn::First as usize].is_empty() || self.free.len() <= usize::from(expected) {
                return None;
            }
        }
        let index = self.free.pop()?;
        self.queues[turn as usize].pop_front();
        self.taken[index] = Some(now);
        Some(index)
    }
}

/// A thing in use; dropping it gives it back.
pub(super) struct Lease<'a, T> {
    pool: &'a Pool<T>,
    index: usize,
    /// Where it goes among those that are free: the last of them is taken next.
    place: usize,
    thing: MutexGuard<'a, T>,
}

impl<T> Pool<T> {
    pub(super) fn new(things: Vec<T>) -> Self {
        let state = State {
            free: (0..things.len()).collect(),
            taken: vec![None; things.len()],
            queues: Default::default(),
            next_ticket: 0,
            asked: None,
        };
        Self { things: things.into_iter().map(Mutex::new).collect(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A thing, once all who come before have theirs; `None` when the deadline passes first.
    pub(super) fn take(&self, turn: Turn, deadline: Instant) -> Option<Lease<'_, T>> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queues[turn as usize].push_back(ticket);
        loop {
            let now = Instant::now();
            if turn == Turn::First {
                state.asked = Some(now);
            }
            if now >= deadline {
                state.queues[turn as usize].retain(|&waiting| waiting != ticket);
                self.changed.notify_all();
                return None;
            }
            if let Some(index) = state.grant(turn, ticket, now) {
                drop(state);
                // The next in the queue may find another thing free.
                self.changed.notify_all();
                let thing = self.things[index].lock().unwrap_or_else(PoisonError::into_inner);
                return Some(Lease { pool: self, index, place: usize::MAX, thing });
            }
            state = self.changed.wait_timeout(state, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// This very thing, where it is free and nobody waits for one; it comes no sooner to others for that.
    pub(super) fn take_at(&self, index: usize) -> Option<Lease<'_, T>> {
        let mut state = self.lock();
        if state.queues.iter().any(|queue| !queue.is_empty()) {
            return None;
        }
        let place = state.free.iter().position(|free| *free == index)?;
        state.free.remove(place);
        state.taken[index] = Some(Instant::now());
        drop(state);
        let thing = self.things[index].lock().unwrap_or_else(PoisonError::into_inner);
        Some(Lease { pool: self, index, place, thing })
    }

    /// For how long the thing that is longest in use is so.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.lock().taken.iter().flatten().min().map(Instant::elapsed)
    }

    /// Whether those who come first have asked of late.
    pub(super) fn in_demand(&self) -> bool {
        self.lock().in_demand(Instant::now())
    }

    /// Number of things.
    pub(super) fn len(&self) -> usize {
        self.things.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lease<'_, T> {
    /// Which one it is.
    pub(super) fn index(&self) -> usize {
        self.index
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
        let place = self.place.min(state.free.len());
        state.free.insert(place, self.index);
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
        let held = pool.take(Turn::First, soon()).unwrap();
        assert!(pool.take(Turn::First, Instant::now() + Duration::from_millis(20)).is_none());
        assert!(
            pool.take(Turn::First, Instant::now()).is_none(),
            "a deadline that passed before is no licence to wait"
        );
        assert!(pool.oldest().unwrap() >= Duration::from_millis(20));
        drop(held);
        assert_eq!(pool.oldest(), None);
        assert_eq!(*pool.take(Turn::First, soon()).unwrap(), 1, "who gave up does not block those who come later");
    }

    #[test]
    fn who_asked_first_is_served_first() {
        let pool = Pool::new(vec![()]);
        let held = pool.take(Turn::First, soon()).unwrap();
        let (served, order) = mpsc::channel();
        std::thread::scope(|scope| {
            for caller in 0..5 {
                let (pool, served) = (&pool, served.clone());
                scope.spawn(move || {
                    let lease = pool.take(Turn::First, soon()).unwrap();
                    served.send(caller).unwrap();
                    drop(lease);
                });
                while pool.lock().queues[0].len() <= caller {
                    std::thread::yield_now();
                }
            }
            drop(held);
        });
        drop(served);
        assert_eq!(order.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_certain_thing_is_to_be_had_while_it_is_free() {
        let pool = Pool::new(vec![7, 8, 9]);
        let one = pool.take_at(1).unwrap();
        assert_eq!((*one, one.index()), (8, 1));
        assert!(pool.take_at(1).is_none() && pool.oldest().is_some());
        let others = [(); 2].map(|()| pool.take(Turn::First, soon()).unwrap());
        assert!(others.iter().all(|other| **other != 8));
        drop(others);
        drop(one);
        assert_eq!(pool.lock().free[1], 1, "where it was");
        let all = [(); 3].map(|()| pool.take(Turn::First, soon()).unwrap());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| pool.take(Turn::First, soon()).is_some());
            while pool.lock().queues[0].is_empty() {
                std::thread::yield_now();
            }
            assert!(pool.take_at(0).is_none() && !waits.is_finished());
            drop(all);
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn a_caller_that_panics_gives_its_thing_back() {
        let pool = Pool::new(vec![7]);
        let panicked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _lease = pool.take(Turn::First, soon()).unwrap();
                    panic!("on purpose");
                })
                .join()
        });
        assert!(panicked.is_err());
        assert_eq!(*pool.take(Turn::First, soon()).unwrap(), 7);
    }

    #[test]
    fn who_can_wait_is_served_last() {
        let pool = Pool::new(vec![()]);
        let held = pool.take(Turn::First, soon()).unwrap();
        let (served, order) = mpsc::channel();
        std::thread::scope(|scope| {
            for (place, turn) in [Turn::Last, Turn::First, Turn::Last, Turn::First].into_iter().enumerate() {
                let (pool, served) = (&pool, served.clone());
                scope.spawn(move || {
                    let lease = pool.take(turn, soon()).unwrap();
                    served.send(place).unwrap();
                    drop(lease);
                });
                while pool.lock().queues.iter().map(VecDeque::len).sum::<usize>() <= place {
                    std::thread::yield_now();
                }
            }
            drop(held);
        });
        drop(served);
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 3, 0, 2]);
    }

    #[test]
    fn one_is_kept_free_for_those_who_come_first() {
        let pool = Pool::new(vec![(), ()]);
        let shortly = || Instant::now() + Duration::from_millis(20);
        let (one, two) = (pool.take(Turn::Last, shortly()), pool.take(Turn::Last, shortly()));
        assert!(one.is_some() && two.is_some(), "nobody else has asked");
        drop((one, two));
        assert!(!pool.in_demand());
        drop(pool.take(Turn::First, soon()));
        assert!(pool.in_demand());
        let one = pool.take(Turn::Last, soon());
        assert!(one.is_some() && pool.take(Turn::Last, shortly()).is_none());
        let camera = pool.take(Turn::First, shortly());
        assert!(camera.is_some(), "it does not wait");
        drop(camera);
        pool.lock().asked = Instant::now().checked_sub(KEPT_FREE);
        assert!(pool.take(Turn::Last, shortly()).is_some(), "nobody has asked for a while");
    }
}
