//! Cameras through the console, as an operator has them: added, watched, lost, switched, and covered in part.
#![cfg(feature = "media")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::support::browser::{Browser, DESKTOP, PHONE};
use super::support::curl::{curl, curl_json, eventually_json};
use super::support::daemon::{Daemon, models, sample, sample_people, visor};
use super::support::wait::eventually;
use visor::restream::child::SimulatedCamera;

const TILE: &str = ".tile[data-camera='yard']";

fn config(more: &str) -> String {
    format!("{}embedder = \"none\"\n[http]\nlisten = \"127.0.0.1:0\"\n{more}", models())
}

/// Luma of the picture's middle, as the API shows the camera now.
fn middle(daemon: &Daemon, camera: &str) -> Option<u8> {
    let file = daemon.dir.path().join("now.jpg");
    let address = format!("http://{}/api/v1/cameras/{camera}/snapshot.jpg", daemon.address()?);
    let got = Command::new("curl").args(["-sf", "-o"]).arg(&file).arg(&address).status().unwrap();
    let picture = got.success().then(|| image::open(&file).ok()).flatten()?.into_luma8();
    Some(picture.get_pixel(picture.width() / 2, picture.height() / 2).0[0])
}

#[test]
fn a_camera_is_added_seen_covered_in_part_and_lost() {
    let Ok(rtsp) = SimulatedCamera::start(visor(), &["--mount", "yard=test:white", "--size", "640x360", "--fps", "10"])
    else {
        panic!("no simulated camera")
    };
    let daemon = Daemon::start(&config(""));
    daemon.wait_ready();
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/wall");
    browser.wait_for_text("h2", "No camera yet");
    browser.press("Add a camera");
    browser.wait_for_text("h1", "Add a camera");
    browser.fill("[name=uri]", "rtsp://127.0.0.1:1/nobody");
    browser.fill("[name=id]", "yard");
    browser.press("Try it");
    browser.wait_for_text("[role=status].stack", "Nothing was saved");
    assert_eq!(curl(&daemon, "GET", "/cameras", &[]).json["items"], json!([]), "what does not work is not kept");
    browser.fill("[name=uri]", rtsp.url("yard").unwrap());
    browser.press("Try it");
    browser.wait_for_text("section.card h2", "It works");
    browser.wait_for_text("pre", "[cameras.yard]");
    browser.wait_for_text(".facts", "640 × 360");
    browser.screenshot("add");
    browser.assert_accessible();
    assert_eq!(curl(&daemon, "GET", "/cameras", &[]).json["items"], json!([]), "it was tried, and is not there");
    browser.press("Keep it");
    browser.wait_for_text("h1", "yard");

    assert!(middle(&daemon, "yard").unwrap() > 200, "white all over");
    browser.press("Draw zones");
    browser.press("Add a privacy zone");
    browser.find(".handle");
    browser.screenshot("zones");
    browser.press("Save");
    browser.wait_for_text("dialog pre", "[[cameras.yard.privacy_zones]]");
    eventually("a covered middle", || (middle(&daemon, "yard")? < 40).then_some(()));
    browser.click("dialog [aria-label=Close]");

    browser.press("Wall");
    browser.find(&format!("{TILE}[data-live] canvas"));
    drop(rtsp);
    browser.wait_for_text(&format!("{TILE} .veil"), "since");
    assert!(browser.text(&format!("{TILE} .spread")).unwrap().contains("Offline"));
    let reason = eventually_json(&daemon, "/cameras/yard", |yard| yard["status"] != "online");
    browser.wait_for_text(&format!("{TILE} .veil"), reason["reason"].as_str().unwrap());
    for size in [DESKTOP, PHONE] {
        browser.resize(size);
        browser.assert_accessible();
    }
    browser.assert_quiet(&[]);
}

/// The sample's people, with the switch for the mask.
fn people(more: &str) -> Option<String> {
    let clip = sample()?;
    let camera = format!("uri = \"file://{}\"\nrepeat = true\nsnapshots = \"masked\"\n", clip.display());
    Some(config(&format!("{more}[cameras.front]\n{camera}[cameras.front.mask]\nswitchable = true\n")))
}

