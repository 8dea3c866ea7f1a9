//! What cameras show right now, for whoever asks: masked, and made only while somebody looks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use metrics::{gauge, histogram};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use super::snapshot::Crop;
use super::{VideoTaker, lock};
use crate::canvas::{Canvas, slate};
use crate::clock::Monotonic;
use crate::frame::Stamp;
use crate::geometry::{Rect, Size};
use crate::mask::{Cause, MaskedFrame, Outcome};
use crate::metrics::{PREVIEW_CLIENTS, PREVIEW_SECONDS};

/// After the last viewer has gone a camera's pictures are masked for so long, in case another one comes.
const LINGER: Duration = Duration::from_secs(3);

/// Between two pictures that are shown: ten a second, of frames that do not come quite evenly; or five, where nobody looks
/// but at several cameras at once.
const EVERY: Duration = Duration::from_millis(80);
const EVERY_CALM: Duration = Duration::from_millis(180);

/// A frame that was covered for want of its own analysis is passed over, unless there was none to be shown for so long.
const PASSED_OVER: Duration = Duration::from_secs(1);

/// Most pixels on a side of a picture in full, of one of many a second, of one among several and of one among many.
const WHOLE: u32 = 4096;
const SMALL: u32 = 1280;
const HALF: u32 = 800;
const TILE: u32 = 480;

/// Size of what is shown where there is no picture.
const NO_PICTURE: Size = Size::new(640, 360);

/// The screens of all cameras. A camera that has none has a reason for it.
#[derive(Debug, Default)]
pub struct Previews(Mutex<BTreeMap<String, Entry>>);

/// A camera's screen, or why it has none.
type Entry = Result<Arc<Screen>, Arc<str>>;

impl Previews {
    /// The camera's screen; it stays the same while the camera's threads are replaced.
    pub fn open(&self, camera: &str) -> Arc<Screen> {
        let mut screens = lock(&self.0);
        if let Some(Ok(screen)) = screens.get(camera) {
            return Arc::clone(screen);
        }
        let screen = Arc::new(Screen::new(camera));
        screens.insert(camera.to_owned(), Ok(Arc::clone(&screen)));
        screen
    }

    /// The camera's pictures are not to be seen, and why.
    pub fn refuse(&self, camera: &str, why: &str) {
        self.put(camera, Some(Err(why.into())));
    }

    /// The camera is gone.
    pub fn remove(&self, camera: &str) {
        self.put(camera, None);
    }

    /// The screen of a camera, or why it has none.
    ///
    /// # Errors
    /// Its pictures are not to be seen, or there is no such camera; the text says which and what to do.
    pub fn of(&self, camera: &str) -> Result<Arc<Screen>, Arc<str>> {
        lock(&self.0)
            .get(camera)
            .cloned()
            .unwrap_or_else(|| Err("the camera has not been started yet; try again".into()))
    }

    /// Nothing will be shown any more.
    pub(super) fn close(&self) {
        std::mem::take(&mut *lock(&self.0)).into_values().flatten().for_each(|screen| screen.close());
    }

    fn put(&self, camera: &str, entry: Option<Entry>) {
        let mut screens = lock(&self.0);
        let before = screens.remove(camera);
        before.into_iter().flatten().for_each(|screen| screen.close());
        if let Some(entry) = entry {
            screens.insert(camera.to_owned(), entry);
        }
    }
}

/// What one camera shows.
#[derive(Debug)]
pub struct Screen {
    camera: String,
    viewers: AtomicUsize,
    /// Those of them who want every picture there is.
    keen: AtomicUsize,
    /// Until when it is masked although nobody looks, in nanoseconds.
    lingers_until: AtomicU64,
    shown: watch::Sender<Shown>,
}

/// What can be seen on a screen.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The latest picture.
    pub still: Option<Arc<Still>>,
    /// There will be no more.
    pub closed: bool,
}

impl Screen {
    fn new(camera: &str) -> Self {
        let (viewers, keen, lingers_until, shown) = Default::default();
        Self { camera: camera.to_owned(), viewers, keen, lingers_until, shown }
    }

    /// Looks at it until the viewer is dropped.
    pub fn watch(self: &Arc<Self>) -> Viewer {
        self.watch_at(Keenness::All)
    }

    /// The same by somebody who is content with fewer pictures.
    pub fn watch_at(self: &Arc<Self>, keenness: Keenness) -> Viewer {
        if keenness == Keenness::All {
            self.keen.fetch_add(1, Ordering::AcqRel);
        }
        self.count(self.viewers.fetch_add(1, Ordering::AcqRel) + 1);
        Viewer { shown: self.shown.subscribe(), screen: Arc::clone(self), keenness }
    }

