//! What the delay line hides of faces whose truth is known, at several rates of analysis. No pixel is painted: masks are
//! compared with true boxes. The frames are real ones, since faces are followed by their looks. Skipped, aloud, without assets or models.
#![cfg(feature = "media")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use visor::clock::Monotonic;
use visor::detect::{self, Detection, Detector};
use visor::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use visor::geometry::Rect;
use visor::infer::{self, Runtime};
use visor::mask::{
    Analysis, Cause, Cut, Cuts, Hold, Line, Lookahead, Margins, Policy, Region, Ruling, Sighting, Signature,
};
use visor::pipeline::Pacer;
use visor::source::{FilePace, Frames, Source, SourceEvent, Spawner};
use visor::track::{self, Tracker};

use super::support::composed::{SIZE, Scale, compose};
use super::support::mot::Boxes;

const FRAME: Duration = Duration::from_millis(40);

/// Smallest true face that must be hidden, by its shorter side.
const LEAST: f32 = 24.0;

/// A face shows when more than this share of its box does.
const SHOWN: f32 = 0.05;

/// Parts that a sequence is cut up into, and frames of each.
const SHOTS: usize = 24;
const SHOT: usize = 37;

/// Truth, and what the detector finds in each frame.
struct Sequence {
    truth: Boxes,
    /// And the faces of which too little is to be seen for them to be found.
    all: Boxes,
    found: Vec<Vec<Detection>>,
    signatures: Vec<Signature>,
    /// Each frame in small, by which trackers tell a camera that moves.
    thumbnails: Vec<Arc<Vec<u8>>>,
    /// The luma of each frame, without gaps.
    luma: Vec<Arc<Vec<u8>>>,
    settings: detect::Settings,
}

fn sequence(name: &str, scale: Scale) -> Option<Sequence> {
    let clip = compose(name, scale)?;
    let runtime = Runtime::load(&infer::Config::default()).unwrap();
    let manifest = runtime.manifest("yunet-n").unwrap();
    let shape = manifest.input.shape(1, manifest.size(None).unwrap());
    let settings = detect::Settings::new(&detect::Config::default(), &manifest).unwrap();
    let mut detector = Detector::new(runtime.open(&manifest, 1, shape).unwrap(), settings).unwrap();
    let mut thumbnailer = detect::Thumbnailer::new(visor::pipeline::THUMBNAIL);
    let (mut found, mut signatures, mut thumbnails, mut lumas) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    each_frame(&clip.video, |frame| {
        let deadline = Instant::now() + Duration::from_secs(60);
        found.push(detector.detect(frame.picture(), deadline).unwrap().to_vec());
        signatures.push(Signature::of(frame.picture()));
        let mut thumbnail = Vec::new();
        thumbnailer.make(frame.picture(), &mut thumbnail);
        thumbnails.push(Arc::new(thumbnail));
        lumas.push(Arc::new(luma(frame)));
    });
    Some(Sequence { truth: clip.truth, all: clip.all, found, signatures, thumbnails, luma: lumas, settings })
}

fn luma(frame: &Frame) -> Vec<u8> {
    let (picture, stride) = (frame.picture(), frame.layout().planes[0].stride);
    let rows = picture.plane(0).chunks(stride);
    rows.flat_map(|row| &row[..SIZE.width as usize]).copied().collect()
}

/// A sequence is large: no two of them at once.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layout of a frame of which nobody looks at the colours: these are where the luma is.
fn grey() -> Layout {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    let mut layout = Layout::packed(SIZE, PixelFormat::I420, colour);
    layout.planes[1].offset = 0;
    layout.planes[2].offset = 0;
    layout
}

fn each_frame(path: &Path, mut take: impl FnMut(&Frame)) {
    let uri = visor::source::Uri::from_argument(&path.to_string_lossy());
    let config = visor::source::Config { pace: FilePace::Fast, ..visor::source::Config::new(uri) };
    let spawner = Spawner::start_with(Path::new(env!("CARGO_BIN_EXE_visor"))).unwrap();
    let mut source = Source::new("plan", config.resolve(4).unwrap(), &spawner);
    loop {
        match source.next(Monotonic::now().plus(Duration::from_secs(1))) {
            SourceEvent::Frame(frame) => take(&frame),
            SourceEvent::Ended => return,
            _ => {}
        }
    }
}

