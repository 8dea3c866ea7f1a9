//! Somebody who takes webhooks, or does not.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::wait::eventually;

/// What webhooks are signed with.
pub const SECRET: &str = "a-secret-of-some-length";

/// Listens on a port of its own.
pub struct Receiver {
    /// Host and port.
    pub host: String,
    answer: Arc<Mutex<String>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A webhook that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its body.
    pub json: Value,
    /// Whether it was taken.
    pub taken: bool,
    /// When it came.
    pub at: Instant,
}

impl Receiver {
    /// Takes what comes, until it is told to do something else.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (answer, heard) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let receiver = Self { host, answer: Arc::clone(&answer), heard: Arc::clone(&heard) };
        receiver.answer("204 No Content");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (head, body) = request(&mut BufReader::new(&stream));
                assert!(is_signed(&head, &body), "{head}");
                let json = serde_json::from_slice(&body).unwrap();
                let answer = answer.lock().unwrap().clone();
                heard.lock().unwrap().push(Heard { json, taken: answer.starts_with('2'), at: Instant::now() });
                let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        receiver
    }

    /// Where webhooks are to go: nothing of it belongs into a log.
    pub fn url(&self) -> String {
        format!("http://{}/visor-hook", self.host)
    }

    /// The status, and further lines of the head, with which it answers from now on.
    pub fn answer(&self, status: &str) {
        status.clone_into(&mut self.answer.lock().unwrap());
    }

    /// All that came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What it took so far.
    pub fn taken(&self) -> Vec<Value> {
        self.heard().into_iter().filter(|heard| heard.taken).map(|heard| heard.json).collect()
    }

    /// Waits until something else was refused.
    pub fn refuses_another(&self) -> Heard {
        let before = self.heard().len();
        eventually("a webhook that is refused", || self.heard().into_iter().skip(before).find(|heard| !heard.taken))
    }
}

fn request(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap() > 2 {}
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

fn is_signed(head: &str, body: &[u8]) -> bool {
    let line =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("x-visor-signature: ").map(str::to_owned));
    let line = line.unwrap_or_default();
    let Some((time, signature)) = line.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>() == signature
}
