//! The thread's work: connect, deliver, listen, connect again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use rumqttc::{ConnectionError, Event, EventLoop, Publish, QoS};
use serde_json::json;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use super::config::Settings;
use super::connection::{Connection, Message, Sent, Step, describe};
use super::people::{self, Wish};
use super::states::States;
use super::topics::{DISCOVERY, Heard, Topics, wish};
use super::{NAME, Shared};
use crate::event::rfc3339;
use crate::metrics::{EVENTS_PUBLISHED, MQTT_CONNECTED, SNAPSHOTS_PUBLISHED};
use crate::sink::{Context, SwitchCommand, lock};

/// Wait before the first new attempt, and before any; each is cut by up to half, so that many clients of a broker that
/// comes back do not knock all at once.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A connection that stood for this long was a sound one: the next one is tried soon.
const SOUND: Duration = Duration::from_secs(5);

/// Part of the time for shutting down that is kept for saying `offline`.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Owner of the connection and of what stands on retained topics.
pub(super) struct Worker {
    settings: Settings,
    context: Context,
    shared: Arc<Shared>,
    topics: Topics,
    states: States,
    farewell: Farewell,
    stats_at: Instant,
    /// The last failure that was told; the same one again is not.
    told: Option<String>,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    NotYet,
    SaidOffline,
    SaidGoodbye,
}

/// What is next for a connection.
enum Next {
    GoOn,
    Reconnect,
    Finish,
}

impl Worker {
    pub(super) fn new(settings: Settings, context: Context, shared: Arc<Shared>) -> Self {
        let topics = Topics::new(&settings.prefix);
        Self {
            states: States::new(topics.clone(), settings.home_assistant),
            topics,
            stats_at: Instant::now() + settings.stats_interval,
            settings,
            context,
            shared,
            farewell: Farewell::NotYet,
            told: None,
        }
    }

    /// Works until the sink is closed.
    pub(super) async fn run(mut self) {
        metrics::gauge!(MQTT_CONNECTED).set(0.0);
        let mut attempt = 0;
        loop {
            let (mut connection, events) = Connection::new(&self.settings, &self.topics);
            let next = self.serve(&mut connection, events).await;
            metrics::gauge!(MQTT_CONNECTED).set(0.0);
            if matches!(next, Next::Finish) {
                return;
            }
            attempt = if connection.since.is_some_and(|at| at.elapsed() >= SOUND) { 0 } else { attempt + 1 };
            lock(&self.shared.outbox).rewind();
            self.states.repeat_all();
            if !self.pause(backoff(attempt)).await {
                return;
            }
        }
    }

