//! Whoever watches a camera's masked video over RTSP, and looks at each picture of a patched clip.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use visor::clock::Monotonic;
use visor::frame::Picture;
use visor::geometry::Size;
use visor::source::{Config, Frames, Source, SourceEvent, Spawner, Uri};

use super::patched::Look;
use super::wait::eventually;

/// Frames of the viewer's own that may wait.
const SLOTS: u32 = 12;

/// Pictures that show a face and are kept to be looked at, at most: the last ones.
const KEPT: usize = 60;

/// A picture that was received.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub at: Instant,
    pub look: Look,
}

/// Pictures that show a face, in shades of grey.
type Shown = Arc<Mutex<VecDeque<(Seen, Vec<u8>)>>>;

/// Watches until dropped; connects anew whenever the stream breaks off.
pub struct Viewer {
    seen: Arc<Mutex<Vec<Seen>>>,
    shown: Shown,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Watches what is served at `url`.
    pub fn watch(url: &str) -> Self {
        let second = |seconds: &str| seconds.parse().unwrap();
        let config = Config {
            connect_timeout: second("2s"),
            stall_timeout: second("4s"),
            ..Config::new(Uri::from_argument(url))
        };
        let settings = config.resolve(SLOTS).unwrap();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let shown = Shown::default();
        let (written, kept, ended) = (Arc::clone(&seen), Arc::clone(&shown), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let spawner = Spawner::start_with(Path::new(env!("CARGO_BIN_EXE_visor"))).unwrap();
            let mut source = Source::new("viewer", settings, &spawner);
            while !ended.load(Ordering::Acquire) {
                if let SourceEvent::Frame(frame) = source.next(Monotonic::now().plus(Duration::from_millis(50))) {
                    let seen = Seen { at: Instant::now(), look: Look::at(frame.picture()) };
                    if seen.look.leaks() {
                        let mut kept = kept.lock().unwrap();
                        kept.push_back((seen, grey(frame.picture())));
                        let surplus = kept.len().saturating_sub(KEPT);
                        kept.drain(..surplus);
                    }
                    written.lock().unwrap().push(seen);
                }
            }
        });
        Self { seen, shown, stop, thread: Some(thread) }
    }

    /// Every picture so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Writes a picture that showed a face to a file below the build's folder, where it is still known; the file.
    pub fn keep(&self, seen: &Seen) -> Option<PathBuf> {
        let shown = self.shown.lock().unwrap();
        let (_, picture) = shown.iter().find(|(known, _)| known.at == seen.at)?;
        let Look { number, patch } = seen.look;
        let name = format!("shown-{}-{patch}.pgm", number.map_or("x".into(), |n| n.to_string()));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, picture).unwrap();
        Some(path)
    }

    /// Waits for a picture that was received after `since` and is not covered.
    pub fn wait_for_video(&self, since: Instant, what: &str) {
        eventually(&format!("video after {what}"), || {
            let seen = self.seen.lock().unwrap();
            seen.iter().rev().take_while(|seen| seen.at > since).any(|seen| seen.look.number.is_some()).then_some(())
        });
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A picture in shades of grey, as a file.
fn grey(picture: Picture<'_>) -> Vec<u8> {
    let Size { width, height } = picture.size();
    let stride = picture.layout().planes[0].stride;
    let rows = picture.plane(0).chunks(stride).take(height as usize);
    let mut bytes = format!("P5 {width} {height} 255\n").into_bytes();
    rows.for_each(|row| bytes.extend(&row[..width as usize]));
    bytes
}
