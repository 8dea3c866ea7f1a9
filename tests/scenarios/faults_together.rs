//! Faults at random and one over another, for a while: in the end everything is as it was.
#![cfg(feature = "media")]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use visor::restream::child::SimulatedCamera;

use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, sample, visor};
use super::support::proxy::Proxy;
use super::support::recorder::{Recorder, check_delivery};
use super::support::scene::signal;
use super::support::wait::{eventually, soak_time};

const CAMERAS: [&str; 3] = ["a", "b", "c"];

struct Stage {
    daemon: Daemon,
    proxy: Proxy,
    served: Vec<SimulatedCamera>,
    clip: String,
    breaks: usize,
}

impl Stage {
    fn serve(clip: &str, name: &str, listen: &str) -> SimulatedCamera {
        SimulatedCamera::start(visor(), &["--mount", &format!("{name}={clip}"), "--listen", listen]).unwrap()
    }

    fn harm(&mut self) {
        let which = fastrand::usize(..CAMERAS.len());
        match fastrand::u8(..5) {
            0 => self.harm_capture(which, Signal::KILL),
            1 => self.harm_capture(which, Signal::STOP),
            2 => {
                let listen = self.served[which].listen().to_owned();
                let camera = self.served.remove(which);
                drop(camera);
                self.served.insert(which, Self::serve(&self.clip, CAMERAS[which], &listen));
            }
            3 => {
                let pid = self.served[which].id() as i32;
                signal(pid, Signal::STOP);
                std::thread::park_timeout(Duration::from_millis(fastrand::u64(100..1500)));
                signal(pid, Signal::CONT);
            }
            _ => {
                self.proxy.cut();
                self.breaks += 1;
            }
        }
    }

    fn harm_capture(&self, which: usize, harm: Signal) {
        let pid = *self.daemon.captures(CAMERAS[which]).last().unwrap();
        if self.daemon.children().contains(&(pid as u32)) {
            signal(pid, harm);
        }
    }

    /// Waits until every camera has frames again.
    fn settle(&self) {
        CAMERAS.iter().for_each(|id| self.daemon.wait_for_frames(id, 3.0));
        eventually("the broker", || (self.daemon.metric("visor_mqtt_connected", &[]) == 1.0).then_some(()));
        eventually("one child a camera", || (self.daemon.children().len() == CAMERAS.len()).then_some(()));
    }

    /// Resident memory in MiB and the number of descriptors of the daemon alone.
    fn size(&self) -> (f64, usize) {
        let of = |file: &str| format!("/proc/{}/{file}", self.daemon.id());
        let status = std::fs::read_to_string(of("status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: f64 = resident.split_whitespace().next().unwrap().parse().unwrap();
        (kib / 1024.0, std::fs::read_dir(of("fd")).unwrap().count())
    }
}

#[test]
fn soak_faults_at_random_leave_nothing_behind() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    let clip = clip.display().to_string();
    let recorder = Recorder::at(broker.port);
    let proxy = Proxy::to(broker.port, true);
    let served: Vec<_> = CAMERAS.iter().map(|name| Stage::serve(&clip, name, "127.0.0.1:0")).collect();
    let mut config = format!("{}[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", models(), proxy.port);
    for (name, camera) in CAMERAS.iter().zip(&served) {
        config += &format!("[cameras.{name}]\nuri = \"{}\"\nanalysis_fps = 4\n", camera.url(name).unwrap());
    }
    let mut stage = Stage { daemon: Daemon::start(&config), proxy, served, clip, breaks: 0 };
    let began = Instant::now();
    stage.settle();
    // Warm: each camera has had another child.
    (0..CAMERAS.len()).for_each(|which| stage.harm_capture(which, Signal::KILL));
    stage.settle();
    let (before, descriptors) = stage.size();
    let mut faults = 0;
    while began.elapsed() < soak_time() {
        stage.harm();
        faults += 1;
        if fastrand::bool() {
            stage.settle();
        }
    }
    stage.settle();
    CAMERAS.iter().for_each(|name| recorder.wait_for(&format!("visor/{name}/status"), "online"));
    let (after, _) = stage.size();
    println!("{faults} faults in {:?}, memory {before:.0} -> {after:.0} MiB", began.elapsed());
    assert!(after < before * 1.1 + 24.0, "memory grew from {before:.0} to {after:.0} MiB");
    // A request over http may be open while we look.
    eventually("no more descriptors than before", || (stage.size().1 <= descriptors + 2).then_some(()));
    let breaks = stage.breaks;
    assert!(stage.daemon.stop().success());
    recorder.wait_for("visor/status", "offline");
    for name in CAMERAS {
        let seqs = recorder.seqs(name);
        check_delivery(&seqs, seqs.iter().copied().max().unwrap_or(0), breaks);
    }
}
