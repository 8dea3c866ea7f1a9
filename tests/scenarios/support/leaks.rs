//! Which true faces are to be seen in a masked video, from source, output and truth: pixel by pixel, whatever kind of mask
//! it is. A pixel shows where the output is what the source was, but for what coding changes.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use visor::clock::Monotonic;
use visor::frame::{Colorimetry, ColourMatrix, ColourRange, Frame, Layout, Picture, PixelFormat};
use visor::geometry::{Rect, Size};
use visor::source::{Config, FilePace, Frames, Source, SourceEvent, Spawner, Uri};

use super::mot::Boxes;

/// By how much coding changes a sample of luma, and of chroma.
const CODED: (u8, u8) = (24, 14);

/// A face shows when more than this share of its box inside the picture does.
pub const SHOWN: f32 = 0.05;

/// A face that shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leak {
    /// Frame, from 1.
    pub frame: u64,
    /// The true identity.
    pub identity: u64,
    /// Share of its box that shows, 0 to 1.
    pub share: f32,
}

/// What a comparison comes to.
#[derive(Debug, Default)]
pub struct Report {
    /// Frames compared.
    pub frames: usize,
    /// True faces looked at.
    pub faces: usize,
    /// Those that show.
    pub leaks: Vec<Leak>,
    /// Pixels that are not as in the source, and those of true faces.
    pub masked: u64,
    pub true_area: u64,
    /// Likewise of all faces, also those of which too little is to be seen for them to be found.
    pub whole_area: u64,
}

/// A picture of I420 or NV12 as three full planes of bytes.
pub struct Shot {
    width: usize,
    height: usize,
    luma: Vec<u8>,
    /// U and V, one for each two by two pixels.
    chroma: Vec<[u8; 2]>,
}

impl Shot {
    /// Copies a frame.
    pub fn of(frame: &Frame) -> Self {
        Self::of_picture(frame.picture())
    }

    /// Copies a picture.
    pub fn of_picture(picture: Picture<'_>) -> Self {
        let Layout { size, pixel, planes, .. } = *picture.layout();
        let (width, height) = (size.width as usize, size.height as usize);
        let (across, down) = (width.div_ceil(2), height.div_ceil(2));
        let at = |plane: usize, row: usize, byte: usize| picture.plane(plane)[row * planes[plane].stride + byte];
        let luma = (0..width * height).map(|n| at(0, n / width, n % width)).collect();
        let chroma = |n: usize| match pixel {
            PixelFormat::I420 => [at(1, n / across, n % across), at(2, n / across, n % across)],
            PixelFormat::Nv12 => [at(1, n / across, n % across * 2), at(1, n / across, n % across * 2 + 1)],
        };
        Self { width, height, luma, chroma: (0..across * down).map(chroma).collect() }
    }

    fn shows(&self, other: &Self, x: usize, y: usize) -> bool {
        let (pixel, cell) = (y * self.width + x, y / 2 * self.width.div_ceil(2) + x / 2);
        let chroma = |n: usize| self.chroma[cell][n].abs_diff(other.chroma[cell][n]) <= CODED.1;
        self.luma[pixel].abs_diff(other.luma[pixel]) <= CODED.0 && chroma(0) && chroma(1)
    }

    /// A picture of I420 without gaps.
    pub fn of_bytes(size: Size, bytes: &[u8]) -> Self {
        let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
        Self::of_picture(Picture::new(&Layout::packed(size, PixelFormat::I420, colour), bytes).unwrap())
    }

    /// Columns and rows of the part of `rect` that is inside the picture.
    fn inside(&self, rect: Rect) -> (Range<usize>, Range<usize>) {
        let columns = rect.x.max(0.0) as usize..(rect.right().max(0.0) as usize).min(self.width);
        let rows = rect.y.max(0.0) as usize..(rect.bottom().max(0.0) as usize).min(self.height);
        (columns, rows)
    }

    /// Pixels inside these boxes.
    fn area_of(&self, boxes: &[(u64, Rect)]) -> u64 {
        let mut inside = vec![false; self.luma.len()];
        for (_, rect) in boxes {
            let (columns, rows) = self.inside(*rect);
            rows.for_each(|y| inside[y * self.width..][columns.clone()].fill(true));
        }
        inside.iter().filter(|inside| **inside).count() as u64
    }

    /// Share of `rect` inside the picture in which `other` is as this one.
    pub fn shown_share(&self, other: &Self, rect: Rect) -> f32 {
        let (columns, rows) = self.inside(rect);
        let (mut shown, mut count) = (0_u32, 0_u32);
        for y in rows {
            for x in columns.clone() {
                count += 1;
                shown += u32::from(self.shows(other, x, y));
            }
        }
        if count == 0 { 0.0 } else { shown as f32 / count as f32 }
    }
}

