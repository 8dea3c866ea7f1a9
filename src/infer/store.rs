//! The models folder: what is in it, and how what is missing gets there. Only commands fetch; the daemon never does.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode};

use super::digest;
use super::fetch::Fetcher;
use super::manifest::{self, Manifest};
use super::runtime::InputSize;
use crate::fault::Fault;
use crate::geometry::Size;

/// The detector that is used when nobody chose one.
pub const DEFAULT_DETECTOR: &str = "yunet-n";

/// The one to fall back on where the default cannot be had: a package registry carries it.
pub const FALLBACK_DETECTOR: &str = "centerface";

/// The embedder that is used when nobody chose one.
pub const DEFAULT_EMBEDDER: &str = "face-reid-0095";

/// The one to fall back on where the default cannot be had: a package registry carries it.
pub const FALLBACK_EMBEDDER: &str = "dlib-resnet";

/// The model that finds landmarks for detectors which give none.
pub const LANDMARKER: &str = "landmarks-0009";

/// The fallback's input: ten times as slow as the default detector, it has to look at less.
const FALLBACK_INPUT: Size = Size::new(320, 192);

/// What the folder holds of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The right file.
    Ready,
    /// No file.
    Missing,
    /// A file that is not the manifest's, or cannot be read: what is wrong with it.
    Wrong(String),
}

/// How a model came to be in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// It was there already.
    Already,
    /// From this source.
    From(String),
}

/// Who hears how a fetch goes on.
pub trait Report {
    /// A source is asked.
    fn trying(&self, source: &str);
    /// This many bytes of so many are here.
    fn progress(&self, done: u64, total: u64);
    /// A source did not give the file.
    fn failed(&self, source: &str, why: &str);
}

/// What `folder` holds of a model; reads and hashes the whole file.
pub fn state(folder: &Path, manifest: &Manifest) -> State {
    match fs::read(folder.join(&manifest.file)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => State::Missing,
        Err(e) => State::Wrong(e.to_string()),
        Ok(bytes) => digest::check(&bytes, &manifest.sha256).map_or_else(State::Wrong, |()| State::Ready),
    }
}

/// What to do where `folder` lacks a model: fetch it, or use the detector that is there instead.
pub fn remedy(folder: &Path, manifest: &Manifest) -> String {
    let fetch = format!("fetch it: visor models pull {}", manifest.name);
    let fallback = manifest::find(Some(folder), FALLBACK_DETECTOR).ok();
    let there = fallback.filter(|other| manifest.name == DEFAULT_DETECTOR && state(folder, other) == State::Ready);
    match there {
        Some(Manifest { name, .. }) => {
            format!(
                "{fetch}, or use the one that is there: detector = \"{name}\", input = \"{}\" in [models]",
                InputSize(FALLBACK_INPUT)
            )
        }
        None => fetch,
    }
}

/// The bytes of a model's file, once they are those that the manifest speaks of.
pub(super) fn read(folder: &Path, manifest: &Manifest) -> Result<Vec<u8>, Fault> {
    let path = folder.join(&manifest.file);
    let bad = |what: String| {
        Fault::unavailable(format!("model {}: {}: {what}", manifest.name, path.display()))
            .remedy(remedy(folder, manifest))
    };
    let bytes = fs::read(&path).map_err(|e| bad(e.to_string()))?;
    digest::check(&bytes, &manifest.sha256).map_err(bad)?;
    Ok(bytes)
}

/// The detector to use where nobody chose one, and its input size: the default, or, where the folder lacks that, the fallback.
pub fn best_detector(folder: &Path) -> Result<(Manifest, Size), Fault> {
    let default = manifest::find(Some(folder), DEFAULT_DETECTOR)?;
    if state(folder, &default) == State::Ready {
        let size = default.size(None)?;
        return Ok((default, size));
    }
    let fallback = manifest::find(Some(folder), FALLBACK_DETECTOR)?;
    if state(folder, &fallback) == State::Ready {
        return Ok((fallback, FALLBACK_INPUT));
    }
    Err(Fault::unavailable(format!("no face detector in {}", folder.display())).remedy("fetch one: visor models pull"))
}

