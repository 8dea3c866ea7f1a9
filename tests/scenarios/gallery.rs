//! The gallery's folder: what is taken from it, what is refused and why, and what a second reading does.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use assert_cmd::Command;
use image::imageops::{self, FilterType};
use serde_json::Value;
use tempfile::TempDir;
use visor::detect::{self, Detector};
use visor::infer::{Config, Runtime};
use visor::recognise::gallery::folder::{Folder, Report};
use visor::recognise::gallery::{Enroller, Settings};
use visor::recognise::{Embedder, Gallery};

use super::detect::media;

const EMBEDDER: &str = "face-reid-0095";

/// People of the development media, where this machine has them and the models.
fn people() -> Option<PathBuf> {
    let people = media("recog/lfw10")?;
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/store/face_reidentification_retail_0095.onnx");
    if !model.is_file() {
        eprintln!("skipped: {} is missing (visor models pull {EMBEDDER})", model.display());
        return None;
    }
    Some(people)
}

/// Copies picture `number` of a person to `to`, whose folder is made.
fn copy(people: &Path, person: &str, number: u32, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(people.join(format!("{person}/{person}_{number:04}.jpg")), to).unwrap();
}

/// Runs `visor gallery`, in 4 GB of addresses at most.
fn visor(arguments: &[&str], folder: &Path) -> Output {
    let limited = "ulimit -v 4000000 && exec \"$0\" \"$@\"";
    let visor = env!("CARGO_BIN_EXE_visor");
    let command = ["-c", limited, visor, "gallery"];
    Command::new("sh").args(command).args(arguments).args(["--embedder", EMBEDDER]).arg(folder).output().unwrap()
}

fn check(folder: &Path) -> Value {
    let output = visor(&["check", "--json"], folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Words of what was refused, by file name.
fn reason<'a>(answer: &'a Value, file: &str) -> Option<&'a str> {
    let refused = answer["refused"].as_array().unwrap();
    refused.iter().find(|r| r["file"].as_str().unwrap().ends_with(file)).map(|r| r["reason"].as_str().unwrap())
}

