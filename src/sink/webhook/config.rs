//! Receivers of webhooks: as written, and as needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::event::{EventType, Filter};
use crate::fault::Problem;
use crate::outbound;

/// Shorter secrets could be guessed.
const LEAST_SECRET: usize = 16;

/// A receiver's address; what is behind the host may be a secret, and is never shown.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Address(#[schemars(with = "String")] SecretString);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match url::Url::parse(self.0.expose_secret()) {
            Ok(url) => write!(f, "{}://{}/…", url.scheme(), url.host_str().unwrap_or("?")),
            Err(_) => f.write_str("…"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// `[[webhooks]]`: events to an address over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where: `https://…`, or `http://…` where the network is trusted.
    pub url: Address,
    /// File whose content, without the final line break, signs each event: `X-Visor-Signature: t=SECONDS,v1=HEX`,
    /// HMAC-SHA256 over the time, a full stop and the body. Default none: unsigned.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Only events of these cameras. Default: of all.
    #[serde(default)]
    pub cameras: Vec<String>,
    /// Only events of these types. Default: all.
    #[serde(default)]
    pub types: Vec<EventType>,
    /// Only events about these people: ids, or aliases of strangers. Default: about everybody and nobody.
    #[serde(default)]
    pub people: Vec<String>,
}

/// A receiver, with everything checked and read.
#[derive(Clone)]
pub struct Settings {
    /// Where it is, for people.
    pub display: String,
    pub(super) url: SecretString,
    pub(super) secret: Option<Arc<SecretString>>,
    pub(super) filter: Filter,
}

impl Settings {
    /// Whether all but the address is the same: signature and wishes.
    pub(super) fn is_alike_elsewhere(&self, other: &Self) -> bool {
        let secret = |settings: &Self| settings.secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        secret(self) == secret(other) && self.filter == other.filter
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret() && self.is_alike_elsewhere(other)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("display", &self.display).field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Config {
    /// Checks everything and reads the secret.
    ///
    /// # Errors
    /// Every problem there is, each with its key.
    pub fn resolve(&self) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Err(failure) = outbound::parse(self.url.0.expose_secret()) {
            problems.push(Problem::new("url", failure.to_string()).remedy("write it as https://host/path"));
        }
        let secret = self.secret_file.as_deref().and_then(|file| read(file).map_err(|p| problems.push(p)).ok());
        let words = |list: &[String]| list.iter().cloned().collect();
        let filter = Filter { cameras: words(&self.cameras), types: self.types.clone(), people: words(&self.people) };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Settings { display: self.url.to_string(), url: self.url.0.clone(), secret: secret.map(Arc::new), filter })
    }
}

fn read(file: &Path) -> Result<SecretString, Problem> {
    let wrong = |what: String| {
        Problem::new("secret_file", format!("{}: {what}", file.display()))
            .remedy(format!("name a file that visor's user may read, with at least {LEAST_SECRET} characters"))
    };
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    match text.len() {
        0..LEAST_SECRET => Err(wrong("is too short to be a secret".to_owned())),
        _ => Ok(SecretString::from(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(toml: &str) -> Config {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn every_key_is_read_and_no_secret_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "a-secret-of-some-length\n").unwrap();
        let written = config(&format!(
            "url = \"https://hooks.example/T00/hidden\"\nsecret_file = \"{}\"\ncameras = [\"front\"]\n\
             types = [\"started\", \"face_seen\"]\npeople = [\"alice\"]\n",
            file.display()
        ));
        let settings = written.resolve().unwrap();
        assert_eq!(settings.filter.types, [EventType::Started, EventType::FaceSeen]);
        assert!(settings.filter.cameras.contains("front") && settings.filter.people.contains("alice"));
        assert_eq!(settings.secret.as_ref().map(|secret| secret.expose_secret()), Some("a-secret-of-some-length"));
        let shown = format!("{written:?} {settings:?} {}", serde_json::to_string(&written).unwrap());
        assert!(!shown.contains("hidden") && !shown.contains("a-secret"), "{shown}");
        assert!(settings == written.resolve().unwrap());
        std::fs::write(&file, "another-secret-of-some-length").unwrap();
        assert!(settings != written.resolve().unwrap(), "a new secret is a change");
    }

    #[test]
    fn what_is_wrong_is_told_by_key() {
        for (toml, key) in [
            ("url = \"ftp://host/\"", "url"),
            ("url = \"https://user:password@host/\"", "url"),
            ("url = \"https://host/\"\nsecret_file = \"/nonexistent\"", "secret_file"),
            ("url = \"https://host/\"\nsecret_file = \"/dev/null\"", "secret_file"),
        ] {
            let problems = config(toml).resolve().unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [key], "{toml}");
            assert!(problems.iter().all(|problem| !problem.to_string().contains("password")), "{problems:?}");
        }
    }
}
