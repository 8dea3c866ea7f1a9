//! What a masked camera has beside its two loops' parts.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::config::{Camera, Masking as Settings};
use crate::fault::Fault;
use crate::mask::{Hold, Lookahead, Painter, Policy, Who, hold};
use crate::pipeline::{Auditor, Control, Exits, Masking, Reporter, Witness, reports};
use crate::ring::wire::Pace;
use crate::source::Scheme;

/// Without look-ahead every frame is to be analysed, of a camera that gives so many at least.
const EVERY_FRAME: Duration = Duration::from_millis(33);

/// How far the masks of a file look ahead that is played as fast as it goes.
const FILE_LOOKAHEAD: Duration = Duration::from_secs(1);

/// What `see-<id>` of a masked camera is given.
pub(super) struct Seeing {
    /// For what it finds.
    pub witness: Witness,
    /// For its eyes, which are tested.
    pub reporter: Reporter,
}

/// What camera `id` needs to be masked, if it is: for `cam-<id>` and for `see-<id>`. Puts the switch of its masks.
pub(super) fn new(
    id: &str,
    camera: &Camera,
    context: &Context,
    control: &Arc<Control>,
    mut exits: Exits,
) -> Result<Option<(Masking, Seeing)>, Fault> {
    let Some(settings) = &camera.masking else { return Ok(None) };
    let mask = &settings.mask;
    let (reporter, reports) =
        reports().map_err(|e| Fault::unavailable(format!("no descriptor for camera {id}: {e}")))?;
    let nobody = mask.who == Who::Nobody;
    let policy = Policy {
        lookahead: lookahead(camera, settings),
        capacity: settings.capacity as usize,
        margins: mask.margins,
        nobody,
    };
    control.mask(!nobody);
    if let Some(auditor) = Auditor::new(id, mask, control, &context.audits) {
        exits.takers.push(Box::new(auditor));
    }
    let masking = Masking::new(id, policy, Painter::new(id, mask)?, exits, reports);
    Ok(Some((masking, Seeing { witness: Witness::new(reporter.clone(), mask), reporter })))
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
        _ if waits_for_analyses(camera) => Lookahead::File(FILE_LOOKAHEAD),
        Duration::ZERO => Lookahead::Own(hold(camera.analysis_period.min(EVERY_FRAME))),
        _ => Lookahead::Held(hold(camera.analysis_period)),
    }
}
