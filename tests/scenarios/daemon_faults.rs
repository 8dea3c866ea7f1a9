//! What may befall the daemon itself: a full or read-only disk, a port that is taken, a kill.
#![cfg(feature = "media")]

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample, visor};
use super::support::scene::{Scene, faces};

/// Remounts everything read-only, for this process alone, with a small disk at the first argument that is full.
const FULL_DISK: &str = "mount --make-rprivate / && mount -t tmpfs -o size=4k none \"$1\" && \
     { head -c 8192 /dev/zero > \"$1/filler\" 2> /dev/null; mount -o remount,bind,ro / && \
     ! touch \"$1/another\" \"$HOME/another\" 2> /dev/null; }";

fn check_runs(command: Command) {
    let (Some(camera), Some(broker)) = (faces(&[]), Broker::open()) else { return };
    let front = format!("uri = \"{}\"", camera.url("front").unwrap());
    let Some(scene) = Scene::with(&broker.url(), broker, &front, command) else { return };
    scene.recorder.wait_for_json("visor/front/events", |event| event["type"] == "started");
    scene.recorder.wait_for("visor/steady/status", "online");
    scene.finish(0);
}

#[test]
fn a_full_and_read_only_disk_makes_no_difference() {
    let full = tempfile::tempdir().unwrap();
    let prepare = |end: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &format!("{FULL_DISK} && {end}"), "sh"]).arg(full.path());
        command.env("HOME", full.path()).env("TMPDIR", full.path()).env_remove("XDG_CACHE_HOME");
        command
    };
    if !prepare("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no disk can be mounted here (run as root)");
        return;
    }
    let mut command = prepare("shift && exec \"$@\"");
    command.arg(visor());
    check_runs(command);
}

#[test]
fn limits_that_may_be_lifted_make_no_difference() {
    let mut command = Command::new("prlimit");
    if !command.arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: prlimit is not installed (apt install util-linux)");
        return;
    }
    let mut command = Command::new("prlimit");
    command.args(["--fsize=0:", "--nofile=18:"]).arg(visor());
    check_runs(command);
}

#[test]
fn a_second_daemon_on_the_same_port_says_so_and_ends() {
    let Some(_) = sample() else { return };
    let config = |port: &str| format!("{}[http]\nlisten = \"{port}\"\n[cameras.front]\nuri = \"test:\"\n", models());
    let first = Daemon::start(&config("127.0.0.1:0"));
    first.wait_ready();
    let address = first.address().unwrap();
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("[mqtt]\nurl = \"mqtt://{}\"\n", broker.local_addr().unwrap());
    let mut second = Daemon::start(&(config(&address) + &url));
    assert_eq!(second.wait().code(), Some(69));
    broker.set_nonblocking(true).unwrap();
    assert!(broker.accept().is_err(), "it would have put the first one off a broker");
    let told = format!("{:?}", second.log());
    assert!(told.contains(&address) && told.contains("http.listen"), "{told}");
    first.wait_for_frames("front", 2.0);
    assert!(first.stop().success());
}

#[test]
fn a_killed_daemon_leaves_no_capture_process() {
    let Some(camera) = faces(&[]) else { return };
    let Some(scene) = Scene::start(&format!("uri = \"{}\"", camera.url("front").unwrap())) else { return };
    let children = scene.daemon.children();
    assert_eq!(children.len(), 2);
    scene.daemon.signal(Signal::KILL);
    let killed = Instant::now();
    while children.iter().any(|pid| runs(*pid)) {
        assert!(killed.elapsed() < Duration::from_secs(2), "a capture process outlives its daemon");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process is there and not merely unburied.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}
