//! Task offloads in NDIS's structures: what the device can do, what is on, and what is to be turned on or off.

use core::mem::offset_of;

use ndk_sys::{
    NDIS_ENCAPSULATION_IEEE_802_3, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_OFFLOAD,
    NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, NDIS_OFFLOAD, NDIS_OFFLOAD_ENCAPSULATION,
    NDIS_OFFLOAD_ENCAPSULATION_REVISION_1, NDIS_OFFLOAD_PARAMETERS, NDIS_OFFLOAD_PARAMETERS_NO_CHANGE,
    NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED, NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED,
    NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED, NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED, NDIS_OFFLOAD_REVISION_3,
    NDIS_OFFLOAD_SET_OFF, NDIS_OFFLOAD_SET_ON, NDIS_OFFLOAD_SUPPORTED, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3,
    NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1, NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_INVALID_DATA, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_INVALID_PARAMETER,
    NDIS_STATUS_NOT_SUPPORTED,
};

use super::config::{Directions, Offloads};

/// Most payload of a large send that NDIS is told: room for headers with options is left.
pub const LARGE_SEND_PAYLOAD: u32 = 0xFC00;
/// Fewest segments of a large send.
const MIN_SEGMENTS: u32 = 2;

const BOTH: Directions = Directions {
    send: true,
    receive: true,
};

/// All that the device can do.
pub const HARDWARE: Offloads = Offloads {
    ipv4: BOTH,
    tcp4: BOTH,
    udp4: BOTH,
    tcp6: BOTH,
    udp6: BOTH,
    lso4: true,
    lso6: true,
};

const SUPPORTED: u64 = NDIS_OFFLOAD_SUPPORTED as u64;

/// The encapsulation of an offload of which something is on.
const fn encapsulation(on: bool) -> u32 {
    if on { NDIS_ENCAPSULATION_IEEE_802_3 } else { 0 }
}

/// `NDIS_OFFLOAD` of those offloads.
#[must_use]
pub fn structure(offloads: Offloads) -> NDIS_OFFLOAD {
    let mut offload = NDIS_OFFLOAD::zeroed();
    offload.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_OFFLOAD,
        Revision: NDIS_OFFLOAD_REVISION_3,
        Size: NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3,
    };
    let level = |on: bool| u64::from(on) * SUPPORTED;
    let Offloads {
        ipv4,
        tcp4,
        udp4,
        tcp6,
        udp6,
        ..
    } = offloads;

    let any = ipv4.send | tcp4.send | udp4.send;
    let send = &mut offload.Checksum.IPv4Transmit;
    send.Encapsulation = encapsulation(any);
    send.set_IpOptionsSupported(level(any));
    send.set_TcpOptionsSupported(level(tcp4.send));
    send.set_TcpChecksum(level(tcp4.send));
    send.set_UdpChecksum(level(udp4.send));
    send.set_IpChecksum(level(ipv4.send));

    let any = ipv4.receive | tcp4.receive | udp4.receive;
    let receive = &mut offload.Checksum.IPv4Receive;
    receive.Encapsulation = encapsulation(any);
    receive.set_IpOptionsSupported(level(any));
    receive.set_TcpOptionsSupported(level(tcp4.receive));
    receive.set_TcpChecksum(level(tcp4.receive));
    receive.set_UdpChecksum(level(udp4.receive));
    receive.set_IpChecksum(level(ipv4.receive));

    let any = tcp6.send | udp6.send;
    let send = &mut offload.Checksum.IPv6Transmit;
    send.Encapsulation = encapsulation(any);
    send.set_IpExtensionHeadersSupported(level(any));
    send.set_TcpOptionsSupported(level(tcp6.send));
    send.set_TcpChecksum(level(tcp6.send));
    send.set_UdpChecksum(level(udp6.send));

    let any = tcp6.receive | udp6.receive;
    let receive = &mut offload.Checksum.IPv6Receive;
    receive.Encapsulation = encapsulation(any);
    receive.set_IpExtensionHeadersSupported(level(any));
    receive.set_TcpOptionsSupported(level(tcp6.receive));
    receive.set_TcpChecksum(level(tcp6.receive));
    receive.set_UdpChecksum(level(udp6.receive));

    if offloads.lso4 {
        let large = &mut offload.LsoV2.IPv4;
        large.Encapsulation = NDIS_ENCAPSULATION_IEEE_802_3;
        large.MaxOffLoadSize = LARGE_SEND_PAYLOAD;
        large.MinSegmentCount = MIN_SEGMENTS;
    }
    if offloads.lso6 {
        let large = &mut offload.LsoV2.IPv6;
        large.Encapsulation = NDIS_ENCAPSULATION_IEEE_802_3;
        large.MaxOffLoadSize = LARGE_SEND_PAYLOAD;
        large.MinSegmentCount = MIN_SEGMENTS;
        large.set_IpExtensionHeadersSupported(SUPPORTED);
        large.set_TcpOptionsSupported(SUPPORTED);
    }
    offload
}

