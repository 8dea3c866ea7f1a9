//! The gallery's folder: `<person>/<picture>`, read and never written.
//!
//! A person's folder is named as the person is to be shown. What has been read is remembered, so that reading again enrols
//! what is new or has changed and removes what is gone. A picture that cannot be used is named and left out; two
//! folders whose names give one id are an error, and then nothing is read. A folder `not` within a person's holds pictures of
//! people whom the person was, or might be, taken for: see [`super::person::Person::anchors`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::enroller::{Enroller, Who};
use super::person::PersonId;
use super::rejection::{Refusal, Rejection};
use super::store::{Gallery, LookAlike, Profile};
use crate::fault::Fault;

/// Folder within a person's: pictures of people whom the person must not be taken for.
const NOT: &str = "not";

/// How far reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Pictures done.
    pub done: usize,
    /// Pictures to do.
    pub total: usize,
}

/// What a reading did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// People in the folder of whom there is a usable picture.
    pub people: usize,
    /// Pictures that are references now, from this reading or an earlier one.
    pub references: usize,
    /// Pictures that say whom people must not be taken for.
    pub anchors: usize,
    /// References that this reading added.
    pub added: usize,
    /// References that it removed, because their pictures are gone or have changed.
    pub removed: usize,
    /// Pictures that are there a second time.
    pub duplicates: Vec<PathBuf>,
    /// What could not be used and why, from this reading or an earlier one.
    pub skipped: Vec<(PathBuf, Rejection)>,
    /// Pictures of this reading that look much like somebody else.
    pub look_alikes: Vec<(PathBuf, LookAlike)>,
    /// Reading was ended early.
    pub interrupted: bool,
}

/// Reads a folder once into an empty gallery.
///
/// # Errors
/// The folder cannot be read, or two of its people have one id.
pub fn load(
    path: &Path,
    enroller: &mut Enroller,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, Fault> {
    Folder::new(path).load(enroller, progress)
}

/// What a folder holds by its names alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// People with a picture.
    pub people: usize,
    /// Pictures of them.
    pub pictures: usize,
}

/// What the folder holds, without looking at a picture.
///
/// # Errors
/// It cannot be read, or two of its people have one id.
pub fn contents(path: &Path) -> Result<Contents, Fault> {
    let mut pictures = list(path)?.pictures;
    pictures.retain(|picture| !picture.negative);
    let people: BTreeSet<_> = pictures.iter().map(|picture| picture.path.parent()).collect();
    Ok(Contents { people: people.len(), pictures: pictures.len() })
}

/// The ids of the people with a picture in the folder, without looking at one.
///
/// # Errors
/// It cannot be read, or two of its people have one id.
pub fn ids(path: &Path) -> Result<BTreeSet<PersonId>, Fault> {
    let pictures = list(path)?.pictures;
    let names = pictures.iter().filter(|picture| !picture.negative).map(|picture| &picture.name);
    Ok(names.filter_map(|name| PersonId::of_name(name).ok()).collect())
}

/// A folder and what was read of it, for one gallery.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    known: BTreeMap<PathBuf, Known>,
}

/// A picture that was read.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    negative: bool,
    outcome: Outcome,
}

/// Changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

#[derive(Debug)]
enum Outcome {
    Reference(u64),
    Duplicate,
    Refused(Rejection),
}

/// A picture to be read.
struct Picture {
    path: PathBuf,
    name: String,
    /// Of somebody whom the person must not be taken for.
    negative: bool,
    stamp: Stamp,
}

/// What is there now.
#[derive(Default)]
struct Listing {
    pictures: Vec<Picture>,
    /// What is no picture by its place or name alone.
    misplaced: Vec<(PathBuf, Rejection)>,
}

