//! A clip whose faces bear a patch of a colour that is nowhere else, and whose frames are numbered in a strip below them: a
//! picture tells by itself whether a face shows, and which frame it is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;
use visor::frame::{Frame, Picture, PixelFormat};
use visor::geometry::Rect;

use super::naming::{Clip, Truth, each_frame, sequence};

/// The clip's frames, as composed, and how many there are a second.
const SIZE: (usize, usize) = (1280, 720);
pub const FPS: u32 = 25;
pub const FRAMES: u64 = 300;

/// Magenta, in BT.601's or BT.709's limited range.
const PATCH: [u8; 3] = [107, 202, 222];

/// From these samples of chroma on a pixel is of the patch.
const MAGENTA: (u8, u8) = (165, 180);

/// Where the patch is in a face's box, as shares of it: on the forehead, where a detector still finds the face.
const FOREHEAD: Rect = Rect::new(0.36, 0.04, 0.28, 0.16);

/// Faces whose patch is drawn: of so many pixels and so visible that no detector has an excuse.
const DRAWN: (f32, f32) = (60.0, 0.8);

/// Samples of chroma (each two by two pixels) from which on a patch shows. What coding makes of a mask's edge is less.
pub const SHOWS: usize = 4;

/// Bits of a frame's number. Each is a cell, as wide as this share of the picture, and its opposite below it.
const BITS: usize = 10;
const CELL: f32 = 0.05;
/// Where the middles of both rows are, and how high a cell is, as shares of the picture's height.
const ROWS: [f32; 2] = [0.925, 0.97];
const CELL_HEIGHT: f32 = 0.04;
const MARGIN: f32 = 0.04;

/// What a picture tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The source's frame, from 0; `None` where it cannot be read, since the picture is covered.
    pub number: Option<u64>,
    /// Samples of chroma that are of a patch.
    pub patch: usize,
}

impl Look {
    /// Looks at a picture of any size.
    pub fn at(picture: Picture<'_>) -> Self {
        Self { number: number(picture), patch: patch(picture) }
    }

    /// Whether a face shows.
    pub fn leaks(self) -> bool {
        self.patch >= SHOWS
    }
}

/// The clip, at `width` by `height`; made once. `None`, aloud, where there is nothing to make it of.
pub fn clip((width, height): (u32, u32)) -> Option<PathBuf> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let clip = sequence("synth_cross5")?;
    if !Command::new("gst-launch-1.0").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no gst-launch-1.0");
        return None;
    }
    let _one_at_a_time = MADE.lock().unwrap();
    let path = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path().join(format!("{width}x{height}.mp4"));
    if !path.is_file() {
        make(&clip, &path, &format!("video/x-raw,width={width},height={height}"));
    }
    Some(path)
}

fn make(clip: &Clip, path: &Path, scaled: &str) {
    let Truth::Boxes(boxes) = &clip.truth else { panic!("no boxes") };
    let (width, height) = SIZE;
    let raw = format!("rawvideoparse width={width} height={height} format=i420 framerate={FPS}/1");
    let encoded = "x264enc tune=zerolatency speed-preset=veryfast quantizer=20 pass=quant key-int-max=25 ! h264parse";
    let description = format!("-q -e fdsrc ! {raw} ! videoscale ! {scaled} ! {encoded} ! mp4mux ! filesink location=");
    let location = format!("{description}{}", path.display());
    let mut encoder = Command::new("gst-launch-1.0").args(location.split(' ')).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = encoder.stdin.take().unwrap();
    each_frame(&clip.parts[0].0, |frame| {
        let mut canvas = Canvas::of(frame);
        for (_, rect, visible) in boxes.get(&frame.number).into_iter().flatten() {
            let Rect { x, y, w, h } = *rect;
            if w.min(h) >= DRAWN.0 && *visible >= DRAWN.1 {
                canvas.fill(Rect::new(x + FOREHEAD.x * w, y + FOREHEAD.y * h, FOREHEAD.w * w, FOREHEAD.h * h), PATCH);
            }
        }
        canvas.write_number(frame.number);
        input.write_all(&canvas.bytes).unwrap();
    });
    drop(input);
    assert!(encoder.wait().unwrap().success());
}

/// Planes of I420 without gaps.
struct Canvas {
    bytes: Vec<u8>,
}

impl Canvas {
    fn of(frame: &Frame) -> Self {
        let (width, height) = SIZE;
        let picture = frame.picture();
        let mut bytes: Vec<u8> = (0..height).flat_map(|y| row(picture, 0, y)[..width].to_vec()).collect();
        for component in 0..2 {
            bytes.extend((0..width * height / 4).map(|n| chroma(picture, n % (width / 2), n / (width / 2))[component]));
        }
        Self { bytes }
    }

    fn fill(&mut self, rect: Rect, [luma, u, v]: [u8; 3]) {
        let (width, height) = SIZE;
        let span = |from: f32, length: f32, whole: usize| {
            (from.max(0.0) as usize / 2).min(whole / 2)..((from + length).max(0.0) as usize / 2).min(whole / 2)
        };
        for y in span(rect.y, rect.h, height) {
            for x in span(rect.x, rect.w, width) {
                let (pixel, cell) = (2 * y * width + 2 * x, y * width / 2 + x);
                for n in [pixel, pixel + 1, pixel + width, pixel + width + 1] {
                    self.bytes[n] = luma;
                }
                self.bytes[width * height + cell] = u;
                self.bytes[width * height * 5 / 4 + cell] = v;
            }
        }
    }

