//! Addresses that somebody else has named, and that the daemon asks: pictures by URL, webhooks.
//!
//! | module | what is there |
//! |---|---|
//! | `reach` | which addresses may be asked at all |
//! | `signature` | how a receiver knows that a webhook is from here |
//! | `courier` | webhooks delivered in the background, again and again where the receiver is away |
//!
//! Whoever may name an address could name one that only this machine reaches: a router's page, a cloud's metadata. So a
//! name is resolved once, each address that it has must be a public one, the connection goes to just that address, and
//! each redirect is judged anew. Nothing here logs an address.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::DefaultConnector;
use url::Url;

mod courier;
mod reach;
mod signature;

pub use courier::{Courier, Delivery, Full, Plan};
pub use reach::{Allowed, Reach};
pub use signature::{HEADER as SIGNATURE_HEADER, sign};

use reach::{Checked, Refused};

/// Fetches under way at once; further ones wait their turn within their own time.
const AT_ONCE: usize = 32;
/// Of an answer to a webhook nobody reads more.
const MOST_ANSWER_BYTES: u64 = 64 << 10;
/// A receiver of webhooks may ask to be left alone for so long; what waits for it meanwhile is in memory.
const LONGEST_WISH: Duration = Duration::from_secs(600);

/// How much of everything an address may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the first look-up to the last byte, redirects included.
    pub time: Duration,
    /// Redirects followed.
    pub redirects: u32,
}

/// Why an address gave nothing. Never holds the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is not an address that can be asked.
    #[error("{0}")]
    Address(&'static str),
    /// It leads to where only this machine or its network gets.
    #[error("the address does not lead to a public host; the operator may allow its name in http.fetch_allow")]
    Refused,
    /// Nobody is there, or does not speak HTTP or TLS as one should.
    #[error("the address cannot be reached: {0}")]
    Unreachable(&'static str),
    /// It answers, but not with what was asked for; and may say how long to stay away (`Retry-After`).
    #[error("the address answers with status {0}")]
    Status(u16, Option<Duration>),
    /// It gives more than the limit.
    #[error("the address gives more than {0} bytes")]
    TooLarge(u64),
    /// It takes longer than the limit.
    #[error("the address takes longer than {0:?}")]
    TooSlow(Duration),
    /// It redirects more often than the limit.
    #[error("the address redirects more than {0} times")]
    Redirects(u32),
}

impl Failure {
    /// Whether another try may help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TooSlow(_) => true,
            Self::Status(status, _) => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Address(_) | Self::Refused | Self::TooLarge(_) | Self::Redirects(_) => false,
        }
    }

    /// For how long not to try again: `usual`, or as long as the address asks for, within reason.
    pub fn pause(&self, usual: Duration) -> Duration {
        match self {
            Self::Status(_, Some(wish)) => usual.max((*wish).min(LONGEST_WISH)),
            _ => usual,
        }
    }
}

/// Asks addresses that somebody else has named. Clones share their limits.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    reach: Arc<ArcSwap<Reach>>,
    turns: Arc<Semaphore>,
}

impl Client {
    /// A client that gets as far as `reach` says.
    pub fn new(reach: Reach) -> Self {
        Self::with_resolver(reach, DefaultResolver::default())
    }

