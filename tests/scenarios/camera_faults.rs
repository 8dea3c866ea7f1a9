//! Cameras that go, stall, change or refuse, and capture processes that are killed: the daemon, and the camera beside,
//! go on.
#![cfg(feature = "media")]

use jiff::Timestamp;
use rustix::process::Signal;
use visor::restream::child::SimulatedCamera;

use super::support::daemon::visor;
use super::support::scene::{Flow, Scene, faces, signal, wait_gone};
use super::support::wait::eventually;

fn uri(camera: &SimulatedCamera) -> String {
    format!("uri = \"{}\"", camera.url("front").unwrap())
}

#[test]
fn a_capture_process_that_is_killed_is_replaced() {
    let Some(camera) = faces(&[]) else { return };
    let Some(scene) = Scene::start(&uri(&camera)) else { return };
    scene.recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    let (killed, pid) = (Timestamp::now(), scene.capture());
    signal(pid, Signal::KILL);
    scene.lost("crash", killed);
    scene.check_recovery(killed, killed);
    assert!(scene.recorder.on("visor/front/status").ends_with(&["offline".to_owned(), "online".to_owned()]));
    wait_gone(pid);
    let before = scene.recorder.seqs("front").len();
    eventually("further events", || (scene.recorder.seqs("front").len() > before).then_some(()));
    scene.finish(0);
}

#[test]
fn a_capture_process_that_is_stopped_is_replaced() {
    let Some(camera) = faces(&[]) else { return };
    let Some(scene) = Scene::start(&uri(&camera)) else { return };
    scene.recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    let (stopped, pid) = (Timestamp::now(), scene.capture());
    signal(pid, Signal::STOP);
    scene.lost("hang", stopped);
    scene.check_recovery(stopped, stopped);
    assert!(scene.recorder.on("visor/front/status").ends_with(&["stalled".to_owned(), "online".to_owned()]));
    wait_gone(pid);
    scene.finish(0);
}

#[test]
fn a_capture_process_that_keeps_dying_is_started_less_and_less_often() {
    let Some(scene) = Scene::start("uri = \"test:?size=320x240\"") else { return };
    for deaths in 1..=4 {
        let pid = eventually("another child", || scene.daemon.captures("front").get(deaths - 1).copied());
        // A source that was back in between is spoken of again when it goes.
        scene.daemon.wait_for_frames("front", 1.0);
        signal(pid, Signal::KILL);
    }
    let lost = eventually("four deaths", || {
        let log = scene.daemon.log();
        let lost = log.iter().filter(|e| e["message"] == "source lost" && e["camera"] == "front");
        Some(lost.map(|e| e["retry_in_ms"].as_u64().unwrap()).collect::<Vec<_>>()).filter(|lost| lost.len() == 4)
    });
    // Each pause lies between half of the full one and the full one, which doubles.
    let bounds = (0..4).map(|n| (125 << n)..=(250 << n));
    assert!(lost.iter().zip(bounds).all(|(pause, bounds)| bounds.contains(pause)), "{lost:?}");
    scene.recorder.wait_for("visor/front/status", "online");
    scene.finish(0);
}

#[test]
fn a_camera_that_goes_and_comes_back_is_opened_at_once() {
    let Some(camera) = faces(&[]) else { return };
    let Some(scene) = Scene::start(&uri(&camera)) else { return };
    scene.recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    let (gone, listen) = (Timestamp::now(), camera.listen().to_owned());
    drop(camera);
    scene.recorder.wait_for("visor/front/status", "offline");
    // It stays away for a few knocks, as a camera does that starts again.
    let restarts = || scene.daemon.metric("visor_camera_restarts_total", &["camera=\"front\""]);
    let before = restarts();
    scene.daemon.wait_for_frames("steady", 8.0);
    assert!(restarts() <= before + 1.0, "no child is started while nobody answers");
    let _camera = faces(&["--listen", &listen]).unwrap();
    scene.check_recovery(gone, Timestamp::now());
    scene.finish(0);
}

#[test]
fn a_camera_that_stalls_is_opened_again() {
    let Some(camera) = faces(&[]) else { return };
    let front = format!("{}\nstall_timeout = \"1s\"\nconnect_timeout = \"1s\"", uri(&camera));
    let Some(scene) = Scene::start(&front) else { return };
    let (stopped, pid) = (Timestamp::now(), camera.id() as i32);
    signal(pid, Signal::STOP);
    scene.recorder.wait_for("visor/front/status", "stalled");
    scene.lost("stall", stopped);
    // The kernel still accepts connections for the stopped process, so that knocking tells nothing.
    let attempts = || scene.daemon.metric("visor_camera_restarts_total", &["camera=\"front\""]);
    eventually("three attempts to open it", || (attempts() >= 3.0).then_some(()));
    assert_eq!(scene.recorder.on("visor/front/status").last().unwrap(), "offline");
    let resumed = Timestamp::now();
    signal(pid, Signal::CONT);
    scene.check_recovery(resumed, resumed);
    scene.finish(0);
}

#[test]
fn pictures_change_their_size_in_midstream() {
    let sizes = ["--mount", "front=test:", "--sizes", "640x360,322x242,1280x720", "--every", "2s", "--codec", "h264"];
    let camera = SimulatedCamera::start(visor(), &sizes).unwrap();
    let Some(scene) = Scene::start(&uri(&camera)) else { return };
    let flow = Flow::of(&scene.daemon, "front");
    // Two rounds of the three sizes, at two seconds a size and 30 frames a second of the camera beside.
    let captured = || scene.daemon.metric("visor_frames_captured_total", &["camera=\"steady\""]);
    let begun = captured();
    eventually("two rounds", || (captured() > begun + 360.0).then_some(()));
    flow.check();
    assert_eq!(scene.daemon.metric("visor_camera_restarts_total", &["camera=\"front\""]), 0.0);
    scene.finish(0);
}

#[test]
fn pictures_may_have_odd_sizes() {
    let Some(scene) = Scene::start("uri = \"test:?size=321x241\"") else { return };
    scene.daemon.wait_for_frames("front", 5.0);
    scene.reload("uri = \"test:?size=33x17\"");
    scene.daemon.wait_for_log("configuration reloaded", |_| true);
    scene.daemon.wait_for_frames("front", 5.0);
    scene.finish(0);
}

#[test]
fn a_camera_refuses_a_wrong_password_until_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, password: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, password).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (file("right", "opensesame"), file("wrong", "closesesame"));
    let camera = SimulatedCamera::start(
        visor(),
        &[
            "--mount",
            "front=test:",
            "--size",
            "320x240",
            "--codec",
            "mjpeg",
            "--user",
            "anna",
            "--password-file",
            &right,
        ],
    )
    .unwrap();
    let front = |file: &str| format!("{}\nusername = \"anna\"\npassword_file = \"{file}\"", uri(&camera));
    let Some(scene) = Scene::start(&front(&right)) else { return };
    let wronged = Timestamp::now();
    scene.reload(&front(&wrong));
    scene.lost("unauthorised", wronged);
    scene.recorder.wait_for("visor/front/status", "offline");
    let righted = Timestamp::now();
    scene.reload(&front(&right));
    scene.check_recovery(righted, righted);
    let url = camera.url("front").unwrap().replace("rtsp://", "rtsp://anna:halfsesame@");
    let again = Timestamp::now();
    scene.reload(&format!("uri = \"{url}\""));
    scene.lost("unauthorised", again);
    let told = format!("{:?} {:?}", scene.daemon.log(), scene.recorder.messages());
    assert!(!told.contains("sesame"), "a password is in the log or in a message");
    scene.finish(0);
}