/// What is on after `OID_TCP_OFFLOAD_PARAMETERS` with this buffer.
///
/// # Errors
///
/// [`NDIS_STATUS_INVALID_LENGTH`], [`NDIS_STATUS_INVALID_DATA`], [`NDIS_STATUS_INVALID_PARAMETER`] for a value that does not
/// exist, [`NDIS_STATUS_NOT_SUPPORTED`] for an offload that the device does not have.
pub fn change(current: Offloads, buffer: &[u8]) -> Result<Offloads, NDIS_STATUS> {
    let least = usize::from(NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1);
    let (Some([kind, revision, ..]), true) = (buffer.first_chunk::<4>(), buffer.len() >= least) else {
        return Err(NDIS_STATUS_INVALID_LENGTH);
    };
    if *kind != NDIS_OBJECT_TYPE_DEFAULT || *revision == 0 {
        return Err(NDIS_STATUS_INVALID_DATA);
    }
    // Later revisions have more at the end.
    let field = |offset: usize| {
        buffer
            .get(offset)
            .copied()
            .unwrap_or(NDIS_OFFLOAD_PARAMETERS_NO_CHANGE)
    };
    for offset in [
        offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV1),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, IPsecV1),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, TcpConnectionIPv4),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, TcpConnectionIPv6),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, IPsecV2),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, IPsecV2IPv4),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, s1_),
        offset_of!(NDIS_OFFLOAD_PARAMETERS, s1_) + 1,
    ] {
        // Off is what they all are.
        if field(offset) > NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED {
            return Err(NDIS_STATUS_NOT_SUPPORTED);
        }
    }
    let checksum = |offset, now| directions(field(offset), now);
    let large = |offset, now| switch(field(offset), now);
    Ok(Offloads {
        ipv4: checksum(offset_of!(NDIS_OFFLOAD_PARAMETERS, IPv4Checksum), current.ipv4)?,
        tcp4: checksum(offset_of!(NDIS_OFFLOAD_PARAMETERS, TCPIPv4Checksum), current.tcp4)?,
        udp4: checksum(offset_of!(NDIS_OFFLOAD_PARAMETERS, UDPIPv4Checksum), current.udp4)?,
        tcp6: checksum(offset_of!(NDIS_OFFLOAD_PARAMETERS, TCPIPv6Checksum), current.tcp6)?,
        udp6: checksum(offset_of!(NDIS_OFFLOAD_PARAMETERS, UDPIPv6Checksum), current.udp6)?,
        lso4: large(offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV2IPv4), current.lso4)?,
        lso6: large(offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV2IPv6), current.lso6)?,
    })
}

fn directions(value: u8, now: Directions) -> Result<Directions, NDIS_STATUS> {
    let (send, receive) = match value {
        NDIS_OFFLOAD_PARAMETERS_NO_CHANGE => return Ok(now),
        NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED => (false, false),
        NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED => (true, false),
        NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED => (false, true),
        NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED => (true, true),
        _ => return Err(NDIS_STATUS_INVALID_PARAMETER),
    };
    Ok(Directions { send, receive })
}

