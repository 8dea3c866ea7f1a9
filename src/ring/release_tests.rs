//! Slots go back to the child some at a time, and none too late.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, mpsc};

use proptest::prelude::*;

use super::channel_tests::soon;
use super::tests::{ends, header, layout, told, writer};
use super::wire::{BrainEnd, ChildEnd, Received, ToBrain, ToChild};
use super::*;
use crate::clock::Monotonic;

/// A ring of small pictures, and the child's end of its channel.
fn ring(slots: u32) -> (Ring, Arc<BrainEnd>, ChildEnd) {
    let (brain, child) = ends();
    (Ring::create(1, &layout(4, 4), slots, &brain).unwrap(), brain, child)
}

fn lease(ring: &mut Ring, slot: u32) -> Result<Lease, Lie> {
    ring.lease(&header(1, slot, layout(4, 4)))
}

fn leases(ring: &mut Ring, slots: std::ops::Range<u32>) -> VecDeque<Lease> {
    slots.map(|slot| lease(ring, slot).unwrap()).collect()
}

#[test]
fn where_the_child_has_enough_it_is_told_of_four_at_a_time() {
    let (mut ring, _brain, child) = ring(20);
    let mut held = leases(&mut ring, 0..9);
    for round in [[0, 1, 2, 3], [4, 5, 6, 7]] {
        for slot in &round[..3] {
            held.pop_front();
            ring.settle();
            assert_eq!(told(&child), None, "after {slot}");
            assert_eq!(lease(&mut ring, *slot).err(), Some(Lie::Held), "the child does not know that it is free");
        }
        held.pop_front();
        assert_eq!(told(&child), Some((1, round.to_vec())));
        assert_eq!(told(&child), None);
        ring.check_invariants();
    }
    assert!(lease(&mut ring, 3).is_ok());
}

#[test]
fn where_the_child_has_few_it_is_told_at_once() {
    let (mut ring, _brain, child) = ring(20);
    let mut held = leases(&mut ring, 0..10);
    held.pop_front();
    held.extend(leases(&mut ring, 10..12));
    assert_eq!(told(&child), None, "it has eight");
    held.extend(leases(&mut ring, 12..13));
    assert_eq!(told(&child), Some((1, vec![0])), "it has seven, and gets an eighth");
    held.extend(leases(&mut ring, 13..18));
    for slot in 1..6 {
        held.pop_front();
        assert_eq!(told(&child), Some((1, vec![slot])));
    }
    held.pop_front();
    assert_eq!(told(&child), None, "it has eight again");
}

#[test]
fn in_a_large_ring_a_quarter_is_few() {
    let (mut ring, _brain, child) = ring(80);
    let mut held = leases(&mut ring, 0..60);
    held.pop_front();
    assert_eq!(told(&child), None);
    held.extend(leases(&mut ring, 60..61));
    assert_eq!(told(&child), Some((1, vec![0])));
}

#[test]
fn in_a_small_ring_it_is_told_at_once() {
    for slots in 1..=8 {
        let (mut ring, _brain, child) = ring(slots);
        for held in 1..=slots {
            for (slot, lease) in leases(&mut ring, 0..held).into_iter().enumerate() {
                drop(lease);
                assert_eq!(told(&child), Some((1, vec![slot as u32])), "of {slots}, {held} held");
            }
        }
    }
}

#[test]
fn the_last_lease_takes_all_others_along() {
    let (mut ring, _brain, child) = ring(20);
    let mut held = leases(&mut ring, 0..3);
    held.pop_back();
    held.pop_back();
    assert_eq!(told(&child), None);
    held.clear();
    assert_eq!(told(&child), Some((1, vec![0, 1, 2])));
    let last = leases(&mut ring, 0..3);
    drop(ring);
    drop(last);
    assert_eq!(told(&child), Some((1, vec![0, 1, 2])), "of a ring that has been replaced, too");
}

/// All that the child is told until nothing more comes; nothing twice.
fn all_told(child: &ChildEnd) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    for (_, slots) in std::iter::from_fn(|| told(child)) {
        slots.into_iter().for_each(|slot| assert!(all.insert(slot), "{slot} is told twice"));
    }
    all
}

#[test]
fn threads_that_let_go_at_once_leave_nothing_behind() {
    let (mut ring, _brain, child) = ring(64);
    for round in 0..300 {
        let mut held = leases(&mut ring, 0..2 + round % 40);
        let whole: BTreeSet<u32> = (0..held.len() as u32).collect();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let part = held.split_off(held.len() - held.len() / 3);
                scope.spawn(|| part.into_iter().for_each(drop));
            }
            scope.spawn(|| held.into_iter().for_each(drop));
        });
        ring.check_invariants();
        assert_eq!(all_told(&child), whole);
    }
}

