//! What happened so far.

use super::event::Notice;

/// What happened so far. All of them wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests handed to a consumer.
    pub connect_requests: u64,
    /// Repetitions of a request.
    pub repeated_requests: u64,
    /// Requests refused because nobody listens.
    pub refused_no_listener: u64,
    /// Requests refused because the listener or the table holds too many.
    pub refused_no_resources: u64,
    /// Requests refused because of what they say.
    pub refused_malformed: u64,
    /// Requests refused because they name a queue pair that belongs to another connection.
    pub refused_stale: u64,
    /// Requests and replies that the consumer has rejected, implicitly or not, and replies of ours that nobody confirmed.
    pub rejected: u64,
    /// Requests and replies whose sender has given up before the consumer answered.
    pub abandoned: u64,
    /// Rejected requests and closed connections forgotten early to make room.
    pub evicted: u64,
    /// Connections established by us.
    pub connects: u64,
    /// Connections established by peers.
    pub accepts: u64,
    /// Our attempts, and replies, that the peer has refused.
    pub refused_by_peer: u64,
    /// Our attempts that the peer has not answered.
    pub timed_out: u64,
    /// Established connections that ended without a DREQ of either side.
    pub connection_errors: u64,
    /// Messages that belong to no connection, or not to its state.
    pub unexpected: u64,
    /// Datagrams that are no messages of the CM.
    pub not_cm: u64,
}

impl Counters {
    /// Attempts that have ended without a connection.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        let refused = self.refused_no_listener
            + self.refused_no_resources
            + self.refused_malformed
            + self.refused_stale;
        refused + self.rejected + self.abandoned + self.refused_by_peer + self.timed_out
    }

    /// Counts what happens to connections. A passive side that times out is counted as a rejection.
    pub(super) const fn count(&mut self, notice: &Notice, is_active: bool) {
        match notice {
            Notice::Refused(_) => self.refused_by_peer += 1,
            Notice::TimedOut if is_active => self.timed_out += 1,
            Notice::Established => self.accepts += 1,
            _ => {}
        }
    }
}
