//! How many connections one client may hold, so that it cannot hold them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of one address at once: a quarter of all.
pub(super) const MOST: usize = 128;

/// Who holds how many connections. Bounded by how many there are. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    address: IpAddr,
}

impl Seats {
    /// A place for a connection from `address`; `None` where it has enough.
    pub(super) fn take(&self, address: IpAddr) -> Option<Seat> {
        let address = address.to_canonical();
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Seat { seats: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_have_all() {
        let seats = Seats::default();
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> = (0..MOST).map(|_| seats.take(greedy).unwrap()).collect();
        assert!(seats.take(greedy).is_none());
        assert!(seats.take(other).is_some());
        held.pop();
        assert!(seats.take(greedy).is_some());
        drop(held);
        assert!(seats.0.lock().unwrap().is_empty(), "nobody is remembered who holds none");
    }
}
