//! What this daemon keeps on retained topics, as the board has it, and what others say there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rumqttc::Publish;
use tracing::info;

use super::discovery;
use super::standing::{Standing, Value};
use super::topics::{DISCOVERY, Heard, Topics, on_off};
use crate::sink::{Board, CameraState, CameraStatus, PersonState, SWITCHES, Switch};

/// Cameras of earlier runs whose retained topics are cleared, and as many people; more are left to the next run.
const MAX_STRANGERS: usize = 256;

/// Statuses, faces, switches, discovery and stats: everything but events.
pub(super) struct States {
    topics: Topics,
    home_assistant: bool,
    standing: Standing,
    /// Cameras whose topics stand.
    shown: BTreeMap<Arc<str>, Shown>,
    /// People whose topics stand, with the names they were announced by.
    people: BTreeMap<Arc<str>, Arc<str>>,
    /// Cameras that the broker remembers and the board does not know (yet).
    strangers: BTreeSet<String>,
    /// The same of people.
    unknown: BTreeSet<String>,
}

/// What was said of a camera.
#[derive(Default)]
struct Shown {
    /// The switches that it was announced with.
    switches: Option<Vec<Switch>>,
    /// Refused wishes that were answered.
    refusals: u64,
}

impl States {
    pub(super) fn new(topics: Topics, home_assistant: bool) -> Self {
        let mut standing = Standing::default();
        standing.set(topics.status(), "online".to_owned());
        let (shown, people, strangers, unknown) = Default::default();
        Self { topics, home_assistant, standing, shown, people, strangers, unknown }
    }

    /// Brings what stands up to the board.
    pub(super) fn show(&mut self, cameras: &BTreeMap<Arc<str>, CameraState>) {
        let gone: Vec<Arc<str>> = self.shown.keys().filter(|id| !cameras.contains_key(*id)).cloned().collect();
        for camera in gone {
            self.shown.remove(&camera);
            self.clear(&camera);
        }
        for (camera, state) in cameras {
            self.show_camera(camera, state);
        }
    }

    fn show_camera(&mut self, camera: &Arc<str>, state: &CameraState) {
        self.strangers.remove(&**camera);
        self.standing.set(self.topics.camera_status(camera), state.status.name().to_owned());
        self.standing.set(self.topics.faces(camera), state.faces.to_string());
        for line in SWITCHES {
            if let Some(on) = state.switches.get(&line.switch) {
                self.standing.set(self.topics.switch_state(camera, line.name), on_off(*on).to_owned());
            }
        }
        let shown = self.shown.entry(Arc::clone(camera)).or_default();
        if shown.refusals != state.refusals {
            shown.refusals = state.refusals;
            let positions = SWITCHES.iter().map(|line| self.topics.switch_state(camera, line.name));
            let positions: BTreeSet<String> = positions.collect();
            self.standing.repeat(|topic| positions.contains(topic));
        }
        let switches: Vec<Switch> = state.switches.keys().copied().collect();
        if shown.switches.as_ref() == Some(&switches) {
            return;
        }
        shown.switches = Some(switches.clone());
        // A switch that it has no more, or had in an earlier run.
        for line in SWITCHES.iter().filter(|line| !switches.contains(&line.switch)) {
            self.standing.clear(self.topics.switch_state(camera, line.name));
        }
        let entities = discovery::camera(&self.topics, camera, &switches);
        for (topic, _) in
            self.every_entity(camera).into_iter().filter(|(topic, _)| !entities.iter().any(|(t, _)| t == topic))
        {
            self.standing.clear(topic);
        }
        for (topic, config) in entities {
            // Empty where discovery is off, for a device that an earlier run announced.
            self.standing.set(topic, if self.home_assistant { config } else { String::new() });
        }
    }

    /// The config topics of all that a camera may have.
    fn every_entity(&self, camera: &str) -> Vec<(String, String)> {
        let switches: Vec<Switch> = SWITCHES.iter().map(|line| line.switch).collect();
        discovery::camera(&self.topics, camera, &switches)
    }

