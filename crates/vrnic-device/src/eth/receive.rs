//! Receiving: from frames on the wire to buffers in host memory.

use roce_wire::udp::ROCE_V2_PORT;
use vrnic_abi::eth::{
    ETH_IP_BAD, ETH_IP_OK, ETH_IPV4, ETH_IPV6, ETH_L4_BAD, ETH_L4_OK, ETH_RX, ETH_TCP, ETH_UDP, ETH_VLAN,
    EthCompletion, EthStatus, MAX_RX_BUFFER, RxDescriptor,
};
use zerocopy::FromZeros;

use super::checksum::{self, Verdict};
use super::headers::{Family, Headers, Transport, header_length, read_u16, tag_of};
use super::queue::{Broken, EthQueue};
use super::rss::Choice;
use super::{ADDRESSES, TAG, traffic};
use crate::device::{Device, count};
use crate::dma::Dma;
use crate::host::DmaFault;

/// The bits of a VLAN tag that hold the id.
const VLAN_ID: u16 = 0xFFF;

/// A frame, and what has been found out about it.
struct Received<'a> {
    frame: &'a [u8],
    /// The VLAN tag that is taken out.
    tag: Option<u16>,
    choice: Choice,
    flags: u16,
}

/// What a queue has done with a frame.
enum Taken {
    Delivered,
    NoBuffer,
    TooSmall,
    /// The buffer has been given back without it.
    Lost,
}

impl Device {
    /// Whether a frame to our address is for the queue pairs and the CM service: `RoCEv2`, to an address of ours.
    pub fn is_for_rdma(&self, frame: &[u8], headers: Option<&Headers>) -> bool {
        let Some(headers) = headers.filter(|headers| headers.transport == Transport::Udp) else {
            return false;
        };
        if read_u16(frame, headers.transport_at + 2) != Some(ROCE_V2_PORT) {
            return false;
        }
        let addresses = &frame[headers.addresses()];
        let gid = match addresses.split_at(addresses.len() / 2).1 {
            [a, b, c, d] => std::net::Ipv4Addr::new(*a, *b, *c, *d).to_ipv6_mapped().octets(),
            v6 => v6.try_into().unwrap_or_default(),
        };
        let vlan_id = tag_of(frame).unwrap_or_default() & VLAN_ID;
        self.gids.find(gid, vlan_id).is_some()
    }

    /// Gives a frame to the queue that it belongs to, if it passes the filter. False: it does not.
    pub fn receive_ethernet(&mut self, frame: &[u8], headers: Option<&Headers>) -> bool {
        let port = &self.ethernet.port;
        if !port.accepts(frame) {
            return false;
        }
        if frame.len() - header_length(frame).min(frame.len()) > port.mtu {
            count(&mut self.statistics.eth_in_too_long, 1);
            return true;
        }
        let tag = tag_of(frame).filter(|_| port.strip_vlan);
        let received = Received {
            frame,
            tag,
            choice: self.ethernet.rss.choose(frame, headers),
            flags: describe(frame, headers),
        };
        // Without a queue there is no buffer either.
        let mut taken = Taken::NoBuffer;
        self.serve_ethernet_queue(received.choice.queue, |queue, device| {
            taken = queue.receive(device, &received)?;
            Ok(true)
        });
        self.count_received(frame, &taken);
        true
    }

    fn count_received(&mut self, frame: &[u8], taken: &Taken) {
        let statistics = &mut self.statistics;
        match taken {
            Taken::NoBuffer => count(&mut statistics.eth_in_no_buffer, 1),
            Taken::TooSmall => count(&mut statistics.eth_in_buffer_too_small, 1),
            Taken::Lost => count(&mut statistics.eth_in_errors, 1),
            Taken::Delivered => {
                count(&mut statistics.eth_in_frames, 1);
                count(&mut statistics.eth_in_octets, frame.len() as u64);
                traffic::count_in(statistics, frame);
            }
        }
    }
}

impl EthQueue {
    /// Puts a frame into the next buffer.
    fn receive(&mut self, device: &mut Device, received: &Received<'_>) -> Result<Taken, Broken> {
        if !self.completions.has_room(&device.doorbells)? {
            return Ok(Taken::NoBuffer);
        }
        if self.buffers.left() == 0 {
            self.buffers.refresh(&device.doorbells)?;
        }
        let index = self.buffers.index();
        let Some(buffer) = self.buffers.peek(&mut device.dma)? else {
            return Ok(Taken::NoBuffer);
        };
        let length = received.frame.len() - received.tag.map_or(0, |_| TAG);
        let status = if !is_good(&buffer) {
            EthStatus::BAD_DESCRIPTOR
        } else if length > buffer.length.get() as usize {
            return Ok(Taken::TooSmall);
        } else if write(&mut device.dma, buffer.addr.get(), received).is_err() {
            EthStatus::DMA_FAULT
        } else {
            EthStatus::OK
        };
        self.buffers.take();
        let empty = EthCompletion {
            index: index.into(),
            flags: ETH_RX.into(),
            status: status.0,
            ..EthCompletion::new_zeroed()
        };
        if status != EthStatus::OK {
            self.complete(device, empty)?;
            return Ok(Taken::Lost);
        }
        let Received {
            tag, choice, flags, ..
        } = received;
        let completion = EthCompletion {
            // It fits into a buffer.
            length: u32::try_from(length).unwrap_or_default().into(),
            rss_hash: choice.hash.into(),
            rss_type: choice.hash_type.into(),
            vlan: tag.unwrap_or_default().into(),
            flags: (ETH_RX | flags | tag.map_or(0, |_| ETH_VLAN)).into(),
            ..empty
        };
        self.complete(device, completion)?;
        Ok(Taken::Delivered)
    }
}

fn is_good(buffer: &RxDescriptor) -> bool {
    (1..=MAX_RX_BUFFER).contains(&buffer.length.get()) && buffer.reserved.get() == 0
}

/// Writes the frame to the buffer, without the tag.
fn write(dma: &mut Dma, addr: u64, received: &Received<'_>) -> Result<(), DmaFault> {
    let frame = received.frame;
    // An address that wraps is none.
    addr.checked_add(frame.len() as u64).ok_or(DmaFault { addr })?;
    if received.tag.is_none() {
        return dma.write(addr, frame);
    }
    dma.write(addr, &frame[..ADDRESSES])?;
    dma.write(addr + ADDRESSES as u64, &frame[ADDRESSES + TAG..])
}

/// The flags that say what is in a frame, and whether its checksums are right.
fn describe(frame: &[u8], headers: Option<&Headers>) -> u16 {
    let Some(headers) = headers else { return 0 };
    let family = match headers.family {
        Family::V4 => ETH_IPV4,
        Family::V6 => ETH_IPV6,
    };
    let transport = match headers.transport {
        Transport::Tcp => ETH_TCP,
        Transport::Udp => ETH_UDP,
        Transport::Other => 0,
    };
    let verdicts = match checksum::verify_network(frame, headers) {
        // What a wrong header says about the rest is worth nothing.
        Verdict::Wrong => ETH_IP_BAD,
        Verdict::Right => ETH_IP_OK | describe_transport(frame, headers),
        Verdict::None => describe_transport(frame, headers),
    };
    family | transport | verdicts
}

fn describe_transport(frame: &[u8], headers: &Headers) -> u16 {
    match checksum::verify_transport(frame, headers) {
        Verdict::Right => ETH_L4_OK,
        Verdict::Wrong => ETH_L4_BAD,
        Verdict::None => 0,
    }
}
