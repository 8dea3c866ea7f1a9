//! One camera's recognition: looks at the tracks' faces, embeds those that are worth it, and says who each track is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::continuity::{Look, Sighting, is_near};
use super::embedder::Embedder;
use super::fusion::{Crop, Pose};
use super::landmarks::Landmarker;
use super::ledger::{Ledger, People};
use super::quality;
use super::schedule::Urgency;
use super::{Embedding, Identity, Verdict, Vigil};
use crate::detect::{Detection, Landmarks};
use crate::frame::{Picture, Stamp};
use crate::geometry::Rect;
use crate::infer::{InferError, Provider};
use crate::metrics::EMBEDDINGS;
use crate::track::{Track, TrackState};

/// Faces of one frame that are embedded at most; the others come in the next one.
const MOST: usize = 16;
/// Faces that a device takes at once; a processor takes them one by one, and stops when time is up.
const TOGETHER: usize = 8;
/// Tracks are not believed to travel for longer than this between two analyses.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// What makes embeddings of faces; the [`Embedder`], but for tests.
pub trait Embed: Send {
    /// One embedding for each of `faces`, in their order.
    fn embed(
        &mut self,
        picture: Picture<'_>,
        faces: &[Landmarks],
        deadline: Instant,
    ) -> Result<Vec<Embedding>, InferError>;

    /// How many faces are best given at once.
    fn together(&self) -> usize;
}

impl Embed for Embedder {
    fn embed(
        &mut self,
        picture: Picture<'_>,
        faces: &[Landmarks],
        deadline: Instant,
    ) -> Result<Vec<Embedding>, InferError> {
        Self::embed(self, picture, faces, deadline)
    }

    fn together(&self) -> usize {
        if self.model().provider() == Provider::Cpu { 1 } else { TOGETHER }
    }
}

/// What one camera's recognition needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The camera, as metrics name it.
    pub camera: Arc<str>,
    /// From which face recognition begins.
    pub quality: quality::Config,
    /// Whose identity has to be verified all the time, if anybody's.
    pub vigil: Option<Vigil>,
}

/// Says who the tracks of one camera are. Single owner: the camera's analysis thread. What fails or is late leaves a
/// track undecided, is counted, and holds up nobody.
pub struct Recogniser {
    settings: Settings,
    embedder: Box<dyn Embed>,
    landmarker: Option<Landmarker>,
    people: People,
    ledger: Ledger,
    last: Option<Duration>,
    verdicts: Vec<Verdict>,
}

/// A face that is to be embedded.
#[derive(Clone, Copy)]
struct Face {
    urgency: Urgency,
    track: u64,
    landmarks: Landmarks,
    score: f32,
    quality: f32,
    pose: Pose,
}

impl Recogniser {
    /// Recognition that has seen nobody yet. `landmarker` is for detectors that give no landmarks: without one their faces
    /// cannot be embedded.
    pub fn new(
        settings: Settings,
        embedder: impl Embed + 'static,
        landmarker: Option<Landmarker>,
        people: People,
    ) -> Self {
        Self {
            settings,
            embedder: Box::new(embedder),
            landmarker,
            people,
            ledger: Ledger::default(),
            last: None,
            verdicts: Vec::new(),
        }
    }

    /// Takes in one analysed frame; must be called for each. One verdict for each of `tracks` and of those that `ended`.
    /// Embeddings that cannot be had before the deadline are left for the next frame.
    pub fn recognise(
        &mut self,
        picture: Picture<'_>,
        stamp: &Stamp,
        (tracks, ended): (&[Track], &[Track]),
        deadline: Instant,
    ) -> &[Verdict] {
        self.verdicts.clear();
        let former = self.ledger.identities();
        let mut faces = self.look(picture, stamp, tracks, deadline);
        faces.sort_by_key(|face| std::cmp::Reverse(face.urgency));
        faces.truncate(MOST);
        self.embed(picture, stamp, &faces, deadline);
        for track in ended {
            self.end(track.id, stamp, &former);
        }
        self.ledger.retain(|id| tracks.iter().any(|track| track.id == id));
        self.ledger.decide(&self.people, stamp.arrived_at, &former, &mut self.verdicts);
        self.last = Some(stamp.pts);
        &self.verdicts
    }

