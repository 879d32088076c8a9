//! Somebody who hears everything and says what it wants.

use roce_wire::cm::{
    Apr, CmMad, CmMessage, CommId, Drep, Dreq, Lap, MessageMraed, Mra, Rej, RejectReason, Rep, Req, Rtu,
};
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::num::{MaxCmRetries, Qpn, Timeout};

use super::World;
use super::node::{PORT, STRANGER, handle, ip, number_of};

impl World<'_> {
    /// The third party sends something to `node`: from its own address, or from anybody's if the world is not strict.
    pub(super) fn hostile(&mut self, node: usize) {
        let heard = self.entropy.below(self.wire.seen.len());
        let Some(heard) = self.wire.seen.get(heard).copied() else {
            return;
        };
        let kind = self.entropy.below(12);
        let mut mad = match CmMad::from_bytes(&heard.mad) {
            Ok(parsed) if kind > 0 => self.forge(node, kind, &parsed).to_bytes(),
            _ => heard.mad,
        };
        if self.entropy.one_in(4) {
            let at = self.entropy.below(mad.len());
            mad[at] ^= 1 << self.entropy.below(8);
        }
        let from = if self.strict || self.entropy.one_in(2) {
            handle(node, STRANGER)
        } else {
            handle(node, number_of(&heard.from))
        };
        let reaction = self.nodes[node].cm.receive(self.now, &from, &mad);
        self.react(node, reaction);
    }

    /// A message about the connection that the one heard is about, in either direction.
    fn forge(&mut self, node: usize, kind: usize, heard: &CmMad) -> CmMad {
        let mut ids = (
            heard.message.local_comm_id(),
            heard.message.remote_comm_id().unwrap_or_default(),
        );
        if self.entropy.one_in(2) {
            ids = (ids.1, ids.0);
        }
        let (local_comm_id, remote_comm_id) = ids;
        let remote_qpn = Qpn::truncated(0x100 + u32::from(self.entropy.byte()) % 16);
        let message: CmMessage = match kind {
            1 => Mra {
                local_comm_id,
                remote_comm_id,
                message_mraed: MessageMraed::truncated(self.entropy.byte()),
                service_timeout: Timeout::truncated(self.entropy.byte()),
                ..Mra::default()
            }
            .into(),
            2 => Rej {
                local_comm_id,
                remote_comm_id,
                reason: RejectReason(self.entropy.byte().into()),
                ..Rej::default()
            }
            .into(),
            3 => Rep {
                local_comm_id,
                remote_comm_id,
                local_qpn: remote_qpn,
                ..Rep::default()
            }
            .into(),
            4 => Rtu {
                local_comm_id,
                remote_comm_id,
                ..Rtu::default()
            }
            .into(),
            5 => Dreq {
                local_comm_id,
                remote_comm_id,
                remote_qpn,
                ..Dreq::default()
            }
            .into(),
            6 => Drep {
                local_comm_id,
                remote_comm_id,
                ..Drep::default()
            }
            .into(),
            7 => Lap {
                local_comm_id,
                remote_comm_id,
                remote_qpn,
                ..Lap::default()
            }
            .into(),
            8 => Apr {
                local_comm_id,
                remote_comm_id,
                ..Apr::default()
            }
            .into(),
            _ => self.own_request(node, local_comm_id).into(),
        };
        CmMad::new(heard.transaction_id, message)
    }

    /// A request that is right in every respect.
    fn own_request(&mut self, node: usize, local_comm_id: CommId) -> Req {
        let addresses = IpCmAddresses::new(ip(STRANGER), ip(node)).expect("of one family");
        let header = IpCmHeader {
            source_port: 9,
            addresses,
        };
        Req {
            local_comm_id,
            service_id: ServiceId::from_port(PortSpace::TCP, PORT),
            local_qpn: Qpn::truncated(self.entropy.byte().into()),
            remote_cm_response_timeout: Timeout::truncated(self.entropy.byte() % 16),
            max_cm_retries: MaxCmRetries::truncated(self.entropy.byte() % 4),
            path_mtu: roce_wire::cm::Mtu::B256,
            private_data: header.private_data(&[]).expect("it fits"),
            ..Req::default()
        }
    }
}
