//! Broken, huge, rotated and misnamed files: given to `visor detect`, and to the daemon as cameras.
#![cfg(feature = "media")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::support::daemon::{checkout, sample, visor};
use super::support::scene::Scene;
use super::support::wait::eventually;

/// Every file below `media/odd`; `None`, aloud, without assets.
pub(super) fn odd_files() -> Option<Vec<PathBuf>> {
    let Some(assets) = std::env::var_os("VISOR_ASSETS") else {
        eprintln!("skipped: VISOR_ASSETS is not set");
        return None;
    };
    let odd = PathBuf::from(assets).join("media/odd");
    let inside = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<_>, Vec<_>) = inside(odd).partition(|path| path.is_dir());
    files.extend(folders.into_iter().flat_map(inside));
    files.sort();
    Some(files)
}

#[test]
fn detect_takes_every_odd_file_or_names_it() {
    let (Some(files), Some(_)) = (odd_files(), sample()) else { return };
    let mut command = Command::new(visor());
    command.arg("detect").arg("--json").args(&files).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !checkout("models/store/yunet_n_dynamic.onnx").is_file() {
        command.args(["--model", "centerface", "--input", "320x192"]);
    }
    let output = command.output().unwrap();
    let (found, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{told}");
    for file in files {
        let name = file.to_str().unwrap();
        let named = told.matches(&format!("{name}:")).count();
        let taken = found.contains(&format!("{{\"file\":\"{name}\""));
        assert!(named == 1 && !taken || named == 0 && taken, "{name}: named {named} times, taken: {taken}\n{told}");
    }
}

#[test]
fn odd_files_as_cameras_harm_nobody() {
    let Some(files) = odd_files() else { return };
    let played = ["mjpeg.avi", "odd_dims_yuv444.mp4", "single_frame.mp4"];
    let broken = ["truncated_no_moov.mp4", "empty.mp4", "audio_only.m4a", "text_named.jpg"];
    let file = |name: &str| files.iter().find(|path| path.ends_with(name)).unwrap().display().to_string();
    let Some(scene) = Scene::start("uri = \"test:?size=320x240\"") else { return };
    for name in broken.into_iter().chain(played) {
        scene.reload(&format!("uri = \"file://{}\"", file(name)));
        let lost = broken.contains(&name);
        let entry = eventually(name, || {
            let wanted = if lost { "source lost" } else { "source online" };
            let log = scene.daemon.log();
            log.into_iter().find(|e| e["message"] == wanted && e["source"].as_str().is_some_and(|s| s.contains(name)))
        });
        scene.recorder.wait_for("visor/front/status", "offline");
        assert!(!lost || !entry["error"].as_str().unwrap().is_empty(), "{entry}");
        eprintln!("{name}: {}", entry["error"]);
    }
    scene.finish(0);
}
