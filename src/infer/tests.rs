//! Models on the real library: skipped, aloud, where it or the models are missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::manifest::{self, Kind, Task};
use super::*;
use crate::fault::{Fault, FaultKind};

/// The settings of these tests: `VISOR_TEST_LIBRARY` or the checkout's library, `VISOR_ASSETS` or the checkout's models.
fn config() -> Option<Config> {
    let config = Config {
        library: std::env::var_os("VISOR_TEST_LIBRARY").map(PathBuf::from),
        accept_licences: vec!["LicenseRef-InsightFace-non-commercial".into()],
        ..Config::default()
    };
    if config.library().exists() {
        return Some(config);
    }
    eprintln!("skipped: no {} (set VISOR_TEST_LIBRARY, or run scripts/setup library)", config.library().display());
    None
}

/// The runtime and a model's manifest, where both are there.
pub(crate) fn runtime(name: &str) -> Option<(Runtime, Manifest)> {
    let mut config = config()?;
    let manifest = manifest::find(None, name).unwrap();
    if let Some(assets) = std::env::var_os("VISOR_ASSETS") {
        config.library = Some(config.library());
        config.folder = Some(Path::new(&assets).join("models").join(match manifest.task {
            Task::Detect => "detect",
            Task::Embed => "embed",
            Task::Landmarks => "landmark",
        }));
    }
    let runtime = Runtime::load(&config).unwrap();
    if runtime.config().folder().join(&manifest.file).exists() {
        return Some((runtime, manifest));
    }
    eprintln!("skipped: no {} in {} (set VISOR_ASSETS)", manifest.file, runtime.config().folder().display());
    None
}

fn open(runtime: &Runtime, manifest: &Manifest, batch: usize) -> Result<Arc<Model>, Fault> {
    let input = manifest.input.shape(batch, manifest.size(None)?);
    runtime.open(manifest, 1, input)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A picture of structured noise, another for each seed.
fn picture(model: &Model, seed: u32) -> Vec<f32> {
    let length = model.input_shape()[1..].iter().product();
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as f32
    };
    (0..length).map(|i| if i % 7 == 0 { next() } else { (i % 251) as f32 }).collect()
}

fn input(model: &Model, pictures: &[Vec<f32>]) -> Input {
    let [_, a, b, c] = model.input_shape();
    let values = pictures.concat();
    let values = match model.manifest().input.kind {
        Kind::F32 => Values::F32(values),
        Kind::U8 => Values::U8(values.iter().map(|&v| v as u8).collect()),
    };
    Input { shape: [pictures.len(), a, b, c], values }
}

/// Each item of a batch gives what it gives alone.
fn check_alone_is_as_in_a_batch(name: &str) {
    let Some((runtime, manifest)) = runtime(name) else { return };
    let model = open(&runtime, &manifest, 1).unwrap();
    let pictures: Vec<_> = (1..=3).map(|seed| picture(&model, seed)).collect();
    let mut together = Outputs::new();
    model.run(&input(&model, &pictures), soon(), &mut together).unwrap();
    let mut alone = Outputs::new();
    for (item, one) in pictures.iter().enumerate() {
        model.run(&input(&model, std::slice::from_ref(one)), soon(), &mut alone).unwrap();
        assert_eq!(alone.len(), manifest.outputs.len());
        for index in 0..alone.len() {
            let (alone, together) = (alone.get(index).unwrap(), together.get(index).unwrap());
            assert_eq!(together.shape[0], 3, "{name}: output {index}");
            assert_eq!(together.shape[1..], alone.shape[1..], "{name}: output {index}");
            let part = &together.data[item * alone.data.len()..][..alone.data.len()];
            let apart = part.iter().zip(alone.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-3, "{name}: output {index} of item {item} is {apart} away from the one alone");
        }
    }
}

/// What a graph with one input and an output "numbers" gives; `None` without the library.
pub(super) fn run_once(graph: &[u8], (name, shape): (&str, [usize; 4]), values: &[f32]) -> Option<Vec<f32>> {
    let mut config = config()?;
    let folder = tempfile::tempdir().unwrap();
    config.library = Some(config.library());
    config.folder = Some(folder.path().into());
    let mut manifest = manifest::find(None, "landmarks-0009").unwrap();
    manifest.sha256 = digest::sha256(graph);
    manifest.input.name = name.into();
    manifest.input.size = [shape[3] as u32, shape[2] as u32];
    manifest.outputs[0].name = "numbers".into();
    manifest.outputs[0].shape = vec![manifest::Dim::Named("N".into()), manifest::Dim::Named("numbers".into())];
    std::fs::write(folder.path().join(&manifest.file), graph).unwrap();
    let model = Runtime::load(&config).unwrap().open(&manifest, 1, shape).unwrap();
    let mut outputs = Outputs::new();
    model.run(&Input { shape, values: Values::F32(values.into()) }, soon(), &mut outputs).unwrap();
    Some(outputs.get(0).unwrap().data.to_vec())
}

