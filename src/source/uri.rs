//! Where pictures come from: checked, and never printed with its credentials.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::address;
use crate::fault::Fault;

/// What takes the place of a secret.
const REDACTED: &str = "***";

/// A source's address as it was written. Prints and serialises without its credentials.
#[derive(Clone)]
pub struct Uri(SecretString);

impl Uri {
    /// An address as a user wrote it on a command line: a URI, or the path of a file or video device.
    pub fn from_argument(text: &str) -> Self {
        if text.contains("://") || text.starts_with("test:") {
            return text.into();
        }
        let path = std::path::absolute(text).unwrap_or_else(|_| text.into());
        match Url::from_file_path(&path) {
            Ok(url) if path.starts_with("/dev") => url.as_str().replacen("file", "v4l2", 1).as_str().into(),
            Ok(url) => url.as_str().into(),
            Err(()) => text.into(),
        }
    }

    /// Checks the address.
    ///
    /// # Errors
    /// A configuration fault that says what is wrong, without quoting the address.
    pub fn target(&self) -> Result<Target, Fault> {
        let text = self.0.expose_secret();
        let url = Url::parse(text).map_err(|e| {
            let fault = Fault::config(format!("the URI cannot be read: {e}"));
            if text.starts_with('/') {
                return fault.remedy("a file is written as file:///folder/name, a webcam as v4l2:///dev/video0");
            }
            fault
                .remedy("write it as rtsp://host/path; in user names and passwords, write @ as %40, # as %23, / as %2F")
        })?;
        Target::new(url)
    }

    /// The address without credentials; a fixed text where it is no URI.
    pub fn display(&self) -> String {
        self.target().map_or_else(|_| "(not a valid URI)".to_owned(), |target| target.display)
    }
}

impl From<&str> for Uri {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

impl<'de> Deserialize<'de> for Uri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SecretString::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Uri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.display())
    }
}

impl JsonSchema for Uri {
    fn schema_name() -> Cow<'static, str> {
        "SourceUri".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "rtsp, rtsps, http, https (MJPEG), v4l2:///dev/video0, file:///clip.mp4 or test:"
        })
    }
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RTSP.
    Rtsp,
    /// RTSP over TLS.
    Rtsps,
    /// Motion JPEG over HTTP.
    Http,
    /// Motion JPEG over HTTPS.
    Https,
    /// A video device of this machine.
    V4l2,
    /// A video file.
    File,
    /// A test picture.
    Test,
}

impl Scheme {
    /// The scheme and its default port, where it has one.
    const TABLE: &[(&str, Self, Option<u16>)] = &[
        ("rtsp", Self::Rtsp, Some(554)),
        ("rtsps", Self::Rtsps, Some(322)),
        ("http", Self::Http, Some(80)),
        ("https", Self::Https, Some(443)),
        ("v4l2", Self::V4l2, None),
        ("file", Self::File, None),
        ("test", Self::Test, None),
    ];
}

/// A checked address.
#[derive(Clone)]
pub struct Target {
    /// Its kind.
    pub scheme: Scheme,
    /// Host and port to knock at; `None` for what is on this machine.
    pub peer: Option<(String, u16)>,
    display: String,
    url: Url,
}

