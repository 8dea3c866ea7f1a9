//! Events to addresses over HTTP: signed, in order, and again and again where a receiver is away.

mod config;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use secrecy::ExposeSecret;
use tracing::{info, warn};

use super::{Context, Forgotten, Sink, Snapshot, lock};
use crate::event::Event;
use crate::fault::Fault;
use crate::metrics::{EVENTS_LOST, EVENTS_PUBLISHED};
use crate::outbound::{Client, Delivery, Reach};

pub use config::{Address, Config, Settings};

/// Name of this sink.
pub const NAME: &str = "webhook";

/// Events that wait for one receiver. Full: the oldest is dropped, and counted.
const QUEUE: usize = 1000;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);

/// Between two tries: doubles with each up to the most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Starts a thread for each receiver, where `settings` name some.
pub fn open(settings: &super::Settings, _: &Context) -> Result<Option<Arc<dyn Sink>>, Fault> {
    if settings.webhooks.is_empty() {
        return Ok(None);
    }
    // the operator has written the addresses into the configuration
    let client = Client::new(Reach::Anywhere);
    let receivers = settings.webhooks.iter().enumerate().map(|(index, hook)| start(index + 1, hook, &client));
    Ok(Some(Arc::new(Webhooks { receivers: receivers.collect::<Result<_, _>>()? })))
}

/// All receivers.
struct Webhooks {
    receivers: Vec<Addressee>,
}

/// One receiver's events, and how to hear that its thread has ended.
struct Addressee {
    settings: Settings,
    queue: Arc<Queue>,
    done: Receiver<()>,
}

fn start(number: usize, settings: &Settings, client: &Client) -> Result<Addressee, Fault> {
    let queue = Arc::<Queue>::default();
    // a counter's first step is no increase to whoever had not seen it before
    ["queue_full", "refused"].iter().for_each(|reason| lose(0, reason));
    let (end, done) = bounded(0);
    let postman = Postman { number, settings: settings.clone(), client: client.clone(), queue: Arc::clone(&queue) };
    std::thread::Builder::new()
        .name(format!("webhook-{number}"))
        .spawn(move || postman.work(end))
        .map_err(|e| Fault::unavailable(format!("cannot start the thread webhook-{number}: {e}")))?;
    Ok(Addressee { settings: settings.clone(), queue, done })
}

fn lose(count: usize, reason: &'static str) {
    metrics::counter!(EVENTS_LOST, "sink" => NAME, "reason" => reason).increment(count as u64);
}

/// What waits for one receiver.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    /// Until when what waits may be delivered; then it is over.
    closing: Option<Instant>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.closing.is_some_and(|deadline| self.events.is_empty() || Instant::now() >= deadline)
    }
}

impl Queue {
    fn push(&self, event: &Arc<Event>) {
        let mut waiting = lock(&self.waiting);
        if waiting.closing.is_some() {
            return lose(1, "shutdown");
        }
        if waiting.events.len() == QUEUE {
            lose(1, "queue_full");
            waiting.events.pop_front();
        }
        waiting.events.push_back(Arc::clone(event));
        self.news.notify_one();
    }

    /// Waits for an event; the oldest one, which stays there. `None` once it is over.
    fn next(&self) -> Option<Arc<Event>> {
        let waiting = lock(&self.waiting);
        let idle = |waiting: &mut Waiting| waiting.events.is_empty() && !waiting.is_over();
        let waiting = self.news.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.is_over() { None } else { waiting.events.front().cloned() }
    }

    /// Takes the event out, unless it is gone already.
    fn remove(&self, event: &Event) {
        let mut waiting = lock(&self.waiting);
        if waiting.events.front().is_some_and(|first| first.boot_seq == event.boot_seq) {
            waiting.events.pop_front();
        }
    }

    /// Waits until the next try; whether there will be one.
    fn rest(&self, pause: Duration) -> bool {
        let waiting = lock(&self.waiting);
        let rested = self.news.wait_timeout_while(waiting, pause, |waiting| waiting.closing.is_none());
        rested.unwrap_or_else(PoisonError::into_inner).0.closing.is_none()
    }

    fn close(&self, deadline: Instant) {
        lock(&self.waiting).closing.get_or_insert(deadline);
        self.news.notify_all();
    }
}

/// Delivers one receiver's events, one after the other.
struct Postman {
    number: usize,
    settings: Settings,
    client: Client,
    queue: Arc<Queue>,
}

