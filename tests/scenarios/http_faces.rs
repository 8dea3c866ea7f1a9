//! Faces over HTTP: enrolled at once and later, alone and in groups, taken away; people whom cameras met, and everything
//! forgotten. As a user does it, with curl.
#![cfg(feature = "media")]

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use visor::restream::child::SimulatedCamera;

use super::support::broker::Broker;
use super::support::curl::{Answer, curl, curl_json, eventually_json};
use super::support::daemon::{Daemon, models, sample, sample_people, visor};
use super::support::recorder::Recorder;
use super::support::wait::eventually;

/// A file of the assets; `None`, aloud, without them.
fn asset(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("VISOR_ASSETS").map(|assets| Path::new(&assets).join(path)).filter(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: there is no {path} in VISOR_ASSETS");
    }
    found
}

fn daemon(config: &str) -> Option<Daemon> {
    sample_people()?;
    let daemon = Daemon::start(&format!("{}{config}", models()));
    eventually_json(&daemon, "/persons", |_| true);
    Some(daemon)
}

/// Sends a picture as the body.
fn send(daemon: &Daemon, path: &str, picture: &Path) -> Answer {
    let file = format!("@{}", picture.display());
    curl(daemon, "POST", path, &["-H", "Content-Type: image/jpeg", "--data-binary", &file])
}

fn bush(number: u32) -> Option<PathBuf> {
    asset(&format!("media/recog/lfw10/George_W_Bush/George_W_Bush_{number:04}.jpg"))
}

#[test]
fn faces_are_enrolled_shown_and_taken_away() {
    let (Some(first), Some(second), Some(white)) = (bush(1), bush(2), asset("media/recog/faceapi_test/white.png"))
    else {
        return;
    };
    let Some(daemon) = daemon("") else { return };
    let made =
        send(&daemon, "/faces/enroll?name=George&external_id=43&tags=president&metadata=%7B%22n%22:43%7D", &first);
    assert_eq!((made.status, &made.json["added"]), (201, &1.into()), "{made:?}");
    let face = &made.json["faces"][0];
    assert_eq!((&face["outcome"], &face["person"]["id"]), (&"added".into(), &"george".into()));
    assert!(face["box"].is_array() && face["quality"].as_f64().unwrap() > 0.1 && face["look_alikes"] == json!([]));
    let person = curl(&daemon, "GET", "/persons/by_external_id/43", &[]).json;
    assert_eq!((&person["face_count"], &person["metadata"]), (&1.into(), &json!({"n": 43})));
    assert_eq!((&person["faces"][0]["id"], &person["faces"][0]["source"]), (&face["face_id"], &"http".into()));

    // The same picture again says nothing new; another one in a form, found by its looks.
    let again = send(&daemon, "/faces/enroll?person_id=george", &first);
    assert_eq!((again.status, &again.json["faces"][0]["outcome"]), (200, &"duplicate".into()));
    let form = ["-F", &format!("image=@{}", second.display()), "-F", "auto_associate=true"];
    let other = curl(&daemon, "POST", "/faces/enroll", &form);
    assert_eq!((other.status, &other.json["faces"][0]["person"]["id"]), (201, &"george".into()), "{other:?}");
    assert_eq!(other.json["faces"][0]["associated"], true);
    // Somebody else of the same looks is warned of.
    let double = send(&daemon, "/faces/enroll?name=Double", &second);
    assert_eq!(double.json["faces"][0]["look_alikes"][0]["person"], "george", "{double:?}");

    for (path, picture, status, reason) in [
        ("/faces/enroll?name=Nobody", &white, 422, "no_face"),
        ("/faces/enroll?name=George&min_quality=1", &first, 422, "low_quality"),
        ("/faces/enroll?name=Other&external_id=43&person_id=other", &first, 409, "external_id_taken"),
        ("/faces/enroll", &first, 400, ""),
        ("/faces/enroll?name=George&enable_multi_face=true", &first, 400, ""),
        ("/faces/enroll?nickname=W", &first, 400, ""),
    ] {
        let refused = send(&daemon, path, picture);
        let given = refused.json["reason"].as_str().unwrap_or_default();
        assert_eq!((refused.status, given), (status, reason), "{path}: {refused:?}");
    }

    let id = other.json["faces"][0]["face_id"].as_u64().unwrap();
    let read = curl(&daemon, "GET", &format!("/faces/{id}"), &[]);
    assert_eq!((read.status, &read.json["person"]["id"]), (200, &"george".into()));
    assert_eq!(curl(&daemon, "DELETE", &format!("/faces/{id}"), &[]).status, 204);
    assert_eq!(curl(&daemon, "GET", &format!("/faces/{id}"), &[]).status, 404);
    assert_eq!(curl(&daemon, "DELETE", &format!("/faces/{}", face["face_id"]), &[]).status, 204);
    assert_eq!(curl(&daemon, "GET", "/persons/george", &[]).status, 404, "the last face takes the person along");
    assert!(!daemon.log().iter().any(|line| line.to_string().contains("eorge")), "a name in the log");
    assert!(daemon.stop().success());
}

