use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use rstest::rstest;
use secrecy::SecretString;

use super::tests::{Bench, ask, serve_with, settings};
use super::users::tests::SESAME;
use super::*;
use crate::clock::Laps;

/// Some routes as the API might have them.
fn api() -> Router {
    Router::new()
        .route(
            "/who",
            get(|Extension(who): Extension<Principal>| async move { format!("{} {}", who.role, who.sees("front")) }),
        )
        .route("/read", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/plain", get(|| async { (StatusCode::IM_A_TEAPOT, "in a library's words") }))
        .route("/page", get(|| async { axum::response::Html("<p>") }))
        .route("/timed", get(timed))
        .route("/free", get(|| async { "free" }))
        .route("/open", post(log_in))
}

async fn timed() -> (Extension<Laps>, &'static str) {
    let mut laps = Laps::default();
    laps.add("decode", Duration::from_millis(3));
    (Extension(laps), "done")
}

/// The body is a name, a blank, a password.
pub(super) async fn log_in(
    Extension(logins): Extension<Logins>,
    Extension(peer): Extension<Peer>,
    body: String,
) -> Result<String, ProblemJson> {
    let (name, password) = body.split_once(' ').unwrap();
    logins.log_in(name.to_owned(), SecretString::from(password), peer.0.ip()).await.map(|login| login.token)
}

pub(super) fn post_to(address: SocketAddr, path: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len()).unwrap();
    stream.write_all(b"Connection: close\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A server on loopback that asks for these tokens and users.
fn guarded(tokens: &str, users: &str, session: Duration) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        Some(file).filter(|_| !text.is_empty())
    };
    let config = Config {
        listen: "127.0.0.1:0".to_owned(),
        tokens_file: file("tokens", tokens),
        users_file: file("users", users),
        ..Config::default()
    };
    serve_with(Settings { session, ..config.resolve(None).unwrap() }, api())
}

#[test]
fn each_token_has_its_rights() {
    let tokens = "token-of-the-viewer\ntoken-of-the-admin admin\ntoken-of-the-gate operator back\n";
    let bench = guarded(tokens, "", Duration::from_secs(60));
    let who = |token: &str| bench.check("GET", "/who", &bearer(token));
    assert_eq!(who("token-of-the-viewer").2, "viewer true");
    assert_eq!(who("token-of-the-admin").2, "admin true");
    assert_eq!(who("token-of-the-gate").2, "operator false");
    let (status, head, _) = who("token-of-nobody");
    assert_eq!(status, 401);
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    for header in
        ["", "Authorization: Basic dG9rZW4=\r\n", "Authorization: token-of-the-admin\r\n", "Authorization: Bearer\r\n"]
    {
        assert_eq!(bench.check("GET", "/who", header).0, 401, "{header}");
    }
    assert_eq!(bench.check("GET", "/nothing", "").0, 401, "what there is is nobody's business either");
}

#[test]
fn a_login_lets_in_for_a_while() {
    let bench = guarded("", &format!("ann:operator:front:{SESAME}"), Duration::from_secs(2));
    let address = bench.address();
    assert_eq!(bench.check("GET", "/who", "").0, 401);
    assert_eq!(post_to(address, "/open", b"ann open barley").0, 401);
    assert_eq!(post_to(address, "/open", b"eve open sesame").0, 401);
    let (status, _, token) = post_to(address, "/open", b"ann open sesame");
    assert_eq!(status, 200);
    assert_eq!(bench.check("GET", "/who", &bearer(&token)).2, "operator true");
    assert_eq!(bench.check("GET", "/who", &bearer(&format!("{token}x"))).0, 401);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let expired = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(300));
        bench.check("GET", "/who", &bearer(&token))
    });
    let mut expired = expired.take_while(|_| std::time::Instant::now() < deadline);
    assert!(expired.any(|(status, _, body)| status == 401 && body.contains("the login has expired; log in again")));
}

#[test]
fn guessing_a_password_is_slow() {
    let bench = guarded("", &format!("ann:admin:{SESAME}"), Duration::from_secs(60));
    let tries: Vec<u16> = (0..8).map(|_| post_to(bench.address(), "/open", b"ann open barley").0).collect();
    assert!(tries.starts_with(&[401; 5]), "{tries:?}");
    let (status, head, _) = post_to(bench.address(), "/open", b"ann open sesame");
    assert!(status == 429 && head.contains("retry-after: "), "{head}");
}

#[test]
fn nobody_logs_in_where_nobody_may() {
    let bench = serve_with(settings("127.0.0.1:0", None), api());
    assert_eq!(post_to(bench.address(), "/open", b"ann open sesame").0, 404);
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let rate = Rate { per_second: 0.001, burst: 3 };
    let bench = serve_with(Settings { rate, ..settings("127.0.0.1:0", None) }, api());
    let asked: Vec<u16> = (0..5).map(|_| bench.check("GET", "/who", "").0).collect();
    assert_eq!(asked, [200, 200, 200, 429, 429]);
    let (_, head, body) = bench.check("GET", "/who", "");
    assert!(head.contains("retry-after: ") && head.contains("application/problem+json"), "{head}");
    assert!(body.contains("too many requests"), "{body}");
    for path in ["/livez", "/readyz", "/health/live", "/metrics", "/metrics/prometheus", "/version", "/free"] {
        assert_ne!(bench.check("GET", path, "").0, 429, "{path}");
    }
    // Decided before the body is read, and the answer arrives although the client has gone on sending.
    let (status, _, body) = post_to(bench.address(), "/read", &vec![0; 3 << 20]);
    assert!(status == 429 && body.contains("try again in"), "{status} {body}");
}

