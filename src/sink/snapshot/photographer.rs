//! Takes the pictures that a lens wants out of masked frames, when these are released.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::album::Photo;
use super::crop::{BEST_SHOT, Crop};
use super::drop_one;
use super::studio::Studio;
use crate::frame::Stamp;
use crate::geometry::Rect;
use crate::mask::{MaskedFrame, Outcome};
use crate::sink::{Hub, VideoTaker, lock};

/// Wanted pictures that wait for their frame: those of two seconds, the longest hold. Full: the oldest is given up.
const WANTED: usize = 128;

/// A picture that is to be taken.
#[derive(Clone, Debug)]
pub(super) struct Want {
    /// Of the frame with this number.
    pub(super) number: u64,
    /// That frame's stream time.
    pub(super) at: Duration,
    pub(super) track: Arc<str>,
    pub(super) area: Rect,
    pub(super) fitness: f32,
}

/// What the analysis wants and the delay line has yet to release.
#[derive(Debug, Default)]
pub(super) struct Orders {
    wanted: VecDeque<Want>,
    /// Tracks of which no picture could be taken.
    failed: Vec<Arc<str>>,
}

impl Orders {
    pub(super) fn want(&mut self, want: Want) {
        self.wanted.push_back(want);
        if self.wanted.len() > WANTED
            && let Some(oldest) = self.wanted.pop_front()
        {
            self.failed.push(oldest.track);
        }
    }

    /// Tracks of which a picture is to be wanted anew.
    pub(super) fn failed(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.failed)
    }

    /// Gives up what frames before the one at `now` were wanted for; how many these are.
    fn give_up_before(&mut self, now: Duration) -> usize {
        let failed = self.failed.len();
        self.failed.extend(self.wanted.iter().filter(|want| want.at < now).map(|want| Arc::clone(&want.track)));
        self.wanted.retain(|want| want.at >= now);
        self.failed.len() - failed
    }

    /// What is wanted of the frame with this number.
    fn take(&mut self, number: u64) -> Vec<Want> {
        let wanted = self.wanted.iter().filter(|want| want.number == number).cloned().collect();
        self.wanted.retain(|want| want.number != number);
        wanted
    }
}

/// What `cam-<id>` hands masked frames to.
pub struct Photographer {
    camera: Arc<str>,
    orders: Arc<Mutex<Orders>>,
    studio: Arc<Studio>,
    hub: Hub,
}

impl Photographer {
    pub(super) fn new(camera: Arc<str>, orders: Arc<Mutex<Orders>>, studio: Arc<Studio>, hub: Hub) -> Self {
        Self { camera, orders, studio, hub }
    }
}

impl VideoTaker for Photographer {
    fn wants(&mut self, stamp: &Stamp) -> bool {
        let mut orders = lock(&self.orders);
        (0..orders.give_up_before(stamp.pts)).for_each(|_| drop_one(&self.camera, "late"));
        orders.wanted.iter().any(|want| want.at == stamp.pts)
    }

    /// What was put into the album until now was cut out of frames of before; whoever changed the policy may have been faster
    /// than the last of them.
    fn policy_changed(&mut self) {
        self.hub.withdraw(&self.camera);
    }

    fn take(&mut self, frame: &MaskedFrame<&[u8]>) {
        let wants = lock(&self.orders).take(frame.number());
        for Want { track, area, fitness, .. } in wants {
            let shown = matches!(frame.outcome(), Outcome::Masked { .. });
            let crop = frame.picture().filter(|_| shown).and_then(|picture| Crop::cut(picture, area, BEST_SHOT));
            match crop {
                Some(crop) => {
                    let captured_at = frame.stamp().captured_at;
                    self.studio.put(&self.camera, Photo { track, fitness, captured_at, crop });
                }
                None => {
                    drop_one(&self.camera, "covered");
                    lock(&self.orders).failed.push(track);
                }
            }
        }
    }
}
