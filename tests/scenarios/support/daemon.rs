//! `visor run` as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::wait::eventually;

/// The program under test.
pub fn visor() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_visor"))
}

/// A file of the checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The demo's clip; `None`, aloud, where it, the library or the detector is missing.
pub fn sample() -> Option<PathBuf> {
    let needed = [".cache/sample/people.mp4", "models/store/libonnxruntime.so"].map(checkout);
    let missing = needed.iter().find(|path| !path.is_file());
    if let Some(missing) = missing {
        eprintln!("skipped: {} is missing (scripts/setup makes it)", missing.display());
        return None;
    }
    Some(needed[0].clone())
}

/// A file or folder of the assets; `None`, aloud, without them.
pub fn asset(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("VISOR_ASSETS").map(|assets| Path::new(&assets).join(path)).filter(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: there is no {path} in VISOR_ASSETS");
    }
    found
}

/// The detector that the store has, as lines of `[models]`.
pub fn models() -> &'static str {
    if checkout("models/store/yunet_n_dynamic.onnx").is_file() {
        "[models]\n"
    } else {
        "[models]\ndetector = \"centerface\"\ninput = \"320x192\"\n"
    }
}

/// `visor detect` with the detector that the store has: the scores of the faces that it finds in a picture.
pub fn detected(picture: &Path) -> Vec<f64> {
    let mut detect = Command::new(visor());
    detect.arg("detect").arg(picture).arg("--json");
    if models().contains("centerface") {
        detect.envs([("VISOR__MODELS__DETECTOR", "centerface"), ("VISOR__MODELS__INPUT", "320x192")]);
    }
    let found = detect.output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    found["faces"].as_array().unwrap().iter().map(|face| face["score"].as_f64().unwrap()).collect()
}

/// The folder of the clip's one known person; `None`, aloud, where that or an embedder is missing.
pub fn sample_people() -> Option<PathBuf> {
    sample()?;
    let people = checkout(".cache/sample/people");
    let embedders = ["face_reidentification_retail_0095.onnx", "dlib_resnet_faceapi.onnx"];
    let embedder = embedders.iter().any(|file| checkout("models/store").join(file).is_file());
    if people.is_dir() && embedder {
        return Some(people);
    }
    eprintln!("skipped: an embedder in models/store or {} is missing (scripts/setup makes both)", people.display());
    None
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    /// Its configuration is here.
    pub dir: TempDir,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Daemon {
    /// Starts the daemon with this configuration, on a port of its own for http.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, Command::new(visor()))
    }

    /// The same through a command that ends with the program's name, such as `strace … visor`.
    pub fn start_with(config: &str, mut command: Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("visor.toml");
        std::fs::write(&file, with_http(config)).unwrap();
        command.args(["run", "--config"]).arg(&file);
        // The spawner's own lines say which process captures which camera.
        command
            .env("RUST_LOG", "info,visor::source::spawner=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(entry);
            }
        });
        Self { child, dir, log }
    }

    /// Replaces the configuration and asks for a reload.
    pub fn reload(&self, config: &str) {
        std::fs::write(self.dir.path().join("visor.toml"), with_http(config)).unwrap();
        self.signal(Signal::HUP);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far, a JSON object a line.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line in the log with this message, for which `wanted` holds.
    pub fn wait_for_log(&self, message: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("\"{message}\" in the log"), || {
            self.log().into_iter().find(|entry| entry["message"] == message && wanted(entry))
        })
    }

    /// Waits until `/readyz` says yes.
    pub fn wait_ready(&self) {
        eventually("the daemon to be ready", || self.get("/readyz").filter(|(status, _)| *status == 200));
    }

    /// Status and body of an answer over http; `None` while nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        fetch(&self.address()?, path)
    }

    /// Where it listens for http; `None` until it does.
    pub fn address(&self) -> Option<String> {
        let listens = self.log().into_iter().find(|entry| entry["message"] == "http listens")?;
        Some(listens["address"].as_str()?.to_owned())
    }

    /// The sum of a metric's samples whose labels contain all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.get("/metrics").map_or(0.0, |(_, text)| sum(&text, name, labels))
    }

    /// Frames of `camera` that were analysed.
    pub fn analysed(&self, camera: &str) -> f64 {
        self.metric("visor_frames_analysed_total", &[&format!("camera=\"{camera}\"")])
    }

    /// Waits until `more` further frames of `camera` have been analysed.
    pub fn wait_for_frames(&self, camera: &str, more: f64) {
        let before = self.analysed(camera);
        eventually(&format!("{more} more frames of {camera}"), || {
            (self.analysed(camera) >= before + more).then_some(())
        });
    }

    /// The capture children that `camera` has had so far, the present one last.
    pub fn captures(&self, camera: &str) -> Vec<i32> {
        let log = self.log();
        let started = log.iter().filter(|e| e["message"] == "capture child started" && e["camera"] == camera);
        started.map(|entry| entry["pid"].as_i64().unwrap() as i32).collect()
    }

    /// Process ids of its capture children.
    pub fn children(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the daemon to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for entry in self.log() {
                eprintln!("visor: {entry}");
            }
        }
    }
}

/// Status and body of an answer over http; `None` where nobody answers in time.
pub fn fetch(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The sum of a metric's samples in what `/metrics` says, of those whose labels contain all of `labels`.
pub fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name));
    let samples = samples.filter(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|l| rest.contains(l)));
    samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn with_http(config: &str) -> String {
    // A scenario asks as often as it likes; those about limits set them.
    if config.contains("[http]") {
        config.to_owned()
    } else {
        format!("[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\n{config}")
    }
}
