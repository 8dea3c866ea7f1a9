//! People through the page: added by a picture, seen by a camera, named, forgotten; and all of it erased.
#![cfg(feature = "media")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use visor::restream::child::SimulatedCamera;

use super::support::browser::{Browser, DESKTOP, PHONE};
use super::support::curl::{curl, curl_json, eventually_json};
use super::support::daemon::{Daemon, asset, checkout, models, sample, sample_people, visor};
use super::support::listener::Listener;
use super::support::wait::{PATIENCE, eventually};

/// Drops a picture without a face where pictures are taken.
const DROP_A_WALL: &str = "const wall = document.createElement('canvas');\
    wall.getContext('2d').fillRect(0, 0, 200, 100);\
    wall.toBlob((picture) => {\
      const dataTransfer = new DataTransfer();\
      dataTransfer.items.add(new File([picture], 'wall.png', { type: 'image/png' }));\
      const drop = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });\
      document.querySelector('.drop').dispatchEvent(drop);\
    })";

/// Types a time into the field for it; what the driver's keys mean there depends on the language.
const IN_2099: &str = "document.querySelector('#edit-expires').value = '2099-06-15T12:00'";

/// What shows people to a camera, and the camera's table; `None`, aloud, where something is missing.
fn camera() -> Option<(SimulatedCamera, String)> {
    sample_people()?;
    let cameras = SimulatedCamera::start(visor(), &["--mount", &format!("front={}", sample()?.display())]).unwrap();
    let uri = cameras.url("front").unwrap().to_owned();
    Some((cameras, format!("[cameras.front]\nuri = \"{uri}\"\nsnapshots = \"masked\"\n")))
}

/// A daemon with that camera, whom everybody on this machine may ask.
fn with_camera() -> Option<(Daemon, SimulatedCamera)> {
    let (cameras, table) = camera()?;
    let daemon = Daemon::start(&format!("{}{table}", models()));
    eventually_json(&daemon, "/persons", |_| true);
    Some((daemon, cameras))
}

/// Pictures of the page in both sizes and schemes, and what axe-core says of each.
fn look_at(browser: &Browser, name: &str) {
    for (size, size_name) in [(PHONE, "phone"), (DESKTOP, "desktop")] {
        browser.resize(size);
        let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth", vec![]);
        assert!(wide.as_i64() <= Some(0), "{name} is {wide} px wider than the {size_name}");
        for dark in [true, false] {
            browser.dark(dark);
            browser.screenshot(&format!("{name}-{size_name}-{}", if dark { "dark" } else { "light" }));
        }
        browser.assert_accessible();
    }
    browser.dark(false);
}

/// What the page itself remembers of events does not outlive whoever was forgotten.
fn no_event_names(browser: &Browser, name: &str) {
    browser.go("#/events?type=all");
    browser.find(".event");
    let events = browser.run("return document.querySelector('.events').textContent", vec![]);
    assert!(!events.as_str().unwrap().contains(name), "{name} is there: {events}");
}

