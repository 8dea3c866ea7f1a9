//! `visor detect` on real pictures and videos, against their annotations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use visor::geometry::Rect;

/// A file of the development media, where this machine has them, the runtime and the default model.
pub(super) fn media(path: &str) -> Option<PathBuf> {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/store");
    let needed = ["libonnxruntime.so", "yunet_n_dynamic.onnx"];
    if let Some(missing) = needed.iter().find(|name| !store.join(name).exists()) {
        eprintln!("skipped: {missing} is not in models/store");
        return None;
    }
    let Some(assets) = std::env::var_os("VISOR_ASSETS") else {
        eprintln!("skipped: VISOR_ASSETS is not set");
        return None;
    };
    Some(Path::new(&assets).join("media").join(path))
}

fn detect(arguments: &[&str], files: &[PathBuf]) -> Output {
    Command::cargo_bin("visor").unwrap().arg("detect").args(arguments).args(files).output().unwrap()
}

/// One line of `--json`.
struct Line {
    file: PathBuf,
    frame: Option<u64>,
    faces: Vec<Rect>,
}

fn lines(output: &Output) -> Vec<Line> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| read_line(&serde_json::from_str(line).unwrap())).collect()
}

fn read_line(line: &Value) -> Line {
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["faces", "file", "frame", "height", "time", "width"]);
    let face = |face: &Value| {
        let keys: Vec<_> = face.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["box", "landmarks", "quality", "reason", "score"]);
        assert_eq!(face["landmarks"].as_array().unwrap().len(), 5);
        let [x, y, w, h] = [0, 1, 2, 3].map(|i| face["box"][i].as_f64().unwrap() as f32);
        Rect::new(x, y, w, h)
    };
    Line {
        file: line["file"].as_str().unwrap().into(),
        frame: line["frame"].as_u64(),
        faces: line["faces"].as_array().unwrap().iter().map(face).collect(),
    }
}

/// The number behind `name='` in an XML tag.
fn attribute(tag: &str, name: &str) -> f32 {
    let (_, rest) = tag.split_once(&format!("{name}='")).unwrap();
    rest.split('\'').next().unwrap().parse().unwrap()
}

/// Boxes by picture, as dlib annotates them.
fn dlib_boxes(folder: &Path) -> BTreeMap<PathBuf, Vec<Rect>> {
    let mut boxes = BTreeMap::new();
    for part in ["testing.xml", "training.xml"] {
        let text = std::fs::read_to_string(folder.join(part)).unwrap();
        for image in text.split("<image file='").skip(1) {
            let name = image.split('\'').next().unwrap();
            let faces = image.split("<box ").skip(1).map(|tag| {
                let [x, y, w, h] = ["left", "top", "width", "height"].map(|name| attribute(tag, name));
                Rect::new(x, y, w, h)
            });
            boxes.insert(folder.join(name), faces.collect());
        }
    }
    boxes
}

#[test]
fn every_face_of_the_dlib_pictures_is_found() {
    let Some(folder) = media("detect/dlib_faces") else { return };
    let truth = dlib_boxes(&folder);
    let output = detect(&["--json"], &truth.keys().cloned().collect::<Vec<_>>());
    let mut found = 0;
    for line in lines(&output) {
        assert_eq!(line.frame, None, "a picture is no frame of anything");
        for face in &truth[&line.file] {
            let best = line.faces.iter().map(|f| f.iou(*face)).fold(0.0, f32::max);
            assert!(best >= 0.3, "{}: {face:?} is missed, best overlap {best}", line.file.display());
            found += 1;
        }
    }
    assert_eq!(found, 43);
}

#[test]
fn every_nose_of_the_compreface_pictures_is_inside_a_face() {
    let Some(folder) = media("detect/compreface") else { return };
    let text = std::fs::read_to_string(folder.join("annotations.json")).unwrap();
    let annotations: Value = serde_json::from_str(&text).unwrap();
    let noses: BTreeMap<PathBuf, Vec<[f32; 2]>> = annotations["nose_points_xy"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, points)| (folder.join(name), serde_json::from_value(points.clone()).unwrap()))
        .collect();
    let output = detect(&["--json"], &noses.keys().cloned().collect::<Vec<_>>());
    let mut found = 0;
    for line in lines(&output) {
        for [x, y] in &noses[&line.file] {
            let inside = |face: &Rect| (face.x..face.right()).contains(x) && (face.y..face.bottom()).contains(y);
            assert!(line.faces.iter().any(inside), "{}: no face at {x}, {y}", line.file.display());
            found += 1;
        }
    }
    assert_eq!(found, 46);
}

/// Boxes by frame in MOT format; false for those that are too hidden to count.
#[cfg(feature = "media")]
fn mot_truth(path: &Path) -> BTreeMap<u64, Vec<(Rect, bool)>> {
    let mut boxes = BTreeMap::<_, Vec<_>>::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let v: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        boxes.entry(v[0] as u64).or_default().push((Rect::new(v[2], v[3], v[4], v[5]), v[6] > 0.0));
    }
    boxes
}

