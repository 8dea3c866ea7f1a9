//! Some people go unmasked, others cross their way: on clips whose people are known, from the real models on. Skipped, aloud,
//! without assets or models.
#![cfg(feature = "media")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use visor::restream::child::SimulatedCamera;

use super::detect::media;
use super::mask_live::{self, watch_until};
use super::support::broker::Broker;
use super::support::composed::{Scale, compose_endless};
use super::support::daemon::{Daemon, models, visor};
use super::support::leaks::{self, Leak, Report};
use super::support::mot;
use super::support::recorder::Recorder;
use super::support::wait::PATIENCE;

/// A green that no skin has.
const GREEN: &str = "#00ff00";

/// A composed sequence whose people are known.
struct Sequence {
    folder: PathBuf,
    video: PathBuf,
    truth: mot::Boxes,
    /// People by the truth's identities.
    people: BTreeMap<u64, String>,
}

/// What was to be seen of some people.
#[derive(Debug, Default)]
struct Seen {
    /// Their faces in all frames.
    faces: usize,
    /// Those of which something is to be seen.
    shown: Vec<Leak>,
}

impl Sequence {
    fn open(name: &str) -> Option<Self> {
        let folder = media(&format!("tracking/{name}"))?;
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&read("identities.json")).unwrap();
        let people = json["ids"].as_object().unwrap().iter();
        let people = people.map(|(id, person)| (id.parse().unwrap(), person.as_str().unwrap().to_owned())).collect();
        let (video, truth) = (folder.join(format!("{name}.mp4")), mot::read(&read("gt/gt.txt"), true));
        Some(Self { folder, video, truth, people })
    }

    /// A gallery of these people, out of the clip's own pictures `<person>_<n>.jpg`.
    fn gallery(&self, people: &[&str]) -> tempfile::TempDir {
        let gallery = tempfile::tempdir().unwrap();
        for person in people {
            std::fs::create_dir(gallery.path().join(person)).unwrap();
            for n in 0..2 {
                let name = format!("{person}_{n}.jpg");
                std::fs::copy(self.folder.join("gallery").join(&name), gallery.path().join(person).join(&name))
                    .unwrap();
            }
        }
        gallery
    }

    /// What is to be seen of those who are `free`, and of the others, where the clip is masked with these arguments.
    fn mask(&self, gallery: &Path, arguments: &[&str], free: &[&str]) -> [Seen; 2] {
        let out = tempfile::tempdir().unwrap();
        let masked = out.path().join("masked.mp4");
        let mut command = Command::cargo_bin("visor").unwrap();
        command.arg("mask").args([&self.video, &masked]).args(["--colour", GREEN, "--gallery"]).arg(gallery);
        let done = command.args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let report = leaks::compare(&self.video, &masked, &self.truth, 24.0);
        assert!(report.frames > 100);
        let mut seen = [Seen::default(), Seen::default()];
        let is_free = |identity: u64| free.contains(&&*self.people[&identity]);
        for (identity, _) in self.truth.values().flatten() {
            seen[usize::from(!is_free(*identity))].faces += 1;
        }
        for leak in report.leaks {
            seen[usize::from(!is_free(leak.identity))].shown.push(leak);
        }
        seen
    }
}

/// Masks a sequence with `enrolled` people in the gallery: those who must be masked never show, the others do so for
/// at least the share `least` of their time.
fn check(name: &str, enrolled: &[&str], arguments: &[&str], free: &[&str], least: f64) {
    let Some(sequence) = Sequence::open(name) else { return };
    let [free, hidden] = sequence.mask(sequence.gallery(enrolled).path(), arguments, free);
    let share = free.shown.iter().filter(|leak| leak.share > 0.9).count() as f64 / free.faces.max(1) as f64;
    println!("{name} {arguments:?}: {share:.2} of {} free faces shown, {} others hidden", free.faces, hidden.faces);
    assert!(hidden.faces > 300 && hidden.shown.is_empty(), "{name} {arguments:?}: {:?}", hidden.shown);
    assert!(share >= least, "{name} {arguments:?}: only {share:.2} of {} free faces are to be seen", free.faces);
}

