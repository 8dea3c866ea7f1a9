//! Who is who on clips with exact truth: everybody is named soon and nobody wrongly, and a stranger has one alias.
#![cfg(feature = "media")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use visor::geometry::Rect;

use super::support::daemon::{checkout, sample, visor};
use super::support::naming::{Clip, sequence};

/// Frames a second of the clips.
const FPS: usize = 25;

/// A clip; `None`, aloud, where it or what looks at it is missing.
pub fn clip(name: &str) -> Option<Clip> {
    sample()?;
    let store = checkout("models/store");
    let needed = ["yunet_n_dynamic.onnx", "face_reidentification_retail_0095.onnx"];
    if needed.iter().any(|file| !store.join(file).is_file()) {
        eprintln!("skipped: the default models are missing from models/store");
        return None;
    }
    sequence(name)
}

/// What was said of each person: frames with a name, aliases, and how late the first decision came.
#[derive(Default)]
struct Said {
    names: BTreeSet<String>,
    aliases: BTreeSet<String>,
    usable: Option<u64>,
    decided: Option<u64>,
}

fn watch(clip: &Clip, gallery: &Path) -> BTreeMap<String, Said> {
    let mut command = Command::new(visor());
    command.args(["track", "--format", "json", "--gallery"]).arg(gallery).arg(&clip.parts[0].0);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let frame = line["frame"].as_u64().unwrap();
        for person in clip.usable(frame - 1) {
            said.entry(person.to_owned()).or_default().usable.get_or_insert(frame);
        }
        for track in line["tracks"].as_array().unwrap().iter().filter(|track| track["state"] == "confirmed") {
            let [x, y, w, h] = std::array::from_fn(|i| track["box"][i].as_f64().unwrap() as f32);
            let Some((person, _)) = clip.shown(frame - 1, Rect::new(x, y, w, h)) else { continue };
            let said = said.entry(person.to_owned()).or_default();
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
    let Some(clip) = clip(name) else { return };
    let gallery = tempfile::tempdir().unwrap();
    clip.enrol(&clip.people(), gallery.path());
    let said = watch(&clip, gallery.path());
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
    let Some(clip) = clip(name) else { return };
    let everybody = clip.people();
    let known: BTreeSet<String> = everybody.iter().step_by(2).cloned().collect();
    let gallery = tempfile::tempdir().unwrap();
    clip.enrol(&known, gallery.path());
    let mut all = BTreeSet::new();
    for (person, Said { names, aliases, .. }) in watch(&clip, gallery.path()) {
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