    /// Looks at every track that was detected; gives the faces that are worth an embedding.
    fn look(&mut self, picture: Picture<'_>, stamp: &Stamp, tracks: &[Track], deadline: Instant) -> Vec<Face> {
        let mut found: Vec<Detection> = tracks.iter().filter_map(|track| track.detection).collect();
        if let Some(landmarker) = &mut self.landmarker
            && let Err(error) = landmarker.complete(picture, &mut found, deadline)
        {
            warn!(camera = &*self.settings.camera, %error, "landmarks not found");
        }
        let step = stamp.pts.saturating_sub(self.last.unwrap_or(stamp.pts)).min(LONGEST_STEP);
        let mut faces = Vec::new();
        let mut detections = found.iter();
        for track in tracks {
            let dossier = self.ledger.open(track.id, track.state != TrackState::Lost, stamp.arrived_at);
            if track.detection.is_none() {
                continue;
            }
            let Some(detection) = detections.next() else { break };
            let quality = quality::assess(picture, detection, &found, &self.settings.quality);
            let crossing = tracks.iter().any(|other| may_be_exchanged(track, other, step));
            let rect = detection.rect;
            let sighting = Sighting { at: stamp.pts, rect, look: Look::of(picture, rect), crossing };
            let pose = detection.landmarks.as_ref().map(Pose::of);
            let vigil = self.settings.vigil.as_ref();
            dossier.watch(vigil.and_then(|vigil| vigil.over(&dossier.identity, &self.people.gallery)));
            let urgency = dossier.see(sighting, quality, pose);
            if let (Some(urgency), Some(landmarks), Some(pose)) = (urgency, detection.landmarks, pose) {
                let (score, quality) = (detection.score, quality.score);
                faces.push(Face { urgency, track: track.id, landmarks, score, quality, pose });
            }
        }
        faces
    }

    fn embed(&mut self, picture: Picture<'_>, stamp: &Stamp, faces: &[Face], deadline: Instant) {
        let count = |outcome: &'static str, faces: usize| {
            let camera = self.settings.camera.to_string();
            metrics::counter!(EMBEDDINGS, "camera" => camera, "outcome" => outcome).increment(faces as u64);
        };
        for faces in faces.chunks(self.embedder.together().max(1)) {
            if Instant::now() >= deadline {
                count("late", faces.len());
                continue;
            }
            let landmarks: Vec<Landmarks> = faces.iter().map(|face| face.landmarks).collect();
            match self.embedder.embed(picture, &landmarks, deadline) {
                Ok(embeddings) => {
                    count("made", faces.len());
                    faces.iter().zip(embeddings).for_each(|(face, embedding)| {
                        let Face { track, quality, score, pose, .. } = *face;
                        let crop = Crop { embedding, quality, score, pose, at: stamp.pts };
                        self.ledger.dossier_mut(track).into_iter().for_each(|dossier| dossier.note_attempt(pose));
                        self.ledger.learn(track, &crop, &self.people, stamp.arrived_at);
                    });
                }
                Err(error) => {
                    count(if error == InferError::DeadlinePassed { "late" } else { "failed" }, faces.len());
                    warn!(camera = &*self.settings.camera, %error, "faces not embedded");
                }
            }
        }
    }

    fn end(&mut self, track: u64, stamp: &Stamp, former: &super::ledger::Former) {
        if let Some(dossier) = self.ledger.end(track, stamp.arrived_at) {
            let identity = match &dossier.identity {
                Identity::Known { person, .. } if !self.people.gallery.holds(person) => {
                    Identity::Undecided { reason: None }
                }
                identity => identity.clone(),
            };
            let change = super::ledger::change(former.get(&track), &identity);
            let (verified, tags) = (None, Arc::default());
            let (quality, impression, doubtful) = (None, None, false);
            self.verdicts.push(Verdict { track, identity, quality, doubtful, change, verified, tags, impression });
        }
    }

    /// The stream broke, or the tracker begins anew: what was known of tracks is kept for a while for who comes back.
    pub fn lost(&mut self) {
        self.ledger.clear(crate::clock::Monotonic::now());
        self.last = None;
        self.verdicts.clear();
    }
}

