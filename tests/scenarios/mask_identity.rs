//! Whether recognisers of other families still tell who it is behind a mask: real faces, masked as `visor mask` does, looked at
//! where the face was found before. Skipped, aloud, without assets or models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use visor::detect::{self, Detection, Detector, View, still};
use visor::infer::{self, Model, Runtime};
use visor::mask::{Config, Painter, Sighting, still_regions};
use visor::recognise::gallery::{Enrolment, Gallery, PersonId, Profile, Settings};
use visor::recognise::{Closeup, Embedder, Embedding};

use super::detect::media;

const DEADLINE: Duration = Duration::from_secs(30);

/// Of other families than the default, whose makers and pictures are others, too.
const EMBEDDERS: [&str; 2] = ["dlib-resnet", "mobilefacenet-y1"];

/// One picture of one person, with its face.
struct Shot {
    person: String,
    size: visor::geometry::Size,
    rgb: Vec<u8>,
    face: Detection,
}

/// What a recogniser makes of masked faces.
#[derive(Debug, Default)]
struct Tally {
    probes: usize,
    /// Given their own names, by a gallery's threshold and margin.
    identified: usize,
    /// Given a name, be it a wrong one.
    named: usize,
    /// Nearest to their own person, however far away.
    nearest: usize,
    /// The same among faces that are masked, too.
    nearest_masked: usize,
}

/// A folder with the models' files, wherever they are to be had.
fn folder(names: &[(&str, &str)]) -> Option<tempfile::TempDir> {
    let assets = std::env::var_os("VISOR_ASSETS").map(PathBuf::from)?;
    let folder = tempfile::tempdir().unwrap();
    for (kind, file) in names {
        let from = assets.join("models").join(kind).join(file);
        if !from.is_file() {
            eprintln!("skipped: {} is missing", from.display());
            return None;
        }
        std::os::unix::fs::symlink(from, folder.path().join(file)).unwrap();
    }
    Some(folder)
}

fn open(runtime: &Runtime, name: &str) -> Arc<Model> {
    let manifest = runtime.manifest(name).unwrap();
    let size = manifest.size(None).unwrap();
    runtime.open(&manifest, 1, manifest.input.shape(1, size)).unwrap()
}

fn runtime() -> Option<(Runtime, tempfile::TempDir)> {
    let default = infer::Config::default();
    let needed = [
        ("detect", "yunet_n_dynamic.onnx"),
        ("embed", "dlib_resnet_faceapi.onnx"),
        ("embed", "mobilefacenet_insightface_y1.onnx"),
    ];
    let folder = folder(&needed)?;
    if !default.library().is_file() {
        eprintln!("skipped: {} is missing", default.library().display());
        return None;
    }
    let config = infer::Config {
        library: Some(default.library()),
        folder: Some(folder.path().to_owned()),
        accept_licences: vec!["mobilefacenet-y1".into()],
        ..default
    };
    Some((Runtime::load(&config).unwrap(), folder))
}

/// Pictures of people whose folders are named after them, each with the one face that it shows.
fn shots(set: &Path, eyes: &mut Closeup) -> Vec<Shot> {
    let mut shots = Vec::new();
    let mut people: Vec<_> = set.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    people.sort();
    for folder in people.into_iter().filter(|path| path.is_dir()) {
        let person = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut pictures: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        pictures.sort();
        for picture in pictures {
            let Some(still) = still::open(&picture).unwrap() else { continue };
            let View::Rgb { size, bytes } = still.view() else { panic!("not a still") };
            let faces = eyes.faces(still.view(), Instant::now() + DEADLINE).unwrap();
            if let Some(face) = faces.first().filter(|face| face.landmarks.is_some()) {
                shots.push(Shot { person: person.clone(), size, rgb: bytes.to_vec(), face: *face });
            }
        }
    }
    shots
}

fn embed(embedder: &mut Embedder, shot: &Shot, rgb: &[u8]) -> Embedding {
    let view = View::Rgb { size: shot.size, bytes: rgb };
    embedder.embed(view, &[shot.face.landmarks.unwrap()], Instant::now() + DEADLINE).unwrap().remove(0)
}

/// The pixels of a picture whose face is masked as this configuration says.
fn masked(shot: &Shot, config: &Config) -> Vec<u8> {
    let settings = config.resolve(Vec::new()).unwrap();
    let sightings = Sighting::all(&[shot.face], &[], 0.5, &[]);
    let regions = still_regions(&sightings, settings.margins);
    let masked = Painter::new("test", &settings).unwrap().paint_still(shot.size, &shot.rgb, &regions).unwrap();
    masked.rgb().to_vec()
}