/// What came of one run.
#[derive(Debug, Default)]
struct Report {
    faces: usize,
    /// Faces of which more than [`SHOWN`] is to be seen: frame, and how much of it.
    leaks: Vec<(u64, f32)>,
    /// Frames that were covered, and why.
    covered: Vec<(u64, &'static str)>,
    cuts: usize,
    masked_area: f32,
    true_area: f32,
    /// Likewise of all faces, also those of which too little is to be seen for them to be found.
    whole_area: f32,
    /// What the masks of these would be if they were known exactly, with the margins of a head.
    head_area: f32,
    /// What is masked and has nothing to do with any of them.
    nobodys_area: f32,
}

impl Report {
    fn area_ratio(&self) -> f32 {
        self.masked_area / self.true_area
    }

    /// Where the masked area goes, in true boxes'.
    fn account(&self) -> String {
        let share = |area: f32| area / self.true_area;
        format!(
            "area {:.2}, {:.2} of all: heads {:.2}, around them {:.2}, nobody {:.2}",
            self.area_ratio(),
            self.masked_area / self.whole_area,
            share(self.head_area),
            share(self.masked_area - self.head_area - self.nobodys_area),
            share(self.nobodys_area)
        )
    }

    fn add(&mut self, number: u64, ruling: &Ruling, [truth, all]: [&[(u64, Rect)]; 2]) {
        let plan = match ruling {
            Ruling::Masked(plan) => plan,
            Ruling::Covered(cause) => return self.covered.push((number, cause.name())),
        };
        let faces: Vec<Rect> = truth.iter().map(|(_, rect)| rect.clamped(SIZE)).collect();
        let large = |(_, whole): &(u64, Rect)| whole.w.min(whole.h) >= LEAST;
        for (face, _) in faces.iter().zip(truth).filter(|(_, truth)| large(truth)) {
            self.faces += 1;
            let shown = 1.0 - hidden_share(plan.regions(), *face);
            if shown > SHOWN {
                self.leaks.push((number, shown));
            }
        }
        self.true_area += area(&faces);
        self.measure(plan.regions(), &all.iter().map(|(_, rect)| rect.clamped(SIZE)).collect::<Vec<_>>());
    }

    /// Adds what is masked of one frame with all these faces.
    fn measure(&mut self, regions: &[Region], all: &[Rect]) {
        let of_somebody = |region: &&Region| {
            let masks = |face: &Rect| region.boxes.iter().any(|mask| mask.intersection(*face).area() > 0.0);
            all.iter().any(masks)
        };
        let painted = |regions: &mut dyn Iterator<Item = &Region>| {
            area(&regions.flat_map(|region| &region.boxes).map(|mask| in_cells(*mask)).collect::<Vec<_>>())
        };
        let masked = painted(&mut regions.iter());
        self.masked_area += masked;
        self.nobodys_area += masked - painted(&mut regions.iter().filter(of_somebody));
        self.whole_area += area(all);
        self.head_area += area(&all.iter().map(|face| head(*face)).collect::<Vec<_>>());
    }
}

/// A mask as it is painted: all cells that it touches.
fn in_cells(mask: Rect) -> Rect {
    const CELL: f32 = 2.0;
    let (low, high) = (|at: f32| (at / CELL).floor() * CELL, |at: f32| (at / CELL).ceil() * CELL);
    Rect::from_corners(low(mask.x), low(mask.y), high(mask.right()), high(mask.bottom()))
}

/// A face with the margins of a head.
fn head(face: Rect) -> Rect {
    let Margins { side, top, bottom } = Margins::HEAD;
    Rect::new(face.x - side * face.w, face.y - top * face.h, face.w * (1.0 + 2.0 * side), face.h * (1.0 + top + bottom))
}

/// Pixels inside these boxes, counted by twos.
fn area<'a>(boxes: impl IntoIterator<Item = &'a Rect>) -> f32 {
    const STEP: f32 = 2.0;
    let (columns, rows) = ((SIZE.width as f32 / STEP) as usize, (SIZE.height as f32 / STEP) as usize);
    let mut inside = vec![false; columns * rows];
    let cells = |from: f32, to: f32, most: usize| {
        let cell = |at: f32| ((at / STEP).round().max(0.0) as usize).min(most);
        cell(from)..cell(to)
    };
    for rect in boxes {
        for row in cells(rect.y, rect.bottom(), rows) {
            inside[row * columns..][cells(rect.x, rect.right(), columns)].fill(true);
        }
    }
    inside.iter().filter(|inside| **inside).count() as f32 * STEP * STEP
}

