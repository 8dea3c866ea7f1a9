//! What is taken out of a request. What cannot be is answered with a problem that names the field.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::http::ProblemJson;

/// Bytes of a body without a picture.
const MOST_BYTES: usize = 64 << 10;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

/// Parameters behind the `?`.
pub(super) struct Asked<T>(pub(super) T);

/// Parameters in the path.
pub(super) struct Named<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ProblemJson;

    async fn from_request(request: Request, _: &S) -> Result<Self, ProblemJson> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = "this takes JSON: Content-Type: application/json";
            return Err(ProblemJson::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = axum::body::to_bytes(request.into_body(), MOST_BYTES).await.map_err(|_| {
            let detail = format!("the body cannot be read, or has more than {MOST_BYTES} bytes");
            ProblemJson::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        })?;
        parse(&bytes).map(Self)
    }
}

/// Reads JSON; what is wrong is told with its place.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ProblemJson> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|wrong| wrong.to_string());
    let read = read.and_then(|body| json.end().map_err(|wrong| wrong.to_string()).map(|()| body));
    read.map_err(|wrong| bad_request(format!("the body: {wrong}")))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ProblemJson;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemJson> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(wrong) => Err(bad_request(wrong.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = ProblemJson;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemJson> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(wrong) => Err(bad_request(wrong.body_text())),
        }
    }
}

pub(super) fn bad_request(what: impl Into<String>) -> ProblemJson {
    ProblemJson::new(StatusCode::BAD_REQUEST, what)
}

/// For fields where `null` says something else than nothing: `Some(None)`.
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(json).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[serde(default, deserialize_with = "or_null")]
        tags: Option<Option<Vec<u8>>>,
    }

    fn check_wrong(json: &str, expected: &str) {
        let problem = parse::<Example>(json.as_bytes()).unwrap_err();
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
        assert!(problem.detail.contains(expected), "{}", problem.detail);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check_wrong(r#"{"tags":[1,"x"]}"#, "tags[1]: invalid type: string \"x\"");
        check_wrong(r#"{"tagz":[]}"#, "tagz: unknown field `tagz`, expected `tags`");
        check_wrong("{} {}", "trailing characters");
        check_wrong("", "EOF");
    }

    #[test]
    fn null_is_not_nothing() {
        assert_eq!(parse::<Example>(b"{}").unwrap().tags, None);
        assert_eq!(parse::<Example>(br#"{"tags":null}"#).unwrap().tags, Some(None));
        assert_eq!(parse::<Example>(br#"{"tags":[1]}"#).unwrap().tags, Some(Some(vec![1])));
    }
}
