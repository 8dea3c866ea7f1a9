//! MQTT as a whole daemon has it: what a kill leaves behind, and what is said of a wrong password.
#![cfg(feature = "media")]

use rustix::process::Signal;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample};
use super::support::recorder::Recorder;
use super::support::scene::faces;
use super::support::wait::eventually;

fn config(mqtt: &str) -> String {
    format!("{}[mqtt]\n{mqtt}\n[cameras.front]\nuri = \"test:\"\n", models())
}

#[test]
fn a_killed_daemon_is_told_by_its_last_will_and_its_successor_is_online() {
    let (Some(_), Some(broker)) = (sample(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let config = config(&format!("url = \"{}\"", broker.url()));
    let mut daemon = Daemon::start(&config);
    recorder.wait_for("visor/front/status", "online");
    daemon.signal(Signal::KILL);
    daemon.wait();
    recorder.wait_for("visor/status", "offline");
    let successor = Daemon::start(&config);
    recorder.wait_for("visor/status", "online");
    assert!(successor.stop().success());
    recorder.wait_for("visor/status", "offline");
    recorder.wait_for("visor/front/status", "offline");
}

#[test]
fn a_wrong_password_is_said_with_a_remedy_and_never_shown() {
    let (Some(_), Some(broker)) = (sample(), Broker::with(|_| "allow_anonymous false\n".to_owned())) else { return };
    let daemon = Daemon::start(&config(&format!("url = \"mqtt://visor:opensesame@127.0.0.1:{}\"", broker.port)));
    daemon.wait_ready();
    let entry = eventually("a word about the password", || {
        let told = |text: Option<&str>| text.is_some_and(|text| text.contains("refuses the user name or the password"));
        daemon.log().into_iter().find(|entry| told(entry["message"].as_str()))
    });
    assert!(entry["remedy"].as_str().unwrap().contains("mqtt.password_file"), "{entry}");
    daemon.wait_for_frames("front", 3.0);
    assert_eq!(daemon.metric("visor_mqtt_connected", &[]), 0.0);
    let log = format!("{:?}", daemon.log());
    assert!(!log.contains("opensesame"), "{log}");
    assert!(daemon.stop().success());
}

#[test]
fn what_waits_for_a_broker_outlives_the_reload_that_mends_its_address() {
    let (Some(camera), Some(broker)) = (faces(&[]), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let config = |url: &str| {
        let front = camera.url("front").unwrap();
        format!("{}[mqtt]\nurl = \"{url}\"\n[log]\nevents = true\n[cameras.front]\nuri = \"{front}\"\n", models())
    };
    // a port that no broker ever has
    let daemon = Daemon::start(&config("mqtt://127.0.0.1:1"));
    daemon.wait_for_log("face", |entry| entry["event"] == "started");
    daemon.reload(&config(&broker.url()));
    daemon.wait_for_log("configuration reloaded", |_| true);
    recorder.wait_for_seq("front", 1);
    assert_eq!(daemon.metric("visor_events_lost_total", &["sink=\"mqtt\""]), 0.0);
    assert!(daemon.stop().success());
    recorder.wait_for("visor/status", "offline");
    let seqs = recorder.seqs("front");
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "a hole, or something twice");
}