#[test]
fn a_group_photo_makes_several_people_and_knows_them_again() {
    let Some(group) = asset("media/recog/faceapi_test/faces.jpg") else { return };
    let Some(daemon) = daemon("") else { return };
    let enroll = "/faces/enroll?enable_multi_face=true&auto_associate=true&tags=party";
    let first = send(&daemon, enroll, &group);
    let added = first.json["added"].as_u64().unwrap();
    assert!(first.status == 201 && added >= 2, "{first:?}");
    let people = curl(&daemon, "GET", "/persons?tag=party", &[]).json["items"].as_array().unwrap().len();
    assert_eq!(people as u64, added);
    let again = send(&daemon, enroll, &group);
    assert_eq!((again.status, &again.json["added"]), (200, &0.into()), "{again:?}");
    let outcomes = again.json["faces"].as_array().unwrap().iter();
    assert_eq!(outcomes.filter(|face| face["associated"] == true).count() as u64, added);
    assert!(daemon.stop().success());
}

#[test]
fn what_is_enrolled_later_is_told_and_forgotten_with_its_person() {
    let (Some(first), Some(second)) = (bush(1), bush(2)) else { return };
    let Some(daemon) = daemon("") else { return };
    let accepted = send(&daemon, "/faces/enroll_async?name=George&priority=high", &first);
    assert_eq!((accepted.status, &accepted.json["priority"]), (202, &"high".into()), "{accepted:?}");
    let status = |answer: &Answer| format!("/faces/enroll/status/{}", answer.json["id"].as_str().unwrap());
    let done = eventually_json(&daemon, &status(&accepted), |job| job["status"] == "done");
    assert_eq!((&done["result"]["added"], &done["problem"]), (&1.into(), &Value::Null));
    let failed = send(&daemon, "/faces/enroll_async?name=George&min_quality=1&priority=low", &second);
    let failed = eventually_json(&daemon, &status(&failed), |job| job["status"] == "failed");
    assert_eq!((&failed["problem"]["status"], &failed["problem"]["reason"]), (&422.into(), &"low_quality".into()));
    for wrong in ["priority=urgent", "webhook_url=file:///etc/passwd", "webhook_secret=0123456789abcdef"] {
        let refused = send(&daemon, &format!("/faces/enroll_async?name=George&{wrong}"), &first);
        assert_eq!(refused.status, 400, "{wrong}: {refused:?}");
    }
    assert_eq!(curl(&daemon, "GET", "/faces/enroll/status/none", &[]).status, 404);

    // Many of one person, who is forgotten before the last of them had its turn: nobody comes back.
    let later: Vec<_> =
        (0..30).map(|_| send(&daemon, "/faces/enroll_async?person_id=george&priority=low", &second)).collect();
    assert_eq!(curl(&daemon, "DELETE", "/persons/george", &[]).status, 204);
    for job in &later {
        let ended = |job: &Value| ["done", "forgotten"].contains(&job["status"].as_str().unwrap());
        let job = eventually_json(&daemon, &status(job), ended);
        assert!(job["result"].is_null(), "{job}");
    }
    assert_eq!(curl(&daemon, "GET", "/persons/george", &[]).status, 404);
    let told = curl(&daemon, "GET", &status(&accepted), &[]).json;
    assert_eq!((&told["status"], &told["result"]), (&"forgotten".into(), &Value::Null));
    assert!(daemon.stop().success());
}

