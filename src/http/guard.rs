//! Who may ask: a token where the address is reachable from outside, a loopback `Host` where it is not.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::ProblemJson;
use super::{Principal, Settings};
use crate::fault::Problem;

/// A shorter token could be guessed.
const MIN_TOKEN_CHARS: usize = 16;

/// The tokens that let in, as hashes: the process keeps no token in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens(Vec<[u8; 32]>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl Tokens {
    /// Reads a file of tokens: one a line, or `sha256:` with a token's hash in hex; `#` begins a comment line.
    ///
    /// # Errors
    /// The file cannot be read, has no token or a wrong line; the problem names the line, never its text.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let wrong = |what: String| Problem::new("tokens_file", format!("{}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|e| {
            wrong(e.to_string()).remedy("name a file that the daemon's user can read, with one token a line")
        })?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let hashes: Result<Vec<_>, String> = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(index, line)| hash_of_line(line).map_err(|what| format!("line {}: {what}", index + 1)))
            .collect();
        let hashes = hashes?;
        if hashes.is_empty() { Err("holds no token".to_owned()) } else { Ok(Self(hashes)) }
    }

    /// Whether `token` lets in. Takes the same time whichever token is tried: hashes are compared, and all of them.
    fn admit(&self, token: &str) -> bool {
        let tried = hash(token);
        let differing = |known: &[u8; 32]| known.iter().zip(tried).fold(0, |differs, (a, b)| differs | (a ^ b));
        self.0.iter().fold(false, |found, known| found | (std::hint::black_box(differing(known)) == 0))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn hash_of_line(line: &str) -> Result<[u8; 32], String> {
    let Some(hex) = line.strip_prefix("sha256:") else {
        if line.chars().count() < MIN_TOKEN_CHARS || line.contains(char::is_whitespace) {
            return Err(format!("a token has at least {MIN_TOKEN_CHARS} characters and no blanks"));
        }
        return Ok(hash(line));
    };
    let mut bytes = [0; 32];
    let digits = hex.as_bytes().iter().map(|b| char::from(*b).to_digit(16)).collect::<Option<Vec<_>>>();
    let digits = digits.filter(|d| d.len() == 64).ok_or("sha256: needs 64 hex digits")?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (pair[0] * 16 + pair[1]) as u8;
    }
    Ok(bytes)
}

/// Lets a request through, or answers it.
pub(super) async fn guard(
    State(settings): State<Arc<ArcSwap<Settings>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let refused = {
        let settings = settings.load();
        check_host(&settings, &request).and_then(|()| check_token(&settings, &request)).err()
    };
    match refused {
        Some(problem) => problem.into_response(),
        None => {
            request.extensions_mut().insert(Principal::LOCAL);
            next.run(request).await
        }
    }
}

/// Any web page may make a browser send requests to a name that it points at 127.0.0.1; the name gives it away.
fn check_host(settings: &Settings, request: &Request) -> Result<(), ProblemJson> {
    if !settings.listen.ip().is_loopback() {
        return Ok(());
    }
    let header = request.headers().get(header::HOST).map(|h| h.to_str().unwrap_or("?"));
    let hosts = [request.uri().authority().map(|a| a.as_str()), header];
    if hosts.into_iter().flatten().all(is_loopback_name) {
        return Ok(());
    }
    let detail = "this address answers only to localhost, 127.0.0.1 and [::1] as host names";
    Err(ProblemJson::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

fn is_loopback_name(authority: &str) -> bool {
    let port_begins = authority.rfind(':').filter(|colon| authority[*colon + 1..].bytes().all(|b| b.is_ascii_digit()));
    let host = match port_begins {
        Some(colon) if authority.starts_with('[') || authority.matches(':').count() == 1 => &authority[..colon],
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

fn check_token(settings: &Settings, request: &Request) -> Result<(), ProblemJson> {
    let Some(tokens) = &settings.tokens else { return Ok(()) };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
    let token = given.and_then(|h| h.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if token.is_some_and(|(_, token)| tokens.admit(token.trim())) {
        return Ok(());
    }
    let detail = "a token is needed: Authorization: Bearer …, with one of http.tokens_file";
    Err(ProblemJson::new(StatusCode::UNAUTHORIZED, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_lines_or_hashes() {
        let text = "# home assistant\n\nsixteen-letters-x\nsha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n";
        let tokens = Tokens::parse(text).unwrap();
        assert!(tokens.admit("sixteen-letters-x"));
        assert!(tokens.admit("test"));
        assert!(!tokens.admit("sixteen-letters-y"));
        assert!(!tokens.admit(""));
        assert_eq!(format!("{tokens:?}"), "2 tokens");
    }

    #[test]
    fn a_wrong_token_file_is_told_by_line_and_not_by_text() {
        for (text, expected) in [
            ("", "holds no token"),
            ("# only a comment\n", "holds no token"),
            ("a-good-long-token-1\nhunter2\n", "line 2: a token has at least 16 characters and no blanks"),
            ("two words of some length", "line 1: a token has at least 16 characters and no blanks"),
            ("sha256:12ab", "line 1: sha256: needs 64 hex digits"),
        ] {
            assert_eq!(Tokens::parse(text), Err(expected.to_owned()));
        }
    }

    #[test]
    fn only_loopback_names_are_loopback() {
        for good in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:80", "?", ""]
        {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }
}
