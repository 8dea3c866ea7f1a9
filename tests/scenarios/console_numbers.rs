//! What the page costs and how fast it is: printed, since times are no business of a test. That it shows everything is judged.
#![cfg(feature = "media")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::broker::Broker;
use super::support::browser::{Browser, DESKTOP};
use super::support::daemon::{Daemon, models, sample};
use super::support::wait::{eventually, soak_time};

const TILES: usize = 16;

/// Within the tests a few seconds are enough to see that it works; a soak measures.
const BRIEFLY: Duration = Duration::from_secs(3);

fn is_soak() -> bool {
    std::env::var_os("VISOR_SOAK_SECONDS").is_some()
}

fn measured_for() -> Duration {
    if is_soak() { soak_time() } else { BRIEFLY }
}

/// Ticks of a processor that the daemon itself has had so far, without its children, and how many there are in a second.
fn ticks(daemon: &Daemon) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum()
}

/// Shares of one core: what is spent on making pictures, and what the daemon spends in all; and how many pictures a second.
fn load(daemon: &Daemon, during: impl FnOnce()) -> (f64, f64, f64) {
    let previews = |what: &str| daemon.metric(&format!("visor_preview_seconds_{what}"), &[]);
    let (begun, sum, count, all) = (Instant::now(), previews("sum"), previews("count"), ticks(daemon));
    during();
    let (sum, count, all) = (previews("sum") - sum, previews("count") - count, ticks(daemon) - all);
    let seconds = begun.elapsed().as_secs_f64();
    (sum / seconds, all / rustix::param::clock_ticks_per_second() as f64 / seconds, count / seconds)
}

const OBSERVE: &str = "window.longest = 0; window.tasks = 0; \
    new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) { \
      window.tasks += 1; window.longest = Math.max(window.longest, duration); \
    } }).observe({ entryTypes: ['longtask'] });";

fn live_tiles(browser: &Browser) -> Value {
    browser.run("return document.querySelectorAll('.tile[data-live]').length", vec![])
}

fn wait(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn soak_sixteen_tiles_show_and_what_they_cost() {
    // what is shown was analysed: as many pictures as that, up to five a second on a wall
    let (source, fps) =
        if is_soak() { ("test:ball?size=1280x720&fps=15", 5) } else { ("test:ball?size=640x360&fps=10", 1) };
    let cameras: String =
        (0..TILES).map(|n| format!("[cameras.c{n:02}]\nuri = \"{source}\"\nanalysis_fps = {fps}\n")).collect();
    let daemon = Daemon::start(&format!("{}embedder = \"none\"\n{cameras}", models()));
    daemon.wait_ready();
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.resize((1280, 2400));
    browser.go("#/wall");
    browser.run(OBSERVE, vec![]);
    eventually("sixteen live tiles", || (live_tiles(&browser) == json!(TILES)).then_some(()));
    eventually("pictures for everybody", || {
        (daemon.metric("visor_preview_clients", &[]) == TILES as f64).then_some(())
    });
    browser.screenshot("wall-sixteen");
    let (previews, all, pictures) = load(&daemon, || wait(measured_for()));
    assert_eq!(live_tiles(&browser), json!(TILES), "tiles that stay");
    let tasks = browser.run("return [window.longest, window.tasks]", vec![]);
    // of those that are not in sight nobody wants a picture
    browser.resize((1280, 400));
    eventually("pictures of what is in sight alone", || {
        (daemon.metric("visor_preview_clients", &[]) < TILES as f64).then_some(())
    });
    browser.go("#/events");
    eventually("nobody to look", || (daemon.metric("visor_preview_clients", &[]) == 0.0).then_some(()));
    let (unseen, rest, _) = load(&daemon, || wait(measured_for()));
    println!(
        "{TILES} tiles: {pictures:.0} pictures a second take {:.1} % of a core; the daemon has {:.1} % with them and {:.1} % \
         without ({:.1} % on pictures); longest task of the page {:.0} ms, {} of 50 ms and more",
        100.0 * previews,
        100.0 * all,
        100.0 * rest,
        100.0 * unseen,
        tasks[0].as_f64().unwrap(),
        tasks[1],
    );
    browser.assert_quiet(&[]);
}

/// What a subscriber of the broker's own makes of events: by number, when each came, in seconds since 1970.
struct Subscriber {
    process: Child,
    came: Arc<Mutex<BTreeMap<u64, f64>>>,
}

impl Subscriber {
    /// `None`, aloud, where there is none.
    fn at(broker: &Broker) -> Option<Self> {
        let port = broker.port.to_string();
        let arguments = ["-p", &port, "-t", "visor/+/events", "-F", "%U %p"];
        let started = Command::new("mosquitto_sub").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let Ok(mut process) = started else {
            eprintln!("skipped: mosquitto_sub is not installed (apt install mosquitto-clients)");
            return None;
        };
        let came = Arc::new(Mutex::new(BTreeMap::new()));
        let (kept, lines) = (Arc::clone(&came), BufReader::new(process.stdout.take().unwrap()).lines());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Some((at, event)) = line.split_once(' ') else { continue };
                let seq = serde_json::from_str::<Value>(event).ok().and_then(|event| event["boot_seq"].as_u64());
                kept.lock().unwrap().extend(seq.zip(at.parse().ok()));
            }
        });
        Some(Self { process, came })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Notes when each event's row comes into the page, in seconds since 1970.
