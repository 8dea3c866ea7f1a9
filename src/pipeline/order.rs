//! Several workers, one order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Runs `work` on each job, with a thread for each of the `tools`, and hands the results to `take` in the jobs' order.
/// Returns when the jobs' sender is gone and every job is done. At most two jobs a tool are under way or waiting for
/// an earlier one: past that the workers wait, and with them the sender.
pub fn in_order<J, T, R>(
    jobs: &Receiver<J>,
    tools: Vec<T>,
    work: impl Fn(J, &mut T) -> R + Sync,
    mut take: impl FnMut(R),
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
        for result in results {
            let Some((number, result)) = result else { return };
            early.insert(number, result);
            while let Some(result) = early.remove(&expected) {
                take(result);
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
            in_order(&jobs, vec![(); 4], uneven, |n| seen.push(n));
        });
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_worker_that_panics_leaves_nobody_waiting() {
        let (send, jobs) = bounded(64);
        (0..64).for_each(|n| send.send(n).unwrap());
        in_order(&jobs, vec![(); 3], |n: u64, _: &mut ()| assert_ne!(n, 20), |()| {});
    }
}