    /// Least time between two pictures that are worth the while.
    fn every(&self) -> Duration {
        if self.keen.load(Ordering::Acquire) > 0 { EVERY } else { EVERY_CALM }
    }

    /// Whether pictures are wanted: only then has anybody to mask them.
    pub fn is_watched(&self) -> bool {
        self.has_viewers() || Monotonic::now().as_nanos() < self.lingers_until.load(Ordering::Acquire)
    }

    fn has_viewers(&self) -> bool {
        self.viewers.load(Ordering::Acquire) > 0
    }

    /// What was shown until now is not to be seen any more: whoever comes next waits for a new picture.
    fn clear(&self) {
        self.shown.send_if_modified(|shown| {
            shown.still = None;
            false
        });
    }

    fn close(&self) {
        self.shown.send_modify(|shown| *shown = Shown { still: None, closed: true });
    }

    fn count(&self, viewers: usize) {
        gauge!(PREVIEW_CLIENTS, "camera" => self.camera.clone()).set(viewers as f64);
    }
}

/// How many of a screen's pictures somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keenness {
    /// As many as there are: ten a second.
    All,
    /// Five a second.
    Half,
}

/// Somebody who looks at a screen.
pub struct Viewer {
    screen: Arc<Screen>,
    keenness: Keenness,
    /// What can be seen, and news of it.
    pub shown: watch::Receiver<Shown>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.screen.lingers_until.store(Monotonic::now().plus(LINGER).as_nanos(), Ordering::Release);
        if self.keenness == Keenness::All {
            self.screen.keen.fetch_sub(1, Ordering::AcqRel);
        }
        let before = self.screen.viewers.fetch_sub(1, Ordering::AcqRel);
        self.screen.count(before - 1);
        if before == 1 {
            self.screen.clear();
        }
    }
}

/// How much of a picture is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Whole,
    /// As much as in one of many a second.
    Small,
    /// As much as in one of several next to each other.
    Half,
    /// As much as in one of many next to each other.
    Tile,
}

impl Detail {
    /// As little as has this many pixels on a side.
    pub const fn for_width(width: u32) -> Self {
        if width <= TILE {
            Self::Tile
        } else if width <= HALF {
            Self::Half
        } else {
            Self::Small
        }
    }
}

/// A picture that may be shown.
#[derive(Debug)]
pub struct Still {
    frame: MaskedFrame<Vec<u8>>,
    jpegs: [OnceLock<Option<Arc<[u8]>>>; 4],
}

impl Still {
    /// When it was taken.
    pub fn captured_at(&self) -> SystemTime {
        self.frame.stamp().captured_at
    }

    /// How old it is.
    pub fn age(&self) -> Duration {
        Monotonic::now().since(self.frame.stamp().arrived_at)
    }

    /// Whether nothing of it is shown.
    pub fn is_covered(&self) -> bool {
        matches!(self.frame.outcome(), Outcome::Covered(_))
    }

    /// The picture as JPEG, made once for all who look. Takes tens of milliseconds the first time. `None` where it cannot be
    /// encoded.
    pub fn jpeg(&self, detail: Detail) -> Option<Arc<[u8]>> {
        let (place, longest) = match detail {
            Detail::Whole => (&self.jpegs[0], WHOLE),
            Detail::Small => (&self.jpegs[1], SMALL),
            Detail::Half => (&self.jpegs[2], HALF),
            Detail::Tile => (&self.jpegs[3], TILE),
        };
        let encode = || {
            let begun = clock_gettime(ClockId::ThreadCPUTime);
            let picture = self.frame.picture()?;
            let size = picture.size();
            let whole = Rect::new(0.0, 0.0, size.width as f32, size.height as f32);
            let crop = Crop::cut(picture, whole, longest)?;
            let jpeg = if detail == Detail::Whole { crop.jpeg() } else { crop.quick_jpeg() };
            let taken = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - begun).unwrap_or_default();
            histogram!(PREVIEW_SECONDS).record(taken);
            jpeg.map(Arc::from)
        };
        place.get_or_init(encode).clone()
    }
}

