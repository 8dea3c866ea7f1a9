//! The main job: a camera over real RTSP, faces found and followed, events at a real broker.
#![cfg(feature = "media")]

use std::collections::BTreeSet;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use visor::restream::child::SimulatedCamera;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample, visor};
use super::support::recorder::Recorder;
use super::support::wait::eventually;

/// Every field of the contract, nested ones with a dot.
const FIELDS: &str = "schema type boot_id seq boot_seq camera track captured_at clock published_at box box.x box.y \
     box.w box.h score quality zones identity identity.status identity.person identity.name identity.alias \
     identity.score identity.margin identity.reason first_seen last_seen latency_ms latency_ms.decode \
     latency_ms.detect latency_ms.track latency_ms.recognise latency_ms.total models models.detector models.embedder";

fn fields(event: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, value) in event.as_object().unwrap() {
        names.insert(name.clone());
        for inner in value.as_object().into_iter().flatten() {
            names.insert(format!("{name}.{}", inner.0));
        }
    }
    names
}

fn camera(clip: &std::path::Path, name: &str) -> (SimulatedCamera, String) {
    let camera = SimulatedCamera::start(visor(), &["--mount", &format!("{name}={}", clip.display())]).unwrap();
    let url = camera.url(name).unwrap().to_owned();
    (camera, url)
}

fn config(broker: &Broker, cameras: &[(&str, &str)]) -> String {
    let mut text = format!("{}[mqtt]\nurl = \"{}\"\n", models(), broker.url());
    for (id, url) in cameras {
        text += &format!("[cameras.{id}]\nuri = \"{url}\"\n");
    }
    text
}

#[test]
fn faces_before_a_camera_reach_the_broker() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let (_camera, url) = camera(&clip, "front");
    let daemon = Daemon::start(&config(&broker, &[("front", &url)]));
    daemon.wait_ready();
    recorder.wait_for("visor/front/status", "online");
    let wanted: BTreeSet<String> = FIELDS.split_whitespace().map(str::to_owned).collect();
    for kind in ["started", "updated", "ended"] {
        let event = recorder.wait_for_json("visor/front/events", |event| event["type"] == kind);
        assert_eq!(fields(&event), wanted, "{kind}");
        let off = event["identity"]["reason"] == "recognition_off";
        assert_eq!(event["models"]["embedder"].is_null(), off, "{event}");
        assert!(!off || event["identity"]["status"] == "undecided", "{event}");
        assert!(event["latency_ms"]["total"].as_f64().is_none_or(|ms| ms > 0.0));
    }
    assert!(daemon.metric("visor_frames_captured_total", &["front"]) > 0.0);
    assert_eq!(daemon.metric("visor_camera_up", &["front"]), 1.0);

    let stopping = Instant::now();
    assert!(daemon.stop().success());
    assert!(stopping.elapsed().as_secs_f64() < 5.0, "orderly within five seconds");
    recorder.wait_for("visor/status", "offline");
    let seqs = recorder.seqs("front");
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "a hole, or something twice");
    let events: Vec<Value> =
        recorder.on("visor/front/events").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let tracks = |kind: &str| {
        let of_kind = events.iter().filter(|event| event["type"] == kind);
        of_kind.map(|event| event["track"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(tracks("started"), tracks("ended"), "what has started has ended when the daemon has");
}

#[test]
fn a_second_signal_ends_it_at_once_and_a_hangup_reloads() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    let (_camera, url) = camera(&clip, "front");
    let mut daemon = Daemon::start(&config(&broker, &[("front", &url)]));
    daemon.wait_ready();
    daemon.wait_for_frames("front", 3.0);

    daemon.reload("[cameras.front]\nuri = \"nonsense\"\n[cameras.BACK]\nurl = \"x\"\n");
    let refused = daemon.wait_for_log("configuration not reloaded; everything goes on as it was", |_| true);
    let told = refused["error"].as_str().unwrap();
    for key in ["cameras.front.uri", "cameras.BACK"] {
        assert!(told.contains(key), "{key} is not named in {told}");
    }
    daemon.wait_for_frames("front", 3.0);

    daemon.reload(&config(&broker, &[("front", &url), ("back", &url)]));
    daemon.wait_for_log("configuration reloaded", |_| true);
    daemon.wait_for_frames("back", 3.0);
    assert_eq!(daemon.children().len(), 2);

    daemon.reload(&config(&broker, &[("back", &url)]));
    eventually("the first camera's child to go", || (daemon.children().len() == 1).then_some(()));
    daemon.wait_for_frames("back", 3.0);

    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    assert!(daemon.wait().success());
}

#[test]
fn what_a_second_signal_leaves_undelivered_is_told() {
    let (Some(clip), Some(broker)) = (sample(), Broker::absent()) else { return };
    let (_camera, url) = camera(&clip, "front");
    let mut daemon = Daemon::start(&config(&broker, &[("front", &url)]));
    eventually("an event", || {
        let (_, session) = daemon.get("/api/v1/session")?;
        let session: Value = serde_json::from_str(&session).ok()?;
        (session["newest_event"].as_u64()? > 0).then_some(())
    });
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    assert!(daemon.wait().success());
    let lost = daemon.wait_for_log("events lost: the broker did not take them before the end", |_| true);
    assert!(lost["events"].as_u64() > Some(0), "{lost}");
}

#[test]
fn detection_is_switched_over_mqtt() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let (_camera, url) = camera(&clip, "front");
    let daemon = Daemon::start(&config(&broker, &[("front", &url)]));
    recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    recorder.publish("visor/front/detect/set", false, "OFF");
    recorder.wait_for("visor/front/detect/state", "OFF");
    // What was followed ends at once; then nothing is analysed although frames come.
    recorder.wait_for("visor/front/faces", "0");
    let captured = || daemon.metric("visor_frames_captured_total", &["front"]);
    let (analysed, before) = (daemon.analysed("front"), captured());
    eventually("frames to come on", || (captured() > before + 20.0).then_some(()));
    assert!(daemon.analysed("front") <= analysed + 1.0, "frames are analysed although detection is off");
    recorder.publish("visor/front/detect/set", false, "ON");
    daemon.wait_for_frames("front", 3.0);
}

#[test]
fn another_model_looks_between_two_frames_and_the_camera_stays() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let (_camera, url) = camera(&clip, "front");
    let with_models = |models: &str| {
        format!("{models}{}", config(&broker, &[("front", &url)]).replacen(super::support::daemon::models(), "", 1))
    };
    let daemon = Daemon::start(&with_models(models()));
    recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    let children = daemon.children();
    let other = match models().contains("input") {
        true => models().replace("320x192", "256x160"),
        false => format!("{}input = \"320x192\"\n", models()),
    };
    daemon.reload(&with_models(&other));
    daemon.wait_for_log("configuration reloaded", |_| true);
    daemon.wait_for_frames("front", 5.0);
    assert_eq!(daemon.children(), children, "the capture child was replaced");
    assert_eq!(daemon.metric("visor_camera_restarts_total", &["front"]), 0.0);
    // What was followed with the old model has ended; the new one finds faces too.
    let boundary = recorder.on("visor/front/events").len();
    eventually("a face that the new model finds", || {
        recorder.on("visor/front/events").iter().skip(boundary).any(|event| event.contains("\"started\"")).then_some(())
    });
    assert!(daemon.stop().success());
}