impl Target {
    fn new(url: Url) -> Result<Self, Fault> {
        let Some((_, scheme, port)) = Scheme::TABLE.iter().find(|(name, ..)| *name == url.scheme()) else {
            let known: Vec<_> = Scheme::TABLE.iter().map(|(name, ..)| *name).collect();
            return Err(Fault::config(format!("\"{}\" is not a known kind of source", url.scheme()))
                .remedy(format!("use one of {}", known.join(", "))));
        };
        let peer = match (port, url.host_str().filter(|host| !host.is_empty())) {
            (Some(_), None) => {
                return Err(Fault::config("the URI names no host").remedy("write it as rtsp://host/path"));
            }
            // brackets belong to the URI, not to an IPv6 address
            (Some(port), Some(host)) => Some((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(*port))),
            (None, Some(host)) if host != "localhost" => {
                return Err(Fault::config(format!(
                    "{}: takes a path on this machine, and here is a host",
                    url.scheme()
                ))
                .remedy(format!("write three slashes: {}:///path", url.scheme())));
            }
            (None, _) => None,
        };
        if matches!(scheme, Scheme::V4l2 | Scheme::File) && url.path().len() < 2 {
            return Err(Fault::config("the URI names no file").remedy(format!("write it as {}:///path", url.scheme())));
        }
        match scheme {
            Scheme::V4l2 => {
                address::webcam(&url).map(drop).map_err(parameters("v4l2:///dev/video0?size=1280x720&fps=30"))?
            }
            Scheme::Test => {
                address::test_picture(&url).map(drop).map_err(parameters("test:ball?size=1280x720&fps=30"))?
            }
            Scheme::File if url.query().is_some() || url.fragment().is_some() => {
                return Err(Fault::config("a file's URI takes no parameters")
                    .remedy("in the file's name, write ? as %3F and # as %23"));
            }
            _ => {}
        }
        Ok(Self { scheme: *scheme, peer, display: redacted(&url), url })
    }

    /// The address without credentials.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Whether a user or a password stands in it.
    pub(super) fn has_credentials(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }

    /// The same address with other credentials. `None` where such an address has no place for them.
    #[must_use]
    pub fn with_credentials(mut self, user: &str, password: &str) -> Option<Self> {
        self.peer.as_ref()?;
        self.url.set_username(user).ok()?;
        self.url.set_password((!password.is_empty()).then_some(password)).ok()?;
        Some(self)
    }

    /// The whole address: for the child alone.
    pub fn secret(&self) -> SecretString {
        self.url.as_str().into()
    }

    /// What must not be printed.
    pub(super) fn scrub(&self) -> Scrub {
        let url = &self.url;
        let mut secrets = vec![url.as_str().to_owned()];
        if let Some(password) = url.password() {
            secrets.push(format!("{}:{password}@", url.username()));
            secrets.push(password.to_owned());
            secrets.extend(decoded(password));
        }
        if self.peer.is_some() {
            secrets.extend(url.query().map(str::to_owned));
            secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
            secrets.extend(tells(url.path()).then(|| url.path().to_owned()));
        }
        // a short one is more likely a word's part than a secret shown
        secrets.retain(|secret| secret.len() >= 3);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Scrub { secrets: secrets.into_iter().map(SecretString::from).collect(), display: self.display.clone() }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.display).finish()
    }
}

/// Takes secrets out of texts that come from a child: GStreamer's errors quote whole addresses.
#[derive(Clone, Debug)]
pub(super) struct Scrub {
    /// The longest first, so that no part of one is left over. The very longest is the address.
    secrets: Vec<SecretString>,
    display: String,
}

impl Scrub {
    pub(super) fn text(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for (n, secret) in self.secrets.iter().enumerate() {
            let instead = if n == 0 { &self.display } else { REDACTED };
            // an address without secrets stays as it is
            if secret.expose_secret() != instead && clean.contains(secret.expose_secret()) {
                clean = clean.replace(secret.expose_secret(), instead);
            }
        }
        clean
    }
}

/// `%40` as `@`, where that makes a difference.
fn decoded(text: &str) -> Option<String> {
    let form = format!("k={}", text.replace('+', "%2B"));
    let value = url::form_urlencoded::parse(form.as_bytes()).next()?.1.into_owned();
    (value != text).then_some(value)
}

/// Some cameras want the password in the path: `/user=admin_password=secret_channel=1`.
fn tells(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["pass", "pwd", "user=", "token", "secret"].iter().any(|word| path.contains(word))
}

fn parameters(example: &'static str) -> impl Fn(String) -> Fault {
    move |what| Fault::config(what).remedy(format!("write it as {example}"))
}