/// What is shown where there is no picture, as JPEG.
pub fn no_picture() -> Arc<[u8]> {
    static MADE: OnceLock<Arc<[u8]>> = OnceLock::new();
    let make = || {
        let canvas = Canvas::rgb(NO_PICTURE);
        let mut rgb = vec![0; canvas.end()];
        slate::draw(&canvas, &mut rgb, &["no picture"]);
        let mut jpeg = Vec::new();
        let (width, height) = (NO_PICTURE.width, NO_PICTURE.height);
        // into memory, of a size that JPEG has
        let _ = JpegEncoder::new(&mut jpeg).encode(&rgb, width, height, ExtendedColorType::Rgb8);
        jpeg.into()
    };
    Arc::clone(MADE.get_or_init(make))
}

/// What `cam-<id>` hands masked frames to.
pub struct Viewfinder {
    screen: Arc<Screen>,
    /// When the frame that was shown last had arrived.
    last: Option<Monotonic>,
}

impl Viewfinder {
    /// Shows frames on `screen`, on which nothing is left of those that were shown before: they may have been masked otherwise.
    pub fn new(screen: Arc<Screen>) -> Self {
        screen.clear();
        Self { screen, last: None }
    }
}

impl VideoTaker for Viewfinder {
    fn wants(&mut self, stamp: &Stamp) -> bool {
        self.screen.has_viewers() && self.last.is_none_or(|last| stamp.arrived_at.since(last) >= self.screen.every())
    }

    fn policy_changed(&mut self) {
        self.screen.clear();
    }

    fn take(&mut self, frame: &MaskedFrame<&[u8]>) {
        let now = frame.stamp().arrived_at;
        let unlucky = matches!(frame.outcome(), Outcome::Covered(Cause::NotAnalysed | Cause::Late | Cause::QueueFull));
        if !self.screen.has_viewers() || unlucky && self.last.is_some_and(|last| now.since(last) < PASSED_OVER) {
            return;
        }
        self.last = Some(now);
        let still = Arc::new(Still { frame: frame.copied(Vec::new()), jpegs: Default::default() });
        self.screen.shown.send_modify(|shown| shown.still = (!shown.closed).then_some(still));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat};
    use crate::mask::{Config, Painter, Ruling};

    #[test]
    fn nothing_is_left_on_a_screen_of_what_was_masked_otherwise() {
        let layout = Layout::packed(
            Size::new(16, 16),
            PixelFormat::I420,
            Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full },
        );
        let (arrived_at, captured_at) = (Monotonic::now(), SystemTime::UNIX_EPOCH);
        let stamp = Stamp { pts: LINGER, arrived_at, decode: None, captured_at, clock: ClockSource::Arrival };
        let frame = Frame::new(1, stamp, layout, Arc::new(vec![0; 384])).unwrap();
        let mut painter = Painter::new("front", &Config::default().resolve(Vec::new()).unwrap()).unwrap();
        let masked = painter.paint(&frame, &Ruling::Covered(Cause::Failed), vec![0; 4096]).unwrap();
        let screen = Previews::default().open("front");
        // somebody who is slow sees it late, or never
        let viewer = screen.watch();
        let mut finder = Viewfinder::new(Arc::clone(&screen));
        let show = |finder: &mut Viewfinder| {
            finder.take(&masked.view());
            assert!(viewer.shown.borrow().still.is_some());
        };
        show(&mut finder);
        finder.policy_changed();
        assert!(viewer.shown.borrow().still.is_none(), "other faces are masked from now on");
        show(&mut finder);
        drop(Viewfinder::new(Arc::clone(&screen)));
        assert!(viewer.shown.borrow().still.is_none(), "other settings hold from now on");
    }

    #[test]
    fn a_screen_stays_until_its_camera_goes() {
        let previews = Previews::default();
        let screen = previews.open("front");
        let viewer = screen.watch();
        assert!(screen.is_watched() && Arc::ptr_eq(&screen, &previews.open("front")));
        assert!(Arc::ptr_eq(&screen, &previews.of("front").unwrap()) && previews.of("yard").is_err());
        previews.refuse("yard", "not to be seen");
        assert_eq!(&*previews.of("yard").unwrap_err(), "not to be seen");
        previews.remove("front");
        assert!(viewer.shown.borrow().closed && previews.of("front").is_err());
        let anew = previews.open("front");
        assert!(!Arc::ptr_eq(&screen, &anew) && !anew.is_watched());
        let viewer = anew.watch();
        previews.close();
        assert!(viewer.shown.borrow().closed);
    }

    #[test]
    fn where_there_is_no_picture_a_picture_says_so() {
        let picture = image::load_from_memory(&no_picture()).unwrap().into_luma8();
        assert_eq!(picture.dimensions(), (NO_PICTURE.width, NO_PICTURE.height));
        assert!(picture.pixels().any(|pixel| pixel.0[0] > 150), "words");
    }
}
