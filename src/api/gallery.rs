//! The gallery as routes see it: read at once, changed by its own thread alone.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::oneshot;

use super::Api;
use crate::http::ProblemJson;
use crate::recognise::People;
use crate::recognise::gallery::{Refusal, Rejection};
use crate::sink::{PersonAnswer, PersonCommand, PersonWish};

/// How long the gallery's thread may take for what needs no model; a picture that came another way may be before it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Seconds after which the gallery may have less to do.
const RETRY_AFTER: u64 = 1;

impl Api {
    /// Who is known now.
    pub(super) fn people(&self) -> Result<People, ProblemJson> {
        let recognition = self.0.engine.recognition().load();
        recognition.as_ref().map(|recognition| recognition.people.clone()).ok_or_else(|| {
            let detail = "there is no embedder, or the gallery is still being made; try again soon";
            not_now("recognition_off", detail)
        })
    }

    /// Has the gallery's thread do what is wished; that it was refused is an error.
    pub(super) async fn wish(&self, person: &str, wish: PersonWish) -> Result<PersonAnswer, ProblemJson> {
        match self.ask(person, wish).await? {
            PersonAnswer::Refused(rejection) => Err(refused(&rejection)),
            answer => Ok(answer),
        }
    }

    /// Has the gallery's thread do what is wished, and gives its answer.
    pub(super) async fn ask(&self, person: &str, wish: PersonWish) -> Result<PersonAnswer, ProblemJson> {
        let (tell, told) = oneshot::channel();
        let answer = Box::new(move |answer| drop(tell.send(answer)));
        if !self.0.hub.wish(PersonCommand { person: person.into(), wish, answer }) {
            return Err(busy("too many wishes wait for the gallery; try again"));
        }
        let told = tokio::time::timeout(PATIENCE, told).await;
        match told {
            Ok(Ok(PersonAnswer::NotNow(reason, detail))) => Err(not_now(reason, &detail)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(busy("the gallery's thread has ended")),
            Err(_) => Err(busy("the gallery's thread has too much to do; what was asked may still be done")),
        }
    }
}

/// The gallery's thread said what does not answer what it was asked: a bug.
pub(super) fn unexpected(answer: &PersonAnswer) -> ProblemJson {
    tracing::error!(answer = ?std::mem::discriminant(answer), "the gallery gave an answer to something else");
    ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "this could not be answered; the log says why")
}

fn busy(detail: &str) -> ProblemJson {
    not_now("busy", detail)
}

fn not_now(reason: &'static str, detail: &str) -> ProblemJson {
    ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).because(reason).retry_after(RETRY_AFTER)
}

/// Why the gallery did not do something.
pub(super) fn refused(rejection: &Rejection) -> ProblemJson {
    let status = match rejection.reason {
        Refusal::UnknownPerson => StatusCode::NOT_FOUND,
        Refusal::NameTaken | Refusal::ExternalIdTaken => StatusCode::CONFLICT,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::BadName | Refusal::BadProfile => StatusCode::BAD_REQUEST,
        Refusal::GalleryFull => StatusCode::INSUFFICIENT_STORAGE,
        Refusal::Failed => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::NoFace
        | Refusal::SeveralFaces
        | Refusal::TooSmall
        | Refusal::TooBlurred
        | Refusal::TurnedAway
        | Refusal::BadlyExposed
        | Refusal::Occluded
        | Refusal::LowQuality
        | Refusal::Ambiguous
        | Refusal::Unreadable
        | Refusal::WrongModel
        | Refusal::Unusable => StatusCode::UNPROCESSABLE_ENTITY,
    };
    ProblemJson::new(status, rejection.detail.clone()).because(rejection.reason.word())
}
