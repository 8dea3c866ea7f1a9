//! Requests and pictures that are broken in every way: an answer to each, never a 500, memory bounded.
#![cfg(feature = "media")]

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use image::{ImageFormat, RgbImage};

use super::support::daemon::{Daemon, checkout, models, sample_people};
use super::support::wait::eventually;

/// What `make soak` sends at least; the tests send what fits in [`SHORT`].
const LONG: usize = 10_000;
const SHORT: Duration = Duration::from_secs(15);

/// Who sends.
const CLIENTS: usize = 4;

/// By how much memory may grow: pictures that wait, and what decoders take.
const GROWTH: usize = 600 << 20;

/// Options that change what is done with a picture.
const VARIANTS: [&str; 7] = [
    "/detect?score=0.2",
    "/mask?kind=pixelate&shape=ellipse&format=png",
    "/mask?who=strangers",
    "/faces/search?top_k=3",
    "/faces/enroll?name=Sam",
    "/faces/enroll?enable_multi_face=true&auto_associate=true",
    "/faces/enroll_async?name=Sam&priority=low",
];

/// Method and path of every route that the published description gives a body, so that none can be forgotten here, and of
/// [`VARIANTS`].
fn paths() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(checkout("config/openapi.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut paths: Vec<_> = VARIANTS.iter().map(|path| ("POST".to_owned(), (*path).to_owned())).collect();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let named = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let path = named.collect::<Vec<_>>().join("/").replacen("/api/v1", "", 1);
        let with_body = methods.as_object().unwrap().iter().filter(|(_, of)| of.get("requestBody").is_some());
        paths.extend(with_body.map(|(method, _)| (method.to_uppercase(), path.clone())));
    }
    for known in ["/detect", "/compare", "/faces/recognize", "/persons/x"] {
        assert!(paths.iter().any(|(_, path)| path == known), "{known} is not in the description");
    }
    paths
}

/// Small pictures in every format, and the sample's face.
fn seeds() -> Option<Vec<Vec<u8>>> {
    let folder = std::fs::read_dir(sample_people()?).unwrap().next().unwrap().unwrap().path();
    let portrait = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let face = image::open(&portrait).unwrap().thumbnail(200, 200).to_rgb8();
    let noise = RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, (x * y) as u8]));
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif];
    let pictures = [face, noise].into_iter().flat_map(|picture| formats.map(|format| (picture.clone(), format)));
    Some(
        pictures
            .map(|(picture, format)| {
                let mut file = Cursor::new(Vec::new());
                picture.write_to(&mut file, format).unwrap();
                file.into_inner()
            })
            .collect(),
    )
}

/// A picture that is no longer what it was.
fn spoiled(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut picture = seeds[random.usize(..seeds.len())].clone();
    let header = picture.len().min(64);
    match random.u8(..6) {
        0 => picture.truncate(random.usize(..picture.len())),
        1 => picture.splice(..0, (0..random.usize(..20)).map(|_| 0)).for_each(drop),
        // where sizes stand
        2 => (0..random.usize(1..6)).for_each(|_| picture[random.usize(..header)] = random.u8(..)),
        3 => (0..random.usize(1..40)).for_each(|_| {
            let place = random.usize(..picture.len());
            picture[place] = random.u8(..);
        }),
        4 => {
            let (from, length) = (random.usize(..picture.len()), random.usize(..picture.len()));
            let part: Vec<_> = picture.iter().cycle().skip(from).take(length).copied().collect();
            picture.splice(from..from, part).for_each(drop);
        }
        _ => {}
    }
    picture
}

