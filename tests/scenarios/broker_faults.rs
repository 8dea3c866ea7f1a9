//! A broker that is cut off or not there yet, as a whole daemon with faces before its camera sees it.
#![cfg(feature = "media")]

use std::process::Command;

use jiff::Timestamp;

use super::support::broker::Broker;
use super::support::daemon::visor;
use super::support::proxy::{Proxy, Reserved};
use super::support::scene::{RECOVERY, Scene, faces, time};
use super::support::wait::eventually;

fn check_connected(scene: &Scene, end: Timestamp) {
    let connected = scene.daemon.wait_for_log("mqtt broker connected", |entry| time(entry) >= end);
    let took = time(&connected).duration_since(end);
    assert!(took <= RECOVERY.try_into().unwrap(), "the broker is connected only {took:?} after it came back");
}

#[test]
fn a_broker_that_is_cut_off_for_a_while_misses_nothing() {
    let (Some(camera), Some(broker)) = (faces(&[]), Broker::open()) else { return };
    let proxy = Proxy::to(broker.port, true);
    let front = format!("uri = \"{}\"\nupdate_interval = \"200ms\"", camera.url("front").unwrap());
    let url = format!("mqtt://127.0.0.1:{}", proxy.port);
    let Some(scene) = Scene::with(&url, broker, &front, Command::new(visor())) else { return };
    scene.recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    for _ in 0..2 {
        proxy.close();
        let refused = proxy.accepted();
        scene.recorder.wait_for("visor/status", "offline");
        scene.daemon.wait_for_frames("front", 20.0);
        eventually("an attempt to connect", || (proxy.accepted() > refused).then_some(()));
        let before = scene.recorder.seqs("front").len();
        let opened = Timestamp::now();
        proxy.open();
        check_connected(&scene, opened);
        scene.recorder.wait_for("visor/status", "online");
        scene.recorder.wait_for("visor/front/status", "online");
        eventually("what was said meanwhile", || (scene.recorder.seqs("front").len() > before).then_some(()));
    }
    scene.finish(2);
}

#[test]
fn a_broker_that_is_absent_at_the_start_gets_everything_once_it_comes() {
    let (Some(camera), Some(broker)) = (faces(&[]), Broker::open()) else { return };
    let (port, upstream) = (Reserved::new(), broker.port);
    let front = format!("uri = \"{}\"", camera.url("front").unwrap());
    let url = format!("mqtt://127.0.0.1:{}", port.port());
    let Some(scene) = Scene::with(&url, broker, &front, Command::new(visor())) else { return };
    scene.daemon.wait_ready();
    scene.daemon.wait_for_frames("front", 20.0);
    assert_eq!(scene.recorder.messages(), []);
    let came = Timestamp::now();
    let _proxy = Proxy::at(port, upstream);
    check_connected(&scene, came);
    scene.recorder.wait_for("visor/front/status", "online");
    let first = scene.recorder.wait_for_json("visor/front/events", |_| true);
    assert_eq!(first["seq"], 1);
    scene.finish(0);
}
