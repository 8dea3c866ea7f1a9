//! `visor bench` as a script reads it. What it measures is no test: a machine that is busy is not wrong.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_visor")).arg("bench").args(arguments).output().unwrap()
}

#[test]
fn each_figure_has_its_four_fields() {
    let output = bench(&["--quick", "--json", "--only", "slot", "tracker-10"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures.keys().collect::<Vec<_>>(), ["slot", "tracker-10"]);
    for (name, figure) in figures {
        let fields: Vec<_> = figure.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["baseline", "ratio", "unit", "value"], "{name}");
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{name}: {figure}");
    }
}

#[test]
fn an_unknown_measurement_is_wrong_usage() {
    let output = bench(&["--only", "trakcer"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose of slot, "));
}

#[cfg(feature = "media")]
#[test]
fn a_clip_that_is_not_there_is_69_and_leaves_the_rest() {
    let output = bench(&["--quick", "--clip", "/nonexistent.mp4", "--only", "ring", "slot"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ring not measured: /nonexistent.mp4"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("slot"));
}
