//! Pictures that are no use for an enrolment, and a gallery that has to be made anew.
#![cfg(feature = "media")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::broker::Broker;
use super::support::curl::eventually_json;
use super::support::daemon::{Daemon, checkout, models, sample_people};
use super::support::recorder::Recorder;
use super::support::wait::eventually;

const ENROLL: &str = "visor/people/alice/enroll";
const RESULT: &str = "visor/people/alice/enroll/result";

/// A daemon whose one camera shows nobody, ready for enrolments.
fn daemon(broker: &Broker, rest: &str) -> Daemon {
    let daemon = Daemon::start(&config(broker, rest));
    // The subscription comes before the word that it is online.
    Recorder::at(broker.port).wait_for("visor/status", "online");
    daemon
}

fn config(broker: &Broker, rest: &str) -> String {
    let mqtt = format!("[mqtt]\nurl = \"{}\"\n[cameras.front]\nuri = \"test:\"\nanalysis_fps = 2\n", broker.url());
    format!("{}{rest}{mqtt}", models())
}

/// Answers to pictures, one after the other.
struct Clerk<'a>(&'a Recorder, usize);

impl Clerk<'_> {
    fn enrol(&mut self, picture: Vec<u8>) -> Value {
        self.1 += 1;
        self.0.send(ENROLL, picture);
        serde_json::from_str(&self.0.wait_for_count(RESULT, self.1)).unwrap()
    }

    /// Waits until enrolments are taken.
    fn wait(&mut self) {
        eventually("enrolments to be taken", || {
            (self.enrol(b"nothing".to_vec())["reason"] == "unreadable").then_some(())
        });
    }
}