/// Of a large send: 1 off, 2 on.
fn switch(value: u8, now: bool) -> Result<bool, NDIS_STATUS> {
    match value {
        NDIS_OFFLOAD_PARAMETERS_NO_CHANGE => Ok(now),
        ndk_sys::NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED => Ok(false),
        ndk_sys::NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED => Ok(true),
        _ => Err(NDIS_STATUS_INVALID_PARAMETER),
    }
}

/// What `OID_OFFLOAD_ENCAPSULATION` sets for IPv4 and IPv6, as the structure has it: enabled, type, header size.
pub type Encapsulation = [[u32; 3]; 2];

/// As the adapter begins: Ethernet for both.
pub const ETHERNET: Encapsulation = [[NDIS_OFFLOAD_SET_ON, NDIS_ENCAPSULATION_IEEE_802_3, 14]; 2];

/// The encapsulation after `OID_OFFLOAD_ENCAPSULATION` with this buffer.
///
/// # Errors
///
/// [`NDIS_STATUS_INVALID_LENGTH`], [`NDIS_STATUS_INVALID_DATA`], [`NDIS_STATUS_INVALID_PARAMETER`], and
/// [`NDIS_STATUS_NOT_SUPPORTED`] for anything but Ethernet.
pub fn encapsulate(mut current: Encapsulation, buffer: &[u8]) -> Result<Encapsulation, NDIS_STATUS> {
    let size = usize::from(NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1);
    let buffer = buffer.get(..size).ok_or(NDIS_STATUS_INVALID_LENGTH)?;
    if buffer[0] != NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION || buffer[1] == 0 {
        return Err(NDIS_STATUS_INVALID_DATA);
    }
    let (words, _) = buffer.as_chunks::<4>();
    let [_, fields @ ..] = words else {
        return Err(NDIS_STATUS_INVALID_LENGTH);
    };
    for (now, wanted) in current.iter_mut().zip(fields.as_chunks::<3>().0) {
        let wanted = wanted.map(u32::from_le_bytes);
        match wanted {
            [0, ..] => {}
            [NDIS_OFFLOAD_SET_ON, NDIS_ENCAPSULATION_IEEE_802_3, _] | [NDIS_OFFLOAD_SET_OFF, ..] => {
                *now = wanted;
            }
            [NDIS_OFFLOAD_SET_ON, ..] => return Err(NDIS_STATUS_NOT_SUPPORTED),
            _ => return Err(NDIS_STATUS_INVALID_PARAMETER),
        }
    }
    Ok(current)
}

/// `NDIS_OFFLOAD_ENCAPSULATION` of an encapsulation.
#[must_use]
pub fn encapsulation_structure([four, six]: Encapsulation) -> NDIS_OFFLOAD_ENCAPSULATION {
    let mut structure = NDIS_OFFLOAD_ENCAPSULATION::zeroed();
    structure.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION,
        Revision: NDIS_OFFLOAD_ENCAPSULATION_REVISION_1,
        Size: NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1,
    };
    [
        structure.IPv4.Enabled,
        structure.IPv4.EncapsulationType,
        structure.IPv4.HeaderSize,
    ] = four;
    [
        structure.IPv6.Enabled,
        structure.IPv6.EncapsulationType,
        structure.IPv6.HeaderSize,
    ] = six;
    structure
}

