//! Both sides of a ring against each other, and against a child that lies.

use std::sync::Arc;

use proptest::prelude::*;
use rustix::fs::{SealFlags, fcntl_get_seals, ftruncate};

use super::wire::{BrainEnd, ChildEnd, FrameHeader, Received, ToChild};
use super::*;
use crate::clock::Monotonic;
use crate::frame::{
    ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, PixelBuffer, PixelFormat, PlaneLayout, Stamp,
};

pub(super) fn layout(width: u32, height: u32) -> Layout {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    Layout::packed(Size::new(width, height), PixelFormat::I420, colour)
}

pub(super) fn header(ring: u32, slot: u32, layout: Layout) -> FrameHeader {
    FrameHeader {
        ring,
        slot,
        layout,
        pts_ns: 0,
        arrived_ns: 0,
        decode_ns: None,
        captured_unix_ns: 0,
        clock: ClockSource::Arrival,
        dropped_total: 0,
    }
}

pub(super) fn ends() -> (Arc<BrainEnd>, ChildEnd) {
    let (brain, child) = BrainEnd::pair().unwrap();
    (Arc::new(brain), child)
}

/// What the child is told next of slots, if anything.
pub(super) fn told(child: &ChildEnd) -> Option<(u32, Vec<u32>)> {
    match child.recv(Monotonic::default()) {
        Received::Message { msg: ToChild::Release { ring, slots }, .. } => Some((ring, slots)),
        Received::TimedOut | Received::Closed => None,
        other => panic!("{other:?}"),
    }
}

/// The same in a small ring, where each slot goes back by itself.
fn released(child: &ChildEnd) -> Option<(u32, u32)> {
    told(child).map(|(ring, slots)| {
        let [slot] = slots[..] else { panic!("{slots:?} at a time") };
        (ring, slot)
    })
}

pub(super) fn writer(ring: &Ring) -> Writer {
    let ToChild::Ring { id, slots, slot_bytes } = ring.offer() else { panic!("an offer") };
    Writer::map(ring.fd().try_clone_to_owned().unwrap(), id, slots, slot_bytes).unwrap()
}

#[test]
fn what_the_child_writes_is_what_the_brain_reads() {
    let (brain, child) = ends();
    let layout = layout(5, 3);
    let mut ring = Ring::create(7, &layout, 3, &brain).unwrap();
    let mut slot = writer(&ring).free_slot().unwrap();
    slot.as_mut()[..27].copy_from_slice(&[9; 27]);
    let slot = slot.lend();
    let lease = ring.lease(&header(7, slot, layout)).unwrap();
    assert_eq!(lease.bytes()[..27], [9; 27]);
    ring.check_invariants();
    drop(lease);
    assert_eq!(released(&child), Some((7, slot)));
    ring.check_invariants();
}

#[test]
fn a_slot_goes_back_with_the_last_clone_of_its_frame() {
    let (brain, child) = ends();
    let layout = layout(4, 4);
    let mut ring = Ring::create(1, &layout, 2, &brain).unwrap();
    let stamp = Stamp {
        pts: std::time::Duration::ZERO,
        arrived_at: Monotonic::default(),
        decode: None,
        captured_at: std::time::SystemTime::UNIX_EPOCH,
        clock: ClockSource::Arrival,
    };
    let lease = Arc::new(ring.lease(&header(1, 1, layout)).unwrap());
    let frame = Frame::new(0, stamp, layout, lease).unwrap();
    let clone = frame.clone();
    drop(frame);
    assert_eq!(released(&child), None);
    assert_eq!(ring.lease(&header(1, 1, layout)).err(), Some(Lie::Held));
    drop(clone);
    assert_eq!(released(&child), Some((1, 1)));
    assert!(ring.lease(&header(1, 1, layout)).is_ok());
}

#[test]
fn a_ring_can_be_replaced_while_its_frames_live_on() {
    let (brain, child) = ends();
    let (small, large) = (layout(4, 4), layout(64, 64));
    let mut old = Ring::create(1, &small, 2, &brain).unwrap();
    let old_writer = writer(&old);
    let mut slot = old_writer.free_slot().unwrap();
    slot.as_mut().fill(5);
    let slot = slot.lend();
    let lease = old.lease(&header(1, slot, small)).unwrap();
    let mut new = Ring::create(2, &large, 2, &brain).unwrap();
    drop((old, old_writer));
    assert_eq!(new.lease(&header(1, 0, small)).err(), Some(Lie::Ring));
    assert!(lease.bytes().iter().all(|byte| *byte == 5));
    drop(lease);
    assert_eq!(released(&child), Some((1, slot)));
}

