//! Every call that the README shows, as it stands there.
#![cfg(feature = "media")]

use std::path::Path;
use std::process::Command;

use super::support::curl::eventually_json;
use super::support::daemon::{Daemon, checkout, models, sample_people};
use super::support::wait::eventually;

/// The commands of the README's section of this title, each on a line of its own.
fn calls(title: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(checkout("README.md")).unwrap();
    let (_, section) = readme.split_once(title).unwrap();
    let section = section.split("\n##").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("curl "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_readmes_calls_work_as_they_stand_there() {
    let Some(people) = sample_people() else { return };
    let portrait = std::fs::read_dir(people.join("Robin")).unwrap().next().unwrap().unwrap().path();
    let camera = "[cameras.front]\nuri = \"test:?size=320x240\"\n[cameras.front.mask]\nwho = \"everyone\"\n";
    let daemon = Daemon::start(&format!("{}{camera}", models()));
    eventually_json(&daemon, "/persons", |_| true);
    daemon.wait_for_frames("front", 5.0);
    let address = eventually("an address for http", || daemon.address());
    for name in ["face.jpg", "robin.jpg", "group.jpg"] {
        std::fs::copy(&portrait, daemon.dir.path().join(name)).unwrap();
    }
    let calls = calls("\n### Ten calls");
    assert_eq!(calls.len(), 10, "{calls:?}");
    for call in calls {
        run(&call.replace("localhost:8080", &address), daemon.dir.path());
    }
    assert!(daemon.stop().success());
}

/// Runs a line of a shell; it fails as curl does where the answer is an error.
fn run(call: &str, folder: &Path) {
    let line = call.replacen("curl ", "curl --fail-with-body --max-time 5 -sS ", 1);
    let output = Command::new("sh").args(["-c", &line]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // who listens for events goes when the time is over
    let listens = call.contains("/events") && output.status.code() == Some(28);
    assert!(output.status.success() || listens, "{call}: {said} {}", String::from_utf8_lossy(&output.stderr));
}