impl Postman {
    fn work(self, _end: Sender<()>) {
        let (mut failures, mut refused) = (0, false);
        while let Some(event) = self.queue.next() {
            match self.deliver(&event) {
                Ok(()) => {
                    if std::mem::take(&mut failures) > 0 {
                        info!(webhook = self.number, "the receiver takes events again");
                    }
                    refused = false;
                    metrics::counter!(EVENTS_PUBLISHED, "sink" => NAME).increment(1);
                    self.queue.remove(&event);
                }
                Err(why) if why.may_pass() => {
                    if failures == 0 {
                        warn!(webhook = self.number, error = %why, "the receiver takes no events; they wait");
                    }
                    if !self.queue.rest(why.pause(pause(failures))) {
                        return;
                    }
                    failures += 1;
                }
                Err(why) => {
                    if !std::mem::replace(&mut refused, true) {
                        warn!(webhook = self.number, error = %why, "events lost: the receiver does not want them");
                    }
                    failures = 0;
                    lose(1, "refused");
                    self.queue.remove(&event);
                }
            }
        }
    }

    fn deliver(&self, event: &Event) -> Result<(), crate::outbound::Failure> {
        let Settings { url, secret, .. } = &self.settings;
        // what an event consists of has a form in JSON
        let body = serde_json::to_vec(event).unwrap_or_default();
        let delivery = Delivery { url: url.expose_secret().to_owned(), secret: secret.clone(), body };
        self.client.post(&delivery, TRY)
    }
}

/// Between two tries, after so many before that failed; not quite the same for all who wait for one receiver.
fn pause(failures: u32) -> Duration {
    let (least, most) = PAUSES;
    least.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(most).mul_f64(0.8 + 0.2 * fastrand::f64())
}

impl Sink for Webhooks {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&self, event: &Arc<Event>) {
        let wanted = self.receivers.iter().filter(|receiver| receiver.settings.filter.passes(event));
        wanted.for_each(|receiver| receiver.queue.push(event));
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        let anonymised = |receiver: &Addressee| whom.anonymise(lock(&receiver.queue.waiting).events.iter_mut());
        self.receivers.iter().map(anonymised).sum()
    }

    fn close(&self, deadline: Instant) {
        self.receivers.iter().for_each(|receiver| receiver.queue.close(deadline));
        for Addressee { queue, done, .. } in &self.receivers {
            let _ = done.recv_deadline(deadline);
            let left = std::mem::take(&mut lock(&queue.waiting).events).len();
            if left > 0 {
                lose(left, "shutdown");
                warn!(sink = NAME, events = left, "events lost: the receiver did not take them in time");
            }
        }
    }

    fn succeeded_by(&self, _: &super::Settings) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::recognise::Identity;

    #[test]
    fn of_what_waits_too_long_the_oldest_goes() {
        let queue = Queue::default();
        (1..=QUEUE as u64 + 2).for_each(|seq| queue.push(&fixture::event("front", seq)));
        let first = queue.next().unwrap();
        assert_eq!((first.boot_seq, lock(&queue.waiting).events.len()), (3, QUEUE));
        queue.remove(&fixture::event("front", 1));
        assert_eq!(queue.next().unwrap().boot_seq, 3, "that one was gone already");
        queue.remove(&first);
        assert_eq!(queue.next().unwrap().boot_seq, 4);
        queue.close(Instant::now());
        assert!(queue.next().is_none() && !queue.rest(Duration::from_secs(60)));
    }

    #[test]
    fn a_person_who_is_forgotten_is_not_told_of() {
        let toml = "url = \"http://127.0.0.1:9/\"";
        let settings = toml::from_str::<Config>(toml).unwrap().resolve().unwrap();
        let (_end, done) = bounded(0);
        let hooks = Webhooks { receivers: vec![Addressee { settings, queue: Arc::default(), done }] };
        let alice = Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.7, margin: None };
        hooks.event(&Arc::new(Event { identity: (&alice).into(), ..fixture::event("front", 1).as_ref().clone() }));
        hooks.forget(Forgotten::Person("alice"));
        assert!(!hooks.receivers[0].queue.next().unwrap().shows("alice"));
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        assert!(pause(0) <= PAUSES.0 && pause(0) >= PAUSES.0.mul_f64(0.79));
        assert!(pause(3) > pause(1));
        assert!(pause(40) <= PAUSES.1 && pause(40) >= PAUSES.1.mul_f64(0.79));
    }
}
