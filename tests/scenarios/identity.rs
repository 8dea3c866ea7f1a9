//! Who tracks are, at every moment of clips whose people are known. Skipped, aloud, without assets or models.
#![cfg(feature = "media")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::detect::media;
use super::support::naming::{Clip, Summary, Truth, play, sequence};
use super::support::wait::soak_time;

/// Frames a second of 25: all of them, and as a busy machine or a slow camera has them.
const RATES: [(u64, u64); 4] = [(1, 0), (2, 1), (3, 2), (5, 0)];

fn check(name: &str, known: fn(&Clip) -> Vec<BTreeSet<String>>, rates: &[(u64, u64)]) {
    if let Some(clip) = sequence(name) {
        check_clip(name, &clip, &known(&clip), rates);
    }
}

fn check_clip(name: &str, clip: &Clip, known: &[BTreeSet<String>], rates: &[(u64, u64)]) {
    let Some(cameras) = play(clip, known, rates) else { return };
    for (step, offset) in rates {
        let seen = cameras.iter().filter(|camera| (camera.step, camera.offset) == (*step, *offset));
        Summary::of(seen).check(&format!("{name}, every {step} from {offset}"));
    }
}

/// Five heads, each alone and for two seconds, in the same place: four rounds without a pause.
fn cuts() -> Option<Clip> {
    let people = ["d0", "d3", "d9", "d18", "d20"];
    let folder = media("tracking/synth_cross5/gallery")?;
    let two = |person: &str| [0, 1].map(|n| (person.to_owned(), folder.join(format!("{person}_{n}.jpg"))));
    let pictures = people.into_iter().flat_map(two).collect();
    let (mut parts, mut truth) = (Vec::new(), BTreeMap::new());
    for (index, person) in (0..4 * people.len() as u64).zip(people.iter().cycle()) {
        let video = media(&format!("video/lp_heads/{person}.mp4"))?;
        parts.push((video, 10..60));
        truth.insert(50 * index, (*person).to_owned());
    }
    Some(Clip { parts, pictures, truth: Truth::Alone(truth) })
}

#[test]
fn heads_that_cross_are_named_at_once_and_never_wrongly() {
    check("synth_cross5", Clip::everybody, &RATES);
}

#[test]
fn a_video_call_that_rearranges_its_faces_is_named_at_once_and_never_wrongly() {
    check("synth_grid4", Clip::everybody, &RATES);
}

#[test]
fn whoever_of_the_heads_that_cross_is_a_stranger_has_one_alias_and_no_name() {
    check("synth_cross5", Clip::halves, &RATES[1..]);
}

#[test]
fn whoever_is_a_stranger_in_a_video_call_has_one_alias_and_no_name() {
    check("synth_grid4", Clip::halves, &RATES[1..]);
}

/// Every frame rate from 25 to 5 a second, every phase of it, everybody and every half: as many of them as there is time for,
/// and first what no other test has.
#[test]
fn soak_at_every_rate_and_phase() {
    let began = Instant::now();
    let sequences = ["synth_cross5", "synth_grid4"].map(|name| (name, sequence(name), usize::MAX));
    let clips: Vec<_> = sequences.into_iter().chain([("cuts", cuts(), 4)]).collect();
    let (mut done, mut all) = (0, 0);
    for step in [4, 3, 2, 5, 1] {
        let rates: Vec<_> = (0..step).map(|offset| (step, offset)).collect();
        for (name, clip, halves) in &clips {
            let Some(clip) = clip else { continue };
            for known in [clip.everybody(), clip.halves().into_iter().take(*halves).collect()] {
                all += 1;
                if began.elapsed() < soak_time() {
                    check_clip(name, clip, &known, &rates);
                    done += 1;
                }
            }
        }
    }
    eprintln!("{done} of {all} combinations of clip, frame rate and people were played");
}

#[test]
fn a_cut_carries_no_name_to_who_is_shown_next() {
    let Some(clip) = cuts() else { return };
    check_clip("cuts", &clip, &clip.everybody(), &RATES);
    check_clip("cuts", &clip, &clip.halves()[..4], &RATES[1..]);
}

/// Ordinary clips of people of whom nobody is enrolled, with a gallery of thirty others.
#[test]
fn nobody_of_ordinary_clips_is_taken_for_somebody_else() {
    let mut pictures = Vec::new();
    for set in ["lfw10", "orl"] {
        let Some(folder) = media(&format!("recog/{set}")) else { return };
        let people = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        for person in people {
            let name = person.file_name().unwrap().to_str().unwrap().to_owned();
            let of_person = person.read_dir().unwrap().map(|entry| entry.unwrap().path());
            pictures.extend(of_person.take(5).map(|picture| (name.clone(), picture)));
        }
    }
    for name in ["facenet_video", "face-demographics-walking", "classroom", "head-pose-face-detection-female"] {
        let Some(video) = media(&format!("video/real/{name}.mp4")) else { return };
        let truth = Truth::Alone(BTreeMap::from([(0, "a stranger".to_owned())]));
        let clip = Clip { parts: vec![(video, 0..750)], pictures: pictures.clone(), truth };
        let Some(cameras) = play(&clip, &clip.everybody(), &[(3, 0)]) else { return };
        let summary = Summary::of(&cameras);
        summary.print(name);
        assert!(summary.wrong.is_empty(), "{:#?}", summary.wrong);
    }
}
