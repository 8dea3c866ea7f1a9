//! Switches of a masked camera over MQTT: faces are shown only where the configuration allows it.
#![cfg(feature = "media")]

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample};
use super::support::recorder::Recorder;
use super::support::wait::eventually;

const MASK: &str = "visor/front/mask/state";

#[test]
fn masks_are_switched_off_only_where_the_configuration_allows_it() {
    let (Some(_), Some(broker)) = (sample(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let config = |mask: &str| {
        let url = broker.url();
        format!("{}[mqtt]\nurl = \"{url}\"\n[cameras.front]\nuri = \"test:\"\n[cameras.front.mask]\n{mask}\n", models())
    };
    let daemon = Daemon::start(&config(""));
    recorder.wait_for(MASK, "ON");
    recorder.publish("visor/front/mask/set", false, "OFF");
    daemon.wait_for_log("refused: masks stay on", |entry| entry["camera"] == "front");
    // whoever asked is told again where it stands
    eventually("the state again", || (recorder.on(MASK) == ["ON", "ON"]).then_some(()));

    daemon.reload(&config("switchable = true"));
    daemon.wait_for_log("configuration reloaded", |entry| entry["changes"] == "changed front");
    recorder.publish("visor/front/mask/set", false, "OFF");
    recorder.wait_for(MASK, "OFF");
    daemon.reload(&config("switchable = true\nkind = \"pixelate\""));
    eventually("two reloads", || (daemon.metric("visor_config_reloads_total", &["applied"]) >= 2.0).then_some(()));
    assert_eq!(recorder.on(MASK), ["ON", "ON", "OFF"], "a switch survives a reload");
    daemon.reload(&config(""));
    recorder.wait_for(MASK, "ON");
    daemon.reload(&config("who = \"nobody\""));
    recorder.wait_for(MASK, "OFF");
    assert!(daemon.stop().success());
}

#[test]
fn a_switch_that_a_camera_has_no_more_leaves_nothing_behind() {
    let (Some(_), Some(broker)) = (sample(), Broker::open()) else { return };
    let recorder = Recorder::at(broker.port);
    let config = |camera: &str| {
        let url = broker.url();
        format!("{}[mqtt]\nurl = \"{url}\"\n[cameras.front]\nuri = \"test:\"\n{camera}\n", models())
    };
    let daemon = Daemon::start(&config("snapshots = \"masked\""));
    recorder.wait_for(MASK, "ON");
    recorder.wait_for("visor/front/snapshots/state", "ON");
    let entity = "homeassistant/switch/visor_camera_front/mask/config";
    eventually("the switch's entity", || recorder.standing().contains_key(entity).then_some(()));
    daemon.reload(&config(""));
    recorder.wait_for(MASK, "");
    eventually("the switch's entity to go", || (!recorder.standing().contains_key(entity)).then_some(()));
    assert!(daemon.stop().success());

    // what an earlier run has left is cleared as well
    recorder.publish(MASK, true, "OFF");
    recorder.publish(entity, true, "{}");
    recorder.wait_for(entity, "{}");
    let successor = Daemon::start(&config(""));
    recorder.wait_for("visor/front/status", "online");
    eventually("what an earlier run has left to go", || {
        let standing = recorder.standing();
        (!standing.contains_key(entity) && !standing.contains_key(MASK)).then_some(())
    });
    assert!(successor.stop().success());
}
