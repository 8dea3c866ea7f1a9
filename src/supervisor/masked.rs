//! What a masked camera has beside its two loops' parts.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::counter;

use super::Context;
use crate::config::{Camera, Masking as Settings, Preview};
use crate::fault::Fault;
use crate::mask::{self, Hold, Lookahead, Painter, Policy, Who, hold};
use crate::metrics::{MASK_AUDIT_FACES, MASK_UNPROVEN};
use crate::pipeline::{Auditor, Control, Exits, Masking, Reporter, Witness, reports};
use crate::ring::wire::Pace;
use crate::sink::{Screen, VideoTaker, Viewfinder};
use crate::source::Scheme;

/// Without look-ahead every frame is to be analysed, of a camera that gives so many at least.
const EVERY_FRAME: Duration = Duration::from_millis(33);

/// Slots of a live camera's ring that frames do not take up which are held while somebody looks.
const KEPT_FREE: u32 = 3;

/// A frame that is being analysed and one that waits for it.
const LEAST_HELD: u32 = 2;

/// What `see-<id>` of a masked camera is given.
pub(super) struct Seeing {
    /// For what it finds.
    pub witness: Witness,
    /// For its eyes, which are tested.
    pub reporter: Reporter,
    /// Where somebody may look, if all this is only for that.
    pub asked: Option<Arc<Screen>>,
}

/// What camera `id` needs to be masked, if it is: for `cam-<id>` and for `see-<id>`. Puts the switch of its masks.
pub(super) fn new(
    id: &str,
    camera: &Camera,
    context: &Context,
    control: &Arc<Control>,
    mut exits: Exits,
) -> Result<Option<(Masking, Seeing)>, Fault> {
    let screen = screen(id, camera, context);
    let Some(Chosen { mask, lookahead, capacity, asked }) = choose(camera, screen.as_ref()) else { return Ok(None) };
    exits.takers.extend(screen.map(|screen| Box::new(Viewfinder::new(screen)) as Box<dyn VideoTaker>));
    let (reporter, reports) =
        reports().map_err(|e| Fault::unavailable(format!("no descriptor for camera {id}: {e}")))?;
    let nobody = mask.who == Who::Nobody;
    let policy = Policy { lookahead, capacity: capacity as usize, margins: mask.margins, nobody };
    control.mask(!nobody);
    announce(id);
    if let Some(auditor) = Auditor::new(id, mask, control, &context.audits) {
        exits.takers.push(Box::new(auditor));
    }
    let mut masking = Masking::new(id, policy, Painter::new(id, mask)?, exits, reports);
    let mut witness = Witness::new(reporter.clone(), mask);
    if let Some(screen) = &asked {
        masking = masking.seen_on(Arc::clone(screen));
        witness = witness.patient();
    }
    Ok(Some((masking, Seeing { witness, reporter, asked })))
}

/// Says 0 of what must never happen: a counter's first step is no increase to whoever had not seen it before.
fn announce(camera: &str) {
    for name in [MASK_UNPROVEN, MASK_AUDIT_FACES] {
        counter!(name, "camera" => camera.to_owned()).increment(0);
    }
}

/// Where the camera can be looked at; says why, where it cannot.
fn screen(id: &str, camera: &Camera, context: &Context) -> Option<Arc<Screen>> {
    let previews = context.hub.previews();
    match &camera.preview {
        Preview::Asked(_) | Preview::Masked => Some(previews.open(id)),
        Preview::Off(why) => {
            previews.refuse(id, why);
            None
        }
    }
}

/// How a camera is masked.
struct Chosen<'a> {
    mask: &'a mask::Settings,
    lookahead: Lookahead,
    capacity: u32,
    /// Only while somebody looks there.
    asked: Option<Arc<Screen>>,
}

fn choose<'a>(camera: &'a Camera, screen: Option<&Arc<Screen>>) -> Option<Chosen<'a>> {
    match (&camera.masking, &camera.preview) {
        (Some(masking), _) => {
            let lookahead = lookahead(camera, masking);
            Some(Chosen { mask: &masking.mask, lookahead, capacity: masking.capacity, asked: None })
        }
        (None, Preview::Asked(mask)) => {
            let hold = Hold::new(Duration::ZERO, camera.analysis_period, hold::EXPECTED_P99);
            // of a live camera frames may be superseded, and those that are held lack to whatever comes
            let kept_free = if waits_for_analyses(camera) { 0 } else { KEPT_FREE };
            let capacity = camera.source.slots.saturating_sub(kept_free).max(LEAST_HELD);
            Some(Chosen { mask, lookahead: Lookahead::Own(hold), capacity, asked: screen.cloned() })
        }
        _ => None,
    }
}

/// Whether all frames of a camera are analysed, however long that takes, instead of those that come when it is time for one. A
/// file that is masked at its own speed is as good as a camera: whoever watches it must not wait for analyses.
pub(super) fn waits_for_analyses(camera: &Camera) -> bool {
    let live = camera.masking.is_some() && camera.source.capture.pace != Pace::Fast;
    camera.source.scheme == Scheme::File && !live
}

/// Between two analyses of a live camera; none where each frame is to be analysed.
pub(super) fn analysis_period(camera: &Camera) -> Duration {
    let each = camera.masking.as_ref().is_some_and(|masking| masking.mask.lookahead.is_zero());
    if each { Duration::ZERO } else { camera.analysis_period }
}

fn lookahead(camera: &Camera, Settings { mask, .. }: &Settings) -> Lookahead {
    let hold = |period| Hold::new(mask.lookahead, period, hold::EXPECTED_P99);
    match mask.lookahead {
        _ if waits_for_analyses(camera) => Lookahead::File(hold::FILE_LOOKAHEAD),
        Duration::ZERO => Lookahead::Own(hold(camera.analysis_period.min(EVERY_FRAME))),
        _ => Lookahead::Held(hold(camera.analysis_period)),
    }
}
