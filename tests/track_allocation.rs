//! No tracker allocates once it is warm. A binary of its own, since it counts every allocation of the process.
#![allow(unsafe_code, reason = "a global allocator can only be written with unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use visor::track::synthetic::{FRAME, crowd};
use visor::track::{ALGORITHMS, Analysis, Config, Thumbnail};
use visor::{detect::Detection, geometry::Size};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const SMALL: Size = Size::new(96, 54);

/// Frames after which the scene begins again: warm is who has seen all of it.
const PERIOD: u32 = 300;

/// A scene in which the crowd comes and goes, so that tracks open and end, with a picture that shakes.
fn fill(frame: u32, faces: &mut Vec<Detection>, luma: &mut [u8]) -> Duration {
    let at = |frame: u32| Duration::from_millis(100) * frame;
    crowd(if frame % 60 < 30 { 60 } else { 25 }, at(frame % PERIOD), faces);
    for (index, pixel) in luma.iter_mut().enumerate() {
        *pixel = ((index as u32 + frame % 3) / 5 * 37 % 200) as u8;
    }
    at(frame)
}

#[test]
fn no_tracker_allocates_once_warm() {
    for algorithm in ALGORITHMS {
        let mut tracker = algorithm.build(&Config::default());
        let mut faces = Vec::with_capacity(100);
        let mut luma = vec![0; SMALL.pixels() as usize];
        let mut counted = 0;
        let mut seen = 0;
        for frame in 0..4 * PERIOD {
            let at = fill(frame, &mut faces, &mut luma);
            let thumbnail = Some(Thumbnail { size: SMALL, luma: &luma });
            let before = ALLOCATIONS.with(Cell::get);
            tracker.update(Analysis { at, frame_size: FRAME, detections: &faces, thumbnail });
            let allocations = ALLOCATIONS.with(Cell::get) - before;
            counted += if frame >= 2 * PERIOD { allocations } else { 0 };
            seen = seen.max(tracker.tracks().len());
        }
        assert_eq!(counted, 0, "{} allocated in warm updates", algorithm.name);
        assert!(seen > 25, "{} followed only {seen} faces", algorithm.name);
    }
}
