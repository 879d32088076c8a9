//! The binding of a protocol driver to a miniport: the host's IP stack sends through `MiniportSendNetBufferLists` and gets what the
//! miniport indicates. It asks for offloads, receive side scaling and the packet filter as TCPIP does.

mod large;

use super::adapter::{Miniport, State};
use super::frame::{self, Headers, Left, TCP, UDP};
use super::header;
use super::packet::{Layout, SendList};
use super::rss;
use crate::cpu::irql::{DISPATCH_LEVEL, RaisedIrql};
use crate::wire::HostStack;
use crate::wire::host::{Attachment, Link};
use large::Whole;
use ndk_sys::{
    NDIS_ENCAPSULATION_IEEE_802_3, NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, NDIS_OFFLOAD,
    NDIS_OFFLOAD_ENCAPSULATION, NDIS_OFFLOAD_ENCAPSULATION_REVISION_1, NDIS_OFFLOAD_SET_ON,
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_STATUS_SUCCESS, NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO,
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO, NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE,
    OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_PACKET_FILTER, OID_OFFLOAD_ENCAPSULATION,
    TcpIpChecksumNetBufferListInfo, TcpLargeSendNetBufferListInfo,
};
use parking_lot::{Mutex, RwLock};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// What the binding may use of what the adapter offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// Checksums of sends.
    pub checksums: bool,
    /// Large sends.
    pub large_sends: bool,
    /// Receive side scaling.
    pub scaling: bool,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            checksums: true,
            large_sends: true,
            scaling: true,
        }
    }
}

/// Most lists of one call, and most frames of one list.
const LISTS: usize = 16;
const FRAMES: usize = 4;

/// The binding of one stack.
pub struct Protocol {
    uses: Uses,
    host: OnceLock<Weak<HostStack>>,
    /// The miniport while frames may be sent.
    open: RwLock<Option<Arc<Miniport>>>,
    offers: Mutex<Offers>,
    turn: AtomicUsize,
}

/// What the adapter does for sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Offers {
    ip4: bool,
    tcp: [bool; 2],
    udp: [bool; 2],
    /// Largest large send of each family, in bytes; 0 is none.
    large: [usize; 2],
}

impl Offers {
    fn of(offload: &NDIS_OFFLOAD, uses: Uses) -> Self {
        let (four, six) = (&offload.Checksum.IPv4Transmit, &offload.Checksum.IPv6Transmit);
        let mut offers = Self::default();
        if uses.checksums {
            offers.ip4 = four.IpChecksum() != 0;
            offers.tcp = [four.TcpChecksum() != 0, six.TcpChecksum() != 0];
            offers.udp = [four.UdpChecksum() != 0, six.UdpChecksum() != 0];
        }
        if uses.large_sends {
            let room = |encapsulation: u32, size: u32| {
                if encapsulation & NDIS_ENCAPSULATION_IEEE_802_3 == 0 {
                    0
                } else {
                    // Headers come on top; an IP packet has no more than this.
                    (size as usize).min(60_000)
                }
            };
            let (four, six) = (&offload.LsoV2.IPv4, &offload.LsoV2.IPv6);
            offers.large = [
                room(four.Encapsulation, four.MaxOffLoadSize),
                room(six.Encapsulation, six.MaxOffLoadSize),
            ];
        }
        offers
    }
}