/// Whether the tracker may have taken one of two tracks for the other, `step` after the last analysis.
fn may_be_exchanged(track: &Track, other: &Track, step: Duration) -> bool {
    let visible = |track: &Track| track.state != TrackState::Lost;
    let speed = |track: &Track| f64::from(track.velocity.x.hypot(track.velocity.y));
    let ways = (speed(track) + speed(other)) * step.as_secs_f64();
    let rect = |track: &Track| track.detection.map_or(track.rect, |detection: Detection| -> Rect { detection.rect });
    track.id != other.id && visible(other) && is_near(rect(track), rect(other), ways)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
    use crate::geometry::{Point, Size};
    use crate::infer::manifest::Impostors;
    use crate::recognise::Gallery;
    use crate::recognise::Quality;
    use crate::recognise::gallery::{self, Calibration};
    use crate::recognise::strangers::Strangers;

    /// Fails while it has failures left, and notes how many faces it was given each time.
    #[derive(Clone, Default)]
    struct Fake {
        failures: usize,
        together: usize,
        calls: Arc<Mutex<Vec<usize>>>,
    }

    impl Embed for Fake {
        fn embed(&mut self, _: Picture<'_>, faces: &[Landmarks], _: Instant) -> Result<Vec<Embedding>, InferError> {
            self.calls.lock().unwrap().push(faces.len());
            if self.failures > 0 {
                self.failures -= 1;
                return Err(InferError::Failed("a model that fails".into()));
            }
            Ok(faces.iter().map(|_| Embedding::new(&[1.0, 0.0])).collect())
        }

        fn together(&self) -> usize {
            self.together
        }
    }

    fn recogniser(fake: &Fake) -> Recogniser {
        let calibration = Calibration { pair: 0.4, impostors: Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 } };
        let settings = gallery::Settings {
            model: "made-up".into(),
            dimension: 2,
            threshold: None,
            margin: None,
            calibration,
            tags: Default::default(),
        };
        let strangers = Strangers::new(Duration::from_secs(60), calibration);
        // Any face will do: the picture is noise.
        let quality = quality::Config { min_sharpness: 0.0, min_contrast: 0.0, ..quality::Config::default() };
        let settings_of_camera = Settings { camera: "test".into(), quality, vigil: None };
        Recogniser::new(settings_of_camera, fake.clone(), None, People { gallery: Gallery::new(settings), strangers })
    }

    fn track(id: u64, landmarks: bool) -> Track {
        let x = 120.0 * id as f32;
        let rect = Rect::new(x, 50.0, 60.0, 80.0);
        let points = [(16.0, 30.0), (44.0, 30.0), (30.0, 45.0), (20.0, 60.0), (40.0, 60.0)];
        let landmarks = landmarks.then(|| points.map(|(dx, dy)| Point::new(x + dx, 50.0 + dy)));
        let detection = Some(Detection { rect, score: 0.9, landmarks });
        let (state, at) = (TrackState::Confirmed, Duration::ZERO);
        Track {
            id,
            rect,
            velocity: Point::default(),
            state,
            detection,
            score: 0.9,
            first_seen: at,
            last_seen: at,
            hits: 3,
        }
    }

    /// One analysis at `ms`; the verdicts.
    fn recognise(recogniser: &mut Recogniser, ms: u64, tracks: &[Track], patience: Duration) -> Vec<Verdict> {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(640, 240), PixelFormat::I420, colour);
        let mut rng = fastrand::Rng::with_seed(7);
        let bytes: Vec<u8> = (0..layout.end().unwrap()).map(|_| rng.u8(60..200)).collect();
        let pts = Duration::from_millis(ms);
        let (arrived_at, captured_at) = (Monotonic::from_nanos(ms * 1_000_000), SystemTime::UNIX_EPOCH);
        let stamp = Stamp { pts, arrived_at, decode: None, captured_at, clock: ClockSource::Media };
        let picture = Picture::new(&layout, &bytes).unwrap();
        recogniser.recognise(picture, &stamp, (tracks, &[]), Instant::now() + patience).to_vec()
    }

    const PATIENT: Duration = Duration::from_secs(60);

    #[test]
    fn a_model_that_fails_or_is_late_leaves_a_track_undecided_and_is_asked_again() {
        let fake = Fake { failures: 2, together: 1, ..Fake::default() };
        let mut recogniser = recogniser(&fake);
        let tracks = [track(1, true)];
        let undecided = |verdicts: &[Verdict]| matches!(verdicts[0].identity, Identity::Undecided { .. });
        assert!(undecided(&recognise(&mut recogniser, 0, &tracks, Duration::ZERO)));
        assert!(fake.calls.lock().unwrap().is_empty(), "there was no time");
        for ms in [100, 200, 300] {
            assert!(undecided(&recognise(&mut recogniser, ms, &tracks, PATIENT)));
        }
        assert_eq!(*fake.calls.lock().unwrap(), [1, 1, 1]);
        let last = (4..40).map(|i| recognise(&mut recogniser, i * 100, &tracks, PATIENT)).last().unwrap();
        assert!(matches!(&last[0].identity, Identity::Stranger { alias, .. } if **alias == *"visitor-1"));
    }

    #[test]
    fn a_device_is_given_faces_together_and_each_track_has_its_verdict() {
        let fake = Fake { together: 8, ..Fake::default() };
        let tracks: Vec<Track> = (0..4).map(|id| track(id, true)).collect();
        let verdicts = recognise(&mut recogniser(&fake), 0, &tracks, PATIENT);
        assert_eq!(verdicts.iter().map(|verdict| verdict.track).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(*fake.calls.lock().unwrap(), [4]);
    }

    #[test]
    fn without_landmarks_nothing_is_embedded_and_without_a_face_nothing_is_graded() {
        let fake = Fake { together: 1, ..Fake::default() };
        let mut recogniser = recogniser(&fake);
        let unseen = Track { detection: None, state: TrackState::Lost, ..track(2, true) };
        let verdicts = recognise(&mut recogniser, 0, &[track(1, false), unseen], PATIENT);
        assert!(fake.calls.lock().unwrap().is_empty());
        let graded: Vec<Option<Quality>> = verdicts.iter().map(|verdict| verdict.quality).collect();
        assert!(graded[0].is_some() && graded[1].is_none(), "{graded:?}");
    }
}
