//! The converters: on small networks made here, and on the real ones where these are at hand.

use std::path::PathBuf;

use proptest::prelude::*;

use super::protobuf::members;
use super::*;
use crate::infer::{digest, fetch, manifest};

/// A network that shows each kind of layer: scaled and shifted, two channels, a slope below zero, and the sum of the greatest and the
/// mean of each channel.
const NET: &str = r#"<?xml version="1.0"?>
<net name="tiny" version="5">
  <layers>
    <layer id="0" name="in" precision="FP16" type="Input"><output><port id="0">PICTURE</port></output></layer>
    <layer id="1" name="a/b" precision="FP16" type="ScaleShift"><output><port id="3">PICTURE</port></output>
      <blobs><weights offset="0" size="2"/><biases offset="2" size="2"/></blobs></layer>
    <layer id="2" name="conv" precision="FP16" type="Convolution">
      <data dilations="1,1" group="1" kernel="1,1" output="2" pads_begin="0,0" pads_end="0,0" strides="1,1"/>
      <output><port id="3"><dim>1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></output>
      <blobs><weights offset="4" size="4"/><biases offset="8" size="4"/></blobs></layer>
    <layer id="3" name="slope" precision="FP32" type="PReLU"><data channel_shared="1"/>
      <output><port id="2"><dim>1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></output>
      <blobs><weights offset="12" size="4"/></blobs></layer>
    <layer id="4" name="most" precision="FP16" type="Pooling">
      <data kernel="2,2" pads_begin="0,0" pads_end="0,0" pool-method="max" rounding_type="floor" strides="2,2"/>
      <output><port id="1"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
    <layer id="5" name="mean" precision="FP16" type="Pooling">
      <data kernel="2,2" pads_begin="0,0" pads_end="0,0" pool-method="avg" rounding_type="floor" strides="2,2"/>
      <output><port id="1"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
    <layer id="6" name="both" precision="FP16" type="Eltwise"><data operation="sum"/>
      <output><port id="2"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
  </layers>
  <edges>
    <edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
    <edge from-layer="1" from-port="3" to-layer="2" to-port="0"/>
    <edge from-layer="2" from-port="3" to-layer="3" to-port="0"/>
    <edge from-layer="3" from-port="2" to-layer="4" to-port="0"/>
    <edge from-layer="3" from-port="2" to-layer="5" to-port="0"/>
    <edge from-layer="5" from-port="1" to-layer="6" to-port="1"/>
    <edge from-layer="4" from-port="1" to-layer="6" to-port="0"/>
  </edges>
</net>"#;

const SHAPE: Shape<'_> = Shape { input: "data", output: "numbers" };

fn text(xml: &str) -> Part {
    let picture = "<dim>1</dim><dim>1</dim><dim>2</dim><dim>2</dim>";
    Part { name: "tiny.xml".into(), bytes: xml.replace("PICTURE", picture).into() }
}

/// Times 2 plus 1; channels 1 and -1 of it, shifted by 0; a slope of a half.
fn weights() -> Part {
    let halves = [0x4000u16, 0x3c00, 0x3c00, 0xbc00, 0, 0];
    let mut bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    bytes.extend(0.5f32.to_le_bytes());
    Part { name: "tiny.bin".into(), bytes }
}

fn ops(model: &[u8]) -> Vec<String> {
    let graph = members(model, 7).unwrap()[0];
    let op = |node: &&[u8]| String::from_utf8(members(node, 4).unwrap()[0].to_vec()).unwrap();
    members(graph, 1).unwrap().iter().map(op).collect()
}

#[test]
fn each_layer_becomes_its_operation() {
    let model = openvino::convert(&text(NET), &weights(), &SHAPE).unwrap();
    assert_eq!(ops(&model), ["Mul", "Add", "Conv", "LeakyRelu", "MaxPool", "GlobalAveragePool", "Add", "Flatten"]);
    assert_eq!(model, openvino::convert(&text(NET), &weights(), &SHAPE).unwrap());
}