#[test]
fn no_stranger_shows_where_known_people_go_unmasked_and_cross_them() {
    let who = ["--who", "strangers"];
    check("synth_cross5", &["d0", "d3"], &who, &["d0", "d3"], 0.1);
    check("synth_cross5", &["d18", "d20", "d9"], &who, &["d18", "d20", "d9"], 0.1);
    check("synth_grid4", &["d3", "d6"], &who, &["d3", "d6"], 0.1);
}

#[test]
fn nobody_who_is_known_shows_where_strangers_go_unmasked() {
    let who = ["--who", "known"];
    check("synth_cross5", &["d0", "d3", "d18"], &who, &["d20", "d9"], 0.1);
}

#[test]
fn one_who_is_exempt_goes_unmasked_and_nobody_else_of_the_gallery() {
    check("synth_cross5", &["d0", "d3", "d20"], &["--exempt", "d3"], &["d3"], 0.1);
}

/// Masks the clip live, and looks at what is received over RTSP: those who must be masked never show, the others show
/// now and then.
fn check_live(enrolled: &[&str], (analysis_fps, mask): (u32, &str), free: &[&str], frames: usize) {
    let (Some(sequence), Some(clip)) = (Sequence::open("synth_cross5"), compose_endless("synth_cross5", Scale::Full))
    else {
        return;
    };
    let gallery = sequence.gallery(enrolled);
    let tables = format!("[gallery]\nfolder = {:?}\ntags.staff = {free:?}\n", gallery.path());
    let is_free = |leak: &&Leak| free.contains(&&*sequence.people[&leak.identity]);
    let clear = |report: &Report| report.leaks.iter().filter(is_free).filter(|leak| leak.share > 0.9).count();
    let enough = |report: &Report| report.frames >= frames && clear(report) >= 20;
    let Some(received) = watch_until(&clip, analysis_fps, (mask, &tables), enough) else { return };
    let Report { frames, faces, leaks, .. } = &received.report;
    let clear = clear(&received.report);
    println!("{mask}, {free:?}, {analysis_fps} analyses a second: {frames} frames, {faces} faces, {clear} clear");
    let others: Vec<_> = leaks.iter().filter(|leak| !is_free(leak)).collect();
    assert!(others.is_empty(), "{mask}, {free:?}: {others:?}");
    assert!(clear >= 20, "{mask}, {free:?}: of {frames} frames only {clear} show who goes unmasked");
}

#[test]
fn no_stranger_shows_over_rtsp_whoever_crosses_who_goes_unmasked() {
    check_live(&["d0", "d3", "d20"], (10, "exempt = [\"staff\"]"), &["d3"], 330);
}

#[test]
fn soak_no_stranger_shows_over_rtsp_at_any_rate() {
    if std::env::var_os("VISOR_SOAK_SECONDS").is_none() {
        return eprintln!("skipped: make soak runs it");
    }
    for analysis_fps in [25, 10, 5] {
        for known in [&["d0", "d3"][..], &["d18", "d20", "d9"], &["d9"]] {
            check_live(known, (analysis_fps, "who = \"strangers\""), known, 700);
            check_live(&["d0", "d3", "d9", "d18", "d20"], (analysis_fps, "exempt = [\"staff\"]"), known, 700);
        }
    }
}

/// Two heads side by side, never near each other, above a strip that no covered frame has.
struct Pair {
    _folder: tempfile::TempDir,
    video: PathBuf,
}

/// The pair's frames: as wide and high, the middle of each face, and of the strip.
const PAIR: (usize, usize) = (960, 512);
const LEFT: (usize, usize) = (270, 240);
const RIGHT: (usize, usize) = (715, 250);
const STRIP: (usize, usize) = (480, 500);

