//! A camera that comes to harm, one beside it that must not notice, a broker, and a recorder of everything.

use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use visor::restream::child::SimulatedCamera;

use super::broker::Broker;
use super::daemon::{Daemon, fetch, models, sample, sum, visor};
use super::recorder::{Recorder, check_delivery};
use super::wait::eventually;

/// How soon after a cause's end all must be well again.
pub const RECOVERY: Duration = Duration::from_secs(5);

/// Between two looks at a camera's count of frames.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks without a new frame that are too many: a second and a half. They are counted, not timed, since a machine that
/// holds up the frames holds up the looks as well.
const GAP: usize = 30;

/// A daemon with the cameras `front` and `steady`.
pub struct Scene {
    /// The daemon.
    pub daemon: Daemon,
    /// Sees everything at the broker, whatever is between this and the daemon.
    pub recorder: Recorder,
    _broker: Broker,
    config: Box<dyn Fn(&str) -> String>,
    steady: Flow,
}

/// A simulated camera that shows faces at the mount `front`; `None`, aloud, where there is no clip.
pub fn faces(args: &[&str]) -> Option<SimulatedCamera> {
    let mount = format!("front={}", sample()?.display());
    Some(SimulatedCamera::start(visor(), &[&["--mount", &mount], args].concat()).unwrap())
}

impl Scene {
    /// Starts both cameras and waits until they are online; `front` has the lines of one's configuration.
    pub fn start(front: &str) -> Option<Self> {
        let broker = Broker::open()?;
        let scene = Self::with(&broker.url(), broker, front, Command::new(visor()))?;
        scene.recorder.wait_for("visor/front/status", "online");
        scene.recorder.wait_for("visor/steady/status", "online");
        Some(scene)
    }

    /// Starts the daemon by `command` for a broker at `url`, and waits until the steady camera's frames come.
    pub fn with(url: &str, broker: Broker, front: &str, command: Command) -> Option<Self> {
        // Aloud where the library is missing.
        sample()?;
        let recorder = Recorder::at(broker.port);
        let url = url.to_owned();
        let config = move |front: &str| {
            format!(
                "{}[mqtt]\nurl = \"{url}\"\n[cameras.front]\n{front}\n\
                 [cameras.steady]\nuri = \"test:?size=320x240&fps=30\"\nanalysis_fps = 2\n",
                models()
            )
        };
        let daemon = Daemon::start_with(&config(front), command);
        daemon.wait_for_frames("steady", 1.0);
        let steady = Flow::of(&daemon, "steady");
        Some(Self { daemon, recorder, _broker: broker, config: Box::new(config), steady })
    }

    /// Gives the camera in front other lines in the configuration.
    pub fn reload(&self, front: &str) {
        self.daemon.reload(&(self.config)(front));
    }

    /// The process that captures the camera in front.
    pub fn capture(&self) -> i32 {
        eventually("a capture child", || self.daemon.captures("front").last().copied())
    }

    /// Waits for the camera in front to be lost for a reason (as in metrics) after `since`, and gives the log's line.
    pub fn lost(&self, reason: &str, since: Timestamp) -> Value {
        self.daemon.wait_for_log("source lost", |entry| {
            entry["camera"] == "front" && entry["reason"] == reason && time(entry) >= since
        })
    }

    /// Waits for the camera in front to be online (again) after `since`, and gives when this was.
    pub fn online(&self, since: Timestamp) -> Timestamp {
        let online = |entry: &Value| entry["camera"] == "front" && time(entry) >= since;
        time(&self.daemon.wait_for_log("source online", online))
    }

    /// Waits until the camera in front is online again, which must not take longer than it may after `end`, when the
    /// cause of its absence was gone.
    pub fn check_recovery(&self, since: Timestamp, end: Timestamp) {
        let took = self.online(since).duration_since(end);
        eprintln!("online again {took:?} after the cause's end");
        assert!(took <= RECOVERY.try_into().unwrap(), "online again only {took:?} after the cause's end");
        self.recorder.wait_for("visor/front/status", "online");
        self.daemon.wait_for_frames("front", 2.0);
    }

    /// Ends the daemon in order. The steady camera must not have noticed anything, and of the events of the camera in
    /// front none may be missing, or be there twice but for those that each of `breaks` of the connection repeats.
    pub fn finish(self, breaks: usize) {
        let longest = self.steady.end();
        assert!(longest <= GAP, "the other camera's frames did not come for {longest} looks of {LOOK_EVERY:?}");
        assert_eq!(self.daemon.metric("visor_camera_restarts_total", &["camera=\"steady\""]), 0.0);
        self.recorder.wait_for("visor/steady/status", "online");
        assert!(self.daemon.stop().success());
        self.recorder.wait_for("visor/status", "offline");
        let before: Vec<String> = self.recorder.on("visor/steady/status");
        let changes: Vec<&String> = before.iter().skip_while(|status| *status != "online").collect();
        assert!(changes.iter().rev().skip(1).all(|status| *status == "online"), "the other camera: {before:?}");
        let seqs = self.recorder.seqs("front");
        check_delivery(&seqs, seqs.iter().copied().max().unwrap_or(0), breaks);
    }
}

/// When a line of the log was written.
pub fn time(entry: &Value) -> Timestamp {
    entry["timestamp"].as_str().unwrap().parse().unwrap()
}

/// Sends a signal to a process.
pub fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Waits until a process is gone.
pub fn wait_gone(pid: i32) {
    let process = format!("/proc/{pid}");
    eventually(&format!("process {pid} to go"), || (!std::path::Path::new(&process).exists()).then_some(()));
}

/// Looks all the time whether a camera's frames come.
pub struct Flow {
    end: Sender<()>,
    thread: JoinHandle<usize>,
}

impl Flow {
    /// Begins to look.
    pub fn of(daemon: &Daemon, camera: &str) -> Self {
        let (end, ended) = bounded(0);
        let address = daemon.address().unwrap();
        let label = format!("camera=\"{camera}\"");
        let thread = std::thread::spawn(move || {
            let (mut last, mut since, mut longest) = (-1.0, 0, 0);
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let frames = fetch(&address, "/metrics")
                    .map_or(last, |(_, text)| sum(&text, "visor_frames_captured_total", &[&label]));
                since = if frames > last { 0 } else { since + 1 };
                last = frames;
                longest = longest.max(since);
            }
            longest
        });
        Self { end, thread }
    }

    /// The longest run of looks without a new frame.
    pub fn end(self) -> usize {
        drop(self.end);
        self.thread.join().unwrap()
    }

    /// Ends it; there must not have been a gap.
    pub fn check(self) {
        let longest = self.end();
        assert!(longest <= GAP, "frames did not come for {longest} looks of {LOOK_EVERY:?}");
    }
}
