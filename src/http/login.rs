//! Logging in: a name and a password for a token that holds for a while.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::guard::Door;
use super::rate::{Client, Rate, Rates};
use super::session::Sessions;
use super::users::User;
use super::{Principal, ProblemJson};

/// Passwords checked at once: each takes a thread and as much memory as its hash says.
const AT_ONCE: usize = 2;
/// How often an address may try. Much less than requests in general: here is where one guesses.
const TRIES: Rate = Rate { per_second: 0.2, burst: 5 };

/// What logins share over all addresses that are served one after the other.
pub(super) struct Registry {
    pub(super) sessions: Sessions,
    tries: Rates,
    turns: Arc<Semaphore>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { sessions: Sessions::new(), tries: Rates::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// The way to log in. Each request that the guard lets through carries one.
#[derive(Clone)]
pub struct Logins(Arc<Door>);

/// A login.
#[derive(Clone, Debug)]
pub struct Login {
    /// To be shown as `Authorization: Bearer …`.
    pub token: String,
    /// How long it holds.
    pub length: Duration,
    /// What it gives the right to.
    pub principal: Principal,
}

impl Logins {
    pub(super) fn new(door: &Arc<Door>) -> Self {
        Self(Arc::clone(door))
    }

    /// Logs somebody in who asks from `address`.
    ///
    /// # Errors
    /// `404` where nobody can log in, `401` for a wrong name or password, `429` for too many tries, `503` while too many
    /// others log in.
    pub async fn log_in(&self, name: String, password: SecretString, address: IpAddr) -> Result<Login, ProblemJson> {
        let Registry { tries, turns, .. } = &*self.0.registry;
        let settings = self.0.settings.load_full();
        if settings.users.is_none() {
            let detail = "nobody can log in here: the configuration names no http.users_file";
            return Err(ProblemJson::new(StatusCode::NOT_FOUND, detail));
        }
        tries.take(Client::new(address, None), TRIES, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs_f64().ceil() as u64;
            let detail = format!("too many tries to log in; try again in {seconds} s");
            ProblemJson::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(seconds)
        })?;
        let busy = || {
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, "others are logging in; try again in a second")
                .retry_after(1)
        };
        let turn = Arc::clone(turns).try_acquire_owned().map_err(|_| busy())?;
        let door = Arc::clone(&self.0);
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let user = settings.users.as_ref()?.verify(&name, password.expose_secret())?;
            let token = door.registry.sessions.open(user, settings.session, Timestamp::now())?;
            Some(Login { token, length: settings.session, principal: user.principal.clone() })
        });
        let wrong = || ProblemJson::new(StatusCode::UNAUTHORIZED, "there is no user of this name and password");
        checked.await.map_err(|_| busy())?.ok_or_else(wrong)
    }
}

impl User {
    /// Tells this user's requests from others' that come from the same address.
    pub(super) fn number(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        // Tokens are numbered from below.
        hasher.finish() | 1 << 63
    }
}