#[test]
fn what_many_threads_could_not_tell_is_told_once_the_child_reads() {
    let (mut ring, brain, child) = ring(64);
    let mut held = leases(&mut ring, 0..64);
    while brain.send(&ToChild::Stop, None).is_ok() {}
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let part = held.split_off(held.len() - 8);
            scope.spawn(|| part.into_iter().for_each(drop));
        }
    });
    ring.check_invariants();
    assert_eq!(ring.held(), 0);
    for slot in 0..64 {
        assert_eq!(lease(&mut ring, slot).err(), Some(Lie::Held), "{slot}");
    }
    while matches!(child.recv(Monotonic::default()), Received::Message { msg: ToChild::Stop, .. }) {}
    ring.settle();
    assert_eq!(all_told(&child), (0..64).collect());
    ring.settle();
    assert_eq!(told(&child), None);
}

/// A child that gives up no picture: with `making` of its slots in work it waits until it gets another one.
fn give(child: &ChildEnd, writer: &Writer, making: usize, pictures: usize) {
    let mut work = VecDeque::new();
    for _ in 0..pictures + making {
        let slot = loop {
            if let Some(slot) = writer.free_slot() {
                break slot;
            }
            let Received::Message { msg: ToChild::Release { slots, .. }, .. } = child.recv(soon()) else {
                panic!("waits in vain with {making} in the making")
            };
            slots.into_iter().for_each(|slot| writer.released(slot));
        };
        work.push_back(slot);
        if work.len() > making {
            let slot = work.pop_front().unwrap().lend();
            child.send_until(&ToBrain::Frame(header(1, slot, layout(4, 4))), None, soon()).unwrap();
        }
    }
}

/// The brain holds so many of a ring's pictures that the child has no slot more than it needs, and lets go of them on two threads.
fn check_waiting(slots: u32, making: usize) {
    const PICTURES: usize = 200;
    let (mut ring, brain, child) = ring(slots);
    let writer = writer(&ring);
    let hold = slots as usize - 1 - making;
    std::thread::scope(|scope| {
        scope.spawn(|| give(&child, &writer, making, PICTURES));
        let droppers = [(); 2].map(|()| {
            let (sender, receiver) = mpsc::channel::<Lease>();
            scope.spawn(move || receiver.into_iter().for_each(drop));
            sender
        });
        let mut held = VecDeque::new();
        for n in 0..PICTURES {
            ring.settle();
            let Received::Message { msg: ToBrain::Frame(header), .. } = brain.recv(soon()) else {
                panic!("no picture")
            };
            held.push_back(ring.lease(&header).unwrap());
            if held.len() > hold {
                droppers[n % 2].send(held.pop_front().unwrap()).unwrap();
            }
        }
    });
    ring.check_invariants();
    all_told(&child).into_iter().for_each(|slot| writer.released(slot));
    let free: Vec<_> = std::iter::from_fn(|| writer.free_slot()).collect();
    assert_eq!(free.len(), slots as usize);
}

#[test]
fn a_child_that_waits_for_a_slot_gets_it() {
    for slots in (1..=24).chain([40, 100]) {
        for making in (0..=4).take_while(|making| *making < slots as usize) {
            check_waiting(slots, making);
        }
    }
}

proptest! {
    #[test]
    fn what_is_owed_is_little_and_never_long(
        slots in 1u32..50,
        steps in proptest::collection::vec((0u32..50, 0usize..50, 0u8..5), 1..200),
    ) {
        let (mut ring, _brain, child) = ring(slots);
        let few = 8.max(slots as usize / 4);
        let mut held: Vec<(u32, Lease)> = Vec::new();
        let mut owed = BTreeSet::new();
        for (slot, nth, kind) in steps {
            match kind {
                0..3 => match lease(&mut ring, slot % slots) {
                    Ok(lease) => {
                        let slot = slot % slots;
                        prop_assert!(!owed.contains(&slot) && held.iter().all(|(other, _)| *other != slot));
                        held.push((slot, lease));
                    }
                    Err(lie) => {
                        let slot = slot % slots;
                        prop_assert_eq!(lie, Lie::Held);
                        prop_assert!(owed.contains(&slot) || held.iter().any(|(other, _)| *other == slot));
                    }
                },
                3 if !held.is_empty() => {
                    let (slot, lease) = held.swap_remove(nth % held.len());
                    owed.insert(slot);
                    drop(lease);
                }
                _ => ring.settle(),
            }
            for slot in all_told(&child) {
                prop_assert!(owed.remove(&slot), "{} was not owed", slot);
            }
            let free = slots as usize - held.len() - owed.len();
            prop_assert!(owed.len() < 4 && (owed.is_empty() || (free >= few && !held.is_empty())), "{} owed", owed.len());
            ring.check_invariants();
            prop_assert_eq!(ring.held(), held.len());
        }
    }
}
