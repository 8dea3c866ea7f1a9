//! What a user sets about RTSP out, and what follows from it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fault::Problem;
use crate::geometry::Size;
use crate::source::{Scheme, Uri};

/// Sides of an encoded picture.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

/// `[restream]`: where masked video is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one. Default `"127.0.0.1:8554"`.
    pub listen: String,
    /// Who may watch: a file as `htdigest` makes it, all of one realm. Loopback needs none; any other address does.
    /// Default: none.
    pub users_file: Option<PathBuf>,
    /// Certificate to be shown (PEM); with `private_key` the address is `rtsps://`. Default: none.
    pub certificate: Option<PathBuf>,
    /// The certificate's key (PEM). Default: none.
    pub private_key: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8554".to_owned(), users_file: None, certificate: None, private_key: None }
    }
}

/// [`Config`] with everything parsed and checked. The child reads the files itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address to bind.
    pub listen: SocketAddr,
    /// Who may watch; `None` on loopback where no file is given: everybody on this machine.
    pub users: Option<Users>,
    /// Files of the certificate and of its key; `None` for plain RTSP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Digest of all these files: a renewed certificate is a change.
    files: [u8; 32],
}

/// Who may watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// As `htdigest` makes it: lines of `user:realm:md5`.
    pub file: PathBuf,
    /// The realm of all of them.
    pub realm: String,
    /// How many there are.
    pub count: usize,
}

impl Settings {
    /// What a player is told, for a mount of this path at `address`.
    pub fn url(&self, address: SocketAddr, path: &str) -> String {
        let scheme = if self.tls.is_some() { "rtsps" } else { "rtsp" };
        format!("{scheme}://{address}/{path}")
    }
}

impl Config {
    /// Parses the address and checks the files.
    ///
    /// # Errors
    /// Every problem there is, with its key within `[restream]`.
    pub fn resolve(&self) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let listen = self.address().map_err(|p| problems.push(p)).ok();
        let users = self.users_file.as_deref().and_then(|file| Users::read(file).map_err(|p| problems.push(p)).ok());
        let tls = self.tls().map_err(|p| problems.extend(p)).ok().flatten();
        if let Some(address) = listen
            && !address.ip().is_loopback()
            && self.users_file.is_none()
        {
            let what = format!("{address} can be reached from outside this machine, and no users_file is set");
            problems.push(Problem::new("listen", what).remedy("set restream.users_file, or listen on 127.0.0.1"));
        }
        match listen {
            Some(listen) if problems.is_empty() => Ok(Settings { listen, users, tls, files: self.digest() }),
            _ => Err(problems),
        }
    }

    fn address(&self) -> Result<SocketAddr, Problem> {
        let numeric = self.listen.strip_prefix("localhost:").map_or(self.listen.clone(), |p| format!("127.0.0.1:{p}"));
        numeric.parse().map_err(|_| {
            Problem::new("listen", format!("\"{}\" is not an address with a port", self.listen))
                .remedy("write it as \"127.0.0.1:8554\" or \"[::1]:8554\"")
        })
    }

    fn tls(&self) -> Result<Option<(PathBuf, PathBuf)>, Vec<Problem>> {
        let (certificate, key) = match (&self.certificate, &self.private_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => {
                let problem = Problem::new("private_key", "is missing: a certificate is of no use without its key");
                return Err(vec![problem.remedy("name the PEM file of its key")]);
            }
            (None, Some(_)) => {
                let problem = Problem::new("certificate", "is missing: a key is of no use without its certificate");
                return Err(vec![problem.remedy("name its PEM file")]);
            }
        };
        let unusable = [
            pem("certificate", certificate, &["-----BEGIN CERTIFICATE-----"], "certificate"),
            pem("private_key", key, &["-----BEGIN ", "PRIVATE KEY-----"], "private key"),
        ];
        let problems: Vec<Problem> = unusable.into_iter().flatten().collect();
        if problems.is_empty() { Ok(Some((certificate.clone(), key.clone()))) } else { Err(problems) }
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for file in [&self.users_file, &self.certificate, &self.private_key].into_iter().flatten() {
            let content = std::fs::read(file).unwrap_or_default();
            digest.update(content.len().to_le_bytes());
            digest.update(content);
        }
        digest.finalize().into()
    }
}