/// Share of `rect` inside the regions, on a grid.
fn hidden_share(regions: &[Region], rect: Rect) -> f32 {
    const GRID: usize = 60;
    let boxes: Vec<Rect> = regions.iter().flat_map(|region| &region.boxes).copied().collect();
    let inside = |n: usize| {
        let x = rect.x + rect.w * ((n % GRID) as f32 + 0.5) / GRID as f32;
        let y = rect.y + rect.h * ((n / GRID) as f32 + 0.5) / GRID as f32;
        boxes.iter().any(|b| (b.x..b.right()).contains(&x) && (b.y..b.bottom()).contains(&y))
    };
    (0..GRID * GRID).filter(|n| inside(*n)).count() as f32 / (GRID * GRID) as f32
}

fn frame(number: u64, pixels: &Arc<Vec<u8>>) -> Frame {
    let pts = FRAME * number as u32;
    let stamp = Stamp {
        pts,
        arrived_at: Monotonic::default().plus(pts),
        decode: None,
        captured_at: SystemTime::UNIX_EPOCH,
        clock: ClockSource::Media,
    };
    Frame::new(number, stamp, grey(), Arc::<Vec<u8>>::clone(pixels)).unwrap()
}

/// Frames that are analysed one after the other, each within the same time.
struct See {
    took: Duration,
    /// Frames, and since when.
    waiting: VecDeque<(u64, Duration)>,
    free_at: Duration,
    /// The number of the frame that came to it last.
    last: Option<u64>,
}

impl See {
    fn take(&mut self, number: u64, now: Duration) {
        self.waiting.push_back((number, now));
        self.last = Some(number);
    }

    /// The frame whose analysis is there at `now`.
    fn done(&mut self, now: Duration) -> Option<u64> {
        let (number, since) = *self.waiting.front()?;
        let ready = self.free_at.max(since) + self.took;
        if now < ready {
            return None;
        }
        self.free_at = ready;
        self.waiting.pop_front();
        Some(number)
    }
}

