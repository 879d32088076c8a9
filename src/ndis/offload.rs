//! Between NDIS's out-of-band data and the device's descriptors and completions: checksums, large sends, tags.

use ndk_sys::{
    NDIS_NET_BUFFER_LIST_8021Q_INFO, NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO,
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO, NdisHashFunctionToeplitz,
};
use vrnic_abi::eth::{
    ETH_IP_BAD, ETH_IP_OK, ETH_IPV4, ETH_IPV6, ETH_L4_BAD, ETH_L4_OK, ETH_TCP, ETH_UDP, ETH_VLAN,
    TX_IP_CHECKSUM, TX_L4_CHECKSUM, TX_VLAN,
};

use super::config::{Directions, Offloads};
use crate::nic::eth::completion::Completion;
use crate::nic::eth::descriptor::Offload;

/// What is done about tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tagging {
    /// Priorities are out of band.
    pub priority: bool,
    /// VLANs are out of band.
    pub vlan: bool,
    /// The VLAN that the adapter belongs to; 0 for none.
    pub own: u16,
}

/// The parts of a tag (IEEE 802.1Q).
const PRIORITY_SHIFT: u16 = 13;
const DROP_ELIGIBLE: u16 = 1 << 12;
const VLAN_MASK: u16 = 0xFFF;

impl Tagging {
    /// As a word, for those who read it while it changes.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.priority) | u32::from(self.vlan) << 1 | u32::from(self.own) << 16
    }

    /// From [`Tagging::bits`].
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            priority: bits & 1 != 0,
            vlan: bits & 2 != 0,
            own: (bits >> 16) as u16,
        }
    }

    /// Whether the device takes tags out of received frames.
    #[must_use]
    pub const fn strips(self) -> bool {
        self.priority || self.vlan
    }

    /// The tag of a frame to send, if it gets one.
    fn of_send(self, info: usize) -> Option<u16> {
        let info = NDIS_NET_BUFFER_LIST_8021Q_INFO { Value: info };
        let number = |value: u64| u16::try_from(value).unwrap_or(0);
        let mut tag = 0;
        if self.priority {
            tag |= number(info.UserPriority()) << PRIORITY_SHIFT;
            tag |= number(info.CanonicalFormatId()) * DROP_ELIGIBLE;
        }
        if self.vlan {
            match number(info.VlanId()) {
                0 => tag |= self.own,
                vlan => tag |= vlan,
            }
        }
        (tag != 0).then_some(tag)
    }

    /// What NDIS is told of the tag of a received frame; `None` for a frame of another VLAN than the adapter's.
    #[must_use]
    pub fn of_receive(self, flags: u16, tag: u16) -> Option<usize> {
        let tagged = flags & ETH_VLAN != 0;
        let vlan = if tagged { tag & VLAN_MASK } else { 0 };
        if self.vlan && self.own != 0 && vlan != self.own {
            return None;
        }
        let mut info = NDIS_NET_BUFFER_LIST_8021Q_INFO { Value: 0 };
        if tagged && self.priority {
            info.set_UserPriority((tag >> PRIORITY_SHIFT).into());
            info.set_CanonicalFormatId(((tag / DROP_ELIGIBLE) & 1).into());
        }
        if tagged && self.vlan {
            info.set_VlanId(vlan.into());
        }
        Some(info.Value)
    }
}

/// What the device is asked to do with a frame, from the words of its list.
#[must_use]
pub fn of_send(checksum: usize, large_send: usize, tag: usize, tagging: Tagging) -> Offload {
    let mut offload = Offload::default();
    let checksum = NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO { Value: checksum };
    if checksum.IsIPv4() | checksum.IsIPv6() != 0 {
        if checksum.IpHeaderChecksum() != 0 {
            offload.flags |= TX_IP_CHECKSUM;
        }
        if checksum.TcpChecksum() | checksum.UdpChecksum() != 0 {
            offload.flags |= TX_L4_CHECKSUM;
        }
    }
    let large_send = NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO { Value: large_send };
    // A segment that fits into no frame is refused by the device.
    offload.segment_size = u16::try_from(large_send.MSS()).unwrap_or(u16::MAX);
    if let Some(tag) = tagging.of_send(tag) {
        offload.flags |= TX_VLAN;
        offload.vlan = tag;
    }
    offload
}

/// What NDIS is told of the checksums of a received frame, as far as that is on.
#[must_use]
pub fn verdicts(flags: u16, offloads: Offloads) -> usize {
    let mut info = NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO { Value: 0 };
    let has = |flag| flags & flag != 0;
    if offloads.ipv4.receive {
        info.set_IpChecksumSucceeded(has(ETH_IP_OK).into());
        info.set_IpChecksumFailed(has(ETH_IP_BAD).into());
    }
    let on =
        |four: Directions, six: Directions| (has(ETH_IPV4) && four.receive) || (has(ETH_IPV6) && six.receive);
    if has(ETH_TCP) && on(offloads.tcp4, offloads.tcp6) {
        info.set_TcpChecksumSucceeded(has(ETH_L4_OK).into());
        info.set_TcpChecksumFailed(has(ETH_L4_BAD).into());
    }
    if has(ETH_UDP) && on(offloads.udp4, offloads.udp6) {
        info.set_UdpChecksumSucceeded(has(ETH_L4_OK).into());
        info.set_UdpChecksumFailed(has(ETH_L4_BAD).into());
    }
    info.Value
}