fn assets(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("VISOR_ASSETS").map(|assets| Path::new(&assets).join(path)).filter(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: there is no {path} in VISOR_ASSETS");
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn a_picture_that_is_no_use_is_refused_with_a_word() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let daemon = daemon(&broker, "");
    let mut clerk = Clerk(&recorder, 0);
    clerk.wait();
    assert_eq!(clerk.enrol(Vec::new())["reason"], "unreadable");
    let crowd = checkout(".cache/photos/package/demo/sample3.jpg");
    if crowd.is_file() {
        assert_eq!(clerk.enrol(std::fs::read(crowd).unwrap())["reason"], "several_faces");
    }
    let portrait = std::fs::read(people.join("Robin/portrait.jpg")).unwrap();
    assert_eq!(clerk.enrol(portrait.clone())["ok"], true);
    recorder.send("visor/people/Not%20An%20Id/enroll", portrait);
    let refused = recorder.wait_for_json("visor/people/Not%20An%20Id/enroll/result", |answer| answer["ok"] == false);
    assert_eq!(refused["reason"], "bad_name");
    recorder.publish("visor/people/nobody/forget", false, "");
    let refused = recorder.wait_for_json("visor/people/nobody/forget/result", |answer| answer["ok"] == false);
    assert_eq!(refused["reason"], "unknown_person");
    assert!(daemon.stop().success());
}

#[test]
fn every_odd_file_gets_an_answer_and_a_huge_picture_is_taken() {
    let (Some(_), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let (Some(odd), Some(huge)) = (assets("media/odd"), assets("media/detect/compreface/001_A.jpg")) else { return };
    let recorder = Recorder::at(broker.port);
    let daemon = daemon(&broker, "");
    let mut clerk = Clerk(&recorder, 0);
    clerk.wait();
    for file in files(&odd) {
        let answer = clerk.enrol(std::fs::read(&file).unwrap());
        let word = answer["reason"].as_str().unwrap_or("taken");
        println!("{}: {word}", file.file_name().unwrap().display());
        assert!(answer["ok"] == true || !word.is_empty(), "{answer}");
    }
    let answer = clerk.enrol(std::fs::read(&huge).unwrap());
    println!("4912x7360: {answer}");
    assert!(answer["ok"].is_boolean(), "{answer}");
    daemon.wait_for_frames("front", 2.0);
    assert_eq!(daemon.metric("visor_mqtt_connected", &[]), 1.0);
    assert!(daemon.stop().success());
}

#[test]
fn another_embedder_reads_the_folder_anew_and_who_was_sent_in_is_told_of() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let file = |name: &str| checkout("models/store").join(name).is_file();
    if !(file("face_reidentification_retail_0095.onnx") && file("dlib_resnet_faceapi.onnx")) {
        eprintln!("skipped: both embedders are needed in models/store (visor models pull)");
        return;
    }
    let recorder = Recorder::at(broker.port);
    let gallery = format!("[gallery]\nfolder = \"{}\"\n", people.display());
    let daemon = daemon(&broker, &gallery);
    daemon.wait_for_log("gallery's folder read", |entry| entry["references"] == 1);
    let mut clerk = Clerk(&recorder, 0);
    assert_eq!(clerk.enrol(std::fs::read(people.join("Robin/portrait.jpg")).unwrap())["ok"], true);
    recorder.wait_for_json("visor/people/alice/presence", |presence| presence["present"] == false);
    let other = config(&broker, &gallery).replacen("[models]\n", "[models]\nembedder = \"dlib-resnet\"\n", 1);
    daemon.reload(&other);
    daemon.wait_for_log("configuration reloaded", |entry| entry["changes"].as_str().unwrap().contains("embedder"));
    let told =
        "people who were sent in must be enrolled again: the embedder is another one, and their pictures were not kept";
    daemon.wait_for_log(told, |entry| entry["people"] == 1 && entry["references"] == 1);
    let faces = |person: &Value| (person["face_count"].clone(), person["faces_lost"].clone());
    let alice = eventually_json(&daemon, "/persons/alice", |person| person["face_count"] == 0);
    assert_eq!(faces(&alice), (json!(0), json!(1)), "{alice}");
    assert_eq!(faces(&eventually_json(&daemon, "/persons/robin", |_| true)), (json!(1), json!(0)), "read anew");
    assert_eq!(clerk.enrol(std::fs::read(people.join("Robin/portrait.jpg")).unwrap())["ok"], true);
    assert_eq!(faces(&eventually_json(&daemon, "/persons/alice", |_| true)), (json!(1), json!(0)), "enrolled again");
    assert_eq!(daemon.metric("visor_provider_info", &["dlib-resnet"]), 1.0);
    recorder.wait_for_json("visor/people/robin/presence", |presence| presence["present"] == false);

    // None at all: nobody is known, and the camera goes on.
    daemon.reload(&config(&broker, "embedder = \"none\"\n"));
    recorder.wait_for("visor/people/robin/presence", "");
    recorder.wait_for("visor/people/alice/presence", "");
    daemon.wait_for_log("people who were sent in are forgotten: recognition is off", |entry| entry["people"] == 1);
    daemon.wait_for_frames("front", 2.0);
    let metrics = || daemon.metric("visor_provider_info", &["dlib-resnet"]);
    eventually("the embedder to go", || (metrics() == 0.0).then_some(()));
    assert_eq!(daemon.metric("visor_gallery_faces", &[]), 0.0);

    // A reload that loads a model is no reason not to hear of the end.
    daemon.reload(&other);
    let asked = std::time::Instant::now();
    assert!(daemon.stop().success());
    assert!(asked.elapsed().as_secs() < 5, "it ended after {:?}", asked.elapsed());
}

#[test]
fn who_was_sent_in_outlives_other_settings_and_another_folder() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let gallery = |rest: &str| format!("[gallery]\nfolder = \"{}\"\n{rest}", people.display());
    let daemon = daemon(&broker, &gallery(""));
    daemon.wait_for_log("gallery's folder read", |entry| entry["references"] == 1);
    let mut clerk = Clerk(&recorder, 0);
    assert_eq!(clerk.enrol(std::fs::read(people.join("Robin/portrait.jpg")).unwrap())["ok"], true);
    let known = |references: f64| {
        eventually(&format!("{references} references"), || {
            (daemon.metric("visor_gallery_faces", &[]) == references).then_some(())
        });
    };
    known(2.0);

    daemon.reload(&config(&broker, &gallery("threshold = 0.7\n")));
    daemon.wait_for_log("gallery's folder read", |entry| entry["threshold"].as_f64() == Some(f64::from(0.7_f32)));
    known(2.0);
    assert_eq!(clerk.enrol(std::fs::read(people.join("Robin/portrait.jpg")).unwrap())["duplicates"], 1);

    let empty = tempfile::tempdir().unwrap();
    daemon.reload(&config(&broker, &format!("[gallery]\nfolder = \"{}\"\n", empty.path().display())));
    recorder.wait_for("visor/people/robin/presence", "");
    known(1.0);
    recorder.publish("visor/people/alice/forget", false, "");
    recorder.wait_for_json("visor/people/alice/forget/result", |answer| answer["ok"] == true);
    known(0.0);
    assert!(daemon.stop().success());
}
