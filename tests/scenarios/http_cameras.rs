//! Cameras, what they show and what happens, over HTTP: with curl and ffmpeg.
#![cfg(feature = "media")]

use std::process::Command;

use serde_json::{Value, json};

use super::support::broker::Broker;
use super::support::curl::{curl, curl_json, eventually_json};
use super::support::daemon::{Daemon, detected, models, sample};
use super::support::listener::Listener;
use super::support::recorder::Recorder;
use super::support::wait::eventually;

/// One camera that shows the sample again and again.
fn config(more: &str) -> Option<String> {
    let clip = sample()?;
    Some(format!(
        "{}embedder = \"none\"\n[http]\nlisten = \"127.0.0.1:0\"\nrate = 1000\nburst = 1000\n{more}\n[cameras.front]\n\
         uri = \"file://{}\"\nrepeat = true\n",
        models(),
        clip.display()
    ))
}

fn path(daemon: &Daemon, path: &str) -> String {
    format!("http://{}/api/v1{path}", daemon.address().unwrap())
}

#[test]
fn events_are_streamed_and_none_is_missed_by_who_comes_back() {
    let Some(config) = config("") else { return };
    let daemon = Daemon::start(&config);
    daemon.wait_ready();
    let events = path(&daemon, "/events");
    let listener = Listener::at(&events, &[]);
    let seen: Vec<_> = (0..4).map(|_| listener.event()).collect();
    let seq = |event: &Value| event["boot_seq"].as_u64().unwrap();
    for (id, name, event) in &seen {
        let boot_id = event["boot_id"].as_str().unwrap();
        assert_eq!((id.clone(), name.as_str()), (format!("{boot_id}:{}", seq(event)), event["type"].as_str().unwrap()));
    }
    drop(listener);

    let back = Listener::at(&events, &[&format!("Last-Event-ID: {}", seen[1].0)]);
    let (last, next) = (seq(&seen[1].2), seq(&back.event().2));
    assert_eq!(next, last + 1, "what came after the last one that was seen");
    let restarted = Listener::at(&format!("{events}?last_event_id=another-boot:7"), &[]);
    let (_, name, lost) = restarted.event();
    assert_eq!((name.as_str(), &lost), ("lost", &json!({ "type": "lost", "count": null, "reason": "restarted" })));
    assert_eq!(seq(&restarted.event().2), 1);
    let ended = Listener::at(&format!("{events}?type=ended&camera=front&last_event_id=another-boot:7"), &[]);
    assert_eq!(ended.event().1, "lost");
    (0..2).for_each(|_| assert_eq!(ended.event().1, "ended"));
    for (query, what) in [
        ("type=begun", "is none of started"),
        ("cameras=front", "unknown field"),
        ("last_event_id=7", "boot_id:boot_seq"),
    ] {
        let refused = curl(&daemon, "GET", &format!("/events?{query}"), &[]);
        assert_eq!(refused.status, 400);
        assert!(refused.json["detail"].as_str().unwrap().contains(what), "{}", refused.json);
    }
    assert!(daemon.stop().success());
    assert!(back.ended(), "the stream has an end that curl finds in order");
}

/// The faces that the program itself finds in a picture.
fn faces(picture: &std::path::Path) -> usize {
    detected(picture).iter().filter(|score| **score > 0.8).count()
}

#[test]
fn what_a_camera_shows_is_masked_and_read_by_ffmpeg() {
    let Some(config) = config("") else { return };
    let daemon = Daemon::start(&config);
    daemon.wait_ready();
    let file = daemon.dir.path().join("snapshot.jpg");
    let address = path(&daemon, "/cameras/front/snapshot.jpg");
    eventually("a snapshot with people in it", || {
        let faces = curl(&daemon, "GET", "/cameras/front", &[]).json["faces"].as_u64().unwrap();
        let got = Command::new("curl").args(["-sf", "-o"]).arg(&file).arg(&address).status().unwrap();
        let shows = |file| std::fs::metadata(file).is_ok_and(|data| data.len() > 60_000);
        (faces > 0 && got.success() && shows(&file)).then_some(())
    });
    assert_eq!(faces(&file), 0, "a face in a snapshot of a masked camera");

    let frames = daemon.dir.path().join("live-%d.png");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "mpjpeg", "-i", &path(&daemon, "/cameras/front/live.mjpeg"), "-frames:v", "3"]);
    let read = command.arg(&frames).output();
    let Ok(read) = read else { return eprintln!("skipped: ffmpeg is not installed (apt install ffmpeg)") };
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    for number in 1..=3 {
        assert_eq!(faces(&daemon.dir.path().join(format!("live-{number}.png"))), 0, "a face in frame {number}");
    }
    eventually("nobody to look any more", || (daemon.metric("visor_preview_clients", &["front"]) == 0.0).then_some(()));
    assert_eq!(daemon.metric("visor_mask_unproven_frames_total", &[]), 0.0);
}

