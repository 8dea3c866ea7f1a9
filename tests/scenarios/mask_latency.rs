//! What masking adds to a camera's delay, for minutes: it stays what it was at the start.
#![cfg(feature = "media")]

use std::process::Command;

use serde_json::Value;

use super::support::daemon::{sample, visor};
use super::support::wait::soak_time;

/// What each minute's median and 99th percentile may come to, and by how much medians may differ, in milliseconds.
const MOST: [(&str, f64); 3] = [("masked-worst-p50", 250.0), ("masked-worst-p99", 350.0), ("masked-drift", 10.0)];

#[test]
fn soak_what_masking_adds_to_the_delay_does_not_grow() {
    if std::env::var_os("VISOR_SOAK_SECONDS").is_none() {
        return eprintln!("skipped: make soak runs it");
    }
    if sample().is_none() {
        return;
    }
    let seconds = soak_time().as_secs().clamp(10, 600).to_string();
    let wanted = ["--only", "masked-p50", "masked-p99", "masked-worst", "masked-drift"];
    let output = Command::new(visor()).args(["bench", "--json", "--seconds", &seconds]).args(wanted).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{seconds} s: {}", String::from_utf8_lossy(&output.stdout));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, most) in MOST {
        let value = figures[name]["value"].as_f64().unwrap();
        assert!(value <= most, "{name} is {value} ms, more than {most} ms");
    }
}
