//! Every family's decoder against tensors recorded from its model, and against garbage.

use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;
use serde::Deserialize;

use super::{FAMILIES, Found};
use crate::geometry::{Rect, Size};
use crate::infer::Outputs;

/// Tensors of one run, of which only the cells near a face are kept; and the faces that a direct run gave.
#[derive(Deserialize)]
struct Fixture {
    family: String,
    input: [u32; 2],
    score: f32,
    nms: f32,
    outputs: Vec<Sparse>,
    faces: Vec<[f32; 5]>,
}

#[derive(Deserialize)]
struct Sparse {
    shape: Vec<usize>,
    values: Vec<(usize, f32)>,
}

impl Fixture {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/decoders/{name}.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn outputs(&self) -> Outputs {
        let mut outputs = Outputs::new();
        for (index, sparse) in self.outputs.iter().enumerate() {
            let mut data = vec![0.0; sparse.shape.iter().product()];
            sparse.values.iter().for_each(|(i, value)| data[*i] = *value);
            outputs.set(index, &sparse.shape, &data);
        }
        outputs
    }

    fn size(&self) -> Size {
        Size::new(self.input[0], self.input[1])
    }
}

fn decode(family: &str, outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), super::Mismatch> {
    let family = super::family::find(family).unwrap();
    (family.decode)(outputs, input, found)
}

/// A recorded run gives the faces of a direct run of the same model, within a tenth of a pixel.
#[rstest]
#[case::yunet("yunet-n", true)]
#[case::scrfd("scrfd-500m", true)]
#[case::retinaface("retinaface-mobilenet025", true)]
#[case::retinaface_in_one_output("retinaface-mobilenet025-single", true)]
#[case::centerface("centerface", true)]
#[case::ultraface("ultraface-rfb-320", false)]
#[case::ssd("ssd-mobilenetv1", false)]
#[case::ssd_of_tensorflow("ssd-mobilenetv1-tfod", false)]
fn recorded_tensors_give_the_faces_of_a_direct_run(#[case] name: &str, #[case] with_landmarks: bool) {
    let fixture = Fixture::read(name);
    let mut found = Found::new(fixture.score);
    decode(&fixture.family, &fixture.outputs(), fixture.size(), &mut found).unwrap();
    let faces = found.suppress(fixture.nms);
    assert_eq!(faces.len(), fixture.faces.len());
    for [x, y, w, h, score] in &fixture.faces {
        let same = |rect: Rect| {
            [(rect.x, x), (rect.y, y), (rect.w, w), (rect.h, h)].iter().all(|(a, b)| (*a - **b).abs() < 0.1)
        };
        let face =
            faces.iter().find(|face| same(face.rect)).unwrap_or_else(|| panic!("no face at {x}, {y}: {faces:?}"));
        assert!((face.score - score).abs() < 1e-3);
        assert_eq!(face.landmarks.is_some(), with_landmarks);
        // Eyes above the mouth, the left of each pair on the left, all near the face.
        if let Some([left_eye, right_eye, nose, left_mouth, right_mouth]) = face.landmarks {
            assert!(left_eye.x < right_eye.x && left_mouth.x < right_mouth.x);
            assert!(left_eye.y < left_mouth.y && right_eye.y < right_mouth.y);
            let near = face.rect.grown(0.2);
            assert!(near.x < nose.x && nose.x < near.right() && near.y < nose.y && nose.y < near.bottom());
        }
    }
}

/// A missing, a superfluous or a short tensor is named, not read past.
#[rstest]
fn outputs_of_another_shape_are_refused(
    #[values("yunet-n", "scrfd-500m", "retinaface-mobilenet025", "centerface", "ultraface-rfb-320", "ssd-mobilenetv1")]
    name: &str,
) {
    let fixture = Fixture::read(name);
    let mut found = Found::new(0.5);
    let mut more = fixture.outputs();
    more.set(12, &[1], &[0.0]);
    assert!(decode(&fixture.family, &more, fixture.size(), &mut found).is_err());
    assert!(decode(&fixture.family, &Outputs::new(), fixture.size(), &mut found).is_err());
    for index in 0..fixture.outputs.len() {
        let mut short = fixture.outputs();
        let tensor = short.get(index).unwrap();
        let (shape, data) = (tensor.shape.to_vec(), tensor.data[1..].to_vec());
        short.set(index, &shape, &data);
        assert!(decode(&fixture.family, &short, fixture.size(), &mut found).is_err(), "output {index}");
    }
}

/// The shapes of every family's outputs for an input of 64x32.
fn shapes(family: &str) -> Vec<usize> {
    let cells = [32, 8, 2];
    match family {
        "yunet" => [1, 1, 4, 10].iter().flat_map(|n| cells.map(|c| c * n)).collect(),
        "scrfd" => [2, 8, 20].iter().flat_map(|n| cells.map(|c| c * n)).collect(),
        "retinaface" => vec![84 * 4, 84 * 2, 84 * 10],
        "centerface" => vec![128, 256, 256, 1280],
        "ultraface" => vec![84 * 2, 84 * 4],
        "ssd" => vec![40, 10, 10, 1],
        other => panic!("family {other} has no shapes here"),
    }
}

fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -2f32..2.0, 1 => any::<f32>(), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a model gives: no panic, only finite boxes of the asked score, and anything unsound is counted.
    #[test]
    fn garbage_gives_sound_faces_or_none(seed in proptest::collection::vec(any_value(), 64..256)) {
        for family in FAMILIES {
            let mut outputs = Outputs::new();
            for (index, length) in shapes(family.name).into_iter().enumerate() {
                let data: Vec<f32> = (0..length).map(|i| seed[(i * 7 + index * 13) % seed.len()]).collect();
                outputs.set(index, &[1, length], &data);
            }
            let mut found = Found::new(0.3);
            prop_assert_eq!((family.decode)(&outputs, Size::new(64, 32), &mut found), Ok(()));
            for face in found.suppress(0.3) {
                prop_assert!(face.rect.is_sound() && (0.3..=1.0).contains(&face.score), "{}: {face:?}", family.name);
            }
        }
    }
}

/// A score that is no number could hide a face.
#[test]
fn scores_that_are_no_numbers_are_counted() {
    for family in FAMILIES {
        let mut outputs = Outputs::new();
        for (index, length) in shapes(family.name).into_iter().enumerate() {
            outputs.set(index, &[1, length], &vec![f32::NAN; length]);
        }
        let mut found = Found::new(0.3);
        (family.decode)(&outputs, Size::new(64, 32), &mut found).unwrap();
        assert!(found.unsound() > 0, "{}", family.name);
    }
}
