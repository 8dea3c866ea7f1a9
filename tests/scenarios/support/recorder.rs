//! A subscriber that writes down everything a broker delivers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use serde_json::Value;

use super::wait::eventually;

/// One message as it was delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub topic: String,
    pub payload: String,
    /// The payload as it came.
    #[cfg(feature = "media")]
    pub bytes: Vec<u8>,
    pub retain: bool,
    pub qos: u8,
}

/// Subscribed to everything at one broker, until dropped or until the broker goes.
pub struct Recorder {
    client: Client,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Recorder {
    /// Subscribes to everything at `port`; has what is retained there once this returns.
    pub fn at(port: u16) -> Self {
        Self::with(port, |_| {})
    }

    /// The same with other connection settings.
    pub fn with(port: u16, settings: impl FnOnce(&mut MqttOptions)) -> Self {
        let mut options = MqttOptions::new(format!("recorder-{:x}", fastrand::u64(..)), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(32 << 20, 32 << 20);
        settings(&mut options);
        let (client, mut connection) = Client::new(options, 16);
        client.subscribe("#", QoS::AtLeastOnce).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let (ready, subscribed) = crossbeam_channel::bounded(1);
        let written = Arc::clone(&messages);
        std::thread::spawn(move || {
            let mut listening = false;
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Incoming::SubAck(_))) => {
                        listening = true;
                        ready.try_send(()).ok();
                    }
                    Ok(Event::Incoming(Incoming::Publish(p))) => written.lock().unwrap().push(Message {
                        topic: p.topic,
                        payload: String::from_utf8_lossy(&p.payload).into_owned(),
                        #[cfg(feature = "media")]
                        bytes: p.payload.to_vec(),
                        retain: p.retain,
                        qos: p.qos as u8,
                    }),
                    Ok(_) => {}
                    Err(_) if listening => return,
                    // The broker may open this listener last.
                    Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
                }
            }
        });
        subscribed.recv_timeout(super::wait::PATIENCE).unwrap();
        Self { client, messages }
    }

    /// Publishes a message of the test's own.
    pub fn publish(&self, topic: &str, retain: bool, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
    }

    /// Publishes bytes.
    #[cfg(feature = "media")]
    pub fn send(&self, topic: &str, payload: Vec<u8>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
    }

    /// Everything so far, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    /// Everything so far but what clears a topic.
    pub fn said(&self) -> Vec<Message> {
        self.messages().into_iter().filter(|message| !message.payload.is_empty()).collect()
    }

    /// The last message on `topic`, once there are at least `count`.
    #[cfg(feature = "media")]
    pub fn wait_for_count(&self, topic: &str, count: usize) -> String {
        eventually(&format!("{count} messages on {topic}"), || {
            let on = self.on(topic);
            (on.len() >= count).then(|| on.last().cloned()).flatten()
        })
    }

    /// Payloads on one topic so far, in order.
    pub fn on(&self, topic: &str) -> Vec<String> {
        self.messages.lock().unwrap().iter().filter(|m| m.topic == topic).map(|m| m.payload.clone()).collect()
    }

    /// Waits until the last message on `topic` is `payload`.
    pub fn wait_for(&self, topic: &str, payload: &str) {
        let last = || self.on(topic).last().is_some_and(|last| last == payload).then_some(());
        eventually(&format!("{payload:?} on {topic}"), last);
    }

    /// Waits for a message on `topic` whose JSON `wanted` finds fitting.
    pub fn wait_for_json(&self, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let read = |text: &String| serde_json::from_str(text).ok().filter(|value| wanted(value));
        eventually(&format!("a fitting message on {topic}"), || self.on(topic).iter().find_map(read))
    }

    /// `seq` of each event of `camera`, in the order of arrival.
    pub fn seqs(&self, camera: &str) -> Vec<u64> {
        let seq = |text: String| serde_json::from_str::<Value>(&text).unwrap()["seq"].as_u64().unwrap();
        self.on(&format!("visor/{camera}/events")).into_iter().map(seq).collect()
    }

    /// Waits until the event with number `seq` of `camera` is there.
    pub fn wait_for_seq(&self, camera: &str, seq: u64) {
        let ending = format!("\"seq\":{seq},");
        let topic = format!("visor/{camera}/events");
        let there = |m: &Message| m.topic == topic && m.payload.contains(&ending);
        eventually(&format!("event {seq} of {camera}"), || {
            self.messages.lock().unwrap().iter().rev().any(there).then_some(())
        });
    }

    /// The last payload of each topic that is not empty: what is retained, where it was.
    pub fn standing(&self) -> BTreeMap<String, String> {
        let mut standing: BTreeMap<String, String> = BTreeMap::new();
        self.messages().into_iter().for_each(|m| drop(standing.insert(m.topic, m.payload)));
        standing.retain(|_, payload| !payload.is_empty());
        standing
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // The thread ends with its connection; a broker that is gone already ended it.
        drop(self.client.try_disconnect());
    }
}

/// Most events that a break of the connection may make the broker see twice.
const WINDOW: u64 = 64;

/// Judges the numbers that arrived: all of 1 to `last`, in order; after each of at most `breaks` breaks up to a window
/// of them once more.
pub fn check_delivery(seqs: &[u64], last: u64, breaks: usize) {
    let mut highest = 0;
    let mut steps_back = 0;
    let mut previous = 0;
    for seq in seqs {
        assert!(*seq <= highest + 1, "a hole: {seq} after {highest}");
        if *seq <= previous {
            steps_back += 1;
            assert!(seq + WINDOW > highest, "{seq} again, long after {highest}");
        } else {
            assert_eq!(*seq, previous + 1, "out of order");
        }
        previous = *seq;
        highest = highest.max(*seq);
    }
    assert_eq!(highest, last);
    assert!(steps_back <= breaks, "{steps_back} repetitions, but only {breaks} breaks");
}
