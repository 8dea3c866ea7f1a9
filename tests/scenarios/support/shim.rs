//! ONNX Runtime with faults on demand: a library of its own (`tests/fixtures/onnxruntime_shim.c`) around the real one.

use std::fs::File;
use std::mem::{offset_of, size_of};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use ort::sys::OrtApi;
use tempfile::TempDir;

use super::daemon::checkout;

/// What becomes of a call of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Mode {
    /// What the real library does.
    Sound,
    /// It does not return for as long as this lasts.
    Stalled,
    /// It fails.
    Failing,
    /// It gives zeros.
    Zeroed,
    /// It gives no numbers.
    NotANumber,
    /// It gives random bits.
    Garbage,
    /// It gives a hundredth of what is right: sound outputs in which nothing is to be found.
    Faint,
    /// It gives what is right, back to front: sound outputs with faces where there are none.
    Reversed,
    /// It gives what the first call gave, whatever the picture.
    Frozen,
    /// It takes ten times as long.
    Slow,
}

/// A built shim; its files go when it is dropped, which whoever has it loaded does not mind.
pub struct Shim {
    folder: TempDir,
    /// What the library maps.
    control: File,
}

impl Shim {
    /// Builds it; `None`, aloud, where there is no real library or no compiler.
    pub fn build() -> Option<Self> {
        let real = checkout("models/store/libonnxruntime.so");
        let Ok(bytes) = std::fs::read(&real) else {
            eprintln!("skipped: {} is missing (scripts/setup makes it)", real.display());
            return None;
        };
        if !Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no C compiler");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let control_path = folder.path().join("control");
        std::fs::write(&control_path, 0_u32.to_ne_bytes()).unwrap();
        // The real library's own version stands on what the shim exports, and with it what that version brings along.
        let script = folder.path().join("exports");
        std::fs::write(&script, format!("{} {{ global: OrtGetApiBase; local: *; }};", version(&bytes))).unwrap();
        let shim = Self { control: File::options().write(true).open(&control_path).unwrap(), folder };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result"]);
        for (name, place) in [
            ("RUN", offset_of!(OrtApi, Run)),
            ("CREATE_STATUS", offset_of!(OrtApi, CreateStatus)),
            ("GET_DATA", offset_of!(OrtApi, GetTensorMutableData)),
            ("GET_SHAPE", offset_of!(OrtApi, GetTensorTypeAndShape)),
            ("GET_COUNT", offset_of!(OrtApi, GetTensorShapeElementCount)),
            ("RELEASE_SHAPE", offset_of!(OrtApi, ReleaseTensorTypeAndShapeInfo)),
            ("API_BYTES", size_of::<OrtApi>()),
        ] {
            compiler.arg(format!("-D{name}={place}"));
        }
        for (name, path) in [("REAL", &real), ("CONTROL", &control_path)] {
            compiler.arg(format!("-D{name}={:?}", path.to_str().unwrap()));
        }
        compiler.arg(format!("-Wl,--version-script={}", script.display()));
        compiler.arg("-o").arg(shim.library()).arg(checkout("tests/fixtures/onnxruntime_shim.c")).arg("-ldl");
        let built = compiler.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(shim)
    }

    /// For `models.library`.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join("libonnxruntime.so")
    }

    /// From the next call on; a call that is stalled goes on where the mode is another.
    pub fn set(&self, mode: Mode) {
        self.control.write_all_at(&(mode as u32).to_ne_bytes(), 0).unwrap();
    }
}

/// A library's symbol version, such as `VERS_1.28.0`.
fn version(bytes: &[u8]) -> String {
    let at = memchr::memmem::find(bytes, b"VERS_1.").unwrap();
    let mark = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"._".contains(b));
    String::from_utf8(mark.copied().collect()).unwrap()
}
