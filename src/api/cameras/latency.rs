//! How long each stage of a camera takes.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::Named;
use super::super::openapi::Problem;
use super::find;
use crate::http::{Principal, ProblemJson, Sample};
use crate::metrics::STAGE_SECONDS;

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(latency))
}

/// How long the stages of a camera take.
#[derive(Serialize, ToSchema)]
struct Latency {
    /// Each stage that there was anything to do for.
    stages: Vec<Stage>,
}

/// How long a stage took, since Visor was started: the difference of two answers says how it was in between.
#[derive(Serialize, ToSchema)]
struct Stage {
    /// Its name, such as `decode`, `detect` or `recognise`.
    stage: String,
    /// Frames, or faces.
    count: u64,
    /// Seconds for all of them.
    sum: f64,
    /// How many took so long at most.
    buckets: Vec<Bucket>,
}

/// How many took so long at most.
#[derive(Serialize, ToSchema)]
struct Bucket {
    /// Seconds; null for however long.
    le: Option<f64>,
    /// How many.
    count: u64,
}

/// How long each stage of the camera takes.
#[utoipa::path(
    get, path = "/cameras/{id}/latency", tag = "cameras",
    params(("id" = String, Path, description = "The camera's id")),
    responses((status = 200, body = Latency), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
async fn latency(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
) -> Result<Json<Latency>, ProblemJson> {
    find(&api, &principal, &id)?;
    let metrics = api.0.status.metrics(&principal);
    let stages = metrics.metrics.iter().filter(|metric| metric.name == STAGE_SECONDS);
    let samples = stages.flat_map(|metric| &metric.samples);
    Ok(Json(Latency { stages: stages_of(&id, samples) }))
}

fn stages_of<'a>(camera: &str, samples: impl Iterator<Item = &'a Sample>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for sample in samples.filter(|sample| sample.labels.get("camera").is_some_and(|label| label == camera)) {
        let (Some(stage), Some(value)) = (sample.labels.get("stage"), sample.value) else { continue };
        let place = stages.iter().position(|known| known.stage == *stage).unwrap_or_else(|| {
            stages.push(Stage { stage: stage.clone(), count: 0, sum: 0.0, buckets: Vec::new() });
            stages.len() - 1
        });
        let stage = &mut stages[place];
        match sample.name.strip_prefix(STAGE_SECONDS) {
            Some("_sum") => stage.sum = value,
            Some("_count") => stage.count = value as u64,
            Some("_bucket") => {
                let le = sample.labels.get("le").and_then(|le| le.parse().ok()).filter(|le: &f64| le.is_finite());
                stage.buckets.push(Bucket { le, count: value as u64 });
            }
            _ => {}
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(suffix: &str, labels: &[(&str, &str)], value: f64) -> Sample {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sample { name: format!("{STAGE_SECONDS}{suffix}"), labels, value: Some(value) }
    }

    #[test]
    fn stages_are_read_out_of_the_metrics_of_that_camera_alone() {
        let front = [("camera", "front"), ("stage", "detect")];
        let samples = [
            sample("_bucket", &[front[0], front[1], ("le", "0.01")], 3.0),
            sample("_bucket", &[front[0], front[1], ("le", "+Inf")], 4.0),
            sample("_sum", &front, 0.05),
            sample("_count", &front, 4.0),
            sample("_count", &[("camera", "yard"), ("stage", "track")], 9.0),
        ];
        let stages = stages_of("front", samples.iter());
        let said = serde_json::to_value(&stages).unwrap();
        let buckets = serde_json::json!([{ "le": 0.01, "count": 3 }, { "le": null, "count": 4 }]);
        assert_eq!(said, serde_json::json!([{ "stage": "detect", "count": 4, "sum": 0.05, "buckets": buckets }]));
    }
}
