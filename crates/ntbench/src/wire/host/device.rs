//! smoltcp's network device: frames in and out by two queues.

use std::collections::VecDeque;

use super::Attachment;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, UdpPacket};

/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// The UDP port of `RoCEv2`.
const ROCE_PORT: u16 = 4791;
/// How many frames may wait for the stack; more are dropped, as a busy host drops them.
const DEPTH: usize = 1024;
/// Whether the frame is for the NIC's transport rather than for the host.
pub(crate) fn is_rdma(frame: &[u8]) -> bool {
    let Ok(frame) = EthernetFrame::new_checked(frame) else {
        return false;
    };
    let port = |udp: &[u8]| UdpPacket::new_checked(udp).is_ok_and(|udp| udp.dst_port() == ROCE_PORT);
    match frame.ethertype() {
        EthernetProtocol::Ipv4 => Ipv4Packet::new_checked(frame.payload())
            .is_ok_and(|packet| packet.next_header() == IpProtocol::Udp && port(packet.payload())),
        EthernetProtocol::Ipv6 => Ipv6Packet::new_checked(frame.payload())
            .is_ok_and(|packet| packet.next_header() == IpProtocol::Udp && port(packet.payload())),
        _ => false,
    }
}

/// Frames that have arrived, and frames that are to go.
pub(super) struct Queue {
    arrived: VecDeque<Vec<u8>>,
    departing: Vec<Vec<u8>>,
    attachment: Attachment,
}

impl Queue {
    /// Empty queues of a stack that is attached like that.
    pub(super) fn new(attachment: Attachment) -> Self {
        Self {
            arrived: VecDeque::new(),
            departing: Vec::new(),
            attachment,
        }
    }

    /// A frame that is not the stack's own, to go with the next ones.
    pub(super) fn depart(&mut self, frame: Vec<u8>) {
        self.departing.push(frame);
    }

    /// A frame for the stack.
    pub(super) fn arrived(&mut self, frame: &[u8]) {
        if self.arrived.len() < DEPTH {
            self.arrived.push_back(frame.to_vec());
        }
    }

    /// What the stack wants to send.
    pub(super) fn take_departing(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.departing)
    }
}

impl Device for Queue {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Departing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Departing<'_>)> {
        let frame = self.arrived.pop_front()?;
        Some((Arrived(frame), Departing(&mut self.departing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Departing<'_>> {
        Some(Departing(&mut self.departing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.attachment.mtu + ETHERNET_HEADER;
        // Computed here unless the adapter does it; always looked at.
        let unless = |computed: bool| if computed { Checksum::Rx } else { Checksum::Both };
        capabilities.checksum.ipv4 = unless(self.attachment.ip4);
        capabilities.checksum.tcp = unless(self.attachment.tcp);
        capabilities.checksum.udp = unless(self.attachment.udp);
        capabilities
    }
}

pub(super) struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

pub(super) struct Departing<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Departing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push(frame);
        result
    }
}
