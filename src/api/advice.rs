//! Whether the threshold fits this gallery: how its own references score against each other.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::desk::{Looker, recognition_off};
use super::enrol::PersonName;
use super::openapi::Problem;
use crate::http::ProblemJson;
use crate::recognise::Gallery;
use crate::recognise::gallery::spread::{Alike, BARS, Histogram, Spread};
use crate::recognise::grading::fourth;

/// Pairs of one person from which on something can be said.
const LEAST_GENUINE: u64 = 10;

/// Pairs of different people from which on something can be said.
const LEAST_IMPOSTOR: u64 = 100;

/// A greater share of pairs of one person below the threshold is worth a word.
const MANY_MISSED: f64 = 0.1;

/// A threshold that is set counts as another one than the gallery's own from here on.
const NOTABLE: f32 = 0.02;

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(advice))
}

/// What is to be said about threshold and margin.
#[derive(Serialize, ToSchema)]
#[schema(as = ThresholdAdvice)]
struct Advice {
    /// People who are known by faces.
    people: usize,
    /// Their faces.
    references: usize,
    /// The score from which a face gets a name.
    threshold: f32,
    /// How far before the next person it has to be for that.
    margin: f32,
    /// Whether the configuration sets the threshold; otherwise it follows the gallery's size.
    configured: bool,
    /// The threshold that follows from the gallery's size.
    by_size: f32,
    /// `too_few`, `good`, `look_alikes`, `strict`, or `differs` where the configuration's is far from the gallery's own.
    verdict: &'static str,
    /// The same in words, and what to do.
    advice: String,
    /// Whether only a part of the faces was compared, evenly picked.
    sampled: bool,
    /// Pairs of faces of one person.
    genuine: Scores,
    /// Pairs of faces of different people.
    impostor: Scores,
    /// People whose faces reach the threshold against each other, the most similar first; ten at most.
    look_alikes: Vec<Pair>,
}

/// How pairs of faces score.
#[derive(Serialize, ToSchema)]
#[schema(as = ScoreHistogram)]
struct Scores {
    /// How many pairs there are.
    pairs: u64,
    /// How many of them reach the threshold.
    reach: u64,
    /// How many lie in each of equal parts of the range of a cosine, -1 to 1.
    bars: Vec<u64>,
}

/// Two people who look alike.
#[derive(Serialize, ToSchema)]
#[schema(as = AlikePair)]
struct Pair {
    /// One.
    a: PersonName,
    /// The other.
    b: PersonName,
    /// Cosine of their most similar faces.
    score: f32,
}

