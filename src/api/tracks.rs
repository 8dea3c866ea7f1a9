//! Who is in sight of a camera, and is given a name before the camera knows them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::extract::{Body, Named};
use super::gallery::refused;
use super::openapi::Problem;
use super::strangers::{NamedStranger, StrangerName, became};
use crate::http::{Principal, ProblemJson};
use crate::recognise::gallery::enroller::unfit;
use crate::recognise::gallery::{Enrolment, Refusal, Rejection};
use crate::recognise::{Embedding, Identity, Impression, People};
use crate::sink::{Looked, PersonWish, Subject};

/// Where references come from that a camera gave.
const MET: &str = "camera";

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(name))
}

/// Says who a track is: a person from then on, known by the faces of the track so far.
///
/// It need not be decided yet, nor still be in sight: for a minute after it was seen it can be named. A track that has a
/// stranger's alias gives the person all faces of that stranger. Where no face of it was usable so far, the answer says why.
#[utoipa::path(
    post, path = "/cameras/{id}/tracks/{track}/name", operation_id = "name_track", tag = "people", request_body = StrangerName,
    params(
        ("id" = String, Path, description = "The camera's id"),
        ("track" = String, Path, description = "The track, as events name it"),
    ),
    responses(
        (status = 201, body = NamedStranger),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn name(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named((camera, track)): Named<(String, String)>,
    named: Result<Body<StrangerName>, ProblemJson>,
) -> Result<(StatusCode, Json<NamedStranger>), ProblemJson> {
    let subject = principal.sees(&camera).then(|| api.0.hub.subjects().find(&camera, &track)).flatten();
    let subject = subject.ok_or_else(|| {
        let detail = format!("camera {camera:?} sees no track {track:?}, and saw none within the last minute");
        ProblemJson::new(StatusCode::NOT_FOUND, detail)
    })?;
    let Body(named) = named?;
    let (id, profile) = named.person()?;
    let name = profile.name.clone();
    let People { strangers, .. } = api.people()?;
    if let Identity::Stranger { alias, .. } = &subject.identity
        && strangers.faces(alias).is_some()
    {
        return became(&api, alias, name, PersonWish::NameStranger(id, profile)).await;
    }
    let (Impression { face, quality }, model) = seen(subject).map_err(|rejection| refused(&rejection))?;
    let references = vec![(Embedding::clone(&face), quality)];
    let enrolment = Enrolment { id, profile, references, negative: false, source: MET.into() };
    let looked = Looked { enrolment, model, given_up: Arc::default(), only_known: false };
    became(&api, "", name, PersonWish::Add(Box::new(looked))).await
}

/// What was seen of a track, and the embedder whose numbers these are; or why there is nothing.
fn seen(subject: Subject) -> Result<(Impression, Arc<str>), Rejection> {
    let Subject { impression, model, reason, .. } = subject;
    if let (Some(impression), Some(model)) = (impression, model) {
        return Ok((impression, model));
    }
    let rejection = reason.map_or_else(
        || Rejection::new(Refusal::NoFace, "shows no face that was compared yet; try again in a moment"),
        unfit,
    );
    let Rejection { reason, detail } = rejection;
    Err(Rejection::new(reason, format!("the track {detail}; it cannot be named by that")))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::recognise::Reason;

    fn subject(reason: Option<Reason>, impression: Option<Impression>) -> Subject {
        let (identity, model) = (Identity::Undecided { reason }, Some("made-up".into()));
        Subject { track: "front-1".into(), identity, reason, impression, model, seen: Instant::now() }
    }

    #[test]
    fn a_track_without_a_usable_face_says_why() {
        for (reason, refusal, word) in [
            (Some(Reason::TooSmall), Refusal::TooSmall, "too small"),
            (Some(Reason::TurnedAway), Refusal::TurnedAway, "turned away"),
            (None, Refusal::NoFace, "try again"),
        ] {
            let rejection = seen(subject(reason, None)).unwrap_err();
            assert_eq!(rejection.reason, refusal);
            assert!(rejection.detail.contains(word), "{rejection}");
        }
        let face = Impression { face: Arc::new(Embedding::new(&[1.0])), quality: 0.4 };
        let (found, model) = seen(subject(Some(Reason::TurnedAway), Some(face.clone()))).unwrap();
        assert_eq!((found, &*model), (face, "made-up"), "what was seen before counts");
    }
}
