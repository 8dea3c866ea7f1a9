//! The API as a user asks it: with curl.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::daemon::Daemon;
use super::wait::eventually;

/// What curl was answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub json: Value,
}

/// Asks `path` of the daemon's API; `arguments` are curl's.
pub fn curl(daemon: &Daemon, method: &str, path: &str, arguments: &[&str]) -> Answer {
    curl_with(daemon, method, path, arguments, &[])
}

/// The same with `input` where the arguments name the file `-`.
pub fn curl_with(daemon: &Daemon, method: &str, path: &str, arguments: &[&str], input: &[u8]) -> Answer {
    let address = eventually("an address for http", || daemon.address());
    let url = format!("http://{address}/api/v1{path}");
    let mut curl = Command::new("curl")
        .args(["-sS", "--globoff", "--max-time", "20", "-w", "%{stderr}%{http_code}", "-X", method, &url])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    curl.stdin.take().unwrap().write_all(input).unwrap();
    let output = curl.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "curl {method} {path}: {said}");
    let status = said.trim().parse().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Answer { status, json }
}

/// Sends JSON.
pub fn curl_json(daemon: &Daemon, method: &str, path: &str, json: &Value) -> Answer {
    let arguments = ["-H", "Content-Type: application/json", "--data-binary", "@-"];
    curl_with(daemon, method, path, &arguments, json.to_string().as_bytes())
}

/// Asks `path` until the answer has this status.
pub fn eventually_json(daemon: &Daemon, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("GET {path} to say so"), || {
        let answer = curl(daemon, "GET", path, &[]);
        (answer.status == 200 && wanted(&answer.json)).then_some(answer.json)
    })
}
