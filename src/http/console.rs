//! The console: a page that watches and runs the daemon over the same API. Its files lie in `console/` and are part of the
//! program; they hold nothing about anybody, so that whoever reaches the address may have them.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::ProblemJson;

/// The page, and where its files are.
pub(super) const PATHS: [&str; 2] = ["/", "/console/{*file}"];

/// What the page may do: run its own files, ask this server, show pictures that it was given, and nothing else. Text
/// never becomes markup or script, by `require-trusted-types-for`; the policy `visor` names the worker's file.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types visor";

/// In a debug build they are read from the folder at each request.
#[derive(RustEmbed)]
#[folder = "console/"]
struct Files;

/// Marks an answer that the page is made of: browsers may keep it, and ask whether it still holds.
#[derive(Clone, Copy)]
pub(super) struct Asset;

/// The page and its files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let [page, files] = PATHS;
    Router::new().route(page, get(index)).route(files, get(file))
}

async fn index(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    answer(&file, &headers)
}

fn answer(name: &str, asked: &HeaderMap) -> Response {
    let found = kind(name).and_then(|kind| Some((kind, Files::get(name)?)));
    let Some((kind, file)) = found else {
        return ProblemJson::new(StatusCode::NOT_FOUND, "the console has no such file").into_response();
    };
    let tag = tag(&file);
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut answer = match known {
        Some(tags) if tags.split(',').any(|one| one.trim() == tag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => ([(header::CONTENT_TYPE, kind)], Body::from(file.data.into_owned())).into_response(),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.extensions_mut().insert(Asset);
    answer
}

fn tag(file: &EmbeddedFile) -> String {
    let hex: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// The content type; of what has none here nothing is served.
fn kind(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all files may weigh together.
    const MOST_BYTES: usize = 300_000;

    fn names() -> Vec<String> {
        Files::iter().map(|name| name.into_owned()).collect()
    }

    #[test]
    fn every_file_has_a_type_and_all_are_light() {
        assert!(names().iter().any(|name| name == "index.html"));
        assert!(names().iter().all(|name| kind(name).is_some()), "{:?}", names());
        let bytes: usize = names().iter().filter_map(|name| Files::get(name)).map(|file| file.data.len()).sum();
        assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    }

    #[test]
    fn nothing_is_written_into_the_page_as_markup_or_taken_from_elsewhere() {
        for name in names().iter().filter(|name| !name.ends_with(".png")) {
            let file = Files::get(name).unwrap();
            let text = std::str::from_utf8(&file.data).unwrap();
            let markup = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "javascript:"];
            let inline = [" style=\"", " onclick=", " onload="];
            let found: Vec<_> = markup.iter().chain(&inline).filter(|word| text.contains(**word)).collect();
            assert!(found.is_empty(), "{name}: {found:?}");
            let addresses =
                text.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://"));
            let elsewhere: Vec<_> = addresses.filter(|rest| !rest.starts_with("://www.w3.org/2000/svg")).collect();
            assert!(elsewhere.is_empty(), "{name}: {}", elsewhere.len());
        }
    }

    #[test]
    fn a_file_that_is_known_already_is_not_sent_again() {
        let fresh = answer("index.html", &HeaderMap::new());
        let tag = fresh.headers()[header::ETAG].clone();
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(fresh.status(), StatusCode::OK);
        assert_eq!(answer("index.html", &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("js/main.js", &asked).status(), StatusCode::OK);
        for name in ["nothing.js", "../Cargo.toml", "README"] {
            assert_eq!(answer(name, &asked).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}