#[test]
fn a_batch_does_not_leak_between_its_items() {
    check_alone_is_as_in_a_batch("yunet-n");
    check_alone_is_as_in_a_batch("yunet-s");
    check_alone_is_as_in_a_batch("centerface");
    check_alone_is_as_in_a_batch("face-reid-0095");
    check_alone_is_as_in_a_batch("dlib-resnet");
    check_alone_is_as_in_a_batch("mobilefacenet-y1");
    check_alone_is_as_in_a_batch("landmarks-0009");
}

#[test]
fn a_graph_for_one_picture_takes_a_batch_too() {
    check_alone_is_as_in_a_batch("yunet-2023mar");
    check_alone_is_as_in_a_batch("ssd-mobilenetv1-tfod");
}

#[test]
fn every_model_at_hand_opens_and_runs() {
    for manifest in manifest::catalogue(None).unwrap() {
        let Some((runtime, manifest)) = runtime(&manifest.name) else { continue };
        let model = open(&runtime, &manifest, 1).unwrap();
        let mut outputs = Outputs::new();
        model.run(&input(&model, &[picture(&model, 1)]), soon(), &mut outputs).unwrap();
        assert_eq!(outputs.len(), manifest.outputs.len());
        assert!(outputs.get(0).unwrap().data.iter().all(|value| value.is_finite()), "{}", manifest.name);
        assert_eq!(model.oldest_call(), None);
        assert!(model.time_bare(&input(&model, &[picture(&model, 1)]), soon()).unwrap() > Duration::ZERO);
    }
}

/// A change to `yunet-n`'s manifest that makes opening it fail, with words of the error.
fn check_refusal(change: fn(&mut Manifest, &mut [usize; 4]), kind: FaultKind, words: &[&str]) {
    let Some((runtime, mut manifest)) = runtime("yunet-n") else { return };
    let mut input = [1, 3, 384, 640];
    change(&mut manifest, &mut input);
    let fault = runtime.open(&manifest, 1, input).unwrap_err();
    assert_eq!(fault.kind, kind, "{fault}");
    for word in words {
        assert!(fault.to_string().contains(word), "\"{word}\" is not in: {fault}");
    }
}

#[test]
fn what_does_not_match_the_manifest_is_named() {
    use FaultKind::{Config, Unavailable};
    let file = "yunet_n_dynamic.onnx";
    check_refusal(|m, _| m.sha256 = "0".repeat(64), Unavailable, &[file, "expected 0000", "found 104ee26c"]);
    check_refusal(|m, _| m.file = "gone.onnx".into(), Unavailable, &["gone.onnx", "visor models pull yunet-n"]);
    check_refusal(|m, _| m.outputs[3].name = "obj_4".into(), Unavailable, &[file, "\"obj_4\"", "\"obj_8\""]);
    check_refusal(
        |m, _| m.outputs[6].shape[2] = manifest::Dim::Fixed(5),
        Unavailable,
        &[file, "\"bbox_8\"", "[N, cells_8, 5]", "4"],
    );
    check_refusal(|m, _| m.input.name = "picture".into(), Unavailable, &[file, "\"picture\"", "\"input\""]);
    check_refusal(|m, _| m.input.kind = Kind::U8, Unavailable, &[file, "U8", "f32"]);
    check_refusal(|_, input| input[3] = 650, Config, &["yunet-n", "multiples of 32", "650x384"]);
    check_refusal(|_, input| input[1] = 4, Unavailable, &[file, "[1, 4, 384, 640]"]);
}

#[test]
fn a_file_that_is_no_graph_is_named() {
    let Some(mut config) = config() else { return };
    let folder = tempfile::tempdir().unwrap();
    config.library = Some(config.library());
    config.folder = Some(folder.path().into());
    let mut manifest = manifest::find(None, "yunet-n").unwrap();
    manifest.sha256 = digest::sha256(b"not a graph");
    std::fs::write(folder.path().join(&manifest.file), b"not a graph").unwrap();
    let fault = open(&Runtime::load(&config).unwrap(), &manifest, 1).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unavailable);
    assert!(fault.to_string().contains("cannot load yunet_n_dynamic.onnx"), "{fault}");
}