/// What is wrong with a PEM file that must hold all of `marks`.
fn pem(key: &str, file: &Path, marks: &[&str], thing: &str) -> Option<Problem> {
    let what = match std::fs::read_to_string(file) {
        Ok(text) if marks.iter().all(|mark| text.contains(mark)) => return None,
        Ok(_) => format!("{} holds no {thing}", file.display()),
        Err(e) => format!("{} cannot be read: {e}", file.display()),
    };
    Some(Problem::new(key, what).remedy("name a PEM file that visor's user may read"))
}

impl Users {
    /// Checks a file of users.
    ///
    /// # Errors
    /// It cannot be read, has no user, a wrong line or several realms; the problem names the line, never its text.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let wrong = |what: String| Problem::new("users_file", format!("{}: {what}", file.display()));
        let text = std::fs::read_to_string(file)
            .map_err(|e| wrong(e.to_string()).remedy("name a file that the daemon's user can read"))?;
        let (realm, count) =
            parse_users(&text).map_err(|what| wrong(what).remedy("make it with: htdigest -c FILE visor USER"))?;
        Ok(Self { file: file.to_owned(), realm, count })
    }
}

/// The realm, and how many users it has.
fn parse_users(text: &str) -> Result<(String, usize), String> {
    let mut realm: Option<&str> = None;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut count = 0;
    for (index, line) in lines {
        let at = |what: &str| format!("line {}: {what}", index + 1);
        let [user, its_realm, digest] = line.split(':').collect::<Vec<_>>()[..] else {
            return Err(at("is not of the form user:realm:digest"));
        };
        if user.is_empty() || its_realm.is_empty() {
            return Err(at("has no user or no realm"));
        }
        if digest.len() != 32 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(at("does not end in 32 hex digits"));
        }
        if realm.is_some_and(|realm| realm != its_realm) {
            return Err(at("is of another realm than the lines before"));
        }
        realm = Some(its_realm);
        count += 1;
    }
    realm.map(|realm| (realm.to_owned(), count)).ok_or_else(|| "holds no user".to_owned())
}

/// How video is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264, which every player knows.
    #[default]
    H264,
    /// H.265: fewer bits, more work.
    H265,
}

/// `[cameras.ID.restream]`: how the camera's masked video goes out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CameraConfig {
    /// Where it is found at the server: the part of the address after the port. Default: the camera's id.
    pub path: Option<String>,
    /// How it is encoded: `h264` (default) or `h265`.
    pub codec: Codec,
    /// Bits a second, in thousands; 64 to 100000. Default 4000.
    #[schemars(range(min = 64, max = 100_000))]
    pub bitrate_kbps: u32,
    /// Width of what goes out, in pixels, even; with `height`. Default: the camera's.
    pub width: Option<u32>,
    /// Height of what goes out, in pixels, even; with `width`. Default: the camera's.
    pub height: Option<u32>,
    /// A media server that takes the video too, by RTSP RECORD: `rtsp://` or `rtsps://`, may hold `user:password@`.
    /// Default: none.
    #[schemars(with = "Option<String>")]
    pub push: Option<Uri>,
}

impl Default for CameraConfig {
    fn default() -> Self {
        Self { path: None, codec: Codec::default(), bitrate_kbps: 4000, width: None, height: None, push: None }
    }
}

