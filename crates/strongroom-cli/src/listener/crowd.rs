//! Who may have how much of a listener: connections of one client network, and TLS handshakes
//! under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use strongroom_api::ClientNetwork;
use tokio_util::sync::CancellationToken;

/// Counts connections by network.
#[derive(Clone)]
pub(super) struct Clients {
    counts: Arc<Mutex<HashMap<ClientNetwork, usize>>>,
    each_max: usize,
}

/// One connection of a network, until it is dropped.
pub(super) struct Place(Option<(Clients, ClientNetwork)>);

impl Place {
    /// Of a network that has no share.
    pub(super) fn uncounted() -> Self {
        Self(None)
    }
}

impl Clients {
    pub(super) fn new(each_max: usize) -> Self {
        Self {
            counts: Arc::default(),
            each_max,
        }
    }

    /// A place for one more connection of this network, unless it has all that it may have.
    pub(super) fn enter(&self, network: ClientNetwork) -> Option<Place> {
        let mut counts = locked(&self.counts);
        let count = counts.entry(network).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Place(Some((self.clone(), network))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((clients, network)) = &self.0 else {
            return;
        };
        let mut counts = locked(&clients.counts);
        if let Some(count) = counts.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(network);
            }
        }
    }
}

/// TLS handshakes under way. When there are too many the oldest is given up: one that gets on is
/// over within milliseconds, so it is one that was left half open.
#[derive(Clone)]
pub(super) struct Handshakes {
    under_way: Arc<Mutex<UnderWay>>,
    at_once_max: usize,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    tokens: BTreeMap<u64, CancellationToken>,
}

/// One handshake, until it is dropped.
pub(super) struct Handshake {
    all: Handshakes,
    number: u64,
    token: CancellationToken,
}

impl Handshakes {
    pub(super) fn new(at_once_max: usize) -> Self {
        Self {
            under_way: Arc::default(),
            at_once_max,
        }
    }

    pub(super) fn begin(&self) -> Handshake {
        let mut under_way = locked(&self.under_way);
        let number = under_way.next;
        under_way.next += 1;
        let token = CancellationToken::new();
        under_way.tokens.insert(number, token.clone());
        if under_way.tokens.len() > self.at_once_max
            && let Some((_, oldest)) = under_way.tokens.pop_first()
        {
            oldest.cancel();
        }
        Handshake {
            all: self.clone(),
            number,
            token,
        }
    }
}

impl Handshake {
    /// Ends when it has to make room for others.
    pub(super) async fn given_up(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        locked(&self.all.under_way).tokens.remove(&self.number);
    }
}

/// What the locks guard is sound at every step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_connections_and_not_one_more() {
        let clients = Clients::new(2);
        let places: Vec<_> = ["198.51.100.1", "198.51.100.200"]
            .iter()
            .map(|address| clients.enter(network(address)).unwrap())
            .collect();
        assert!(clients.enter(network("198.51.100.7")).is_none());
        assert!(clients.enter(network("::ffff:198.51.100.7")).is_none());
        let other = clients.enter(network("198.51.101.1"));
        assert!(other.is_some());
        drop((places, other));
        assert!(locked(&clients.counts).is_empty());
        assert!(clients.enter(network("198.51.100.7")).is_some());
    }

    #[tokio::test]
    async fn too_many_handshakes_end_the_oldest() {
        let handshakes = Handshakes::new(2);
        let first = handshakes.begin();
        let second = handshakes.begin();
        let third = handshakes.begin();
        first.given_up().await;
        assert!(!second.token.is_cancelled() && !third.token.is_cancelled());
        drop(second);
        let fourth = handshakes.begin();
        assert!(!third.token.is_cancelled());
        drop((first, third, fourth));
        assert!(locked(&handshakes.under_way).tokens.is_empty());
    }
}
