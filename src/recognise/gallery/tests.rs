use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::*;
use crate::infer::manifest::Impostors;
use crate::recognise::Embedding;

const DIMENSION: usize = 64;

pub(super) fn gallery() -> Gallery {
    let calibration = Calibration { pair: 0.3, impostors: Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 } };
    Gallery::new(Settings {
        model: "test".into(),
        dimension: DIMENSION,
        threshold: None,
        margin: None,
        calibration,
        tags: Default::default(),
    })
}

/// A direction that depends on the seed alone, of length `norm`.
fn face(seed: u64, norm: f32) -> Embedding {
    let mut random = fastrand::Rng::with_seed(seed);
    let values: Vec<f32> = (0..DIMENSION).map(|_| random.f32() - 0.5).collect();
    let scale = norm / Embedding::new(&values).norm();
    Embedding::new(&values.iter().map(|v| v * scale).collect::<Vec<_>>())
}

/// As far from `a` towards `b` as `share` says.
fn between(a: &Embedding, b: &Embedding, share: f32) -> Embedding {
    let mixed = a.values().iter().zip(b.values()).map(|(a, b)| a + share * (b - a));
    Embedding::new(&mixed.collect::<Vec<_>>())
}

fn enrolment(name: &str, references: &[Embedding]) -> Enrolment {
    Enrolment {
        id: None,
        profile: Profile::named(name),
        references: references.iter().map(|reference| (reference.clone(), 0.9)).collect(),
        negative: false,
        source: "test".into(),
    }
}

pub(super) fn enrol(gallery: &Gallery, name: &str, seeds: &[u64]) -> Receipt {
    let faces: Vec<_> = seeds.iter().map(|&seed| face(seed, 1.0)).collect();
    gallery.enrol(enrolment(name, &faces)).unwrap()
}

fn check_first(gallery: &Gallery, probe: &Embedding, expected: Option<&str>) {
    let first = gallery.search(probe).first;
    assert_eq!(first.as_ref().map(|hit| &*hit.person.id), expected);
    gallery.check_invariants();
}

#[test]
fn the_best_person_and_the_next_are_found_whatever_the_length() {
    let gallery = gallery();
    check_first(&gallery, &face(1, 1.0), None);
    enrol(&gallery, "Alice", &[1, 2, 3]);
    enrol(&gallery, "Bob", &[4, 5]);
    let ranking = gallery.search(&face(2, 17.0));
    let (first, second) = (ranking.first.unwrap(), ranking.second.unwrap());
    assert_eq!((&*first.person.id, &*first.person.name, &*second.person.id), ("alice", "Alice", "bob"));
    assert!((first.score - 1.0).abs() < 1e-6 && second.score < 0.9);
    assert_eq!(first.person.references[1].id, first.reference);
    assert_eq!(ranking.revision, 2);
    assert_eq!(gallery.top(&face(2, 1.0), 10).len(), 2);
}

#[test]
fn what_is_no_face_is_refused_and_finds_nobody() {
    let gallery = gallery();
    enrol(&gallery, "Alice", &[1]);
    let mut broken = vec![0.1; DIMENSION];
    broken[3] = f32::NAN;
    let useless = [Embedding::new(&broken), Embedding::new(&[0.0; DIMENSION]), Embedding::new(&[f32::MAX; DIMENSION])];
    for (embedding, reason) in useless.iter().zip([Some(Refusal::Unusable), Some(Refusal::Unusable), None]) {
        let outcome = gallery.enrol(enrolment("Bob", std::slice::from_ref(embedding)));
        assert_eq!(outcome.err().map(|rejection| rejection.reason), reason);
        assert_eq!(gallery.search(embedding).first.is_none(), reason.is_some());
        gallery.forget("bob");
    }
    let other = Embedding::new(&[1.0; 128]);
    assert_eq!(gallery.enrol(enrolment("Bob", std::slice::from_ref(&other))).unwrap_err().reason, Refusal::WrongModel);
    assert!(gallery.search(&other).first.is_none());
    assert_eq!(gallery.people().len(), 1);
}

#[test]
fn the_same_reference_again_is_a_duplicate() {
    let gallery = gallery();
    assert_eq!(enrol(&gallery, "Alice", &[1, 2, 1]).duplicates, 1);
    let again = enrol(&gallery, "Alice", &[2, 3]);
    assert_eq!((again.added.len(), again.duplicates), (1, 1));
    assert_eq!(gallery.references(), 3);
}

#[test]
fn a_look_alike_is_reported_once_with_the_best_score() {
    let gallery = gallery();
    enrol(&gallery, "Alice", &[1, 2]);
    let near = [between(&face(1, 1.0), &face(9, 1.0), 0.3), between(&face(2, 1.0), &face(9, 1.0), 0.1), face(8, 1.0)];
    let receipt = gallery.enrol(enrolment("Alicia", &near)).unwrap();
    assert_eq!(receipt.look_alikes.len(), 1);
    let alike = &receipt.look_alikes[0];
    assert_eq!(&*alike.person, "alice");
    assert!((alike.score - near[1].cosine(&face(2, 1.0))).abs() < 1e-5, "{alike:?}");
}

