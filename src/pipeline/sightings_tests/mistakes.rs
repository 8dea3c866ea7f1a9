//! Whatever mistakes a tracker makes, nobody shows who must be masked.

use proptest::prelude::*;

use super::*;

/// Mistakes of the tracker, each at least `rest` analyses after the one before: what is confused is looked at in between.
fn mistakes() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let pair = || (0..3usize, 1..3usize).prop_map(|(a, step)| (a, (a + step) % 3));
    let event = prop_oneof![
        4 => pair().prop_map(|(a, b)| Event::Swap(a, b)),
        2 => (0..3usize).prop_map(Event::Renumber),
        2 => (0..3usize).prop_map(Event::Hidden),
        2 => (0..3usize).prop_map(Event::Unfit),
        2 => Just(Event::Meet),
        1 => Just(Event::Forget),
    ];
    prop::collection::vec((4..12_u64, event), 1..20)
}

/// What happens at one analysis: mistakes, and for an analysis longer people who are hidden or unfit, so that the one
/// after a mistake often proves nothing.
fn timeline(mistakes: &[(u64, Event)]) -> BTreeMap<u64, Vec<Event>> {
    let (mut events, mut now) = (BTreeMap::<u64, Vec<Event>>::new(), 0);
    for (rest, event) in mistakes {
        now += rest;
        let blind = match event {
            Event::Swap(a, b) => vec![Event::Unfit(*a), Event::Unfit(*b)],
            Event::Hidden(person) => vec![Event::Hidden(*person)],
            _ => Vec::new(),
        };
        events.entry(now).or_default().push(event.clone());
        events.entry(now).or_default().extend(blind.iter().cloned());
        events.entry(now + 1).or_default().extend(blind);
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mistake_of_the_tracker_shows_a_face_that_must_be_masked(mistakes in mistakes(), every in 1..6_u64) {
        let events = timeline(&mistakes);
        for (who, exempt) in [(Who::Strangers, &[][..]), (Who::Known, &[]), (Who::Everyone, &["staff"])] {
            for (lookahead, lookahead_ms) in lookaheads(every) {
                let mut world = World::new(who, exempt, lookahead, lookahead_ms);
                world.play(100, every, |analysis| events.get(&analysis).cloned().unwrap_or_default());
            }
        }
    }
}