/// How a camera's masked video goes out; everything resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// Where it is found at the server, without a slash at its begin.
    pub path: String,
    /// How it is encoded.
    pub codec: Codec,
    /// Thousands of bits a second.
    pub bitrate_kbps: u32,
    /// What every picture is fitted into; `None` for the size of the first one.
    pub size: Option<Size>,
    /// A media server that takes it too.
    pub push: Option<Push>,
    /// Folder whose pipeline texts replace the built-in ones of the same name: the camera's.
    pub pipelines: Option<PathBuf>,
}

/// A media server that takes video by RTSP RECORD. Prints without its credentials.
#[derive(Clone)]
pub struct Push {
    /// The whole address: for the child alone.
    pub uri: SecretString,
    /// The address without credentials, for logs.
    pub display: String,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl PartialEq for Push {
    fn eq(&self, other: &Self) -> bool {
        self.uri.expose_secret() == other.uri.expose_secret()
    }
}

impl CameraConfig {
    /// Checks everything, for the camera `id`.
    ///
    /// # Errors
    /// Every problem there is, with its key within `[cameras.ID.restream]`.
    pub fn resolve(&self, id: &str) -> Result<Mount, Vec<Problem>> {
        let mut problems = Vec::new();
        let path = self.path.as_deref().unwrap_or(id);
        if !is_path(path) {
            let what = format!("{path:?} is not a path");
            let remedy = "write names of a-z, A-Z, 0-9, _, - and . with / between them, as \"house/front\"";
            problems.push(Problem::new("path", what).remedy(remedy));
        }
        let size = self.size().map_err(|p| problems.push(p)).ok().flatten();
        let push = self.push.as_ref().and_then(|uri| push(uri).map_err(|p| problems.push(p)).ok());
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Mount {
            path: path.to_owned(),
            codec: self.codec,
            bitrate_kbps: self.bitrate_kbps,
            size,
            push,
            pipelines: None,
        })
    }

    fn size(&self) -> Result<Option<Size>, Problem> {
        let (width, height) = match (self.width, self.height) {
            (None, None) => return Ok(None),
            (Some(width), Some(height)) => (width, height),
            (Some(_), None) => return Err(Problem::new("height", "is missing beside width").remedy("set both or none")),
            (None, Some(_)) => return Err(Problem::new("width", "is missing beside height").remedy("set both or none")),
        };
        for (key, side) in [("width", width), ("height", height)] {
            if !SIDES.contains(&side) || side % 2 != 0 {
                let what = format!("{side} is not an even number from {} to {}", SIDES.start(), SIDES.end());
                return Err(Problem::new(key, what).remedy("choose one, as 1280 by 720"));
            }
        }
        Ok(Some(Size::new(width, height)))
    }
}

fn is_path(path: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.bytes().all(sound);
    path.len() <= 200 && path.split('/').all(name)
}

