//! A client that keeps its connection, and does nothing that takes time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::fault::Fault;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

/// What came back.
pub(super) struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    pub(super) fn expect(&self, status: u16) -> Result<(), Fault> {
        match self.status == status {
            true => Ok(()),
            false => Err(Fault::unavailable(format!("{} instead of {status}: {}", self.status, self.text))),
        }
    }

    /// Whether it is the first of two that it may be.
    pub(super) fn expect_either(&self, first: u16, second: u16) -> Result<bool, Fault> {
        if self.status == second {
            return Ok(false);
        }
        self.expect(first).map(|()| true)
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).map_err(lost)?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).map_err(lost)?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    /// Asks who is on a picture.
    pub(super) fn recognise(&mut self, picture: &[u8]) -> Result<Answer, Fault> {
        self.ask("/faces/recognize", "image/jpeg", picture)
    }

    /// Asks who looks like an enrolled face.
    pub(super) fn search(&mut self, face: usize) -> Result<Answer, Fault> {
        self.ask("/faces/search", "application/json", format!("{{\"face_id\":{face}}}").as_bytes())
    }

    /// Asks for a picture to be enrolled later.
    pub(super) fn enrol_later(&mut self, picture: &[u8]) -> Result<Answer, Fault> {
        self.ask("/faces/enroll_async?name=Bench", "image/jpeg", picture)
    }

    /// Sends a picture's head alone; whether it is refused at once.
    pub(super) fn announce(&mut self) -> Result<bool, Fault> {
        self.send("/faces/recognize", "image/jpeg", 1_000_000)?;
        let short = Duration::from_millis(200);
        self.stream.get_ref().set_read_timeout(Some(short)).map_err(lost)?;
        let mut line = String::new();
        let answered = self.stream.read_line(&mut line);
        Ok(answered.is_ok() && line.split_whitespace().nth(1) == Some("503"))
    }

    fn send(&mut self, path: &str, kind: &str, length: usize) -> Result<(), Fault> {
        let address = self.address;
        let head = format!(
            "POST /api/v1{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.get_mut().write_all(head.as_bytes()).map_err(lost)
    }

    fn ask(&mut self, path: &str, kind: &str, body: &[u8]) -> Result<Answer, Fault> {
        self.send(path, kind, body.len())?;
        // an answer may come before all is sent, and the connection end with it
        let sent = self.stream.get_mut().write_all(body);
        let answer = self.read();
        if sent.is_err() || answer.as_ref().is_ok_and(|answer| answer.status >= 400) {
            *self = Self::connect(self.address)?;
        }
        match answer {
            Err(_) if sent.is_err() => Ok(Answer { status: 503, text: String::new() }),
            answer => answer,
        }
    }

    fn read(&mut self) -> Result<Answer, Fault> {
        let (mut line, mut length, mut status) = (String::new(), 0, 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line).map_err(lost)?;
            let text = line.trim_end().to_ascii_lowercase();
            match text.split_once(':') {
                _ if text.is_empty() => break,
                None => status = text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0),
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(lost)?;
        Ok(Answer { status, text: String::from_utf8_lossy(&body).into_owned() })
    }
}

fn lost(error: std::io::Error) -> Fault {
    Fault::unavailable(format!("the connection to the daemon: {error}"))
}