/// Which offloads are in force with an encapsulation: those of a family that is off are not.
#[must_use]
pub fn in_force(offloads: Offloads, [four, six]: Encapsulation) -> Offloads {
    const NONE: Directions = Directions {
        send: false,
        receive: false,
    };
    let mut offloads = offloads;
    if four[0] == NDIS_OFFLOAD_SET_OFF {
        (offloads.ipv4, offloads.tcp4, offloads.udp4, offloads.lso4) = (NONE, NONE, NONE, false);
    }
    if six[0] == NDIS_OFFLOAD_SET_OFF {
        (offloads.tcp6, offloads.udp6, offloads.lso6) = (NONE, NONE, false);
    }
    offloads
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(fields: &[(usize, u8)]) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<NDIS_OFFLOAD_PARAMETERS>()];
        bytes[..2].copy_from_slice(&[NDIS_OBJECT_TYPE_DEFAULT, 3]);
        for (offset, value) in fields {
            bytes[*offset] = *value;
        }
        bytes
    }

    #[test]
    fn parameters_change_what_they_name() {
        let nothing = change(HARDWARE, &parameters(&[])).expect("good parameters");
        assert_eq!(nothing, HARDWARE);
        let fields = [
            (offset_of!(NDIS_OFFLOAD_PARAMETERS, TCPIPv4Checksum), 3),
            (offset_of!(NDIS_OFFLOAD_PARAMETERS, UDPIPv6Checksum), 1),
            (offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV2IPv6), 1),
        ];
        let changed = change(HARDWARE, &parameters(&fields)).expect("good parameters");
        assert_eq!((changed.tcp4.send, changed.tcp4.receive), (false, true));
        assert_eq!((changed.udp6.send, changed.udp6.receive), (false, false));
        assert!(changed.lso4 && !changed.lso6);
        assert_eq!(changed.ipv4, HARDWARE.ipv4);
        let back = [(offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV2IPv6), 2)];
        assert!(change(changed, &parameters(&back)).expect("good parameters").lso6);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |offset, value| change(HARDWARE, &parameters(&[(offset, value)])).expect_err("refused");
        let checksum = offset_of!(NDIS_OFFLOAD_PARAMETERS, IPv4Checksum);
        assert_eq!(refused(checksum, 5), NDIS_STATUS_INVALID_PARAMETER);
        let large = offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV2IPv4);
        assert_eq!(refused(large, 3), NDIS_STATUS_INVALID_PARAMETER);
        let old = offset_of!(NDIS_OFFLOAD_PARAMETERS, LsoV1);
        assert_eq!(refused(old, 2), NDIS_STATUS_NOT_SUPPORTED);
        assert_eq!(refused(0, 0), NDIS_STATUS_INVALID_DATA);
        assert_eq!(change(HARDWARE, &[0x80, 1]), Err(NDIS_STATUS_INVALID_LENGTH));
    }

    #[test]
    fn nothing_on_is_nothing_supported() {
        let none = structure(Offloads::from_bits(0));
        assert_eq!(none.Checksum.IPv4Transmit.Encapsulation, 0);
        assert_eq!(none.LsoV2.IPv6.MaxOffLoadSize, 0);
        let all = structure(HARDWARE);
        assert_eq!(all.Checksum.IPv6Receive.UdpChecksum(), 1);
        assert_eq!(all.LsoV2.IPv4.MinSegmentCount, 2);
    }

    #[test]
    fn only_ethernet_is_an_encapsulation() {
        let with = |four: [u32; 3], six: [u32; 3]| {
            let mut bytes = vec![NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, 1, 28, 0];
            for word in four.iter().chain(&six) {
                bytes.extend(word.to_le_bytes());
            }
            encapsulate(ETHERNET, &bytes)
        };
        let off = with([2, 0, 0], [0, 9, 9]).expect("good");
        assert_eq!(off[1], ETHERNET[1], "not changed");
        let left = in_force(HARDWARE, off);
        assert!(!left.tcp4.receive && !left.lso4 && left.tcp6.receive && left.lso6);
        assert_eq!(with([1, 2, 14], [1, 4, 18]), Err(NDIS_STATUS_NOT_SUPPORTED));
        assert_eq!(with([3, 2, 14], [0; 3]), Err(NDIS_STATUS_INVALID_PARAMETER));
        assert_eq!(encapsulate(ETHERNET, &[0xA8, 1]), Err(NDIS_STATUS_INVALID_LENGTH));
        let structure = encapsulation_structure(off);
        assert_eq!((structure.IPv4.Enabled, structure.IPv6.HeaderSize), (2, 14));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _one = change(HARDWARE, &bytes);
            let _other = encapsulate(ETHERNET, &bytes);
        }
    }
}
