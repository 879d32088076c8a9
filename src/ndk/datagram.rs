//! Between the device's CM service and the connection manager: where a datagram came from, and where one goes.

use crate::cm::{AddressHandle, HOP_LIMIT};
use core::net::IpAddr;
use roce_wire::gid::Gid;
use roce_wire::num::Qpn;
use vrnic_abi::cm::{CmReceive, CmSend};
use zerocopy::FromZeros;

/// The way back to the sender of `received`, which was sent to `local`.
///
/// `None` if the device names a queue pair beyond 24 bits, which no datagram can.
#[must_use]
pub fn sender(received: &CmReceive, local: IpAddr) -> Option<AddressHandle> {
    Some(AddressHandle {
        mac: received.src_mac,
        gid: Gid(received.src_gid),
        local_gid: Gid::from(local),
        gid_index: received.gid_index.get(),
        qpn: Qpn::new(received.src_qpn.get())?,
        udp_src_port: received.udp_src_port.get(),
        traffic_class: received.traffic_class,
    })
}

/// The input of `CM_SEND` for a datagram to `to`.
#[must_use]
pub fn destination(to: &AddressHandle) -> CmSend {
    CmSend {
        dst_mac: to.mac,
        gid_index: to.gid_index.into(),
        dst_gid: to.gid.0,
        udp_src_port: to.udp_src_port.into(),
        traffic_class: to.traffic_class,
        hop_limit: HOP_LIMIT,
        dst_qpn: to.qpn.get().into(),
        reserved: FromZeros::new_zeroed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_back_where_the_question_came_from() {
        let mut received = CmReceive::new_zeroed();
        received.src_mac = [2, 0, 0, 0, 0, 7];
        received.gid_index = 3.into();
        received.src_gid = Gid::from(IpAddr::from([10, 0, 0, 9])).0;
        received.udp_src_port = 0xC123.into();
        received.traffic_class = 0x68;
        received.hop_limit = 3;
        received.src_qpn = 1.into();
        let from = sender(&received, IpAddr::from([10, 0, 0, 1])).expect("valid");
        assert_eq!(from.local_gid.to_ip(), IpAddr::from([10, 0, 0, 1]));
        let to = destination(&from);
        assert_eq!((to.dst_mac, to.dst_gid), (received.src_mac, received.src_gid));
        assert_eq!(
            (to.gid_index.get(), to.udp_src_port.get(), to.dst_qpn.get()),
            (3, 0xC123, 1)
        );
        assert_eq!((to.traffic_class, to.hop_limit), (0x68, HOP_LIMIT));
    }

    #[test]
    fn an_impossible_queue_pair_is_refused() {
        let mut received = CmReceive::new_zeroed();
        received.src_qpn = 0x0100_0000.into();
        assert!(sender(&received, IpAddr::from([10, 0, 0, 1])).is_none());
    }
}
