//! What is no error in a configuration and yet worth a word: at the start of the daemon, and in `visor check`.

use std::path::PathBuf;

use super::check::nearest;
use super::{Camera, Resolved};
use crate::infer::store;
use crate::mask::{Audit, Who};
use crate::recognise::gallery::folder;
use crate::sink::Snapshots;
use crate::source::{self, Scheme};

impl Resolved {
    /// What is no error and yet worth a word: a line each, without credentials.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.cameras.is_empty() {
            notes.push("no camera is configured: nothing will be watched; add [cameras.<id>] with a uri".to_owned());
        } else if self.cameras.values().all(|camera| !camera.enabled) {
            notes.push("every camera is switched off (enabled = false)".to_owned());
        }
        notes.extend(self.embedder_note());
        if self.mqtt.is_none() && self.webhooks.is_empty() && !self.log.events {
            notes.push("events go nowhere: there is neither [mqtt] nor [[webhooks]] nor log.events = true".to_owned());
        }
        if !self.http.is_local() && self.http.tls.is_none() {
            notes.push("http.allow_plain = true: tokens and pictures can be read on their way".to_owned());
        }
        for (id, camera) in &self.cameras {
            let file = local_file(&camera.source);
            if let Some(missing) = file.filter(|file| !file.exists()) {
                notes.push(format!("cameras.{id}.uri: there is no {} now", missing.display()));
            }
            if !camera.source.capture.trust.verify {
                notes.push(format!("cameras.{id}.tls_verify = false: whoever answers at its address is believed"));
            }
            notes.extend(self.masking_notes(id, camera));
        }
        notes
    }

    /// What keeps masks from doing what they seem to, or from being seen by anybody.
    fn masking_notes(&self, id: &str, camera: &Camera) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |what: &str| notes.push(format!("cameras.{id}{what}"));
        if camera.snapshots != Snapshots::Off && self.mqtt.is_none() {
            note(".snapshots: best shots go nowhere without [mqtt]");
        }
        let Some(mask) = camera.masking.as_ref().map(|masking| &masking.mask) else { return notes };
        if camera.restream.is_none() && camera.snapshots != Snapshots::Masked {
            note(".mask: nothing shows its masked pictures; add a table restream, or snapshots = \"masked\"");
        }
        let depends_on_names = matches!(mask.who, Who::Strangers | Who::Known) || !mask.exempt.is_empty();
        if depends_on_names && self.embedder.is_none() {
            note(".mask: recognition is off, so that nobody is known and everyone is masked");
        }
        for tag in &mask.exempt {
            if let Some(why) = self.why_nobody_has(tag) {
                note(&format!(".mask.exempt: nobody has the tag {tag:?} yet, so that it shows nobody: {why}"));
            }
        }
        notes
    }

    /// Why nobody whom the configuration or the gallery's folder names has a tag; `None` where somebody has.
    fn why_nobody_has(&self, tag: &str) -> Option<String> {
        let gallery = &self.gallery;
        let Some(tagged) = gallery.tags.get(tag).filter(|ids| !ids.is_empty()) else {
            let known: Vec<&str> = gallery.tags.keys().map(String::as_str).collect();
            return Some(match nearest(tag, &known).filter(|near| *near != tag) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("gallery.tags gives people tags by their ids: {tag:?} = [\"alice\", \"bob\"]"),
            });
        };
        // a folder that cannot be read is a problem of its own
        let people = gallery.folder.as_ref().and_then(|folder| folder::ids(folder).ok()).unwrap_or_default();
        people.iter().all(|id| !tagged.contains(&**id)).then(|| {
            let ids = tagged.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("gallery.folder has no pictures of {ids}; whoever is enrolled while Visor runs can have it")
        })
    }

    /// Decisions of the configuration by which faces are shown, or could be: a line each.
    pub fn policies(&self) -> Vec<String> {
        let mut policies = Vec::new();
        for (id, camera) in &self.cameras {
            let mut policy = |what: &str| policies.push(format!("cameras.{id}.{what}"));
            if camera.snapshots == Snapshots::Clear {
                policy("snapshots = \"clear\": best shots show faces");
            }
            let Some(mask) = camera.masking.as_ref().map(|masking| &masking.mask) else { continue };
            match mask.who {
                Who::Everyone => {}
                Who::Strangers => policy("mask.who = \"strangers\": people of the gallery are shown"),
                Who::Known => policy("mask.who = \"known\": strangers are shown"),
                Who::Nobody => policy("mask.who = \"nobody\": every face is shown"),
            }
            if !mask.exempt.is_empty() {
                policy(&format!("mask.exempt: people with one of the tags {} are shown", mask.exempt.join(", ")));
            }
            if mask.kind.reversible {
                policy(&format!("mask.kind = \"{}\": faces can be brought back in part", mask.kind.name));
            }
            if mask.switchable {
                policy("mask.switchable = true: whoever may write to the broker can have faces shown");
            }
            if mask.audit == Audit::Off {
                policy("mask.audit = \"off\": nobody looks whether a face shows");
            }
        }
        policies
    }

    /// What is used in the place of the default embedder, where nobody chose another one.
    fn embedder_note(&self) -> Option<String> {
        let default = store::DEFAULT_EMBEDDER;
        let fetch = format!("fetch it: visor models pull {default}");
        match &self.embedder {
            _ if self.models.embedder.is_some() => None,
            Some(embedder) if embedder.name == default => None,
            Some(embedder) => Some(format!(
                "the embedder {default} is not there; {} is used, which tells people apart less well; {fetch}",
                embedder.name
            )),
            None => Some(format!("recognition is off: no embedder is there; {fetch}")),
        }
    }
}

/// The file or device that a source reads on this machine.
fn local_file(source: &source::Settings) -> Option<PathBuf> {
    let local = matches!(source.scheme, Scheme::File | Scheme::V4l2);
    let address = local.then(|| source.display.replacen("v4l2:", "file:", 1))?;
    url::Url::parse(&address).ok()?.to_file_path().ok()
}
