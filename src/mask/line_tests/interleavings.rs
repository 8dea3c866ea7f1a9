//! Whatever happens to a delay line in whatever order, it shows nothing that a model of the world holds unproven.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::mask::Evidence;

/// What can happen to a line.
#[derive(Clone, Debug)]
enum Step {
    /// A frame, after so many milliseconds, of this width.
    Push {
        after: u64,
        width: u32,
    },
    /// The stream is cut before the next frame.
    Cut,
    /// The analysis of one of the last frames, handed out in the generation of that time.
    Analysed {
        back: usize,
    },
    Failed {
        back: usize,
    },
    Interrupted(Cause),
    Shut,
    Reopened,
    /// Time passes.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let causes = prop_oneof![Just(Cause::ModelChanged), Just(Cause::SourceLost)];
    let step = prop_oneof![
        30 => (1..80_u64).prop_map(|after| Step::Push { after, width: 8 }),
        1 => (1..3000_u64).prop_map(|after| Step::Push { after, width: 8 }),
        1 => (1..80_u64).prop_map(|after| Step::Push { after, width: 10 }),
        1 => Just(Step::Cut),
        16 => (0..8_usize).prop_map(|back| Step::Analysed { back }),
        2 => (0..8_usize).prop_map(|back| Step::Failed { back }),
        1 => causes.prop_map(Step::Interrupted),
        1 => Just(Step::Shut),
        1 => Just(Step::Reopened),
        8 => (1..200_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

/// A frame as the world knows it.
#[derive(Clone, Copy, Debug)]
struct Fact {
    time: u64,
    width: u32,
    generation: u64,
    /// Where the one true face is, which every analysis finds.
    face: Rect,
}

/// What really happened, kept apart from the line's own books.
struct World {
    /// The other book, which must never be stricter than it has to: each frame that it takes for unproven is a fault.
    evidence: Evidence,
    /// A file may show one picture for as long as it likes.
    is_file: bool,
    now: u64,
    facts: BTreeMap<u64, Fact>,
    /// Each event that makes earlier and later analyses strangers to each other, as the number of the first frame after it.
    /// A failed analysis counts as one at its frame.
    breaks: Vec<u64>,
    failed: Vec<u64>,
    analysed: Vec<u64>,
    shut: bool,
    /// Frames taken in before the line was shut the last time.
    condemned_below: u64,
}

impl World {
    fn new(is_file: bool) -> Self {
        Self {
            evidence: Evidence::new("world"),
            is_file,
            now: 0,
            facts: BTreeMap::new(),
            breaks: Vec::new(),
            failed: Vec::new(),
            analysed: Vec::new(),
            shut: false,
            condemned_below: 0,
        }
    }

    fn next(&self) -> u64 {
        self.facts.keys().next_back().map_or(0, |last| last + 1)
    }

    fn nth_last(&self, back: usize) -> Option<(u64, Fact)> {
        self.facts.iter().rev().nth(back).map(|(number, fact)| (*number, *fact))
    }

    /// Whether frame `number` may be shown on the strength of these two analyses.
    fn may_show(&self, number: u64, bracket: Bracket) -> bool {
        let Bracket { from, to } = bracket;
        let whole = |broken: &u64| !(from < *broken && *broken <= to);
        let sound = |failed: &u64| !(from < *failed && *failed < to);
        let apart = self.facts[&to].time - self.facts[&from].time;
        from <= number
            && number <= to
            && self.analysed.contains(&from)
            && self.analysed.contains(&to)
            && self.breaks.iter().all(whole)
            && self.failed.iter().all(sound)
            && number >= self.condemned_below
            && (number == to || self.is_file || apart <= 250)
            && (from..=to).all(|n| self.facts[&n].width == self.facts[&number].width)
    }
}

fn sighting(rect: Rect) -> Sighting {
    Sighting {
        track: Some(1),
        rect,
        velocity: Point::default(),
        seen: true,
        firm: true,
        exempt: false,
        verified: false,
    }
}

/// Every release is proven, in order, and hides the face where it truly is in that frame.
fn check(world: &World, last: &mut Option<u64>, release: &Release) {
    let number = release.frame.number;
    assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
    *last = Some(number);
    let Ruling::Masked(plan) = &release.ruling else { return };
    let bracket = plan.bracket();
    assert!(world.may_show(number, bracket), "frame {number} is shown by {bracket:?}");
    assert!(world.evidence.bears_out(number, bracket), "the evidence says nothing of {number} by {bracket:?}");
    let face = world.facts[&number].face;
    let mut hidden = plan.regions().iter().flat_map(|region| &region.boxes);
    assert!(
        hidden.any(|hidden| hidden.intersection(face).area() >= face.area() * 0.95),
        "frame {number}, {bracket:?}: the face shows"
    );
}

fn run(mut line: Line, is_file: bool, steps: &[Step]) {
    let (mut world, mut last) = (World::new(is_file), None);
    for step in steps {
        take(&mut line, &mut world, step, &mut last);
        line.check_invariants();
        while let Some(release) = line.poll(at(world.now)) {
            check(&world, &mut last, &release);
        }
        line.check_invariants();
    }
    line.end();
    while let Some(release) = line.poll(at(world.now + 100_000)) {
        check(&world, &mut last, &release);
    }
    assert_eq!(last, world.facts.keys().next_back().copied(), "a frame never came out");
}

fn push(line: &mut Line, world: &mut World, (after, width): (u64, u32), last: &mut Option<u64>) {
    world.now += after;
    let number = world.next();
    let former = world.nth_last(0);
    // it moves on by its own width a quarter of a second
    let face = Rect::new(world.now as f32 * 0.12, 50.0, 30.0, 40.0);
    world.facts.insert(number, Fact { time: world.now, width, generation: 0, face });
    let frame = frame(number, world.now, width);
    world.evidence.frame(&frame);
    let forced = line.push(frame);
    if let Some(fact) = world.facts.get_mut(&number) {
        fact.generation = line.generation();
    }
    let away = |former: Fact| !world.is_file && world.now - former.time > 2000;
    if former.is_some_and(|(_, former)| former.width != width || away(former)) {
        world.breaks.push(number);
    }
    if world.shut {
        world.condemned_below = number + 1;
    }
    forced.iter().for_each(|release| check(world, last, release));
}

fn take(line: &mut Line, world: &mut World, step: &Step, last: &mut Option<u64>) {
    match step {
        Step::Cut => {
            line.cut(world.next());
            world.evidence.cut();
            world.breaks.push(world.next());
        }
        Step::Push { after, width } => push(line, world, (*after, *width), last),
        Step::Analysed { back } => {
            let Some((number, fact)) = world.nth_last(*back) else { return };
            let analysis = Analysis {
                number,
                at: ms(fact.time),
                generation: fact.generation,
                sightings: vec![sighting(fact.face)],
                withdrawn: false,
            };
            world.evidence.analysed(&analysis);
            line.analysed(&analysis, ms(world.now - fact.time));
            world.analysed.push(number);
        }
        Step::Failed { back } => {
            let Some((number, fact)) = world.nth_last(*back) else { return };
            world.evidence.failed(number);
            line.failed(number, fact.generation);
            world.failed.push(number);
        }
        Step::Interrupted(cause) => {
            world.evidence.interrupted();
            line.interrupt(*cause);
            world.breaks.push(world.next());
        }
        Step::Shut => {
            world.evidence.shut(true);
            line.shut(Cause::Blind);
            (world.shut, world.condemned_below) = (true, world.next());
            world.breaks.push(world.next());
        }
        Step::Reopened => {
            world.evidence.shut(false);
            line.reopen();
            world.shut = false;
        }
        Step::Wait(time) => world.now += time,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_shows_an_unproven_frame(steps in steps()) {
        run(live(), false, &steps);
        run(own(), false, &steps);
        run(file(), true, &steps);
    }
}

#[test]
fn the_model_notices_a_frame_that_is_shown_without_proof() {
    let mut world = World::new(false);
    let mut live = live();
    let mut last = None;
    for _ in 0..3 {
        take(&mut live, &mut world, &Step::Push { after: 40, width: 8 }, &mut last);
    }
    world.analysed.extend([0, 2]);
    assert!(world.may_show(1, Bracket { from: 0, to: 2 }));
    world.failed.push(1);
    assert!(!world.may_show(1, Bracket { from: 0, to: 2 }));
    (world.failed, world.breaks) = (Vec::new(), vec![2]);
    assert!(!world.may_show(1, Bracket { from: 0, to: 2 }));
    world.breaks = vec![3];
    world.condemned_below = 3;
    assert!(!world.may_show(1, Bracket { from: 0, to: 2 }));
}
