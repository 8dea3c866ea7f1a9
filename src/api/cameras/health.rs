//! How well a camera works, as a grade with its reasons.

use serde::Serialize;
use utoipa::ToSchema;

use crate::sink::{CameraState, CameraStatus, Rates, Switch, Vitals};

/// Shares of frames that go out covered from which on a camera is fair, and poor.
const COVERED: [f64; 2] = [0.02, 0.25];

/// Shares of the analyses that were asked for below which it is fair, and poor.
const ANALYSED: [f64; 2] = [0.75, 0.4];

/// Milliseconds from a frame to its event above which it is fair, and poor.
const SLOW_MS: [f64; 2] = [400.0, 1000.0];

/// Capture processes started again from which on it is fair, and poor.
const RESTARTS: [usize; 2] = [1, 4];

/// Fewer frames a second are none.
const NO_FRAMES: f64 = 0.5;

/// Where more than this share of at least so many faces cannot be recognised for one reason, it is fair.
const UNFIT: f64 = 0.5;
const LEAST_FACES: usize = 8;

/// What is in the way of recognition, and what helps.
const FACES: [(&str, &str, &str); 5] = [
    (
        "too_small",
        "faces_too_small",
        "most faces are too small to be recognised: move the camera nearer, or choose a stream with more pixels",
    ),
    ("too_blurred", "faces_blurred", "most faces are blurred: more light, or a shorter exposure"),
    ("turned_away", "faces_turned_away", "most faces are turned away: a camera at eye level sees more of them"),
    ("badly_exposed", "faces_badly_exposed", "most faces are too dark or too bright: mind light from behind"),
    ("occluded", "faces_occluded", "something hides most of the faces"),
];

/// How well a camera works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Grade {
    /// Nothing is wrong.
    Excellent,
    /// Something could be better.
    Fair,
    /// Much is missed.
    Poor,
    /// Nothing is seen.
    Unusable,
}

/// How well a camera works, and why not better.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CameraHealth)]
pub(super) struct Health {
    /// The worst of its reasons.
    grade: Grade,
    /// What is wrong; empty where nothing is.
    reasons: Vec<Complaint>,
}

/// What is wrong with a camera.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = HealthReason)]
struct Complaint {
    /// How bad it is by itself.
    grade: Grade,
    /// A word that stays the same: `offline`, `stalled`, `disabled`, `no_frames`, `detection_off`, `analyses_missed`, `covered`,
    /// `slow`, `restarted` or `faces_…`.
    code: &'static str,
    /// The same for people, and what helps.
    detail: String,
}

/// How a camera is of which so many analyses a second are to be expected, where that is known; `None` while too little of it is.
pub(super) fn grade(state: &CameraState, expected_fps: Option<f64>, vitals: &Vitals) -> Option<Health> {
    let mut reasons = Vec::new();
    if state.status == CameraStatus::Online {
        let rates = vitals.rates.as_ref()?;
        let detects = state.switches.get(&Switch::Detect) != Some(&false);
        reasons.extend(of_frames(rates, expected_fps.filter(|_| detects)));
        if !detects {
            reasons.push(complaint(Grade::Fair, "detection_off", "detection is switched off: nobody is looked for"));
        }
        reasons.extend(of_events(vitals));
    } else {
        let why =
            if state.reason.is_empty() { format!("it is {}", state.status.name()) } else { state.reason.to_string() };
        reasons.push(complaint(Grade::Unusable, state.status.name(), why));
    }
    let times = |count: usize| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    reasons.extend(above(vitals.restarts, RESTARTS).map(|grade| {
        let detail = format!("its capture process was started again {} within ten minutes", times(vitals.restarts));
        complaint(grade, "restarted", detail)
    }));
    let worst = reasons.iter().map(|reason| reason.grade).max();
    Some(Health { grade: worst.unwrap_or(Grade::Excellent), reasons })
}

fn of_frames(rates: &Rates, expected_fps: Option<f64>) -> Vec<Complaint> {
    if rates.captured < NO_FRAMES {
        return vec![complaint(Grade::Unusable, "no_frames", "no frames come")];
    }
    let mut reasons = Vec::new();
    let expected = expected_fps.unwrap_or(0.0).min(rates.captured);
    let grade = above(-rates.analysed, ANALYSED.map(|share| -share * expected)).filter(|_| expected > 0.0);
    reasons.extend(grade.map(|grade| {
        let detail =
            format!("only {:.1} of {expected:.1} analyses a second are made: the machine is too busy", rates.analysed);
        complaint(grade, "analyses_missed", detail)
    }));
    let out = rates.masked + rates.covered;
    let share = if out > 0.0 { rates.covered / out } else { 0.0 };
    reasons.extend(above(share, COVERED).map(|grade| {
        complaint(grade, "covered", format!("{:.0} % of the frames that go out are wholly covered", 100.0 * share))
    }));
    reasons
}