/// Hash function and type of a received frame; 0 for none.
#[must_use]
pub fn hash_info(completion: &Completion) -> usize {
    match completion.hash_type() {
        0 => 0,
        kind => (kind | NdisHashFunctionToeplitz) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Directions = Directions {
        send: true,
        receive: true,
    };
    const NONE: Directions = Directions {
        send: false,
        receive: false,
    };
    const ALL: Offloads = Offloads {
        ipv4: BOTH,
        tcp4: BOTH,
        udp4: BOTH,
        tcp6: BOTH,
        udp6: BOTH,
        lso4: true,
        lso6: true,
    };
    const TAGS: Tagging = Tagging {
        priority: true,
        vlan: true,
        own: 0,
    };

    fn checksum(set: impl FnOnce(&mut NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO)) -> usize {
        let mut info = NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO { Value: 0 };
        set(&mut info);
        info.Value
    }

    #[test]
    fn sends() {
        let plain = of_send(0, 0, 0, TAGS);
        assert_eq!(plain, Offload::default());
        let tcp = checksum(|info| {
            info.set_IsIPv4(1);
            info.set_TcpChecksum(1);
            info.set_IpHeaderChecksum(1);
        });
        assert_eq!(of_send(tcp, 0, 0, TAGS).flags, TX_IP_CHECKSUM | TX_L4_CHECKSUM);
        let udp = checksum(|info| {
            info.set_IsIPv6(1);
            info.set_UdpChecksum(1);
        });
        assert_eq!(of_send(udp, 0, 0, TAGS).flags, TX_L4_CHECKSUM);
        let nothing = checksum(|info| info.set_TcpChecksum(1));
        assert_eq!(of_send(nothing, 0, 0, TAGS).flags, 0, "of no protocol");
        let mut large = NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO { Value: 0 };
        large.set_MSS(1460);
        large.set_Type(1);
        assert_eq!(of_send(0, large.Value, 0, TAGS).segment_size, 1460);
        large.set_MSS(0x1_0000);
        assert_eq!(of_send(0, large.Value, 0, TAGS).segment_size, u16::MAX);
    }

    #[test]
    fn tags_both_ways() {
        let mut info = NDIS_NET_BUFFER_LIST_8021Q_INFO { Value: 0 };
        info.set_UserPriority(5);
        info.set_VlanId(0x123);
        let sent = of_send(0, 0, info.Value, TAGS);
        assert_eq!((sent.flags, sent.vlan), (TX_VLAN, 0xA123));
        assert_eq!(TAGS.of_receive(ETH_VLAN, 0xA123), Some(info.Value));
        assert_eq!(TAGS.of_receive(0, 0xA123), Some(0), "nothing was removed");
        let priority = Tagging { vlan: false, ..TAGS };
        assert_eq!(of_send(0, 0, info.Value, priority).vlan, 0xA000);
        let none = Tagging::default();
        assert_eq!(of_send(0, 0, info.Value, none), Offload::default());
        assert!(!none.strips() && priority.strips());
    }

    #[test]
    fn an_adapter_in_a_vlan() {
        let own = Tagging { own: 7, ..TAGS };
        assert_eq!(of_send(0, 0, 0, own).vlan, 7);
        assert_eq!(own.of_receive(ETH_VLAN, 8), None);
        assert_eq!(own.of_receive(0, 0), None);
        assert!(own.of_receive(ETH_VLAN, 0xE007).is_some());
        assert_eq!(Tagging::from_bits(own.bits()), own);
    }

    #[test]
    fn verdicts_as_far_as_they_are_on() {
        let good = ETH_IPV4 | ETH_IP_OK | ETH_TCP | ETH_L4_OK;
        let expected = checksum(|info| {
            info.set_IpChecksumSucceeded(1);
            info.set_TcpChecksumSucceeded(1);
        });
        assert_eq!(verdicts(good, ALL), expected);
        let bad = ETH_IPV6 | ETH_UDP | ETH_L4_BAD;
        assert_eq!(verdicts(bad, ALL), checksum(|info| info.set_UdpChecksumFailed(1)));
        let off = Offloads {
            udp6: NONE,
            ipv4: NONE,
            ..ALL
        };
        assert_eq!(verdicts(bad, off), 0);
        assert_eq!(
            verdicts(good, off),
            checksum(|info| info.set_TcpChecksumSucceeded(1))
        );
        assert_eq!(verdicts(ETH_IPV4, ALL), 0, "no verdict");
    }
}
