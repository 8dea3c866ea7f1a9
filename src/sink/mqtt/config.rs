//! The broker's settings: as written, and as needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rumqttc::QoS;
use rumqttc::tokio_native_tls::native_tls::TlsConnector;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::tls;
use crate::address::percent_decoded;
use crate::fault::Problem;
use crate::units::Period;

/// Name of the systemd credential (`LoadCredential=mqtt-password:FILE`) that is taken where no password is named.
pub const CREDENTIAL: &str = "mqtt-password";

/// The broker's address; may hold a password, which is never shown.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BrokerUrl(#[schemars(with = "String")] SecretString);

impl From<&str> for BrokerUrl {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text))
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.expose_secret();
        match (text.split_once("://"), text.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://***@{host}"),
            _ => f.write_str(text),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq for BrokerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Serialize for BrokerUrl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The table `[mqtt]`. Without it nothing is sent to any broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The broker: `mqtt://host:1883` or, over TLS, `mqtts://host:8883`; may carry `user:password@`.
    /// Default "mqtt://localhost:1883".
    pub url: BrokerUrl,
    /// First part of every topic; only one Visor may use it at a broker. Default "visor".
    pub prefix: String,
    /// Quality of service of events, 0 or 1. With 0 an event that is on its way when the connection breaks is gone.
    /// Default 1.
    pub qos: u8,
    /// Events kept in memory while the broker is away, 1 to 1000000; the oldest is dropped when there are more, and
    /// the loss is counted and published. Default 10000 (about 10 MB).
    pub outbox: u32,
    /// Announce each camera to Home Assistant (MQTT discovery). Default true.
    pub home_assistant: bool,
    /// User name at the broker. Default none.
    pub username: Option<String>,
    /// File whose content, without the final line break, is the password. Default: the systemd credential
    /// `mqtt-password` where there is one.
    pub password_file: Option<PathBuf>,
    /// PEM file of the certificates to trust instead of the system's. Default none.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the certificate that Visor shows, with intermediates. Default none.
    pub client_certificate: Option<PathBuf>,
    /// PEM file (PKCS#8) of that certificate's key. Default none.
    pub client_key: Option<PathBuf>,
    /// The name that the broker knows this client by; must be unique there. Default "PREFIX-HOSTNAME".
    pub client_id: Option<String>,
    /// Longest silence on the connection, 1s to 1h; a broker that answers, or acknowledges, nothing for twice as long counts
    /// as gone.
    /// Default "15s".
    pub keep_alive: Period,
    /// Time between two messages on `PREFIX/stats`, 1s to 24h. Default "60s".
    pub stats_interval: Period,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "mqtt://localhost:1883".into(),
            prefix: "visor".to_owned(),
            qos: 1,
            outbox: 10_000,
            home_assistant: true,
            username: None,
            password_file: None,
            ca_file: None,
            client_certificate: None,
            client_key: None,
            client_id: None,
            keep_alive: Period::secs(15),
            stats_interval: Period::secs(60),
        }
    }
}

/// What the sink needs: everything checked, read and opened.
#[derive(Clone)]
pub struct Settings {
    pub(super) broker: Broker,
    pub(super) prefix: String,
    pub(super) qos: QoS,
    pub(super) outbox: usize,
    pub(super) home_assistant: bool,
    pub(super) stats_interval: Duration,
}

/// Where retained topics stand: the broker's address and the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    broker: (String, u16),
    prefix: String,
}

impl Settings {
    pub(super) fn place(&self) -> Place {
        Place { broker: (self.broker.host.clone(), self.broker.port), prefix: self.prefix.clone() }
    }
}

/// How to reach the broker.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<TlsConnector>,
    pub(super) login: Option<(String, SecretString)>,
    pub(super) client_id: String,
    pub(super) keep_alive: Duration,
}

/// What a broker's address says.
struct Address {
    host: String,
    port: u16,
    tls: bool,
    username: Option<String>,
    password: Option<SecretString>,
}