fn redacted(url: &Url) -> String {
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return url.as_str().to_owned();
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if tells(url.path()) { "/…" } else { url.path() };
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{path}{query}", url.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_peer(uri: &str, expected: Option<(&str, u16)>) {
        let peer = Uri::from(uri).target().unwrap().peer;
        assert_eq!(peer.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{uri}");
    }

    #[test]
    fn every_kind_of_address_is_understood() {
        check_peer("rtsp://cam/live", Some(("cam", 554)));
        check_peer("rtsp://u:p@192.168.1.5:8554/live?x=1", Some(("192.168.1.5", 8554)));
        check_peer("rtsps://cam/live", Some(("cam", 322)));
        check_peer("http://cam/video.mjpeg", Some(("cam", 80)));
        check_peer("https://[fe80::1]:8443/", Some(("fe80::1", 8443)));
        check_peer("v4l2:///dev/video0", None);
        check_peer("file:///clip.mp4", None);
        check_peer("test:", None);
        check_peer("test:?size=640x360&fps=30", None);
    }

    #[test]
    fn a_path_in_the_configuration_is_told_how_it_is_written() {
        let fault = Uri::from("/videos/clip.mp4").target().unwrap_err();
        assert!(fault.to_string().contains("file:///folder/name"), "{fault}");
    }

    #[test]
    fn arguments_may_be_plain_paths() {
        assert_eq!(Uri::from_argument("/a b/clip.mp4").display(), "file:///a%20b/clip.mp4");
        assert_eq!(Uri::from_argument("/dev/video0").display(), "v4l2:///dev/video0");
        assert_eq!(Uri::from_argument("rtsp://cam/x").display(), "rtsp://cam/x");
        assert_eq!(Uri::from_argument("test:?fps=5").display(), "test:?fps=5");
        let relative = Uri::from_argument("clip.mp4").display();
        assert!(relative.starts_with("file:///") && relative.ends_with("/clip.mp4"), "{relative}");
    }

    #[test]
    fn what_cannot_be_a_source_is_refused_without_being_quoted() {
        let wrong = [
            "rtsp:///live",
            "rtsp://u:secret@/live",
            "rtsp://u:secr#et@cam/live",
            "ftp://u:secret@cam/x",
            "/u:secret/clip.mp4",
            "v4l2://video0/secret",
            "file:///",
            "v4l2:",
            "v4l2:///secret",
            "v4l2:///dev/video0?secret=1",
            "test:secret",
            "test:?size=secret",
            "file:///clip.mp4?secret",
            "",
        ];
        for uri in wrong {
            let fault = Uri::from(uri).target().expect_err(uri);
            assert!(!fault.remedy.is_empty(), "{uri}");
            assert!(!fault.to_string().contains("secret") && !fault.to_string().contains("secr#"), "{fault}");
        }
    }

    #[test]
    fn no_form_of_an_address_shows_its_credentials() {
        for text in [
            "rtsp://user:s3cret%40x@cam:8554/live",
            "http://cam/video?user=admin&pwd=s3cret@x",
            "rtsp://cam/user=admin_password=s3cret@x_channel=1",
        ] {
            let uri = Uri::from(text);
            let target = uri.target().unwrap();
            let shown = format!("{uri:?} {} {target:?} {}", serde_json::to_string(&uri).unwrap(), uri.display());
            assert!(!shown.contains("s3cret") && shown.contains("cam"), "{shown}");
            let said = format!("no {text} and {}", target.secret().expose_secret());
            let clean = target.scrub().text(&said);
            assert!(!clean.contains("s3cret"), "{clean}");
        }
    }

    #[test]
    fn texts_without_secrets_stay_as_they_are() {
        let scrub = Uri::from("test:?fps=30").target().unwrap().scrub();
        assert_eq!(scrub.text("test:?fps=30 is fine"), "test:?fps=30 is fine");
    }

    #[test]
    fn credentials_may_come_apart_from_the_address() {
        let target = Uri::from("rtsp://cam/live").target().unwrap().with_credentials("us er", "p@ss/word").unwrap();
        assert_eq!(target.secret().expose_secret(), "rtsp://us%20er:p%40ss%2Fword@cam/live");
        assert_eq!(target.display(), "rtsp://cam/live");
        let said = "bad password p@ss/word, also known as p%40ss%2Fword";
        assert_eq!(target.scrub().text(said), "bad password ***, also known as ***");
        assert!(Uri::from("test:").target().unwrap().with_credentials("a", "b").is_none());
    }
}