impl Report {
    /// How many times as large as the true faces what is masked is.
    pub fn area_ratio(&self) -> f64 {
        self.masked as f64 / self.true_area.max(1) as f64
    }

    /// How many times as large as all faces.
    pub fn whole_ratio(&self) -> f64 {
        self.masked as f64 / self.whole_area.max(1) as f64
    }

    /// Adds what is masked of one frame; `all` are the true faces and those of which little is to be seen.
    pub fn measure(&mut self, (source, output): (&Shot, &Shot), [truth, all]: [&[(u64, Rect)]; 2]) {
        self.true_area += source.area_of(truth);
        self.whole_area += source.area_of(all);
        let pixels = (0..source.height).flat_map(|y| (0..source.width).map(move |x| (x, y)));
        self.masked += pixels.filter(|(x, y)| !source.shows(output, *x, *y)).count() as u64;
    }

    /// Compares one frame, numbered from 1, where it is at least `least` pixels wide and high.
    pub fn compare(&mut self, number: u64, (source, output): (&Shot, &Shot), truth: &Boxes, least: f32) {
        assert_eq!((source.width, source.height), (output.width, output.height), "frame {number}");
        self.frames += 1;
        for (identity, rect) in truth.get(&number).into_iter().flatten() {
            if rect.w.min(rect.h) < least {
                continue;
            }
            self.faces += 1;
            let share = source.shown_share(output, *rect);
            if share > SHOWN {
                self.leaks.push(Leak { frame: number, identity: *identity, share });
            }
        }
    }
}

/// Compares two videos frame by frame.
pub fn compare(source: &Path, output: &Path, truth: &Boxes, least: f32) -> Report {
    let spawner = Spawner::start_with(Path::new(env!("CARGO_BIN_EXE_visor"))).unwrap();
    let mut videos = [source, output].map(|path| open(path, &spawner));
    let mut report = Report::default();
    loop {
        let [source, output] = videos.each_mut().map(next);
        match (source, output) {
            (Some(source), Some(output)) => {
                let number = report.frames as u64 + 1;
                report.compare(number, (&Shot::of(&source), &Shot::of(&output)), truth, least);
            }
            (None, None) => return report,
            (source, _) => {
                panic!("only the {} has a frame {}", if source.is_some() { "source" } else { "output" }, report.frames)
            }
        }
    }
}

/// A video to be read frame by frame.
pub fn open(path: &Path, spawner: &Spawner) -> Source {
    let config = Config { pace: FilePace::Fast, ..Config::new(Uri::from_argument(&path.to_string_lossy())) };
    Source::new("compared", config.resolve(4).unwrap(), spawner)
}

/// The next frame; `None` at the end.
pub fn next(source: &mut Source) -> Option<Frame> {
    loop {
        match source.next(Monotonic::now().plus(Duration::from_secs(1))) {
            SourceEvent::Frame(frame) => return Some(frame),
            SourceEvent::Ended => return None,
            SourceEvent::Changed(state) => {
                let state = format!("{state:?}");
                assert!(!state.contains("reason"), "{state}");
            }
            SourceEvent::Opened(_) | SourceEvent::Idle => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use visor::frame::{Colorimetry, ColourMatrix, ColourRange};
    use visor::geometry::Size;

    use super::*;

    /// A textured picture in which the box from (`left`, 20) to 60, 60 is masked.
    fn shot(left: usize) -> Shot {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Limited };
        let layout = Layout::packed(Size::new(96, 80), PixelFormat::I420, colour);
        let mut bytes: Vec<u8> = (0..layout.end().unwrap()).map(|n| (n * 31 % 190) as u8 + 40).collect();
        for y in 20..60 {
            bytes[y * 96 + left..y * 96 + 60].fill(0);
        }
        Shot::of_picture(Picture::new(&layout, &bytes).unwrap())
    }

    #[test]
    fn a_planted_leak_is_seen() {
        let truth = Boxes::from([(1, vec![(7, Rect::new(20.0, 20.0, 40.0, 40.0))])]);
        let mut report = Report::default();
        report.compare(1, (&shot(60), &shot(20)), &truth, 24.0);
        assert_eq!((report.faces, report.leaks.len()), (1, 0), "hidden");
        report.compare(1, (&shot(60), &shot(23)), &truth, 24.0);
        let [leak] = report.leaks[..] else { panic!("{report:?}") };
        assert_eq!((leak.frame, leak.identity), (1, 7));
        assert!((leak.share - 3.0 / 40.0).abs() < 0.01, "{leak:?}");
        report.compare(1, (&shot(60), &shot(60)), &truth, 41.0);
        assert_eq!(report.leaks.len(), 1, "too small to count");
        report.measure((&shot(60), &shot(20)), [&truth[&1], &[(7, Rect::new(20.0, 20.0, 40.0, 50.0))]]);
        assert_eq!((report.masked, report.true_area, report.whole_area), (1600, 1600, 2000));
    }
}