#[test]
fn a_model_against_commercial_use_runs_only_when_it_is_named() {
    let Some((runtime, manifest)) = runtime("scrfd-500m") else { return };
    assert!(open(&runtime, &manifest, 1).is_ok());
    let mut config = runtime.config().clone();
    config.accept_licences = vec!["scrfd-2.5g".into()];
    let refused = open(&Runtime::load(&config).unwrap(), &manifest, 1).unwrap_err();
    assert_eq!(refused.kind, FaultKind::Config);
    assert!(refused.to_string().contains("models.accept_licences = [\"scrfd-500m\"]"), "{refused}");
    config.accept_licences = vec![manifest.licence.clone()];
    assert!(open(&Runtime::load(&config).unwrap(), &manifest, 1).is_ok());
}

#[test]
fn a_provider_that_is_not_there_is_an_error() {
    let Some((runtime, manifest)) = runtime("yunet-n") else { return };
    for provider in [Provider::Cuda, Provider::Tensorrt, Provider::Openvino] {
        let config = Config { provider, ..runtime.config().clone() };
        let refused = open(&Runtime::load(&config).unwrap(), &manifest, 1).unwrap_err();
        assert_eq!(refused.kind, FaultKind::Unavailable, "{refused}");
        assert!(refused.to_string().contains(&format!("\"{}\"", provider.name())), "{refused}");
    }
}

#[test]
fn a_provider_that_gets_no_node_is_found_out() {
    let Some((runtime, manifest)) = runtime("yunet-n") else { return };
    let model = std::fs::read(runtime.config().folder().join(&manifest.file)).unwrap();
    Provider::Cpu.verify(runtime.settings().unwrap(), &model).unwrap();
    let pretended = Provider::Cuda.verify(runtime.settings().unwrap(), &model).unwrap_err();
    assert!(pretended.to_string().contains("no node of the model, only CPUExecutionProvider"), "{pretended}");
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let Some((runtime, manifest)) = runtime("yunet-n") else { return };
    let model = open(&runtime, &manifest, 1).unwrap();
    let mut outputs = Outputs::new();
    let mut run = |shape, values| model.run(&Input { shape, values }, soon(), &mut outputs);
    let length = 3 * 384 * 640;
    let refused = run([1, 3, 384, 640], Values::U8(vec![0; length])).unwrap_err();
    assert!(matches!(refused, InferError::Shape(_)), "{refused}");
    assert!(run([1, 3, 640, 384], Values::F32(vec![0.0; length])).is_err());
    assert!(run([2, 3, 384, 640], Values::F32(vec![0.0; length])).is_err());
    assert!(run([0, 3, 384, 640], Values::F32(Vec::new())).is_err());
    assert!(run([1, 3, 384, 640], Values::F32(vec![0.0; length])).is_ok());
}

#[test]
fn a_call_waits_for_a_session_no_longer_than_its_deadline() {
    let Some((runtime, manifest)) = runtime("yunet-n") else { return };
    let model = open(&runtime, &manifest, 1).unwrap();
    let many = input(&model, &vec![picture(&model, 1); 64]);
    let one = input(&model, &[picture(&model, 2)]);
    std::thread::scope(|scope| {
        let long = scope.spawn(|| model.run(&many, soon(), &mut Outputs::new()));
        while model.oldest_call().is_none() {
            assert!(!long.is_finished());
            std::thread::yield_now();
        }
        let late = model.run(&one, Instant::now() + Duration::from_millis(5), &mut Outputs::new());
        assert_eq!(late, Err(InferError::DeadlinePassed));
        assert!(!long.is_finished(), "64 pictures take far longer than 5 ms");
        assert_eq!(long.join().unwrap(), Ok(()));
    });
    assert_eq!(model.run(&one, soon(), &mut Outputs::new()), Ok(()));
}

#[test]
fn a_second_library_is_refused() {
    let Some(mut config) = config() else { return };
    Runtime::load(&config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("libonnxruntime.so");
    std::fs::copy(config.library(), &other).unwrap();
    config.library = Some(other);
    let refused = Runtime::load(&config).unwrap_err();
    assert!(refused.to_string().contains("already"), "{refused}");
}
