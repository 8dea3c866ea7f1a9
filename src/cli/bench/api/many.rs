//! Many clients at once against as many threads as there are sessions; and how soon one too many is told.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::client::Client;
use super::{Bare, Worker};
use crate::cli::bench::figure::{Aim, Figure, millis, quantile, thread_time};
use crate::cli::processor::time_of_threads;
use crate::fault::Fault;

/// Who asks at once.
pub(super) const CLIENTS: usize = 64;

/// Clients and bare threads take turns so often.
const ROUNDS: u32 = 4;

/// How long a client that is sent away waits, as it is told.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What several threads have done.
#[derive(Default)]
pub(super) struct Done {
    /// Milliseconds that each piece of work took that was done in time.
    pub(super) times: Vec<f64>,
    /// With those that ended later.
    all: usize,
    /// Processor time of the threads.
    spent: Duration,
}

impl Done {
    fn join(&mut self, other: Self) {
        self.times.extend(other.times);
        self.all += other.all;
        self.spent += other.spent;
    }

    /// Milliseconds of `spent` for each piece of work.
    fn each(&self, spent: Duration) -> f64 {
        millis(spent) / self.all.max(1) as f64
    }
}

/// Throughput, the slowest of a hundred, and how soon one too many is told.
pub(super) fn measure(bare: &Bare<'_>, address: SocketAddr, time: Duration) -> Result<Vec<Figure>, Fault> {
    let (sessions, turn) = (bare.detector.sessions(), time / (2 * ROUNDS));
    let (mut alone, mut answered, mut daemon) = (Done::default(), Done::default(), [Duration::ZERO; 2]);
    for _ in 0..ROUNDS {
        alone.join(together(sessions, turn, || Worker::new(bare), |worker| worker.work().map(|()| true))?);
        let before = daemon_time()?;
        answered.join(together(CLIENTS, turn, || Client::connect(address), |client| ask(client, bare))?);
        let after = daemon_time()?;
        (0..2).for_each(|part| daemon[part] += after[part].saturating_sub(before[part]));
    }
    let rate = |done: &Done| done.times.len() as f64 / (turn * ROUNDS).as_secs_f64();
    let (throughput, [desk, network]) = (rate(&answered), daemon.map(|spent| answered.each(spent)));
    let figure = |name, value, unit, baseline, aim, what| Figure { name, value, unit, baseline, aim, what };
    let what = format!(
        "{CLIENTS} clients at once, recognize, each {desk:.1} ms of the processor for the picture, {network:.1} for the network, {:.1} for \
         the client; bare: {sessions} threads with decoder and sessions, {:.1} ms",
        answered.each(answered.spent),
        alone.each(alone.spent)
    );
    let waiting =
        format!("the same, the slowest of a hundred; as many take {:.0} ms", 1e3 * CLIENTS as f64 / throughput);
    let mut refused = refused(bare, address, time / 8)?;
    let too_many = format!("one too many, head sent to 503, p99 of {}", refused.len());
    let slowest = quantile(&mut answered.times, 0.99);
    let (least, most) = (Aim::Ratio(0.9..=f64::INFINITY), Aim::Value(0.0..=5.0));
    Ok(vec![
        figure("http-clients", throughput, "/s", Some(rate(&alone)), least, what),
        figure("http-clients-p99", slowest, "ms", None, Aim::None, waiting),
        figure("http-refused", quantile(&mut refused, 0.99), "ms", None, most, too_many),
    ])
}

fn ask(client: &mut Client, bare: &Bare<'_>) -> Result<bool, Fault> {
    client.recognise(bare.picture)?.expect_either(200, 503)
}

/// Processor time so far of the threads that look at pictures, and of those for the network.
fn daemon_time() -> Result<[Duration; 2], Fault> {
    let time = |prefix| time_of_threads(prefix).map_err(|e| Fault::unavailable(format!("/proc/self/task: {e}")));
    Ok([time("desk-")?, time("edge")?])
}

/// How long those waited for their refusal who came while about as many as there are places for had none.
fn refused(bare: &Bare<'_>, address: SocketAddr, time: Duration) -> Result<Vec<f64>, Fault> {
    let patient = |client: &mut Client| {
        let taken = ask(client, bare)?;
        if !taken {
            sleep(RETRY_AFTER);
        }
        Ok(taken)
    };
    // who is sent away at first has come again by then, and taken the places that were left
    let settling = RETRY_AFTER * 3 / 2;
    scope(|scope| {
        let crowd = scope.spawn(|| together(2 * CLIENTS - 2, settling + time, || Client::connect(address), patient));
        sleep(settling);
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < time {
            let mut client = Client::connect(address)?;
            let watch = Instant::now();
            if client.announce()? {
                times.push(millis(watch.elapsed()));
            }
        }
        let _ = crowd.join();
        Ok(times)
    })
}

/// What `count` threads have done within `time`; what gives `false` does not count.
pub(super) fn together<T>(
    count: usize,
    time: Duration,
    ready: impl Fn() -> Result<T, Fault> + Sync,
    work: impl Fn(&mut T) -> Result<bool, Fault> + Sync,
) -> Result<Done, Fault> {
    let barrier = Barrier::new(count);
    let run = || {
        let prepared = ready();
        barrier.wait();
        let mut worker = prepared?;
        let (began, before, mut done) = (Instant::now(), thread_time(), Done::default());
        while began.elapsed() < time {
            let watch = Instant::now();
            if work(&mut worker)? {
                done.all += 1;
                done.times.extend((began.elapsed() < time).then(|| millis(watch.elapsed())));
            }
        }
        Ok(Done { spent: thread_time().saturating_sub(before), ..done })
    };
    scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(run)).collect();
        let mut all = Done::default();
        for thread in threads {
            let broken = || Err(Fault::internal("a thread of the measurement broke off"));
            all.join(thread.join().unwrap_or_else(|_| broken())?);
        }
        Ok(all)
    })
}