#[test]
fn two_names_of_one_id_clash_and_an_id_can_be_said() {
    let gallery = gallery();
    enrol(&gallery, "Zoe", &[1]);
    let clash = gallery.enrol(enrolment("Zoë", &[face(2, 1.0)])).unwrap_err();
    assert_eq!(clash.reason, Refusal::NameTaken);
    assert!(clash.detail.contains("Zoë") && clash.detail.contains("Zoe"), "{clash}");
    let by_id = Enrolment { id: Some(PersonId::new("zoe").unwrap()), ..enrolment("", &[face(2, 1.0)]) };
    gallery.enrol(by_id).unwrap();
    assert_eq!((&*gallery.person("zoe").unwrap().name, gallery.references()), ("Zoe", 2));
    let unnamed = Enrolment { id: Some(PersonId::new("yann").unwrap()), ..enrolment("", &[face(3, 1.0)]) };
    gallery.enrol(unnamed).unwrap();
    enrol(&gallery, "Yann", &[4]);
    assert_eq!(&*gallery.person("yann").unwrap().name, "Yann");
}

#[test]
fn an_anchor_takes_the_name_from_whom_it_is_nearer_to() {
    let gallery = gallery();
    enrol(&gallery, "Alice", &[1]);
    enrol(&gallery, "Bob", &[2]);
    let neighbour = between(&face(1, 1.0), &face(3, 1.0), 0.4);
    check_first(&gallery, &neighbour, Some("alice"));
    gallery.enrol(Enrolment { negative: true, ..enrolment("Alice", std::slice::from_ref(&neighbour)) }).unwrap();
    check_first(&gallery, &neighbour, Some("bob"));
    assert!(gallery.search(&neighbour).second.is_none());
    check_first(&gallery, &face(1, 1.0), Some("alice"));
    let nobody = Enrolment { negative: true, ..enrolment("Carol", &[face(4, 1.0)]) };
    assert_eq!(gallery.enrol(nobody).unwrap_err().reason, Refusal::UnknownPerson);
    assert_eq!(gallery.references(), 2);
}

#[test]
fn who_has_expired_is_not_found_and_swept() {
    let gallery = gallery();
    let now = SystemTime::now();
    let soon = now + Duration::from_secs(60);
    let profile = Profile { expires: Some(soon), ..Profile::named("Guest") };
    gallery.enrol(Enrolment { profile, ..enrolment("Guest", &[face(1, 1.0)]) }).unwrap();
    enrol(&gallery, "Alice", &[2]);
    let named = |at| gallery.search_at(&face(1, 1.0), at).first.unwrap().person.id.to_string();
    assert_eq!(named(now), "guest");
    assert_eq!(named(soon), "alice");
    assert!(gallery.sweep(now).is_empty());
    assert_eq!(gallery.sweep(soon), [PersonId::new("guest").unwrap()]);
    assert!(!gallery.holds("guest"));
    gallery.check_invariants();
}

#[test]
fn forgetting_leaves_the_others_and_counts_as_a_change() {
    let gallery = gallery();
    for person in 0..300 {
        enrol(&gallery, &format!("p{person}"), &[3 * person, 3 * person + 1, 3 * person + 2]);
    }
    gallery.check_invariants();
    let before = gallery.revision();
    assert!(gallery.forget("p7") && !gallery.forget("p7"));
    assert_eq!((gallery.references(), gallery.revision()), (897, before + 1));
    check_first(&gallery, &face(24, 1.0), Some("p8"));
    assert!(gallery.search(&face(21, 1.0)).first.is_some_and(|hit| hit.score < 0.9));
    gallery.forget_all();
    assert_eq!((gallery.references(), gallery.people().len()), (0, 0));
    check_first(&gallery, &face(24, 1.0), None);
}

#[test]
fn a_single_reference_can_be_removed_and_the_last_takes_the_person_along() {
    let gallery = gallery();
    let alice = enrol(&gallery, "Alice", &[1, 2]).added;
    enrol(&gallery, "Bob", &[3]);
    assert_eq!(gallery.remove(&alice[..1]), 1);
    assert_eq!(gallery.person("alice").unwrap().references.len(), 1);
    assert!(gallery.search(&face(1, 1.0)).first.unwrap().score < 0.9);
    assert_eq!(gallery.remove(&[alice[0], alice[1], 999]), 1);
    assert!(!gallery.holds("alice"));
    gallery.check_invariants();
}

#[test]
fn threshold_and_margin_follow_the_size_unless_they_are_set() {
    let gallery = gallery();
    let small = (gallery.threshold(), gallery.margin());
    for person in 0..20 {
        enrol(&gallery, &format!("p{person}"), &[person]);
    }
    assert!(gallery.threshold() > small.0 && gallery.margin() > small.1);
    let fixed = Settings { threshold: Some(0.5), margin: Some(0.1), ..gallery.settings().clone() };
    let fixed = Gallery::new(fixed);
    enrol(&fixed, "Alice", &[1]);
    assert_eq!((fixed.threshold(), fixed.margin()), (0.5, 0.1));
}