impl Config {
    /// Checks every key, reads the files and opens the certificates. `credentials` is systemd's folder of
    /// credentials, where there is one. The problems' keys are those of this table.
    pub fn resolve(&self, credentials: Option<&Path>) -> Result<Settings, Vec<Problem>> {
        let mut problems = self.check_numbers();
        let mut keep = |problem: Problem| problems.push(problem);
        let address = self.address().map_err(&mut keep).ok();
        let over_tls = address.as_ref().is_none_or(|a| a.tls);
        let login = self.login(address.as_ref(), credentials).map_err(&mut keep).ok().flatten();
        let tls = tls::connector(self, over_tls).map_err(|some| some.into_iter().for_each(&mut keep)).ok().flatten();
        match (address, problems.is_empty()) {
            (Some(Address { host, port, .. }), true) => {
                let client_id = self.client_id.clone().unwrap_or_else(|| default_client_id(&self.prefix));
                let keep_alive = self.keep_alive.0;
                Ok(Settings {
                    broker: Broker { host, port, tls, login, client_id, keep_alive },
                    prefix: self.prefix.clone(),
                    qos: if self.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
                    outbox: self.outbox as usize,
                    home_assistant: self.home_assistant,
                    stats_interval: self.stats_interval.0,
                })
            }
            _ => Err(problems),
        }
    }

    fn check_numbers(&self) -> Vec<Problem> {
        let prefix = self.prefix.as_str();
        let level =
            |l: &str| !l.is_empty() && !l.contains(|c: char| c.is_control() || c.is_whitespace() || "+#".contains(c));
        let sound_prefix = prefix.len() <= 128 && !prefix.starts_with('$') && prefix.split('/').all(level);
        let sound_id = self.client_id.as_ref().is_none_or(|id| !id.is_empty() && id.len() <= 128);
        let within = |period: Period, from: u64, to: u64| (Period::secs(from)..=Period::secs(to)).contains(&period);
        let checks = [
            (sound_prefix, "prefix", "is not a topic: words joined by \"/\", without blanks, \"+\" and \"#\""),
            (self.qos <= 1, "qos", "must be 0 or 1; 2 would not outlive a reconnect"),
            ((1..=1_000_000).contains(&self.outbox), "outbox", "must lie between 1 and 1000000 events"),
            (sound_id, "client_id", "must have 1 to 128 bytes"),
            (within(self.keep_alive, 1, 3600), "keep_alive", "must lie between 1s and 1h"),
            (within(self.stats_interval, 1, 86_400), "stats_interval", "must lie between 1s and 24h"),
        ];
        checks.into_iter().filter(|(sound, ..)| !sound).map(|(_, key, what)| Problem::new(key, what)).collect()
    }

    fn address(&self) -> Result<Address, Problem> {
        let wrong = |what: &str| Problem::new("url", what).remedy("write it as mqtt://HOST:1883 or mqtts://HOST:8883");
        let url = url::Url::parse(self.url.0.expose_secret()).map_err(|e| wrong(&format!("is not an address: {e}")))?;
        let tls = match url.scheme() {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" | "tls" => true,
            other => return Err(wrong(&format!("\"{other}\" is not a way to reach a broker"))),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("names no host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has something after the port"));
        }
        let user = Some(url.username()).filter(|user| !user.is_empty());
        let decode = |text: &str| percent_decoded(text).ok_or_else(|| wrong("has a broken % sequence before the @"));
        Ok(Address {
            host: host.to_owned(),
            port: url.port().unwrap_or(if tls { 8883 } else { 1883 }),
            tls,
            username: user.map(decode).transpose()?,
            password: url.password().map(decode).transpose()?.map(SecretString::from),
        })
    }

    fn login(
        &self,
        address: Option<&Address>,
        credentials: Option<&Path>,
    ) -> Result<Option<(String, SecretString)>, Problem> {
        let in_url = |part: fn(&Address) -> bool| address.is_some_and(part);
        if self.username.is_some() && in_url(|a| a.username.is_some()) {
            return Err(Problem::new("username", "is also in url").remedy("name the user in one place"));
        }
        if self.password_file.is_some() && in_url(|a| a.password.is_some()) {
            return Err(
                Problem::new("password_file", "url has a password too").remedy("give the password in one place")
            );
        }
        let username = self.username.clone().or_else(|| address.and_then(|a| a.username.clone()));
        let credential = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|file| file.exists());
        let password = match (&self.password_file, address.and_then(|a| a.password.clone()), credential) {
            (Some(file), ..) => Some(read_password(file)?),
            (None, Some(password), _) => Some(password),
            (None, None, Some(file)) => Some(read_password(&file)?),
            (None, None, None) => None,
        };
        match (username, password) {
            (Some(username), password) => Ok(Some((username, password.unwrap_or_default()))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Problem::new("username", "is missing, but there is a password")),
        }
    }
}