fn push(uri: &Uri) -> Result<Push, Problem> {
    let wrong = |what: String, remedy: &str| Problem::new("push", what).remedy(remedy);
    let target = uri.target().map_err(|fault| wrong(fault.what, &fault.remedy))?;
    if !matches!(target.scheme, Scheme::Rtsp | Scheme::Rtsps) {
        let what = format!("{} is not taken by RTSP RECORD", target.display());
        return Err(wrong(what, "name a media server as rtsp://host/path or rtsps://host/path"));
    }
    Ok(Push { uri: target.secret(), display: target.display().to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn problems(toml: &str) -> Vec<String> {
        let config: Config = toml::from_str(toml).unwrap();
        config.resolve().err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn mount_problems(toml: &str) -> Vec<String> {
        let config: CameraConfig = toml::from_str(toml).unwrap();
        config.resolve("front").err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_needs_nobody_and_the_world_needs_users() {
        assert_eq!(Config::default().resolve().unwrap().listen.to_string(), "127.0.0.1:8554");
        let shown = problems("listen = \"0.0.0.0:8554\"");
        assert!(shown.len() == 1 && shown[0].contains("set restream.users_file"), "{shown:?}");
        assert!(problems("listen = \"8554\"")[0].contains("is not an address with a port"));
    }

    #[test]
    fn users_are_of_one_realm_and_no_line_is_quoted() {
        let digest = "0123456789abcdef0123456789abcdef";
        let users = parse_users(&format!("alice:visor:{digest}\nbob:visor:{digest}\n")).unwrap();
        assert_eq!(users, ("visor".to_owned(), 2));
        let wrong = |text: &str| parse_users(text).unwrap_err();
        assert_eq!(wrong("\n"), "holds no user");
        assert_eq!(wrong(&format!("a:x:{digest}\nb:y:{digest}")), "line 2: is of another realm than the lines before");
        for line in ["alice:hunter2", "alice:visor:hunter2", &format!(":visor:{digest}")] {
            assert!(wrong(line).starts_with("line 1: ") && !wrong(line).contains("hunter2"), "{}", wrong(line));
        }
        let shown = problems("users_file = \"/nonexistent\"");
        assert!(shown[0].starts_with("users_file: /nonexistent: "), "{shown:?}");
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let text = format!("certificate = {certificate:?}\nprivate_key = {key:?}\n");
        assert_eq!(problems(&text).len(), 2);
        fs::write(&certificate, "-----BEGIN CERTIFICATE-----\n").unwrap();
        fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let resolve = || toml::from_str::<Config>(&text).unwrap().resolve().unwrap();
        let old = resolve();
        assert!(old.tls.is_some());
        assert_eq!(old.url(old.listen, "front"), "rtsps://127.0.0.1:8554/front");
        fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nrenewed").unwrap();
        assert_ne!(old, resolve(), "a renewed certificate is a change");
        assert!(problems(&format!("certificate = {certificate:?}"))[0].starts_with("private_key: is missing"));
        assert!(problems(&format!("private_key = {key:?}"))[0].starts_with("certificate: is missing"));
        assert!(problems(&format!("certificate = {key:?}\nprivate_key = {key:?}"))[0].contains("holds no certificate"));
    }

    #[test]
    fn a_mount_is_called_like_its_camera() {
        let mount = CameraConfig::default().resolve("front").unwrap();
        assert_eq!((mount.path.as_str(), mount.codec, mount.bitrate_kbps), ("front", Codec::H264, 4000));
        for path in ["", "/front", "a//b", "front/", "../x", "a b", "fr?nt"] {
            let shown = mount_problems(&format!("path = {path:?}"));
            assert!(shown.len() == 1 && shown[0].starts_with("path: "), "{path}: {shown:?}");
        }
        assert!(mount_problems("path = \"House/front-2.main\"").is_empty());
    }

    #[test]
    fn an_output_s_size_is_whole_and_even() {
        assert!(mount_problems("width = 1280\nheight = 720").is_empty());
        assert!(mount_problems("width = 1280")[0].starts_with("height: is missing"));
        assert!(mount_problems("height = 720")[0].starts_with("width: is missing"));
        assert!(mount_problems("width = 1281\nheight = 720")[0].starts_with("width: 1281 is not an even number"));
        assert!(mount_problems("width = 1280\nheight = 5000")[0].starts_with("height: 5000"));
    }

    #[test]
    fn video_is_pushed_to_media_servers_and_no_password_is_shown() {
        let config: CameraConfig = toml::from_str("push = \"rtsp://me:hunter2@server/front\"").unwrap();
        let mount = config.resolve("front").unwrap();
        assert_eq!(mount.push.as_ref().unwrap().uri.expose_secret(), "rtsp://me:hunter2@server/front");
        assert!(!format!("{config:?} {mount:?}").contains("hunter2"));
        for uri in ["http://me:hunter2@server/x", "me:hunter2@server", "rtsp:///x"] {
            let shown = mount_problems(&format!("push = {uri:?}")).concat();
            assert!(shown.starts_with("push: ") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
