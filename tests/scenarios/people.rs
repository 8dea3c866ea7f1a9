//! Recognition in a whole daemon: enrolled over MQTT, named, seen by two cameras, forgotten, and nothing of a face let out.
#![cfg(feature = "media")]

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use visor::restream::child::SimulatedCamera;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample, sample_people, visor};
use super::support::recorder::Recorder;
use super::support::scene::Flow;
use super::support::wait::eventually;

const PERSON: &str = "visor/people/robin/presence";
const ENROLL: &str = "visor/people/robin/enroll";
const FORGET: &str = "visor/people/robin/forget";

/// The clip shows the person once in 28 seconds.
const ROUND: Duration = Duration::from_secs(60);

/// The sample clip at each of `mounts`.
fn cameras(mounts: &[&str]) -> SimulatedCamera {
    let clip = sample().unwrap();
    let mounts: Vec<String> = mounts.iter().map(|mount| format!("{mount}={}", clip.display())).collect();
    let args: Vec<&str> = mounts.iter().flat_map(|mount| ["--mount", mount]).collect();
    SimulatedCamera::start(visor(), &args).unwrap()
}

fn config(broker: &Broker, cameras: &SimulatedCamera, mounts: &[&str], rest: &str) -> String {
    let entry = |mount: &&str| format!("[cameras.{mount}]\nuri = \"{}\"\n", cameras.url(mount).unwrap());
    let cameras: String = mounts.iter().map(entry).collect();
    format!("{}{rest}[log]\nevents = true\n[mqtt]\nurl = \"{}\"\n{cameras}", models(), broker.url())
}

fn portrait(people: &Path) -> Vec<u8> {
    std::fs::read(people.join("Robin/portrait.jpg")).unwrap()
}

/// Waits until a picture can be enrolled, and enrols it.
fn enrol(recorder: &Recorder, topic: &str, picture: &[u8]) -> Value {
    let result = format!("{topic}/result");
    // The subscription comes before the word that it is online.
    recorder.wait_for("visor/status", "online");
    let mut sent = recorder.on(&result).len();
    eventually("an enrolment", || {
        sent += 1;
        recorder.send(topic, picture.to_vec());
        let answer: Value = serde_json::from_str(&recorder.wait_for_count(&result, sent)).unwrap();
        (answer["reason"] != "recognition_off").then_some(answer)
    })
}

fn is(event: &Value, kind: &str, person: &str) -> bool {
    event["type"] == kind && event["identity"]["person"] == person
}

/// Whether a list of many numbers, such as an embedding, is anywhere in `value`.
fn holds_numbers(value: &Value) -> bool {
    match value {
        Value::Array(items) => {
            (items.len() > 16 && items.iter().all(Value::is_number)) || items.iter().any(holds_numbers)
        }
        Value::Object(map) => map.values().any(holds_numbers),
        _ => false,
    }
}

#[test]
fn who_is_enrolled_is_named_and_who_is_forgotten_is_not() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let cameras = cameras(&["front", "back"]);
    let daemon = Daemon::start(&config(&broker, &cameras, &["front", "back"], ""));
    let answer = enrol(&recorder, ENROLL, &portrait(&people));
    assert_eq!((&answer["ok"], &answer["added"], &answer["person"]), (&true.into(), &1.into(), &"robin".into()));

    let identified = recorder.wait_for_json("visor/front/events", |event| is(event, "identified", "robin"));
    assert_eq!(identified["identity"]["status"], "known");
    assert!(identified["identity"]["score"].as_f64().unwrap() > 0.3 && identified["quality"].is_number());
    assert!(identified["models"]["embedder"].is_string() && identified["latency_ms"]["recognise"].is_number());
    recorder.wait_for_json("visor/back/events", |event| is(event, "identified", "robin"));
    let presence = recorder.wait_for_json(PERSON, |presence| presence["present"] == true);
    let keys: Vec<&String> = presence.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["camera", "last_seen", "present", "since"]);
    let device = "homeassistant/binary_sensor/visor_person_robin/presence/config";
    recorder.wait_for_json(device, |config| config["unique_id"] == "visor_person_robin_presence");
    // The same picture again says nothing new.
    assert_eq!(enrol(&recorder, ENROLL, &portrait(&people))["duplicates"], 1);

    // Forgotten while in sight: right after the next time that the name is given.
    // A track that goes over from one scene of the clip to the next is given it by `revised`.
    let gives = |text: &String| {
        let event: Value = serde_json::from_str(text).unwrap();
        is(&event, "identified", "robin") || is(&event, "revised", "robin")
    };
    let named = || recorder.on("visor/front/events").iter().filter(|text| gives(text)).count();
    let before = named();
    let deadline = Instant::now() + ROUND;
    while named() == before {
        assert!(Instant::now() < deadline, "the person did not come back within a round of the clip");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let asked: Timestamp = Timestamp::now();
    recorder.publish(FORGET, false, "");
    let answer = recorder.wait_for_json(&format!("{FORGET}/result"), |answer| answer["ok"] == true);
    assert_eq!(answer["person"], "robin");
    recorder.wait_for(PERSON, "");
    recorder.wait_for(device, "");
    recorder.wait_for_json("visor/front/events", |event| event["type"] == "retracted");
    daemon.wait_for_frames("front", 30.0);
    for camera in ["front", "back"] {
        for text in recorder.on(&format!("visor/{camera}/events")) {
            let event: Value = serde_json::from_str(&text).unwrap();
            let published: Timestamp = event["published_at"].as_str().unwrap().parse().unwrap();
            let late = published > asked + Duration::from_secs(1);
            assert!(!(late && event["identity"]["person"] == "robin"), "{text}");
        }
    }

    let (_, metrics) = daemon.get("/metrics").unwrap();
    assert!(metrics.contains("visor_gallery_faces") && metrics.contains("visor_identities_total{"), "{metrics}");
    assert!(metrics.contains("stage=\"recognise\""), "{metrics}");
    let values = recorder.messages().into_iter().filter_map(|m| serde_json::from_str(&m.payload).ok());
    assert!(!values.chain(daemon.log()).any(|value| holds_numbers(&value)), "an embedding was let out");
    assert!(daemon.stop().success());
}