#[test]
fn cameras_come_change_and_go_while_the_daemon_runs() {
    let Some(config) = config("") else { return };
    let daemon = Daemon::start(&config);
    daemon.wait_ready();
    let made = curl_json(&daemon, "PUT", "/cameras/yard", &json!({ "uri": "test:", "analysis_fps": 5 }));
    assert_eq!((made.status, &made.json["settings"]["origin"]), (201, &json!("http")), "{}", made.json);
    daemon.wait_for_frames("yard", 2.0);
    let changed = curl_json(&daemon, "PUT", "/cameras/yard", &json!({ "uri": "test:", "analysis_fps": 3 }));
    assert_eq!((changed.status, &changed.json["settings"]["analysis_fps"]), (200, &json!(3.0)), "{}", changed.json);
    let wrong = curl_json(&daemon, "PUT", "/cameras/hall", &json!({ "url": "test:", "analysis_fps": 0 }));
    let told = wrong.json["detail"].as_str().unwrap();
    assert!(
        wrong.status == 422
            && ["did you mean uri?", "uri: is missing", "analysis_fps: "].iter().all(|w| told.contains(w)),
        "{told}"
    );
    for (table, what) in [
        (json!({ "uri": "test:", "password_file": "/etc/passwd" }), "names a file of this machine"),
        (json!(["test:"]), "must be a camera's table"),
    ] {
        let refused = curl_json(&daemon, "PUT", "/cameras/hall", &table);
        assert!(refused.status == 422 && refused.json["detail"].as_str().unwrap().contains(what), "{}", refused.json);
    }
    let named = curl_json(&daemon, "PUT", "/cameras/front", &json!({ "uri": "test:" }));
    assert!(named.status == 409 && named.json["detail"].as_str().unwrap().contains("configuration's file"));
    assert_eq!(curl(&daemon, "DELETE", "/cameras/front", &[]).status, 409);

    let off = curl_json(&daemon, "POST", "/cameras/yard/switches/detect", &json!({ "on": false }));
    assert_eq!((off.status, &off.json), (200, &json!({ "switch": "detect", "on": false })));
    assert_eq!(curl_json(&daemon, "POST", "/cameras/yard/switches/mask", &json!({ "on": false })).status, 404);
    daemon.reload(&config);
    daemon.wait_for_log("configuration reloaded", |entry| entry["changes"] == "nothing");
    let yard = eventually_json(&daemon, "/cameras/yard", |yard| yard["status"] == "online");
    assert_eq!(yard["switches"]["detect"], json!(false), "{yard}");

    let watcher = Listener::at(&path(&daemon, "/cameras/yard/live.mjpeg"), &[]);
    eventually("somebody to look", || (daemon.metric("visor_preview_clients", &["yard"]) == 1.0).then_some(()));
    assert_eq!(curl(&daemon, "DELETE", "/cameras/yard", &[]).status, 204);
    assert!(watcher.ended(), "the stream of a camera that is gone has an end");
    for gone in ["/cameras/yard", "/cameras/yard/snapshot.jpg", "/cameras/yard/live.mjpeg"] {
        assert_eq!(curl(&daemon, "GET", gone, &[]).status, 404);
    }
    let items = curl(&daemon, "GET", "/cameras", &[]).json["items"].clone();
    assert_eq!(items.as_array().unwrap().iter().map(|camera| &camera["id"]).collect::<Vec<_>>(), ["front"]);
}

#[test]
fn a_camera_is_tried_and_nobody_hears_of_it() {
    let Some(broker) = Broker::open() else { return };
    let mqtt = format!("[mqtt]\nurl = \"{}\"\n", broker.url());
    let daemon = Daemon::start(&format!("{}embedder = \"none\"\n{mqtt}[cameras.front]\nuri = \"test:\"\n", models()));
    daemon.wait_ready();
    let recorder = Recorder::at(broker.port);
    recorder.wait_for("visor/front/status", "online");
    let tried = |id: &str, uri: &str| curl_json(&daemon, "POST", &format!("/cameras/{id}/try"), &json!({ "uri": uri }));

    let works = tried("yard", "test:ball?size=320x240&fps=20");
    assert_eq!((works.status, &works.json["works"], &works.json["reason"]), (200, &json!(true), &Value::Null));
    assert_eq!((&works.json["width"], &works.json["height"]), (&json!(320), &json!(240)), "{}", works.json);
    let lost = tried("yard", "rtsp://viewer:hunter2@127.0.0.1:1/live");
    assert_eq!((lost.status, &lost.json["works"], &lost.json["width"]), (200, &json!(false), &Value::Null));
    assert!(!lost.json["reason"].as_str().unwrap().is_empty() && !lost.json.to_string().contains("hunter2"));
    for (id, uri, status) in [("yard", "nonsense", 422), ("Yard 2", "test:", 422), ("front", "test:", 409)] {
        let refused = tried(&id.replace(' ', "%20"), uri);
        assert_eq!(refused.status, status, "{id} {uri}: {}", refused.json);
    }

    let cameras = curl(&daemon, "GET", "/cameras", &[]).json;
    assert_eq!(cameras["items"].as_array().unwrap().len(), 1, "{cameras}");
    let topics: Vec<String> = recorder.messages().into_iter().map(|message| message.topic).collect();
    assert!(!topics.iter().any(|topic| topic.contains("yard")), "{topics:?}");
}
