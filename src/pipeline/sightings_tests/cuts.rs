//! Cuts in the picture, with a tracker that knows nothing of them: whoever stands where another one stood is taken for that one.

use super::*;

/// Frames that are analysed are so far apart.
const EVERY: u64 = 2;

/// Plays so many frames; a cut before each of those named, from which on the places are taken like this, and `blurred` says
/// in which frames no face at all can be used.
fn play(world: &mut World, frames: u64, cuts: &[(u64, [usize; 3])], blurred: impl Fn(u64) -> bool) {
    for number in 0..frames {
        if let Some((_, cast)) = cuts.iter().find(|(first, _)| *first == number) {
            world.line.cut(number);
            world.cast = *cast;
        }
        world.push(number, 300.0);
        if number % EVERY == 0 {
            let unfit: Vec<Event> = (0..3).filter(|_| blurred(number)).map(Event::Unfit).collect();
            world.analyse(number, &unfit);
        }
    }
    world.line.end();
    world.now += 10_000;
    world.release();
}

/// The frames in which Alice is shown.
fn shows_alice(world: &World) -> impl Iterator<Item = u64> {
    world.seen.iter().filter(|(_, person)| *person == ALICE).map(|(number, _)| *number)
}

#[test]
fn whoever_goes_unmasked_is_masked_after_a_cut_until_verified_again() {
    for cut in 60..64 {
        for (lookahead, lookahead_ms) in lookaheads(EVERY) {
            let mut world = World::new(Who::Everyone, &["staff"], lookahead, lookahead_ms);
            // her face cannot be used for a while after the cut
            play(&mut world, 110, &[(cut, [0, 1, 2])], |number| (cut..cut + 10).contains(&number));
            let shown: Vec<u64> = shows_alice(&world).collect();
            assert!(shown.iter().any(|number| *number < cut) && shown.iter().any(|number| *number > cut), "{shown:?}");
            for number in shown {
                let same_shot = |verified: &u64| (*verified < cut) == (number < cut);
                let after = world.verified.iter().find(|verified| **verified >= number && same_shot(verified));
                assert!(after.is_some(), "{number} is shown, cut before {cut}, verified in {:?}", world.verified);
            }
            let blurred = shows_alice(&world).filter(|number| (cut..cut + 5).contains(number)).count();
            assert!(lookahead_ms > 200 || blurred == 0, "{blurred} frames are shown for what was seen before the cut");
        }
    }
}

#[test]
fn nobody_is_shown_for_whom_another_was_verified_on_the_other_side_of_a_cut() {
    for (who, exempt) in [(Who::Everyone, &["staff"][..]), (Who::Strangers, &[])] {
        for (cut, frames) in [(60, 1), (60, 2), (61, 3), (60, 5), (61, 6), (60, 9), (61, 30)] {
            for (lookahead, lookahead_ms) in lookaheads(EVERY) {
                let mut world = World::new(who, exempt, lookahead, lookahead_ms);
                // Cara stands where Alice stood, and Alice again; meanwhile nothing but a track says who that is
                let cuts = [(cut, [CARA, 1, ALICE]), (cut + frames, [ALICE, 1, CARA])];
                play(&mut world, 130, &cuts, |number| (cut..cut + frames).contains(&number));
                let after = shows_alice(&world).filter(|number| *number >= cut + frames).count();
                assert!(after > 10, "Alice is shown again, {after} times");
                assert_eq!(world.shown[CARA], 0);
            }
        }
    }
}