#[test]
fn a_masked_camera_is_seen_with_its_people_and_its_switch() {
    let Some(config) = people("") else { return };
    let daemon = Daemon::start(&config);
    daemon.wait_ready();
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/wall");
    browser.find(".tile[data-live] canvas");
    browser.wait_for_text(".tile .present", "undecided");
    browser.screenshot("wall-one");
    browser.click(".tile-picture");
    browser.wait_for_text("h1", "front");
    browser.wait_for_text(".state.big", "");
    browser.wait_for_text(".bars", "detect");
    browser.click("#switch-mask");
    browser.press("Show faces");
    eventually_json(&daemon, "/cameras/front", |front| front["switches"]["mask"] == json!(false));
    // the daemon has it before the page knows, which takes no click meanwhile
    browser.click("#switch-mask:enabled:not(:checked)");
    eventually_json(&daemon, "/cameras/front", |front| front["switches"]["mask"] == json!(true));
    for (size, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        browser.resize(size);
        browser.assert_accessible();
        browser.screenshot(&format!("camera-{name}"));
        browser.go("#/events");
        browser.find(".event");
        browser.assert_accessible();
        browser.screenshot(&format!("events-{name}"));
        browser.press("Why not?");
        browser.wait_for_text("dialog", "Recognition is off");
        browser.go("#/camera/front");
        browser.wait_for_text("h1", "front");
    }
    browser.assert_quiet(&[]);
}

const LOOKS: &str = "looks-at-the-front-and-nothing-else";
const RUNS: &str = "runs-the-whole-house-all-by-itself";

fn log_in(browser: &Browser, token: &str) {
    browser.wait_for_text("h1", "Log in");
    browser.press("I have a token");
    browser.fill("[name=token]", token);
    browser.press("Use this token");
}

/// A camera that shows nobody, and `annexe`, which shows Robin and strangers, where the clip is there.
fn front_and_annexe(tokens: &Path) -> String {
    std::fs::write(tokens, format!("{LOOKS} viewer front\n{RUNS} admin\n")).unwrap();
    let http = format!("[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\ntokens_file = \"{}\"\n", tokens.display());
    let front = "[cameras.front]\nuri = \"test:\"\n";
    match (sample_people(), sample()) {
        (Some(people), Some(clip)) => format!(
            "{}{http}{front}[gallery]\nfolder = \"{}\"\n[cameras.annexe]\nuri = \"file://{}\"\nrepeat = true\n\
             snapshots = \"masked\"\n",
            models(),
            people.display(),
            clip.display()
        ),
        _ => format!("{}embedder = \"none\"\n{http}{front}[cameras.annexe]\nuri = \"test:\"\n", models()),
    }
}

#[test]
fn a_viewer_sees_what_the_role_and_its_cameras_allow() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&front_and_annexe(&folder.path().join("tokens")));
    daemon.wait_for_log("phase", |entry| entry["phase"] == "ready");
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/wall");
    browser.wait_for_text("h1", "Log in");
    assert!(!browser.text("body").unwrap().contains("Wall"), "nothing but the login");
    browser.assert_accessible();
    browser.screenshot("login");
    log_in(&browser, "nonsense");
    browser.wait_for_text("[role=alert]", "not a name and password");
    browser.fill("[name=token]", LOOKS);
    browser.press("Use this token");
    browser.find(".tile[data-camera='front']");
    assert!(!browser.text("#main").unwrap().contains("Add a camera"));
    browser.click(".tile-picture");
    browser.wait_for_text("h1", "front");
    browser.find("#switch-detect");
    assert!(browser.has("#switch-detect:disabled") && !browser.text("#main").unwrap().contains("Draw zones"));
    nothing_shows_of_annexe(&daemon, &browser);
    browser.go("#/camera/annexe");
    browser.wait_for_text("[role=alert]", "there is no camera");
    browser.press("Log out");
    log_in(&browser, RUNS);
    browser.go("#/wall");
    browser.find(".tile[data-camera='annexe']");
    browser.wait_for_text("#main", "Add a camera");
    browser.assert_quiet(&["401", "403", "404"]);
}

