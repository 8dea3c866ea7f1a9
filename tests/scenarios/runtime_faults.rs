//! What a model's failures come to, one by one: the shim does each of them, and `visor detect` tells of it.
#![cfg(feature = "media")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::detect::media;
use super::support::daemon::visor;
use super::support::shim::{Mode, Shim};

/// Two pictures of faces.
fn pictures() -> Option<[PathBuf; 2]> {
    let mut pictures: Vec<_> = media("detect/dlib_faces")?.read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    pictures.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    pictures.sort();
    Some([pictures[0].clone(), pictures[1].clone()])
}

fn detect(shim: &Shim, pictures: &[PathBuf; 2]) -> Command {
    let mut command = Command::new(visor());
    command.args(["detect", "--json"]).args(pictures).env("VISOR__MODELS__LIBRARY", shim.library());
    command
}

/// The boxes found in each picture.
fn boxes(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    let faces = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["faces"].take());
    faces.map(|faces| faces.as_array().unwrap().iter().map(|face| face["box"].clone()).collect()).collect()
}

#[test]
fn each_failure_of_a_model_is_what_it_says() {
    let (Some(pictures), Some(shim)) = (pictures(), Shim::build()) else { return };
    let run = |mode| {
        shim.set(mode);
        detect(&shim, &pictures).output().unwrap()
    };
    let sound = boxes(&run(Mode::Sound));
    assert_eq!(sound.len(), 2);
    assert!(sound.iter().all(|faces| !faces.as_array().unwrap().is_empty()) && sound[0] != sound[1], "{sound:?}");
    assert_eq!(boxes(&run(Mode::Slow)), sound);
    let faint = boxes(&run(Mode::Faint));
    assert!(faint.iter().all(|faces| faces.as_array().unwrap().is_empty()), "{faint:?}");
    let reversed = boxes(&run(Mode::Reversed));
    assert!(reversed[0] != sound[0] && reversed[1] != sound[1], "{reversed:?}");
    let frozen = boxes(&run(Mode::Frozen));
    assert_eq!(frozen[0], sound[0]);
    assert_ne!(frozen[1], sound[1]);
    for mode in [Mode::Failing, Mode::Zeroed, Mode::NotANumber, Mode::Garbage] {
        let refused = run(mode);
        assert_eq!(refused.status.code(), Some(70), "{mode:?}: {}", String::from_utf8_lossy(&refused.stdout));
    }
}

#[test]
fn a_stalled_call_goes_on_when_it_may() {
    let (Some(pictures), Some(shim)) = (pictures(), Shim::build()) else { return };
    shim.set(Mode::Stalled);
    let mut running = detect(&shim, &pictures).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::park_timeout(std::time::Duration::from_millis(700));
    assert!(running.try_wait().unwrap().is_none());
    shim.set(Mode::Sound);
    assert_eq!(boxes(&running.wait_with_output().unwrap()).len(), 2);
}