    /// Brings what stands of people up to the board.
    pub(super) fn show_people(&mut self, people: &BTreeMap<Arc<str>, PersonState>) {
        let gone: Vec<Arc<str>> = self.people.keys().filter(|id| !people.contains_key(*id)).cloned().collect();
        for person in gone {
            self.people.remove(&person);
            self.clear_person(&person);
        }
        for (person, state) in people {
            self.unknown.remove(&**person);
            let presence = serde_json::to_string(&state.presence).unwrap_or_default();
            self.standing.set(self.topics.presence(person), presence);
            if self.people.get(person) != Some(&state.name) {
                for (topic, config) in discovery::person(&self.topics, person, &state.name) {
                    self.standing.set(topic, if self.home_assistant { config } else { String::new() });
                }
                self.people.insert(Arc::clone(person), Arc::clone(&state.name));
            }
        }
    }

    /// Takes every retained topic of a person away.
    fn clear_person(&mut self, person: &str) {
        self.standing.clear(self.topics.presence(person));
        let configs = discovery::person(&self.topics, person, "");
        configs.into_iter().for_each(|(topic, _)| self.standing.clear(topic));
    }

    /// Takes every retained topic of a camera away.
    fn clear(&mut self, camera: &str) {
        let positions = SWITCHES.iter().map(|line| self.topics.switch_state(camera, line.name));
        let configs = self.every_entity(camera).into_iter().map(|(topic, _)| topic);
        let own = [self.topics.camera_status(camera), self.topics.faces(camera)];
        own.into_iter().chain(positions).chain(configs).for_each(|topic| self.standing.clear(topic));
    }

    /// Takes in what others, or earlier runs, say on these topics.
    pub(super) fn hear(&mut self, heard: &Heard<'_>, publish: &Publish, board: &Board) {
        match (heard, publish.payload.as_ref()) {
            // The last will of an earlier connection that the broker noticed late.
            (Heard::OwnStatus, b"offline") => self.standing.repeat(|topic| topic == publish.topic),
            (Heard::HomeAssistant, b"online") => {
                let root = format!("{DISCOVERY}/");
                self.standing.repeat(|topic| topic.starts_with(&root));
            }
            (Heard::CameraStatus(camera), text) => {
                let stranger = publish.retain && !text.is_empty() && !board.knows(camera);
                if stranger && self.strangers.len() < MAX_STRANGERS {
                    self.strangers.insert((*camera).to_owned());
                }
            }
            (Heard::Presence(person), text) => {
                let unknown = publish.retain && !text.is_empty() && !self.people.contains_key(*person);
                if unknown && self.unknown.len() < MAX_STRANGERS {
                    self.unknown.insert((*person).to_owned());
                }
            }
            _ => {}
        }
    }

    /// Clears what earlier runs left of cameras that are no more. Not at once when they are heard of: a camera that is
    /// only late to be known would lose its device in Home Assistant.
    pub(super) fn forget_strangers(&mut self, board: &Board) {
        if board.people_read() {
            for person in std::mem::take(&mut self.unknown) {
                info!(person, "clearing the retained topics of a person who is no longer known");
                self.clear_person(&person);
            }
        }
        for camera in std::mem::take(&mut self.strangers) {
            info!(camera, "clearing the retained topics of a camera that is no longer configured");
            self.clear(&camera);
        }
    }

    /// Puts the latest counts up for sending.
    pub(super) fn say_stats(&mut self, stats: String) {
        self.standing.say(self.topics.stats(), stats);
    }

    /// The last words: `offline` on every status.
    pub(super) fn go_offline(&mut self) {
        for camera in self.shown.keys() {
            self.standing.set(self.topics.camera_status(camera), CameraStatus::Offline.name().to_owned());
        }
        self.standing.set(self.topics.status(), "offline".to_owned());
    }

    /// The last words where nobody will look after them: nothing on any retained topic.
    pub(super) fn clear_all(&mut self) {
        for camera in std::mem::take(&mut self.shown).into_keys() {
            self.clear(&camera);
        }
        for person in std::mem::take(&mut self.people).into_keys() {
            self.clear_person(&person);
        }
        self.standing.clear(self.topics.status());
    }

    /// A new connection: the broker may have forgotten everything.
    pub(super) fn repeat_all(&mut self) {
        self.standing.repeat(|_| true);
    }

    /// The next value to send.
    pub(super) fn send_next(&mut self) -> Option<Value> {
        self.standing.send_next()
    }

    /// The broker has this version of a topic.
    pub(super) fn acknowledge(&mut self, topic: &str, version: u64) {
        self.standing.acknowledge(topic, version);
    }

    /// Whether every value was handed out.
    pub(super) fn is_sent(&self) -> bool {
        self.standing.is_sent()
    }
}
