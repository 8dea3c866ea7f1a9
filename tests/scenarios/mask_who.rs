//! Some people go unmasked, others cross their way: on clips whose people are known, from the real models on. Skipped, aloud,
//! without assets or models.
#![cfg(feature = "media")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use super::detect::media;
use super::support::leaks::{self, Leak};
use super::support::mot;

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
