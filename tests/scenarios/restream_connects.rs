//! Players that come and go, at whatever moment: none is turned away, and none leaves anything behind.
#![cfg(feature = "media")]

use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use visor::sink::restream::CameraConfig;

use super::support::daemon::{Daemon, models, sample};
use super::support::film::Film;
use super::support::growth::Held;
use super::support::player::{SIZE, alone, open_to_all, serve, there_is_one};
use super::support::rtsp::Client;
use super::support::wait::eventually;

/// Of a round of players: half a mebibyte for each of them would be more than this.
const GROWTH_MIB: f64 = 8.0;

/// Rounds of players at most: what one of them fills for good, like the room for frames that wait, the next one does not
/// fill again. A leak grows in each.
const ROUNDS: u32 = 4;

/// Players who come at a time.
const TOGETHER: u32 = 3;

/// Whether there is time for as many as it should be.
fn soaks() -> bool {
    std::env::var_os("VISOR_SOAK_SECONDS").is_some()
}

fn ok(status: io::Result<u16>) {
    assert_eq!(status.unwrap(), 200);
}

/// Comes and goes in one of ten ways: by its number.
fn visit(url: &str, number: u32) {
    let over_udp = number % 2 == 1;
    let way = number % 10;
    if way >= 8 {
        return play_and_kill(url, over_udp);
    }
    let mut client = Client::connect(url).unwrap();
    // hangs up before a word, after the first, between SETUP and PLAY, while it plays, and as it should
    if way > 0 {
        ok(client.describe());
    }
    if way > 1 {
        ok(client.set_up(over_udp));
    }
    if way > 3 {
        ok(client.ask("PLAY", ""));
        (0..3).for_each(|_| client.packet().unwrap());
    }
    if way > 5 {
        ok(client.ask("TEARDOWN", ""));
    }
}

/// A player that is killed in the middle of it.
fn play_and_kill(url: &str, over_udp: bool) {
    let transport = if over_udp { "udp" } else { "tcp" };
    let mut player = Command::new("ffmpeg")
        .args(["-v", "error", "-rtsp_transport", transport, "-i", url, "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    io::Read::read_exact(player.stdout.as_mut().unwrap(), &mut [0; 4096]).unwrap();
    player.kill().unwrap();
    player.wait().unwrap();
}

/// So many visits, some of them at the same time.
fn visits(url: &str, numbers: std::ops::Range<u32>) {
    let next = AtomicU32::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::AcqRel)).filter(|n| numbers.contains(n)) {
                    visit(url, number);
                }
            });
        }
    });
}

/// The daemon's process that serves.
fn server(daemon: &Daemon) -> u32 {
    let serves =
        |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"\0restream\0"));
    eventually("the server's process", || daemon.children().into_iter().find(serves))
}

#[test]
fn soak_players_leave_nothing_behind_whenever_they_hang_up() {
    if !there_is_one() || sample().is_none() {
        return;
    }
    let daemon = Daemon::start(&format!(
        "{}[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.front]\nuri = \"test:\"\nanalysis_fps = 5\n\
         [cameras.front.restream]\nbitrate_kbps = 1000\n",
        models()
    ));
    daemon.wait_ready();
    let address = daemon.wait_for_log("serves masked video", |_| true)["address"].as_str().unwrap().to_owned();
    let url = format!("rtsp://{address}/front");
    let watched = || daemon.metric("visor_restream_clients", &[]) > 0.0;
    let held = || [server(&daemon), daemon.id()].map(|pid| Held::by(pid).unwrap());
    // what nobody watches any more goes after a second, and its descriptors with it
    let settled = |before: [Held; 2], more: [usize; 2]| {
        eventually("players to leave and descriptors to be closed", || {
            let left = !watched();
            std::thread::sleep(Duration::from_millis(100));
            let now = held();
            let closed = |((now, before), more): ((&Held, &Held), usize)| {
                now.descriptors <= before.descriptors.map(|count| count + more)
            };
            (left && now.iter().zip(&before).zip(more).all(closed)).then_some(now)
        })
    };
    let (warm, round) = if soaks() { (60, 200) } else { (10, 20) };
    let fresh = held();
    visits(&url, 0..warm);
    // what is loaded and opened once is there by then
    let mut before = settled(fresh, [6, 6]);
    let stays = (0..ROUNDS).any(|done| {
        visits(&url, warm + done * round..warm + (done + 1) * round);
        // asking the daemon takes a connection, for a moment
        let after = settled(before, [0, 2]);
        println!("{round} players: {before:?} -> {after:?}");
        let grown = after.iter().zip(&before).any(|(after, before)| after.own - before.own > GROWTH_MIB);
        before = after;
        !grown
    });
    assert!(stays, "memory grew by more than {GROWTH_MIB} MiB with each of {ROUNDS} rounds of {round} players");
    assert_eq!(daemon.metric("visor_restream_restarts_total", &[]), 0.0);
    assert!(daemon.stop().success());
}

#[test]
fn soak_nobody_is_turned_away_as_the_last_player_leaves_or_a_camera_comes() {
    let restream = serve(&open_to_all());
    let url = format!("rtsp://{}/first", restream.listening().unwrap());
    let rounds = if soaks() { 60 } else { 4 };
    for round in 0..rounds {
        let mount = CameraConfig::default().resolve("first").unwrap();
        let waiting = AtomicU32::new(0);
        let film = std::thread::scope(|scope| {
            for number in 0..TOGETHER {
                let (url, waiting) = (&url, &waiting);
                scope.spawn(move || see_it_come(url, number % 2 == 1, waiting));
            }
            eventually("all to wait", || (waiting.load(Ordering::Acquire) == TOGETHER).then_some(()));
            Film::start(restream.mount("first", mount), SIZE, 25)
        });
        // the server drops what nobody watches after a second or so: some come just then
        std::thread::sleep(Duration::from_millis(900 + round * 37 % 800));
        visits(&url, 4..8);
        drop(film);
    }
}

/// Asks for what is not there yet until it is, and plays it.
fn see_it_come(url: &str, over_udp: bool, waiting: &AtomicU32) {
    // what was there the time before may still be going, and send away who asks for it
    let absent = || Client::connect(url).unwrap().describe().is_ok_and(|status| status == 404);
    eventually("the camera to have gone", || absent().then_some(()));
    waiting.fetch_add(1, Ordering::AcqRel);
    let mut client = Client::connect(url).unwrap();
    let mut ask = || Some(client.describe().unwrap()).filter(|status| *status != 404);
    assert_eq!(eventually("the camera", &mut ask), 200);
    ok(client.set_up(over_udp));
    ok(client.ask("PLAY", ""));
    (0..3).for_each(|_| client.packet().unwrap());
}

#[test]
fn soak_who_does_nothing_is_sent_away() {
    if !soaks() {
        return eprintln!("skipped: make soak runs it");
    }
    let (_restream, _film, url) = alone("idle");
    let began = Instant::now();
    let mut silent = Client::connect(&url).unwrap();
    let mut halting = Client::connect(&url).unwrap();
    halting.send(b"DESCRIBE rtsp").unwrap();
    let mut talker = Client::connect(&url).unwrap();
    let mut player = Client::connect(&url).unwrap();
    ok(player.describe());
    ok(player.set_up(false));
    ok(player.ask("PLAY", ""));
    while talker.ask("OPTIONS", "").is_ok() {
        player.packet().unwrap();
        assert!(began.elapsed() < Duration::from_secs(45), "who talks of nothing stays");
    }
    for client in [&mut silent, &mut halting] {
        eventually("the connection to be closed", || client.wait_for_end().ok());
    }
    player.packet().unwrap();
}