#[test]
fn a_folder_is_checked_and_each_picture_it_cannot_use_is_named() {
    let (Some(people), Some(odd)) = (people(), media("odd")) else { return };
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    for number in 1..=3 {
        copy(&people, "Colin_Powell", number, &at(&format!("Colin Powell/{number}.jpg")));
        copy(&people, "Donald_Rumsfeld", number, &at(&format!("Donald Rumsfeld/{number}.jpg")));
    }
    copy(&people, "Colin_Powell", 1, &at("Colin Powell/again.jpg"));
    copy(&people, "Colin_Powell", 2, &at("stray.jpg"));
    copy(&people, "Donald_Rumsfeld", 1, &at("Colin/mistaken.jpg"));
    side_by_side(&[at("Colin Powell/1.jpg"), at("Donald Rumsfeld/1.jpg")], &at("Donald Rumsfeld/two.png"));
    huge(&at("Colin Powell/2.jpg"), &at("Colin Powell/huge.jpg"));
    std::os::unix::fs::symlink("/dev/zero", at("Colin Powell/zero.jpg")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("Colin Powell/pipe.jpg"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    std::fs::write(at("Colin Powell/.hidden"), "not looked at").unwrap();

    let answer = check(folder.path());
    assert_eq!(answer["people"], 3);
    // A picture that two people have is nobody's, and whoever is nearest to it is not nearer to themselves.
    assert!((0.5..0.9).contains(&answer["leave_one_out"]["accuracy"].as_f64().unwrap()), "{answer}");
    assert!(answer["leave_one_out"]["wrong"].as_f64().unwrap() > 0.0, "{answer}");
    assert_eq!(answer["most_confusable"]["a"], "colin");
    assert_eq!(answer["most_confusable"]["b"], "donald-rumsfeld");
    assert_eq!(answer["look_alikes"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["single_picture"], serde_json::json!(["colin"]));
    assert_eq!(answer["duplicates"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(reason(&answer, "two.png"), Some("several_faces"));
    for (file, expected) in [("zero.jpg", "unreadable"), ("pipe.jpg", "unreadable"), ("stray.jpg", "unreadable")] {
        assert_eq!(reason(&answer, file), Some(expected), "{answer}");
    }
    // Enrolled, or refused in words; nothing else comes of it.
    assert!(matches!(reason(&answer, "huge.jpg"), None | Some("no_face" | "too_large" | "too_blurred")), "{answer}");
    assert_eq!(reason(&answer, ".hidden"), None);
    assert!(answer["threshold"].as_f64().unwrap() >= 0.4 && answer["margin"].as_f64().unwrap() > 0.0);

    let files = odd_files(&odd, &at("Odd"));
    let answer = check(folder.path());
    let named = files.iter().filter(|file| reason(&answer, &format!("/{file}")).is_some()).count();
    assert!(files.len() >= 30 && named + 3 >= files.len(), "{named} of {} are named: {answer}", files.len());
    assert_eq!(reason(&answer, "bomb_gray_20000x20000.png"), Some("too_large"));
    assert_eq!(reason(&answer, "text_named.jpg"), Some("unreadable"));
}

/// Two pictures in one.
fn side_by_side(pictures: &[PathBuf; 2], to: &Path) {
    let [left, right] = pictures.each_ref().map(|path| image::open(path).unwrap().into_rgb8());
    let mut both = image::RgbImage::new(left.width() + right.width(), left.height().max(right.height()));
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, left.width().into(), 0);
    both.save(to).unwrap();
}

/// A picture as the largest cameras make them.
fn huge(picture: &Path, to: &Path) {
    let face = image::open(picture).unwrap().into_luma8();
    let face = imageops::resize(&face, 4912, 4912, FilterType::Triangle);
    let mut canvas = image::GrayImage::new(7360, 4912);
    imageops::replace(&mut canvas, &face, 1200, 0);
    canvas.save(to).unwrap();
}

/// Copies the odd files into one folder, and gives their names.
fn odd_files(odd: &Path, to: &Path) -> Vec<String> {
    std::fs::create_dir(to).unwrap();
    let mut names = Vec::new();
    for folder in [odd.join("gen"), odd.join("imagers")] {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            std::fs::copy(entry.path(), to.join(&name)).unwrap();
            names.push(name);
        }
    }
    names
}

#[test]
fn two_names_of_one_id_are_an_error_that_names_both() {
    if people().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    ["Zoe", "Zoë"].iter().for_each(|name| std::fs::create_dir(folder.path().join(name)).unwrap());
    let output = visor(&["list"], folder.path());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("\"Zoe\" and \"Zoë\"") && text.contains("rename"), "{text}");
}

fn enroller() -> Enroller {
    let runtime = Runtime::load(&Config::default()).unwrap();
    let open = |name: &str| {
        let manifest = runtime.manifest(name).unwrap();
        let shape = manifest.input.shape(1, manifest.size(None).unwrap());
        runtime.open(&manifest, 1, shape).unwrap()
    };
    let (detector, embedder) = (open("yunet-n"), Embedder::new(open(EMBEDDER)).unwrap());
    let settings = detect::Settings::new(&detect::Config::default(), detector.manifest()).unwrap();
    let detector = Detector::new(Arc::clone(&detector), settings).unwrap();
    let gallery = Gallery::new(Settings::of(&embedder));
    Enroller::new(detector, None, embedder, gallery).unwrap()
}

fn read(folder: &mut Folder, enroller: &mut Enroller) -> Report {
    folder.load(enroller, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_second_reading_does_what_has_changed_and_nothing_else() {
    let Some(people) = people() else { return };
    let (folder, mut enroller) = (TempDir::new().unwrap(), enroller());
    let at = |path: &str| folder.path().join(path);
    for number in 1..=3 {
        copy(&people, "Colin_Powell", number, &at(&format!("Colin/{number}.jpg")));
    }
    copy(&people, "Colin_Powell", 1, &at("Colin/4.jpg"));
    copy(&people, "Donald_Rumsfeld", 1, &at("Donald/1.jpg"));
    std::fs::write(at("Donald/broken.jpg"), "no picture").unwrap();
    let mut reader = Folder::new(folder.path());
    let report = read(&mut reader, &mut enroller);
    assert_eq!((report.people, report.references, report.added, report.skipped.len()), (2, 4, 4, 1));
    assert_eq!(report.duplicates, [at("Colin/4.jpg")]);

    let before = enroller.gallery().revision();
    let report = read(&mut reader, &mut enroller);
    assert_eq!((report.references, report.added, report.removed, report.skipped.len()), (4, 0, 0, 1));
    assert_eq!(enroller.gallery().revision(), before, "nothing has changed");

    // The first picture goes while its double stays; another becomes a picture of the same person; one becomes usable.
    std::fs::remove_file(at("Colin/1.jpg")).unwrap();
    copy(&people, "Colin_Powell", 5, &at("Colin/2.jpg"));
    copy(&people, "Donald_Rumsfeld", 2, &at("Donald/broken.jpg"));
    let report = read(&mut reader, &mut enroller);
    assert_eq!((report.references, report.added, report.removed), (5, 3, 2), "{report:?}");
    assert!(report.duplicates.is_empty() && report.skipped.is_empty(), "{report:?}");
    let colin = enroller.gallery().person("colin").unwrap();
    let mut sources: Vec<_> = colin.references.iter().map(|r| r.source.rsplit('/').next().unwrap()).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["2.jpg", "3.jpg", "4.jpg"]);

    std::fs::remove_dir_all(at("Donald")).unwrap();
    let report = read(&mut reader, &mut enroller);
    assert_eq!((report.people, report.removed), (1, 2));
    assert!(!enroller.gallery().holds("donald") && enroller.gallery().holds("colin"));
}

#[test]
fn a_picture_below_not_takes_the_name_from_whom_it_shows() {
    let Some(people) = people() else { return };
    let (folder, mut enroller) = (TempDir::new().unwrap(), enroller());
    let at = |path: &str| folder.path().join(path);
    copy(&people, "Colin_Powell", 1, &at("Zoe/1.jpg"));
    copy(&people, "Colin_Powell", 3, &at("Zoe/not/3.jpg"));
    std::fs::create_dir(at("Zoe/other")).unwrap();
    let report = read(&mut Folder::new(folder.path()), &mut enroller);
    assert_eq!((report.people, report.references, report.anchors, report.added), (1, 1, 1, 2), "{report:?}");
    assert_eq!(report.skipped.len(), 1, "a folder that means nothing is named: {report:?}");
    let mut look = |number: u32| {
        let picture = people.join(format!("Colin_Powell/Colin_Powell_{number:04}.jpg"));
        enroller.look(&std::fs::read(picture).unwrap()).unwrap().embedding
    };
    let (reference, anchor) = (look(1), look(3));
    assert!(enroller.gallery().search(&anchor).first.is_none(), "the picture below not is called Zoe");
    assert_eq!(&*enroller.gallery().search(&reference).first.unwrap().person.id, "zoe");
}
