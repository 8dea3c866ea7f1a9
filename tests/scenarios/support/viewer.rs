//! Whoever watches a camera's masked video over RTSP, and looks at each picture of a patched clip.

use std::path::Path;
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

/// Pictures that show a face and are kept to be looked at, at most.
const KEPT: usize = 20;

/// A picture that was received.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub at: Instant,
    pub look: Look,
}

/// Watches until dropped; connects anew whenever the stream breaks off.
pub struct Viewer {
    seen: Arc<Mutex<Vec<Seen>>>,
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
        let (written, ended) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let spawner = Spawner::start_with(Path::new(env!("CARGO_BIN_EXE_visor"))).unwrap();
            let mut source = Source::new("viewer", settings, &spawner);
            let mut kept = 0;
            while !ended.load(Ordering::Acquire) {
                if let SourceEvent::Frame(frame) = source.next(Monotonic::now().plus(Duration::from_millis(50))) {
                    let look = Look::at(frame.picture());
                    if look.leaks() && kept < KEPT {
                        kept += 1;
                        keep(frame.picture(), look);
                    }
                    written.lock().unwrap().push(Seen { at: Instant::now(), look });
                }
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Every picture so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
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

/// Writes a picture in shades of grey below the build's folder.
fn keep(picture: Picture<'_>, look: Look) {
    let Size { width, height } = picture.size();
    let stride = picture.layout().planes[0].stride;
    let rows = picture.plane(0).chunks(stride).take(height as usize);
    let mut bytes = format!("P5 {width} {height} 255\n").into_bytes();
    rows.for_each(|row| bytes.extend(&row[..width as usize]));
    let name = format!("shown-{}-{}.pgm", look.number.map_or("x".into(), |n| n.to_string()), look.patch);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    eprintln!("a face shows: {}", path.display());
    std::fs::write(path, bytes).unwrap();
}
