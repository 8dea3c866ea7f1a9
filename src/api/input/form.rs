//! Pictures in a form.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::http::StatusCode;
use multer::{Constraints, Multipart, SizeLimit};

use super::intake::{MOST_BYTES, refuse};
use super::{Field, Fields, Found};
use crate::api::extract::bad_request;
use crate::http::ProblemJson;

/// Parts that a form may have; nobody needs more, and each is looked at.
const MOST_PARTS: usize = 256;

/// Bytes of a part that is text.
const MOST_TEXT: usize = 64 << 10;

/// A part of a form.
pub(in crate::api) struct Part {
    /// What the form calls it.
    pub(in crate::api) name: String,
    /// Whether it is a file, and no text.
    pub(in crate::api) file: bool,
    /// What it holds.
    pub(in crate::api) content: Bytes,
}

impl Part {
    /// Its text.
    ///
    /// # Errors
    /// It is none, or too long a one.
    pub(in crate::api) fn into_text(self) -> Result<String, ProblemJson> {
        let wrong = |what: &str| bad_request(format!("{}: {what}", self.name));
        if self.content.len() > MOST_TEXT {
            return Err(wrong("is too long a text; send a file with a file name"));
        }
        std::str::from_utf8(&self.content).map(str::to_owned).map_err(|_| wrong("is not a text"))
    }
}

/// All parts of a form.
///
/// # Errors
/// It is broken, or has too many.
pub(in crate::api) async fn parts(body: Bytes, boundary: String) -> Result<Vec<Part>, ProblemJson> {
    let broken = |e: multer::Error| bad_request(format!("the form is broken: {e}"));
    let limits = Constraints::new().size_limit(SizeLimit::new().per_field(MOST_BYTES as u64));
    let whole = futures_util::stream::once(std::future::ready(Ok::<_, Infallible>(body)));
    let mut form = Multipart::with_constraints(whole, boundary, limits);
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        if parts.len() == MOST_PARTS {
            let detail = format!("the form has more than {MOST_PARTS} parts");
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let kind = field.content_type().map(ToString::to_string).unwrap_or_default();
        let file = field.file_name().is_some() || kind.starts_with("image/");
        parts.push(Part { name, file, content: field.bytes().await.map_err(broken)? });
    }
    Ok(parts)
}

impl Found {
    pub(super) async fn take_form(&mut self, body: Bytes, boundary: String) -> Result<(), ProblemJson> {
        let mut said = Fields::default();
        for part in parts(body, boundary).await? {
            if part.file || matches!(part.name.as_str(), "image" | "images") {
                self.pictures.push(part.content);
            } else {
                let name = part.name.clone();
                said.put(name, Field::Text(part.into_text()?));
            }
        }
        self.fields.put_over(said);
        Ok(())
    }
}
