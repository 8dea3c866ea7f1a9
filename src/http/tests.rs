use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::lifecycle::{Latch, Lifecycle};

/// A server on a free port of loopback, asked over real TCP.
pub(super) struct Bench {
    runtime: tokio::runtime::Runtime,
    lifecycle: Lifecycle,
    start: Option<Latch>,
    pub(super) status: Status,
    server: Server,
}

pub(super) fn settings(listen: &str, tokens_file: Option<PathBuf>) -> Settings {
    Config { listen: listen.to_owned(), tokens_file, allow_plain: true, ..Config::default() }.resolve(None).unwrap()
}

fn serve(settings: Settings) -> Bench {
    serve_with(settings, Router::new())
}

pub(super) fn serve_with(settings: Settings, api: Router) -> Bench {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (lifecycle, start) = Lifecycle::start();
    let watched = lifecycle.clone();
    let status = Status {
        lifecycle: lifecycle.clone(),
        exporter: crate::metrics::install().unwrap(),
        boot_id: "b-1".to_owned(),
        onnxruntime: Some("1.28.0".to_owned()),
        health: Arc::new(move || match watched.phase() {
            crate::lifecycle::Phase::Stopped => Err("stopped".to_owned()),
            _ => Ok(()),
        }),
        tally: Arc::new(Tally::new(Instant::now())),
    };
    let app = App { status: status.clone(), api, open: &["/open"], unlimited: &["/free"] };
    let server = Server::start(settings, app, runtime.handle()).unwrap();
    Bench { runtime, lifecycle, start: Some(start), status, server }
}

/// Status, head and body of the answer to a request.
pub(super) fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

impl Bench {
    pub(super) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    pub(super) fn reload(&mut self, settings: Settings) {
        self.server.reload(settings).unwrap();
    }

    pub(super) fn check(&self, method: &str, path: &str, headers: &str) -> (u16, String, String) {
        ask(self.server.local_addr(), method, path, headers)
    }
}

#[test]
fn readiness_follows_the_latches_and_liveness_the_health() {
    let mut bench = serve(settings("127.0.0.1:0", None));
    let (status, _, body) = bench.check("GET", "/readyz", "");
    assert_eq!(status, 503);
    assert!(body.contains("starting, waiting for: start"), "{body}");
    bench.start.take().unwrap().open();
    assert_eq!(bench.check("GET", "/readyz", "").0, 200);
    bench.lifecycle.drain();
    assert_eq!(bench.check("GET", "/readyz", "").0, 503);
    assert_eq!(bench.check("GET", "/livez", "").0, 200);
    bench.lifecycle.stopped();
    assert_eq!(bench.check("GET", "/livez", "").0, 503);
}

#[test]
fn version_and_metrics_are_served() {
    let bench = serve(settings("localhost:0", None));
    let (status, _, body) = bench.check("GET", "/version", "");
    let version: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "name": "visor", "version": env!("CARGO_PKG_VERSION"), "boot_id": "b-1", "onnxruntime": "1.28.0"
    });
    assert_eq!((status, version), (200, expected));
    let (status, head, body) = bench.check("GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("visor_http_requests_total{status=\"200\"}"), "{body}");
}

#[test]
fn errors_are_problems() {
    let bench = serve(settings("127.0.0.1:0", None));
    for (method, path, expected) in [("GET", "/nothing", 404), ("POST", "/livez", 405), ("DELETE", "/nothing", 404)] {
        let (status, head, body) = bench.check(method, path, "");
        assert_eq!(status, expected);
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        assert_eq!(head.contains("allow: get"), expected == 405, "{head}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], expected);
    }
    assert_eq!(bench.check("HEAD", "/livez", "").2, "");
}

#[test]
fn a_foreign_host_name_is_refused_on_loopback() {
    let bench = serve(settings("127.0.0.1:0", None));
    assert_eq!(bench.check("GET", "/livez", "Host: evil.example\r\n").0, 421);
    assert_eq!(bench.check("GET", "http://evil.example/livez", "").0, 421);
    assert_eq!(bench.check("GET", "/livez", "Host: localhost:1\r\n").0, 200);
}

#[test]
fn an_address_beyond_loopback_needs_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "a-token-of-some-length\n").unwrap();
    let mut bench = serve(settings("0.0.0.0:0", Some(file.clone())));
    let address = SocketAddr::from(([127, 0, 0, 1], bench.server.local_addr().port()));
    let (status, head, _) = ask(address, "GET", "/metrics", "");
    assert_eq!(status, 401);
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    assert_eq!(ask(address, "GET", "/livez", "Authorization: Bearer wrong-token-of-length\r\n").0, 401);
    assert_eq!(ask(address, "GET", "/livez", "Authorization: Bearer a-token-of-some-length\r\n").0, 200);
    assert_eq!(
        ask(address, "GET", "/livez", "Host: visor.lan\r\nAuthorization: bearer a-token-of-some-length\r\n").0,
        200
    );
    std::fs::write(&file, "another-token-of-length\n").unwrap();
    bench.server.reload(settings("0.0.0.0:0", Some(file))).unwrap();
    assert_eq!(ask(address, "GET", "/livez", "Authorization: Bearer a-token-of-some-length\r\n").0, 401);
    assert_eq!(ask(address, "GET", "/livez", "Authorization: Bearer another-token-of-length\r\n").0, 200);
}

