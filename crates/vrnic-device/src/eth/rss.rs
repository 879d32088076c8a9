//! Receive side scaling: which queue a frame goes to.

use vrnic_abi::eth::{
    HASH_IPV4, HASH_IPV6, HASH_TCP_IPV4, HASH_TCP_IPV6, HASH_UDP_IPV4, HASH_UDP_IPV6, RSS_ENTRIES, RssTable,
};

use super::headers::{Family, Headers, Transport};
use super::toeplitz::Toeplitz;

/// What `SET_RSS` has set.
pub(crate) struct Rss {
    hash_types: u32,
    toeplitz: Toeplitz,
    /// Number of entries, less one: they are a power of two.
    mask: u32,
    queues: [u8; RSS_ENTRIES],
    default_queue: u32,
}

/// Where a frame goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub queue: u32,
    pub hash: u32,
    /// A `HASH_*` bit, or 0 without hash.
    pub hash_type: u32,
}

impl Rss {
    /// All frames go to queue 0.
    pub fn off() -> Self {
        Self {
            hash_types: 0,
            toeplitz: Toeplitz::new(&[0; _]),
            mask: 0,
            queues: [0; RSS_ENTRIES],
            default_queue: 0,
        }
    }

    /// As in a table that has been checked.
    pub fn new(table: &RssTable) -> Self {
        Self {
            hash_types: table.hash_types.get(),
            toeplitz: Toeplitz::new(&table.key),
            mask: u32::from(table.entries.get()).saturating_sub(1),
            queues: table.queue,
            default_queue: table.default_queue.get().into(),
        }
    }

    /// Chooses the queue of a frame.
    pub(super) fn choose(&self, frame: &[u8], headers: Option<&Headers>) -> Choice {
        let found = headers.and_then(|headers| Some((headers, self.hash_type(headers)?)));
        let Some((headers, (hash_type, with_ports))) = found else {
            return Choice {
                queue: self.default_queue,
                hash: 0,
                hash_type: 0,
            };
        };
        let ports = if with_ports { &frame[headers.ports()] } else { &[] };
        let hash = self.toeplitz.hash([&frame[headers.addresses()], ports]);
        let entry = usize::try_from(hash & self.mask).unwrap_or_default();
        Choice {
            queue: self.queues.get(entry).copied().unwrap_or_default().into(),
            hash,
            hash_type,
        }
    }

    /// What the hash is over, and whether ports are part of it. None: there is no hash.
    fn hash_type(&self, headers: &Headers) -> Option<(u32, bool)> {
        let (with_ports, without) = match (headers.family, headers.transport) {
            (Family::V4, Transport::Tcp) => (HASH_TCP_IPV4, HASH_IPV4),
            (Family::V4, Transport::Udp) => (HASH_UDP_IPV4, HASH_IPV4),
            (Family::V4, Transport::Other) => (0, HASH_IPV4),
            (Family::V6, Transport::Tcp) => (HASH_TCP_IPV6, HASH_IPV6),
            (Family::V6, Transport::Udp) => (HASH_UDP_IPV6, HASH_IPV6),
            (Family::V6, Transport::Other) => (0, HASH_IPV6),
        };
        [(with_ports, true), (without, false)]
            .into_iter()
            .find(|(hash_type, _)| self.hash_types & hash_type != 0)
    }
}
