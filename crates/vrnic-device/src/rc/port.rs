//! What an entry point hands down: the device, the frame under construction, and the way to the peer.

use vrnic_abi::cqe::WorkStatus;

use super::host::Host;
use super::packet::{Headers, Packet};
use crate::frame_buffer::FrameBuffer;

pub(super) struct Port<'a, H: Host> {
    pub host: &'a mut H,
    pub buffer: &'a mut FrameBuffer,
    pub headers: &'a Headers,
}

impl<H: Host> Port<'_, H> {
    /// Sends a packet whose payload is in the buffer.
    pub fn send(&mut self, packet: &Packet) {
        self.headers.seal(self.buffer, packet);
        self.host.transmit(self.buffer);
    }
}

/// The end of a queue pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub status: WorkStatus,
    /// The AETH syndrome that came with it, or 0.
    pub syndrome: u32,
}

impl From<WorkStatus> for Failure {
    fn from(status: WorkStatus) -> Self {
        Self { status, syndrome: 0 }
    }
}