    fn write_number(&mut self, number: u64) {
        let (width, height) = (SIZE.0 as f32, SIZE.1 as f32);
        for bit in 0..BITS {
            for (row, middle) in ROWS.iter().enumerate() {
                let lit = (number >> bit & 1 == 1) == (row == 0);
                let left = (MARGIN + bit as f32 * CELL) * width;
                let top = (middle - CELL_HEIGHT / 2.0) * height;
                let cell = Rect::new(left, top, CELL * width, CELL_HEIGHT * height);
                self.fill(cell, [if lit { 235 } else { 16 }, 128, 128]);
            }
        }
    }
}

fn row<'a>(picture: Picture<'a>, plane: usize, y: usize) -> &'a [u8] {
    &picture.plane(plane)[y * picture.layout().planes[plane].stride..]
}

/// U and V of two by two pixels.
fn chroma(picture: Picture<'_>, x: usize, y: usize) -> [u8; 2] {
    match picture.layout().pixel {
        PixelFormat::I420 => [1, 2].map(|plane| row(picture, plane, y)[x]),
        PixelFormat::Nv12 => [0, 1].map(|component| row(picture, 1, y)[2 * x + component]),
    }
}

fn patch(picture: Picture<'_>) -> usize {
    let (width, height) = (picture.size().width as usize / 2, picture.size().height as usize / 2);
    let is_magenta = |[u, v]: [u8; 2]| u >= MAGENTA.0 && v >= MAGENTA.1;
    (0..height).map(|y| (0..width).filter(|x| is_magenta(chroma(picture, *x, y))).count()).sum()
}

/// The number in the strip; each bit must be there with its opposite.
fn number(picture: Picture<'_>) -> Option<u64> {
    let (width, height) = (picture.size().width as f32, picture.size().height as f32);
    (0..BITS).try_fold(0, |number, bit| {
        let x = ((MARGIN + (bit as f32 + 0.5) * CELL) * width) as usize;
        let [bright, opposite] = ROWS.map(|middle| match row(picture, 0, (middle * height) as usize)[x] {
            0..=80 => Some(false),
            170.. => Some(true),
            _ => None,
        });
        (bright? != opposite?).then_some(number | u64::from(bright?) << bit)
    })
}

#[cfg(test)]
mod tests {
    use visor::frame::{Colorimetry, ColourMatrix, ColourRange, Layout};
    use visor::geometry::Size;

    use super::*;

    fn look(canvas: &Canvas) -> Look {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Limited };
        let layout = Layout::packed(Size::new(SIZE.0 as u32, SIZE.1 as u32), PixelFormat::I420, colour);
        Look::at(Picture::new(&layout, &canvas.bytes).unwrap())
    }

    #[test]
    fn a_patch_and_a_number_are_read_and_nothing_else_is_taken_for_them() {
        let mut canvas = Canvas { bytes: vec![128; SIZE.0 * SIZE.1 * 3 / 2] };
        assert_eq!(look(&canvas), Look { number: None, patch: 0 });
        canvas.write_number(697);
        assert_eq!(look(&canvas), Look { number: Some(697), patch: 0 });
        canvas.fill(Rect::new(100.0, 100.0, 3.0, 4.0), PATCH);
        assert!(!look(&canvas).leaks());
        canvas.fill(Rect::new(100.0, 100.0, 4.0, 4.0), PATCH);
        assert_eq!(look(&canvas), Look { number: Some(697), patch: 4 });
        assert!(look(&canvas).leaks());
        canvas.fill(Rect::new(0.0, 0.0, 1280.0, 720.0), [29, 128, 128]);
        assert_eq!(look(&canvas), Look { number: None, patch: 0 });
    }

    #[test]
    fn every_frame_of_the_clip_says_which_it_is_and_shows_its_patches() {
        let Some(path) = clip((640, 360)) else { return };
        let (mut frames, mut shown) = (0, 0);
        each_frame(&path, |frame| {
            let look = Look::at(frame.picture());
            assert_eq!(look.number, Some(frame.number));
            frames += 1;
            shown += u64::from(look.leaks());
        });
        assert_eq!(frames, FRAMES);
        assert!(shown > 280, "{shown} frames show a patch");
    }
    #[test]
    fn a_face_with_a_patch_is_found_and_masked() {
        let Some(path) = clip((960, 540)) else { return };
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("masked.mp4");
        let masked = Command::new(env!("CARGO_BIN_EXE_visor")).arg("mask").args([&path, &out]).output().unwrap();
        assert!(masked.status.success(), "{}", String::from_utf8_lossy(&masked.stderr));
        let mut leaks = Vec::new();
        each_frame(&out, |frame| {
            let look = Look::at(frame.picture());
            assert_eq!(look.number, Some(frame.number));
            leaks.extend(look.leaks().then_some(frame.number));
        });
        assert!(leaks.is_empty(), "frames {leaks:?}");
    }
}
