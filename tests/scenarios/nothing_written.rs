//! Nothing is written to disk: the daemon, its children and all its threads under `strace`, with an empty home.
#![cfg(feature = "media")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use visor::restream::child::SimulatedCamera;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample, sample_people, visor};
use super::support::recorder::Recorder;
use super::support::wait::{eventually, soak_time};

/// System calls that open or change what is on a disk.
const CALLS: &str = "trace=open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,\
     symlink,symlinkat,truncate,unlink,unlinkat";

/// Lines of a trace that opened or changed something on a disk. Devices, `/proc` and sockets are none; an attempt that
/// the kernel refused changed nothing.
fn writes(trace: &str) -> Vec<&str> {
    trace.lines().filter(|line| changes_a_file(line)).collect()
}

fn changes_a_file(line: &str) -> bool {
    let Some((call, outcome)) = line.rsplit_once(" = ") else { return false };
    let elsewhere = ["\"/dev/", "\"/proc/"].iter().any(|place| call.contains(place));
    if outcome.starts_with('-') || elsewhere {
        return false;
    }
    let opens = ["open(", "openat(", "openat2("].iter().any(|name| call.contains(name));
    let for_writing = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"].iter().any(|flag| call.contains(flag));
    if opens { for_writing } else { call.contains('(') }
}

/// Watches masked video until some of it has come: from then on there was an encoder, and a client of the server's.
fn watch(url: &str, config: &Path) {
    let mut player = Command::new(visor());
    player.args(["track", url, "--format", "json", "--config"]).arg(config);
    let mut player = player.stdout(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(player.stdout.take().unwrap()).lines().next();
    player.kill().unwrap();
    player.wait().unwrap();
    assert!(first.is_some_and(|line| line.is_ok()), "nothing came from {url}");
}

#[test]
fn a_planted_write_is_seen() {
    let trace = "12 openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY|O_CLOEXEC) = 3\n\
        12 openat(AT_FDCWD, \"/dev/null\", O_RDWR) = 4\n\
        12 openat(AT_FDCWD, \"/home/anna/.cache/x\", O_WRONLY|O_CREAT, 0666) = -1 EACCES (Permission denied)\n\
        13 openat(AT_FDCWD, \"/home/anna/.cache/x\", O_WRONLY|O_CREAT, 0666) = 5\n\
        13 mkdir(\"/tmp/orc\", 0700) = 0\n";
    assert_eq!(writes(trace).len(), 2);
}

/// Somebody becomes known and unknown again, and somebody is recognised.
fn enrol_and_forget(recorder: &Recorder, people: &Path) {
    recorder.send("visor/people/alice/enroll", std::fs::read(people.join("Robin/portrait.jpg")).unwrap());
    recorder.wait_for_json("visor/people/alice/enroll/result", |answer| answer["ok"] == true);
    recorder.publish("visor/people/alice/forget", false, "");
    recorder.wait_for_json("visor/people/alice/forget/result", |answer| answer["ok"] == true);
    recorder.wait_for_json("visor/a/events", |event| event["type"] == "identified");
}

#[test]
fn soak_no_file_is_opened_for_writing() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed (apt install strace)");
        return;
    }
    let recorder = Recorder::at(broker.port);
    let clip = clip.display();
    let mounts = [format!("a={clip}"), format!("b={clip}")];
    let cameras = SimulatedCamera::start(visor(), &["--mount", &mounts[0], "--mount", &mounts[1]]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (home, trace) = (place.path().join("home"), place.path().join("trace"));
    std::fs::create_dir(&home).unwrap();
    let mut command = Command::new("strace");
    // -D: the daemon is the child, and gets the signals; strace looks on from the side.
    command.args(["-D", "-f", "--seccomp-bpf", "-e", CALLS, "-o"]).arg(&trace).arg(visor());
    command.env("HOME", &home).env_remove("XDG_CACHE_HOME");
    let (a, b) = (cameras.url("a").unwrap(), cameras.url("b").unwrap());
    let people = sample_people();
    let gallery = people.as_ref().map(|people| format!("[gallery]\nfolder = \"{}\"\n", people.display()));
    let daemon = Daemon::start_with(
        &format!(
            "{}{}[log]\nevents = true\n[mqtt]\nurl = \"{}\"\n[restream]\nlisten = \"127.0.0.1:0\"\n\
             [cameras.a]\nuri = \"{a}\"\nsnapshots = \"clear\"\n\
             [cameras.b]\nuri = \"{b}\"\nsnapshots = \"masked\"\n[cameras.b.restream]\n",
            models(),
            gallery.unwrap_or_default(),
            broker.url()
        ),
        command,
    );
    let served = daemon.wait_for_log("serves masked video", |_| true);
    watch(&format!("rtsp://{}/b", served["address"].as_str().unwrap()), &daemon.dir.path().join("visor.toml"));
    let began = Instant::now();
    for camera in ["a", "b"] {
        recorder.wait_for_json(&format!("visor/{camera}/events"), |event| event["type"] == "ended");
        let topic = format!("visor/{camera}/snapshot/");
        eventually("a snapshot", || recorder.messages().iter().any(|m| m.topic.starts_with(&topic)).then_some(()));
    }
    if let Some(people) = people {
        enrol_and_forget(&recorder, &people);
    }
    while began.elapsed() < soak_time() {
        daemon.wait_for_frames("a", 5.0);
        daemon.wait_for_frames("b", 5.0);
    }
    let analysed = daemon.analysed("a") + daemon.analysed("b");
    let took = began.elapsed();
    assert!(daemon.stop().success());
    let trace = eventually("the trace of the daemon's end", || {
        std::fs::read_to_string(&trace)
            .ok()
            .filter(|text| text.lines().filter(|l| l.contains("+++ exited")).count() > 2)
    });
    assert!(trace.contains("O_RDONLY"), "the trace holds nothing at all");
    println!(
        "{analysed} frames analysed in {took:?}, {} calls that open or change a file traced",
        trace.lines().count()
    );
    assert_eq!(writes(&trace), Vec::<&str>::new());
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "something is in the home folder");
}
