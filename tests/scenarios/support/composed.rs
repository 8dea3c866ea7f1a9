//! Sequences with truth as cameras further away see them: in full, at a half or a third of their size on plain ground, and
//! with a strip below the picture that says which frame it is, so that dropped frames do not shift a comparison.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;
use visor::geometry::{Rect, Size};

use super::mot::{self, Boxes};
use crate::detect::media;

/// A picture, and the strip below it.
pub const SIZE: Size = Size::new(1280, 768);
/// Frames a second.
pub const FPS: u32 = 25;

const PICTURE: (usize, usize) = (1280, 720);
/// Bits of a frame's number: each a square cell, and its opposite below it.
const BITS: usize = 12;
const CELL: usize = 12;
/// Where the number begins, on the left and on the right: a mask that reaches into the strip hides one of the two at most.
const COPIES: [usize; 2] = [CELL, SIZE.width as usize + CELL - BITS * 2 * CELL];

/// How large the sequence is in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As it is.
    Full,
    /// Half as wide and high.
    Half,
    /// A third.
    Third,
}

impl Scale {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Full, Self::Half, Self::Third];

    /// Size and place of the sequence in the picture, in pixels.
    fn place(self) -> (usize, usize, usize, usize) {
        match self {
            Self::Full => (1280, 720, 0, 0),
            Self::Half => (640, 360, 320, 180),
            Self::Third => (426, 240, 426, 240),
        }
    }
}

/// A clip with truth.
pub struct Composed {
    pub video: PathBuf,
    /// True boxes inside the sequence's part of the picture, by frame from 1.
    pub truth: Boxes,
    /// Those and the ones of which too little is to be seen for anybody to find them: they are masked all the same.
    pub all: Boxes,
}

/// The sequence `name` at that scale; made once. `None`, aloud, where it or ffmpeg is missing.
pub fn compose(name: &str, scale: Scale) -> Option<Composed> {
    composed(name, scale, false)
}

/// The same forwards and then backwards, for a camera that shows it again and again: no camera's picture is ever cut as a
/// sequence is where it begins anew.
pub fn compose_endless(name: &str, scale: Scale) -> Option<Composed> {
    let Composed { video, mut truth, mut all } = composed(name, scale, true)?;
    let last = *truth.last_key_value()?.0;
    for boxes in [&mut truth, &mut all] {
        let back: Vec<_> = boxes.iter().map(|(number, boxes)| (2 * last + 1 - number, boxes.clone())).collect();
        boxes.extend(back);
    }
    Some(Composed { video, truth, all })
}

fn composed(name: &str, scale: Scale, back: bool) -> Option<Composed> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let source = media(&format!("tracking/{name}"))?;
    if !Command::new("ffmpeg").arg("-version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no ffmpeg to compose a clip with");
        return None;
    }
    let text = std::fs::read_to_string(source.join("gt/gt.txt")).unwrap();
    let [truth, all] = [true, false].map(|only| truth(&text, scale, only));
    let _made = ONE_AT_A_TIME.lock().unwrap();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let video = folder.join(format!("{name}-{scale:?}{}.mp4", if back { "-and-back" } else { "" }));
    if !video.is_file() {
        make(&source.join(format!("{name}.mp4")), &video, (scale, back));
    }
    Some(Composed { video, truth, all })
}

/// With `only` what is to be found.
fn truth(text: &str, scale: Scale, only: bool) -> Boxes {
    let (w, h, left, top) = scale.place();
    let (w, h, left, top) = (w as f32, h as f32, left as f32, top as f32);
    let (across, down) = (w / PICTURE.0 as f32, h / PICTURE.1 as f32);
    let shrunk = |rect: &Rect| {
        // what is outside the sequence is not in the picture
        let (right, bottom) = ((left + rect.right() * across).min(left + w), (top + rect.bottom() * down).min(top + h));
        Rect::from_corners((left + rect.x * across).max(left), (top + rect.y * down).max(top), right, bottom)
    };
    let boxes = mot::read(text, only).into_iter();
    boxes.map(|(frame, boxes)| (frame, boxes.iter().map(|(id, rect)| (*id, shrunk(rect))).collect())).collect()
}

