//! Several workers, one order.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// Runs `work` on each job, with a thread for each of the `tools`, and hands the results to `take` in the jobs' order;
/// `None` each time that a `tick` passed without any. Returns when the jobs' sender is gone and every job is done. At
/// most two jobs a tool are under way or waiting for an earlier one: past that the workers wait, and with them the
/// sender.
pub fn in_order<J, T, R>(
    jobs: &Receiver<J>,
    tools: Vec<T>,
    tick: Duration,
    work: impl Fn(J, &mut T) -> R + Sync,
    mut take: impl FnMut(Option<R>),
) where
    J: Send,
    T: Send,
    R: Send,
{
    let room = 2 * tools.len();
    let (done, results) = bounded(room);
    let (give_back, credits) = bounded(room);
    for _ in 0..room {
        let _ = give_back.try_send(());
    }
    // Taking a job and numbering it must be one step, or two workers could swap their numbers.
    let next = Mutex::new(0_u64);
    std::thread::scope(|scope| {
        for mut tool in tools {
            let (credits, next, work) = (credits.clone(), &next, &work);
            let done = Report(done.clone());
            scope.spawn(move || {
                while credits.recv().is_ok()
                    && let Some((number, job)) = take_numbered(jobs, next)
                {
                    if done.0.send(Some((number, work(job, &mut tool)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        // Moved in, so that it is dropped on the way out: workers that wait for a credit then end.
        let give_back = give_back;
        let mut early = BTreeMap::new();
        let mut expected = 0;
        // Moved in too: workers that have a result for nobody then end.
        let results = results;
        loop {
            match results.recv_timeout(tick) {
                Ok(Some((number, result))) => early.insert(number, result),
                Err(RecvTimeoutError::Timeout) => {
                    take(None);
                    continue;
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(result) = early.remove(&expected) {
                take(Some(result));
                expected += 1;
                let _ = give_back.try_send(());
            }
        }
    });
}

/// A worker's way to say a result; one that panics says `None`, so that nobody waits for its job.
struct Report<R>(Sender<Option<(u64, R)>>);

impl<R> Drop for Report<R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(None);
        }
    }
}

fn take_numbered<J>(jobs: &Receiver<J>, next: &Mutex<u64>) -> Option<(u64, J)> {
    let mut next = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let job = jobs.recv().ok()?;
    let number = *next;
    *next += 1;
    Some((number, job))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);

    #[test]
    fn results_keep_the_order_of_the_jobs() {
        let (send, jobs) = bounded(4);
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || (0..500_u64).for_each(|n| send.send(n).unwrap()));
            let uneven = |n: u64, _: &mut ()| {
                (0..(n * 7919) % 5000).fold(n, |a, b| std::hint::black_box(a ^ b));
                n
            };
            in_order(&jobs, vec![(); 4], TICK, uneven, |n| seen.extend(n));
        });
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_worker_that_panics_leaves_nobody_waiting() {
        let (send, jobs) = bounded(64);
        (0..64).for_each(|n| send.send(n).unwrap());
        in_order(&jobs, vec![(); 3], TICK, |n: u64, _: &mut ()| assert_ne!(n, 20), |_| {});
    }

    #[test]
    fn time_passes_also_without_jobs() {
        let (send, jobs) = bounded(1);
        send.send(1_u64).unwrap();
        let (mut send, mut got) = (Some(send), Vec::new());
        in_order(
            &jobs,
            vec![(); 2],
            Duration::from_millis(1),
            |n, _| n,
            |n| {
                got.push(n);
                // the jobs end with the first tick
                send = send.take().filter(|_| n.is_some());
            },
        );
        assert!(got.contains(&Some(1)) && got.contains(&None), "{got:?}");
    }
}
