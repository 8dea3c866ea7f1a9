//! Streams and the rights of those who read them.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use futures_util::stream::unfold;

use super::limits_tests::{log_in, post_to};
use super::tests::{Bench, serve_with, settings};
use super::users::tests::SESAME;
use super::*;

const TOKEN: &str = "a-token-of-some-length";

/// A stream without an end, and without a pause that anybody would notice.
async fn ticks() -> Body {
    Body::from_stream(unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, Infallible>("tick\n"), ()))
    }))
}

fn serve(folder: &Path, token: &str) -> Bench {
    serve_with(guarded(folder, token), Router::new().route("/ticks", get(ticks)).route("/open", post(log_in)))
}

/// Settings that ask for this line of tokens, or for Ann's password.
fn guarded(folder: &Path, token: &str) -> Settings {
    let (tokens, users) = (folder.join("tokens"), folder.join("users"));
    std::fs::write(&tokens, format!("{token}\nsomebody-else-has-this admin\n")).unwrap();
    std::fs::write(&users, format!("ann:viewer:{SESAME}\n")).unwrap();
    let users = Some(Users::read(&users).unwrap());
    Settings { users, session: Duration::from_secs(4), ..settings("127.0.0.1:0", Some(tokens)) }
}

/// An answer to `/ticks` of which the first part has come.
fn listen(address: SocketAddr, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET /ticks HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"tick\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads on until the answer has its end, as HTTP marks it.
fn ends(stream: &mut TcpStream) {
    // a part before this one was read to its end
    let mut last = b"\r\n".to_vec();
    while !last.ends_with(b"\r\n0\r\n\r\n") {
        let mut part = [0; 512];
        let read = stream.read(&mut part).expect("an end in time");
        assert!(read > 0, "the connection broke instead");
        last.drain(..last.len().saturating_sub(7));
        last.extend_from_slice(&part[..read]);
    }
}

fn goes_on(stream: &mut TcpStream) {
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        let mut part = [0; 512];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0 && !part[..read].ends_with(b"\r\n0\r\n\r\n"), "it ended");
    }
}

#[test]
fn a_stream_ends_with_the_token_and_with_each_of_its_rights() {
    let folder = tempfile::tempdir().unwrap();
    let before = format!("{TOKEN} operator front,back");
    for after in ["another-token-of-length", TOKEN, &format!("{TOKEN} operator front")] {
        let mut bench = serve(folder.path(), &before);
        let mut stream = listen(bench.address(), TOKEN);
        let same = Settings { rate: Rate { per_second: 9.0, burst: 9 }, ..guarded(folder.path(), &before) };
        bench.reload(same);
        goes_on(&mut stream);
        bench.reload(guarded(folder.path(), after));
        ends(&mut stream);
    }
}

#[test]
fn a_stream_ends_with_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let bench = serve(folder.path(), TOKEN);
    let (status, _, token) = post_to(bench.address(), "/open", b"ann open sesame");
    assert_eq!(status, 200, "{token}");
    ends(&mut listen(bench.address(), &token));
}

#[test]
fn a_stream_ends_where_everybody_was_let_in_and_a_token_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = serve_with(settings("127.0.0.1:0", None), Router::new().route("/ticks", get(ticks)));
    let mut stream = listen(bench.address(), "");
    bench.reload(guarded(folder.path(), TOKEN));
    ends(&mut stream);
}

#[test]
fn a_stream_ends_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = serve(folder.path(), TOKEN);
    let mut stream = listen(bench.address(), TOKEN);
    let listen = SocketAddr::from(([127, 0, 0, 2], 0));
    bench.reload(Settings { listen, ..guarded(folder.path(), TOKEN) });
    ends(&mut stream);
}
