//! What a daemon that runs says of itself: whether it keeps its promises, and whether its threshold fits.
#![cfg(feature = "media")]

use serde_json::Value;

use super::support::curl::{curl, eventually_json};
use super::support::daemon::{Daemon, asset, models, sample_people};
use super::support::wait::eventually;

fn check<'a>(privacy: &'a Value, id: &str) -> &'a Value {
    let checks = privacy["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {privacy}"))
}

#[test]
fn a_daemon_with_a_masked_camera_keeps_its_promises_and_says_so() {
    let Some(people) = sample_people() else { return };
    let daemon = Daemon::start(&format!(
        "{}[gallery]\nfolder = \"{}\"\nappearance_ttl = \"2h\"\n[cameras.front]\nuri = \"test:?size=320x240\"\n\
         [cameras.front.mask]\nwho = \"strangers\"\naudit_interval = \"500ms\"\n",
        models(),
        people.display()
    ));
    eventually_json(&daemon, "/persons/robin", |_| true);
    // frames are masked, and looked at, while somebody wants them
    let privacy = eventually("masked frames, and the self-audit to look", || {
        curl(&daemon, "GET", "/cameras/front/snapshot.jpg", &["-o", "/dev/null"]);
        let privacy = curl(&daemon, "GET", "/privacy", &[]).json;
        let masked = privacy["cameras"][0]["masked"].as_u64() > Some(0);
        (masked && check(&privacy, "self_audit")["state"] == "ok").then_some(privacy)
    });
    for id in ["open_files", "core_dumps", "telemetry", "mask_proofs"] {
        assert_eq!(check(&privacy, id)["state"], "ok", "{}", check(&privacy, id));
    }
    let policies = check(&privacy, "policies");
    assert_eq!(policies["state"], "warn", "people of the gallery are shown");
    let camera = &privacy["cameras"][0];
    assert_eq!((&camera["id"], &camera["unproven"]), (&"front".into(), &0.into()));
    assert!(camera["audit"]["looks"].as_u64() > Some(0), "{camera}");
    assert!(camera["shows"][0].as_str().unwrap().contains("mask.who"), "{camera}");
    let kept = |id: &str| privacy["kept"].as_array().unwrap().iter().find(|kept| kept["id"] == id).unwrap();
    assert_eq!((&kept("people")["count"], &kept("appearances")["seconds"]), (&1.into(), &7200.into()));
    assert!(daemon.stop().success());
}

#[test]
fn who_may_see_one_camera_is_told_of_that_one() {
    if sample_people().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "viewer-of-back-only viewer back\nviewer-of-all-things viewer\n").unwrap();
    let daemon = Daemon::start(&format!(
        "[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\ntokens_file = \"{}\"\n{}[cameras.front]\nuri = \"test:\"\n\
         [cameras.back]\nuri = \"test:\"\n",
        tokens.display(),
        models()
    ));
    let ask = |token: &str| curl(&daemon, "GET", "/privacy", &["-H", &format!("Authorization: Bearer {token}")]).json;
    let cameras = |privacy: &Value| -> Vec<String> {
        let cameras = privacy["cameras"].as_array().into_iter().flatten();
        cameras.map(|camera| camera["id"].as_str().unwrap().to_owned()).collect()
    };
    eventually("both cameras", || (cameras(&ask("viewer-of-all-things")) == ["back", "front"]).then_some(()));
    let some = ask("viewer-of-back-only");
    assert_eq!(cameras(&some), ["back"]);
    let kept = |id: &str| some["kept"].as_array().unwrap().iter().find(|kept| kept["id"] == id).unwrap();
    assert_eq!((&kept("strangers")["count"], &kept("events")["count"]), (&Value::Null, &Value::Null));
    assert!(daemon.stop().success());
}

#[test]
fn the_threshold_is_held_against_the_gallerys_own_faces() {
    if sample_people().is_none() {
        return;
    }
    let Some(folder) = asset("media/recog/lfw10") else { return };
    let with = |rest: &str| format!("{}[gallery]\nfolder = \"{}\"\n{rest}", models(), folder.display());
    let daemon = Daemon::start(&with(""));
    let advice = eventually_json(&daemon, "/gallery/advice", |advice| advice["people"] == 5);
    assert_eq!((&advice["verdict"], &advice["configured"]), (&"good".into(), &false.into()), "{advice}");
    let pairs = |heap: &str| advice[heap]["pairs"].as_u64().unwrap();
    let faces = advice["references"].as_u64().unwrap();
    assert!(faces > 40 && pairs("genuine") + pairs("impostor") == faces * (faces - 1) / 2, "{advice}");
    let bars: u64 = advice["impostor"]["bars"].as_array().unwrap().iter().map(|bar| bar.as_u64().unwrap()).sum();
    assert_eq!(bars, pairs("impostor"));
    daemon.reload(&with("threshold = 0.9\n"));
    let advice = eventually_json(&daemon, "/gallery/advice", |advice| advice["configured"] == true);
    assert_eq!(advice["verdict"], "differs", "{advice}");
    assert!(advice["advice"].as_str().unwrap().contains("above"), "{advice}");
    assert!(daemon.stop().success());
}
