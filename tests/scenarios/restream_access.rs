//! Who may watch masked video.
#![cfg(feature = "media")]

use std::process::{Command, Stdio};

use tempfile::TempDir;
use visor::fault::FaultKind;
use visor::sink::restream::{CameraConfig, Config, Restream};

use super::support::daemon::visor;
use super::support::player::{mount, open_to_all, play, serve, there_is_one, try_to_play};

/// `htdigest` for the user alice with the password `open sesame` in the realm `visor`.
const ALICE: &str = "alice:visor:cada5fdb2f5324f165cee00136fdbc24\n";

fn users() -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    std::fs::write(&file, format!("bob:visor:{:032x}\n{ALICE}", 1)).unwrap();
    (folder, Config { users_file: Some(file), ..open_to_all() })
}

fn refused(url: &str) -> bool {
    let output = try_to_play(url, "tcp", 1);
    !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("401")
}

#[test]
fn a_password_is_asked_for_and_nothing_of_it_is_told() {
    if !there_is_one() {
        return;
    }
    let (_folder, config) = users();
    let restream = serve(&config);
    let (_film, url) = mount(&restream, "users", &CameraConfig::default());
    let as_user = |user: &str| url.replace("rtsp://", &format!("rtsp://{user}@"));
    play(&as_user("alice:open%20sesame"), "tcp", 10);
    assert!(refused(&url), "without a user");
    for user in ["alice:sesame", "bob:open%20sesame", "carol:x", "alice:cada5fdb2f5324f165cee00136fdbc24"] {
        assert!(refused(&as_user(user)), "{user}");
    }
    let process = format!("/proc/{}", restream.id().unwrap());
    for place in ["cmdline", "environ"] {
        let told = std::fs::read(format!("{process}/{place}")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&told).contains("cada5f"), "{place}");
    }
}

#[test]
fn other_users_hold_from_a_reload_on() {
    if !there_is_one() {
        return;
    }
    let (folder, config) = users();
    let restream = serve(&config);
    let (_film, url) = mount(&restream, "reload", &CameraConfig::default());
    let alice = url.replace("rtsp://", "rtsp://alice:open%20sesame@");
    play(&alice, "tcp", 5);
    std::fs::write(folder.path().join("users"), format!("bob:visor:{:032x}\n", 1)).unwrap();
    restream.apply(config.resolve().unwrap());
    super::support::wait::eventually("the server to be back", || restream.listening());
    assert!(refused(&alice), "alice is no user any more");
    std::fs::write(folder.path().join("users"), ALICE).unwrap();
    restream.apply(config.resolve().unwrap());
    super::support::wait::eventually("the server to be back", || restream.listening());
    play(&alice, "tcp", 5);
}

#[test]
fn video_is_encrypted_with_a_certificate() {
    if !there_is_one() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=visor -keyout key.pem -out certificate.pem";
    let made =
        Command::new("openssl").args(request.split(' ')).current_dir(folder.path()).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: openssl makes no certificates here");
    }
    let file = |name: &str| Some(folder.path().join(name));
    let config = Config { certificate: file("certificate.pem"), private_key: file("key.pem"), ..open_to_all() };
    let restream = serve(&config);
    let (_film, url) = mount(&restream, "tls", &CameraConfig::default());
    assert!(!try_to_play(&url, "tcp", 1).status.success(), "in the clear");
    play(&url.replace("rtsp://", "rtsps://"), "tcp", 10);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let settings = Config { listen: listen.clone(), ..Config::default() }.resolve().unwrap();
    let fault = Restream::start_with(visor(), settings).err().unwrap();
    assert_eq!(fault.kind, FaultKind::Unavailable);
    assert!(fault.to_string().contains(&listen) && fault.to_string().contains("restream.listen"), "{fault}");
}
