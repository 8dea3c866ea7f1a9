//! How often a client may ask: the generic cell rate algorithm (ITU-T I.371), one number a client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients that are remembered at once. Where more ask at the same time those beyond share one allowance.
const MOST_CLIENTS: usize = 4096;

/// Whom requests are counted for: an address, with whose rights it asks. So several people behind one address have an
/// allowance each, and nobody has a second one for guessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client {
    network: u128,
    holder: Option<u64>,
}

impl Client {
    /// Of an IPv6 address the first half counts: the rest is the client's own to change.
    pub(super) fn new(address: IpAddr, holder: Option<u64>) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6) & !u128::from(u64::MAX),
        };
        Self { network, holder }
    }

    /// Stands for all that nobody has room for.
    const REST: Self = Self { network: u128::MAX, holder: None };
}

/// So many requests a second, and so many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests a second; 0 for as many as come.
    pub per_second: f64,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// Who has asked how much of late.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// When each client's allowance will be whole again.
    whole_at: Mutex<HashMap<Client, Instant>>,
}

impl Rates {
    /// Counts a request; or says how long to wait before the next that will be taken.
    pub(super) fn take(&self, client: Client, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.per_second <= 0.0 {
            return Ok(());
        }
        let each = Duration::from_secs_f64(1.0 / rate.per_second);
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let client = if make_room(&mut whole_at, client, now) { client } else { Client::REST };
        let next = whole_at.get(&client).copied().unwrap_or(now).max(now) + each;
        let limit = now + each * rate.burst.max(1);
        if next > limit {
            return Err(next - limit);
        }
        whole_at.insert(client, next);
        Ok(())
    }
}

/// Whether there is room for `client` in the table, once those whose allowance is whole are forgotten.
fn make_room(whole_at: &mut HashMap<Client, Instant>, client: Client, now: Instant) -> bool {
    if whole_at.len() < MOST_CLIENTS || whole_at.contains_key(&client) {
        return true;
    }
    whole_at.retain(|_, at| *at > now);
    whole_at.len() < MOST_CLIENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 5.0, burst: 10 };

    fn client(n: u32) -> Client {
        Client::new(IpAddr::from(n.to_be_bytes()), None)
    }

    #[test]
    fn a_burst_is_taken_then_so_many_a_second() {
        let (rates, start) = (Rates::default(), Instant::now());
        for _ in 0..10 {
            rates.take(client(1), RATE, start).unwrap();
        }
        assert_eq!(rates.take(client(1), RATE, start), Err(Duration::from_millis(200)));
        rates.take(client(2), RATE, start).unwrap();
        let later = start + Duration::from_millis(200);
        rates.take(client(1), RATE, later).unwrap();
        assert!(rates.take(client(1), RATE, later).is_err(), "one more, not two");
        let rested = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| rates.take(client(1), RATE, rested).is_ok()).count(), 10);
    }

    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        let rates = Rates::default();
        let none = Rate { per_second: 0.0, burst: 1 };
        assert!((0..1000).all(|_| rates.take(client(1), none, Instant::now()).is_ok()));
        assert!(rates.whole_at.lock().unwrap().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_those_beyond_share() {
        let (rates, start) = (Rates::default(), Instant::now());
        for n in 0..MOST_CLIENTS as u32 {
            rates.take(client(n), RATE, start).unwrap();
        }
        let beyond = (0..100).filter(|n| rates.take(client(1_000_000 + n), RATE, start).is_ok()).count();
        assert!(beyond <= 10, "{beyond}");
        assert!(rates.whole_at.lock().unwrap().len() <= MOST_CLIENTS + 1);
        rates.take(client(7), RATE, start).unwrap();
        let later = start + Duration::from_secs(60);
        assert_eq!((0..100).filter(|n| rates.take(client(2_000_000 + n), RATE, later).is_ok()).count(), 100);
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let of = |text: &str| Client::new(text.parse().unwrap(), None);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("192.0.2.1"), Client::new("192.0.2.1".parse().unwrap(), Some(1)));
    }
}
