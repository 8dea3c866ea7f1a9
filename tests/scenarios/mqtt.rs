//! What a subscriber sees of a healthy daemon: topics, retained flags, discovery, switches, first and last words.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use visor::sink::{CameraStatus, Hub, Settings, Switch, mqtt};
use visor::units::Period;

use crate::support::broker::Broker;
use crate::support::faces::Camera;
use crate::support::recorder::Recorder;
use crate::support::wait::eventually;

/// A hub without any sink but MQTT, which starts with `change` made to the defaults.
pub fn hub(url: &str, change: impl FnOnce(&mut mqtt::Config)) -> Hub {
    let hub = Hub::new();
    connect(&hub, url, change);
    hub
}

/// Gives `hub` an MQTT sink.
pub fn connect(hub: &Hub, url: &str, change: impl FnOnce(&mut mqtt::Config)) {
    hub.open(&settings(url, change)).unwrap();
}

/// The defaults at `url` with `change` made to them.
pub fn settings(url: &str, change: impl FnOnce(&mut mqtt::Config)) -> Settings {
    let mut config = mqtt::Config { url: url.into(), ..mqtt::Config::default() };
    change(&mut config);
    let mqtt = config.resolve(None).unwrap_or_else(|problems| panic!("{problems:?}"));
    Settings { mqtt: Some(mqtt), ..Settings::default() }
}

/// Closes `hub` with plenty of time.
pub fn close(hub: &Hub) {
    hub.close(Instant::now() + Duration::from_secs(5));
}

#[test]
fn topics_and_their_flags_are_as_promised() {
    let Some(broker) = Broker::open() else { return };
    let live = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |_| {});
    let mut front = Camera::new(&hub, "front");
    front.publish(1);
    live.wait_for_seq("front", 1);
    live.wait_for("visor/front/faces", "1");
    live.wait_for("visor/front/status", "online");
    live.wait_for_json("visor/stats", |stats| stats["events_lost_total"] == 0);
    let late = Recorder::at(broker.port);
    for recorder in [&live, &late] {
        recorder.wait_for("visor/front/detect/state", "ON");
        recorder.wait_for("visor/front/faces", "1");
        let announcements = || recorder.said().iter().filter(|m| m.topic.starts_with("homeassistant/")).count();
        eventually("five announcements", || (announcements() == 5).then_some(()));
    }
    let topics = |recorder: &Recorder| {
        let described =
            |m: &crate::support::recorder::Message| format!("{} qos {} retained {}", m.topic, m.qos, m.retain);
        recorder.said().iter().map(described).collect::<BTreeSet<String>>()
    };
    insta::assert_debug_snapshot!("topics_live", topics(&live));
    insta::assert_debug_snapshot!("topics_late", topics(&late));
    close(&hub);
}

#[test]
fn last_words_are_offline_on_every_status() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |_| {});
    let mut front = Camera::new(&hub, "front");
    recorder.wait_for("visor/status", "online");
    front.publish(500);
    close(&hub);
    recorder.wait_for("visor/status", "offline");
    recorder.wait_for("visor/front/status", "offline");
    assert_eq!(recorder.seqs("front"), (1..=500).collect::<Vec<u64>>());
}

#[test]
fn a_will_that_comes_late_is_contradicted() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |_| {});
    recorder.wait_for("visor/status", "online");
    recorder.publish("visor/status", true, "offline");
    eventually("online after offline", || {
        (recorder.on("visor/status") == ["online", "offline", "online"]).then_some(())
    });
    close(&hub);
}

#[test]
fn switches_go_round() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |_| {});
    hub.add_camera("front", &[(Switch::Detect, true)]);
    recorder.wait_for("visor/front/detect/state", "ON");
    for refused in ["visor/front/coffee/set", "visor/back/detect/set"] {
        recorder.publish(refused, false, "OFF");
    }
    recorder.publish("visor/front/detect/set", false, "perhaps");
    recorder.publish("visor/front/detect/set", false, "OFF");
    let wishes = hub.switches();
    wishes.bell().recv_timeout(Duration::from_secs(20)).unwrap();
    let [command] = &wishes.take()[..] else { panic!("one wish is for a switch that there is") };
    assert_eq!((&*command.camera, command.switch, command.on), ("front", Switch::Detect, false));
    hub.switch(&command.camera, command.switch, command.on);
    recorder.wait_for("visor/front/detect/state", "OFF");
    close(&hub);
}

