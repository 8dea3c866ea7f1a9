//! Whether a picture or JSON is wanted, and which picture.

use axum::http::{HeaderMap, StatusCode, header};

use super::Format;
use crate::http::ProblemJson;

/// What is to be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What the picture is written as.
    pub(super) format: Format,
    /// Whether it goes into JSON.
    pub(super) json: bool,
}

impl Wanted {
    /// What `Accept` asks for most, with the format that the options name, where they do.
    ///
    /// # Errors
    /// `406`: nothing of it can be had.
    pub(super) fn of(headers: &HeaderMap, named: Option<Format>) -> Result<Self, ProblemJson> {
        let picture = |format| Self { format, json: false };
        let any = named.unwrap_or(Format::Jpeg);
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges: Vec<_> = accepted.flat_map(|value| value.split(',')).map(range).collect();
        if ranges.is_empty() {
            return Ok(picture(any));
        }
        // stable: of equals the first
        ranges.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let wanted = ranges.iter().filter(|(_, weight)| *weight > 0.0).find_map(|(kind, _)| match kind.as_str() {
            "*/*" | "image/*" => Some(picture(any)),
            "application/json" | "application/*" => Some(Self { format: any, json: true }),
            kind => {
                let mut formats = [Format::Jpeg, Format::Png, Format::Webp].into_iter();
                let format = formats.find(|format| format.media_type() == kind)?;
                named.is_none_or(|named| named == format).then(|| picture(format))
            }
        });
        wanted.ok_or_else(|| {
            let detail = "this answers with image/jpeg, image/png, image/webp or application/json; accept one of them, \
                          and the format that is asked for";
            ProblemJson::new(StatusCode::NOT_ACCEPTABLE, detail)
        })
    }
}

/// A media range and its weight.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
    (kind, weight.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_what_it_gets() {
        let cases = [
            ("", None, Some((Format::Jpeg, false))),
            ("*/*", Some(Format::Webp), Some((Format::Webp, false))),
            ("image/png", None, Some((Format::Png, false))),
            ("text/html, application/json;q=0.9, */*;q=0.1", None, Some((Format::Jpeg, true))),
            ("application/json, image/webp", Some(Format::Png), Some((Format::Png, true))),
            ("image/webp;q=0.5, image/png;q=0.7", None, Some((Format::Png, false))),
            ("image/png", Some(Format::Jpeg), None),
            ("image/avif", None, None),
            ("image/png;q=0", None, None),
        ];
        for (accept, named, expected) in cases {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            let wanted = Wanted::of(&headers, named);
            assert_eq!(wanted.ok().map(|wanted| (wanted.format, wanted.json)), expected, "{accept} {named:?}");
        }
    }
}
