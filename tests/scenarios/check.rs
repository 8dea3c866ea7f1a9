//! `visor check` and `visor schema` as a user runs them.

use std::path::Path;
use std::process::{Command, Output};

fn visor(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visor"));
    command.args(arguments).env_remove("RUST_LOG").envs(variables.iter().copied()).output().unwrap()
}

fn check(text: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("visor.toml");
    std::fs::write(&file, text).unwrap();
    let output = visor(&["check", "--config", file.to_str().unwrap()], variables);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_wrong_configuration_is_78_and_names_every_problem() {
    let text = "[http]\nlisten = \"0.0.0.0:80\"\n[cameras.front]\nuri = \"rtsp://admin:hunter2@cam\"\nurl = \"rtsp://admin:hunter2@cam\"\nrotate = 45\n";
    let (status, out, err) = check(text, &[("VISOR__CAMERAS__FRONT__ANALYSIS_FPS", "hunter2")]);
    assert_eq!((status, out.as_str()), (78, ""));
    for key in [
        "http.listen (line 2)",
        "url (line 5)",
        "rotate (line 6)",
        "analysis_fps (VISOR__CAMERAS__FRONT__ANALYSIS_FPS)",
    ] {
        assert!(err.contains(key), "{key} in {err}");
    }
    assert!(!err.contains("hunter2"), "{err}");
}

#[test]
fn a_missing_file_is_78_and_says_what_to_do() {
    let output = visor(&["check", "--config", "/nonexistent/visor.toml"], &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name a file with --config"));
}

#[test]
fn a_sound_one_is_described_without_passwords() {
    let text =
        "[mqtt]\nurl = \"mqtt://visor:hunter2@broker\"\n[cameras.front]\nuri = \"rtsp://admin:hunter2@cam:5554/s\"\n";
    let (status, out, err) = check(text, &[("VISOR__CAMERAS__FRONT__ANALYSIS_FPS", "4")]);
    // 69 where no model was fetched: the configuration itself is sound.
    assert!(status == 0 || status == 69, "{status}: {err}");
    assert_eq!(status == 0, out.contains("is sound"), "{out}");
    for part in ["yunet-n at 640x384", "cpu", "mqtt://***@broker", "front: rtsp://cam:5554/s, 4 analyses/s", "20.8 MiB"]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
}

#[test]
fn masked_cameras_are_told_with_their_hold_their_address_and_what_shows_faces() {
    let text = "[cameras.front]\nuri = \"test:\"\nanalysis_fps = 5\n[cameras.front.mask]\nkind = \"blur\"\nexempt = [\"staff\"]\n\
                [cameras.front.restream]\npush = \"rtsp://admin:hunter2@media/x\"\n\
                [cameras.back]\nuri = \"test:\"\nsnapshots = \"clear\"\nmask.who = \"nobody\"\nmask.switchable = true\n";
    let (status, out, err) = check(text, &[]);
    assert!(status == 0 || status == 69, "{status}: {err}");
    for part in [
        // 310 ms at 30 frames a second, twice; two analyses, four beside them, and the last shown
        "front: test:, 5 analyses/s, tracker visor, 0 zones, 31 frames of 3.0 MiB in memory",
        "masked    front: everyone but the tags staff, blur boxes; frames held for 310 ms at first: 200 ms to the next \
         analysis, 60 ms allowed for that, 50 ms in reserve; later by how long analyses take; 19 frames at most, more where the \
         stream says that it gives over 30 a second",
        "video     front: rtsp://127.0.0.1:8554/front, H.264 at 4000 kbit/s, this machine only, pushed to rtsp://media/x",
        "snapshots back: clear",
        "policy    cameras.front.mask.exempt: people with one of the tags staff are shown",
        "policy    cameras.front.mask.kind = \"blur\": faces can be brought back in part",
        "policy    cameras.back.snapshots = \"clear\": best shots show faces",
        "policy    cameras.back.mask.who = \"nobody\": every face is shown",
        "policy    cameras.back.mask.switchable = true: whoever may write to the broker can have faces shown",
        "note      cameras.back.snapshots: best shots go nowhere without [mqtt]",
    ] {
        assert!(out.contains(part), "{part}\nin\n{out}");
    }
    assert!(!out.contains("hunter2"), "{out}");
    if status == 0 {
        assert!(out.contains("analysis  detection takes "), "{out}");
    }
}

#[test]
fn a_library_or_provider_that_cannot_be_had_is_69() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    std::fs::write(&library, "no library").unwrap();
    let (status, out, err) = check(&format!("[models]\nlibrary = {library:?}\n"), &[]);
    assert_eq!(status, 69, "{err}");
    assert!(err.contains("is not a build of ONNX Runtime") && !out.contains("is sound"), "{out}{err}");

    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/store/libonnxruntime.so");
    if !store.exists() {
        eprintln!("skipped: libonnxruntime.so is not in models/store");
        return;
    }
    let (status, out, err) = check("[models]\nprovider = \"openvino\"\n", &[]);
    assert_eq!(status, 69, "{err}");
    assert!(err.contains("provider \"openvino\" is not to be had") && !out.contains("is sound"), "{out}{err}");
}

/// `visor … 2>&1 | head` closes both.
#[test]
fn nobody_listening_is_no_panic() {
    let closed = || std::process::Stdio::from(std::io::pipe().unwrap().1);
    for (arguments, status) in [(["check", "--config", "/nonexistent"], 78), (["schema", "--log", "info"], 0)] {
        let mut visor = Command::new(env!("CARGO_BIN_EXE_visor"));
        let ended = visor.args(arguments).stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}");
    }
}

#[test]
fn the_schema_is_printed_whole() {
    let output = visor(&["schema"], &[]);
    let committed = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json")).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == committed, "visor schema differs from config/schema.json");
}
