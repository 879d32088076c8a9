//! Ethernet queues: frames from and to host memory, and what the device does to them on the way.
//!
//! | file | what |
//! |---|---|
//! | `headers` | where the headers of a frame are |
//! | `checksum` | computing, filling in and verifying checksums |
//! | `segment` | large sends |
//! | `toeplitz`, `rss` | which queue a received frame goes to |
//! | `port` | filter, address, MTU: what belongs to all queues |
//! | `descriptor_ring`, `completion_ring` | the rings of a queue |
//! | `queue` | a queue, and when it is served |
//! | `transmit`, `receive` | the two directions |
//! | `traffic` | counting what crosses the port |

mod checksum;
mod completion_ring;
mod descriptor_ring;
mod headers;
mod port;
mod queue;
mod receive;
mod rss;
mod segment;
mod toeplitz;
mod traffic;
mod transmit;

pub(crate) use headers::{Extent, Headers};
pub(crate) use port::Address;
pub(crate) use queue::{EthQueue, Ethernet, MAX_QUEUES, WrongRing};
pub(crate) use rss::Rss;
pub(crate) use traffic::{count_in, count_out};

/// Bytes of an Ethernet address.
const ADDRESS: usize = 6;
/// Both addresses of a frame: what is in front of a VLAN tag.
const ADDRESSES: usize = 2 * ADDRESS;
/// Bytes of an Ethernet header without tag.
const HEADER: usize = ADDRESSES + 2;
/// Bytes of a VLAN tag.
const TAG: usize = 4;
