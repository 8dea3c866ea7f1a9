//! The self-audit with a real detector: it tells of a face in masked video, and of no mask.
#![cfg(feature = "media")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use visor::clock::Monotonic;
use visor::detect::View;
use visor::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use visor::geometry::{Point, Size};
use visor::infer::{self, Runtime};
use visor::mask::{self, Analysis, Audit, Hold, Line, Lookahead, MaskedFrame, Painter, Policy, Sighting, TestFace};
use visor::pipeline::{Auditor, Control, audits, run_audit};
use visor::sink::VideoTaker;

use super::support::daemon::checkout;
use super::support::wait::eventually;

/// The test face as a camera would give it: BT.601, full range.
fn frame(face: &TestFace) -> Frame {
    let View::Rgb { size, bytes } = face.view() else { panic!("the test face is no RGB") };
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let layout = Layout::packed(size, PixelFormat::I420, colour);
    let pixel = |x: u32, y: u32| {
        let at = 3 * (y * size.width + x) as usize;
        [bytes[at], bytes[at + 1], bytes[at + 2]].map(f32::from)
    };
    let Size { width, height } = size;
    let luma = (0..width * height).map(|n| {
        let [r, g, b] = pixel(n % width, n / width);
        0.299 * r + 0.587 * g + 0.114 * b
    });
    let chroma = |weights: [f32; 3]| {
        (0..width / 2 * (height / 2)).map(move |n| {
            let [r, g, b] = pixel(n % (width / 2) * 2, n / (width / 2) * 2);
            128.0 + weights[0] * r + weights[1] * g + weights[2] * b
        })
    };
    let planes = luma.chain(chroma([-0.169, -0.331, 0.5])).chain(chroma([0.5, -0.419, -0.081]));
    let pixels: Vec<u8> = planes.map(|value| value.round() as u8).collect();
    let stamp = Stamp {
        pts: Duration::ZERO,
        arrived_at: Monotonic::now(),
        decode: None,
        captured_at: SystemTime::UNIX_EPOCH,
        clock: ClockSource::Arrival,
    };
    Frame::new(0, stamp, layout, Arc::new(pixels)).unwrap()
}

/// What masking makes of a frame in which these faces were found.
fn masked(frame: Frame, settings: &mask::Settings, sightings: Vec<Sighting>) -> MaskedFrame<Vec<u8>> {
    let lookahead = Lookahead::Own(Hold::new(Duration::ZERO, Duration::ZERO, Duration::ZERO));
    let mut line = Line::new(Policy { lookahead, capacity: 2, margins: settings.margins, nobody: false });
    assert!(line.push(frame.clone()).is_none());
    let generation = line.generation();
    line.analysed(&Analysis { number: 0, at: Duration::ZERO, generation, sightings, withdrawn: false }, Duration::ZERO);
    let release = line.poll(Monotonic::now()).unwrap();
    let memory = vec![0; 2 * frame.layout().end().unwrap()];
    Painter::new("front", settings).unwrap().paint(&release.frame, &release.ruling, memory).unwrap()
}

#[test]
fn a_face_that_is_not_masked_is_told_and_covers_and_a_mask_is_not() {
    if !["libonnxruntime.so", "yunet_n_dynamic.onnx"].iter().all(|f| checkout("models/store").join(f).is_file()) {
        eprintln!("skipped: the library or yunet-n is missing in models/store (scripts/setup makes both)");
        return;
    }
    let runtime = Runtime::load(&infer::Config::default()).unwrap();
    let manifest = runtime.manifest("yunet-n").unwrap();
    let shape = manifest.input.shape(1, manifest.size(None).unwrap());
    let model = ArcSwap::new(runtime.open(&manifest, 1, shape).unwrap());
    let face = TestFace::new();
    let place = face.place();
    let sighting = Sighting {
        track: None,
        rect: place,
        velocity: Point::default(),
        seen: true,
        firm: true,
        exempt: false,
        verified: false,
    };
    for (kind, sightings, masks, finds) in [
        ("solid", vec![], true, true),
        ("solid", vec![sighting], true, false),
        ("blur", vec![sighting], true, false),
        ("solid", vec![], false, false),
    ] {
        let config = mask::Config { kind: kind.into(), audit: Audit::Cover, ..mask::Config::default() };
        let mut settings = config.resolve(Vec::new()).unwrap();
        settings.audit_interval = Duration::ZERO;
        let shown = masked(frame(&face), &settings, sightings);
        let (control, (sender, samples)) = (Control::new("front"), audits());
        let mut auditor = Auditor::new("front", &settings, &control, &sender).unwrap();
        drop(sender);
        eventually("the auditor to want a frame", || auditor.wants(shown.stamp()).then_some(()));
        // what it does not want it is shown nevertheless, where somebody else does
        control.mask(masks);
        auditor.take(&shown.view());
        drop(auditor);
        let mut found = Vec::new();
        run_audit(&samples, &model, |look| {
            found.extend(look.findings.iter().map(|finding| (finding.camera.to_string(), finding.face.rect)));
        });
        assert_eq!(found.len(), usize::from(finds), "{kind}: {found:?}");
        assert!(found.iter().all(|(camera, rect)| camera == "front" && rect.iou(place) > 0.4), "{found:?}");
        assert_eq!(control.covers(Monotonic::now()), finds, "{kind}, masks on: {masks}");
    }
}