#[test]
fn a_retained_wish_for_a_switch_is_ignored() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    recorder.publish("visor/front/detect/set", true, "OFF");
    recorder.wait_for("visor/front/detect/set", "OFF");
    let hub = Hub::new();
    hub.add_camera("front", &[(Switch::Detect, false)]);
    connect(&hub, &broker.url(), |_| {});
    recorder.wait_for("visor/front/detect/state", "OFF");
    eventually("the daemon to listen", || {
        recorder.publish("visor/front/detect/set", false, "ON");
        hub.switches().bell().recv_timeout(Duration::from_millis(100)).ok()?;
        assert!(hub.switches().take().iter().all(|command| command.on), "the retained wish was obeyed");
        Some(())
    });
    close(&hub);
}

#[test]
fn discovery_is_valid_and_ids_are_unique() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |config| config.prefix = "home/visor".to_owned());
    hub.add_camera("front", &[(Switch::Detect, true)]);
    hub.add_camera("back", &[]);
    let configs = || recorder.said().into_iter().filter(|m| m.topic.starts_with("homeassistant/"));
    eventually("announcements of both cameras", || (configs().count() == 9).then_some(()));
    let mut ids = BTreeSet::new();
    for message in configs() {
        let config: Value = serde_json::from_str(&message.payload).unwrap();
        let id = config["unique_id"].as_str().unwrap();
        assert!(id.starts_with("home_visor_camera_"), "{id}");
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(
            message
                .topic
                .split('/')
                .skip(1)
                .all(|level| !level.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-'))
        );
    }
    close(&hub);
}

#[test]
fn home_assistant_hears_everything_again_at_its_birth() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |_| {});
    hub.add_camera("front", &[]);
    let topic = "homeassistant/sensor/visor_camera_front/status/config";
    eventually("an announcement", || (recorder.on(topic).len() == 1).then_some(()));
    recorder.publish("homeassistant/status", false, "online");
    eventually("the announcement again", || (recorder.on(topic).len() == 2).then_some(()));
    close(&hub);
}

#[test]
fn a_removed_camera_leaves_nothing_retained() {
    let Some(broker) = Broker::open() else { return };
    let hub = hub(&broker.url(), |_| {});
    let recorder = Recorder::at(broker.port);
    hub.add_camera("front", &[(Switch::Detect, true)]);
    hub.add_camera("back", &[(Switch::Detect, true)]);
    recorder.wait_for("visor/back/detect/state", "ON");
    hub.remove_camera("back");
    hub.camera_status("back", CameraStatus::Stalled, "the last words of its thread");
    let of_back = |recorder: &Recorder| recorder.standing().into_keys().filter(|t| t.contains("back")).count();
    eventually("the topics of back to go", || (of_back(&recorder) == 0).then_some(()));
    let late = Recorder::at(broker.port);
    late.wait_for("visor/front/status", "offline");
    assert_eq!(of_back(&late), 0, "{:?}", late.standing());
    close(&hub);
}

#[test]
fn a_camera_of_an_earlier_run_is_cleared_away() {
    let Some(broker) = Broker::open() else { return };
    let earlier = hub(&broker.url(), |_| {});
    earlier.add_camera("old", &[(Switch::Detect, true)]);
    let recorder = Recorder::at(broker.port);
    recorder.wait_for("visor/old/detect/state", "ON");
    close(&earlier);
    let now = hub(&broker.url(), |config| config.stats_interval = Period::secs(1));
    now.add_camera("front", &[]);
    recorder.wait_for("visor/old/status", "");
    eventually("the topics of old to go", || {
        (!recorder.standing().into_keys().any(|topic| topic.contains("old"))).then_some(())
    });
    recorder.wait_for("visor/front/status", "offline");
    close(&now);
}
