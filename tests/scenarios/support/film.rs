//! A made-up masked camera: frames with a moving bar, painted into an outlet as the daemon does it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use visor::clock::Monotonic;
use visor::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use visor::geometry::Size;
use visor::mask::{self, Analysis, Cause, Hold, Line, Lookahead, Margins, Painter, Policy, Release, out_layout};
use visor::sink::restream::{Outlet, OutletSlot};

/// What is filmed, to be changed while it runs.
pub struct Scenery {
    size: Mutex<Size>,
    /// No frames come: the camera is away.
    pub away: AtomicBool,
    /// Nothing is proven: every frame is covered.
    pub blind: AtomicBool,
    /// Frames come as over a bad wireless network: unevenly, and now and then several at once.
    pub jitters: AtomicBool,
    /// Frames that were handed over, or passed by while nobody watched.
    pub sent: AtomicU64,
    /// Those that were passed by.
    pub passed: AtomicU64,
    /// The longest time that handing one over took, in microseconds.
    pub slowest_us: AtomicU32,
    stop: AtomicBool,
}

/// A camera that films. Dropping it ends its thread, and its mount.
pub struct Film {
    pub scenery: Arc<Scenery>,
    thread: Option<JoinHandle<()>>,
}

impl Film {
    /// Films `fps` pictures a second into `outlet`.
    pub fn start(outlet: Outlet, size: Size, fps: u32) -> Self {
        let scenery = Arc::new(Scenery {
            size: Mutex::new(size),
            away: AtomicBool::default(),
            blind: AtomicBool::default(),
            jitters: AtomicBool::default(),
            sent: AtomicU64::default(),
            passed: AtomicU64::default(),
            slowest_us: AtomicU32::default(),
            stop: AtomicBool::default(),
        });
        let filmed = Arc::clone(&scenery);
        let thread = std::thread::spawn(move || film(outlet, &filmed, Duration::from_secs(1) / fps));
        Self { scenery, thread: Some(thread) }
    }

    /// Pictures are of this size from now on.
    pub fn resize(&self, size: Size) {
        *self.scenery.size.lock().unwrap() = size;
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        self.scenery.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn film(mut outlet: Outlet, scenery: &Scenery, interval: Duration) {
    let settings = mask::Config::default().resolve(Vec::new()).unwrap();
    let mut painter = Painter::new("film", &settings).unwrap();
    let hold = Hold::new(Duration::ZERO, interval, Duration::ZERO);
    let policy = Policy { lookahead: Lookahead::Own(hold), capacity: 4, margins: Margins::HEAD, nobody: false };
    let mut line = Line::new(policy);
    let began = Instant::now();
    for number in 0_u64.. {
        let mut due = interval * number as u32;
        let mut comes = due;
        if scenery.jitters.load(Ordering::Acquire) {
            (due, comes) = jittered(number, interval);
        }
        std::thread::sleep(comes.saturating_sub(began.elapsed()));
        if scenery.stop.load(Ordering::Acquire) {
            return;
        }
        if scenery.away.load(Ordering::Acquire) {
            continue;
        }
        let frame = picture(*scenery.size.lock().unwrap(), number, due);
        line.push(frame);
        if scenery.blind.load(Ordering::Acquire) {
            line.interrupt(Cause::Failed);
        } else {
            let generation = line.generation();
            let analysis = Analysis { number, at: due, generation, sightings: Vec::new(), withdrawn: false };
            line.analysed(&analysis, Duration::ZERO);
        }
        while let Some(release) = line.poll(Monotonic::now().plus(Duration::from_secs(1))) {
            let handing = Instant::now();
            hand_over(&mut outlet, &mut painter, &release, scenery);
            scenery.slowest_us.fetch_max(handing.elapsed().as_micros() as u32, Ordering::AcqRel);
        }
    }
}

/// A frame's own time, off by up to two thirds of an interval, and when it comes: of each forty frames eight at once.
fn jittered(number: u64, interval: Duration) -> (Duration, Duration) {
    let noise = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u32;
    let due = interval * number as u32 + interval * noise / 384;
    let together = if number % 40 < 8 { 8 - (number % 40) as u32 } else { 0 };
    (due, due + interval * together)
}

fn hand_over(outlet: &mut Outlet, painter: &mut Painter, release: &Release, scenery: &Scenery) {
    let layout = out_layout(release.frame.layout());
    if !outlet.is_watched() {
        outlet.pass(&layout, release.frame.stamp.pts);
        scenery.passed.fetch_add(1, Ordering::AcqRel);
        scenery.sent.fetch_add(1, Ordering::AcqRel);
        return;
    }
    let Some(slot) = outlet.slot(&layout) else { return };
    OutletSlot::send(painter.paint(&release.frame, &release.ruling, slot).unwrap());
    scenery.sent.fetch_add(1, Ordering::AcqRel);
}

/// Light grey, with a black bar that moves, and noise so that there is something to encode.
fn picture(size: Size, number: u64, pts: Duration) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    let layout = Layout::packed(size, PixelFormat::I420, colour);
    let (width, height) = (size.width as usize, size.height as usize);
    let mut bytes = vec![128; layout.end().unwrap()];
    bytes[..width * height].fill(200);
    let bar = (number as usize * 4) % width;
    for row in bytes[..width * height].chunks_mut(width) {
        row[bar..(bar + 16).min(width)].fill(16);
    }
    let stamp = Stamp {
        pts,
        arrived_at: Monotonic::now(),
        decode: None,
        captured_at: SystemTime::now(),
        clock: ClockSource::Arrival,
    };
    Frame::new(number, stamp, layout, Arc::new(bytes)).unwrap()
}