    /// Waits before the next attempt. `false` where there is to be none.
    async fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if self.is_over(None) {
                return false;
            }
            let wake = self.shared.closing().map_or(until, |deadline| deadline.min(until));
            tokio::select! {
                () = tokio::time::sleep_until(wake.into()) => {}
                () = self.shared.wake.notified() => {}
            }
        }
        true
    }

    /// Drives one connection from its start to its end.
    async fn serve(&mut self, connection: &mut Connection, events: EventLoop) -> Next {
        // A task of its own, seen through to its end: the event loop may lose a packet when a poll is dropped half-way,
        // and a panic in it over a broker's odd packet ends this connection only. Dropping the set ends the task.
        let mut polling = JoinSet::new();
        polling.spawn(poll(events));
        loop {
            match self.turn(connection) {
                Next::GoOn => {}
                end => return end,
            }
            let alarm = Instant::now() + TICK;
            let alarm = self.shared.closing().map_or(alarm, |deadline| alarm.min(deadline));
            let polled = tokio::select! {
                Some(polled) = polling.join_next() => polled,
                () = self.shared.wake.notified() => continue,
                () = tokio::time::sleep_until(alarm.into()) => continue,
            };
            match polled {
                Ok((events, Ok(event))) => {
                    if matches!(self.step(connection, event), Next::Finish) {
                        return Next::Finish;
                    }
                    polling.spawn(poll(events));
                }
                Ok((events, Err(e))) => {
                    connection.leftovers(events).into_iter().for_each(|sent| self.delivered(sent));
                    self.tell(describe(&e));
                    return if self.farewell == Farewell::SaidGoodbye { Next::Finish } else { Next::Reconnect };
                }
                Err(e) => {
                    self.tell((format!("the connection failed inside: {e}"), ""));
                    return Next::Reconnect;
                }
            }
        }
    }

    /// What is to be done between two steps of the connection.
    fn turn(&mut self, connection: &mut Connection) -> Next {
        if self.is_over(Some(connection)) {
            return Next::Finish;
        }
        if connection.is_stuck(2 * self.settings.broker.keep_alive) {
            warn!("the broker acknowledges nothing: connecting anew");
            return Next::Reconnect;
        }
        if self.shared.board_changed.swap(false, Ordering::Acquire) && self.farewell == Farewell::NotYet {
            self.states.show(&self.context.board.cameras());
            self.states.show_people(&self.context.board.people());
        }
        if Instant::now() >= self.stats_at {
            self.say_stats();
            self.states.forget_strangers(&self.context.board);
        }
        self.wind_down(connection);
        self.send(connection);
        Next::GoOn
    }

    /// Whether the end has come: nothing is left to deliver and nobody there to say goodbye to, or time is up.
    fn is_over(&self, connection: Option<&Connection>) -> bool {
        let Some(deadline) = self.shared.closing() else { return false };
        let alone = connection.is_none_or(|connection| connection.since.is_none());
        Instant::now() >= deadline || (alone && lock(&self.shared.outbox).len() == 0)
    }

    /// Hands out what may go: states first, since they are few, then events.
    fn send(&mut self, connection: &mut Connection) {
        while connection.has_room() {
            let message = match self.states.send_next() {
                Some(value) => Message {
                    sent: Sent::Value(value.topic.clone(), value.version),
                    topic: value.topic,
                    payload: value.payload.into_bytes(),
                    qos: QoS::AtLeastOnce,
                    retain: value.retain,
                },
                None if self.farewell == Farewell::NotYet => match self.next_message() {
                    Some(message) => message,
                    None => return,
                },
                None => return,
            };
            connection.publish(message);
        }
    }

    /// Answers first, since somebody waits for them, and pictures last.
    fn next_message(&self) -> Option<Message> {
        self.next_answer().or_else(|| self.next_event()).or_else(|| self.next_snapshot())
    }

    fn next_snapshot(&self) -> Option<Message> {
        let snapshot = lock(&self.shared.snapshots).pop_front()?;
        let topic = self.topics.snapshot(&snapshot.camera, &snapshot.track);
        let (sent, payload) = (Sent::Snapshot(Arc::clone(&snapshot.camera)), snapshot.jpeg.clone());
        Some(Message { sent, topic, payload, qos: self.settings.qos, retain: false })
    }

    fn next_answer(&self) -> Option<Message> {
        let (topic, payload) = self.shared.desk.next()?;
        Some(Message { sent: Sent::Answer, topic, payload: payload.into_bytes(), qos: QoS::AtLeastOnce, retain: false })
    }

    fn next_event(&self) -> Option<Message> {
        let (serial, event) = lock(&self.shared.outbox).send_next()?;
        let payload = serde_json::to_vec(&*event).unwrap_or_else(|e| {
            error!(error = %e, "an event cannot be written as JSON: this is a bug");
            b"null".to_vec()
        });
        let topic = self.topics.events(&event.camera);
        Some(Message { sent: Sent::Event(serial), topic, payload, qos: self.settings.qos, retain: false })
    }

    fn step(&mut self, connection: &mut Connection, event: Event) -> Next {
        match connection.take(event) {
            Step::Welcome => self.welcome(connection),
            Step::Heard(publish) => self.hear(&publish),
            Step::Delivered(sent) => self.delivered(sent),
            Step::Deaf => {
                warn!("the broker refuses a subscription, so switches do not work; allow this user to read the topics")
            }
            Step::Gone => return Next::Finish,
            Step::Nothing => {}
        }
        Next::GoOn
    }

    fn welcome(&mut self, connection: &Connection) {
        let waiting = lock(&self.shared.outbox).len();
        info!(host = self.settings.broker.host, port = self.settings.broker.port, waiting, "mqtt broker connected");
        metrics::gauge!(MQTT_CONNECTED).set(1.0);
        self.told = None;
        let wanted = |filter: &String| self.settings.home_assistant || !filter.starts_with(DISCOVERY);
        connection.subscribe(self.topics.filters().into_iter().filter(wanted));
        self.say_stats();
    }

    fn delivered(&mut self, sent: Sent) {
        match sent {
            Sent::Value(topic, version) => self.states.acknowledge(&topic, version),
            Sent::Answer => {}
            Sent::Snapshot(camera) => {
                metrics::counter!(SNAPSHOTS_PUBLISHED, "camera" => camera.to_string()).increment(1);
            }
            Sent::Event(serial) => {
                lock(&self.shared.outbox).acknowledge(serial);
                self.shared.overflowing.store(false, Ordering::Relaxed);
                self.shared.board.by_mqtt.published.fetch_add(1, Ordering::Relaxed);
                metrics::counter!(EVENTS_PUBLISHED, "sink" => NAME).increment(1);
            }
        }
    }

    fn hear(&mut self, publish: &Publish) {
        match self.topics.heard(&publish.topic) {
            Some(Heard::Set(camera, switch)) if !publish.payload.is_empty() => self.ask(camera, switch, publish),
            Some(Heard::Enroll(person)) => self.ask_of(Wish::Enroll, person, publish),
            Some(Heard::Forget(person)) => self.ask_of(Wish::Forget, person, publish),
            Some(heard) if self.farewell == Farewell::NotYet => self.states.hear(&heard, publish, &self.context.board),
            _ => {}
        }
    }

    fn ask_of(&self, wish: Wish, person: &str, publish: &Publish) {
        people::ask(wish, person, publish, &self.context, &self.shared);
    }

    fn ask(&self, camera: &str, switch: &str, publish: &Publish) {
        let topic = publish.topic.as_str();
        if publish.retain {
            // It would switch again at each reconnect, against whatever was asked since.
            warn!(topic, "a retained wish for a switch is ignored; publish it without the retain flag");
            return;
        }
        let cameras = self.context.board.cameras();
        let Some((switch, on)) = wish(switch, &publish.payload) else {
            warn!(topic, "not understood: the topic names no switch, or the message is neither ON nor OFF");
            return;
        };
        let Some((camera, _)) = cameras.get_key_value(camera).filter(|(_, state)| state.switches.contains_key(&switch))
        else {
            warn!(topic, "no camera here has this switch");
            return;
        };
        self.context.switches.ask(SwitchCommand { camera: Arc::clone(camera), switch, on });
    }

    fn say_stats(&mut self) {
        self.stats_at = Instant::now() + self.settings.stats_interval;
        let board = &self.context.board;
        let cameras = board.cameras().into_iter().map(|(camera, state)| {
            let stats = json!({ "status": state.status, "reason": &*state.reason, "faces": state.faces, "counts": state.stats });
            (camera.to_string(), stats)
        });
        let present = board.people().values().filter(|person| person.presence.present).count();
        let stats = json!({
            "at": rfc3339(SystemTime::now()),
            "version": env!("CARGO_PKG_VERSION"),
            "boot_id": &**board.boot_id(),
            "uptime_s": board.uptime().as_secs(),
            "events_published_total": board.by_mqtt.published.load(Ordering::Relaxed),
            "events_lost_total": board.by_mqtt.lost.load(Ordering::Relaxed),
            "outbox": lock(&self.shared.outbox).len(),
            "people": { "known": board.gallery().people, "references": board.gallery().references, "present": present },
            "cameras": cameras.collect::<serde_json::Map<_, _>>(),
        });
        self.states.say_stats(stats.to_string());
    }

    /// Near the end: `offline` on every status (or nothing on any retained topic, where nobody would look after them) once
    /// all is delivered or time runs short, then the goodbye.
    fn wind_down(&mut self, connection: &Connection) {
        let Some(deadline) = self.shared.closing() else { return };
        let calm = self.states.is_sent() && connection.is_settled();
        match self.farewell {
            Farewell::NotYet
                if (calm && lock(&self.shared.outbox).len() == 0) || Instant::now() + LAST_WORDS >= deadline =>
            {
                match self.shared.clearing.load(Ordering::Relaxed) {
                    true => self.states.clear_all(),
                    false => self.states.go_offline(),
                }
                self.farewell = Farewell::SaidOffline;
            }
            Farewell::SaidOffline if calm => {
                connection.say_goodbye();
                self.farewell = Farewell::SaidGoodbye;
            }
            _ => {}
        }
    }

    /// Says why the connection broke; once, until it stands again or breaks for another reason.
    fn tell(&mut self, (what, remedy): (String, &str)) {
        let (host, port) = (&self.settings.broker.host, self.settings.broker.port);
        if self.farewell == Farewell::SaidGoodbye || self.told.as_ref() == Some(&what) {
            debug!(host, port, "mqtt: {what}");
            return;
        }
        warn!(host, port, remedy, "mqtt: {what}; trying again");
        self.told = Some(what);
    }
}

/// One step of the event loop, which goes in and comes out so that a step can be waited for beside other things.
async fn poll(mut events: EventLoop) -> (EventLoop, Result<Event, ConnectionError>) {
    let result = events.poll().await;
    (events, result)
}

fn backoff(attempt: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let wait = first.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(longest);
    wait.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_below_three_seconds() {
        assert!(backoff(1) <= BACKOFF.0);
        for attempt in 0..100 {
            let wait = backoff(attempt);
            assert!(wait >= BACKOFF.0 / 2 && wait <= BACKOFF.1);
        }
    }
}
