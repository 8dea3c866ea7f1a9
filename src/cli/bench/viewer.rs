//! Whoever watches a camera's masked video by RTSP, for as little as that takes: packets are counted and let go of.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::figure::thread_time;

/// A server forgets who has not spoken for a minute.
const SPEAK_EVERY: Duration = Duration::from_secs(20);

/// How long the server may take to answer, or the next packet to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a viewer has seen and spent.
#[derive(Default)]
struct Seen {
    frames: AtomicU64,
    /// Processor time in nanoseconds.
    spent: AtomicU64,
}

/// One viewer, over TCP, until it is dropped.
pub(super) struct Viewer {
    seen: Arc<Seen>,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Watches what is at `path`.
    pub(super) fn watch(server: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let seen = Arc::<Seen>::default();
        let mut connection =
            Connection { reader: BufReader::new(socket.try_clone()?), socket: socket.try_clone()?, requests: 0 };
        let session = connection.play(&format!("rtsp://{server}/{path}"))?;
        let (counted, url) = (Arc::clone(&seen), format!("rtsp://{server}/{path}"));
        let count = move || {
            // it ends with the socket
            let _ = connection.count(&url, &session, &counted);
        };
        let thread = std::thread::Builder::new().name("viewer".to_owned()).spawn(count)?;
        Ok(Self { seen, socket, thread: Some(thread) })
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> u64 {
        self.seen.frames.load(Ordering::Relaxed)
    }

    /// The processor time that watching has taken.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.seen.spent.load(Ordering::Relaxed))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What an answer says.
#[derive(Default)]
struct Answer {
    session: String,
    body: String,
}

struct Connection {
    reader: BufReader<TcpStream>,
    socket: TcpStream,
    requests: u32,
}

impl Connection {
    /// Has the video sent; the session.
    fn play(&mut self, url: &str) -> Result<String> {
        let described = self.ask("DESCRIBE", url, "Accept: application/sdp\r\n")?.body;
        let control = described.lines().filter_map(|line| line.strip_prefix("a=control:")).next_back();
        let control = control.filter(|control| *control != "*").unwrap_or("stream=0").trim();
        let track = if control.starts_with("rtsp://") { control.to_owned() } else { format!("{url}/{control}") };
        let session = self.ask("SETUP", &track, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")?.session;
        self.ask("PLAY", url, &format!("Session: {session}\r\n"))?;
        Ok(session)
    }

    /// Counts the packets that end a frame.
    fn count(&mut self, url: &str, session: &str, seen: &Seen) -> Result<()> {
        let (mut spoke, mut packet) = (Instant::now(), Vec::new());
        loop {
            let mut head = [0; 4];
            self.reader.read_exact(&mut head[..1])?;
            if head[0] != b'$' {
                self.answer()?;
                continue;
            }
            self.reader.read_exact(&mut head[1..])?;
            packet.resize(usize::from(u16::from_be_bytes([head[2], head[3]])), 0);
            self.reader.read_exact(&mut packet)?;
            // RTP's marker; packets of the odd channel are RTCP
            if head[1] == 0 && packet.get(1).is_some_and(|byte| byte & 0x80 != 0) {
                seen.frames.fetch_add(1, Ordering::Relaxed);
                seen.spent.store(thread_time().as_nanos() as u64, Ordering::Relaxed);
            }
            if spoke.elapsed() > SPEAK_EVERY {
                spoke = Instant::now();
                self.say("OPTIONS", url, &format!("Session: {session}\r\n"))?;
            }
        }
    }

    fn say(&mut self, method: &str, url: &str, headers: &str) -> Result<()> {
        self.requests += 1;
        self.socket.write_all(format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{headers}\r\n", self.requests).as_bytes())
    }

    fn ask(&mut self, method: &str, url: &str, headers: &str) -> Result<Answer> {
        self.say(method, url, headers)?;
        let mut status = String::new();
        self.reader.read_line(&mut status)?;
        if !status.contains(" 200 ") {
            return Err(Error::new(ErrorKind::NotFound, format!("{method} {url}: {}", status.trim())));
        }
        self.answer()
    }

    /// The headers and the body of an answer whose first line, or a part of it, was read.
    fn answer(&mut self) -> Result<Answer> {
        let (mut answer, mut length, mut line) = (Answer::default(), 0, String::new());
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap_or(0);
                }
                Some(("Session", value)) => answer.session = value.split(';').next().unwrap_or_default().to_owned(),
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }
}
