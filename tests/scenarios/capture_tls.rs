//! Whose certificate the capture child believes, at cameras that encrypt.
#![cfg(feature = "media")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use visor::restream::child::SimulatedCamera;
use visor::ring::wire::{CaptureSettings, FailReason, Pace, Trust};

use crate::support::capture_child::{CaptureChild, settings};

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Certificates that signed themselves, each as `NAME.pem` with its key in `NAME.both`. `None`, aloud, without openssl.
fn certificates() -> Option<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    for (name, extension) in [("named", "subjectAltName=IP:127.0.0.1"), ("nameless", "subjectAltName=DNS:camera")] {
        let files = format!("-keyout {name}.key -out {name}.pem -addext {extension}");
        let request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=camera";
        let made = openssl(folder.path()).args(request.split(' ')).args(files.split(' ')).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("skipped: openssl makes no certificates here");
            return None;
        }
        let part = |kind: &str| std::fs::read_to_string(folder.path().join(format!("{name}.{kind}"))).unwrap();
        std::fs::write(folder.path().join(format!("{name}.both")), part("pem") + &part("key")).unwrap();
    }
    Some(folder)
}

fn trusting(url: &str, verify: bool, ca_file: Option<PathBuf>) -> CaptureSettings {
    CaptureSettings { trust: Trust { verify, ca_file }, ..settings(url, Pace::Live) }
}

fn check_believed(settings: CaptureSettings) {
    drop(CaptureChild::start(settings).frame());
}

fn check_refused(settings: CaptureSettings, reason: FailReason) {
    let (given, text) = CaptureChild::start(settings).failure();
    assert!(given == reason && text.contains("ca_file"), "{given:?}: {text}");
}

#[test]
fn an_rtsps_camera_is_believed_by_its_certificate() {
    let Some(folder) = certificates() else { return };
    let file = |name: &str| folder.path().join(name);
    let both = file("nameless.both").display().to_string();
    let always = ["--mount", "front=test:smpte", "--size", "320x176", "--fps", "15", "--tls", &both];
    let camera = SimulatedCamera::start(Path::new(env!("CARGO_BIN_EXE_visor")), &always).unwrap();
    let url = camera.url("front").unwrap();
    assert!(url.starts_with("rtsps://"), "{url}");
    check_refused(trusting(url, true, None), FailReason::Untrusted);
    check_refused(trusting(url, true, Some(file("named.pem"))), FailReason::Untrusted);
    check_refused(trusting(url, true, Some(file("nowhere.pem"))), FailReason::Untrusted);
    // it is for another name, but it is the very one
    check_believed(trusting(url, true, Some(file("nameless.pem"))));
    check_believed(trusting(url, false, None));
}

/// Serves `response`, with its headers, to whoever asks for it.
struct Served {
    process: Child,
    port: u16,
}

impl Served {
    fn start(folder: &Path) -> Self {
        let arguments = "s_server -HTTP -accept 127.0.0.1:0 -cert named.pem -key named.key";
        let mut process = openssl(folder).args(arguments.split(' ')).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse().ok());
        // what it says later is not to fill its pipe
        std::thread::spawn(move || said.for_each(drop));
        Self { process, port: port.expect("openssl says its port") }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_https_camera_is_believed_by_its_certificate() {
    let Some(folder) = certificates() else { return };
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    image::GrayImage::from_pixel(64, 48, image::Luma([200])).write_with_encoder(encoder).unwrap();
    let mut response = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n".to_vec();
    for _ in 0..50 {
        response.extend_from_slice(
            format!("--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len()).as_bytes(),
        );
        response.extend_from_slice(&jpeg);
        response.extend_from_slice(b"\r\n");
    }
    std::fs::write(folder.path().join("response"), response).unwrap();
    let served = Served::start(folder.path());
    let url = format!("https://127.0.0.1:{}/response", served.port);
    check_refused(trusting(&url, true, None), FailReason::Unreachable);
    check_refused(trusting(&url, true, Some(folder.path().join("nameless.pem"))), FailReason::Unreachable);
    check_believed(trusting(&url, true, Some(folder.path().join("named.pem"))));
    check_believed(trusting(&url, false, None));
}
