//! ONNX Runtime's shared library: found, looked over, loaded once a process.
//!
//! From 1.29 on Microsoft's builds carry a telemetry uploader that makes files below the home folder even when telemetry
//! is switched off through the API; only the environment variable keeps it quiet, and it is read when the library
//! is loaded. So the file is looked over before it is.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memchr::memmem;
use ort::environment::Environment;
use ort::logging::LogLevel;
use tracing::info;

use crate::fault::Fault;

/// The variable that keeps the uploader quiet.
const SWITCH: &str = "ORT_DISABLE_TELEMETRY";

/// First minor version (of 1.x) whose official builds carry the uploader.
const FIRST_WITH_UPLOADER: u32 = 29;

/// Texts that only a library with the uploader contains (seen in 1.31.1, absent from 1.28.0).
const UPLOADER_MARKS: [&[u8]; 2] = [b"ORT_DISABLE_TELEMETRY", b"OneCollector"];

/// The symbol version of every exported function: `VERS_1.28.0`.
const VERSION_MARK: &[u8] = b"VERS_1.";

const GET_ONE: &str = "put version 1.28 there (in a checkout: scripts/setup library; elsewhere: out of the Python wheel \
                       onnxruntime 1.28.0), or name another file as models.library";

/// Whether the inference library could call home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploader {
    /// It has nothing that could.
    None,
    /// It has an uploader, which the environment keeps quiet.
    Silenced,
}

/// What the bytes of a library file tell.
#[derive(Debug, PartialEq, Eq)]
struct Findings {
    minor: u32,
    uploader: bool,
}

/// The one environment of this process: ONNX Runtime allows no second, nor a second library.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

struct Loaded {
    path: PathBuf,
    environment: Environment,
    version: String,
    uploader: Uploader,
}

/// Loads the library at `path`, unless it is loaded already.
pub(super) fn load(path: &Path) -> Result<Environment, Fault> {
    let path = path.canonicalize().map_err(|e| unusable(path, &e.to_string()))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Loaded { path: first, environment, .. }) = loaded.as_ref() {
        return if *first == path {
            Ok(environment.clone())
        } else {
            Err(Fault::config(format!(
                "ONNX Runtime is loaded from {} already, not {}",
                first.display(),
                path.display()
            ))
            .remedy("restart to use the other library"))
        };
    }
    let findings = look_over(&path)?;
    admit(&path, &findings, std::env::var_os(SWITCH).is_some_and(|value| value == "1"))?;
    let environment = ort::init_from(&path)
        .map_err(|e| unusable(&path, &e.to_string()))?
        .with_name("visor")
        .with_telemetry(false)
        .build()
        .map_err(|e| unusable(&path, e.message()))?;
    environment.set_log_level(LogLevel::Warning);
    let version = format!("1.{}", findings.minor);
    info!(library = %path.display(), version, "ONNX Runtime loaded");
    let uploader = if findings.uploader { Uploader::Silenced } else { Uploader::None };
    *loaded = Some(Loaded { path, environment: environment.clone(), version, uploader });
    Ok(environment)
}

/// The version of the library that is loaded, such as `1.28`; `None` before one is.
pub fn version() -> Option<String> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|loaded| loaded.version.clone())
}

/// Whether the library that is loaded could call home; `None` before one is.
pub fn uploader() -> Option<Uploader> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|loaded| loaded.uploader)
}

fn unusable(path: &Path, why: &str) -> Fault {
    Fault::unavailable(format!("ONNX Runtime library {}: {why}", path.display())).remedy(GET_ONE)
}

fn look_over(path: &Path) -> Result<Findings, Fault> {
    let bytes = std::fs::read(path).map_err(|e| unusable(path, &e.to_string()))?;
    inspect(&bytes).ok_or_else(|| unusable(path, "is not a build of ONNX Runtime 1.x"))
}

fn inspect(bytes: &[u8]) -> Option<Findings> {
    let minor = memmem::find_iter(bytes, VERSION_MARK).find_map(|at| {
        let digits = &bytes[at + VERSION_MARK.len()..];
        let end = digits.iter().position(|b| !b.is_ascii_digit())?;
        std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
    })?;
    let uploader =
        minor >= FIRST_WITH_UPLOADER || UPLOADER_MARKS.iter().any(|mark| memmem::find(bytes, mark).is_some());
    Some(Findings { minor, uploader })
}

fn admit(path: &Path, findings: &Findings, silenced: bool) -> Result<(), Fault> {
    let minor = findings.minor;
    if minor < ort::MINOR_VERSION {
        return Err(unusable(path, &format!("is version 1.{minor}, 1.{} or newer is needed", ort::MINOR_VERSION)));
    }
    if findings.uploader && !silenced {
        return Err(Fault::unavailable(format!(
            "ONNX Runtime library {} (1.{minor}) carries a telemetry uploader that writes files and calls home",
            path.display()
        ))
        .remedy(format!("use version 1.28, or set {SWITCH}=1 in the environment of visor")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(text: &str) -> Option<Findings> {
        inspect(text.as_bytes())
    }

    #[test]
    fn the_version_and_the_uploader_are_read_from_the_file() {
        assert_eq!(inspected("\0VERS_1.28.0\0"), Some(Findings { minor: 28, uploader: false }));
        assert_eq!(inspected("\0VERS_1.31.1\0"), Some(Findings { minor: 31, uploader: true }));
        let patched = inspected("VERS_1.x VERS_1.27.0 https://host/OneCollector/1.0");
        assert_eq!(patched, Some(Findings { minor: 27, uploader: true }));
        assert_eq!(inspected("an ELF file of something else"), None);
    }

    #[test]
    fn a_library_with_the_uploader_is_refused_unless_silenced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, b"\x7fELF VERS_1.31.1 ORT_DISABLE_TELEMETRY").unwrap();
        let findings = look_over(&path).unwrap();
        let refused = admit(&path, &findings, false).unwrap_err();
        assert_eq!(refused.kind, crate::fault::FaultKind::Unavailable);
        assert!(refused.to_string().contains("telemetry"), "{refused}");
        assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
        assert!(refused.to_string().contains("ORT_DISABLE_TELEMETRY=1"), "{refused}");
        assert!(admit(&path, &findings, true).is_ok());
    }

    #[test]
    fn a_missing_or_foreign_library_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let missing = load(&folder.path().join("libonnxruntime.so")).unwrap_err();
        assert!(missing.to_string().contains("libonnxruntime.so"), "{missing}");
        assert!(missing.to_string().contains("models.library"), "{missing}");
        let path = folder.path().join("libother.so");
        std::fs::write(&path, b"\x7fELF").unwrap();
        let foreign = look_over(&path).unwrap_err();
        assert!(foreign.to_string().contains("not a build of ONNX Runtime"), "{foreign}");
    }

    #[test]
    fn a_library_older_than_the_interface_is_refused() {
        let old = admit(Path::new("/x.so"), &Findings { minor: 17, uploader: false }, false).unwrap_err();
        assert!(old.to_string().contains("1.17"), "{old}");
    }
}