/// Neither a view nor an answer that a view asked for names the other camera, or shows whom it saw.
fn nothing_shows_of_annexe(daemon: &Daemon, browser: &Browser) {
    let as_admin = format!("Authorization: Bearer {RUNS}");
    if sample_people().is_some() {
        let met = |path: &str| curl(daemon, "GET", path, &["-H", &as_admin]).json.to_string();
        eventually("somebody on the other camera", || {
            (met("/strangers").contains("annexe") && met("/persons").contains("annexe")).then_some(())
        });
    }
    let robin = if sample_people().is_some() { "Robin" } else { "This cannot be shown" };
    for (hash, title) in [
        ("#/wall", "Wall"),
        ("#/events?type=all", "Events"),
        ("#/people", "People"),
        ("#/person/robin", robin),
        ("#/strangers", "Strangers"),
        ("#/privacy", "Privacy"),
    ] {
        browser.go(hash);
        browser.wait_for_text("h1", title);
        let page = browser.run("return document.documentElement.outerHTML", vec![]);
        assert!(!page.as_str().unwrap().contains("annexe"), "{hash} names the other camera");
    }
    let origin = format!("http://{}/api/v1", daemon.address().unwrap());
    let asked: BTreeSet<String> = browser.requests().into_iter().filter(|url| url.starts_with(&origin)).collect();
    let further = ["/events?last_event_id=before:0", "/cameras", "/strangers?ignored=true"];
    let further = further.map(|path| format!("{origin}{path}"));
    assert!(asked.iter().any(|url| url.contains("/strangers")), "{asked:?}");
    let answer = |token: &str, url: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        let options = ["-s", "--max-time", "2", "-w", "\n%{http_code}", "-H", &bearer, url];
        let curl = Command::new("curl").args(options).output().unwrap();
        let answer = String::from_utf8_lossy(&curl.stdout).into_owned();
        let status = answer.rsplit('\n').next().unwrap().parse::<u16>().unwrap();
        (status, answer)
    };
    for url in asked.iter().chain(&further) {
        let (status, answer) = answer(LOOKS, url);
        // what the page sends is no answer to a question
        let is_sent = !further.contains(url) && matches!(status, 404 | 405);
        assert!(status == 200 || is_sent, "{url}: {answer}");
        assert!(!answer.contains("annexe"), "{url} names the other camera: {answer}");
    }
    let by_people = if sample_people().is_some() { &further[..] } else { &further[1..2] };
    for url in by_people {
        let (_, answer) = answer(RUNS, url);
        assert!(answer.contains("annexe"), "{url} does not even name it to whoever may see it: {answer}");
    }
}

#[test]
fn zones_of_a_camera_of_the_file_are_drawn_over_the_api_too() {
    let daemon = Daemon::start(&config("[cameras.front]\nuri = \"test:white?size=320x240&fps=5\"\n"));
    daemon.wait_ready();
    daemon.wait_for_frames("front", 1.0);
    let square = json!([[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]);
    let areas = json!({ "zones": [{ "name": "door", "polygon": square }], "privacy_zones": [{ "name": "street", "polygon": square }] });
    let drawn = curl_json(&daemon, "PUT", "/cameras/front/zones", &areas);
    assert_eq!(
        (drawn.status, &drawn.json["settings"]["privacy_zones"][0]["name"]),
        (200, &json!("street")),
        "{}",
        drawn.json
    );
    eventually("a covered middle", || (middle(&daemon, "front")? < 40).then_some(()));
    let wrong = json!({ "zones": [], "privacy_zones": [{ "name": "A B", "polygon": [[0, 0], [1, 0]] }] });
    let refused = curl_json(&daemon, "PUT", "/cameras/front/zones", &wrong);
    let detail: &Value = &refused.json["detail"];
    assert!(refused.status == 422 && detail.as_str().unwrap().contains("at least 3 corners"), "{detail}");
    assert_eq!(curl_json(&daemon, "PUT", "/cameras/back/zones", &areas).status, 404);
}
