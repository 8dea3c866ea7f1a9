//! What the log says of the gallery's folder.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::recognise::Gallery;
use crate::recognise::gallery::Person;
use crate::recognise::gallery::folder::{Progress, Report};

/// Between two words on how far reading has come.
const EVERY: Duration = Duration::from_secs(5);

/// Pictures that are named one by one; the rest is counted.
const NAMED: usize = 100;

/// When progress was last told.
pub(super) struct Pace(Instant);

impl Default for Pace {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Pace {
    /// Tells how far reading has come, now and then.
    pub(super) fn say(&mut self, Progress { done, total }: Progress) {
        if self.0.elapsed() >= EVERY {
            self.0 = Instant::now();
            info!(done, total, "reading the gallery's folder");
        }
    }
}

/// Tells what a reading did.
pub(super) fn say(report: &Report, gallery: &Gallery) {
    for (file, rejection) in report.skipped.iter().take(NAMED) {
        let (file, reason) = (file.display(), rejection.reason.word());
        warn!(%file, reason, detail = rejection.detail, "picture left out of the gallery");
    }
    for (file, other) in report.look_alikes.iter().take(NAMED) {
        let (file, person) = (file.display(), &*other.person);
        warn!(%file, person, score = f64::from(other.score), "picture looks much like somebody else of the gallery");
    }
    let Report { people, references, added, removed, interrupted, .. } = *report;
    let (skipped, duplicates) = (report.skipped.len(), report.duplicates.len());
    let (threshold, margin) = (f64::from(gallery.threshold()), f64::from(gallery.margin()));
    info!(
        people,
        references, added, removed, skipped, duplicates, interrupted, threshold, margin, "gallery's folder read"
    );
}

/// Whoever was sent in stays known to a gallery of another model, by name: it cannot take over the numbers of a face, and the
/// picture was not kept. Tells how many there are.
pub(super) fn carry_over(old: &Gallery, new: &Gallery) {
    let (mut people, mut references) = (0, 0);
    for person in old.people() {
        let lost = person.lost + person.references.iter().filter(|reference| !reference.is_of_folder()).count();
        if lost == 0 && !person.declared {
            continue;
        }
        match new.inherit(&person, lost) {
            Ok(()) => (people, references) = (people + usize::from(lost > 0), references + lost),
            Err(rejection) => warn!(reason = rejection.reason.word(), "somebody who was sent in is forgotten"),
        }
    }
    if people > 0 {
        warn!(
            people,
            references,
            "people who were sent in must be enrolled again: the embedder is another one, and their pictures were not kept"
        );
    }
}

/// Tells how many of those who were sent in are forgotten with recognition.
pub(super) fn say_who_is_lost(old: &Gallery) {
    let is_lost = |person: &Person| person.declared || person.references.iter().any(|one| !one.is_of_folder());
    let people = old.people().iter().filter(|person| is_lost(person)).count();
    if people > 0 {
        warn!(people, "people who were sent in are forgotten: recognition is off");
    }
}