#[test]
fn presence_is_over_when_the_last_track_has_been_gone_for_a_while() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let cameras = cameras(&["front"]);
    let gallery = format!("[gallery]\nfolder = \"{}\"\nabsent_after = \"0s\"\n", people.display());
    let daemon = Daemon::start(&config(&broker, &cameras, &["front"], &gallery));
    recorder.wait_for_json(PERSON, |presence| presence["present"] == false && presence["since"].is_null());
    recorder.wait_for_json(PERSON, |presence| presence["present"] == true && presence["camera"] == "front");
    let gone = |presence: &Value| presence["present"] == false && presence["last_seen"].is_string();
    let presence = recorder.wait_for_json(PERSON, gone);
    assert_eq!(presence["since"], presence["last_seen"]);
    assert!(daemon.stop().success());
}

#[test]
fn the_switch_takes_names_back_and_gives_them_again() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let cameras = cameras(&["front"]);
    let gallery = format!("[gallery]\nfolder = \"{}\"\n", people.display());
    let daemon = Daemon::start(&config(&broker, &cameras, &["front"], &gallery));
    recorder.wait_for_json("visor/front/events", |event| is(event, "identified", "robin"));
    recorder.publish("visor/front/recognise/set", false, "OFF");
    recorder.wait_for("visor/front/recognise/state", "OFF");
    let off = |event: &Value| event["identity"]["reason"] == "recognition_off" && event["models"]["embedder"].is_null();
    recorder.wait_for_json("visor/front/events", off);
    let names = |events: &[String]| events.iter().filter(|text| text.contains("\"type\":\"identified\"")).count();
    let before = names(&recorder.on("visor/front/events"));
    recorder.publish("visor/front/recognise/set", false, "ON");
    eventually("a name again", || (names(&recorder.on("visor/front/events")) > before).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
fn ten_enrolments_a_second_hold_up_no_camera() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let mounts = ["a", "b", "c"];
    let cameras = cameras(&mounts);
    let daemon = Daemon::start(&config(&broker, &cameras, &mounts, ""));
    let picture = portrait(&people);
    enrol(&recorder, "visor/people/p0/enroll", &picture);
    let flows = mounts.map(|mount| Flow::of(&daemon, mount));
    let pause = std::sync::Mutex::new(());
    let (turn, held) = (std::sync::Condvar::new(), pause.lock().unwrap());
    let mut held = held;
    for n in 1..=50 {
        recorder.send(&format!("visor/people/p{n}/enroll"), picture.clone());
        held = turn.wait_timeout(held, Duration::from_millis(100)).unwrap().0;
    }
    let answered = |n: usize| !recorder.on(&format!("visor/people/p{n}/enroll/result")).is_empty();
    eventually("an answer to each", || (1..=50).all(answered).then_some(()));
    let enrolled = (1..=50).filter(|n| {
        let answer = recorder.on(&format!("visor/people/p{n}/enroll/result"));
        answer.last().is_some_and(|text| text.contains("\"ok\":true"))
    });
    let enrolled = enrolled.count();
    println!("{enrolled} of 50 pictures enrolled while three cameras run");
    assert!(enrolled >= 40, "only {enrolled} of 50 were taken in; the others were told to try again");
    flows.into_iter().for_each(Flow::check);
    assert!(daemon.stop().success());
}

#[test]
fn a_prefix_that_is_given_up_is_left_clean() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let gallery = format!("[gallery]\nfolder = \"{}\"\n", people.display());
    let with = |prefix: &str| {
        let mqtt = format!("[mqtt]\nurl = \"{}\"\nprefix = \"{prefix}\"\n", broker.url());
        format!("{}{gallery}{mqtt}[cameras.front]\nuri = \"test:\"\nanalysis_fps = 2\n", models())
    };
    let daemon = Daemon::start(&with("visor"));
    recorder.wait_for_json(PERSON, |presence| presence["present"] == false);
    recorder.wait_for("visor/front/status", "online");
    daemon.reload(&with("house"));
    recorder.wait_for("house/front/status", "online");
    recorder.wait_for_json("house/people/robin/presence", |presence| presence["present"] == false);
    let of_visor = |topic: &String| topic.starts_with("visor/") || topic.contains("/visor_");
    eventually("nothing retained below the old prefix", || {
        (!Recorder::at(broker.port).standing().keys().any(of_visor)).then_some(())
    });
    // Without a broker from now on: nothing at all stays.
    let without = with("house").replace(&format!("[mqtt]\nurl = \"{}\"\nprefix = \"house\"\n", broker.url()), "");
    daemon.reload(&without);
    eventually("nothing retained at all", || {
        let standing = Recorder::at(broker.port).standing();
        (!standing.keys().any(|topic| !topic.starts_with("$SYS"))).then_some(())
    });
    assert!(daemon.stop().success());
}
