//! Who may ask what over HTTP: a daemon that is asked with every right there is, over TLS, too often, and with curl.
#![cfg(feature = "media")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::support::daemon::{Daemon, checkout, models, sample, sample_people, visor};
use super::support::listener::Listener;
use super::support::wait::eventually;

/// The hash of "open sesame": printf 'open sesame' | argon2 somesalt -id -t 1 -k 64 -e
const SESAME: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$LZw8QEfBHW9tuI3M0fy1MTUbB4Uakofb4BnzuEdIrdI";

const TOKENS: &str = "viewer-of-all-things\noperator-of-all-of-it operator\nadmin-of-all-things admin\n\
                      admin-of-the-back-only admin back\n";

/// A folder with tokens and users, and the `[http]` that names them.
fn access(rest: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokens"), TOKENS).unwrap();
    std::fs::write(folder.path().join("users"), format!("ann:viewer:{SESAME}\n")).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (tokens, users) = (file("tokens"), file("users"));
    let http = format!("[http]\ntokens_file = \"{tokens}\"\nusers_file = \"{users}\"\n{rest}");
    (folder, format!("{http}{}[cameras.front]\nuri = \"test:\"\n", models()))
}

/// Where it listens, as somebody on this machine reaches it.
fn address(daemon: &Daemon) -> String {
    eventually("an address for http", || daemon.address()).replace("0.0.0.0", "127.0.0.1")
}

/// The status of an answer: its first line is all that is read.
fn ask(address: &str, method: &str, path: &str, token: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}Content-Length: 0\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{method} {path}: {line:?}"))
}

/// curl's standard output; the answer's head comes first with `-i`.
fn curl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).stderr(Stdio::null()).output();
    let output = output.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn log_in(address: &str) -> String {
    let (_, answer) = curl(&[
        "-H",
        "Content-Type: application/json",
        "-d",
        r#"{"name":"ann","password":"open sesame"}"#,
        &format!("http://{address}/api/v1/auth/login"),
    ]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["role"], &answer["token_type"]), (&"viewer".into(), &"Bearer".into()), "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

/// A route of the description.
struct Route {
    method: String,
    path: String,
    /// `None` where everybody may ask.
    role: Option<String>,
}

/// What stands in the description, so that no route can be forgotten here. Those that erase come last.
fn routes() -> Vec<Route> {
    let text = std::fs::read_to_string(checkout("config/openapi.json")).unwrap();
    let description: Value = serde_json::from_str(&text).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array();
            let security = security.unwrap_or_else(|| panic!("{method} {path} does not say who may ask"));
            let role = security.first().map(|one| one["token"][0].as_str().unwrap().to_owned());
            let path = path.replace("/cameras/{id}", "/cameras/front");
            let named = |part: &str| if part.starts_with('{') { "x".to_owned() } else { part.to_owned() };
            let path = path.split('/').map(named).collect::<Vec<_>>().join("/");
            routes.push(Route { method: method.to_uppercase(), path, role });
        }
    }
    routes.sort_by_key(|route| route.method == "DELETE");
    routes
}

#[test]
fn every_route_lets_in_whom_it_says() {
    if sample().is_none() {
        return;
    }
    let (_folder, config) = access("listen = \"127.0.0.1:0\"\nrate = 0\nsession = \"1s\"\n");
    let daemon = Daemon::start(&config);
    let address = address(&daemon);
    eventually("the daemon to be ready", || {
        (ask(&address, "GET", "/readyz", Some("viewer-of-all-things")) == 200).then_some(())
    });
    let login = log_in(&address);
    eventually("the login to expire", || (ask(&address, "GET", "/version", Some(&login)) == 401).then_some(()));
    let ranks = ["viewer", "operator", "admin"];
    let tokens = ["viewer-of-all-things", "operator-of-all-of-it", "admin-of-all-things"];
    let routes = routes();
    assert!(routes.len() > 10 && routes.iter().any(|route| route.role.as_deref() == Some("operator")));
    for Route { method, path, role } in &routes {
        let status = |token| ask(&address, method, path, token);
        for token in [None, Some("nobody-has-this-token"), Some(login.as_str())] {
            assert_eq!(status(token) == 401, role.is_some(), "{method} {path} with {token:?}");
        }
        let Some(role) = role else { continue };
        if path.contains("/cameras/front") {
            let hidden = status(Some("admin-of-the-back-only"));
            assert!(matches!(hidden, 403 | 404), "{method} {path} of another camera: {hidden}");
        }
        let least = ranks.iter().position(|rank| rank == role).unwrap();
        for (rank, token) in tokens.into_iter().enumerate() {
            let status = status(Some(token));
            if rank < least {
                assert_eq!(status, 403, "{method} {path} as {}", ranks[rank]);
            } else {
                assert!(!matches!(status, 401 | 403 | 500), "{method} {path} as {}: {status}", ranks[rank]);
            }
        }
    }
    for path in
        ["/livez", "/readyz", "/metrics", "/metrics/prometheus", "/health", "/version", "/docs/", "/openapi.json"]
    {
        assert_eq!(ask(&address, "GET", path, None), 401, "{path}");
        assert_eq!(ask(&address, "GET", path, Some("viewer-of-all-things")), 200, "{path}");
    }
    let secrets = ["viewer-of-all-things", "open sesame", "nobody-has-this-token", login.as_str()];
    let log = format!("{:?}", daemon.log());
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    assert!(daemon.stop().success());
}