/// The embedder to use where nobody chose one: the default, or, where the folder lacks that, the fallback; `None` where
/// it lacks both.
pub fn best_embedder(folder: &Path) -> Result<Option<Manifest>, Fault> {
    for name in [DEFAULT_EMBEDDER, FALLBACK_EMBEDDER] {
        let manifest = manifest::find(Some(folder), name)?;
        if state(folder, &manifest) == State::Ready {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

/// Brings a model's file to `folder` from the first source that gives it, unless it is there already.
pub fn pull(folder: &Path, manifest: &Manifest, fetcher: &Fetcher, report: &dyn Report) -> Result<Pulled, Fault> {
    let _lock = lock(folder)?;
    if state(folder, manifest) == State::Ready {
        return Ok(Pulled::Already);
    }
    let mut reasons = Vec::new();
    for source in manifest.sources.iter().filter(|source| fetcher.can_ask(source)) {
        let name = source.to_string();
        report.trying(&name);
        let got = fetcher
            .fetch(source, manifest, folder, report)
            .and_then(|bytes| digest::check(&bytes, &manifest.sha256).map(|()| bytes));
        match got {
            Ok(bytes) => {
                place(&folder.join(&manifest.file), &bytes)?;
                return Ok(Pulled::From(name));
            }
            Err(why) => {
                report.failed(&name, &why);
                reasons.push(format!("{name}: {why}"));
            }
        }
    }
    let reasons =
        if reasons.is_empty() { "it has no source that can be asked here".into() } else { reasons.join("; ") };
    Err(Fault::unavailable(format!("model {} cannot be had: {reasons}", manifest.name))
        .remedy(format!("put the file at {} by hand", folder.join(&manifest.file).display())))
}

/// Held while something is put into the folder, so that two commands at once do not fetch the same file twice.
fn lock(folder: &Path) -> Result<File, Fault> {
    let wrong = |e: std::io::Error| {
        Fault::unavailable(format!("{} cannot be written: {e}", folder.display()))
            .remedy("name another folder with --folder, or run with the right to write there")
    };
    fs::create_dir_all(folder).map_err(wrong)?;
    let file = File::create(folder.join(".lock")).map_err(wrong)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|e| wrong(e.into()))?;
    Ok(file)
}

/// Writes a file in one step: a reader sees the old one or the whole new one. Readable to all, as the daemon is another user.
fn place(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        rustix::fs::fchmod(file.as_file(), Mode::from_raw_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|e| Fault::unavailable(format!("{} cannot be written: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::infer::source::Source;

    /// Remembers what it is told.
    #[derive(Default)]
    struct Heard(RefCell<Vec<String>>);

    impl Report for Heard {
        fn trying(&self, source: &str) {
            self.0.borrow_mut().push(format!("trying {source}"));
        }
        fn progress(&self, _: u64, _: u64) {}
        fn failed(&self, source: &str, why: &str) {
            self.0.borrow_mut().push(format!("failed {source}: {why}"));
        }
    }

    /// A model of five bytes, and an assets folder that has it.
    fn sample() -> (tempfile::TempDir, Fetcher, Manifest) {
        let assets = tempfile::tempdir().unwrap();
        fs::write(assets.path().join("right.onnx"), b"model").unwrap();
        fs::write(assets.path().join("wrong.onnx"), b"other").unwrap();
        let mut manifest = manifest::find(None, DEFAULT_DETECTOR).unwrap();
        manifest.bytes = 5;
        manifest.sha256 = digest::sha256(b"model");
        manifest.sources = vec![Source::Assets("right.onnx".into())];
        let fetcher = Fetcher { assets: Some(assets.path().into()) };
        (assets, fetcher, manifest)
    }

    #[test]
    fn a_model_is_fetched_once() {
        let (_assets, fetcher, manifest) = sample();
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("deep/store");
        assert_eq!(state(&store, &manifest), State::Missing);
        let heard = Heard::default();
        let first = pull(&store, &manifest, &fetcher, &heard).unwrap();
        assert_eq!(first, Pulled::From("$VISOR_ASSETS/right.onnx".into()));
        assert_eq!(state(&store, &manifest), State::Ready);
        assert_eq!(pull(&store, &manifest, &fetcher, &heard).unwrap(), Pulled::Already);
        assert_eq!(*heard.0.borrow(), ["trying $VISOR_ASSETS/right.onnx"]);
    }

    #[test]
    fn two_at_once_fetch_it_once() {
        let (_assets, fetcher, manifest) = sample();
        let folder = tempfile::tempdir().unwrap();
        let pulled: Vec<_> = std::thread::scope(|scope| {
            let call = || scope.spawn(|| pull(folder.path(), &manifest, &fetcher, &Heard::default()).unwrap());
            let calls = [call(), call(), call(), call()];
            calls.map(|call| call.join().unwrap()).into()
        });
        assert_eq!(pulled.iter().filter(|pulled| matches!(pulled, Pulled::From(_))).count(), 1, "{pulled:?}");
    }

    #[test]
    fn a_wrong_file_is_replaced_and_a_wrong_source_passed_over() {
        let (_assets, fetcher, mut manifest) = sample();
        manifest.sources.insert(0, Source::Assets("wrong.onnx".into()));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(&manifest.file), b"damaged").unwrap();
        assert!(matches!(state(folder.path(), &manifest), State::Wrong(why) if why.contains("expected 9372c470")));
        let heard = Heard::default();
        pull(folder.path(), &manifest, &fetcher, &heard).unwrap();
        assert!(heard.0.borrow()[1].starts_with("failed $VISOR_ASSETS/wrong.onnx: wrong sha256: expected 9372c470"));
        assert_eq!(read(folder.path(), &manifest).unwrap(), b"model");
    }

    #[test]
    fn a_model_that_nobody_has_is_an_error_with_every_reason() {
        let (_assets, mut fetcher, mut manifest) = sample();
        manifest.sources = vec![Source::Assets("wrong.onnx".into()), Source::Assets("none.onnx".into())];
        let folder = tempfile::tempdir().unwrap();
        let fault = pull(folder.path(), &manifest, &fetcher, &Heard::default()).unwrap_err().to_string();
        for part in ["wrong.onnx: wrong sha256", "none.onnx: No such file", "by hand", &manifest.file] {
            assert!(fault.contains(part), "\"{part}\" is not in: {fault}");
        }
        assert!(!folder.path().join(&manifest.file).exists());
        fetcher.assets = None;
        let heard = Heard::default();
        pull(folder.path(), &manifest, &fetcher, &heard).unwrap_err();
        assert!(heard.0.borrow().is_empty(), "a folder that nobody named is not asked");
    }

    /// Puts a file that is the model `name` by its own manifest into `folder`.
    fn put(folder: &Path, name: &str) {
        let mut manifest = manifest::find(None, name).unwrap();
        fs::write(folder.join(&manifest.file), name).unwrap();
        manifest.sha256 = digest::sha256(name.as_bytes());
        fs::write(folder.join(format!("{name}.toml")), toml::to_string(&manifest).unwrap()).unwrap();
    }

    #[test]
    fn the_best_embedder_is_the_default_then_the_fallback_then_none() {
        let folder = tempfile::tempdir().unwrap();
        let best = || best_embedder(folder.path()).unwrap().map(|manifest| manifest.name);
        assert_eq!(best(), None);
        put(folder.path(), FALLBACK_EMBEDDER);
        assert_eq!(best().as_deref(), Some(FALLBACK_EMBEDDER));
        put(folder.path(), DEFAULT_EMBEDDER);
        assert_eq!(best().as_deref(), Some(DEFAULT_EMBEDDER));
    }

    #[test]
    fn where_only_the_fallback_is_there_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let default = manifest::find(None, DEFAULT_DETECTOR).unwrap();
        let fetch = "fetch it: visor models pull yunet-n";
        assert_eq!(remedy(folder.path(), &default), fetch);
        put(folder.path(), FALLBACK_DETECTOR);
        let both = remedy(folder.path(), &default);
        assert!(both.starts_with(fetch) && both.contains(r#"detector = "centerface", input = "320x192""#), "{both}");
        let other = manifest::find(None, "sface").unwrap();
        assert!(!remedy(folder.path(), &other).contains("centerface"), "it was chosen");
    }

    #[test]
    fn the_best_detector_is_the_default_then_the_fallback() {
        let folder = tempfile::tempdir().unwrap();
        let none = best_detector(folder.path()).unwrap_err();
        assert!(none.to_string().contains("visor models pull"), "{none}");
        let put = |name: &str| {
            put(folder.path(), name);
            let (best, size) = best_detector(folder.path()).unwrap();
            (best.name, size.width, size.height)
        };
        assert_eq!(put("centerface"), ("centerface".into(), 320, 192));
        assert_eq!(put("yunet-n"), ("yunet-n".into(), 640, 384));
    }
}