fn make(source: &Path, video: &Path, (scale, back): (Scale, bool)) {
    let (w, h, left, top) = scale.place();
    let mut filter = format!("scale={w}:{h},pad={}:{}:{left}:{top}:0x607080", SIZE.width, SIZE.height);
    if back {
        filter += ",split[on][turned];[turned]reverse[back];[on][back]concat";
    }
    let raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p"];
    let mut decoder = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(source)
        .args(["-vf", &filter])
        .args(raw)
        .arg("-")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut encoder = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(raw)
        .args(["-s", &format!("{}x{}", SIZE.width, SIZE.height), "-r", &FPS.to_string(), "-i", "-"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-g", "25", "-bf", "0"])
        .arg(video)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut frames, mut out) = (decoder.stdout.take().unwrap(), encoder.stdin.take().unwrap());
    let mut picture = vec![0; bytes()];
    for number in 1.. {
        if frames.read_exact(&mut picture).is_err() {
            break;
        }
        write_number(&mut picture, number);
        out.write_all(&picture).unwrap();
    }
    drop((frames, out));
    assert!(decoder.wait().unwrap().success() && encoder.wait().unwrap().success(), "{}", video.display());
}

/// Of a picture of I420 without gaps.
pub fn bytes() -> usize {
    SIZE.pixels() as usize * 3 / 2
}

/// Where the middle of a bit's cell is, or of its opposite, in the number that begins there.
fn middle(start: usize, bit: usize, opposite: bool) -> (usize, usize) {
    (start + bit * 2 * CELL, PICTURE.1 + CELL / 2 + usize::from(opposite) * CELL)
}

fn write_number(picture: &mut [u8], number: u64) {
    let width = SIZE.width as usize;
    let cells = COPIES.into_iter().flat_map(|start| (0..BITS).map(move |bit| (start, bit)));
    for ((start, bit), opposite) in cells.flat_map(|cell| [(cell, false), (cell, true)]) {
        let lit = (number >> bit & 1 == 1) != opposite;
        let (x, y) = middle(start, bit, opposite);
        for row in y - CELL / 2..y + CELL / 2 {
            picture[row * width + x - CELL / 2..][..CELL].fill(if lit { 235 } else { 16 });
        }
    }
}

/// The number in the luma of a picture; `None` where it is covered: each bit must be there with its opposite,
/// in one place at least.
pub fn number(luma: &[u8]) -> Option<u64> {
    COPIES.into_iter().find_map(|start| number_at(luma, start))
}

fn number_at(luma: &[u8], start: usize) -> Option<u64> {
    let at = |bit: usize, opposite: bool| {
        let (x, y) = middle(start, bit, opposite);
        match luma[y * SIZE.width as usize + x] {
            0..=80 => Some(false),
            170.. => Some(true),
            _ => None,
        }
    };
    (0..BITS).try_fold(0, |number, bit| {
        let (lit, opposite) = (at(bit, false)?, at(bit, true)?);
        (lit != opposite).then_some(number | u64::from(lit) << bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_and_nothing_else_is_taken_for_one() {
        let mut picture = vec![100; bytes()];
        assert_eq!(number(&picture), None);
        write_number(&mut picture, 2049);
        assert_eq!(number(&picture), Some(2049));
        for (copy, read) in COPIES.into_iter().zip([Some(2049), None]) {
            let (x, y) = middle(copy, 3, true);
            picture[y * SIZE.width as usize + x] = 16;
            assert_eq!(number(&picture), read, "a bit without its opposite");
        }
    }

    #[test]
    fn boxes_shrink_with_the_sequence_and_end_where_it_does() {
        let text = "1,7,1200.0,360.0,200.0,100.0,1,1,1\n1,8,0,0,10,10,0,1,0.1";
        let boxes = truth(text, Scale::Half, true);
        assert_eq!(boxes[&1], [(7, Rect::new(920.0, 360.0, 40.0, 50.0))]);
        assert_eq!(truth(text, Scale::Half, false)[&1].len(), 2);
    }
}