impl Protocol {
    /// A binding, without stack and miniport yet.
    #[must_use]
    pub fn new(uses: Uses) -> Arc<Self> {
        Arc::new(Self {
            uses,
            host: OnceLock::new(),
            open: RwLock::new(None),
            offers: Mutex::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// Gives the binding its stack, which sends through it.
    pub fn set_host(&self, host: &Arc<HostStack>) {
        let _ = self.host.set(Arc::downgrade(host));
    }

    /// Binds to a miniport that has initialised: the stack takes its address and what it does for sends, and frames that come go to
    /// the stack. At PASSIVE.
    pub(super) fn bind(&self, miniport: &Arc<Miniport>) {
        let Some(host) = self.host.get().and_then(Weak::upgrade) else {
            return;
        };
        let attributes = miniport.attributes();
        let Some(general) = attributes.general else {
            return;
        };
        let offers = attributes
            .offload
            .map(|offload| Offers::of(&offload.current, self.uses))
            .unwrap_or_default();
        *self.offers.lock() = offers;
        host.attach(Attachment {
            mac: roce_wire::eth::MacAddr(general.current_address),
            mtu: general.mtu as usize,
            ip4: offers.ip4,
            tcp: offers.tcp[0] && offers.tcp[1],
            udp: offers.udp[0] && offers.udp[1],
        });
        let receiver = Arc::downgrade(&host);
        miniport.receives.set_sink(Some(Arc::new(move |received| {
            if let Some(host) = receiver.upgrade() {
                host.receive(&received.data);
            }
        })));
        if attributes.offload.is_some() {
            let _ = miniport.oid_set(OID_OFFLOAD_ENCAPSULATION, &encapsulation());
        }
        if let Some(entries) = general.indirection_entries.filter(|_| self.uses.scaling) {
            let processors: Vec<u8> = (0..crate::cpu::vp::count())
                .filter_map(|index| u8::try_from(index).ok())
                .collect();
            let _ = miniport.set_rss(&rss::Parameters::over(&processors, usize::from(entries)));
        }
        set_filter(miniport, host.addresses());
    }

    /// The stack has other addresses: the multicast groups follow.
    pub(crate) fn addresses_changed(&self, miniport: &Miniport) {
        if let Some(host) = self.host.get().and_then(Weak::upgrade) {
            set_filter(miniport, host.addresses());
        }
    }

    /// The miniport runs: frames may be sent.
    pub(super) fn start(&self, miniport: &Arc<Miniport>) {
        *self.open.write() = Some(Arc::clone(miniport));
    }

    /// The miniport is going to pause: returns when no send is being handed down.
    pub(super) fn stop(&self) {
        self.open.write().take();
    }

    /// Unbinds: no frame is wanted any more. At PASSIVE.
    pub(super) fn unbind(miniport: &Miniport) {
        let _ = miniport.oid_set(OID_GEN_CURRENT_PACKET_FILTER, &0_u32.to_le_bytes());
        miniport.receives.set_sink(None);
    }

    /// A frame as it goes down: its checksums are left to the adapter where it computes them.
    fn list(&self, whole: Whole, offers: Offers) -> SendList {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let Whole { mut frame, segment } = whole;
        let mut info = Vec::new();
        if let Some(headers) = Headers::of(&frame) {
            let family = usize::from(headers.v6);
            let tcp = headers.protocol == TCP && offers.tcp[family];
            let udp = headers.protocol == UDP && offers.udp[family];
            let ip4 = !headers.v6 && offers.ip4;
            let left = Left {
                ip4: ip4 || segment.is_some(),
                transport: tcp || udp || segment.is_some(),
                large: segment.is_some(),
            };
            frame::seed_checksums(&mut frame, left);
            if let Some(segment) = segment {
                info.push((TcpLargeSendNetBufferListInfo, large_send(&headers, segment)));
            } else if tcp || udp || ip4 {
                info.push((TcpIpChecksumNetBufferListInfo, checksums(&headers, ip4, tcp, udp)));
            }
        }
        SendList {
            frames: vec![frame],
            layout: Layout::varied(turn),
            info,
            flags: 0,
        }
    }
}

/// Asks for what Ethernet does: frames without a tag, headers of 14 bytes.
fn encapsulation() -> Vec<u8> {
    let mut value = NDIS_OFFLOAD_ENCAPSULATION::zeroed();
    value.Header = header::make::<NDIS_OFFLOAD_ENCAPSULATION>(
        NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION,
        NDIS_OFFLOAD_ENCAPSULATION_REVISION_1,
    );
    value.IPv4.Enabled = NDIS_OFFLOAD_SET_ON;
    value.IPv4.EncapsulationType = NDIS_ENCAPSULATION_IEEE_802_3;
    value.IPv4.HeaderSize = 14;
    value.IPv6.Enabled = NDIS_OFFLOAD_SET_ON;
    value.IPv6.EncapsulationType = NDIS_ENCAPSULATION_IEEE_802_3;
    value.IPv6.HeaderSize = 14;
    crate::memory::read_bytes((&raw const value).addr(), size_of::<NDIS_OFFLOAD_ENCAPSULATION>())
}

/// `NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO` of a large send.
#[must_use]
pub fn large_send(headers: &Headers, segment: usize) -> u64 {
    let mut info = NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO::zeroed();
    info.set_MSS(segment as u64);
    info.set_TcpHeaderOffset(headers.transport as u64);
    info.set_Type(NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE.into());
    info.set_IPVersion(headers.v6.into());
    info.Value as u64
}

/// `NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO` of a send whose checksums the adapter computes.
#[must_use]
pub fn checksums(headers: &Headers, ip4: bool, tcp: bool, udp: bool) -> u64 {
    let mut info = NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO::zeroed();
    info.set_IsIPv4((!headers.v6).into());
    info.set_IsIPv6(headers.v6.into());
    info.set_IpHeaderChecksum(ip4.into());
    info.set_TcpChecksum(tcp.into());
    info.set_UdpChecksum(udp.into());
    if tcp || udp {
        info.set_TcpHeaderOffset(headers.transport as u64);
    }
    info.Value as u64
}

/// Sets the packet filter and the multicast groups of a stack with those addresses.
fn set_filter(miniport: &Miniport, addresses: Vec<IpAddr>) {
    let mut groups = vec![[0x33, 0x33, 0, 0, 0, 1], [1, 0, 0x5E, 0, 0, 1]];
    for address in addresses {
        if let IpAddr::V6(address) = address {
            let [.., a, b, c] = address.octets();
            groups.push([0x33, 0x33, 0xFF, a, b, c]);
        }
    }
    groups.sort_unstable();
    groups.dedup();
    let listed = miniport
        .oid_set(OID_802_3_MULTICAST_LIST, &groups.concat())
        .status
        == NDIS_STATUS_SUCCESS;
    let multicast = if listed {
        NDIS_PACKET_TYPE_MULTICAST
    } else {
        NDIS_PACKET_TYPE_ALL_MULTICAST
    };
    let filter = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST | multicast;
    let _ = miniport.oid_set(OID_GEN_CURRENT_PACKET_FILTER, &filter.to_le_bytes());
}

/// Puts frames that want the same into one list, now and then.
fn pack(lists: Vec<SendList>, turn: usize) -> Vec<SendList> {
    if turn.is_multiple_of(2) {
        return lists;
    }
    let mut packed: Vec<SendList> = Vec::new();
    for list in lists {
        let large = |list: &SendList| list.info.iter().any(|one| one.0 == TcpLargeSendNetBufferListInfo);
        match packed.last_mut() {
            Some(last) if last.info == list.info && last.frames.len() < FRAMES && !large(&list) => {
                last.frames.extend(list.frames);
            }
            _ => packed.push(list),
        }
    }
    packed
}

impl Link for Protocol {
    fn send(&self, frames: Vec<Vec<u8>>) {
        let open = self.open.read();
        let Some(miniport) = open
            .as_ref()
            .filter(|miniport| miniport.state() == State::Running)
        else {
            return;
        };
        let offers = *self.offers.lock();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let limit = offers.large.into_iter().min().unwrap_or(0);
        let wholes = if limit == 0 {
            frames
                .into_iter()
                .map(|frame| Whole { frame, segment: None })
                .collect()
        } else {
            large::merge(frames, limit)
        };
        let lists = wholes.into_iter().map(|whole| self.list(whole, offers)).collect();
        let lists = pack(lists, turn);
        for chain in lists.chunks(LISTS) {
            let raised = turn
                .is_multiple_of(3)
                .then(|| RaisedIrql::at_least(DISPATCH_LEVEL));
            miniport.send_and_forget(chain);
            drop(raised);
        }
    }
}
