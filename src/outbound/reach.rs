//! Which addresses may be asked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use url::Host;

/// How far a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To hosts of the public internet, and to those that are allowed by name.
    Public(Vec<Allowed>),
    /// Everywhere: the operator has written the addresses into the configuration.
    Anywhere,
}

/// A host that may be asked although it is not public: `nas.lan`, `nas.lan:8080`, `192.168.1.20`, `[fd00::1]:80`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    host: Host<String>,
    port: Option<u16>,
}

impl Allowed {
    /// Reads a line of the configuration.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is neither a host nor a host with a port");
        // A URL's own rules decide what a host is, so that names are compared in one form.
        let url = url::Url::parse(&format!("none://{text}")).map_err(|_| wrong())?;
        let bare = url.path().is_empty() && url.query().is_none() && url.fragment().is_none();
        let bare = bare && url.username().is_empty() && url.password().is_none() && !text.contains('@');
        let host = url.host_str().filter(|host| bare && !host.is_empty()).ok_or_else(wrong)?;
        Ok(Self { host: Host::parse(host).map_err(|_| wrong())?, port: url.port() })
    }

    /// Whether it allows `address`, found under the name `host`.
    fn covers(&self, host: &Host<String>, port: u16, address: IpAddr) -> bool {
        if self.port.is_some_and(|allowed| allowed != port) {
            return false;
        }
        match &self.host {
            Host::Domain(_) => self.host == *host && is_private(address),
            Host::Ipv4(allowed) => address == *allowed,
            Host::Ipv6(allowed) => address == *allowed,
        }
    }
}

impl Reach {
    pub(super) fn includes(&self, host: &Host<String>, port: u16, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public(allowed) => is_public(address) || allowed.iter().any(|one| one.covers(host, port, address)),
        }
    }
}

/// What a name on somebody's own network leads to. Link-local addresses are not among them: those are where clouds keep
/// their metadata, and no name has a business there.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback() || v4.is_private() || (a == 100 && (64..128).contains(&b) && v4 != ALIBABA_METADATA)
        }
        IpAddr::V6(v6) => v6.is_loopback() || (v6.segments()[0] & 0xfe00 == 0xfc00 && v6 != AWS_METADATA),
    }
}

/// Serves credentials to whoever asks from within.
const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// The same, on Azure; in the midst of public addresses.
const AZURE_WIRESERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
/// The same, on AWS.
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address is one of the public internet, by the registries of special-purpose addresses (RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special && address != AZURE_WIRESERVER
}

/// Only what is handed out for the internet (2000::/3), without the parts that lead back into IPv4 (6to4, Teredo) or
/// nowhere. So mapped, compatible and NAT64 addresses are none, whatever they hold.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = match a {
        0x2001 => b < 0x200 || b == 0xdb8,
        0x2002 => true,
        0x3fff => b < 0x1000,
        _ => false,
    };
    a & 0xe000 == 0x2000 && !special
}

/// Resolves a name once, for a connection to just what was judged.
#[derive(Debug)]
pub(super) struct Checked<R> {
    reach: Arc<ArcSwap<Reach>>,
    resolver: R,
}

impl<R> Checked<R> {
    pub(super) const fn new(reach: Arc<ArcSwap<Reach>>, resolver: R) -> Self {
        Self { reach, resolver }
    }
}

impl<R: Resolver> Resolver for Checked<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.resolver.resolve(uri, config, timeout);
        let addresses = addresses.map_err(|error| match error {
            // A look-up that found nothing is no fault of any connection.
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        })?;
        judge(&self.reach.load(), uri, &addresses)?;
        Ok(addresses)
    }
}

/// A name that also has an address it should not have is not trusted with the others.
fn judge(reach: &Reach, uri: &Uri, addresses: &[std::net::SocketAddr]) -> Result<(), ureq::Error> {
    let host = uri.host().and_then(|host| Host::parse(host).ok());
    let host = host.ok_or_else(|| ureq::Error::Other(Box::new(Refused)))?;
    let inside = addresses.iter().all(|address| reach.includes(&host, address.port(), address.ip()));
    if inside { Ok(()) } else { Err(ureq::Error::Other(Box::new(Refused))) }
}

/// The address is out of reach.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of reach")
    }
}

impl std::error::Error for Refused {}