impl Pair {
    fn compose(left: &str, right: &str) -> Option<Self> {
        let heads = [media(&format!("video/lp_heads/{left}.mp4"))?, media(&format!("video/lp_heads/{right}.mp4"))?];
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("pair.mp4");
        let filter = "[0]fps=25,scale=480:480[a];[1]fps=25,scale=480:480[b];[a][b]hstack,pad=960:512:0:0:magenta";
        let mut command = std::process::Command::new("ffmpeg");
        command.args(["-v", "error", "-i"]).arg(&heads[0]).arg("-i").arg(&heads[1]).args(["-filter_complex", filter]);
        command.args(["-an", "-t", "8", "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "0"]).arg(&video);
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no ffmpeg to compose a clip with");
            return None;
        }
        Some(Self { _folder: folder, video })
    }
}

/// Luma, and both parts of chroma, of a pixel of I420.
fn pixel(picture: &[u8], (x, y): (usize, usize)) -> [u8; 3] {
    let (w, h) = PAIR;
    let cell = (y / 2) * (w / 2) + x / 2;
    [picture[y * w + x], picture[w * h + cell], picture[w * h * 5 / 4 + cell]]
}

/// Whether a pixel is of the masks' green, and of the strip's magenta: their chroma lies at opposite ends.
fn is_green(picture: &[u8], at: (usize, usize)) -> bool {
    matches!(pixel(picture, at), [_, 0..=90, 0..=90])
}

fn is_magenta(picture: &[u8], at: (usize, usize)) -> bool {
    matches!(pixel(picture, at), [_, 160..=255, 160..=255])
}

#[test]
fn who_is_forgotten_over_mqtt_is_masked_again_and_a_stranger_beside_never_shows() {
    let (Some(pair), Some(sequence)) = (Pair::compose("d3", "d9"), Sequence::open("synth_cross5")) else {
        return;
    };
    let Some(broker) = Broker::open() else { return };
    let (recorder, gallery) = (Recorder::at(broker.port), sequence.gallery(&["d3"]));
    let camera = SimulatedCamera::start(visor(), &["--mount", &format!("front={}", pair.video.display())]).unwrap();
    let daemon = Daemon::start(&format!(
        "{}[gallery]\nfolder = {:?}\ntags.staff = [\"d3\"]\n[mqtt]\nurl = {:?}\n[restream]\nlisten = \"127.0.0.1:0\"\n\
         [cameras.front]\nuri = {:?}\n[cameras.front.mask]\ncolour = {GREEN:?}\nexempt = [\"staff\"]\n[cameras.front.restream]\nwidth = 960\nheight = 512\n",
        models(),
        gallery.path(),
        broker.url(),
        camera.url("front").unwrap()
    ));
    let address = daemon.wait_for_log("serves masked video", |_| true)["address"].as_str().unwrap().to_owned();
    let mut player = mask_live::receive(&format!("rtsp://{address}/front"));
    let (mut video, mut picture) = (player.stdout.take().unwrap(), vec![0; PAIR.0 * PAIR.1 * 3 / 2]);
    // the next frame that is not covered: whether the person on the left is to be seen
    let mut next = || loop {
        video.read_exact(&mut picture).unwrap();
        if is_magenta(&picture, STRIP) {
            assert!(is_green(&picture, RIGHT), "a stranger shows");
            return !is_green(&picture, LEFT);
        }
    };
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut shown = 0;
    while shown < 20 {
        assert!(Instant::now() < deadline, "only {shown} frames show who goes unmasked");
        shown += usize::from(next());
    }
    recorder.publish("visor/people/d3/forget", false, "");
    recorder.wait_for_json("visor/people/d3/forget/result", |_| true);
    // what was on its way to the player by then comes first
    let settled = Instant::now() + Duration::from_secs(3);
    while Instant::now() < settled {
        next();
    }
    assert!((0..75).all(|_| !next()), "who was forgotten shows");
    player.kill().unwrap();
    player.wait().unwrap();
    assert!(daemon.stop().success());
}
