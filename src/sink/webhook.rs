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
    let receivers = numbered(settings).map(|address| start(address, &client)).collect::<Result<_, _>>()?;
    Ok(Some(Arc::new(Webhooks { client, receivers: Mutex::new(receivers), leaving: Mutex::default() })))
}

/// All receivers.
struct Webhooks {
    client: Client,
    receivers: Mutex<Vec<Arc<Addressee>>>,
    /// Those that are being closed: they get nothing more, and must forget nevertheless.
    leaving: Mutex<Vec<Arc<Addressee>>>,
}

/// Where a receiver is in the configuration, from 1 on, and what is said of it there.
type Numbered = (usize, Settings);

fn numbered(settings: &super::Settings) -> impl Iterator<Item = Numbered> {
    settings.webhooks.iter().enumerate().map(|(index, hook)| (index + 1, hook.clone()))
}

/// One receiver's events, and how to hear that its thread has ended.
struct Addressee {
    queue: Arc<Queue>,
    done: Receiver<()>,
}

impl Drop for Addressee {
    fn drop(&mut self) {
        self.queue.close(Instant::now());
    }
}

fn start(of: Numbered, client: &Client) -> Result<Arc<Addressee>, Fault> {
    let number = of.0;
    let queue = Arc::new(Queue::new(of));
    // a counter's first step is no increase to whoever had not seen it before
    ["queue_full", "refused"].iter().for_each(|reason| lose(0, reason));
    let (end, done) = bounded(0);
    let postman = Postman { client: client.clone(), queue: Arc::clone(&queue) };
    std::thread::Builder::new()
        .name(format!("webhook-{number}"))
        .spawn(move || postman.work(end))
        .map_err(|e| Fault::unavailable(format!("cannot start the thread webhook-{number}: {e}")))?;
    Ok(Arc::new(Addressee { queue, done }))
}

/// Closes these receivers; what they do not take by `deadline` is lost.
fn close(receivers: &[Arc<Addressee>], deadline: Instant) {
    receivers.iter().for_each(|receiver| receiver.queue.close(deadline));
    for receiver in receivers {
        let _ = receiver.done.recv_deadline(deadline);
        let left = std::mem::take(&mut lock(&receiver.queue.waiting).events).len();
        if left > 0 {
            lose(left, "shutdown");
            warn!(sink = NAME, events = left, "events lost: the receiver did not take them in time");
        }
    }
}

/// Which of the receivers that there are go on as which of those that are wanted: one of whom all is as it was, or else one at the
/// same address, or else one that has moved: at the same place in the configuration, with all but the address as it was. The
/// others are `None`.
fn successions(old: &[Numbered], wanted: &[Numbered]) -> Vec<Option<usize>> {
    let mut taken = vec![None; wanted.len()];
    let likenesses: [fn(&Numbered, &Numbered) -> bool; 3] = [
        |old, new| old.1 == new.1,
        |old, new| old.1.url.expose_secret() == new.1.url.expose_secret(),
        |old, new| old.0 == new.0 && old.1.is_alike_elsewhere(&new.1),
    ];
    for alike in likenesses {
        for (place, new) in wanted.iter().enumerate() {
            if taken[place].is_none() {
                let fits = |index: &usize| !taken.contains(&Some(*index)) && alike(&old[*index], new);
                taken[place] = (0..old.len()).find(fits);
            }
        }
    }
    taken
}

fn lose(count: usize, reason: &'static str) {
    metrics::counter!(EVENTS_LOST, "sink" => NAME, "reason" => reason).increment(count as u64);
}

/// What waits for one receiver.
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

struct Waiting {
    of: Numbered,
    events: VecDeque<Arc<Event>>,
    /// Until when what waits may be delivered; then it is over.
    closing: Option<Instant>,
    /// Other settings have come, under which the next try may go better.
    renewed: bool,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.closing.is_some_and(|deadline| self.events.is_empty() || Instant::now() >= deadline)
    }
}

impl Queue {
    fn new(of: Numbered) -> Self {
        let waiting = Waiting { of, events: VecDeque::new(), closing: None, renewed: false };
        Self { waiting: Mutex::new(waiting), news: Condvar::new() }
    }

    /// As the configuration has the receiver now.
    fn of(&self) -> Numbered {
        lock(&self.waiting).of.clone()
    }

    /// Takes on other settings. What waits and is not wanted under them any more goes.
    fn renew(&self, of: Numbered) {
        let mut waiting = lock(&self.waiting);
        waiting.events.retain(|event| of.1.filter.passes(event));
        waiting.renewed |= waiting.of.1 != of.1;
        waiting.of = of;
        self.news.notify_all();
    }