fn of_events(vitals: &Vitals) -> Vec<Complaint> {
    let slow = vitals.slow_ms.unwrap_or_default();
    let slow = above(slow, SLOW_MS).map(|grade| complaint(grade, "slow", format!("events take up to {slow:.0} ms")));
    let share = |reason: &str| vitals.reasons.get(reason).copied().unwrap_or_default() as f64 / vitals.faces as f64;
    let unfit = FACES.iter().filter(|(reason, ..)| vitals.faces >= LEAST_FACES && share(reason) > UNFIT);
    slow.into_iter().chain(unfit.map(|(_, code, detail)| complaint(Grade::Fair, code, *detail))).collect()
}

/// How bad a value is that is fair from one limit on, and poor from the next.
fn above<T: PartialOrd>(value: T, [fair, poor]: [T; 2]) -> Option<Grade> {
    if value >= poor { Some(Grade::Poor) } else { (value >= fair).then_some(Grade::Fair) }
}

fn complaint(grade: Grade, code: &'static str, detail: impl Into<String>) -> Complaint {
    Complaint { grade, code, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const WELL: Rates = Rates { captured: 25.0, analysed: 10.0, masked: 25.0, covered: 0.0 };

    fn online() -> CameraState {
        CameraState { status: CameraStatus::Online, ..CameraState::default() }
    }

    fn vitals(rates: Rates) -> Vitals {
        Vitals { rates: Some(rates), ..Vitals::default() }
    }

    /// The grade, and the words of its reasons.
    fn check(state: &CameraState, vitals: &Vitals, expected: Grade, words: &[&str]) {
        let health = grade(state, Some(10.0), vitals).unwrap();
        let codes: Vec<_> = health.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!((health.grade, &*codes), (expected, words), "{health:?}");
    }

    #[test]
    fn a_camera_of_which_nothing_is_wrong_is_excellent_once_it_was_looked_at() {
        check(&online(), &vitals(WELL), Grade::Excellent, &[]);
        assert_eq!(grade(&online(), Some(10.0), &Vitals::default()), None);
        // a gate that is closed while nothing moves is no fault
        let resting = vitals(Rates { analysed: 0.2, ..WELL });
        assert_eq!(grade(&online(), None, &resting).map(|health| health.grade), Some(Grade::Excellent));
        // nobody can analyse more frames than come
        check(&online(), &vitals(Rates { captured: 5.0, analysed: 5.0, ..WELL }), Grade::Excellent, &[]);
    }

    #[test]
    fn a_camera_that_is_not_there_is_unusable_and_says_why() {
        let lost = CameraState { reason: "connection refused".into(), ..CameraState::default() };
        let health = grade(&lost, Some(10.0), &Vitals::default()).unwrap();
        assert_eq!((health.grade, &*health.reasons[0].detail), (Grade::Unusable, "connection refused"));
        check(&lost, &Vitals { restarts: 2, ..Vitals::default() }, Grade::Unusable, &["offline", "restarted"]);
        check(&online(), &vitals(Rates { captured: 0.1, ..WELL }), Grade::Unusable, &["no_frames"]);
    }

    #[test]
    fn what_is_missed_covered_slow_or_started_again_costs_grades() {
        for (rates, expected, word) in [
            (Rates { analysed: 7.0, ..WELL }, Grade::Fair, "analyses_missed"),
            (Rates { analysed: 3.0, ..WELL }, Grade::Poor, "analyses_missed"),
            (Rates { masked: 24.0, covered: 1.0, ..WELL }, Grade::Fair, "covered"),
            (Rates { masked: 0.0, covered: 25.0, ..WELL }, Grade::Poor, "covered"),
        ] {
            check(&online(), &vitals(rates), expected, &[word]);
        }
        check(&online(), &Vitals { slow_ms: Some(500.0), ..vitals(WELL) }, Grade::Fair, &["slow"]);
        check(&online(), &Vitals { slow_ms: Some(1500.0), ..vitals(WELL) }, Grade::Poor, &["slow"]);
        check(&online(), &Vitals { restarts: 1, ..vitals(WELL) }, Grade::Fair, &["restarted"]);
        check(&online(), &Vitals { restarts: 9, ..vitals(WELL) }, Grade::Poor, &["restarted"]);
    }

    #[test]
    fn a_switch_that_is_off_is_said_and_not_held_against_the_machine() {
        let switches = BTreeMap::from([(Switch::Detect, false)]);
        let off = CameraState { switches, ..online() };
        check(&off, &vitals(Rates { analysed: 0.0, ..WELL }), Grade::Fair, &["detection_off"]);
    }

    #[test]
    fn faces_that_cannot_be_recognised_say_what_helps() {
        let seen = |faces, small| Vitals { faces, reasons: BTreeMap::from([("too_small", small)]), ..vitals(WELL) };
        check(&online(), &seen(20, 15), Grade::Fair, &["faces_too_small"]);
        check(&online(), &seen(20, 5), Grade::Excellent, &[]);
        check(&online(), &seen(4, 4), Grade::Excellent, &[]);
    }
}