#[test]
fn other_layers_become_theirs() {
    let becomes = |from: &str, to: &str, expected: &str| {
        assert!(NET.contains(from), "{from}");
        let model = openvino::convert(&text(&NET.replacen(from, to, 1)), &weights(), &SHAPE).unwrap();
        assert!(ops(&model).iter().any(|op| op == expected), "{to} became {:?}", ops(&model));
    };
    becomes(r#"operation="sum""#, r#"operation="mul""#, "Mul");
    becomes(r#"type="PReLU"><data channel_shared="1"/>"#, r#"type="ReLU"><data/>"#, "Relu");
    becomes(r#"type="PReLU"><data channel_shared="1"/>"#, r#"type="ReLU"><data negative_slope="0.1"/>"#, "LeakyRelu");
    becomes(r#"type="PReLU"><data channel_shared="1"/>"#, r#"type="Activation"><data type="sigmoid"/>"#, "Sigmoid");
    // Two slopes of two bytes each.
    becomes(r#""FP32" type="PReLU"><data channel_shared="1"/>"#, r#""FP16" type="PReLU"><data/>"#, "PRelu");
}

#[test]
fn what_cannot_be_converted_is_named_with_what_was_expected_and_found() {
    let check = |from: &str, to: &str, words: &[&str]| {
        assert!(NET.contains(from), "{from}");
        let why = openvino::convert(&text(&NET.replacen(from, to, 1)), &weights(), &SHAPE).unwrap_err();
        assert!(why.starts_with("tiny.xml: "), "{why}");
        for word in words {
            assert!(why.contains(word), "\"{word}\" is not in: {why}");
        }
    };
    check("</net>", "", &["tiny.xml"]);
    check("<net ", "<network ", &["tiny.xml"]);
    check(r#"version="5""#, r#"version="10""#, &["expected version 2 to 7, found 10"]);
    check(r#"type="Eltwise""#, r#"type="Softmax""#, &["\"both\"", "expected one of Input, ", "found Softmax"]);
    check(r#"kernel="1,1""#, r#"kernel="3,3""#, &["\"conv\"", "weights: expected 18 numbers, found 2"]);
    check(r#"kernel="1,1""#, r#"kernel="1""#, &["\"conv\"", "kernel: expected 2 numbers, found \"1\""]);
    check(r#"group="1""#, r#"group="0""#, &["\"conv\"", "weights: expected"]);
    check(r#"offset="12""#, r#"offset="13""#, &["\"slope\"", "expected 4 bytes at 13 of tiny.bin, found a file of 16"]);
    check(r#"offset="12" size="4""#, r#"offset="12" size="3""#, &["\"slope\"", "whole FP32 numbers, found 3 bytes"]);
    check(r#"precision="FP32""#, r#"precision="I8""#, &["\"slope\"", "expected FP16 or FP32, found I8"]);
    check(r#"operation="sum""#, r#"operation="div""#, &["\"both\"", "operation: expected sum or mul, found div"]);
    check(r#"from-layer="5""#, r#"from-layer="9""#, &["\"both\"", "expected layer 9 before it"]);
    check(r#"<edge from-layer="5" from-port="1" to-layer="6" to-port="1"/>"#, "", &["expected 2 inputs, found 1"]);
    check(r#"from-layer="4""#, r#"from-layer="four""#, &["line 30", "from-layer", "\"four\""]);
    check(
        r#"kernel="2,2" pads_begin="0,0" pads_end="0,0" pool-method="avg""#,
        r#"kernel="1,1" pads_begin="0,0" pads_end="0,0" pool-method="avg""#,
        &["\"mean\"", "average of the whole"],
    );
    check(
        "</layer>\n  </layers>",
        "</layer></layers><layers><layer id=\"7\" name=\"x\" type=\"Input\"><output/></layer></layers>",
        &["\"x\"", "expected one output, found 0"],
    );
}

/// What the tiny network gives for a picture, worked out by hand: 2v + 1, and its negative halved; greatest plus mean.
#[test]
fn the_model_computes_what_the_network_says() {
    let model = openvino::convert(&text(NET), &weights(), &SHAPE).unwrap();
    let Some(found) = crate::infer::tests::run_once(&model, ("data", [1, 1, 2, 2]), &[1.0, 2.0, 3.0, 4.0]) else {
        return;
    };
    assert_eq!(found, [9.0 + 6.0, -1.5 - 3.0]);
}

proptest! {
    #[test]
    fn no_network_brings_it_down(start in 0usize..4000, length in 0usize..60, with in "[0-9a-z<>/\",]{0,8}", cut in 0usize..17) {
        let mut xml = text(NET);
        let (start, end) = (start.min(xml.bytes.len()), (start + length).min(xml.bytes.len()));
        xml.bytes.splice(start..end, with.bytes());
        let mut bin = weights();
        bin.bytes.truncate(cut);
        let _ = openvino::convert(&xml, &bin, &SHAPE);
    }
}

/// Weights of face-api's network in the real shapes, all of one byte.
fn face_api_weights() -> (serde_json::Value, Part) {
    let convolution = |name: &str, side: usize, [from, to]: [usize; 2]| {
        let entry = |part: &str, shape: serde_json::Value| {
            let quantised = serde_json::json!({"dtype": "uint8", "scale": 0.5, "min": -1.0});
            serde_json::json!({"name": format!("{name}/{part}"), "shape": shape, "dtype": "float32", "quantization": quantised})
        };
        let one = |part| entry(part, serde_json::json!([to]));
        let filters = entry("conv/filters", serde_json::json!([side, side, from, to]));
        [filters, one("conv/bias"), one("scale/weights"), one("scale/biases")]
    };
    let mut entries = convolution("conv32_down", 7, [3, 32]).to_vec();
    let mut before = 32;
    for (name, channels) in face_api::BLOCKS {
        entries.extend(convolution(&format!("{name}/conv1"), 3, [before, channels]));
        entries.extend(convolution(&format!("{name}/conv2"), 3, [channels, channels]));
        before = channels;
    }
    entries.push(serde_json::json!({"name": "fc", "shape": [256, 128], "dtype": "float32"}));
    let length = |entry: &serde_json::Value| {
        let shape = entry["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap() as usize);
        shape.product::<usize>() * if entry["quantization"].is_null() { 4 } else { 1 }
    };
    let bytes = vec![3; entries.iter().map(length).sum()];
    (serde_json::json!([{"weights": entries, "paths": ["weights.bin"]}]), Part { name: "weights.bin".into(), bytes })
}

fn list(entries: &serde_json::Value) -> Part {
    Part { name: "weights.json".into(), bytes: entries.to_string().into() }
}

#[test]
fn face_apis_network_is_built_whole() {
    let (entries, numbers) = face_api_weights();
    let model = face_api::convert(&list(&entries), &numbers, &SHAPE).unwrap();
    let ops = ops(&model);
    let count = |op: &str| ops.iter().filter(|other| *other == op).count();
    // A convolution at the start and two a block; the four narrower blocks' ways around are halved, three of them widened and
    // two convolutions filled up.
    assert_eq!((count("Conv"), count("Add"), count("AveragePool"), count("Pad")), (29, 14, 4, 5));
    assert_eq!(model, face_api::convert(&list(&entries), &numbers, &SHAPE).unwrap());
}

#[test]
fn wrong_weights_are_named_with_what_was_expected_and_found() {
    let (good, numbers) = face_api_weights();
    let check = |change: &dyn Fn(&mut serde_json::Value, &mut Vec<u8>), words: &[&str]| {
        let (mut entries, mut bytes) = (good.clone(), numbers.bytes.clone());
        change(&mut entries, &mut bytes);
        let numbers = Part { name: "weights.bin".into(), bytes };
        let why = face_api::convert(&list(&entries), &numbers, &SHAPE).unwrap_err();
        for word in words {
            assert!(why.contains(word), "\"{word}\" is not in: {why}");
        }
    };
    check(
        &|_, bytes| bytes.truncate(10),
        &["weights.bin", "expected conv32_down/conv/filters of [7, 7, 3, 32]", "found 10 bytes"],
    );
    check(&|_, bytes| bytes.push(0), &["weights.bin", "expected", "bytes, found"]);
    check(
        &|entries, _| entries[0]["weights"][0]["dtype"] = "int32".into(),
        &["weights.json", "expected float32, found int32"],
    );
    check(
        &|entries, _| entries[0]["weights"][1]["name"] = "bias".into(),
        &["weights.json", "expected weights named conv32_down/conv/bias"],
    );
    check(
        &|entries, _| entries[0]["weights"][0]["shape"] = serde_json::json!([7, 7, 32, 3]),
        &["weights.json", "expected [7, 7, 3, 32], found [7, 7, 32, 3]"],
    );
    check(
        &|entries, _| entries[0]["weights"][0]["quantization"]["dtype"] = "uint16".into(),
        &["weights.json", "uint16"],
    );
    check(&|entries, _| *entries = serde_json::json!({}), &["weights.json"]);
}

#[test]
fn a_transform_takes_as_many_files_as_it_needs() {
    let manifest = manifest::find(None, "face-reid-0095").unwrap();
    let why = apply(Transform::OpenvinoIr, &[text(NET)], &manifest).unwrap_err();
    assert!(why.contains("expected 2 files, found 1"), "{why}");
}

#[track_caller]
fn check_pinned(model: &str, transform: Transform, parts: &[Part]) {
    let manifest = manifest::find(None, model).unwrap();
    let made = apply(transform, parts, &manifest).unwrap();
    assert_eq!(made.len() as u64, manifest.bytes, "{model}");
    assert_eq!(digest::sha256(&made), manifest.sha256, "{model}");
}

/// The hashes in the manifests are those of models that another converter made, so that equal bytes also mean equal outputs.
#[test]
fn openvinos_files_become_the_pinned_models() {
    let Some(assets) = std::env::var_os("VISOR_ASSETS").map(PathBuf::from) else {
        eprintln!("skipped: VISOR_ASSETS is not set");
        return;
    };
    for (model, file) in [
        ("face-reid-0095", "face-reidentification-retail-0095"),
        ("landmarks-0009", "landmarks-regression-retail-0009"),
    ] {
        let part = |kind: &str| {
            let path = assets.join(format!("models/ir_source/{file}.{kind}"));
            Part { name: file.into(), bytes: std::fs::read(path).unwrap() }
        };
        check_pinned(model, Transform::OpenvinoIr, &[part("xml"), part("bin")]);
    }
}

#[test]
fn face_apis_weights_become_the_pinned_model() {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/photos/package.tgz");
    if !package.exists() {
        eprintln!("skipped: no {} (scripts/setup sample brings it)", package.display());
        return;
    }
    let file = |path: &str| Part { name: path.into(), bytes: fetch::packed(&package, path).unwrap() };
    let list = file("model/face_recognition_model-weights_manifest.json");
    check_pinned("dlib-resnet", Transform::FaceApi, &[list, file("model/face_recognition_model.bin")]);
}
