//! The thread that looks at masked video, and what it tells.

use std::sync::Arc;

use crossbeam_channel::Sender;
use tracing::warn;

use super::Engine;
use crate::event::{Draft, Models};
use crate::fault::Fault;
use crate::pipeline::{Finding, Look, Sample, audits, run_audit};
use crate::sink::Hub;

/// Starts it; it ends when nobody can give it frames any more.
pub(super) fn start(engine: &Engine, hub: Hub) -> Result<Sender<Sample>, Fault> {
    let (sender, samples) = audits();
    let detector = Arc::clone(engine.detector());
    let audit = move || run_audit(&samples, &detector, |look| tell(&hub, look));
    let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(audit);
    thread.map_err(|e| Fault::unavailable(format!("cannot start the thread audit: {e}")))?;
    Ok(sender)
}

fn tell(hub: &Hub, look: &Look<'_>) {
    hub.audited(look.camera, look.findings.len());
    look.findings.iter().for_each(|finding| tell_of_face(hub, finding));
}

fn tell_of_face(hub: &Hub, Finding { camera, stamp, size, face, model }: &Finding<'_>) {
    warn!(camera = &***camera, score = f64::from(face.score), "there is a face in masked video");
    let models = Models { detector: (*model).into(), embedder: None };
    hub.publish(vec![Draft::face_seen(camera, stamp, face, *size, models)]);
}
