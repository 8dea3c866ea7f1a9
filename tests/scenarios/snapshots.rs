//! Best shots over MQTT: masked unless the configuration says otherwise, never what lies in a privacy zone.
#![cfg(feature = "media")]

use serde_json::json;

use super::support::broker::Broker;
use super::support::curl::{curl, curl_json};
use super::support::daemon::{Daemon, detected, models, sample_people};
use super::support::recorder::Recorder;
use super::support::scene;
use super::support::wait::eventually;

/// The first picture of a track of `camera`, with its track.
fn snapshot(recorder: &Recorder, camera: &str) -> (String, Vec<u8>) {
    let topic = format!("visor/{camera}/snapshot/");
    eventually(&format!("a snapshot of {camera}"), || {
        let message = recorder.messages().into_iter().find(|message| message.topic.starts_with(&topic))?;
        assert!(!message.retain);
        Some((message.topic[topic.len()..].to_owned(), message.bytes))
    })
}

/// Faces that the detector finds in a JPEG.
fn faces(jpeg: &[u8]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shot.jpg");
    std::fs::write(&file, jpeg).unwrap();
    detected(&file).len()
}

#[test]
fn best_shots_are_masked_unless_the_configuration_says_otherwise() {
    let (Some(camera), Some(broker)) = (scene::faces(&[]), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let uri = camera.url("front").unwrap();
    let everything = "privacy_zones = [{ name = \"all\", polygon = [[0, 0], [1, 0], [1, 1], [0, 1]] }]";
    let entry = |id: &str, rest: &str| format!("[cameras.{id}]\nuri = \"{uri}\"\nanalysis_fps = 5\n{rest}\n");
    let daemon = Daemon::start(&format!(
        "{}[mqtt]\nurl = \"{}\"\n{}{}{}{}",
        models(),
        broker.url(),
        entry("masked", "snapshots = \"masked\""),
        entry("clear", "snapshots = \"clear\""),
        entry("zone", &format!("snapshots = \"clear\"\n{everything}")),
        entry("none", ""),
    ));
    recorder.wait_for("visor/masked/snapshots/state", "ON");
    for id in ["masked", "clear", "zone"] {
        let (track, jpeg) = snapshot(&recorder, id);
        recorder.wait_for_json(&format!("visor/{id}/events"), |event| event["track"] == track.as_str());
        let picture = image::load_from_memory(&jpeg).unwrap().into_luma8();
        let black = picture.pixels().filter(|pixel| pixel.0[0] < 8).count() as f64 / picture.pixels().len() as f64;
        let found = faces(&jpeg);
        match id {
            "masked" => assert!(found == 0 && (0.05..0.9).contains(&black), "{found} faces, {black} black"),
            "clear" => assert!(found >= 1, "no face"),
            _ => assert!(black > 0.99, "{black}"),
        }
        let labels = format!("camera=\"{id}\"");
        eventually("the count", || (daemon.metric("visor_snapshots_published_total", &[&labels]) >= 1.0).then_some(()));
    }
    let image = recorder.wait_for_json("homeassistant/image/visor_camera_masked/snapshot/config", |_| true);
    assert_eq!(image["image_topic"], "visor/masked/snapshot/+");
    assert!(!recorder.standing().contains_key("homeassistant/image/visor_camera_none/snapshot/config"));
    assert!(daemon.stop().success());
    assert!(!recorder.messages().iter().any(|message| message.topic.starts_with("visor/none/snapshot/")));
}

#[test]
fn a_shot_that_shows_a_face_is_withdrawn_as_masks_go_on() {
    let (Some(people), Some(camera)) = (sample_people(), scene::faces(&[])) else { return };
    let daemon = Daemon::start(&format!(
        "{}[gallery]\nfolder = {people:?}\n[cameras.front]\nuri = \"{}\"\nanalysis_fps = 5\nsnapshots = \"masked\"\n\
         [cameras.front.mask]\nswitchable = true\n",
        models(),
        camera.url("front").unwrap()
    ));
    let switch = |on: bool| curl_json(&daemon, "POST", "/cameras/front/switches/mask", &json!({ "on": on })).status;
    let folder = tempfile::tempdir().unwrap();
    // of any appearance of anybody known: the faces that its best shot shows
    let shown = || {
        let persons = curl(&daemon, "GET", "/persons", &[]).json;
        let ids = persons["items"].as_array()?.iter().filter_map(|person| person["id"].as_str());
        let spans = ids.flat_map(|id| {
            let spans = curl(&daemon, "GET", &format!("/persons/{id}/appearances"), &[]).json;
            spans["items"].as_array().cloned().unwrap_or_default()
        });
        let shots = spans.filter_map(|span| span["best_shot"].as_str().map(str::to_owned));
        let shots: Vec<String> = shots.collect();
        let faces = |shot: &String| {
            let file = folder.path().join("shot.jpg");
            let path = shot.trim_start_matches("/api/v1");
            let answer = curl(&daemon, "GET", path, &["-o", file.to_str().unwrap()]);
            (answer.status == 200).then(|| faces(&std::fs::read(file).unwrap()))
        };
        shots.iter().filter_map(faces).max()
    };
    daemon.wait_ready();
    assert_eq!(switch(false), 200);
    eventually("a best shot with a face", || shown().filter(|faces| *faces > 0));
    assert_eq!(switch(true), 200);
    // and none of those that were under way comes after it
    for _ in 0..5 {
        assert_eq!(shown().unwrap_or(0), 0);
    }
    assert!(daemon.stop().success());
}
