//! Recognition as a camera's loop has it: whatever models and people are in use at the moment.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tracing::error;

use super::{FaceModels, Named, Names};
use crate::fault::Fault;
use crate::frame::Frame;
use crate::recognise::recogniser::Settings;
use crate::recognise::{Embedder, Landmarker, People, Recogniser, Vigil, quality};
use crate::track::Tracker;

/// What all cameras recognise with. Never changed, only replaced as a whole.
pub struct Recognition {
    /// Embed faces.
    pub models: FaceModels,
    /// Who is known, and who was seen; of the embedder's making.
    pub people: People,
}

/// One camera's recognition; begins anew when the models or the people are replaced.
pub struct Recall {
    camera: Arc<str>,
    /// Whose identity has to be verified all the time.
    vigil: Option<Vigil>,
    current: Arc<ArcSwapOption<Recognition>>,
    /// With what it was made from; without it where that failed, which was said.
    made: Option<(Arc<Recognition>, Option<Recogniser>)>,
    /// How often that was.
    times: u64,
}

impl Recall {
    /// Recognition of `camera` with the `current` models and people.
    pub fn new(camera: &str, current: Arc<ArcSwapOption<Recognition>>) -> Self {
        Self { camera: camera.into(), vigil: None, current, made: None, times: 0 }
    }

    /// The same, for a camera on which some people may go unmasked.
    #[must_use]
    pub fn watching(self, vigil: Option<Vigil>) -> Self {
        Self { vigil, ..self }
    }

    /// Takes on what is in use now. Nothing while there is nothing.
    fn catch_up(&mut self) {
        let current = self.current.load();
        let Some(current) = current.as_ref() else {
            self.made = None;
            return;
        };
        if self.made.as_ref().is_some_and(|(with, _)| Arc::ptr_eq(with, current)) {
            return;
        }
        let settings = Settings {
            camera: Arc::clone(&self.camera),
            quality: quality::Config::default(),
            vigil: self.vigil.clone(),
        };
        let made = recogniser(settings, current);
        let made = made.inspect_err(|fault| error!(camera = &*self.camera, error = %fault, "no recognition")).ok();
        self.made = Some((Arc::clone(current), made));
        self.times += 1;
    }
}

impl Names for Recall {
    fn name(&mut self, frame: &Frame, tracker: &dyn Tracker, deadline: Instant) -> Option<Named<'_>> {
        self.catch_up();
        let (with, recogniser) = self.made.as_mut()?;
        let tracks = (tracker.tracks(), tracker.ended());
        // first: a change in between is then seen as one after
        let revision = (self.times, with.people.gallery.revision());
        let verdicts = recogniser.as_mut()?.recognise(frame.picture(), &frame.stamp, tracks, deadline);
        Some(Named { verdicts, embedder: &with.models.embedder.manifest().name, revision })
    }

    /// A camera without frames must not keep a gallery that nobody uses, with people in it who were forgotten since.
    fn idle(&mut self) {
        let current = self.current.load();
        let in_use = |with: &Arc<Recognition>| current.as_ref().is_some_and(|current| Arc::ptr_eq(with, current));
        self.made.take_if(|(with, _)| !in_use(with));
    }

    fn lost(&mut self) {
        if let Some((_, Some(recogniser))) = &mut self.made {
            recogniser.lost();
        }
    }
}

fn recogniser(settings: Settings, with: &Recognition) -> Result<Recogniser, Fault> {
    let embedder = Embedder::new(Arc::clone(&with.models.embedder))?;
    let landmarker = with.models.landmarker.clone().map(Landmarker::new).transpose()?;
    Ok(Recogniser::new(settings, embedder, landmarker, with.people.clone()))
}
