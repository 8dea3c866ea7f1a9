//! What a user sets about HTTP, and what follows from it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::Rate;
use super::tls::Tls;
use super::tokens::{self, Tokens};
use super::users::Users;
use crate::fault::Problem;
use crate::outbound::{Allowed, Reach};
use crate::units::Period;

/// How long a login may hold: a token in somebody's hands is not taken back.
const SESSION: std::ops::RangeInclusive<Period> = Period::secs(1)..=Period::secs(24 * 3600);
/// How long a body may take.
const BODY_TIMEOUT: std::ops::RangeInclusive<Period> = Period::secs(1)..=Period::secs(600);

/// `[http]`: where the engine is asked over HTTP, by whom, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one. Default `"127.0.0.1:8080"`.
    pub listen: String,
    /// File of bearer tokens, one a line: `TOKEN [role] [camera,camera…]` (or `sha256:` and the token's hash in hex in the
    /// place of the token); lines with `#` are comments. Roles are `viewer` (where none is written), `operator` and `admin`.
    /// Loopback needs neither tokens nor users; any other address does. Default: systemd's credential `http-tokens`, where
    /// there is one.
    pub tokens_file: Option<PathBuf>,
    /// File of users who may log in, one a line: `name:role:$argon2id$…` or `name:role:camera,camera:$argon2id$…`.
    /// Default: none.
    pub users_file: Option<PathBuf>,
    /// How long a login holds, 1s to 24h. A length of time; default `15m`.
    pub session: Period,
    /// Certificate to be shown, with those it is signed by (PEM); with `private_key` the address is `https://`. Default:
    /// none.
    pub certificate: Option<PathBuf>,
    /// The certificate's key (PEM, PKCS#8). Default: none.
    pub private_key: Option<PathBuf>,
    /// Whether an address beyond loopback may go without TLS, so that tokens and pictures can be read on their way.
    /// Default false.
    pub allow_plain: bool,
    /// Requests a second that each client may make; 0 for no limit. Health and metrics are not counted. Default 5.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub rate: f64,
    /// Requests that a client may make at once after a pause, 1 to 100000. Default 10.
    #[schemars(range(min = 1, max = 100_000))]
    pub burst: u32,
    /// How long a request's body may take to arrive, 1s to 10m. A length of time; default `30s`.
    pub body_timeout: Period,
    /// Requests with pictures that are worked at or wait at once, 1 to 10000; further ones are answered 503. Default 64.
    #[schemars(range(min = 1, max = 10_000))]
    pub pictures_at_once: u32,
    /// Hosts that pictures and webhooks may be at although they are not public: `nas.lan`, `nas.lan:8080`, `192.168.1.20`.
    /// Default: none.
    pub fetch_allow: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            tokens_file: None,
            users_file: None,
            session: Period::secs(15 * 60),
            certificate: None,
            private_key: None,
            allow_plain: false,
            rate: 5.0,
            burst: 10,
            body_timeout: Period::secs(30),
            pictures_at_once: 64,
            fetch_allow: Vec::new(),
        }
    }
}

/// [`Config`] with everything parsed and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Address to bind.
    pub listen: SocketAddr,
    /// Who may ask with a token.
    pub tokens: Option<Tokens>,
    /// Who may log in. Without tokens and users, on loopback alone: everybody on this machine.
    pub users: Option<Users>,
    /// How long a login holds.
    pub session: Duration,
    /// The certificate; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// How often each client may ask.
    pub rate: Rate,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// Requests with pictures at once.
    pub pictures_at_once: usize,
    /// Which addresses a request may name.
    pub reach: Reach,
}

impl Settings {
    /// Whether whoever asks must say who they are.
    pub const fn is_guarded(&self) -> bool {
        self.tokens.is_some() || self.users.is_some()
    }

    /// Whether only this machine gets here.
    pub fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }
}

impl Config {
    /// Parses the address and reads the files. `credentials` is systemd's folder of them.
    ///
    /// # Errors
    /// Every problem there is, with its key within `[http]`.
    pub fn resolve(&self, credentials: Option<&Path>) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let listen = self.address().map_err(|p| problems.push(p)).ok();
        let credential = credentials.map(|folder| folder.join(tokens::CREDENTIAL)).filter(|file| file.exists());
        let tokens_file = self.tokens_file.as_ref().or(credential.as_ref());
        let tokens = tokens_file.and_then(|file| Tokens::read(file).map_err(|p| problems.push(p)).ok());
        let users = self.users_file.as_ref().and_then(|file| Users::read(file).map_err(|p| problems.push(p)).ok());
        let tls = Tls::read(self.certificate.as_deref(), self.private_key.as_deref());
        let tls = tls.map_err(|found| problems.extend(found)).ok().flatten();
        let allowed = self.allowed().map_err(|found| problems.extend(found)).unwrap_or_default();
        for (key, period, range) in
            [("session", self.session, SESSION), ("body_timeout", self.body_timeout, BODY_TIMEOUT)]
        {
            if !range.contains(&period) {
                let what = format!("{period} is not between {} and {}", range.start(), range.end());
                problems.push(Problem::new(key, what).remedy("choose a time between them"));
            }
        }
        if let Some(address) = listen.filter(|address| !address.ip().is_loopback()) {
            problems.extend(self.exposed(address, tokens_file.is_some()));
        }
        let Some(listen) = listen.filter(|_| problems.is_empty()) else { return Err(problems) };
        Ok(Settings {
            listen,
            tokens,
            users,
            session: self.session.0,
            tls,
            rate: Rate { per_second: self.rate, burst: self.burst },
            body_timeout: self.body_timeout.0,
            pictures_at_once: self.pictures_at_once as usize,
            reach: Reach::Public(allowed),
        })
    }

    /// What is missing where others than this machine's users can reach the address.
    fn exposed(&self, address: SocketAddr, with_tokens: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let outside = format!("{address} can be reached from outside this machine, and");
        if !with_tokens && self.users_file.is_none() {
            let problem = Problem::new("listen", format!("{outside} no tokens_file is set"));
            problems.push(problem.remedy("set http.tokens_file or http.users_file, or listen on 127.0.0.1"));
        }
        if self.certificate.is_none() && self.private_key.is_none() && !self.allow_plain {
            let problem = Problem::new("listen", format!("{outside} there is no certificate"));
            let remedy =
                "set http.certificate and http.private_key, or http.allow_plain = true where the network is trusted";
            problems.push(problem.remedy(remedy));
        }
        problems
    }

    fn allowed(&self) -> Result<Vec<Allowed>, Vec<Problem>> {
        let (mut allowed, mut problems) = (Vec::new(), Vec::new());
        for (index, text) in self.fetch_allow.iter().enumerate() {
            match Allowed::parse(text) {
                Ok(host) => allowed.push(host),
                Err(what) => {
                    let problem = Problem::new(format!("fetch_allow[{index}]"), what);
                    problems.push(problem.remedy("write a host as nas.lan, nas.lan:8080 or 192.168.1.20"));
                }
            }
        }
        if problems.is_empty() { Ok(allowed) } else { Err(problems) }
    }

    fn address(&self) -> Result<SocketAddr, Problem> {
        let numeric = self.listen.strip_prefix("localhost:").map_or(self.listen.clone(), |p| format!("127.0.0.1:{p}"));
        numeric.parse().map_err(|_| {
            Problem::new("listen", format!("\"{}\" is not an address with a port", self.listen))
                .remedy("write it as \"127.0.0.1:8080\" or \"[::1]:8080\"")
        })
    }
}