    /// Takes an event, where it is wanted.
    fn push(&self, event: &Arc<Event>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.of.1.filter.passes(event) {
            return;
        }
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
        let tired = |waiting: &mut Waiting| waiting.closing.is_none() && !waiting.renewed;
        let rested = self.news.wait_timeout_while(lock(&self.waiting), pause, tired);
        let mut waiting = rested.unwrap_or_else(PoisonError::into_inner).0;
        waiting.renewed = false;
        waiting.closing.is_none()
    }

    fn close(&self, deadline: Instant) {
        lock(&self.waiting).closing.get_or_insert(deadline);
        self.news.notify_all();
    }
}

/// Delivers one receiver's events, one after the other.
struct Postman {
    client: Client,
    queue: Arc<Queue>,
}

impl Postman {
    fn work(self, _end: Sender<()>) {
        let (mut failures, mut refused) = (0, false);
        while let Some(event) = self.queue.next() {
            let (webhook, settings) = self.queue.of();
            match self.deliver(&event, &settings) {
                Ok(()) => {
                    if std::mem::take(&mut failures) > 0 {
                        info!(webhook, "the receiver takes events again");
                    }
                    refused = false;
                    metrics::counter!(EVENTS_PUBLISHED, "sink" => NAME).increment(1);
                    self.queue.remove(&event);
                }
                Err(why) if why.may_pass() => {
                    if failures == 0 {
                        warn!(webhook, error = %why, "the receiver takes no events; they wait");
                    }
                    if !self.queue.rest(why.pause(pause(failures))) {
                        return;
                    }
                    failures += 1;
                }
                Err(why) => {
                    if !std::mem::replace(&mut refused, true) {
                        warn!(webhook, error = %why, "events lost: the receiver does not want them");
                    }
                    failures = 0;
                    lose(1, "refused");
                    self.queue.remove(&event);
                }
            }
        }
    }

    fn deliver(&self, event: &Event, settings: &Settings) -> Result<(), crate::outbound::Failure> {
        let Settings { url, secret, .. } = settings;
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
        lock(&self.receivers).iter().for_each(|receiver| receiver.queue.push(event));
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        let anonymised = |receiver: &Arc<Addressee>| whom.anonymise(lock(&receiver.queue.waiting).events.iter_mut());
        // in this order, so that one that goes from the first to the second is not missed
        let staying: usize = lock(&self.receivers).iter().map(anonymised).sum();
        staying + lock(&self.leaving).iter().map(anonymised).sum::<usize>()
    }

    fn close(&self, deadline: Instant) {
        // those who publish meanwhile do not wait
        let receivers = lock(&self.receivers).clone();
        close(&receivers, deadline);
    }

    fn goes_on_under(&self, settings: &super::Settings, deadline: Instant) -> Result<bool, Fault> {
        if settings.webhooks.is_empty() {
            return Ok(false);
        }
        let old = lock(&self.receivers).clone();
        let wanted: Vec<Numbered> = numbered(settings).collect();
        let successions = successions(&old.iter().map(|receiver| receiver.queue.of()).collect::<Vec<_>>(), &wanted);
        let places = wanted.iter().zip(&successions).map(|(of, before)| match before {
            Some(index) => Ok(Arc::clone(&old[*index])),
            None => start(of.clone(), &self.client),
        });
        // nothing has changed yet where a thread cannot be started
        let receivers: Vec<_> = places.collect::<Result<_, Fault>>()?;
        receivers.iter().zip(wanted).for_each(|(receiver, of)| receiver.queue.renew(of));
        let gone = old.into_iter().enumerate().filter(|(index, _)| !successions.contains(&Some(*index)));
        let gone: Vec<_> = gone.map(|(_, receiver)| receiver).collect();
        lock(&self.leaving).clone_from(&gone);
        *lock(&self.receivers) = receivers;
        close(&gone, deadline);
        lock(&self.leaving).clear();
        Ok(true)
    }

    fn succeeded_by(&self, _: &super::Settings) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::recognise::Identity;

    fn settings(url: &str, rest: &str) -> Settings {
        toml::from_str::<Config>(&format!("url = \"{url}\"\n{rest}")).unwrap().resolve().unwrap()
    }

    fn check_successions(old: &[(&str, &str)], wanted: &[(&str, &str)], expected: &[Option<usize>]) {
        let hooks = |hooks: &[(&str, &str)]| {
            let hooks = hooks.iter().map(|(host, rest)| settings(&format!("http://{host}/"), rest));
            (1..).zip(hooks).collect::<Vec<_>>()
        };
        assert_eq!(successions(&hooks(old), &hooks(wanted)), expected, "{old:?} -> {wanted:?}");
    }

