//! Names of topics, and what a message on one of them means.

use crate::sink::Switch;

/// Root of Home Assistant's discovery topics.
pub(super) const DISCOVERY: &str = "homeassistant";

/// The level that all topics about people are below; no camera is called so.
const PEOPLE: &str = "people";

/// Payload of a switch that is on, and of one that is off.
pub(super) const ON_OFF: [&str; 2] = ["ON", "OFF"];

/// All topics below one prefix.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    prefix: String,
}

/// What a message that came in is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// `<prefix>/status`: what others believe of this daemon.
    OwnStatus,
    /// `<prefix>/<camera>/status`: a camera of this or of an earlier run.
    CameraStatus(&'a str),
    /// `<prefix>/<camera>/<switch>/set`: a user's wish.
    Set(&'a str, &'a str),
    /// `<prefix>/people/<person>/presence`: a person of this or of an earlier run.
    Presence(&'a str),
    /// `<prefix>/people/<person>/enroll`: a picture of a person.
    Enroll(&'a str),
    /// `<prefix>/people/<person>/forget`: a person is to be forgotten.
    Forget(&'a str),
    /// Home Assistant's birth or will.
    HomeAssistant,
}

impl Topics {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    pub(super) fn stats(&self) -> String {
        format!("{}/stats", self.prefix)
    }

    pub(super) fn camera_status(&self, camera: &str) -> String {
        format!("{}/{camera}/status", self.prefix)
    }

    pub(super) fn faces(&self, camera: &str) -> String {
        format!("{}/{camera}/faces", self.prefix)
    }

    pub(super) fn events(&self, camera: &str) -> String {
        format!("{}/{camera}/events", self.prefix)
    }

    /// `track` may be a wildcard.
    pub(super) fn snapshot(&self, camera: &str, track: &str) -> String {
        format!("{}/{camera}/snapshot/{track}", self.prefix)
    }

    pub(super) fn switch_set(&self, camera: &str, switch: &str) -> String {
        format!("{}/{camera}/{switch}/set", self.prefix)
    }

    pub(super) fn switch_state(&self, camera: &str, switch: &str) -> String {
        format!("{}/{camera}/{switch}/state", self.prefix)
    }

    pub(super) fn presence(&self, person: &str) -> String {
        format!("{}/{PEOPLE}/{person}/presence", self.prefix)
    }

    /// Where what became of a wish on `topic` is said.
    pub(super) fn result(topic: &str) -> String {
        format!("{topic}/result")
    }

    /// Filters that cover everything in [`Heard`].
    pub(super) fn filters(&self) -> [String; 7] {
        let of_people = |what: &str| format!("{}/{PEOPLE}/+/{what}", self.prefix);
        [
            self.status(),
            self.camera_status("+"),
            self.switch_set("+", "+"),
            self.presence("+"),
            of_people("enroll"),
            of_people("forget"),
            format!("{DISCOVERY}/status"),
        ]
    }

    /// What a message on `topic` is about; `None` for a topic of no concern.
    pub(super) fn heard<'a>(&self, topic: &'a str) -> Option<Heard<'a>> {
        if topic.strip_prefix(DISCOVERY) == Some("/status") {
            return Some(Heard::HomeAssistant);
        }
        let below = topic.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let parts: Vec<&str> = below.split('/').collect();
        match parts.as_slice() {
            ["status"] => Some(Heard::OwnStatus),
            [PEOPLE, person, "presence"] => Some(Heard::Presence(person)),
            [PEOPLE, person, "enroll"] => Some(Heard::Enroll(person)),
            [PEOPLE, person, "forget"] => Some(Heard::Forget(person)),
            [PEOPLE, ..] => None,
            [camera, "status"] => Some(Heard::CameraStatus(camera)),
            [camera, switch, "set"] => Some(Heard::Set(camera, switch)),
            _ => None,
        }
    }

    /// How this prefix is written inside Home Assistant's ids, where a slash is not allowed.
    pub(super) fn id_prefix(&self) -> String {
        self.prefix.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
    }
}

/// Payload for a switch's position.
pub(super) fn on_off(on: bool) -> &'static str {
    ON_OFF[usize::from(!on)]
}

/// A user's wish for a switch; `None` where it is not one.
pub(super) fn wish(switch: &str, payload: &[u8]) -> Option<(Switch, bool)> {
    let on = match payload.to_ascii_uppercase().as_slice() {
        b"ON" => true,
        b"OFF" => false,
        _ => return None,
    };
    Some((Switch::named(switch)?, on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_as_they_are_written() {
        let topics = Topics::new("home/visor");
        let heard = |topic: &str| topics.heard(topic).map(|h| format!("{h:?}"));
        assert_eq!(topics.heard(&topics.status()), Some(Heard::OwnStatus));
        assert_eq!(topics.heard(&topics.camera_status("front")), Some(Heard::CameraStatus("front")));
        assert_eq!(topics.heard(&topics.switch_set("front", "detect")), Some(Heard::Set("front", "detect")));
        assert_eq!(topics.heard(&topics.presence("alice")), Some(Heard::Presence("alice")));
        assert_eq!(topics.heard("home/visor/people/alice/enroll"), Some(Heard::Enroll("alice")));
        assert_eq!(topics.heard("home/visor/people/alice/forget"), Some(Heard::Forget("alice")));
        assert_eq!(topics.heard("homeassistant/status"), Some(Heard::HomeAssistant));
        assert_eq!(heard(&Topics::result("home/visor/people/alice/enroll")), None);
        assert_eq!(heard("home/visory/status"), None);
        assert_eq!(heard("other/front/detect/set"), None);
        assert_eq!(heard(&topics.faces("front")), None);
    }

    #[test]
    fn a_wish_is_on_or_off() {
        assert_eq!(wish("detect", b"ON"), Some((Switch::Detect, true)));
        assert_eq!(wish("detect", b"off"), Some((Switch::Detect, false)));
        assert_eq!(wish("detect", b"maybe"), None);
        assert_eq!(wish("coffee", b"ON"), None);
    }
}