const NOTE_ROWS: &str = "window.rows = {}; new MutationObserver((changes) => { \
    const now = (performance.timeOrigin + performance.now()) / 1000; \
    for (const { addedNodes } of changes) for (const row of addedNodes) if (row.dataset?.seq) window.rows[row.dataset.seq] ??= now; \
  }).observe(document.querySelector('.events'), { childList: true });";

#[test]
fn soak_the_page_paints_and_shows_events_and_how_fast() {
    let (Some(clip), Some(broker)) = (sample(), Broker::open()) else { return };
    let Some(subscriber) = Subscriber::at(&broker) else { return };
    let camera = format!("[cameras.front]\nuri = \"file://{}\"\nrepeat = true\n", clip.display());
    let mqtt = format!("[mqtt]\nurl = \"{}\"\n", broker.url());
    let daemon = Daemon::start(&format!("{}embedder = \"none\"\n{mqtt}{camera}", models()));
    daemon.wait_ready();
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/wall");
    browser.find(".tile[data-live] canvas");
    let paint = "const [bytes, files] = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/console/')) \
        .reduce(([bytes, files], entry) => [bytes + entry.decodedBodySize, files + 1], [0, 0]); \
        const paints = performance.getEntriesByType('paint').map(({ name, startTime }) => `${name} after ${startTime.toFixed(0)} ms`); \
        return `${paints.join(', ')}; ${files} files of ${bytes} bytes`;";
    println!("the wall: {}", browser.run(paint, vec![]).as_str().unwrap());

    browser.go("#/events?type=all");
    browser.find(".event");
    browser.run(NOTE_ROWS, vec![]);
    wait(measured_for());
    let delays = eventually("events on the page and at the broker", || {
        let rows = browser.run("return window.rows", vec![]);
        let came = subscriber.came.lock().unwrap().clone();
        let both = rows.as_object()?.iter().filter_map(|(seq, at)| Some(at.as_f64()? - came.get(&seq.parse().ok()?)?));
        let mut delays: Vec<f64> = both.map(|seconds| 1000.0 * seconds).collect();
        delays.sort_by(f64::total_cmp);
        (delays.len() >= 5).then_some(delays)
    });
    let at = |share: usize| delays[(delays.len() - 1) * share / 100];
    println!(
        "{} events came onto the page {:.0} ms (half of them), {:.0} ms (95 %), {:.0} ms (the last) after MQTT had them",
        delays.len(),
        at(50),
        at(95),
        at(100)
    );
    browser.assert_quiet(&[]);
}
