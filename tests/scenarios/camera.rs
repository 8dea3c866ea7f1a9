//! The simulated camera as a process: it says where it is, asks for its password, and goes when it should.
#![cfg(feature = "media")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use visor::restream::child::SimulatedCamera;

const PATTERN: [&str; 8] = ["--mount", "front=test:", "--size", "160x120", "--fps", "5", "--codec", "mjpeg"];

fn visor() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_visor"))
}

/// The status line of the answer to DESCRIBE.
fn describe(camera: &SimulatedCamera, mount: &str) -> String {
    let mut stream = TcpStream::connect(camera.listen()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let url = format!("rtsp://{}/{mount}", camera.listen());
    write!(stream, "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n").unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn it_serves_at_the_address_that_it_announces() {
    let camera = SimulatedCamera::start(visor(), &PATTERN).unwrap();
    assert_eq!(camera.url("front"), Some(format!("rtsp://{}/front", camera.listen()).as_str()));
    assert_eq!(camera.url("back"), None);
    assert_eq!(describe(&camera, "front"), "RTSP/1.0 200 OK");
    assert_eq!(describe(&camera, "back"), "RTSP/1.0 404 Not Found");
}

#[test]
fn it_asks_for_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let password = password.to_str().unwrap();
    let arguments = [&PATTERN[..], &["--user", "anna", "--password-file", password]].concat();
    let camera = SimulatedCamera::start(visor(), &arguments).unwrap();
    assert_eq!(describe(&camera, "front"), "RTSP/1.0 401 Unauthorized");
}

#[test]
fn a_successor_takes_the_place_of_one_that_was_killed() {
    let first = SimulatedCamera::start(visor(), &PATTERN).unwrap();
    let listen = first.listen().to_owned();
    drop(first);
    assert!(TcpStream::connect(&listen).is_err(), "the killed camera still answers");
    let arguments = [&PATTERN[..], &["--listen", &listen]].concat();
    let second = SimulatedCamera::start(visor(), &arguments).unwrap();
    assert_eq!(second.listen(), listen);
    assert_eq!(describe(&second, "front"), "RTSP/1.0 200 OK");
}

#[test]
fn it_ends_when_its_standard_input_does() {
    let mut child = Command::new(visor())
        .args(["camera", "--until-eof"])
        .args(PATTERN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut announced = [0];
    child.stdout.take().unwrap().read_exact(&mut announced).unwrap();
    drop(child.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < deadline, "it goes on without standard input"),
        }
        std::thread::yield_now();
    };
    assert!(status.success());
}

#[test]
fn a_file_that_is_not_there_is_said_at_once() {
    let output = Command::new(visor()).args(["camera", "--mount", "a=/nowhere.mp4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere.mp4"));
}
