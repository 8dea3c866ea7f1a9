//! Home Assistant's MQTT discovery: a device for each camera and each person.
//!
//! Topics and keys as on <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>, one message an entity, which
//! every Home Assistant takes; event and image entities exist since 2023.8.

use serde_json::{Value, json};

use super::topics::{DISCOVERY, ON_OFF, Topics};
use crate::sink::{CameraStatus, SWITCHES, Switch};

/// The config topics and payloads of a camera's entities.
pub(super) fn camera(topics: &Topics, camera: &str, switches: &[Switch]) -> Vec<(String, String)> {
    let mut entities =
        vec![occupancy(topics, camera), faces(topics, camera), status(topics, camera), face(topics, camera)];
    entities.extend(switches.contains(&Switch::Snapshots).then(|| snapshot(topics, camera)));
    entities.extend(switches.iter().filter_map(|switch| toggle(topics, camera, *switch)));
    let device = Device { kind: "camera", model: "Camera", id: camera, name: camera };
    entities.into_iter().map(|entity| entity.finish(topics, &device)).collect()
}

/// The same of a person's, who is shown as `name`.
pub(super) fn person(topics: &Topics, person: &str, name: &str) -> Vec<(String, String)> {
    let state_topic = topics.presence(person);
    let sensor = |component, name, config| Entity { component, name, config, needs_camera: false };
    let presence = json!({
        "name": "Presence",
        "device_class": "presence",
        "state_topic": state_topic,
        "value_template": "{{ 'ON' if value_json.present else 'OFF' }}",
        "json_attributes_topic": state_topic,
    });
    let camera = json!({
        "name": "Camera",
        "icon": "mdi:cctv",
        "state_topic": state_topic,
        "value_template": "{{ value_json.camera }}",
    });
    let last_seen = json!({
        "name": "Last seen",
        "device_class": "timestamp",
        "state_topic": state_topic,
        "value_template": "{{ value_json.last_seen }}",
    });
    let entities = [
        sensor("binary_sensor", "presence", presence),
        sensor("sensor", "camera", camera),
        sensor("sensor", "last_seen", last_seen),
    ];
    let device = Device { kind: "person", model: "Person", id: person, name };
    entities.into_iter().map(|entity| entity.finish(topics, &device)).collect()
}

/// What entities belong to.
struct Device<'a> {
    kind: &'static str,
    model: &'static str,
    id: &'a str,
    name: &'a str,
}

/// One entity, without what all have in common.
struct Entity {
    component: &'static str,
    name: &'static str,
    config: Value,
    /// Shown as unavailable while the camera gives no frames, and not only while the daemon is away.
    needs_camera: bool,
}

fn occupancy(topics: &Topics, camera: &str) -> Entity {
    let config = json!({
        "name": "Occupancy",
        "device_class": "occupancy",
        "state_topic": topics.faces(camera),
        "value_template": "{{ 'ON' if value | int(0) > 0 else 'OFF' }}",
    });
    Entity { component: "binary_sensor", name: "occupancy", config, needs_camera: true }
}

fn faces(topics: &Topics, camera: &str) -> Entity {
    let config = json!({
        "name": "Faces",
        "icon": "mdi:account-multiple",
        "state_class": "measurement",
        "unit_of_measurement": "faces",
        "state_topic": topics.faces(camera),
    });
    Entity { component: "sensor", name: "faces", config, needs_camera: true }
}

fn status(topics: &Topics, camera: &str) -> Entity {
    let all = [CameraStatus::Online, CameraStatus::Stalled, CameraStatus::Offline, CameraStatus::Disabled];
    let config = json!({
        "name": "Status",
        "device_class": "enum",
        "options": all.map(CameraStatus::name),
        "entity_category": "diagnostic",
        "state_topic": topics.camera_status(camera),
    });
    Entity { component: "sensor", name: "status", config, needs_camera: false }
}

fn face(topics: &Topics, camera: &str) -> Entity {
    let config = json!({
        "name": "Face",
        "icon": "mdi:face-recognition",
        "event_types": ["started", "identified", "revised", "retracted", "updated", "ended", "face_seen"],
        "state_topic": topics.events(camera),
        "value_template": "{{ {'event_type': value_json.type, 'track': value_json.track, 'score': value_json.score, \
                           'zones': value_json.zones, 'person': value_json.identity.person} | to_json }}",
    });
    Entity { component: "event", name: "face", config, needs_camera: false }
}

/// The newest best shot, whichever track's it is.
fn snapshot(topics: &Topics, camera: &str) -> Entity {
    let config = json!({
        "name": "Snapshot",
        "content_type": "image/jpeg",
        "image_topic": topics.snapshot(camera, "+"),
    });
    Entity { component: "image", name: "snapshot", config, needs_camera: false }
}

fn toggle(topics: &Topics, camera: &str, switch: Switch) -> Option<Entity> {
    let line = SWITCHES.iter().find(|line| line.switch == switch)?;
    let config = json!({
        "name": line.label,
        "icon": line.icon,
        "command_topic": topics.switch_set(camera, line.name),
        "state_topic": topics.switch_state(camera, line.name),
        "payload_on": ON_OFF[0],
        "payload_off": ON_OFF[1],
    });
    Some(Entity { component: "switch", name: line.name, config, needs_camera: false })
}

impl Entity {
    fn finish(self, topics: &Topics, device: &Device<'_>) -> (String, String) {
        let node = format!("{}_{}_{}", topics.id_prefix(), device.kind, device.id);
        let mut availability = vec![json!({ "topic": topics.status() })];
        if self.needs_camera {
            availability.push(json!({
                "topic": topics.camera_status(device.id),
                "value_template": "{{ 'online' if value == 'online' else 'offline' }}",
            }));
        }
        let mut config = self.config;
        config["unique_id"] = format!("{node}_{}", self.name).into();
        config["availability"] = availability.into();
        config["availability_mode"] = "all".into();
        config["device"] = json!({
            "identifiers": [node],
            "name": device.name,
            "manufacturer": "Visor",
            "model": device.model,
            "sw_version": env!("CARGO_PKG_VERSION"),
        });
        config["origin"] = json!({ "name": "Visor", "sw_version": env!("CARGO_PKG_VERSION") });
        (format!("{DISCOVERY}/{}/{node}/{}/config", self.component, self.name), config.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_announced_as_one_device() {
        let found = camera(&Topics::new("visor"), "front", &[Switch::Detect, Switch::Snapshots]);
        let read =
            |payload: &str| serde_json::from_str(&payload.replace(env!("CARGO_PKG_VERSION"), "VERSION")).unwrap();
        let found: Vec<(String, Value)> = found.iter().map(|(topic, payload)| (topic.clone(), read(payload))).collect();
        insta::assert_json_snapshot!(found);
    }

    #[test]
    fn a_person_is_announced_as_one_device() {
        let found = person(&Topics::new("visor"), "alice", "Alice B.");
        let read =
            |payload: &str| serde_json::from_str(&payload.replace(env!("CARGO_PKG_VERSION"), "VERSION")).unwrap();
        let found: Vec<(String, Value)> = found.iter().map(|(topic, payload)| (topic.clone(), read(payload))).collect();
        insta::assert_json_snapshot!(found);
    }

    #[test]
    fn a_prefix_with_a_slash_still_gives_ids_that_home_assistant_takes() {
        let (topic, config) = camera(&Topics::new("home/visor"), "front", &[]).remove(0);
        assert_eq!(topic, "homeassistant/binary_sensor/home_visor_camera_front/occupancy/config");
        assert!(config.contains("\"home/visor/front/faces\""));
    }
}
