//! `visor compare` and `visor eval pairs` on real pictures, and the accuracy that the README promises.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;
use visor::detect::{Landmarks, still};
use visor::geometry::Point;
use visor::infer::{Config, Runtime};
use visor::recognise::{Embedder, Embedding};

/// A folder of the development media, where this machine has it, the runtime, the detector and the embedder.
fn media(path: &str, embedder: &str) -> Option<PathBuf> {
    let folder = super::detect::media(path)?;
    let file = visor::infer::manifest::find(None, embedder).unwrap().file;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/store").join(&file).exists();
    if !here {
        eprintln!("skipped: {file} is not in models/store");
    }
    here.then_some(folder)
}

fn visor(arguments: &[&str]) -> Output {
    Command::cargo_bin("visor").unwrap().args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// All pairs of the pictures in a folder of people, as a list.
fn all_pairs(folder: &Path) -> tempfile::NamedTempFile {
    let people = sorted(folder).into_iter().filter(|person| person.is_dir());
    let pictures: Vec<(PathBuf, PathBuf)> =
        people.flat_map(|person| sorted(&person).into_iter().map(move |picture| (person.clone(), picture))).collect();
    let mut list = String::new();
    for (i, (a, first)) in pictures.iter().enumerate() {
        for (b, second) in &pictures[..i] {
            writeln!(list, "{}\t{}\t{}", first.display(), second.display(), u8::from(a == b)).unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), list).unwrap();
    file
}

/// Runs all pairs of a folder of people: every face must be found, and the shares must reach these.
fn check_pairs(folder: &str, embedder: &str, balanced: f64, tar_at_1e3: f64) {
    check_pairs_with(folder, (embedder, "yunet-n"), balanced, tar_at_1e3);
}

fn check_pairs_with(folder: &str, (embedder, detector): (&str, &str), balanced: f64, tar_at_1e3: f64) {
    let Some(folder) = media(folder, embedder) else { return };
    let list = all_pairs(&folder);
    let output = visor(&["eval", "pairs", text(list.path()), "--json", "--embedder", embedder, "--detector", detector]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "accuracy",
        "balanced_accuracy",
        "ci95",
        "not_found",
        "pairs",
        "tar_at_far_1e2",
        "tar_at_far_1e3",
        "threshold",
    ];
    assert_eq!(keys, expected);
    assert_eq!(report["not_found"], 0);
    let share = |name: &str| report[name].as_f64().unwrap();
    assert!(share("balanced_accuracy") >= balanced && share("tar_at_far_1e3") >= tar_at_1e3, "{embedder}: {report}");
    for name in ["accuracy", "balanced_accuracy", "tar_at_far_1e2", "tar_at_far_1e3"] {
        let [low, high] = [0, 1].map(|end| report["ci95"][name][end].as_f64().unwrap());
        assert!(low <= share(name) && share(name) <= high && low < high, "{name}: {report}");
    }
}

#[test]
fn people_are_told_apart() {
    check_pairs("recog/lfw10", "face-reid-0095", 0.998, 0.995);
    check_pairs("recog/lfw10", "dlib-resnet", 0.985, 0.951);
}

#[test]
fn people_are_told_apart_where_the_detector_gives_no_landmarks() {
    let needed = ["ultraface-rfb-640", "landmarks-0009"];
    if let Some(missing) = needed.into_iter().find(|model| media("recog", model).is_none()) {
        eprintln!("skipped: no {missing}");
        return;
    }
    check_pairs_with("recog/lfw10", ("face-reid-0095", needed[0]), 0.998, 0.995);
}

#[test]
fn people_are_told_apart_by_faces_of_twenty_pixels() {
    check_pairs("recog/orl_23x28", "face-reid-0095", 0.989, 0.951);
    check_pairs("recog/orl_23x28", "dlib-resnet", 0.947, 0.70);
}

/// A picture's path below the folder and its landmarks, of a line `path x1 … x5 y1 … y5`.
fn landmarks(line: &str) -> (&str, Landmarks) {
    let mut words = line.split_whitespace();
    let path = words.next().unwrap();
    let numbers: Vec<f32> = words.map(|word| word.parse().unwrap()).collect();
    (path, std::array::from_fn(|i| Point::new(numbers[i], numbers[i + 5])))
}

#[test]
fn strangers_of_eighty_pixels_do_not_pass_for_each_other() {
    let Some(folder) = media("detect/lfw5590_80px", "face-reid-0095") else { return };
    let lines = std::fs::read_to_string(folder.join("landmarks.txt")).unwrap();
    // A quarter of them gives half a million pairs.
    let faces: Vec<_> = lines.lines().step_by(4).map(landmarks).collect();
    if !folder.join(faces[0].0).exists() {
        eprintln!("skipped: {} has landmarks, but no pictures", folder.display());
        return;
    }
    let runtime = Runtime::load(&Config::default()).unwrap();
    let manifest = runtime.manifest("face-reid-0095").unwrap();
    let shape = manifest.input.shape(1, manifest.size(None).unwrap());
    let mut embedder = Embedder::new(runtime.open(&manifest, 1, shape).unwrap()).unwrap();
    let mut embed = |(path, face): &(&str, Landmarks)| {
        let still = still::open(&folder.join(path)).unwrap().unwrap();
        embedder.embed(still.view(), &[*face], Instant::now() + Duration::from_secs(60)).unwrap().remove(0)
    };
    let people: Vec<Embedding> = faces.iter().map(&mut embed).collect();
    let pairs = (0..people.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let (all, passed) = pairs.fold((0u32, 0u32), |(all, passed), (i, j)| {
        (all + 1, passed + u32::from(people[i].cosine(&people[j]) >= 0.40))
    });
    assert!(f64::from(passed) <= 3e-4 * f64::from(all), "{passed} of {all}");
}

#[test]
fn two_pictures_are_compared() {
    let Some(folder) = media("recog", "face-reid-0095") else { return };
    let [bush, other_bush, powell] =
        ["George_W_Bush/George_W_Bush_0001", "George_W_Bush/George_W_Bush_0003", "Colin_Powell/Colin_Powell_0001"]
            .map(|name| folder.join(format!("lfw10/{name}.jpg")));
    let compare = |a: &Path, b: &Path| {
        let output = visor(&["compare", text(a), text(b), "--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let keys: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["same", "similarity", "threshold"]);
        (answer["same"].as_bool().unwrap(), answer["similarity"].as_f64().unwrap(), stderr(&output))
    };
    assert!(compare(&bush, &other_bush).0);
    assert!(!compare(&bush, &powell).0);
    assert!(compare(&bush, &bush).1 > 0.999);
    let (_, _, said) = compare(&folder.join("faceapi_test/faces.jpg"), &bush);
    assert!(said.contains("faces.jpg: shows 6 faces, the largest is used"), "{said}");
    let shown = visor(&["compare", text(&bush), text(&powell)]);
    assert!(String::from_utf8_lossy(&shown.stdout).ends_with("different people\n"));
}

#[test]
fn what_cannot_be_compared_is_said_with_its_status() {
    let Some(folder) = media("recog", "face-reid-0095") else { return };
    let (face, white) = (folder.join("faceapi_test/face1.png"), folder.join("faceapi_test/white.png"));
    let check = |arguments: &[&str], status: i32, said: &str| {
        let output = visor(arguments);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    };
    check(&["compare", text(&face), text(&white)], 1, "white.png: no face was found");
    check(&["compare", text(&face), "/nonexistent.jpg"], 1, "/nonexistent.jpg");
    check(&["compare", text(&face)], 2, "required");
    let other = tempfile::tempdir().unwrap();
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/store/libonnxruntime.so");
    std::os::unix::fs::symlink(library, other.path().join("libonnxruntime.so")).unwrap();
    check(&["compare", text(&face), text(&face), "--folder", text(other.path())], 69, "visor models pull");
    check(&["compare", text(&face), text(&face), "--embedder", "yunet-n"], 78, "is no embedder");
    check(&["compare", text(&face), text(&face), "--embedder", "yunet"], 78, "no model is named \"yunet\"");
    check(
        &["compare", text(&face), text(&face), "--embedder", "mobilefacenet-y1"],
        2,
        "--accept-licence mobilefacenet-y1",
    );
    let list = other.path().join("list.txt");
    std::fs::write(&list, "a.jpg b.jpg 1\na.jpg b.jpg\n").unwrap();
    check(&["eval", "pairs", text(&list)], 1, "list.txt: line 2");
    std::fs::write(&list, format!("{0} {0} 1\n", face.display())).unwrap();
    check(&["eval", "pairs", text(&list)], 1, "only pairs of one kind");
    let config = other.path().join("visor.toml");
    std::fs::write(&config, "[models]\nembeder = \"none\"\n").unwrap();
    check(&["compare", text(&face), text(&face), "--config", text(&config)], 78, "embeder");
    std::fs::write(&config, "[models]\nembedder = \"none\"\n").unwrap();
    check(&["compare", text(&face), text(&face), "--config", text(&config)], 78, "recognition is switched off");
}

#[test]
fn pairs_without_a_face_count_against_the_result() {
    let Some(folder) = media("recog", "face-reid-0095") else { return };
    let (face, other, white) = (
        folder.join("faceapi_test/face1.png"),
        folder.join("lfw10/Colin_Powell/Colin_Powell_0001.jpg"),
        folder.join("faceapi_test/white.png"),
    );
    let list = tempfile::NamedTempFile::new().unwrap();
    let lines = [(&face, &face, 1), (&face, &white, 1), (&face, &other, 0), (&other, &white, 0)];
    let lines = lines.map(|(a, b, same)| format!("{} {} {same}\n", a.display(), b.display()));
    std::fs::write(list.path(), lines.concat()).unwrap();
    let output = visor(&["eval", "pairs", text(list.path()), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["pairs"], &report["not_found"]), (&4.into(), &1.into()));
    assert_eq!((report["accuracy"].as_f64(), report["tar_at_far_1e2"].as_f64()), (Some(0.75), Some(0.5)));
}