/// A gallery of the faces as they are.
fn gallery(embedder: &Embedder, shots: &[Shot], faces: &[Embedding]) -> Gallery {
    let gallery = Gallery::new(Settings::of(embedder));
    for (shot, face) in shots.iter().zip(faces) {
        let enrolment = Enrolment {
            id: None,
            profile: Profile::named(&shot.person),
            references: vec![(face.clone(), 1.0)],
            negative: false,
            source: "test".into(),
        };
        gallery.enrol(enrolment).unwrap();
    }
    gallery
}

/// The index of the face most like the one at `index`, itself left out.
fn nearest_other(faces: &[Embedding], index: usize) -> usize {
    let others = (0..faces.len()).filter(|other| *other != index);
    let score = |other: &usize| faces[*other].cosine(&faces[index]);
    others.max_by(|a, b| score(a).total_cmp(&score(b))).unwrap()
}

fn look_up(shots: &[Shot], gallery: &Gallery, probes: &[Embedding]) -> Tally {
    let mut tally = Tally { probes: probes.len(), ..Tally::default() };
    let (threshold, margin) = (gallery.threshold(), gallery.margin());
    for (index, (shot, probe)) in shots.iter().zip(probes).enumerate() {
        let ranking = gallery.search(probe);
        let first = ranking.first.as_ref().unwrap();
        let right = *first.person.id == *PersonId::of_name(&shot.person).unwrap();
        let named = first.score >= threshold && ranking.margin().is_none_or(|ahead| ahead >= margin);
        tally.nearest += usize::from(right);
        tally.named += usize::from(named);
        tally.identified += usize::from(right && named);
        tally.nearest_masked += usize::from(shots[nearest_other(probes, index)].person == shot.person);
    }
    tally
}

/// The share of probes that are nearest to their own person where one of the gallery is picked blindly.
fn chance(shots: &[Shot]) -> f64 {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    shots.iter().for_each(|shot| *counts.entry(&shot.person).or_default() += 1);
    counts.values().map(|&count| (count as f64 / shots.len() as f64).powi(2)).sum()
}

/// Upper end of what chance alone gives, once in a thousand times.
fn most_by_chance(probes: usize, chance: f64) -> usize {
    let n = probes as f64;
    (n * chance + 3.1 * (n * chance * (1.0 - chance)).sqrt()).ceil() as usize
}

fn check(embedder: &mut Embedder, name: &str, shots: &[Shot]) {
    let clear: Vec<Embedding> = shots.iter().map(|shot| embed(embedder, shot, &shot.rgb)).collect();
    let found = (0..clear.len()).filter(|index| shots[nearest_other(&clear, *index)].person == shots[*index].person);
    let (found, chance) = (found.count() as f64 / clear.len() as f64, chance(shots));
    println!(
        "{name}: of {} clear faces {found:.3} are nearest to another of the same person, chance {chance:.3}",
        clear.len()
    );
    assert!(clear.len() >= 200 && found > 0.85, "{name} does not tell these people apart, the test shows nothing");
    let gallery = gallery(embedder, shots, &clear);
    for (kind, whole_head) in
        [("solid", true), ("solid", false), ("pixelate", true), ("pixelate", false), ("blur", true)]
    {
        let config = Config { kind: kind.into(), whole_head, ..Config::default() };
        let probes: Vec<Embedding> = shots.iter().map(|shot| embed(embedder, shot, &masked(shot, &config))).collect();
        let tally = look_up(shots, &gallery, &probes);
        println!("{name}, {kind}, whole head {whole_head}: {tally:?}");
        // what can be undone in part is there to be compared with
        if kind != "blur" {
            assert_eq!(tally.identified, 0, "{name}, {kind}, whole head {whole_head}: {tally:?}");
            let most = most_by_chance(tally.probes, chance);
            assert!(tally.nearest <= most, "{name}, {kind}, whole head {whole_head}: {tally:?}, by chance {most}");
        }
    }
}

#[test]
fn another_recogniser_identifies_nobody_behind_solid_and_pixelate() {
    let Some((runtime, _folder)) = runtime() else { return };
    let detector = open(&runtime, "yunet-n");
    let settings = detect::Settings::new(&detect::Config::default(), detector.manifest()).unwrap();
    let mut eyes = Closeup::new(Detector::new(detector, settings).unwrap(), None);
    let mut all = Vec::new();
    for set in ["lfw10", "orl", "dlib_johns"] {
        let Some(set) = media(&format!("recog/{set}")) else { return };
        all.extend(shots(&set, &mut eyes));
    }
    for name in EMBEDDERS {
        check(&mut Embedder::new(open(&runtime, name)).unwrap(), name, &all);
    }
}
