//! Trackers on the MOT15 sequences: the published one to the digit, the default by floors. Skipped, aloud, without assets.

use std::path::PathBuf;

use super::support::mot::{self, Score};
use visor::track::mot::{parse, replay, write_frame};
use visor::track::{Algorithm, Config};

const SEQUENCES: [&str; 5] = ["TUD-Campus", "TUD-Stadtmitte", "ADL-Rundle-6", "ETH-Bahnhof", "KITTI-13"];

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("VISOR_ASSETS")?).join("media/tracking/mot15");
    folder.is_dir().then_some(folder)
}

/// Runs an algorithm over every `step`-th frame of a sequence and scores it.
fn score(algorithm: &str, sequence: &str, step: u64) -> Option<Score> {
    let Some(folder) = folder() else {
        eprintln!("skipped: {sequence} needs VISOR_ASSETS with media/tracking/mot15");
        return None;
    };
    let read = |name: &str| std::fs::read_to_string(folder.join(sequence).join(name)).unwrap();
    let info = read("seqinfo.ini");
    let fps: f64 = info.lines().find_map(|line| line.strip_prefix("frameRate=")).unwrap().trim().parse().unwrap();
    let mut frames = parse(&read("det/det.txt")).unwrap();
    frames.retain(|frame| (frame.frame - 1) % step == 0);
    frames.iter_mut().for_each(|frame| frame.frame = (frame.frame - 1) / step + 1);
    let mut tracker = Algorithm::by_name(algorithm).unwrap().build(&Config::default());
    let mut lines = String::new();
    replay(tracker.as_mut(), &frames, fps / step as f64, |frame, tracks| write_frame(&mut lines, frame, tracks));
    Some(mot::score(&mot::thinned(&mot::read(&read("gt/gt.txt"), true), step), &mot::read(&lines, false)))
}

fn total(algorithm: &str, step: u64) -> Option<Score> {
    SEQUENCES.iter().map(|sequence| score(algorithm, sequence, step)).sum::<Option<Score>>()
}

#[test]
fn sort_is_the_published_one_to_the_digit() {
    let Some(campus) = score("sort", "TUD-Campus", 1) else { return };
    assert_eq!((campus.false_positives, campus.misses, campus.switches), (15, 113, 6));
    let Some(all) = total("sort", 1) else { return };
    assert_eq!((all.false_positives, all.misses, all.switches), (2090, 4907, 178));
    assert!((all.idf1() - 54.3).abs() < 0.05, "as motmetrics has it, not {}", all.idf1());
}

#[test]
fn the_default_beats_the_published_ones() {
    let Some(all) = total("visor", 1) else { return };
    assert!(all.mota() >= 43.5, "MOTA {}", all.mota());
    assert!(all.idf1() >= 57.0, "IDF1 {}", all.idf1());
    assert!(all.switches <= 120, "{} switches", all.switches);
}

#[test]
fn the_default_bears_a_third_of_the_frames() {
    let (Some(all), Some(third)) = (total("visor", 1), total("visor", 3)) else { return };
    assert!(all.idf1() - third.idf1() <= 3.9, "IDF1 falls from {} to {}", all.idf1(), third.idf1());
}

#[test]
fn the_scorer_counts_a_swap_as_two_switches() {
    let truth =
        mot::read("1,1,0,0,10,10,1\n1,2,50,0,10,10,1\n2,1,0,0,10,10,1\n2,2,50,0,10,10,1\n3,1,0,0,10,10,0\n", true);
    let given = mot::read("1,7,0,0,10,10\n1,8,50,0,10,10\n2,8,0,0,10,10\n2,7,50,0,10,10\n3,9,80,0,10,10\n", false);
    let score = mot::score(&truth, &given);
    assert_eq!((score.truth, score.given, score.switches, score.misses, score.false_positives), (4, 5, 2, 0, 1));
    assert_eq!(score.identity_hits, 2);
}
