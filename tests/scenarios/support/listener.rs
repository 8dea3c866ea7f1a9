//! `curl` at an answer that goes on.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use super::wait::{PATIENCE, eventually};

/// `curl -N` at an address, and what it prints.
pub struct Listener(Child, mpsc::Receiver<String>);

impl Listener {
    /// With these headers.
    pub fn at(address: &str, headers: &[&str]) -> Self {
        let mut command = Command::new("curl");
        command.args(["-sN", address]).stdout(Stdio::piped());
        command.args(headers.iter().flat_map(|header| ["-H", header]));
        let mut child = command.spawn().unwrap();
        // pictures may be among them
        let lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n').map_while(Result::ok);
        let (sender, heard) = mpsc::channel();
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        std::thread::spawn(move || lines.map(text).try_for_each(|line| sender.send(line)));
        Self(child, heard)
    }

    /// Id, name and data of the next event.
    pub fn event(&self) -> (String, String, Value) {
        let (mut id, mut name) = (String::new(), String::new());
        loop {
            let line = self.1.recv_timeout(PATIENCE).expect("an event in time");
            match line.split_once(": ") {
                Some(("id", text)) => id = text.to_owned(),
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => return (id, name, serde_json::from_str(text).unwrap()),
                _ => {}
            }
        }
    }

    /// Waits for a line, whatever it says.
    pub fn line(&self) -> String {
        self.1.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// Waits until the answer is over, and says whether curl was content with how it ended.
    pub fn ended(mut self) -> bool {
        while self.1.recv_timeout(PATIENCE).is_ok() {}
        eventually("curl to end", || self.0.try_wait().unwrap()).success()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
