//! Debian's mosquitto on a free port, without persistence.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::wait::eventually;

/// A broker of one's own; killed when dropped.
pub struct Broker {
    /// Where it listens.
    pub port: u16,
    /// Its configuration and whatever else a test needs for it.
    pub dir: TempDir,
    process: Option<Child>,
}

/// Ports that are tried.
const TRIES: usize = 10;

impl Broker {
    /// Starts one that lets everybody in. `None`, aloud, where mosquitto is not installed.
    pub fn open() -> Option<Self> {
        Self::with(|_| "allow_anonymous true\n".to_owned())
    }

    /// Starts one whose (first) listener has the settings that `settings` gives for its folder.
    pub fn with(settings: impl FnOnce(&Path) -> String) -> Option<Self> {
        program()?;
        let mut broker = Self { port: 0, dir: tempfile::tempdir().unwrap(), process: None };
        let listener = settings(broker.dir.path());
        // somebody else may take a port between its choice and the broker's start
        let started = (0..TRIES).any(|_| {
            broker.port = free_port();
            // Without its limits a slow subscriber would lose messages, and a test would blame the publisher. The user is
            // named so that a broker started by root may read this folder.
            let config = format!(
                "user root\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\n\
                 per_listener_settings true\nlistener {} 127.0.0.1\n{listener}",
                broker.port
            );
            std::fs::write(broker.config(), config).unwrap();
            broker.try_start()
        });
        assert!(started, "mosquitto starts on none of {TRIES} ports");
        Some(broker)
    }

    /// One that does not run yet.
    pub fn absent() -> Option<Self> {
        let mut broker = Self::open()?;
        broker.kill();
        Some(broker)
    }

    /// Starts it (again) on its port and waits until it answers.
    pub fn start(&mut self) {
        // a client of the one before may have the port for a moment
        eventually("mosquitto to listen again", || self.try_start().then_some(()));
    }

    /// `false` where its port is taken.
    fn try_start(&mut self) -> bool {
        if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            return false;
        }
        let mut command = Command::new(program().unwrap());
        command.arg("-c").arg(self.config()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let port = self.port;
        let listens = eventually("mosquitto to listen", || match process.try_wait().unwrap() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true),
        });
        self.process = listens.then_some(process);
        listens
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Makes it read its files again.
    pub fn reload(&self) {
        let id = self.process.as_ref().unwrap().id();
        let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Its address as the configuration writes it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("mosquitto.conf")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody uses now. Somebody may a moment later: whoever can is to try again with another one.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program() -> Option<&'static str> {
    let found = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];
    let found = found.into_iter().find(|program| Path::new(program).exists());
    if found.is_none() {
        eprintln!("skipped: mosquitto is not installed (apt install mosquitto)");
    }
    found
}
