//! A page that nobody sees costs nothing, and has missed nothing once it is seen again.
#![cfg(feature = "media")]

use super::support::browser::{Browser, DESKTOP};
use super::support::curl::curl;
use super::support::daemon::{Daemon, models, sample};
use super::support::wait::eventually;

/// Events that happen while nobody looks.
const MISSED: u64 = 8;

/// Streams that are open, and pictures that were made for who looks.
fn costs(daemon: &Daemon) -> (f64, f64) {
    (daemon.metric("visor_http_streams", &[]), daemon.metric("visor_preview_seconds_count", &[]))
}

fn newest(daemon: &Daemon) -> u64 {
    curl(daemon, "GET", "/session", &[]).json["newest_event"].as_u64().unwrap()
}

/// Numbers of the events on the page, newest first.
fn shown(browser: &Browser) -> Vec<u64> {
    let rows = browser.run("return [...document.querySelectorAll('.event')].map((row) => row.dataset.seq)", vec![]);
    rows.as_array().unwrap().iter().filter_map(|seq| seq.as_str()?.parse().ok()).collect()
}

#[test]
fn a_page_in_the_background_asks_for_nothing_and_misses_nothing() {
    let Some(clip) = sample() else { return };
    let camera = format!("[cameras.front]\nuri = \"file://{}\"\nrepeat = true\n", clip.display());
    let daemon = Daemon::start(&format!("{}embedder = \"none\"\n{camera}", models()));
    daemon.wait_ready();
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    browser.go("#/wall");
    browser.find(".tile[data-live] canvas");
    eventually("one stream of events, and one of pictures", || (costs(&daemon).0 == 2.0).then_some(()));
    browser.while_hidden(|| {
        eventually("no stream", || (costs(&daemon).0 == 0.0).then_some(()));
        // what was being made at that moment may still come
        eventually("no picture for nobody", || {
            let before = costs(&daemon);
            daemon.wait_for_frames("front", 10.0);
            (costs(&daemon) == before).then_some(())
        });
        assert_eq!(costs(&daemon).0, 0.0);
        assert_eq!(daemon.metric("visor_preview_clients", &[]), 0.0);
    });
    let (_, before) = costs(&daemon);
    eventually("both again", || (costs(&daemon).0 == 2.0 && costs(&daemon).1 > before).then_some(()));

    browser.go("#/events?type=all");
    browser.find(".event");
    browser.while_hidden(|| {
        eventually("no stream", || (costs(&daemon).0 == 0.0).then_some(()));
        let (before, rows) = (newest(&daemon), shown(&browser).len());
        eventually("events that nobody sees", || (newest(&daemon) >= before + MISSED).then_some(()));
        assert_eq!((costs(&daemon).0, shown(&browser).len()), (0.0, rows));
    });
    let now = newest(&daemon);
    let shown = eventually("what was missed", || Some(shown(&browser)).filter(|seqs| seqs.first() >= Some(&now)));
    assert!(shown.is_sorted_by(|newer, older| *newer == older + 1), "a hole, or disorder: {shown:?}");
    assert!(shown.len() as u64 > MISSED);
    browser.assert_quiet(&[]);
}
