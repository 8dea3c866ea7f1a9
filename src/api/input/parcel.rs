//! A picture that is looked at later: an address in it is not asked yet.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::{Held, bad_request, find, no_picture};
use crate::api::Api;
use crate::http::ProblemJson;

/// Options beside those of the work itself.
pub(in crate::api) trait Aside: DeserializeOwned + Send {
    /// Their names.
    const NAMES: &'static [&'static str];
}

/// The one picture of a request, or where it is.
pub(in crate::api) enum Content {
    /// As it was encoded.
    Picture(Bytes),
    /// To be asked for.
    Address(String),
}

/// A picture to be looked at later, and what is said beside it.
pub(in crate::api) struct Parcel<O, A> {
    /// The picture.
    pub(in crate::api) content: Content,
    /// What is said of the picture.
    pub(in crate::api) options: O,
    /// What is said of the work.
    pub(in crate::api) aside: A,
    /// The request's place and its memory.
    pub(in crate::api) held: Held,
}

impl<O: DeserializeOwned + Send, A: Aside> FromRequest<Api> for Parcel<O, A> {
    type Rejection = ProblemJson;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ProblemJson> {
        let (mut found, held) = find(request, api).await?;
        let mut contents: Vec<Content> = found.addresses()?.into_iter().map(Content::Address).collect();
        contents.extend(found.pictures.drain(..).map(Content::Picture));
        let content = contents.pop().ok_or_else(no_picture)?;
        if !contents.is_empty() {
            return Err(bad_request(format!("{} pictures came; send one picture", contents.len() + 1)));
        }
        let aside = found.fields.split_off(A::NAMES).read().map_err(bad_request)?;
        let options = found.fields.read().map_err(bad_request)?;
        Ok(Self { content, options, aside, held })
    }
}
