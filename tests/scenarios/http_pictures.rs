//! Pictures over HTTP: the numbers of the commands, every way in, and what is refused.
#![cfg(feature = "media")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::odd_files::odd_files;
use super::support::broker::Broker;
use super::support::curl::{Answer, curl, curl_json, curl_with, eventually_json};
use super::support::daemon::{Daemon, models, sample_people, visor};
use super::support::recorder::Recorder;

/// A daemon that knows the sample's person, and their picture; `None`, aloud, without models.
fn scene() -> Option<(Daemon, PathBuf)> {
    let people = sample_people()?;
    let portrait = portrait(&people);
    let daemon = Daemon::start(&format!("{}[gallery]\nfolder = \"{}\"\n", models(), people.display()));
    eventually_json(&daemon, "/persons", |list| list["items"][0]["face_count"].as_u64() >= Some(1));
    Some((daemon, portrait))
}

fn portrait(people: &Path) -> PathBuf {
    let folder = std::fs::read_dir(people).unwrap().next().unwrap().unwrap().path();
    std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

/// Sends a picture as the body.
fn send(daemon: &Daemon, path: &str, picture: &[u8]) -> Answer {
    curl_with(daemon, "POST", path, &["-H", "Content-Type: image/jpeg", "--data-binary", "@-"], picture)
}

/// What a command of this program says in JSON, with the daemon's configuration.
fn command(daemon: &Daemon, arguments: &[&str]) -> Value {
    let config = daemon.dir.path().join("visor.toml");
    let output = Command::new(visor()).args(arguments).arg("--config").arg(config).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The picture in another size: the same person, other pixels.
fn smaller(picture: &Path) -> Vec<u8> {
    let picture = image::open(picture).unwrap();
    let small =
        picture.resize(picture.width() * 2 / 3, picture.height() * 2 / 3, image::imageops::FilterType::Triangle);
    let mut jpeg = std::io::Cursor::new(Vec::new());
    small.to_rgb8().write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    jpeg.into_inner()
}

#[test]
fn the_numbers_are_those_of_the_commands() {
    let Some((daemon, portrait)) = scene() else { return };
    let (file, picture) = (portrait.to_str().unwrap(), std::fs::read(&portrait).unwrap());
    let told = command(&daemon, &["detect", "--json", file]);
    let detected = send(&daemon, "/detect", &picture).json;
    assert_eq!(detected["faces"].as_array().unwrap().len(), 1);
    for key in ["width", "height", "faces"] {
        assert_eq!(detected[key], told[key], "{key}");
    }
    let told = command(&daemon, &["detect", "--json", "--score", "0.1", file]);
    assert_eq!(send(&daemon, "/detect?score=0.1", &picture).json["faces"], told["faces"]);

    let other = daemon.dir.path().join("other.jpg");
    std::fs::write(&other, smaller(&portrait)).unwrap();
    let told = command(&daemon, &["compare", "--json", file, other.to_str().unwrap()]);
    let body = json!({"target": STANDARD.encode(&picture), "people": [{"name": "Robin", "images": [STANDARD.encode(std::fs::read(&other).unwrap())]}]});
    let compared = curl_json(&daemon, "POST", "/compare", &body).json;
    let found = &compared["matches"][0];
    for key in ["similarity", "threshold", "same"] {
        assert_eq!(found[key], told[key], "{key}: {compared}");
    }
    assert!(found["probability"].as_f64() > Some(0.9), "{compared}");

    let masked = daemon.dir.path().join("masked.jpg");
    for (options, query) in [
        (vec![], ""),
        (
            vec!["--shape", "ellipse", "--colour", "#3040ff", "--face-only"],
            "?shape=ellipse&colour=%233040ff&face_only=true",
        ),
    ] {
        let mut arguments = vec!["mask", "--overwrite", file, masked.to_str().unwrap()];
        arguments.extend(options);
        command(&daemon, &arguments);
        let answer = daemon.dir.path().join("answer.jpg");
        let arguments = ["--data-binary", &format!("@{file}"), "-o", answer.to_str().unwrap()];
        assert_eq!(curl(&daemon, "POST", &format!("/mask{query}"), &arguments).status, 200);
        assert!(std::fs::read(&answer).unwrap() == std::fs::read(&masked).unwrap(), "{query}: other pictures");
    }
    let unmasked = send(&daemon, "/detect", &std::fs::read(&masked).unwrap()).json;
    assert_eq!(unmasked["faces"], json!([]), "a face shows");
    assert!(daemon.stop().success());
}

/// What an answer says took its time.
fn parts(daemon: &Daemon, path: &str, arguments: &[&str]) -> Vec<String> {
    let url = format!("http://{}/api/v1{path}", daemon.address().unwrap());
    let told = ["-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code} %header{server-timing}", &url];
    let output = Command::new("curl").args(told).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (status, timing) = told.split_once(' ').unwrap();
    assert!(matches!(status, "200" | "201"), "{path}: {told}");
    let parts = timing.split(", ").map(|part| part.split_once(";dur=").unwrap());
    let parts: Vec<(&str, f64)> = parts.map(|(name, took)| (name, took.parse().unwrap())).collect();
    let (total, sum) = (parts.last().unwrap().1, parts.iter().rev().skip(1).map(|part| part.1).sum::<f64>());
    assert!(path == "/compare" || sum <= total, "{path}: {timing}");
    parts.into_iter().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn what_takes_how_long_is_told_by_parts() {
    let Some((daemon, portrait)) = scene() else { return };
    let (body, form) = (format!("@{}", portrait.display()), format!("image=@{}", portrait.display()));
    let (target, other) = (format!("target=@{}", portrait.display()), format!("Robin=@{}", portrait.display()));
    let picture: &[&str] = &["--data-binary", &body];
    for (path, arguments, expected) in [
        ("/detect", picture, "queue decode detect total"),
        ("/mask", picture, "queue decode detect mask encode total"),
        ("/faces/recognize", picture, "queue decode detect embed search total"),
        ("/faces/search", picture, "queue decode detect embed search total"),
        ("/faces/enroll", &["-F", &form, "-F", "name=Robin Two"], "queue decode detect embed enrol total"),
        ("/compare", &["-F", &target, "-F", &other], "queue decode detect embed total"),
    ] {
        assert_eq!(parts(&daemon, path, arguments).join(" "), expected, "{path}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn a_picture_comes_in_every_way() {
    let Some((daemon, portrait)) = scene() else { return };
    let picture = std::fs::read(&portrait).unwrap();
    let expected = send(&daemon, "/detect", &picture).json;
    let ways: [(&[&str], Vec<u8>); 4] = [
        (&["-F", "image=@-;type=image/jpeg", "-F", "score=0.3"], picture.clone()),
        (&["-F", "anything=@-;filename=a.jpg"], picture.clone()),
        (&["--data-binary", "@-"], picture.clone()),
        (
            &["--json", "@-"],
            json!({"image": format!("data:image/jpeg;base64,{}", STANDARD.encode(&picture))}).to_string().into(),
        ),
    ];
    for (arguments, input) in ways {
        let answer = curl_with(&daemon, "POST", "/detect", arguments, &input);
        assert_eq!(
            (answer.status, &answer.json["faces"][0]["box"]),
            (200, &expected["faces"][0]["box"]),
            "{arguments:?}"
        );
    }
    for format in [image::ImageFormat::Png, image::ImageFormat::WebP, image::ImageFormat::Bmp, image::ImageFormat::Gif]
    {
        let mut file = std::io::Cursor::new(Vec::new());
        image::open(&portrait).unwrap().to_rgb8().write_to(&mut file, format).unwrap();
        let answer = curl_with(&daemon, "POST", "/detect", &["--data-binary", "@-"], file.get_ref());
        assert_eq!(answer.json["faces"].as_array().map(Vec::len), Some(1), "{format:?}: {answer:?}");
    }
    let form = [
        "-F",
        "target=@-;filename=a.jpg",
        "-F",
        &format!("Robin=@{}", portrait.display()),
        "-F",
        "Sam=http://127.0.0.1/x.jpg",
    ];
    let compared = curl_with(&daemon, "POST", "/compare", &form, &picture).json;
    assert_eq!(
        (&compared["matches"][0]["name"], &compared["matches"][0]["similarity"]),
        (&"Robin".into(), &json!(1.0))
    );
    let refused = compared["matches"][1]["pictures"][0]["problem"].as_str().unwrap();
    assert!(refused.contains("does not lead to a public host"), "{compared}");
    assert!(daemon.stop().success());
}

#[test]
fn a_picture_is_fetched_where_that_is_allowed() {
    let Some(people) = sample_people() else { return };
    let picture = std::fs::read(portrait(&people)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", picture.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&picture));
        }
    });
    let http = format!("[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\nfetch_allow = [\"{server}\"]\n");
    let daemon = Daemon::start(&format!("{}{http}", models()));
    eventually_json(&daemon, "/persons", |_| true);
    let url = format!("http://{server}/robin.jpg");
    let detected = curl_json(&daemon, "POST", "/detect", &json!({"url": url}));
    assert_eq!((detected.status, detected.json["faces"].as_array().map(Vec::len)), (200, Some(1)), "{detected:?}");
    let people = json!([{"name": "a", "urls": [url, url, url]}, {"name": "b", "urls": ["http://127.0.0.1:1/x"]}]);
    let compared = curl_json(&daemon, "POST", "/compare", &json!({"target_url": url, "people": people}));
    assert_eq!(compared.json["matches"][0]["pictures"].as_array().map(Vec::len), Some(3), "{compared:?}");
    assert_eq!(
        (&compared.json["matches"][0]["similarity"], &compared.json["matches"][1]["same"]),
        (&json!(1.0), &json!(false))
    );
    assert!(daemon.stop().success());
}

#[test]
fn who_is_known_is_told_with_the_reason() {
    let Some((daemon, portrait)) = scene() else { return };
    let picture = smaller(&portrait);
    let known = send(&daemon, "/faces/recognize", &picture).json;
    let person = &known["best"]["person"];
    assert!(person.is_string() && known["reason"].is_null(), "{known}");
    assert_eq!(known["faces"][0]["identity"]["status"], "known");
    let found = send(&daemon, "/faces/search?top_k=3", &picture).json;
    assert_eq!(&found["matches"][0]["person"], person, "{found}");
    let id = &found["matches"][0]["face_id"];
    let again = curl_json(&daemon, "POST", "/faces/search", &json!({"face_id": id})).json;
    assert_eq!((&again["matches"][0]["person"], &again["matches"][0]["score"]), (person, &json!(1.0)), "{again}");

    let mut blank = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(320, 240, image::Rgb([90, 120, 150]))
        .write_to(&mut blank, image::ImageFormat::Png)
        .unwrap();
    let nobody = send(&daemon, "/faces/recognize", blank.get_ref()).json;
    assert_eq!((&nobody["best"], &nobody["reason"], &nobody["faces"]), (&Value::Null, &"no_face".into(), &json!([])));
    let nobody = send(&daemon, "/faces/search", blank.get_ref());
    assert_eq!((nobody.status, &nobody.json["reason"]), (422, &"no_face".into()));

    let masked = |query: &str| {
        let json = ["-H", "Accept: application/json", "--data-binary", "@-"];
        curl_with(&daemon, "POST", &format!("/mask{query}"), &json, &std::fs::read(&portrait).unwrap())
    };
    for (query, hidden) in [
        ("", true),
        ("?who=strangers", false),
        ("?who=known", true),
        ("?faces=0", true),
        ("?faces=", false),
        ("?who=nobody", false),
    ] {
        let answer = masked(query);
        assert_eq!(answer.json["faces"][0]["masked"], hidden, "{query}: {answer:?}");
    }
    assert_eq!(masked(&format!("?exempt={}", person.as_str().unwrap())).json["faces"][0]["masked"], false);
    assert_eq!(masked("?exempt=nobody-of-this-name").status, 400);
    assert!(daemon.stop().success());
}

#[test]
fn what_is_wrong_is_said() {
    let Some((daemon, portrait)) = scene() else { return };
    let picture = std::fs::read(&portrait).unwrap();
    let check = |path: &str, arguments: &[&str], input: &[u8], expected: (u16, &str)| {
        let answer = curl_with(&daemon, "POST", path, arguments, input);
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert!(answer.status == expected.0 && detail.contains(expected.1), "{path} {arguments:?}: {answer:?}");
    };
    let raw: &[&str] = &["--data-binary", "@-"];
    let json: &[&str] = &["--json", "@-"];
    check("/detect", raw, b"", (400, "no picture came"));
    check("/detect", raw, b"hello", (415, "no picture that can be read"));
    check("/detect", raw, &picture[..picture.len() / 2], (422, "cut off"));
    check("/detect?score=2", raw, &picture, (400, "score = 2 is not between 0 and 1"));
    check("/detect?scores=2", raw, &picture, (400, "unknown field `scores`"));
    check("/detect", &["-H", "Content-Type: text/html", "--data-binary", "@-"], &picture, (415, "image/*"));
    check("/detect", json, b"{\"image\": \"***\"}", (400, "is not base64"));
    check("/detect", json, b"[1]", (400, "no object"));
    check("/detect", json, b"{", (400, "no JSON"));
    check("/detect", json, b"{\"url\": \"ftp://example.org/a.jpg\"}", (422, "http"));
    check("/detect", json, b"{\"url\": \"http://169.254.169.254/latest\"}", (422, "public host"));
    check("/detect", &["-F", "image=@-", "-F", "image=@-;filename=x"], &picture, (400, "2 pictures came"));
    check("/compare", raw, &picture, (415, "several pictures"));
    check("/compare", json, b"{\"people\":[]}", (400, "there is no target"));
    check("/compare", json, b"{\"target\":\"AAAA\",\"people\":[]}", (400, "people: is empty"));
    check("/compare", json, b"{\"target\":\"AAAA\",\"peoples\":[]}", (400, "unknown field `peoples`"));
    check("/mask?kind=glitter", raw, &picture, (400, "kind: unknown variant `glitter`"));
    for quality in ["0", "500", "-1"] {
        let told = format!("quality: {quality} is not between 1 and 100");
        check(&format!("/mask?quality={quality}"), raw, &picture, (400, &told));
    }
    check("/mask?faces=7", raw, &picture, (400, "there is no face 7"));
    check("/mask", &["-H", "Accept: image/avif", "--data-binary", "@-"], &picture, (406, "image/jpeg"));
    check("/faces/search?top_k=0", raw, &picture, (400, "top_k: 0"));
    check("/faces/search?face_id=99999999", raw, b"", (404, "no face is enrolled"));
    let before = resident(&daemon);
    check("/detect", raw, &bomb(), (413, "20000x20000 pixels are too many"));
    check("/detect", raw, &vec![0; 33 << 20], (413, "32 MiB"));
    assert!(resident(&daemon) < before + (200 << 20), "memory");
    let log = format!("{:?}", daemon.log());
    assert!(!log.contains("example.org") && !log.contains("169.254"), "an address in the log");
    assert!(daemon.stop().success());
}

#[test]
fn odd_files_are_answered_and_never_with_a_failure() {
    let (Some(files), Some((daemon, _))) = (odd_files(), scene()) else { return };
    for file in files {
        for path in ["/detect", "/mask", "/faces/recognize"] {
            let answer = curl_with(
                &daemon,
                "POST",
                path,
                &["--data-binary", "@-", "-o", "/dev/null"],
                &std::fs::read(&file).unwrap(),
            );
            assert!(
                matches!(answer.status, 200 | 400 | 413 | 415 | 422),
                "{path} {}: {}",
                file.display(),
                answer.status
            );
        }
    }
    assert!(daemon.stop().success());
}

/// A PNG of 20000 x 20000 pixels in a few bytes.
fn bomb() -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend([20_000u32.to_be_bytes(), 20_000u32.to_be_bytes()].concat());
    header.extend([8, 2, 0, 0, 0]);
    let mut data = b"IDAT".to_vec();
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zeros.write_all(&vec![0; 10_000_000]).unwrap();
    data.extend(zeros.finish().unwrap());
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [header, data, b"IEND".to_vec()] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&chunk);
        png.extend(&chunk);
        png.extend(crc.sum().to_be_bytes());
    }
    png
}

