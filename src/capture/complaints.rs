//! What the elements within parsebin say is wrong.
//!
//! Parsebin keeps to itself what an element says before it has linked it, so that it can try another one. Where the
//! element was the right one and quick to complain, nothing more comes of it: no stream, and no error either.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::clock::Monotonic;

/// How long parsebin is given to make something of a complaint: another element, or an error of its own.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first error that an element had, and when.
#[derive(Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<Option<(Monotonic, gst::Message)>>>);

impl Complaints {
    /// Hears what is said by whatever `bin` comes to contain, and passes it on.
    pub fn hear(&self, bin: &gst::Bin) {
        let heard = self.clone();
        bin.connect_deep_element_added(move |_, _, element| {
            let Some(theirs) = element.bus() else { return };
            let (ours, heard) = (gst::Bus::new(), heard.clone());
            ours.set_sync_handler(move |_, message| {
                heard.note(message);
                // a bus that takes no more is one of a pipeline that has ended
                let _ = theirs.post(message.clone());
                gst::BusSyncReply::Drop
            });
            element.set_bus(Some(&ours));
        });
    }

    fn note(&self, message: &gst::Message) {
        if message.type_() == gst::MessageType::Error {
            self.lock().get_or_insert_with(|| (Monotonic::now(), message.clone()));
        }
    }

    /// The first error, where parsebin has had its time with it.
    pub fn unanswered(&self) -> Option<gst::Message> {
        self.lock().as_ref().filter(|(at, _)| at.elapsed() >= PATIENCE).map(|(_, message)| message.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Monotonic, gst::Message)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