#[test]
fn somebody_is_added_by_a_picture_recognised_and_forgotten() {
    let Some((daemon, _cameras)) = with_camera() else { return };
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/people");
    browser.wait_for_text("main", "Nobody is known yet");
    browser.press("Add a person");
    browser.upload("#enrol-files", &checkout(".cache/sample/people/Robin/portrait.jpg"));
    browser.wait_for_text("dialog .said", "Give a name first");
    browser.fill("#enrol-name", "Robin");
    browser.run(DROP_A_WALL, vec![]);
    browser.wait_for_text(".sent", "No face");
    browser.upload("#enrol-files", &checkout(".cache/sample/people/Robin/portrait.jpg"));
    browser.wait_for_text(".sent", "Added");
    browser.screenshot("enrol");
    browser.press("Done");

    browser.wait_for_text("h1", "Robin");
    browser.wait_for_text("main", "In sight");
    browser.wait_for_text("main", "Faces (1)");
    browser.wait_for_text(".seen", "front");
    assert!(browser.has(".lane-span"));
    look_at(&browser, "person");
    browser.press("Edit");
    browser.fill("#edit-tags", "staff, night");
    browser.fill("#edit-external", "hr/7");
    browser.fill("#edit-metadata", "desk 4b");
    browser.click("dialog button.primary");
    browser.wait_for_text("dialog .said", "a JSON object");
    browser.fill("#edit-metadata", "{\"desk\": \"4b\"}");
    browser.run(IN_2099, vec![]);
    browser.screenshot("edit");
    browser.click("dialog button.primary");
    browser.wait_for_text(".about", "night");
    for text in ["hr/7", "4b", "2099"] {
        browser.wait_for_text(".about", text);
    }
    let robin = curl(&daemon, "GET", "/persons/robin", &[]).json;
    assert_eq!((&robin["external_id"], &robin["metadata"]), (&json!("hr/7"), &json!({ "desk": "4b" })));
    assert!(robin["expires_at"].as_str().unwrap().starts_with("2099-06"), "{robin}");
    eventually("the focus where it was", || {
        (browser.run("return document.activeElement.textContent", vec![]) == "Edit").then_some(())
    });

    browser.go("#/people");
    browser.wait_for_text(".person-card", "Robin");
    look_at(&browser, "people-one");
    browser.press("Find by picture");
    browser.upload("#search-file", &checkout(".cache/sample/people/Robin/portrait.jpg"));
    browser.wait_for_text("dialog", "This is Robin");
    browser.screenshot("search");
    browser.click("dialog ul a");
    browser.wait_for_text("h1", "Robin");
    browser.press("Forget");
    browser.click("dialog button.danger");
    browser.wait_for_text("main", "Nobody is known yet");
    assert_eq!(curl(&daemon, "GET", "/persons/robin", &[]).status, 404);
    no_event_names(&browser, "Robin");
    // refused pictures, and a person who is gone, are answers with an error's status
    browser.assert_quiet(&["422", "404"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_stranger_gets_a_name_and_everything_is_erased() {
    let Some((daemon, _cameras)) = with_camera() else { return };
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    let has_shot = |stranger: &&Value| stranger["best_shot"].is_string();
    let shown = |list: &Value| list["items"].as_array().and_then(|all| all.iter().find(has_shot).cloned());
    let met = eventually_json(&daemon, "/strangers", |list| shown(list).is_some());
    let met = shown(&met).unwrap();
    let alias = met["alias"].as_str().unwrap();
    browser.go("#/strangers");
    browser.wait_for_text(".stranger", alias);
    browser.find(".stranger .face-shot:not(.loading, .missing)");
    look_at(&browser, "strangers");
    // as a name on the wall leads here
    browser.go("#/wall");
    browser.go(&format!("#/strangers?alias={alias}"));
    browser.wait_for_text("dialog", &format!("Who is {alias}?"));
    browser.press("Cancel");
    browser.click(&format!("[data-key='{alias}-name']"));
    browser.fill("#stranger-name", "Kim");
    browser.click("dialog button.primary");
    browser.wait_for_text("h1", "Kim");
    browser.wait_for_text(".seen", "front");
    browser.go("#/events?type=all");
    wait_through_the_clip(&browser, "Kim");
    browser.wait_for_text(".events", "Kim");

    browser.go("#/privacy");
    browser.wait_for_text(".checks", "No telemetry");
    look_at(&browser, "privacy");
    browser.press("Erase everything");
    assert!(browser.has("dialog button.danger:disabled"));
    browser.fill("#erase-word", "erase everything");
    browser.click("dialog button.danger");
    browser.wait_for_text("dialog h2", "Erased");
    browser.wait_for_text(".receipt", "People");
    browser.screenshot("receipt");
    browser.press("Close");
    assert_eq!(curl(&daemon, "GET", "/persons/kim", &[]).status, 404);
    no_event_names(&browser, "Kim");
    browser.assert_quiet(&[]);
    assert!(daemon.stop().success());
}

#[test]
fn somebody_in_sight_is_named_before_the_camera_knows_them() {
    let Some((daemon, _cameras)) = with_camera() else { return };
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/camera/front");
    browser.click(".present button[data-track]");
    browser.fill("#stranger-name", "Kim");
    browser.screenshot("name-track");
    browser.assert_accessible();
    browser.click("dialog button.primary");
    browser.wait_for_text("h1", "Kim");
    let kim = curl(&daemon, "GET", "/persons/kim", &[]).json;
    assert!(kim["face_count"].as_u64() >= Some(1), "{kim}");

    let name =
        |track: &str, body: &Value| curl_json(&daemon, "POST", &format!("/cameras/front/tracks/{track}/name"), body);
    let unseen = name("front-0", &json!({ "name": "Lee" }));
    assert_eq!(unseen.status, 404, "{unseen:?}");
    assert!(unseen.json["detail"].as_str().unwrap().contains("no track \"front-0\""), "{unseen:?}");
    // whoever is in sight, by their track, as a program would: known, stranger, or undecided so far
    browser.go("#/camera/front");
    let named = eventually("a track to name", || {
        let track = browser.run("return document.querySelector('.present [data-track]')?.dataset.track", vec![]);
        Some(name(track.as_str()?, &json!({ "name": "Lee", "tags": ["guest"] }))).filter(|named| named.status == 201)
    });
    assert_eq!(named.json["person"], json!({ "id": "lee", "name": "Lee" }));
    assert_eq!(curl(&daemon, "GET", "/persons/lee", &[]).json["tags"], json!(["guest"]));
    // the clip goes on and on
    eventually_json(&daemon, "/persons", |list| {
        list["items"].as_array().unwrap().iter().any(|person| person["presence"]["camera"] == "front")
    });
    browser.assert_quiet(&[]);
    assert!(daemon.stop().success());
}

/// Waits until the page's events name somebody: who has left the clip just now comes into sight again after it began anew, and
/// it is longer than anything else that is waited for.
fn wait_through_the_clip(browser: &Browser, name: &str) {
    let until = Instant::now() + 3 * PATIENCE;
    while !told_of(browser).iter().any(|told| told == name) && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Whom the page's events are about, the newest first, those that are undecided left out.
fn told_of(browser: &Browser) -> Vec<String> {
    let names = "return [...document.querySelectorAll('.event strong a')].map((name) => name.textContent)";
    serde_json::from_value(browser.run(names, vec![])).unwrap()
}

#[test]
fn a_page_that_is_open_lets_go_of_whom_somebody_else_has_forgotten() {
    let (Some(people), Some((_cameras, table))) = (sample_people(), camera()) else { return };
    let daemon = Daemon::start(&format!("{}{table}[gallery]\nfolder = \"{}\"\n", models(), people.display()));
    eventually_json(&daemon, "/persons", |_| true);
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    let stream = Listener::at(&format!("http://{}/api/v1/events", daemon.address().unwrap()), &[]);
    let forgotten = || std::iter::repeat_with(|| stream.event()).find(|(_, name, _)| name == "forgotten").unwrap().2;
    browser.go("#/events?type=all");
    wait_through_the_clip(&browser, "Robin");
    eventually("Robin among the events", || told_of(&browser).contains(&"Robin".to_owned()).then_some(()));
    // the clip goes on and on, and shows everybody again and again
    browser.run("window.before = true", vec![]);
    assert_eq!(curl(&daemon, "DELETE", "/persons/robin", &[]).status, 204);
    assert_eq!(forgotten(), json!({ "type": "forgotten", "number": 1 }));
    eventually("a page without Robin", || (!told_of(&browser).contains(&"Robin".to_owned())).then_some(()));
    let alias = eventually("a stranger among the events", || told_of(&browser).into_iter().next());
    assert_eq!(curl(&daemon, "DELETE", "/everything", &[]).status, 200);
    assert_eq!(forgotten()["number"], 2);
    eventually("a page without that stranger", || (!told_of(&browser).contains(&alias)).then_some(()));
    assert_eq!(browser.run("return window.before", vec![]), true, "the page was not loaded anew");
    browser.assert_quiet(&[]);
    assert!(daemon.stop().success());
}

#[test]
fn a_gallery_is_searched_and_its_scores_are_plotted() {
    if sample_people().is_none() {
        return;
    }
    let Some(folder) = asset("media/recog/lfw10") else { return };
    let daemon = Daemon::start(&format!("{}[gallery]\nfolder = \"{}\"\n", models(), folder.display()));
    eventually_json(&daemon, "/persons", |list| list["items"].as_array().is_some_and(|items| items.len() == 5));
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/people");
    browser.find("#threshold svg[role=img]");
    browser.wait_for_text("#threshold", "Fits");
    look_at(&browser, "people");
    browser.fill("#people-search", "powell");
    browser.wait_for_text(".search", "1 person");
    browser.click(".person-card");
    browser.wait_for_text("h1", "Colin_Powell");
    browser.wait_for_text("main", "Look-alikes");
    browser.wait_for_text("main", "mixed up");
    look_at(&browser, "person-faces");
    browser.assert_quiet(&[]);
}

#[test]
fn a_viewer_sees_no_control_of_what_it_may_not_do() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "viewer-of-all-things viewer\nadmin-of-all-things admin\n").unwrap();
    let http = format!("[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\ntokens_file = \"{}\"\n", tokens.display());
    let Some((daemon, _cameras)) = with_camera_and_tokens(&http) else { return };
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("");
    browser.run("sessionStorage.setItem('visor-token', 'viewer-of-all-things')", vec![]);
    for (hash, text, hidden) in [
        ("#/people", "Robin", &["button.primary", "#threshold"][..]),
        ("#/person/robin", "Faces (0)", &["button.danger", "button.primary"]),
        ("#/strangers", "visitor-", &["[data-key]"]),
        ("#/privacy", "No telemetry", &["button.danger"]),
    ] {
        browser.go("#/wall");
        browser.run("location.hash = arguments[0]; location.reload()", vec![json!(hash)]);
        browser.wait_for_text("main", text);
        for css in hidden {
            assert!(!browser.has(&format!("main {css}")), "{hash} shows {css} to a viewer");
        }
    }
    browser.assert_quiet(&["401"]);
    assert!(daemon.stop().success());
}

/// The same where tokens are asked for; Robin is known, by name alone, and a stranger was met.
fn with_camera_and_tokens(http: &str) -> Option<(Daemon, SimulatedCamera)> {
    let (cameras, table) = camera()?;
    let daemon = Daemon::start(&format!("{}{http}{table}", models()));
    let admin = ["-H", "Authorization: Bearer admin-of-all-things"];
    let ask = |path: &str| curl(&daemon, "GET", path, &admin).json;
    eventually("a stranger", || ask("/strangers")["items"][0]["alias"].is_string().then_some(()));
    let body = ["-H", "Content-Type: application/json", "-d", "{\"name\":\"Robin\"}"];
    assert_eq!(curl(&daemon, "POST", "/persons", &[&admin[..], &body].concat()).status, 201);
    Some((daemon, cameras))
}
