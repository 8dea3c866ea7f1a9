//! The page itself: that it comes, to whom, and how fast.
#![cfg(feature = "media")]

use super::support::browser::{Browser, DESKTOP, PHONE};
use super::support::daemon::{Daemon, models};

fn config(more: &str) -> String {
    format!("{}embedder = \"none\"\n{more}", models())
}

#[test]
fn the_page_opens_in_both_sizes_and_schemes() {
    let daemon = Daemon::start(&config(""));
    daemon.wait_ready();
    let Some(browser) = Browser::open(&daemon, DESKTOP) else { return };
    for (size, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        browser.resize(size);
        browser.go("#/wall");
        browser.wait_for_text("h1", "Wall");
        for dark in [false, true] {
            browser.dark(dark);
            browser.screenshot(&format!("empty-{name}-{}", if dark { "dark" } else { "light" }));
        }
        browser.assert_accessible();
    }
    browser.assert_quiet(&[]);
}
