//! Faces in a picture.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::desk::{Timed, deadline, failed};
use super::input::Pictures;
use super::input::schema::{FormPicture, JsonPicture, Picture};
use crate::recognise::GradedFace;
use crate::recognise::grading::grade;

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(detect))
}

/// How faces are looked for.
#[derive(Debug, Default, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DetectOptions {
    /// Least score of a face, 0 to 1. Default: the model's own.
    #[schema(minimum = 0, maximum = 1)]
    #[param(minimum = 0, maximum = 1)]
    score: Option<f32>,
}

type DetectForm = FormPicture<DetectOptions>;
type DetectJson = JsonPicture<DetectOptions>;

/// What a picture shows.
#[derive(Serialize, ToSchema)]
struct Detected {
    /// Pixels across, EXIF orientation applied.
    width: u32,
    /// Pixels down.
    height: u32,
    /// The faces, highest score first.
    faces: Vec<GradedFace>,
}

/// Faces in a picture: the numbers of `visor detect`.
#[utoipa::path(
    post, path = "/detect", tag = "pictures", params(DetectOptions),
    request_body(content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Picture = "image/bmp"),
        (Picture = "image/gif"), (DetectForm = "multipart/form-data"),
        (DetectJson = "application/json"))),
    responses((status = 200, body = Detected)),
)]
async fn detect(State(api): State<Api>, pictures: Pictures<DetectOptions>) -> Timed<Json<Detected>> {
    let (encoded, options, held) = pictures.one()?;
    api.desk()
        .timed(move |looker| {
            let still = looker.decode(&encoded)?;
            drop((encoded, held));
            let (view, size) = (still.view(), still.view().size());
            let faces = looker.timed("detect", |looker| match options.score {
                None => grade(view, looker.eyes()?.detector(), deadline()).map_err(failed),
                Some(score) => grade(view, &mut looker.detector(score)?, deadline()).map_err(failed),
            });
            Ok(Json(Detected { width: size.width, height: size.height, faces: faces? }))
        })
        .await
}
