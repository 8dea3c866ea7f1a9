//! Who may ask, and how often. Decided by a request's head alone, before anything of its body is read.
//!
//! Where only this machine gets, everybody on it may ask; the danger there is a web page, which can make its visitor's
//! browser ask. Its requests give themselves away by a `Host` that is no loopback name, an `Origin` that is not this
//! server, or by what the browser says of where they come from. Any other address asks for a token or a login.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::config::Settings;
use super::leash::Pass;
use super::login::{Logins, Registry};
use super::rate::{Client, Rates};
use super::routes::UNLIMITED;
use super::session::Unfit;
use super::{Peer, Principal, ProblemJson, console};
use crate::metrics::HTTP_REFUSED;

/// What the guard of one address decides by.
pub(super) struct Door {
    pub(super) settings: ArcSwap<Settings>,
    /// Outlives a change of address.
    pub(super) registry: Arc<Registry>,
    pub(super) rates: Rates,
    /// Paths of which nobody is asked who they are: those where one says so.
    pub(super) open: &'static [&'static str],
    /// Paths that are asked often by machines, and cost nothing.
    pub(super) unlimited: &'static [&'static str],
    /// Cancelled when the address is let go.
    pub(super) closed: CancellationToken,
}

/// Why a request is not let in: for the metric, and for whoever asks.
pub(super) type Refusal = (&'static str, ProblemJson);

/// Lets a request through, or answers it.
pub(super) async fn guard(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    match door.decide(&request, Instant::now(), Timestamp::now()) {
        Ok(principal) => {
            request.extensions_mut().insert(Logins::new(&door));
            let Some(principal) = principal else { return next.run(request).await };
            let shown = request.headers().get(header::AUTHORIZATION).cloned();
            request.extensions_mut().insert(principal.clone());
            Pass { door, shown, principal }.hold(next.run(request).await)
        }
        Err((reason, problem)) => {
            ::metrics::counter!(HTTP_REFUSED, "reason" => reason).increment(1);
            problem.into_response()
        }
    }
}

impl Door {
    /// Who asks; nobody where the path is open to all and they have not said.
    fn decide(&self, request: &Request, now: Instant, time: Timestamp) -> Result<Option<Principal>, Refusal> {
        let settings = self.settings.load();
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let of_console = console::PATHS.contains(&path);
        if settings.is_local() {
            check_host(request.uri(), request.headers())?;
            if !(of_console && is_link(request.headers())) {
                check_origin(request.headers())?;
            }
        }
        let caller = self.caller(&settings, request.headers().get(header::AUTHORIZATION), time);
        if !of_console && !self.unlimited.contains(&path) && !UNLIMITED.contains(&path) {
            let address = request.extensions().get::<Peer>().map_or(IpAddr::from([0; 4]), |peer| peer.0.ip());
            let client = Client::new(address, caller.as_ref().ok().and_then(|caller| caller.number));
            self.rates.take(client, settings.rate, now).map_err(too_often)?;
        }
        match caller {
            Ok(caller) => Ok(Some(caller.principal)),
            Err(_) if of_console || self.open.contains(&path) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Who shows this header `Authorization`.
    pub(super) fn caller(
        &self,
        settings: &Settings,
        shown: Option<&HeaderValue>,
        time: Timestamp,
    ) -> Result<Caller, Refusal> {
        if !settings.is_guarded() {
            return Ok(Caller { principal: Principal::LOCAL, number: None });
        }
        let given = shown.and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let refused = |detail: &str| ("token", ProblemJson::new(StatusCode::UNAUTHORIZED, detail));
        let Some(token) = token else {
            return Err(refused("who asks must say who they are: Authorization: Bearer …, with a token or a login's"));
        };
        if let Some((number, principal)) = settings.tokens.as_ref().and_then(|tokens| tokens.holder(token)) {
            return Ok(Caller { principal: principal.clone(), number: Some(number as u64) });
        }
        let session = settings.users.as_ref().map(|users| (users, self.registry.sessions.holder(token, users, time)));
        match session {
            Some((_, Ok(user))) => Ok(Caller { principal: user.principal.clone(), number: Some(user.number()) }),
            Some((_, Err(Unfit::Expired))) => Err(refused("the login has expired; log in again")),
            Some((_, Err(Unfit::Foreign))) | None => {
                Err(refused("nobody has this token; take one of http.tokens_file, or log in again"))
            }
        }
    }
}

/// Who asks.
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// Tells those apart who share an address.
    number: Option<u64>,
}

fn too_often(wait: std::time::Duration) -> Refusal {
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    let detail =
        format!("too many requests; try again in {seconds} s (http.rate and http.burst say how many may come)");
    ("rate", ProblemJson::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(seconds))
}

/// Any web page may make a browser send requests to a name that it points at 127.0.0.1; the name gives it away.
fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let header = headers.get(header::HOST).map(|h| h.to_str().unwrap_or("?"));
    let hosts = [uri.authority().map(|a| a.as_str()), header];
    if hosts.into_iter().flatten().all(is_loopback_name) {
        return Ok(());
    }
    let detail = "this address answers only to localhost, 127.0.0.1 and [::1] as host names";
    Err(("host", ProblemJson::new(StatusCode::MISDIRECTED_REQUEST, detail)))
}

fn is_loopback_name(authority: &str) -> bool {
    let port_begins = authority.rfind(':').filter(|colon| authority[*colon + 1..].bytes().all(|b| b.is_ascii_digit()));
    let host = match port_begins {
        Some(colon) if authority.starts_with('[') || authority.matches(':').count() == 1 => &authority[..colon],
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

/// A browser says which page a request comes from (`Origin`), or at least how far away that is (`Sec-Fetch-Site`). Another
/// server on this machine is another site, too: its pages may come from anywhere.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| host.is_some_and(|host| authority.eq_ignore_ascii_case(host)))
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let from_here = origins.all(|origin| origin.to_str().is_ok_and(own));
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let near = sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    if from_here && near {
        return Ok(());
    }
    let detail = "web pages of other sites get no answer here";
    Err(("origin", ProblemJson::new(StatusCode::FORBIDDEN, detail)))
}

/// A link on another page that somebody follows: what it leads to is a page of its own, which the other one cannot look into.
fn is_link(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document") && !headers.contains_key(header::ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for good in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:80", "?", ""]
        {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }

    #[test]
    fn no_other_page_reaches_in() {
        let allowed = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost:8080"));
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            check_origin(&headers).is_ok()
        };
        for good in [
            vec![],
            vec![("origin", "http://localhost:8080")],
            vec![("origin", "https://LOCALHOST:8080"), ("sec-fetch-site", "same-origin")],
            vec![("sec-fetch-site", "none")],
        ] {
            assert!(allowed(&good), "{good:?}");
        }
        for bad in [
            vec![("origin", "null")],
            vec![("origin", "")],
            vec![("origin", "http://evil.example")],
            vec![("origin", "http://localhost:3000")],
            vec![("origin", "http://localhost")],
            vec![("origin", "http://127.0.0.1:8080")],
            vec![("origin", "file://localhost:8080")],
            vec![("origin", "http://localhost:8080"), ("origin", "http://evil.example")],
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site")],
            vec![("origin", "http://localhost:8080"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!allowed(&bad), "{bad:?}");
        }
    }
}