/// A certificate for this machine that signed itself.
fn certify(folder: &Path) -> bool {
    let request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
                   -keyout key.pem -out certificate.pem";
    let mut openssl = Command::new("openssl");
    let made = openssl.args(request.split_whitespace()).current_dir(folder).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

#[test]
fn an_address_for_everybody_is_encrypted_and_its_certificate_renewed() {
    if sample().is_none() {
        return;
    }
    let pem = tempfile::tempdir().unwrap();
    if !certify(pem.path()) {
        return eprintln!("skipped: openssl makes no certificates here");
    }
    let file = |name: &str| pem.path().join(name).display().to_string();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    let tls = format!("listen = \"0.0.0.0:0\"\ncertificate = \"{certificate}\"\nprivate_key = \"{key}\"\n");
    let (_folder, config) = access(&tls);
    let daemon = Daemon::start(&config);
    let address = address(&daemon);
    let url = format!("https://{address}/version");
    let admin = "Authorization: Bearer admin-of-all-things";
    let with = |certificate: &str| curl(&["-i", "--cacert", certificate, "-H", admin, &url]);
    let (encrypted, answer) = with(&certificate);
    assert!(encrypted && answer.contains("200 OK") && answer.contains("\"name\":\"visor\""), "{answer}");
    assert!(answer.to_lowercase().contains("strict-transport-security: max-age"), "{answer}");
    assert!(curl(&["-i", "--cacert", &certificate, &url]).1.contains("401 Unauthorized"));
    assert!(!curl(&["-H", admin, &format!("http://{address}/version")]).0, "in the clear");
    assert!(!curl(&["--tls-max", "1.1", "--cacert", &certificate, "-H", admin, &url]).0, "an old protocol");
    // Somebody who never shakes hands is in nobody's way.
    let _silent = TcpStream::connect(&address).unwrap();
    let old = pem.path().join("old.pem").display().to_string();
    std::fs::copy(&certificate, &old).unwrap();
    assert!(certify(pem.path()));
    daemon.reload(&config);
    eventually("the new certificate", || with(&certificate).0.then_some(()));
    assert!(!with(&old).0, "the old one is shown no more");
    assert!(daemon.stop().success());
}

#[test]
fn whoever_asks_too_often_waits_and_health_is_free() {
    if sample().is_none() {
        return;
    }
    let (_folder, config) = access("listen = \"127.0.0.1:0\"\nrate = 0.01\nburst = 5\n");
    let daemon = Daemon::start(&config);
    let address = address(&daemon);
    let viewer = Some("viewer-of-all-things");
    let asked: Vec<u16> = (0..8).map(|_| ask(&address, "GET", "/api/v1/stats", viewer)).collect();
    assert_eq!(asked, [200, 200, 200, 200, 200, 429, 429, 429]);
    for path in ["/api/v1/health/live", "/api/v1/metrics", "/api/v1/metrics/prometheus", "/metrics", "/livez"] {
        assert_eq!(ask(&address, "GET", path, viewer), 200, "{path}");
    }
    let bearer = "Authorization: Bearer operator-of-all-of-it";
    let url = |path: &str| format!("http://{address}/api/v1{path}");
    let (_, stats) = curl(&["-H", bearer, &url("/stats")]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert!(stats["requests"]["total"].as_u64() >= Some(13), "{stats}");
    assert_eq!(stats["requests"]["last_hour"], stats["requests"]["total"], "{stats}");
    let (_, gone) = curl(&["-i", "-H", bearer, &url("/images/2026/face.jpg")]);
    assert!(gone.contains("410 Gone") && gone.contains("none is kept"), "{gone}");
    // A reload changes what holds, without a restart.
    daemon.reload(&config.replace("rate = 0.01", "rate = 0"));
    eventually("the limit to be lifted", || (ask(&address, "GET", "/api/v1/stats", viewer) == 200).then_some(()));
    assert!((0..10).all(|_| ask(&address, "GET", "/api/v1/stats", viewer) == 200));
}

#[test]
fn what_another_camera_sees_does_not_exist_and_a_stream_ends_with_its_rights() {
    let Some(clip) = sample().filter(|_| sample_people().is_some()) else { return };
    let (folder, config) = access("listen = \"127.0.0.1:0\"\nrate = 0\n");
    let config = config.replace("test:", &format!("file://{}\"\nrepeat = true\nsnapshots = \"off", clip.display()));
    let daemon = Daemon::start(&config);
    let address = address(&daemon);
    let asked = |token: &str, method: &str, path: &str, body: &str| {
        let (bearer, url) = (format!("Authorization: Bearer {token}"), format!("http://{address}{path}"));
        let told = ["-w", "\n%{http_code}", "-X", method, "-H", &bearer, "-H", "Content-Type: application/json", &url];
        let body = if body.is_empty() { vec![] } else { vec!["-d", body] };
        let (_, answer) = curl(&[&told[..], &body].concat());
        let (body, status) = answer.rsplit_once('\n').unwrap();
        (status.parse::<u16>().unwrap(), body.to_owned())
    };
    let (all, back) = ("admin-of-all-things", "admin-of-the-back-only");
    let strangers = |token| serde_json::from_str::<Value>(&asked(token, "GET", "/api/v1/strangers", "").1).unwrap();
    let alias = eventually("a stranger at the front", || {
        let stranger = strangers(all)["items"][0].clone();
        (stranger["appearances"].as_u64() > Some(0)).then(|| stranger["alias"].as_str().unwrap().to_owned())
    });
    assert_eq!(strangers(back)["items"], Value::Array(Vec::new()));
    let name = format!("/api/v1/strangers/{alias}/name");
    for path in [&name, &name.replace("name", "merge"), &name.replace("name", "ignore")] {
        let body = if path.ends_with("name") { r#"{"name":"Kim"}"# } else { r#"{"into":"visitor-99"}"# };
        let body = if path.ends_with("ignore") { "{}" } else { body };
        assert_eq!(asked(back, "POST", path, body).0, 404, "{path}");
    }
    assert_eq!(asked(back, "DELETE", "/api/v1/everything", "").0, 403);
    for path in ["/metrics", "/api/v1/metrics", "/api/v1/metrics/prometheus"] {
        let about = |token| asked(token, "GET", path, "").1.contains("visor_frames_captured_total{camera=\"front\"}");
        assert!(path == "/api/v1/metrics" || about(all), "{path}");
        let (status, told) = asked(back, "GET", path, "");
        assert!(status == 200 && told.contains("visor_http_requests_total"), "{path}: {status} {told}");
        assert!(!told.contains("front"), "{path}: {told}");
    }
    assert_eq!(asked(all, "POST", &name, r#"{"name":"Kim"}"#).0, 201);

    // What goes on ends once its token is gone or has other rights, and what has both goes on.
    let at = |token: &str, path: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        let listener = Listener::at(&format!("http://{address}/api/v1{path}"), &[&bearer]);
        listener.line();
        listener
    };
    let gone = [at("operator-of-all-of-it", "/events"), at(all, "/cameras/front/live.mjpeg"), at(all, "/events")];
    let stays = at("viewer-of-all-things", "/events");
    std::fs::write(folder.path().join("tokens"), "viewer-of-all-things\nadmin-of-all-things admin back\n").unwrap();
    daemon.reload(&config);
    assert!(gone.into_iter().all(Listener::ended), "cut off instead of ended");
    assert_eq!(asked("operator-of-all-of-it", "GET", "/version", "").0, 401);
    stays.event();
    assert!(daemon.stop().success());
}

#[test]
fn check_says_who_may_ask_and_what_is_missing() {
    let (folder, config) = access("listen = \"0.0.0.0:8080\"\n");
    let check = |text: &str| {
        let file = folder.path().join("visor.toml");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(visor()).args(["check", "--config"]).arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    };
    let (code, said) = check(&config);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("http.listen") && said.contains("there is no certificate; set http.certificate"), "{said}");
    let (code, said) = check(&config.replace("[http]\n", "[http]\nallow_plain = true\n"));
    assert!(matches!(code, Some(0 | 69)), "{said}");
    assert!(said.contains("http      http://0.0.0.0:8080, 4 tokens, 1 user\n"), "{said}");
    assert!(said.contains("http.allow_plain = true: tokens and pictures can be read on their way"), "{said}");
}