#[test]
fn nobody_can_change_the_size_of_the_memory() {
    let (brain, _child) = ends();
    let ring = Ring::create(1, &layout(64, 64), 4, &brain).unwrap();
    let seals = fcntl_get_seals(ring.fd()).unwrap();
    assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
    assert!(ftruncate(ring.fd(), 0).is_err());
    assert!(ftruncate(ring.fd(), 1 << 20).is_err());
    assert!(rustix::fs::fcntl_add_seals(ring.fd(), SealFlags::WRITE).is_err());
}

#[test]
fn a_lease_outlives_its_child() {
    let (brain, child) = ends();
    let layout = layout(4, 4);
    let mut ring = Ring::create(1, &layout, 2, &brain).unwrap();
    let (one, two) = (ring.lease(&header(1, 0, layout)).unwrap(), ring.lease(&header(1, 1, layout)).unwrap());
    drop(child);
    drop(one);
    drop(brain);
    drop(two);
    ring.check_invariants();
    assert_eq!(ring.held(), 0);
}

#[test]
fn what_a_child_that_does_not_read_could_not_be_told_it_is_told_later() {
    let (brain, child) = ends();
    let layout = layout(4, 4);
    let mut ring = Ring::create(1, &layout, 2, &brain).unwrap();
    let lease = ring.lease(&header(1, 0, layout)).unwrap();
    while brain.send(&ToChild::Stop, None).is_ok() {}
    drop(lease);
    assert_eq!(
        ring.lease(&header(1, 0, layout)).err(),
        Some(Lie::Held),
        "the child does not know that the slot is free"
    );
    while matches!(child.recv(Monotonic::default()), Received::Message { msg: ToChild::Stop, .. }) {}
    ring.settle();
    assert_eq!(released(&child), Some((1, 0)));
    ring.settle();
    assert_eq!(released(&child), None, "told once");
    assert!(ring.lease(&header(1, 0, layout)).is_ok());
}

#[test]
fn sizes_beyond_the_caps_are_refused() {
    let (brain, _child) = ends();
    assert_eq!(slot_bytes(&layout(64, 64)), Some(8192));
    assert_eq!(bytes(&layout(64, 64), 3), Some(3 * 8192));
    assert_eq!(bytes(&layout(64, 64), 0), None);
    assert_eq!(bytes(&layout(64, 64), MAX_SLOTS + 1), None);
    assert_eq!(slot_bytes(&layout(MAX_SIDE + 1, 2)), None);
    assert!(slots_that_fit(&layout(MAX_SIDE, MAX_SIDE)).is_some_and(|slots| slots >= 4));
    assert_eq!(bytes(&layout(MAX_SIDE, MAX_SIDE), MAX_SLOTS), None);
    assert!(Ring::create(1, &layout(MAX_SIDE, MAX_SIDE), MAX_SLOTS, &brain).is_err());
    let mut far = layout(4, 4);
    far.planes[2].offset = usize::MAX - 100;
    assert_eq!(slot_bytes(&far), None);
}

#[test]
fn a_writer_maps_no_more_than_there_is() {
    let (brain, _child) = ends();
    let ring = Ring::create(1, &layout(64, 64), 2, &brain).unwrap();
    let fd = || ring.fd().try_clone_to_owned().unwrap();
    assert!(Writer::map(fd(), 1, 2, 8192).is_ok());
    assert!(Writer::map(fd(), 1, 3, 8192).is_err());
    assert!(Writer::map(fd(), 1, 0, 8192).is_err());
    assert!(Writer::map(fd(), 1, 2, u64::MAX).is_err());
    assert!(Writer::map(fd(), 1, MAX_SLOTS + 1, 1).is_err());
    let (pipe, _other) = rustix::pipe::pipe().unwrap();
    assert!(Writer::map(pipe, 1, 1, 4096).is_err());
}

#[test]
fn slots_take_turns_and_run_out() {
    let (brain, _child) = ends();
    let writer = writer(&Ring::create(1, &layout(64, 64), 3, &brain).unwrap());
    let [first, mut second, third] = [(); 3].map(|()| writer.free_slot().unwrap());
    assert!(writer.free_slot().is_none());
    assert_eq!(second.as_mut().len(), 8192);
    assert_eq!((second.lend(), writer.taken()), (1, 2));
    writer.released(77);
    assert!(writer.free_slot().is_none(), "the brain has it");
    writer.released(1);
    assert_eq!(writer.free_slot().unwrap().lend(), 1);
    assert!(!writer.all_lent());
    drop(third);
    assert_eq!(writer.free_slot().unwrap().lend(), 2);
    assert_eq!(first.lend(), 0);
    assert!(writer.all_lent() && writer.taken() == 0);
}