/// A request: what it claims to be, and its body.
fn request(seeds: &[Vec<u8>], random: &mut Rng) -> (String, Vec<u8>) {
    let picture = spoiled(seeds, random);
    match random.u8(..6) {
        0 => ("application/octet-stream".into(), picture),
        1 => ("image/jpeg".into(), picture),
        2 => {
            let mut form = b"--b\r\nContent-Disposition: form-data; name=\"target\"; filename=\"a\"\r\n\r\n".to_vec();
            form.extend(&picture);
            form.extend(b"\r\n--b\r\nContent-Disposition: form-data; name=\"Sam\"; filename=\"b\"\r\n\r\n");
            form.extend(&picture);
            form.extend(b"\r\n--b--\r\n");
            if random.bool() {
                form.truncate(random.usize(..form.len()));
            }
            ("multipart/form-data; boundary=b".into(), form)
        }
        3 => {
            let text = STANDARD.encode(&picture);
            let json = serde_json::json!({"image": text, "target": text, "people": [{"images": [text]}]});
            ("application/json".into(), json.to_string().into())
        }
        4 => {
            let text = STANDARD.encode(&picture);
            let mut json = format!("{{\"target\":\"{text}\",\"people\":[{{\"name\":\"a\",\"images\":[\"{text}\"]}}]}}")
                .into_bytes();
            (0..random.usize(..4)).for_each(|_| {
                let place = random.usize(..json.len());
                json[place] = random.u8(..);
            });
            ("application/json".into(), json)
        }
        _ => {
            let depth = random.usize(1..5000);
            let json = [vec![b'['; depth], vec![b']'; depth]].concat();
            ("application/json".into(), json)
        }
    }
}

/// The status of the answer; the body may be announced longer or shorter than it is.
fn status(
    address: &str,
    (method, path): (&str, &str),
    (kind, body): (&str, &[u8]),
    announced: usize,
) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    // an answer may come before all is sent
    let _ = stream.write_all(body);
    if announced > body.len() {
        stream.shutdown(std::net::Shutdown::Write)?;
    }
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    match text.split_whitespace().nth(1).and_then(|status| status.parse().ok()) {
        Some(status) => Ok(status),
        None => Err(read.err().unwrap_or_else(|| std::io::Error::other("no answer"))),
    }
}

/// Sends until `done` says so of the number sent.
fn bombard(address: &str, seeds: &[Vec<u8>], seed: u64, done: impl Fn(usize) -> bool) -> usize {
    let mut random = Rng::with_seed(seed);
    let (paths, mut sent) = (paths(), 0);
    while !done(sent) {
        let (kind, body) = request(seeds, &mut random);
        let (method, path) = &paths[random.usize(..paths.len())];
        let lies = random.u8(..20) == 0;
        let announced = if lies { random.usize(..body.len() + 100) } else { body.len() };
        let answered = status(address, (method, path), (&kind, &body), announced);
        match answered {
            Ok(status) => {
                assert!(
                    status < 500 || status == 503,
                    "{method} {path} {kind} answers {status}: seed {seed}, request {sent}"
                )
            }
            // who breaks off gets no answer
            Err(error) => assert!(lies, "{method} {path} {kind}: {error}: seed {seed}, request {sent}"),
        }
        sent += 1;
    }
    sent
}

fn resident(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn soak_broken_requests_and_pictures_are_answered() {
    let Some(seeds) = seeds() else { return };
    let daemon = Daemon::start(models());
    daemon.wait_ready();
    let address = eventually("an address for http", || daemon.address());
    let before = resident(&daemon);
    let long = std::env::var_os("VISOR_SOAK_SECONDS").is_some();
    let begun = Instant::now();
    // the soak looks for what is new; otherwise the same is tried each time
    let seed = std::env::var("VISOR_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| if long { fastrand::u64(..) } else { 1 });
    let done = |sent: usize| if long { sent >= LONG / CLIENTS } else { begun.elapsed() >= SHORT };
    let sent: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS as u64)
            .map(|client| {
                let (address, seeds, done) = (&address, &seeds, &done);
                scope.spawn(move || bombard(address, seeds, seed.wrapping_add(client), done))
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    eprintln!("{sent} requests in {:?}, seed {seed}", begun.elapsed());
    for seed in &seeds {
        let whole = || status(&address, ("POST", "/detect"), ("application/octet-stream", seed), seed.len()).ok();
        eventually("a whole picture to be looked at after them", || (whole()? == 200).then_some(()));
    }
    let growth = resident(&daemon).saturating_sub(before);
    assert!(growth < GROWTH, "grew by {} MiB", growth >> 20);
    let failed = daemon.log().into_iter().find(|entry| entry["level"] == "ERROR");
    assert!(failed.is_none(), "{failed:?}");
    assert!(daemon.stop().success());
}