/// Recall over the boxes that count, and precision against all; pairs are made by falling overlap.
#[cfg(feature = "media")]
fn recall_and_precision(lines: &[Line], truth: &BTreeMap<u64, Vec<(Rect, bool)>>, least: f32) -> (f64, f64) {
    let (mut hits, mut wanted, mut right, mut given) = (0, 0, 0, 0);
    for line in lines {
        let none = Vec::new();
        let boxes = truth.get(&line.frame.unwrap()).unwrap_or(&none);
        let pair = |f: usize, b: usize| (line.faces[f].iou(boxes[b].0), f, b);
        let mut pairs: Vec<_> = (0..line.faces.len())
            .flat_map(|f| (0..boxes.len()).map(move |b| (f, b)))
            .map(|(f, b)| pair(f, b))
            .collect();
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut faces_used, mut boxes_used) = (vec![false; line.faces.len()], vec![false; boxes.len()]);
        for (overlap, face, b) in pairs {
            if overlap >= least && !faces_used[face] && !boxes_used[b] {
                (faces_used[face], boxes_used[b]) = (true, true);
                right += 1;
                hits += usize::from(boxes[b].1);
            }
        }
        given += line.faces.len();
        wanted += boxes.iter().filter(|(_, counts)| *counts).count();
    }
    (f64::from(hits as u32) / f64::from(wanted as u32), f64::from(right) / f64::from(given as u32))
}

#[cfg(feature = "media")]
#[test]
fn faces_that_cross_are_found_in_every_frame() {
    let Some(folder) = media("tracking/synth_cross5") else { return };
    let output = detect(&["--json"], &[folder.join("synth_cross5.mp4")]);
    let lines = lines(&output);
    assert_eq!(lines.iter().filter_map(|line| line.frame).collect::<Vec<_>>(), (1..=300).collect::<Vec<_>>());
    let (recall, precision) = recall_and_precision(&lines, &mot_truth(&folder.join("gt/gt.txt")), 0.5);
    println!("synth_cross5: recall {recall:.4}, precision {precision:.4}");
    assert!(recall >= 0.95 && precision >= 0.97, "recall {recall}, precision {precision}");
}

#[cfg(feature = "media")]
#[test]
fn a_crowd_is_found_with_a_larger_input() {
    let Some(clip) = media("video/real/facenet_video.mp4") else { return };
    let Some(truth) = media("tracking/pseudo_gt/facenet_video.gt.txt") else { return };
    let output = detect(&["--json", "--input", "1280x736"], &[clip]);
    let (recall, _) = recall_and_precision(&lines(&output), &mot_truth(&truth), 0.3);
    println!("facenet_video: recall {recall:.4}");
    assert!(recall >= 0.90, "recall {recall}");
}

/// A file that cannot be used is named and the rest goes on; nothing crashes, whatever the file.
#[test]
fn odd_files_are_named_and_the_rest_goes_on() {
    let Some(odd) = media("odd") else { return };
    let folders = [odd.join("gen"), odd.join("imagers"), odd.clone()];
    let output = detect(&["--json"], &folders);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    let files = folders.iter().flat_map(|folder| folder.read_dir().unwrap()).map(|entry| entry.unwrap().path());
    let lines = lines(&output);
    for file in files.filter(|path| path.is_file()) {
        let told = lines.iter().any(|line| line.file == file) || errors.contains(&*file.to_string_lossy());
        assert!(told, "nothing is said of {}: {errors}", file.display());
    }
    assert!(errors.contains("20000x20000 pixels are too many"), "{errors}");
    assert!(errors.contains("jpeg_truncated_40pct.jpg: the JPEG is cut off before its end"), "{errors}");
    let faces = |name: &str| lines.iter().find(|line| line.file.ends_with(name)).map(|line| line.faces.len());
    assert_eq!(faces("gen/exif_orientation6_8faces.jpg"), Some(8));
    assert_eq!(faces("gen/gray_8faces.jpg"), Some(8));
    assert_eq!(faces("gen/rgb16_8faces.png"), Some(8));
    assert_eq!(faces("imagers/ball.png"), Some(0));
}

#[test]
fn a_score_or_size_that_cannot_be_is_refused() {
    let Some(folder) = media("detect/dlib_faces") else { return };
    let picture = [folder.join("2008_002470.jpg")];
    assert_eq!(detect(&["--input", "0x5"], &picture).status.code(), Some(2));
    assert_eq!(detect(&["--input", "641x384"], &picture).status.code(), Some(2));
    assert_eq!(detect(&["--score", "2"], &picture).status.code(), Some(2));
    assert_eq!(detect(&["--model", "yunet-m"], &picture).status.code(), Some(2));
    assert_eq!(detect(&[], &[]).status.code(), Some(2));
}
