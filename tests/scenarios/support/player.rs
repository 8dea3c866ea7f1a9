//! Players of masked video, as people use them, and the server that they connect to.

use std::path::Path;
use std::process::{Command, Output};

use visor::geometry::Size;
use visor::sink::restream::{CameraConfig, Config, Restream};

use super::film::Film;
use super::wait::PATIENCE;

/// Whether there is a player; says so aloud where there is none.
pub fn there_is_one() -> bool {
    let there = ["ffmpeg", "ffprobe"].iter().all(|program| Command::new(program).arg("-version").output().is_ok());
    if !there {
        eprintln!("skipped: ffmpeg is not installed (apt install ffmpeg)");
    }
    there
}

/// What the made-up cameras film.
pub const SIZE: Size = Size::new(640, 360);

/// On a free port of this machine, for everybody.
pub fn open_to_all() -> Config {
    Config { listen: "127.0.0.1:0".to_owned(), ..Config::default() }
}

/// Serves by the real child.
pub fn serve(config: &Config) -> Restream {
    Restream::start_with(Path::new(env!("CARGO_BIN_EXE_visor")), config.resolve().unwrap()).unwrap()
}

/// A camera at the path `camera`, and where it can be watched.
pub fn mount(restream: &Restream, camera: &str, config: &CameraConfig) -> (Film, String) {
    let mount = config.resolve(camera).unwrap();
    let url = format!("rtsp://{}/{}", restream.listening().unwrap(), mount.path);
    (Film::start(restream.mount(camera, mount), SIZE, 25), url)
}

/// A camera at the path `camera` of a server of its own.
pub fn alone(camera: &str) -> (Restream, Film, String) {
    let restream = serve(&open_to_all());
    let (film, url) = mount(&restream, camera, &CameraConfig::default());
    (restream, film, url)
}

/// A metric's value, with the one label it has; 0 where it has none yet. This process is the brain.
pub fn metric(name: &str, label: &str, value: &str) -> f64 {
    let page = visor::metrics::install().unwrap().render();
    let line = format!("{name}{{{label}=\"{value}\"}} ");
    page.lines().find_map(|text| text.strip_prefix(&line)).map_or(0.0, |value| value.parse().unwrap())
}

/// Who watches a camera.
pub fn clients(camera: &str) -> f64 {
    metric("visor_restream_clients", "camera", camera)
}

fn ffmpeg(program: &str, transport: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(program);
    command.args(["-v", "warning", "-rtsp_transport", transport]);
    command
}

/// Plays until `count` frames are decoded, and lists them; whatever the player complains about is a failure.
pub fn play(url: &str, transport: &str, count: u32) -> Vec<Shown> {
    let output = try_to_play(url, transport, count);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let shown: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(Shown::of).collect();
    assert_eq!(shown.len(), count as usize);
    shown
}

/// The same, come what may.
pub fn try_to_play(url: &str, transport: &str, count: u32) -> Output {
    let count = count.to_string();
    let list = ["-fps_mode", "passthrough", "-copyts", "-frames:v", &count, "-f", "framemd5", "-"];
    ffmpeg("ffmpeg", transport).args(["-xerror", "-i", url]).args(list).output().unwrap()
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub bytes: u32,
    pub digest: String,
}

impl Shown {
    /// Of a line of ffmpeg's list: stream, dts, pts, duration, bytes, digest.
    fn of(line: &str) -> Self {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        Self { bytes: fields[4].parse().unwrap(), digest: fields[5].to_owned() }
    }
}

/// What ffprobe says of a stream: codec, width and height.
pub fn probe(url: &str, transport: &str) -> String {
    let asked = ["-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", url];
    let output = ffmpeg("ffprobe", transport).args(asked).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether each of the first packets can be decoded without those before it.
pub fn keyframes(url: &str, transport: &str, count: u32) -> Vec<bool> {
    let interval = format!("%+#{count}");
    let asked = ["-show_entries", "packet=flags", "-of", "csv=p=0", "-read_intervals", &interval, url];
    let output = ffmpeg("ffprobe", transport).args(asked).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    String::from_utf8_lossy(&output.stdout).lines().map(|flags| flags.starts_with('K')).collect()
}
