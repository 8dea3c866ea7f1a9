//! Masked video pushed to a media server by RTSP RECORD.
#![cfg(feature = "media")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use visor::sink::restream::CameraConfig;
use visor::source::Uri;

use super::support::player::{metric, mount, open_to_all, play, serve, there_is_one};
use super::support::proxy::Reserved;
use super::support::wait::eventually;

/// `pusher:open sesame`, as basic authentication has it.
const PUSHER: &str = "Authorization: Basic cHVzaGVyOm9wZW4gc2VzYW1l";

/// A media server that takes one camera's video from the user `pusher` alone, and hangs up when it is dropped.
struct MediaServer(Arc<Seen>);

/// What a media server has to do with those who push.
#[derive(Default)]
struct Seen {
    /// Packets that came.
    packets: AtomicU64,
    /// Recordings that were begun.
    recordings: AtomicU64,
    /// Packets of one recording after which it hangs up.
    most: Option<u64>,
    gone: AtomicBool,
}

impl MediaServer {
    fn start(listener: TcpListener) -> Self {
        Self::start_as(listener, Seen::default())
    }

    fn start_as(listener: TcpListener, seen: Seen) -> Self {
        let server = Self(Arc::new(seen));
        let seen = Arc::clone(&server.0);
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            // whoever gives up on a slow machine comes again
            while !seen.gone.load(Ordering::Acquire) {
                let Ok((player, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || player.set_nonblocking(false).and_then(|()| take(&player, &seen)));
            }
        });
        server
    }

    fn wait_for_video(&self) {
        eventually("video at the media server", || (self.0.packets.load(Ordering::Acquire) > 20).then_some(()));
    }

    fn wait_for_recordings(&self, count: u64) {
        eventually("recordings", || (self.0.recordings.load(Ordering::Acquire) >= count).then_some(()));
    }
}

impl Drop for MediaServer {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
    }
}

/// Answers requests and counts packets of video, which come between them, until it is to hang up.
fn take(pusher: &TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut from = BufReader::new(pusher);
    let mut packets = 0;
    while !seen.gone.load(Ordering::Acquire) && seen.most.is_none_or(|most| packets < most) {
        let mut first = [0];
        from.read_exact(&mut first)?;
        if first == *b"$" {
            let mut header = [0; 3];
            from.read_exact(&mut header)?;
            let length = u16::from_be_bytes([header[1], header[2]]);
            from.read_exact(&mut vec![0; length.into()])?;
            packets += 1;
            seen.packets.fetch_add(1, Ordering::AcqRel);
        } else {
            let request = read_request(&mut from)?;
            (&*pusher).write_all(answer(&request).as_bytes())?;
            seen.recordings.fetch_add(u64::from(request[0].starts_with("ECORD")), Ordering::AcqRel);
        }
    }
    Ok(())
}

/// A request's lines, without the first letter of the first.
fn read_request(from: &mut impl BufRead) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = field(&lines, "Content-Length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    from.read_exact(&mut vec![0; length])?;
    Ok(lines)
}

fn field<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn answer(request: &[String]) -> String {
    let sequence = field(request, "CSeq:").unwrap_or_default();
    let known = request.iter().any(|line| line == PUSHER) || request[0].starts_with("PTIONS");
    let (status, more) = match field(request, "Transport:") {
        _ if !known => ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"media\"\r\n".to_owned()),
        Some(transport) => ("200 OK", format!("Transport: {transport}\r\nSession: 1\r\n")),
        None => ("200 OK", "Session: 1\r\nPublic: OPTIONS, ANNOUNCE, SETUP, RECORD, TEARDOWN\r\n".to_owned()),
    };
    format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{more}\r\n")
}

#[test]
fn video_is_pushed_to_a_media_server_that_comes_late_and_goes() {
    if !there_is_one() {
        return;
    }
    let reserved = Reserved::new();
    let port = reserved.port();
    let restream = serve(&open_to_all());
    let (_film, url) = mount(&restream, "pushed", &pushed_to(port));
    // it is not there yet, which players do not notice
    play(&url, "tcp", 10);
    let server = MediaServer::start(reserved.listen());
    server.wait_for_video();
    play(&url, "tcp", 10);
    drop(server);
    let again = eventually("the port to be free", || TcpListener::bind(("127.0.0.1", port)).ok());
    MediaServer::start(again).wait_for_video();
}

#[test]
fn a_media_server_that_hangs_up_records_anew_and_one_that_is_deaf_holds_up_nobody() {
    if !there_is_one() {
        return;
    }
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fickle = MediaServer::start_as(listener, Seen { most: Some(60), ..Seen::default() });
    let restream = serve(&open_to_all());
    let (_first, unheard) = mount(&restream, "unheard", &pushed_to(deaf.local_addr().unwrap().port()));
    let (_second, heard) = mount(&restream, "heard", &pushed_to(port));
    // packets of a session that has ended would be worth nothing to it
    fickle.wait_for_recordings(3);
    eventually("video to flow", || (up("heard") == 1.0).then_some(()));
    // whoever gives up comes again
    deaf.set_nonblocking(true).unwrap();
    let _attempts = [(); 2].map(|()| eventually("another attempt", || deaf.accept().ok()));
    assert_eq!(up("unheard"), 0.0);
    play(&unheard, "tcp", 10);
    play(&heard, "tcp", 10);
    drop(restream);
    assert_eq!(up("heard"), 0.0);
}

fn up(camera: &str) -> f64 {
    metric("visor_restream_push_up", "camera", camera)
}

/// A camera whose video is pushed there.
fn pushed_to(port: u16) -> CameraConfig {
    let push = format!("rtsp://pusher:open%20sesame@127.0.0.1:{port}/live");
    CameraConfig { push: Some(Uri::from(push.as_str())), ..CameraConfig::default() }
}
