//! What is to stand on topics of which only the last value counts: statuses, faces, switches, discovery, stats.

use std::collections::{BTreeMap, BTreeSet};

/// One value to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) retain: bool,
    /// Tells this value from later ones on the same topic.
    pub(super) version: u64,
}

/// The last value of each topic. Bounded by the number of topics: a new value takes the place of the old one, sent or
/// not, and a topic that was cleared is forgotten once the broker knows.
#[derive(Debug, Default)]
pub(super) struct Standing {
    values: BTreeMap<String, Value>,
    unsent: BTreeSet<(u64, String)>,
    version: u64,
}

impl Standing {
    /// Puts `payload` on a retained topic; does nothing where it stands there already.
    pub(super) fn set(&mut self, topic: String, payload: String) {
        if self.values.get(&topic).is_none_or(|value| value.payload != payload) {
            self.put(topic, payload, true);
        }
    }

    /// Takes a retained topic away: the broker forgets it on an empty payload.
    pub(super) fn clear(&mut self, topic: String) {
        self.set(topic, String::new());
    }

    /// Puts `payload` on a topic that is not retained, even where it is what was said last.
    pub(super) fn say(&mut self, topic: String, payload: String) {
        self.put(topic, payload, false);
    }

    /// Sends the topics that `which` names once more.
    pub(super) fn repeat(&mut self, which: impl Fn(&str) -> bool) {
        let again: Vec<Value> = self.values.values().filter(|value| which(&value.topic)).cloned().collect();
        again.into_iter().for_each(|value| self.put(value.topic, value.payload, value.retain));
    }

    /// The next value to send, in the order in which they were put up.
    pub(super) fn send_next(&mut self) -> Option<Value> {
        let (_, topic) = self.unsent.pop_first()?;
        self.values.get(&topic).cloned()
    }

    /// The broker has this version of a topic.
    pub(super) fn acknowledge(&mut self, topic: &str, version: u64) {
        let over = self.values.get(topic).is_some_and(|v| v.version == version && (v.payload.is_empty() || !v.retain));
        if over {
            self.values.remove(topic);
        }
    }

    /// Whether everything was handed out by [`Standing::send_next`].
    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    fn put(&mut self, topic: String, payload: String, retain: bool) {
        self.version += 1;
        let value = Value { topic: topic.clone(), payload, retain, version: self.version };
        if let Some(old) = self.values.insert(topic.clone(), value) {
            self.unsent.remove(&(old.version, old.topic));
        }
        self.unsent.insert((self.version, topic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(standing: &mut Standing) -> Vec<(String, String)> {
        std::iter::from_fn(|| standing.send_next().map(|v| (v.topic, v.payload))).collect()
    }

    fn pair(topic: &str, payload: &str) -> (String, String) {
        (topic.to_owned(), payload.to_owned())
    }

    #[test]
    fn only_the_last_value_of_a_topic_is_sent() {
        let mut standing = Standing::default();
        standing.set("faces".into(), "1".into());
        standing.set("status".into(), "online".into());
        standing.set("faces".into(), "2".into());
        assert_eq!(sent(&mut standing), [pair("status", "online"), pair("faces", "2")]);
        standing.set("faces".into(), "2".into());
        assert!(standing.is_sent());
    }

    #[test]
    fn a_cleared_topic_is_forgotten_once_the_broker_knows() {
        let mut standing = Standing::default();
        standing.set("status".into(), "online".into());
        let online = standing.send_next().unwrap();
        standing.clear("status".into());
        standing.acknowledge(&online.topic, online.version);
        let cleared = standing.send_next().unwrap();
        assert_eq!(cleared.payload, "");
        standing.repeat(|_| true);
        assert_eq!(sent(&mut standing), [pair("status", "")]);
        standing.acknowledge("status", cleared.version + 1);
        assert!(standing.values.is_empty());
    }
}
