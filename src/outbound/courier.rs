//! Webhooks delivered in the background, again and again where the receiver is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use secrecy::SecretString;

use super::Client;
use crate::fault::Fault;
use crate::metrics::WEBHOOK_DELIVERIES;

/// What a receiver is told.
#[derive(Clone)]
pub struct Delivery {
    /// Where.
    pub url: String,
    /// What it is signed with; unsigned without.
    pub secret: Option<Arc<SecretString>>,
    /// What: JSON.
    pub body: Vec<u8>,
}

/// How hard a courier tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Deliveries that may wait at once.
    pub queue: usize,
    /// Tries for each.
    pub tries: u32,
    /// Time for each try.
    pub time: Duration,
    /// Pause after the first failure; doubles with each.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            queue: 256,
            tries: 8,
            time: Duration::from_secs(5),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// No more deliveries can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many webhooks wait for their receivers")]
pub struct Full;

/// How long a thread that has its hands full goes on without looking up.
const WAKE: Duration = Duration::from_millis(500);

/// Threads that deliver: so many receivers can hang at once and hold up nobody else.
const THREADS: usize = 4;

/// Delivers webhooks from threads of its own, in no particular order. Dropping it ends them after the tries under way;
/// what waits then is lost.
pub struct Courier {
    queue: Sender<Delivery>,
}

impl Courier {
    /// Starts the threads.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(client: &Client, plan: Plan) -> Result<Self, Fault> {
        let (queue, deliveries) = bounded(plan.queue);
        for _ in 0..THREADS {
            let (client, deliveries) = (client.clone(), deliveries.clone());
            std::thread::Builder::new()
                .name("webhooks".to_owned())
                .spawn(move || Round { client, plan, waiting: Vec::new() }.run(&deliveries))
                .map_err(|e| Fault::unavailable(format!("cannot start a thread for webhooks: {e}")))?;
        }
        Ok(Self { queue })
    }

    /// Takes a delivery on; never waits.
    ///
    /// # Errors
    /// The queue is full; the loss is counted.
    pub fn send(&self, delivery: Delivery) -> Result<(), Full> {
        self.queue.try_send(delivery).map_err(|_| {
            count("overflowed");
            Full
        })
    }
}

/// What one thread has taken on.
struct Round {
    client: Client,
    plan: Plan,
    /// Failed, and to be tried again.
    waiting: Vec<Due>,
}

/// A delivery and when it is due.
struct Due {
    at: Instant,
    /// Tries that failed.
    tries: u32,
    delivery: Delivery,
}

impl Round {
    fn run(mut self, deliveries: &Receiver<Delivery>) {
        loop {
            let next = self.waiting.iter().map(|due| due.at).min();
            let full = self.waiting.len() >= self.plan.queue / THREADS;
            match (next, full) {
                (Some(at), true) => std::thread::sleep(at.saturating_duration_since(Instant::now()).min(WAKE)),
                (Some(at), false) => match deliveries.recv_deadline(at) {
                    Ok(delivery) => self.attempt(delivery, 0),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                (None, _) => match deliveries.recv() {
                    Ok(delivery) => self.attempt(delivery, 0),
                    Err(_) => return,
                },
            }
            self.repeat();
        }
    }

    /// Tries again what is due.
    fn repeat(&mut self) {
        let now = Instant::now();
        for due in self.waiting.extract_if(.., |due| due.at <= now).collect::<Vec<_>>() {
            self.attempt(due.delivery, due.tries);
        }
    }

    fn attempt(&mut self, delivery: Delivery, failed: u32) {
        let outcome = match self.client.post(&delivery, self.plan.time) {
            Ok(()) => "delivered",
            Err(failure) if failure.may_pass() && failed + 1 < self.plan.tries => {
                let at = Instant::now() + failure.pause(self.plan.pause_after(failed));
                self.waiting.push(Due { at, tries: failed + 1, delivery });
                "retried"
            }
            Err(_) => "given_up",
        };
        count(outcome);
    }
}

impl Plan {
    /// The pause after a failure that had `before` ones; with a spread, so that receivers do not all come back at once.
    pub fn pause_after(&self, before: u32) -> Duration {
        let doubled = self.pause.saturating_mul(1 << before.min(16));
        doubled.min(self.longest_pause).mul_f64(0.75 + fastrand::f64() * 0.5)
    }
}

fn count(outcome: &'static str) {
    ::metrics::counter!(WEBHOOK_DELIVERIES, "outcome" => outcome).increment(1);
}