fn read_password(file: &Path) -> Result<SecretString, Problem> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|e| Problem::new("password_file", format!("cannot read {}: {e}", file.display())))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// Stays the same over restarts, so that the broker ends the old connection, with its last will, before it takes the
/// new one. With a new name each time, a will that comes late would say `offline` of a daemon that is there.
fn default_client_id(prefix: &str) -> String {
    let host = rustix::system::uname();
    format!("{prefix}-{}", host.nodename().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config { url: url.into(), ..Config::default() }
    }

    fn keys(config: &Config) -> Vec<String> {
        config.resolve(None).err().unwrap_or_default().into_iter().map(|problem| problem.key).collect()
    }

    fn login(settings: &Settings) -> Option<(&str, &str)> {
        settings.broker.login.as_ref().map(|(user, password)| (user.as_str(), password.expose_secret()))
    }

    #[test]
    fn the_default_reaches_a_broker_on_this_machine() {
        let settings = Config::default().resolve(None).unwrap();
        assert_eq!((settings.broker.host.as_str(), settings.broker.port), ("localhost", 1883));
        assert!(settings.broker.tls.is_none());
        assert!(settings.broker.client_id.starts_with("visor-"));
        assert_eq!(config("mqtts://broker").resolve(None).unwrap().broker.port, 8883);
    }

    #[test]
    fn user_and_password_come_from_the_address_a_file_or_systemd() {
        let settings = config("mqtt://visor:p%40ss%3A@broker:1884").resolve(None).unwrap();
        assert_eq!(login(&settings), Some(("visor", "p@ss:")));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(CREDENTIAL), "opensesame\r\n").unwrap();
        let named = Config { username: Some("visor".into()), ..Config::default() };
        assert_eq!(login(&named.resolve(Some(dir.path())).unwrap()), Some(("visor", "opensesame")));
        assert_eq!(login(&named.resolve(None).unwrap()), Some(("visor", "")));
        let file = Config { password_file: Some(dir.path().join(CREDENTIAL)), ..named };
        assert_eq!(login(&file.resolve(None).unwrap()), Some(("visor", "opensesame")));
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = config("mqtt://visor:opensesame@broker:1884");
        let settings = config.resolve(None).unwrap();
        let shown = format!("{config:?} {} {}", config.url, serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("opensesame"), "{shown}");
        assert!(shown.contains("mqtt://***@broker:1884"), "{shown}");
        assert!(!format!("{:?}", settings.broker.login).contains("opensesame"));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let all = Config {
            url: "http://broker/path".into(),
            prefix: "visor/#".into(),
            qos: 2,
            outbox: 0,
            password_file: Some("/nowhere/password".into()),
            ca_file: Some("/nowhere/ca.crt".into()),
            client_certificate: Some("/nowhere/client.crt".into()),
            client_id: Some(String::new()),
            keep_alive: Period::millis(1),
            stats_interval: Period::millis(1),
            ..Config::default()
        };
        let expected = [
            "prefix",
            "qos",
            "outbox",
            "client_id",
            "keep_alive",
            "stats_interval",
            "url",
            "password_file",
            "ca_file",
            "client_key",
        ];
        assert_eq!(keys(&all), expected);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let named = |url: &str| Config { username: Some("visor".into()), ..config(url) };
        assert_eq!(keys(&named("mqtt://visor@broker")), ["username"]);
        assert_eq!(keys(&config("mqtt://:secret@broker")), ["username"]);
        assert_eq!(keys(&Config { ca_file: Some("ca.crt".into()), ..config("mqtt://broker") }), ["ca_file"]);
        assert_eq!(keys(&config("mqtt://broker:1883/visor")), ["url"]);
        assert_eq!(keys(&config("mqtt://")), ["url"]);
        assert_eq!(keys(&config("mqtt://us%er@broker")), ["url"]);
        assert_eq!(keys(&config("broker")), ["url"]);
    }
}