#[test]
fn advice_counts_who_is_recognised_and_names_who_is_mixed_up() {
    let gallery = gallery();
    let near = |seed, towards, share| between(&face(seed, 1.0), &face(towards, 1.0), share);
    // Carl's second picture is nearer to Alice's first than to his own.
    for (name, faces) in [
        ("Alice", vec![face(1, 1.0), near(1, 2, 0.2)]),
        ("Bob", vec![face(3, 1.0), near(3, 4, 0.2)]),
        ("Carl", vec![face(5, 1.0), near(1, 6, 0.3)]),
        ("Dora", vec![face(7, 1.0)]),
    ] {
        gallery.enrol(enrolment(name, &faces)).unwrap();
    }
    let advice = gallery.advise();
    assert_eq!(advice.alone, [PersonId::new("dora").unwrap()]);
    let found = advice.leave_one_out;
    assert_eq!(
        (found.probes, found.right, found.wrong),
        (6, 4, 1),
        "{advice:?}: Carl's second picture is called Alice"
    );
    assert!((2..=4).contains(&found.named), "{advice:?}");
    let pair = advice.most_confusable.unwrap();
    assert_eq!((&*pair.a, &*pair.b), ("alice", "carl"));
    assert!((pair.score - face(1, 1.0).cosine(&near(1, 6, 0.3))).abs() < 1e-5, "{pair:?}");
    assert_eq!(advice.look_alikes, [pair]);
    assert_eq!((advice.threshold, advice.margin), (gallery.threshold(), gallery.margin()));
}

#[test]
fn searches_go_on_while_people_come_and_go() {
    let gallery = gallery();
    enrol(&gallery, "Alice", &[1, 2]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let searchers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut searches, mut revision) = (0, 0);
                    while !done.load(Ordering::Relaxed) || searches == 0 {
                        let ranking = gallery.search(&face(2, 3.0));
                        let first = ranking.first.expect("Alice is always there");
                        assert_eq!(&*first.person.id, "alice");
                        assert!(first.score > 0.999 && ranking.second.is_none_or(|s| &*s.person.id != "alice"));
                        assert!(ranking.revision >= revision, "a search went back in time");
                        (searches, revision) = (searches + 1, ranking.revision);
                    }
                })
            })
            .collect();
        let workers: Vec<_> = (1..3u64)
            .map(|worker| {
                let gallery = gallery.clone();
                scope.spawn(move || {
                    for n in 0..300u64 {
                        let name = format!("p{worker} {}", n % 40);
                        enrol(&gallery, &name, &[worker * 1000 + n]);
                        let id = PersonId::of_name(&name).unwrap();
                        if n % 7 == 3 {
                            let oldest = gallery.person(&id).unwrap().references[0].id;
                            assert_eq!(gallery.remove(&[oldest]), 1);
                        } else if n % 7 == 5 {
                            assert!(gallery.forget(&id));
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        searchers.into_iter().for_each(|searcher| searcher.join().unwrap());
    });
    gallery.check_invariants();
    assert!(gallery.revision() >= 600);
}

#[test]
fn limits_are_kept_and_said() {
    let gallery = gallery();
    let many: Vec<_> = (0..1001).map(|seed| face(seed, 1.0)).collect();
    let refused = gallery.enrol(enrolment("Alice", &many)).unwrap_err();
    assert_eq!(refused.reason, Refusal::GalleryFull);
    assert!(refused.detail.contains("1000") && gallery.people().is_empty(), "{refused}");
    gallery.enrol(enrolment("Alice", &many[..1000])).unwrap();
    assert_eq!(gallery.enrol(enrolment("Alice", &many[1000..])).unwrap_err().reason, Refusal::GalleryFull);
    gallery.check_invariants();
}

#[test]
fn a_hundred_thousand_people_are_no_trouble() {
    const PEOPLE: usize = 100_000;
    const SHORT: usize = 16;
    let faces = || synthetic::faces(SHORT, PEOPLE * synthetic::EACH, 1);
    let gallery = synthetic::gallery(SHORT, faces()).unwrap();
    assert_eq!((gallery.size(), gallery.references()), (PEOPLE, PEOPLE * synthetic::EACH));
    let of = |person: usize| faces().nth(person * synthetic::EACH).unwrap();
    let first = |probe: &Embedding| gallery.search(probe).first.unwrap();
    assert_eq!(&*first(&of(77_777)).person.id, "p77777");
    assert!(gallery.threshold() > 0.7, "{}", gallery.threshold());
    let own = gallery.enrol(enrolment("Alice", &[of(99_999)])).unwrap();
    assert_eq!((own.added.len(), &*own.look_alikes[0].person), (1, "p99999"));
    assert!(gallery.forget("p99999"));
    assert_eq!(&*first(&of(99_999)).person.id, "alice");
    gallery.check_invariants();
}