/// Bytes of memory that the daemon has in use.
fn resident(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_cameras_identity_is_that_of_its_snapshot() {
    let (Some(people), Some(broker)) = (sample_people(), Broker::open()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = standing(&portrait(&people), folder.path()) else { return };
    // another picture of the same person than the one that is seen
    let known = folder.path().join("known/Robin");
    std::fs::create_dir_all(&known).unwrap();
    image::open(portrait(&people)).unwrap().blur(1.5).brighten(25).fliph().to_rgb8().save(known.join("a.png")).unwrap();
    let recorder = Recorder::at(broker.port);
    let daemon = Daemon::start(&format!(
        "{}[mqtt]\nurl = \"{}\"\n[gallery]\nfolder = \"{}\"\n[cameras.front]\nuri = \"file://{}\"\n[cameras.front.mask]\nwho = \"nobody\"\n",
        models(),
        broker.url(),
        folder.path().join("known").display(),
        clip.display(),
    ));
    let event = recorder.wait_for_json("visor/front/events", |event| event["type"] == "identified");
    let shot = folder.path().join("shot.jpg");
    assert_eq!(curl(&daemon, "GET", "/cameras/front/snapshot.jpg", &["-o", shot.to_str().unwrap()]).status, 200);
    let recognized = send(&daemon, "/faces/recognize", &std::fs::read(&shot).unwrap()).json;
    let (seen, best) = (&event["identity"], &recognized["best"]);
    assert_eq!(seen["person"], best["person"], "{seen} {recognized}");
    let apart = (seen["score"].as_f64().unwrap() - best["score"].as_f64().unwrap()).abs();
    assert!(apart < 0.05, "{seen} {recognized}");
    assert!(daemon.stop().success());
}

/// A clip of nothing but a picture; `None`, aloud, without ffmpeg.
fn standing(picture: &Path, folder: &Path) -> Option<PathBuf> {
    let clip = folder.join("standing.mp4");
    let arguments = ["-v", "error", "-loop", "1", "-framerate", "10", "-t", "30", "-i"];
    let coded = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "8", "-pix_fmt", "yuv420p"];
    let made = Command::new("ffmpeg").args(arguments).arg(picture).args(coded).arg(&clip).status();
    if made.is_err() {
        eprintln!("skipped: there is no ffmpeg to make a clip with");
        return None;
    }
    Some(clip)
}