/// How well the threshold fits: the scores of all pairs of faces in the gallery, of one person and of different people.
///
/// Of a large gallery 1500 faces are compared, evenly picked. It is done behind the cameras, as pictures are looked at.
#[utoipa::path(
    get, path = "/gallery/advice", tag = "people",
    responses(
        (status = 200, body = Advice),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn advice(State(api): State<Api>) -> Result<Json<Advice>, ProblemJson> {
    let compare = |looker: &mut Looker| {
        let gallery = looker.recognition().ok_or_else(recognition_off)?.people.gallery.clone();
        Ok(Json(Advice::of(&gallery, gallery.spread())))
    };
    api.desk().work(compare).await?
}

impl Advice {
    fn of(gallery: &Gallery, spread: Spread) -> Self {
        let by_size = gallery.threshold_by_size();
        let configured = gallery.settings().threshold.is_some();
        let (verdict, advice) = verdict(&spread, configured.then_some(by_size));
        let look_alikes = spread.alike.iter().map(|alike| Pair::new(gallery, alike)).collect();
        Self {
            people: spread.people,
            references: spread.references,
            threshold: fourth(spread.threshold),
            margin: fourth(gallery.margin()),
            configured,
            by_size: fourth(by_size),
            verdict,
            advice,
            sampled: spread.sampled,
            genuine: Scores::new(&spread.genuine),
            impostor: Scores::new(&spread.impostor),
            look_alikes,
        }
    }
}

impl Scores {
    fn new(histogram: &Histogram) -> Self {
        debug_assert_eq!(histogram.bars.len(), BARS);
        Self { pairs: histogram.pairs, reach: histogram.reach, bars: histogram.bars.to_vec() }
    }
}

impl Pair {
    fn new(gallery: &Gallery, alike: &Alike) -> Self {
        let [a, b] = alike.people.each_ref().map(|id| {
            let name = gallery.person(id).map_or_else(|| id.to_string(), |person| person.name.to_string());
            PersonName { id: id.to_string(), name }
        });
        Self { a, b, score: fourth(alike.score) }
    }
}

/// The word and the words; `by_size` where the configuration sets the threshold.
fn verdict(spread: &Spread, by_size: Option<f32>) -> (&'static str, String) {
    let Spread { genuine, impostor, threshold, .. } = spread;
    if genuine.pairs < LEAST_GENUINE || impostor.pairs < LEAST_IMPOSTOR {
        return ("too_few", too_few(spread));
    }
    if let Some(usual) = by_size.filter(|usual| (usual - threshold).abs() >= NOTABLE) {
        let (than, risk) = if *threshold < usual {
            ("below", "strangers get names more often")
        } else {
            ("above", "people are missed more often")
        };
        let what = format!(
            "The configuration sets {threshold:.2}, {than} the {usual:.2} that this gallery's size asks for: {risk}. Leave \
             gallery.threshold out to have it follow the gallery."
        );
        return ("differs", what);
    }
    if impostor.reach > 0 {
        let what = format!(
            "{} of different people reach the threshold. The margin keeps most of them from being mixed up; more and \
             better pictures of the people below help.",
            of(impostor.reach, impostor.pairs)
        );
        return ("look_alikes", what);
    }
    let missed = genuine.pairs - genuine.reach;
    if missed as f64 > MANY_MISSED * genuine.pairs as f64 {
        let what = format!(
            "{} of one person stay below the threshold: these pictures do not confirm each other. Add pictures like those \
             that the cameras see, and remove poor ones.",
            of(missed, genuine.pairs)
        );
        return ("strict", what);
    }
    let what = "The threshold lies between both: no two people here reach it, and hardly a pair of one person's pictures \
                stays below.";
    ("good", what.to_owned())
}

fn too_few(spread: &Spread) -> String {
    format!(
        "There are too few pictures to say: {} of one person and {} of different people can be compared, {LEAST_GENUINE} and \
         {LEAST_IMPOSTOR} are needed. Two or more pictures each of ten people are enough. Until then the threshold rests on \
         what the model scored elsewhere.",
        pairs(spread.genuine.pairs),
        pairs(spread.impostor.pairs)
    )
}

fn pairs(count: u64) -> String {
    if count == 1 { "1 pair".to_owned() } else { format!("{count} pairs") }
}

fn of(count: u64, all: u64) -> String {
    format!("{count} of {all} pairs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(genuine: (u64, u64), impostor: (u64, u64)) -> Spread {
        let histogram = |(pairs, reach)| Histogram { bars: [0; BARS], pairs, reach };
        Spread {
            people: 10,
            references: 30,
            sampled: false,
            genuine: histogram(genuine),
            impostor: histogram(impostor),
            alike: Vec::new(),
            threshold: 0.4,
        }
    }

    fn check_verdict(spread: &Spread, by_size: Option<f32>, (word, words): (&str, &str)) {
        let (verdict, advice) = verdict(spread, by_size);
        assert_eq!(verdict, word, "{advice}");
        assert!(advice.contains(words), "{advice}");
    }

    #[test]
    fn the_advice_says_what_is_in_the_way() {
        check_verdict(&spread((1, 1), (500, 0)), None, ("too_few", "1 pair of one person and 500 pairs"));
        check_verdict(&spread((40, 40), (99, 0)), Some(0.6), ("too_few", "too few"));
        check_verdict(&spread((40, 39), (500, 0)), None, ("good", "between"));
        check_verdict(&spread((40, 20), (500, 0)), None, ("strict", "20 of 40 pairs"));
        check_verdict(&spread((40, 20), (500, 3)), None, ("look_alikes", "3 of 500 pairs"));
        check_verdict(&spread((40, 40), (500, 0)), Some(0.5), ("differs", "below the 0.50"));
        check_verdict(&spread((40, 40), (500, 0)), Some(0.3), ("differs", "above the 0.30"));
        check_verdict(&spread((40, 40), (500, 0)), Some(0.41), ("good", "between"));
    }
}