#[test]
fn guessing_tokens_takes_the_allowance_of_no_one_else() {
    let tokens = "token-of-the-viewer\n";
    let bench = guarded(tokens, "", Duration::from_secs(60));
    let guessed: Vec<u16> =
        (0..30).map(|n| bench.check("GET", "/who", &bearer(&format!("guess-number-{n:04}"))).0).collect();
    assert!(guessed.contains(&401) && guessed.contains(&429), "{guessed:?}");
    assert_eq!(bench.check("GET", "/who", &bearer("token-of-the-viewer")).0, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let body_timeout = Duration::from_millis(200);
    let bench = serve_with(Settings { body_timeout, ..settings("127.0.0.1:0", None) }, api());
    let mut stream = TcpStream::connect(bench.address()).unwrap();
    write!(stream, "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(post_to(bench.address(), "/read", b"whole").2, "5");
}

#[rstest]
#[case("Origin: http://evil.example\r\n", 403)]
#[case("Origin: null\r\n", 403)]
#[case("Origin: http://localhost:3000\r\n", 403)]
#[case("Sec-Fetch-Site: cross-site\r\n", 403)]
#[case("Sec-Fetch-Site: none\r\n", 200)]
#[case("Host: localhost:1\r\nOrigin: http://localhost:1\r\nSec-Fetch-Site: same-origin\r\n", 200)]
fn web_pages_do_not_reach_loopback(#[case] headers: &str, #[case] expected: u16) {
    let bench = serve_with(settings("127.0.0.1:0", None), api());
    assert_eq!(bench.check("GET", "/who", headers).0, expected, "{headers}");
}

#[test]
fn every_answer_tells_browsers_what_not_to_do() {
    let bench = serve_with(settings("127.0.0.1:0", None), api());
    for path in ["/who", "/nothing", "/metrics"] {
        let (_, head, _) = bench.check("GET", path, "");
        for line in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "server-timing: total;dur=",
        ] {
            assert!(head.contains(line), "{path} {line}: {head}");
        }
        assert!(!head.contains("strict-transport-security"), "{head}");
    }
    assert!(bench.check("GET", "/page", "").1.contains("script-src 'self'"));
    assert!(bench.check("GET", "/timed", "").1.contains("server-timing: decode;dur=3.00, total;dur="));
}

#[test]
fn errors_in_plain_words_become_problems() {
    let bench = serve_with(settings("127.0.0.1:0", None), api());
    let (status, head, body) = bench.check("GET", "/plain", "");
    assert!(status == 418 && head.contains("application/problem+json"), "{head}");
    assert!(body.contains("\"detail\":\"in a library's words\""), "{body}");
}

#[test]
fn requests_are_counted_by_pattern_and_not_by_what_clients_write() {
    let bench = serve_with(settings("127.0.0.1:0", None), api());
    bench.check("GET", "/who", "");
    bench.check("BREW", "/who", "");
    bench.check("GET", "/somebody/4711", "");
    let (_, _, page) = bench.check("GET", "/metrics", "");
    assert!(page.contains("visor_http_request_seconds_count{route=\"/who\",method=\"GET\"}"), "{page}");
    assert!(page.contains("visor_http_request_seconds_count{route=\"none\",method=\"GET\"}"), "{page}");
    assert!(!page.contains("4711") && !page.contains("BREW"), "{page}");
    assert!(bench.status.requests().total >= 4);
    let (_, head, body) = bench.check("GET", "/metrics", "Accept: application/json\r\n");
    assert!(head.contains("content-type: application/json"), "{head}");
    let metrics: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(metrics["metrics"].as_array().is_some_and(|list| !list.is_empty()));
}

#[test]
fn a_head_without_end_is_refused() {
    let bench = serve_with(settings("127.0.0.1:0", None), api());
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    for head in [format!("X-Long: {}\r\n", "x".repeat(100_000)), many] {
        let mut stream = TcpStream::connect(bench.address()).unwrap();
        let _ = write!(stream, "GET /who HTTP/1.1\r\nHost: localhost\r\n{head}\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(ask(bench.address(), "GET", "/who", "").0, 200);
}

#[test]
fn admission_has_so_many_places() {
    let admission = Admission::new(2);
    let (first, _second) = (admission.enter().unwrap(), admission.enter().unwrap());
    let refused = admission.enter().unwrap_err();
    assert_eq!((refused.status, refused.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
    drop(first);
    assert!(admission.enter().is_ok());
    admission.set_places(1);
    let _only = admission.enter().unwrap();
    assert!(admission.enter().is_err());
}

#[test]
fn systemd_may_hold_the_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let resolve = |listen: &str| {
        let config = Config { listen: listen.to_owned(), allow_plain: true, ..Config::default() };
        config.resolve(Some(folder.path()))
    };
    assert!(resolve("127.0.0.1:0").unwrap().tokens.is_none());
    assert!(resolve("0.0.0.0:0").is_err());
    std::fs::write(folder.path().join("http-tokens"), "a-token-of-some-length admin\n").unwrap();
    assert!(resolve("0.0.0.0:0").unwrap().tokens.is_some());
}

#[test]
fn an_address_beyond_loopback_needs_a_certificate_or_a_waiver() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "a-token-of-some-length\n").unwrap();
    let config = Config { listen: "0.0.0.0:0".to_owned(), tokens_file: Some(tokens), ..Config::default() };
    let problems = config.resolve(None).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("http.allow_plain = true"), "{}", problems[0]);
    assert!(Config { allow_plain: true, ..config }.resolve(None).is_ok());
}
