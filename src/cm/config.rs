//! What can be set, and the times that follow from it.

use core::time::Duration;

use roce_wire::cm::Mtu;
use roce_wire::num::{MaxCmRetries, RetryCount, Timeout};

use super::timer::{QUARANTINE_MAX, duration};

/// The patience that our MRA asks for unless the caller wants something else: 69 s, for each of the peer's repetitions.
///
/// Longer lets a peer wait longer for a slow consumer; it also waits longer before it repeats a request whose REJ got lost.
pub const DEFAULT_MRA_SERVICE_TIMEOUT: Timeout = Timeout::truncated(24);

/// READs and atomics under way at a time, per connection. Both directions are seen from our side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadLimits {
    /// The peer's, which we serve.
    pub inbound: u32,
    /// Ours, which the peer serves.
    pub outbound: u32,
}

impl ReadLimits {
    /// The smaller of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            inbound: self.inbound.min(other.inbound),
            outbound: self.outbound.min(other.outbound),
        }
    }

    /// As messages have them: the inbound limit, then the outbound one, each capped to eight bits.
    pub(super) fn on_the_wire(self) -> (u8, u8) {
        let byte = |limit: u32| u8::try_from(limit).unwrap_or(u8::MAX);
        (byte(self.inbound), byte(self.outbound))
    }
}

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Random, so that peers can neither guess ids nor fill one hash chain.
    pub secret: [u64; 2],
    /// EUI-64 of the adapter: names us in messages whose receiver may not know the connection yet.
    pub ca_guid: u64,
    /// How long either side's CM may take to answer. A message of ours is repeated after that and twice the packet life
    /// time.
    pub response_timeout: Timeout,
    /// How often a message that is not answered is repeated.
    pub max_retries: MaxCmRetries,
    /// How long a packet may be on its way.
    pub packet_life_time: Timeout,
    /// How long our MRA asks the peer to wait: [`DEFAULT_MRA_SERVICE_TIMEOUT`].
    pub mra_service_timeout: Timeout,
    /// Payload size of our port: what we ask for, and the most that a peer may ask for.
    pub path_mtu: Mtu,
    /// The most READs that the adapter can do for a connection.
    pub max_reads: ReadLimits,
    /// How long our queue pairs wait for an acknowledgement at least.
    pub local_ack_timeout: Timeout,
    /// How long our queue pairs may take to acknowledge.
    pub target_ack_delay: Timeout,
    /// How often a packet that is not acknowledged is sent again, in either direction.
    pub retry_count: RetryCount,
    /// How often a packet that the receiver was not ready for is sent again, in either direction.
    pub rnr_retry_count: RetryCount,
}

impl Config {
    /// The defaults. A peer that does not exist is given up after 13 s (8 times 1.6 s).
    #[must_use]
    pub const fn new(secret: [u64; 2], ca_guid: u64) -> Self {
        Self {
            secret,
            ca_guid,
            response_timeout: Timeout::truncated(18),
            max_retries: MaxCmRetries::truncated(7),
            packet_life_time: Timeout::truncated(16),
            mra_service_timeout: DEFAULT_MRA_SERVICE_TIMEOUT,
            path_mtu: Mtu::B1024,
            max_reads: ReadLimits {
                inbound: 16,
                outbound: 128,
            },
            local_ack_timeout: Timeout::truncated(14),
            target_ack_delay: Timeout::truncated(10),
            retry_count: RetryCount::truncated(7),
            rnr_retry_count: RetryCount::truncated(6),
        }
    }

    /// There and back.
    const fn round_trip(&self) -> Duration {
        duration(self.packet_life_time).saturating_mul(2)
    }

    /// Time between two repetitions of a message of ours.
    pub(super) const fn interval(&self) -> Duration {
        duration(self.response_timeout).saturating_add(self.round_trip())
    }

    /// How long to wait for a peer that has asked for `service_timeout`: not for hours, as it may.
    pub(super) fn patience(&self, service_timeout: Timeout) -> Duration {
        duration(service_timeout)
            .min(QUARANTINE_MAX)
            .saturating_add(self.round_trip())
    }

    /// How long nothing of a connection that is over may be used again (IBTA 12.9.8.4).
    pub(super) const fn time_wait(&self) -> Duration {
        self.round_trip().saturating_add(duration(self.target_ack_delay))
    }
}