#[test]
fn a_reload_rebinds_and_a_failed_one_changes_nothing() {
    let mut bench = serve(settings("127.0.0.1:0", None));
    let first = bench.server.local_addr();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let fault = bench.server.reload(settings(&taken.local_addr().unwrap().to_string(), None)).unwrap_err();
    assert!(fault.to_string().contains("set http.listen to a free address"), "{fault}");
    assert_eq!(bench.check("GET", "/livez", "").0, 200);
    bench
        .server
        .reload(settings("[::1]:0", None))
        .or_else(|_| bench.server.reload(settings("127.0.0.2:0", None)))
        .unwrap();
    assert_ne!(bench.server.local_addr(), first);
    assert_eq!(bench.check("GET", "/livez", "").0, 200);
    assert!(TcpStream::connect(first).is_err());
}

#[test]
fn a_reload_goes_from_loopback_to_everywhere_on_the_same_port() {
    let mut bench = serve(settings("127.0.0.1:0", None));
    let first = bench.server.local_addr();
    let listen = SocketAddr::from(([0, 0, 0, 0], first.port()));
    let everywhere = Settings { listen, ..settings("127.0.0.1:0", None) };
    bench.server.reload(everywhere.clone()).unwrap();
    assert_eq!(bench.server.local_addr(), everywhere.listen);
    assert_eq!(ask(first, "GET", "/livez", "").0, 200);
}

#[test]
fn a_stopped_server_closes_idle_connections() {
    let bench = serve(settings("127.0.0.1:0", None));
    let address = bench.server.local_addr();
    let mut idle = TcpStream::connect(address).unwrap();
    write!(idle, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = vec![0; 15];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    bench.server.stop();
    let mut rest = String::new();
    idle.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("ok\n"), "{rest}");
    assert!(TcpStream::connect(address).is_err());
    drop(bench.runtime);
}

#[test]
fn an_address_without_tokens_or_sense_is_refused() {
    for (listen, expected) in [
        ("0.0.0.0:8080", "listen: 0.0.0.0:8080 can be reached from outside this machine, and no tokens_file is set"),
        ("[::]:8080", "listen: [::]:8080 can be reached"),
        ("8080", "listen: \"8080\" is not an address with a port"),
        ("example.org:80", "is not an address with a port"),
    ] {
        let config = Config { listen: listen.to_owned(), allow_plain: true, ..Config::default() };
        let problems = config.resolve(None).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains(expected), "{}", problems[0]);
    }
    let config = Config {
        listen: "nowhere".to_owned(),
        tokens_file: Some("/nonexistent".into()),
        users_file: Some("/nonexistent".into()),
        certificate: Some("/nonexistent".into()),
        session: crate::units::Period::millis(1),
        fetch_allow: vec!["nas.lan".to_owned(), "http://nas.lan/".to_owned()],
        ..Config::default()
    };
    let problems = config.resolve(None).unwrap_err();
    assert_eq!(
        problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(),
        ["listen", "tokens_file", "users_file", "private_key", "fetch_allow[1]", "session"]
    );
}

#[test]
fn the_console_opens_from_a_link_and_for_whoever_has_no_token() {
    let bench = serve(settings("127.0.0.1:0", None));
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let (status, head, body) = bench.check("GET", "/", link);
    assert_eq!(status, 200);
    assert!(
        head.contains("script-src 'self'; style-src 'self'; ") && head.contains("cache-control: no-cache"),
        "{head}"
    );
    assert!(head.contains("etag: \"") && body.contains("<title>Visor</title>"), "{head}");
    assert_eq!(bench.check("GET", "/version", link).0, 403);
    let frame = link.replace("document", "iframe");
    assert_eq!(bench.check("GET", "/", &frame).0, 403);
    assert_eq!(bench.check("GET", "/console/js/main.js", "Sec-Fetch-Site: cross-site\r\n").0, 403);
    assert_eq!(bench.check("GET", "/console/js/nothing.js", "").0, 404);

    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "a-token-that-is-long-enough viewer\n").unwrap();
    let guarded = serve(settings("127.0.0.1:0", Some(tokens)));
    assert_eq!(guarded.check("GET", "/", "").0, 200);
    assert_eq!(guarded.check("GET", "/console/css/base.css", "").0, 200);
    assert_eq!(guarded.check("GET", "/version", "").0, 401);
}