impl Folder {
    /// Nothing is read yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), known: BTreeMap::new() }
    }

    /// Reads what has changed. `progress` hears of each picture, and may end the reading.
    ///
    /// # Errors
    /// The folder cannot be read, or two of its people have one id. Then nothing has changed.
    pub fn load(
        &mut self,
        enroller: &mut Enroller,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Report, Fault> {
        let Listing { pictures, misplaced } = list(&self.path)?;
        let mut report = Report { skipped: misplaced, ..Report::default() };
        let mut leaving = self.forget_gone(&pictures);
        let is_to_do = |picture: &&Picture| self.known.get(&picture.path).is_none_or(|known| known.is_due(picture));
        let to_do: Vec<_> = pictures.iter().filter(is_to_do).collect();
        for (done, picture) in to_do.iter().enumerate() {
            if progress(Progress { done, total: to_do.len() }).is_break() {
                report.interrupted = true;
                break;
            }
            leaving.extend(self.known.remove(&picture.path).and_then(|known| known.reference()));
            self.read(picture, enroller, &mut report);
        }
        let finished = Progress { done: to_do.len(), total: to_do.len() };
        report.interrupted = report.interrupted || progress(finished).is_break();
        // Last, so that nobody whose picture has changed is unknown in between.
        report.removed = enroller.gallery().remove(&leaving);
        if report.removed > 0 {
            // A double may have been one of what has just gone.
            let double = |picture: &&Picture| self.known.get(&picture.path).is_some_and(Known::is_duplicate);
            let doubles: Vec<_> = pictures.iter().filter(double).collect();
            doubles.into_iter().for_each(|picture| self.read(picture, enroller, &mut report));
        }
        self.sum_up(&mut report);
        Ok(report)
    }

    /// Takes everything that was read out of the gallery it was read into.
    pub fn leave(self, gallery: &Gallery) {
        let references: Vec<_> = self.known.values().filter_map(Known::reference).collect();
        gallery.remove(&references);
    }

    /// Takes out what is not there any more, and gives its references.
    fn forget_gone(&mut self, pictures: &[Picture]) -> Vec<u64> {
        let there: BTreeSet<&Path> = pictures.iter().map(|picture| &*picture.path).collect();
        let (known, gone) = std::mem::take(&mut self.known).into_iter().partition(|(path, _)| there.contains(&**path));
        self.known = known;
        gone.values().filter_map(Known::reference).collect()
    }

    fn read(&mut self, picture: &Picture, enroller: &mut Enroller, report: &mut Report) {
        let who = Who {
            id: None,
            profile: Profile::named(&picture.name),
            negative: picture.negative,
            source: picture.path.to_string_lossy().into(),
        };
        let outcome = match enroller.enrol_file(&who, &picture.path) {
            Ok(receipt) => {
                let alike = receipt.look_alikes.into_iter().map(|alike| (picture.path.clone(), alike));
                report.look_alikes.extend(alike);
                report.added += receipt.added.len();
                receipt.added.first().map_or(Outcome::Duplicate, |&id| Outcome::Reference(id))
            }
            Err(rejection) => Outcome::Refused(rejection),
        };
        let known = Known { stamp: picture.stamp, negative: picture.negative, outcome };
        self.known.insert(picture.path.clone(), known);
    }

    fn sum_up(&self, report: &mut Report) {
        let mut people = BTreeSet::new();
        for (path, known) in &self.known {
            match &known.outcome {
                Outcome::Reference(_) if known.negative => report.anchors += 1,
                Outcome::Reference(_) => {
                    report.references += 1;
                    people.insert(path.parent());
                }
                Outcome::Duplicate => report.duplicates.push(path.clone()),
                Outcome::Refused(rejection) => report.skipped.push((path.clone(), rejection.clone())),
            }
        }
        report.people = people.len();
    }
}

impl Known {
    /// Whether reading the picture again may give something else.
    fn is_due(&self, picture: &Picture) -> bool {
        let passing = |rejection: &Rejection| matches!(rejection.reason, Refusal::Failed | Refusal::GalleryFull);
        self.stamp != picture.stamp || matches!(&self.outcome, Outcome::Refused(why) if passing(why))
    }

    fn is_duplicate(&self) -> bool {
        matches!(self.outcome, Outcome::Duplicate)
    }

    fn reference(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Reference(id) => Some(id),
            Outcome::Duplicate | Outcome::Refused(_) => None,
        }
    }
}

/// Everything in the folder, people and pictures by name.
fn list(folder: &Path) -> Result<Listing, Fault> {
    let mut listing = Listing::default();
    let mut names: BTreeMap<PersonId, String> = BTreeMap::new();
    for path in entries(folder).map_err(|e| unreadable(folder, &e))? {
        if !path.is_dir() {
            listing.misplace(path, Refusal::Unreadable, "is not in a folder named after the person");
            continue;
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            listing.misplace(path, Refusal::BadName, "the folder's name is not UTF-8");
            continue;
        };
        match PersonId::of_name(&name) {
            Err(rejection) => listing.misplaced.push((path, rejection)),
            Ok(id) => {
                if let Some(other) = names.insert(id.clone(), name.clone()) {
                    let what = format!("{}: \"{other}\" and \"{name}\" both have the id \"{id}\"", folder.display());
                    return Err(Fault::config(what).remedy("rename one of the two folders"));
                }
                listing.person(&path, &name);
            }
        }
    }
    Ok(listing)
}

impl Listing {
    /// The pictures of a person; last those of whom the person is not, which need somebody to be said of.
    fn person(&mut self, folder: &Path, name: &str) {
        let not = folder.join(NOT);
        self.pictures(folder, name, false);
        if not.is_dir() {
            self.pictures(&not, name, true);
        }
    }

    fn pictures(&mut self, folder: &Path, name: &str, negative: bool) {
        let paths = match entries(folder) {
            Ok(paths) => paths,
            Err(e) => return self.misplace(folder.into(), Refusal::Unreadable, &format!("cannot be read: {e}")),
        };
        for path in paths {
            match path.metadata() {
                Ok(data) if data.is_file() => {
                    let stamp = Stamp { bytes: data.len(), modified: data.modified().ok() };
                    self.pictures.push(Picture { path, name: name.to_owned(), negative, stamp });
                }
                Ok(data) if data.is_dir() && !negative && path.ends_with(NOT) => {}
                Ok(_) => self.misplace(path, Refusal::Unreadable, "is not a file"),
                Err(e) => self.misplace(path, Refusal::Unreadable, &format!("cannot be read: {e}")),
            }
        }
    }

    fn misplace(&mut self, path: PathBuf, reason: Refusal, detail: &str) {
        self.misplaced.push((path, Rejection::new(reason, detail)));
    }
}

/// What is in a folder, by name; hidden files are nobody's pictures.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut paths = folder.read_dir()?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| !hidden(path));
    paths.sort();
    Ok(paths)
}

fn unreadable(folder: &Path, error: &std::io::Error) -> Fault {
    Fault::config(format!("gallery folder {}: {error}", folder.display()))
        .remedy("it holds a folder for each person, named as the person, with pictures in it")
}
