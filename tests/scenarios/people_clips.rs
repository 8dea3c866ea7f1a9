//! Who is who on clips with exact truth: everybody is named soon and nobody wrongly, and a stranger has one alias.
#![cfg(feature = "media")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::support::daemon::{checkout, sample, visor};

/// Frames a second of the clips.
const FPS: usize = 25;

/// One person's box in one frame of the truth.
struct Truth {
    name: String,
    rect: [f64; 4],
    visible: f64,
}

impl Truth {
    /// Large and free enough to be recognised.
    fn is_usable(&self) -> bool {
        self.rect[2].min(self.rect[3]) >= 40.0 && self.visible >= 0.8
    }
}

/// A clip's folder among the assets; `None`, aloud, where it or what looks at it is missing.
fn clip(name: &str) -> Option<PathBuf> {
    sample()?;
    let store = checkout("models/store");
    let needed = ["yunet_n_dynamic.onnx", "face_reidentification_retail_0095.onnx"];
    let folder = std::env::var_os("VISOR_ASSETS").map(|assets| Path::new(&assets).join("media/tracking").join(name));
    let found = folder.filter(|folder| folder.is_dir() && needed.iter().all(|file| store.join(file).is_file()));
    if found.is_none() {
        eprintln!("skipped: {name} (in VISOR_ASSETS) or the default models are missing");
    }
    found
}

/// The truth by frame, from 1.
fn truth(folder: &Path) -> BTreeMap<u64, Vec<Truth>> {
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let ids: Value = serde_json::from_str(&read("identities.json")).unwrap();
    let mut frames: BTreeMap<u64, Vec<Truth>> = BTreeMap::new();
    for line in read("gt/gt.txt").lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<f64>().unwrap();
        let name = ids["ids"][fields[1]].as_str().unwrap().to_owned();
        let entry = Truth { name, rect: [number(2), number(3), number(4), number(5)], visible: number(8) };
        frames.entry(number(0) as u64).or_default().push(entry);
    }
    frames
}

/// A gallery of those whom `keep` keeps, out of the clip's own pictures `<person>_<n>.jpg`.
fn gallery(folder: &Path, keep: impl Fn(&str) -> bool) -> tempfile::TempDir {
    let gallery = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.join("gallery")).unwrap().flatten() {
        let file = entry.file_name().into_string().unwrap();
        let person = file.rsplit_once('_').unwrap().0;
        if keep(person) {
            std::fs::create_dir_all(gallery.path().join(person)).unwrap();
            std::fs::copy(entry.path(), gallery.path().join(person).join(&file)).unwrap();
        }
    }
    gallery
}

fn overlap(a: [f64; 4], b: [f64; 4]) -> f64 {
    let shared = |i: usize| ((a[i] + a[i + 2]).min(b[i] + b[i + 2]) - a[i].max(b[i])).max(0.0);
    let both = shared(0) * shared(1);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

/// What was said of each person: frames with a name, aliases, and how late the first decision came.
#[derive(Default)]
struct Said {
    names: BTreeSet<String>,
    aliases: BTreeSet<String>,
    usable: Option<u64>,
    decided: Option<u64>,
}

fn watch(name: &str, folder: &Path, gallery: &Path) -> BTreeMap<String, Said> {
    let truth = truth(folder);
    let mut command = Command::new(visor());
    command.args(["track", "--format", "json", "--gallery"]).arg(gallery).arg(folder.join(format!("{name}.mp4")));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let frame = line["frame"].as_u64().unwrap();
        let there = truth.get(&frame).map(Vec::as_slice).unwrap_or_default();
        for entry in there.iter().filter(|entry| entry.is_usable()) {
            said.entry(entry.name.clone()).or_default().usable.get_or_insert(frame);
        }
        for track in line["tracks"].as_array().unwrap().iter().filter(|track| track["state"] == "confirmed") {
            let rect: [f64; 4] = std::array::from_fn(|i| track["box"][i].as_f64().unwrap());
            let nearest = there.iter().max_by(|a, b| overlap(a.rect, rect).total_cmp(&overlap(b.rect, rect)));
            let Some(entry) = nearest.filter(|entry| overlap(entry.rect, rect) > 0.5) else { continue };
            let said = said.entry(entry.name.clone()).or_default();
            let (person, alias) = (&track["identity"]["person"], &track["identity"]["alias"]);
            said.names.extend(person.as_str().map(str::to_owned));
            said.aliases.extend(alias.as_str().map(str::to_owned));
            if person.is_string() || alias.is_string() {
                said.decided.get_or_insert(frame);
            }
        }
    }
    said
}

fn check_everybody_is_named(name: &str) {
    let Some(folder) = clip(name) else { return };
    let said = watch(name, &folder, gallery(&folder, |_| true).path());
    assert!(said.len() >= 4);
    let mut late: Vec<u64> = Vec::new();
    for (person, Said { names, aliases, usable, decided }) in &said {
        assert_eq!(names, &BTreeSet::from([person.clone()]), "a wrong name, or none");
        assert!(aliases.is_empty(), "{person} was called {aliases:?}");
        late.push(decided.unwrap().saturating_sub(usable.unwrap_or(1)));
    }
    late.sort_unstable();
    println!("{name}: frames from the first usable face to the name: {late:?}");
    assert!(late[late.len() / 2] <= (FPS * 2 / 5) as u64 && late[late.len() - 1] <= FPS as u64, "{late:?}");
}

fn check_strangers_have_one_alias(name: &str) {
    let Some(folder) = clip(name) else { return };
    let everybody: BTreeSet<String> = truth(&folder).into_values().flatten().map(|entry| entry.name).collect();
    let known: BTreeSet<&String> = everybody.iter().step_by(2).collect();
    let gallery = gallery(&folder, |person| known.contains(&person.to_owned()));
    let mut all = BTreeSet::new();
    for (person, Said { names, aliases, .. }) in watch(name, &folder, gallery.path()) {
        if known.contains(&person) {
            assert_eq!(names, BTreeSet::from([person]), "a wrong name, or none");
            assert!(aliases.is_empty(), "{aliases:?}");
        } else {
            assert!(names.is_empty(), "the stranger {person} was named {names:?}");
            assert_eq!(aliases.len(), 1, "{person} was called {aliases:?}");
            assert!(all.insert(aliases), "two strangers of one alias");
        }
    }
    assert_eq!(all.len(), everybody.len() - known.len());
}

#[test]
fn everybody_is_named_where_they_cross() {
    check_everybody_is_named("synth_cross5");
}

#[test]
fn everybody_is_named_in_a_grid() {
    check_everybody_is_named("synth_grid4");
}

#[test]
fn strangers_have_one_alias_where_they_cross() {
    check_strangers_have_one_alias("synth_cross5");
}

#[test]
fn strangers_have_one_alias_in_a_grid() {
    check_strangers_have_one_alias("synth_grid4");
}