/// Plays the sequence in made-up time, `fps` frames a second of it analysed from the frame `first` on, each within `took`, and
/// those beside cuts, where these are looked for.
fn play(
    sequence: &Sequence,
    lookahead: Lookahead,
    (fps, first): (u32, u32),
    (took, mut cuts): (Duration, Option<Cuts>),
) -> Report {
    let mut line = Line::new(Policy { lookahead, capacity: 60, margins: Margins::HEAD, nobody: false });
    let mut tracker = track::Config::default().for_detector(sequence.settings.score).build();
    let mut see = See { took, waiting: VecDeque::new(), free_at: Duration::ZERO, last: None };
    let (mut report, mut pacer) = (Report::default(), Pacer::new(Duration::from_secs(1) / fps));
    let count = sequence.found.len() as u64;
    for tick in 0..(count + 60) * 4 {
        let now = FRAME / 4 * tick as u32;
        let (number, begins) = (tick / 4, tick % 4 == 0);
        if begins && number < count {
            let cut = cuts.as_mut().and_then(|cuts| cuts.judge(now, sequence.signatures[number as usize].clone()));
            if cut.is_some() {
                line.cut(number);
                report.cuts += 1;
            }
            let open =
                line.last_open().map(|(frame, _)| frame.number).filter(|last| see.last.is_none_or(|seen| seen < *last));
            if cut == Some(Cut::Rare) {
                open.into_iter().for_each(|last| see.take(last, now));
            }
            let chosen = number >= u64::from(first)
                && if cut == Some(Cut::Rare) { pacer.choose_now(now) } else { pacer.choose(now) };
            assert!(line.push(frame(number, &sequence.luma[number as usize])).is_none());
            if chosen || number + 1 == count {
                see.take(number, now);
            }
        }
        while let Some(number) = see.done(now) {
            let took = now - FRAME * number as u32;
            line.analysed(&analyse(number, sequence, tracker.as_mut(), line.generation()), took);
        }
        if number == count + 50 {
            line.end();
        }
        while let Some(release) = line.poll(Monotonic::default().plus(now)) {
            let number = release.frame.number + 1;
            let boxes = [&sequence.truth, &sequence.all].map(|boxes| boxes.get(&number).map_or(&[][..], Vec::as_slice));
            report.add(number, &release.ruling, boxes);
        }
        line.check_invariants();
    }
    assert_eq!(line.held(), 0);
    report
}

fn analyse(number: u64, sequence: &Sequence, tracker: &mut dyn Tracker, generation: u64) -> Analysis {
    let detections = &sequence.found[number as usize];
    let at = FRAME * number as u32;
    let thumbnail =
        Some(track::Thumbnail { size: visor::pipeline::THUMBNAIL, luma: &sequence.thumbnails[number as usize] });
    tracker.update(track::Analysis { at, frame_size: SIZE, detections, thumbnail });
    let sightings = Sighting::all(detections, tracker.tracks(), sequence.settings.score, &[]);
    Analysis { number, at, generation, sightings, withdrawn: false }
}

/// `largest` masked areas, in true boxes': of a file and of frequent analyses, and at five a second.
fn check(name: &str, scale: Scale, largest: [f32; 2]) {
    let _alone = alone();
    let Some(sequence) = sequence(name, scale) else { return };
    let ms = Duration::from_millis;
    let mut runs = vec![(
        "as a file".to_owned(),
        play(&sequence, Lookahead::File(ms(1000)), (25, 0), (ms(10), Some(Cuts::default()))),
        largest[0],
    )];
    // which frames are analysed is chance
    for (fps, first) in [(25, 0), (10, 0), (10, 1), (5, 0), (5, 1), (5, 2), (5, 3), (5, 4)] {
        let hold = Hold::new(ms(200), Duration::from_secs(1) / fps, ms(30));
        let live = play(&sequence, Lookahead::Held(hold), (fps, first), (ms(30), Some(Cuts::default())));
        let largest = if fps > 5 { largest[0] } else { largest[1] };
        runs.push((format!("live at {fps} analyses a second, from {first}"), live, largest));
    }
    for (run, report, _) in &runs {
        let Report { faces, leaks, cuts, .. } = report;
        println!("{name} {scale:?} {run}: {faces} faces, {leaks:?}, {}, {cuts} cuts", report.account());
    }
    for (run, report, largest) in runs {
        assert!(report.faces > 500 && report.leaks.is_empty(), "{run}: {:?}", report.leaks);
        // of a live stream nothing comes after the last frame, which was not looked ahead from
        let last = sequence.found.len() as u64;
        let amid = |(number, cause): &&(u64, &str)| *cause != Cause::Starting.name() && *number < last;
        assert_eq!(report.covered.iter().filter(amid).count(), 0, "{run}: {:?}", report.covered);
        assert!(report.area_ratio() <= largest, "{run}: {}", report.area_ratio());
    }
}