    #[test]
    fn receivers_go_on_as_those_that_they_are() {
        let only = "cameras = [\"front\"]";
        check_successions(&[("a", ""), ("b", "")], &[("c", ""), ("b", ""), ("a", "")], &[None, Some(1), Some(0)]);
        check_successions(&[("a", "")], &[("a", only)], &[Some(0)]);
        check_successions(&[("a", ""), ("b", only)], &[("a", ""), ("c", only)], &[Some(0), Some(1)]);
        check_successions(&[("a", ""), ("b", only)], &[("c", only)], &[None]);
        check_successions(&[("a", "")], &[("c", only)], &[None]);
        check_successions(&[("a", ""), ("a", only)], &[("a", only)], &[Some(1)]);
        check_successions(&[("a", only)], &[("a", "types = [\"ended\"]"), ("a", only)], &[None, Some(0)]);
        check_successions(&[("a", "")], &[("a", ""), ("a", "")], &[Some(0), None]);
    }

    #[test]
    fn under_other_settings_only_what_they_want_still_waits_and_is_tried_at_once() {
        let url = "http://127.0.0.1:9/";
        let queue = Queue::new((1, settings(url, "")));
        for (seq, camera) in ["front", "back", "front"].into_iter().enumerate() {
            queue.push(&fixture::event(camera, seq as u64));
        }
        queue.renew((2, settings(url, "cameras = [\"back\"]")));
        assert!(queue.rest(Duration::from_secs(3600)), "a receiver that was put right is not waited for");
        assert_eq!(lock(&queue.waiting).events.iter().map(|event| &*event.camera).collect::<Vec<_>>(), ["back"]);
        queue.push(&fixture::event("front", 4));
        assert_eq!(queue.of().0, 2);
        assert_eq!(lock(&queue.waiting).events.len(), 1);
    }

    #[test]
    fn of_what_waits_too_long_the_oldest_goes() {
        let queue = Queue::new((1, settings("http://127.0.0.1:9/", "")));
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
        let (_end, done) = bounded(0);
        let queue = Arc::new(Queue::new((1, settings("http://127.0.0.1:9/", ""))));
        let hooks = hooks(Addressee { queue: Arc::clone(&queue), done });
        hooks.event(&of_alice());
        hooks.forget(Forgotten::Person("alice"));
        assert!(!queue.next().unwrap().shows("alice"));
    }

    fn hooks(receiver: Addressee) -> Webhooks {
        let (receivers, leaving) = (Mutex::new(vec![Arc::new(receiver)]), Mutex::default());
        Webhooks { client: Client::new(Reach::Anywhere), receivers, leaving }
    }

    fn of_alice() -> Arc<Event> {
        let alice = Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.7, margin: None };
        Arc::new(Event { identity: (&alice).into(), ..fixture::event("front", 1).as_ref().clone() })
    }

    #[test]
    fn a_receiver_that_is_being_closed_is_not_told_of_them_either() {
        let (end, done) = bounded(0);
        let queue = Arc::new(Queue::new((1, settings("http://127.0.0.1:9/", ""))));
        let hooks = hooks(Addressee { queue: Arc::clone(&queue), done });
        hooks.event(&of_alice());
        let other = super::super::Settings {
            webhooks: vec![settings("http://127.0.0.1:9/other", "cameras = [\"front\"]")],
            ..super::super::Settings::default()
        };
        std::thread::scope(|scope| {
            // it waits for the thread of the one that is gone, which ends once nobody is told of any more
            let reload = scope.spawn(|| hooks.goes_on_under(&other, Instant::now() + Duration::from_secs(60)));
            while lock(&hooks.receivers).iter().any(|receiver| Arc::ptr_eq(&receiver.queue, &queue)) {
                std::thread::yield_now();
            }
            assert_eq!(hooks.forget(Forgotten::Person("alice")), 1);
            assert!(lock(&queue.waiting).events.iter().all(|event| !event.shows("alice")));
            drop(end);
            assert!(reload.join().unwrap().unwrap());
        });
        assert!(lock(&hooks.leaving).is_empty());
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        assert!(pause(0) <= PAUSES.0 && pause(0) >= PAUSES.0.mul_f64(0.79));
        assert!(pause(3) > pause(1));
        assert!(pause(40) <= PAUSES.1 && pause(40) >= PAUSES.1.mul_f64(0.79));
    }
}