#[test]
fn a_slot_is_lent_where_it_lies_and_free_once_both_sides_let_go() {
    let (brain, _child) = ends();
    let writer = writer(&Ring::create(1, &layout(64, 64), 2, &brain).unwrap());
    let (mut slot, other) = (writer.free_slot().unwrap(), writer.free_slot().unwrap());
    assert_eq!(writer.lend_at(&[0; 100]), None, "somebody else's memory");
    assert_eq!(writer.lend_at(&slot.as_mut()[1..]), None, "not a slot's beginning");
    assert_eq!(writer.lend_at(slot.as_mut()), Some(0));
    assert_eq!(writer.lend_at(slot.as_mut()), None, "the brain has it already");
    writer.released(0);
    assert!(writer.free_slot().is_none(), "somebody here still reads it");
    drop(slot);
    let mut slot = writer.free_slot().expect("nobody has it");
    assert_eq!(writer.lend_at(slot.as_mut()), Some(0));
    drop(slot);
    assert!(writer.free_slot().is_none(), "the brain has it");
    writer.released(0);
    assert!(writer.free_slot().is_some());
    drop(other);
}

#[test]
fn the_cost_of_a_picture_can_be_measured() {
    let Measured { copy, hand_over } = measure(&layout(1920, 1080), 50).unwrap();
    eprintln!("1080p through a ring: copy {copy:?}, hand-over {hand_over:?}");
    assert!(!copy.is_zero() && !hand_over.is_zero());
    assert!(measure(&layout(MAX_SIDE + 1, 2), 1).is_err());
}

/// Layouts near the truth and far from it.
fn any_layout() -> impl Strategy<Value = Layout> {
    let plane = || {
        let near = (0usize..10_000, 0usize..200);
        let far = (any::<usize>(), any::<usize>());
        prop_oneof![3 => near, 1 => far].prop_map(|(offset, stride)| PlaneLayout { offset, stride })
    };
    let side = || prop_oneof![5 => 0u32..80, 1 => any::<u32>()];
    let sar = prop_oneof![5 => Just((1, 1)), 1 => any::<(u32, u32)>()];
    let fitting = (1u32..70, 1u32..70).prop_map(|(w, h)| layout(w, h));
    let wild =
        (side(), side(), any::<bool>(), sar, [plane(), plane(), plane()]).prop_map(|(w, h, nv12, sar, planes)| {
            let pixel = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
            Layout { size: Size::new(w, h), pixel, sar, planes, ..layout(2, 2) }
        });
    prop_oneof![fitting, wild]
}

#[derive(Clone, Debug)]
enum Step {
    Announce { ring: u32, slot: u32, layout: Layout },
    Drop(usize),
    Settle,
}

fn any_step() -> impl Strategy<Value = Step> {
    let ring = prop_oneof![9 => Just(1u32), 1 => any::<u32>()];
    let slot = prop_oneof![9 => 0u32..6, 1 => any::<u32>()];
    prop_oneof![
        6 => (ring, slot, any_layout()).prop_map(|(ring, slot, layout)| Step::Announce { ring, slot, layout }),
        3 => any::<usize>().prop_map(Step::Drop),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #[test]
    fn no_announcement_yields_a_lease_out_of_bounds_or_a_slot_twice(steps in proptest::collection::vec(any_step(), 1..60)) {
        let (brain, child) = ends();
        let mut ring = Ring::create(1, &layout(64, 64), 5, &brain).unwrap();
        let mut held: Vec<(u32, Lease)> = Vec::new();
        for step in steps {
            match step {
                Step::Announce { ring: id, slot, layout } => match ring.lease(&header(id, slot, layout)) {
                    Ok(lease) => {
                        prop_assert!(id == 1 && slot < 5 && held.iter().all(|(other, _)| *other != slot));
                        prop_assert!(layout.end().is_some_and(|end| end <= lease.bytes().len()));
                        held.push((slot, lease));
                    }
                    Err(Lie::Held) => prop_assert!(held.iter().any(|(other, _)| *other == slot)),
                    Err(_) => {}
                },
                Step::Drop(n) if !held.is_empty() => {
                    let (slot, lease) = held.swap_remove(n % held.len());
                    drop(lease);
                    prop_assert_eq!(released(&child), Some((1, slot)));
                }
                Step::Drop(_) => {}
                Step::Settle => ring.settle(),
            }
            ring.check_invariants();
            prop_assert_eq!(ring.held(), held.len());
        }
    }
}