#[test]
fn pictures_that_are_looked_at_do_not_spoil_the_end() {
    let Some(people) = sample_people() else { return };
    let Some(mut daemon) = daemon("[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\n") else { return };
    for _ in 0..20 {
        let accepted = send(&daemon, "/faces/enroll_async?name=Robin", &people.join("Robin/portrait.jpg"));
        assert_eq!(accepted.status, 202, "{accepted:?}");
    }
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    let errors: Vec<_> = daemon.log().into_iter().filter(|entry| entry["level"] == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn who_was_met_by_a_camera_is_named_followed_and_forgotten() {
    let Some(clip) = sample().filter(|_| sample_people().is_some()) else { return };
    let cameras = SimulatedCamera::start(visor(), &["--mount", &format!("front={}", clip.display())]).unwrap();
    let uri = cameras.url("front").unwrap();
    let config = format!("[cameras.front]\nuri = \"{uri}\"\nsnapshots = \"masked\"\nlocation = [59.33, 18.06]\n");
    let Some(daemon) = daemon(&config) else { return };
    let met = eventually_json(&daemon, "/strangers", |list| list["items"][0]["appearances"].as_u64() > Some(0));
    let stranger = &met["items"][0];
    let alias = stranger["alias"].as_str().unwrap();
    assert_eq!(stranger["cameras"], json!(["front"]));
    assert_eq!(curl_json(&daemon, "POST", "/strangers/visitor-999/name", &json!({"name": "X"})).status, 404);

    let name = json!({"name": "Robin", "external_id": "r-1"});
    let named = curl_json(&daemon, "POST", &format!("/strangers/{alias}/name"), &name);
    assert_eq!((named.status, &named.json["person"]["id"]), (201, &"robin".into()), "{named:?}");
    let list = curl(&daemon, "GET", "/strangers?ignored=true", &[]).json;
    assert!(!list["items"].as_array().unwrap().iter().any(|stranger| stranger["alias"] == alias), "{list}");
    let seen = eventually_json(&daemon, "/persons/robin/appearances", |list| list["items"][0]["camera"] == "front");
    assert!(seen["items"][0]["from"].is_string() && seen["items"][0]["track"].as_str().unwrap().starts_with("front-"));
    let count = |query: &str| {
        let answer = curl(&daemon, "GET", &format!("/persons/robin/appearances?{query}"), &[]);
        answer.json["items"].as_array().unwrap_or_else(|| panic!("{answer:?}")).len()
    };
    assert!(count("near=59.33,18.06&within=100") > 0 && count("camera=front,back") > 0);
    assert_eq!((count("near=59.86,17.64"), count("camera=back"), count("until=2001-01-01T00:00:00Z")), (0, 0, 0));
    let stays = curl(&daemon, "GET", "/persons/robin/timeline", &[]).json;
    assert_eq!(stays["items"][0]["cameras"], json!(["front"]));
    assert_eq!(curl(&daemon, "DELETE", "/persons/robin", &[]).status, 204);
    assert_eq!(curl(&daemon, "GET", "/persons/robin/appearances", &[]).status, 404);
    assert_eq!(curl(&daemon, "GET", "/appearances/1/best_shot.jpg", &[]).status, 404);
    let receipt = curl(&daemon, "DELETE", "/everything", &[]);
    assert_eq!((receipt.status, &receipt.json["people"]), (200, &0.into()), "{receipt:?}");
    assert!(receipt.json["events"].as_u64() > Some(0) && receipt.json["erased_at"].is_string());
    assert!(daemon.stop().success());
}

#[test]
fn a_stranger_who_is_somebody_known_is_so_over_mqtt_as_well() {
    let (Some(clip), Some(broker)) = (sample().filter(|_| sample_people().is_some()), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let camera = format!("[cameras.front]\nuri = \"file://{}\"\nrepeat = true\n", clip.display());
    let Some(daemon) = daemon(&format!("[mqtt]\nurl = \"{}\"\n{camera}", broker.url())) else { return };
    let of_alias = |event: &Value| event["identity"]["alias"].is_string();
    let met = recorder.wait_for_json("visor/front/events", of_alias);
    let alias = met["identity"]["alias"].as_str().unwrap();
    let merge = |body: &Value| curl_json(&daemon, "POST", &format!("/strangers/{alias}/merge"), body);
    assert_eq!(curl_json(&daemon, "POST", "/persons", &json!({"name": "Kim"})).status, 201);
    assert_eq!(merge(&json!({"person_id": "nobody"})).status, 404);
    for wrong in [json!({}), json!({"into": alias}), json!({"into": "visitor-9", "person_id": "kim"})] {
        assert_eq!(merge(&wrong).status, 400, "{wrong}");
    }
    assert_eq!(merge(&json!({"person_id": "kim"})).status, 204);
    assert_eq!(merge(&json!({"person_id": "kim"})).status, 404, "there is no such stranger any more");
    let kim = curl(&daemon, "GET", "/persons/kim", &[]).json;
    assert!(kim["face_count"].as_u64() > Some(0) && kim["faces"][0]["source"] == "camera", "{kim}");
    let told = recorder.wait_for_json("visor/front/events", |event| event["identity"]["person"] == "kim");
    assert_eq!(told["identity"]["name"], "Kim");
    recorder.wait_for_json("visor/people/kim/presence", |presence| presence["present"] == true);
    eventually_json(&daemon, "/persons/kim", |kim| kim["presence"]["present"] == true);
    let seen = eventually_json(&daemon, "/persons/kim/appearances", |list| list["items"][0]["track"] == told["track"]);
    assert_eq!(seen["items"][0]["camera"], "front");

    // Forgotten, and what was under way at that moment brings nobody back.
    assert_eq!(curl(&daemon, "DELETE", "/persons/kim", &[]).status, 204);
    recorder.wait_for("visor/people/kim/presence", "");
    let before = recorder.messages().len();
    daemon.wait_for_frames("front", 10.0);
    eventually("further events", || {
        let events =
            recorder.messages().into_iter().skip(before).filter(|message| message.topic == "visor/front/events");
        let events: Vec<_> = events.collect();
        (events.len() >= 2).then(|| assert!(events.iter().all(|event| !event.payload.contains("kim")), "{events:?}"))
    });
    assert_eq!(recorder.on("visor/people/kim/presence").last().map(String::as_str), Some(""));
    assert!(daemon.stop().success());
}

#[test]
fn who_is_in_sight_when_everything_goes_is_a_new_stranger() {
    let (Some(clip), Some(broker)) = (sample().filter(|_| sample_people().is_some()), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let camera = format!("[cameras.front]\nuri = \"file://{}\"\nrepeat = true\n", clip.display());
    let Some(daemon) = daemon(&format!("[mqtt]\nurl = \"{}\"\n{camera}", broker.url())) else { return };
    let aliases = |after: u64| -> Vec<String> {
        let events = recorder.on("visor/front/events").into_iter().map(|text| serde_json::from_str::<Value>(&text));
        let events = events.map(Result::unwrap).filter(|event| event["boot_seq"].as_u64() > Some(after));
        events.filter_map(|event| Some(event["identity"]["alias"].as_str()?.to_owned())).collect()
    };
    let before = eventually("strangers", || Some(aliases(0)).filter(|aliases| !aliases.is_empty()));
    assert_eq!(curl(&daemon, "DELETE", "/everything", &[]).status, 200);
    // what was under way at that moment is over
    daemon.wait_for_frames("front", 10.0);
    let newest = curl(&daemon, "GET", "/session", &[]).json["newest_event"].as_u64().unwrap();
    let after = eventually("strangers again", || Some(aliases(newest)).filter(|aliases| aliases.len() >= 5));
    assert!(!after.iter().any(|alias| before.contains(alias)), "{before:?}, and then {after:?}");
    assert!(daemon.stop().success());
}

#[test]
fn everything_goes_where_recognition_is_off_as_well() {
    let Some(clip) = sample() else { return };
    let camera = format!("[cameras.front]\nuri = \"file://{}\"\nrepeat = true\n", clip.display());
    let daemon = Daemon::start(&format!("{}embedder = \"none\"\n{camera}", models()));
    daemon.wait_for_frames("front", 5.0);
    let receipt = eventually("events to be erased", || {
        let receipt = curl(&daemon, "DELETE", "/everything", &[]);
        assert_eq!(receipt.status, 200, "{receipt:?}");
        (receipt.json["events"].as_u64() > Some(0)).then_some(receipt.json)
    });
    for nothing in ["people", "faces", "strangers", "appearances", "enrolments"] {
        assert_eq!(receipt[nothing], 0, "{nothing}: {receipt}");
    }
    assert_eq!(curl(&daemon, "GET", "/persons", &[]).status, 503);
    assert!(daemon.stop().success());
}