    fn with_resolver(reach: Reach, resolver: impl Resolver) -> Self {
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .tls_config(tls.build())
            // A proxy would resolve names by itself, and a connection that is kept has been judged for another request.
            .proxy(None)
            .max_idle_connections(0)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("visor/", env!("CARGO_PKG_VERSION")))
            .build();
        let reach = Arc::new(ArcSwap::from_pointee(reach));
        let agent = Agent::with_parts(config, DefaultConnector::default(), Checked::new(Arc::clone(&reach), resolver));
        Self { agent, reach, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What holds from the next request on.
    pub fn set_reach(&self, reach: Reach) {
        self.reach.store(Arc::new(reach));
    }

    /// The body that `address` answers with. Blocks; see [`Self::fetch`].
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn get(&self, address: &str, limits: &Limits) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + limits.time;
        let mut url = parse(address)?;
        for _ in 0..=limits.redirects {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::TooSlow(limits.time));
            }
            let request = self.agent.get(url.as_str()).config().timeout_global(Some(left)).build();
            let mut answer = request.call().map_err(|error| failure(&error, limits))?;
            let status = answer.status();
            if let Some(next) = redirect(&url, status, answer.headers().get(header::LOCATION)) {
                url = next?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(refusal(status, answer.headers()));
            }
            if answer.body().content_length().is_some_and(|length| length > limits.bytes) {
                return Err(Failure::TooLarge(limits.bytes));
            }
            let body = answer.body_mut().with_config().limit(limits.bytes.saturating_add(1)).read_to_vec();
            let body = body.map_err(|error| failure(&error, limits))?;
            return if body.len() as u64 > limits.bytes { Err(Failure::TooLarge(limits.bytes)) } else { Ok(body) };
        }
        Err(Failure::Redirects(limits.redirects))
    }

    /// [`Self::get`] on a thread that may block. Waiting for a turn counts towards the time.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn fetch(&self, address: String, limits: Limits) -> Result<Vec<u8>, Failure> {
        let begun = Instant::now();
        let turn = tokio::time::timeout(limits.time, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Failure::TooSlow(limits.time)) };
        let left = Limits { time: limits.time.saturating_sub(begun.elapsed()), ..limits };
        let client = self.clone();
        let fetched = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            client.get(&address, &left)
        });
        fetched.await.unwrap_or(Err(Failure::Unreachable("the fetch broke off")))
    }

    /// Puts JSON before `address`, signed where there is a secret. One try, no redirects; blocks for at most `time`.
    ///
    /// # Errors
    /// See [`Failure`]; any status but 2xx is one.
    pub fn post(&self, delivery: &Delivery, time: Duration) -> Result<(), Failure> {
        let limits = Limits { bytes: MOST_ANSWER_BYTES, time, redirects: 0 };
        let url = parse(&delivery.url)?;
        let request = self.agent.post(url.as_str()).config().timeout_global(Some(time)).build();
        let mut request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(secret) = &delivery.secret {
            request = request.header(SIGNATURE_HEADER, sign(secret, Timestamp::now(), &delivery.body));
        }
        let answer = request.send(&delivery.body[..]).map_err(|error| failure(&error, &limits))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(refusal(status, answer.headers())) }
    }
}

/// An address as it may be asked. What browsers understand is understood, so that `http://0x7f.1/` is seen to be
/// 127.0.0.1 before anybody connects.
///
/// # Errors
/// It is none, of another scheme, or holds credentials.
pub fn parse(address: &str) -> Result<Url, Failure> {
    let url = Url::parse(address).map_err(|_| Failure::Address("this is not an address (a URL with a host)"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::Address("an address must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::Address("an address must not hold credentials"));
    }
    Ok(url)
}

/// Where an answer redirects to, if it does.
fn redirect(from: &Url, status: StatusCode, to: Option<&header::HeaderValue>) -> Option<Result<Url, Failure>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let nowhere = Failure::Unreachable("it redirects to nowhere");
    let next = to.and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok()).ok_or(nowhere);
    Some(next.and_then(|next| parse(next.as_str())))
}

/// An answer that is none: its status, and when to come again.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Failure {
    let wish = headers.get(header::RETRY_AFTER).and_then(|text| text.to_str().ok());
    Failure::Status(status.as_u16(), wish.and_then(|text| wait(text, Timestamp::now())))
}

/// How long `Retry-After` asks to wait: seconds, or a date.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// In words of ours: the client's own may hold the address.
fn failure(error: &ureq::Error, limits: &Limits) -> Failure {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Other(other) if other.is::<Refused>() => Failure::Refused,
        ureq::Error::Timeout(_) => Failure::TooSlow(limits.time),
        ureq::Error::BodyExceedsLimit(_) => Failure::TooLarge(limits.bytes),
        ureq::Error::HostNotFound => Failure::Unreachable("no such host"),
        ureq::Error::NativeTls(_) | ureq::Error::Tls(_) => Failure::Unreachable("TLS failed"),
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::TooSlow(limits.time),
            ErrorKind::ConnectionRefused => Failure::Unreachable("connection refused"),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Failure::Unreachable("the connection broke off"),
            _ => Failure::Unreachable("no connection"),
        },
        _ => Failure::Unreachable("it does not speak HTTP as one should"),
    }
}

#[cfg(test)]
mod tests;
