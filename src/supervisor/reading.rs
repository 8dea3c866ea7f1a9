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

/// Tells who was sent in by `source` and is unknown to a gallery of another model, which cannot take over their numbers.
pub(super) fn say_who_is_lost(old: &Gallery, new: &Gallery, source: &str) {
    let sent_in = |person: &Person| person.references.iter().any(|reference| *reference.source == *source);
    let lost = old.people().iter().filter(|person| !new.holds(&person.id) && sent_in(person)).count();
    if lost > 0 {
        warn!(
            people = lost,
            "people who were enrolled by {source} must be enrolled again: the embedder is another one"
        );
    }
}
