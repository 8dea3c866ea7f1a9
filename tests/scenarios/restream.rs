//! Masked video out over RTSP: the real child, and players as people use them.
#![cfg(feature = "media")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::Duration;

use visor::geometry::Size;
use visor::sink::restream::{CameraConfig, Config, Restream};

use super::support::film::Film;
use super::support::wait::{PATIENCE, eventually};

const SIZE: Size = Size::new(640, 360);

fn visor() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_visor"))
}

fn config() -> Config {
    Config { listen: "127.0.0.1:0".to_owned(), ..Config::default() }
}

fn serve(config: &Config) -> Restream {
    Restream::start_with(visor(), config.resolve().unwrap()).unwrap()
}

fn mount(restream: &Restream, camera: &str, config: &CameraConfig) -> (Film, String) {
    let mount = config.resolve(camera).unwrap();
    let url = format!("rtsp://{}/{}", restream.listening().unwrap(), mount.path);
    (Film::start(restream.mount(camera, mount), SIZE, 25), url)
}

fn ffprobe(arguments: &[&str], url: &str) -> Output {
    Command::new("timeout").args(["20", "ffprobe", "-v", "error"]).args(arguments).arg(url).output().unwrap()
}

/// Frames that a player decodes until it has `count` of them; its complaints are failures.
fn play(url: &str, transport: &str, count: u32) -> Output {
    let (count, timeout) = (count.to_string(), PATIENCE.as_secs().to_string());
    let input = ["-v", "warning", "-xerror", "-rtsp_transport", transport, "-i", url];
    let output = ["-frames:v", &count, "-f", "framemd5", "-"];
    let output = Command::new("timeout").arg(timeout).arg("ffmpeg").args(input).args(output).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Width and height of a decoded picture's line in ffmpeg's list.
fn sizes(output: &Output) -> Vec<u32> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(',').nth(4)?.trim().parse().ok()).collect()
}

#[test]
fn a_camera_that_is_away_or_changes_its_size_keeps_its_players() {
    let restream = serve(&config());
    let (film, url) = mount(&restream, "front", &CameraConfig::default());
    let watching = std::thread::spawn(move || play(&url, "tcp", 60));
    eventually("frames", || (film.scenery.sent.load(Ordering::Acquire) > 30).then_some(()));
    film.scenery.away.store(true, Ordering::Release);
    std::thread::sleep(Duration::from_secs(3));
    film.resize(Size::new(320, 320));
    film.scenery.away.store(false, Ordering::Release);
    let sizes = sizes(&watching.join().unwrap());
    assert!(sizes.len() == 60 && sizes.iter().all(|bytes| *bytes == SIZE.width * SIZE.height * 3 / 2), "{sizes:?}");
}

#[test]
fn a_player_sees_what_was_masked() {
    let restream = serve(&config());
    let (_film, url) = mount(&restream, "front", &CameraConfig::default());
    let shown = ["-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"];
    let output = ffprobe(&shown, &url);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "h264,640,360", "{output:?}");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