impl Sequence {
    /// The same frames in another order.
    fn reordered(&self, order: impl IntoIterator<Item = usize>) -> Self {
        let order: Vec<usize> = order.into_iter().collect();
        let reordered = |all: &Boxes| {
            let boxes = |(frame, number): (&usize, u64)| Some((number, all.get(&(*frame as u64 + 1))?.clone()));
            order.iter().zip(1..).filter_map(boxes).collect()
        };
        Self {
            truth: reordered(&self.truth),
            all: reordered(&self.all),
            found: order.iter().map(|frame| self.found[*frame].clone()).collect(),
            signatures: order.iter().map(|frame| self.signatures[*frame].clone()).collect(),
            thumbnails: order.iter().map(|frame| Arc::clone(&self.thumbnails[*frame])).collect(),
            luma: order.iter().map(|frame| Arc::clone(&self.luma[*frame])).collect(),
            settings: self.settings,
        }
    }

    /// The same without a picture: nothing but boxes.
    fn blank(self) -> Self {
        let blank = Arc::new(vec![0; SIZE.pixels() as usize]);
        Self { luma: vec![blank; self.luma.len()], ..self }
    }

    /// Parts of it one after the other, none of which begins where the one before ended.
    fn cut_up(&self) -> Self {
        // steps that have no divisor in common with the length come everywhere
        let begins = (0..SHOTS).map(|n| n * 113 % (self.found.len() - SHOT));
        self.reordered(begins.flat_map(|begin| begin..begin + SHOT))
    }
}

/// What shows of a sequence that is cut all the time, with its cuts found and without.
fn cut_up(name: &str, scale: Scale) -> Option<[Vec<Report>; 2]> {
    let _alone = alone();
    let sequence = sequence(name, scale)?.cut_up();
    let ms = Duration::from_millis;
    let run = |sequence: &Sequence, (fps, first), cuts: Option<Cuts>| {
        let hold = Hold::new(ms(200), Duration::from_secs(1) / fps, ms(30));
        let found = cuts.is_some();
        let report = play(sequence, Lookahead::Held(hold), (fps, first), (ms(30), cuts));
        let Report { faces, leaks, covered, cuts, .. } = &report;
        println!(
            "{name} {scale:?} cut up, at {fps} from {first}, cuts found {found}: {} of {faces} show, {}, {} covered, {cuts} cuts",
            leaks.len(),
            report.account(),
            covered.len(),
        );
        report
    };
    let runs = [(10, 1), (5, 0), (5, 2), (5, 4)];
    let with = runs.iter().map(|choice| run(&sequence, *choice, Some(Cuts::default()))).collect();
    // by the boxes alone, which is how hard these cuts are
    let blank = sequence.blank();
    Some([runs.iter().map(|choice| run(&blank, *choice, None)).collect(), with])
}

#[test]
fn nothing_shows_where_a_stream_is_cut() {
    for scale in [Scale::Full, Scale::Half] {
        let Some([without, with]) = cut_up("synth_cross5", scale) else { return };
        let shown = |reports: &[Report]| reports.iter().map(|report| report.leaks.len()).sum::<usize>();
        assert!(shown(&without) > 40, "these cuts are not hard: {}", shown(&without));
        // half as large, one head shows by 5.3 % in the first frame after a cut, which its own analysis finds no larger
        assert!(shown(&with) <= if scale == Scale::Full { 0 } else { with.len() }, "{with:?}");
        for report in &with {
            let begun = report.covered.iter().filter(|(_, cause)| *cause != Cause::Starting.name()).count();
            assert!(report.faces > 2500 && begun * 200 <= SHOTS * SHOT && report.cuts < SHOTS + 8, "{report:?}");
        }
    }
}

#[test]
fn heads_that_cross_are_hidden_at_every_rate() {
    check("synth_cross5", Scale::Full, [2.55, 2.5]);
}

#[test]
fn heads_that_cross_further_away_are_hidden_at_every_rate() {
    check("synth_cross5", Scale::Half, [3.0, 3.0]);
    check("synth_cross5", Scale::Third, [3.1, 3.0]);
}

#[test]
fn a_video_call_is_hidden_at_every_rate() {
    Scale::ALL.into_iter().for_each(|scale| check("synth_grid4", scale, [2.25, 2.3]));
}
