//! Sends what the responder owes: READ responses, then a NAK or an acknowledgement (IBTA 9.7.5.1).

use roce_wire::aeth::Aeth;
use roce_wire::bth::Opcode;
use roce_wire::num::Msn;
use vrnic_abi::cqe::WorkStatus;

use super::host::{Counter, Host};
use super::packet::{Extended, Packet};
use super::port::Port;
use super::psn::Seq;
use super::responder::{NAK_REMOTE_ACCESS, Nak, ReadResponse, Responder};

/// An acknowledgement that says nothing about credits (IBTA table 45).
const ACK: u8 = 0x1f;

impl Responder {
    /// Whether something is owed.
    pub fn owes(&self) -> bool {
        !self.reads.is_empty() || self.nak.is_some() || self.ack.is_some()
    }

    /// Sends at most `budget` packets, and says how many. An error: the queue pair goes to ERROR.
    pub fn answer<H: Host>(&mut self, port: &mut Port<'_, H>, budget: usize) -> Result<usize, WorkStatus> {
        let mut sent = 0;
        while sent < budget && self.owes() {
            sent += 1;
            if let Some(mut read) = self.reads.front().copied() {
                self.respond(port, &mut read)?;
                if read.sent == read.packets {
                    self.reads.pop_front();
                } else if let Some(front) = self.reads.front_mut() {
                    *front = read;
                }
            } else if let Some(nak) = self.nak.take() {
                // It acknowledges all before it.
                self.ack = None;
                self.send_nak(port, nak)?;
            } else if let Some(seq) = self.ack.take() {
                port.send(&acknowledge(seq, ACK, self.msn));
            }
        }
        Ok(sent)
    }

    /// Sends the next response of a READ.
    fn respond<H: Host>(
        &mut self,
        port: &mut Port<'_, H>,
        read: &mut ReadResponse,
    ) -> Result<(), WorkStatus> {
        let header = &read.header;
        let offset = read.sent * self.mtu;
        // At most an MTU.
        let payload = (header.dma_length - offset).min(self.mtu) as usize;
        let seq = read.first.after(read.sent);
        let addr = header.virtual_address.wrapping_add(offset.into());
        let data = port.buffer.payload(payload);
        if payload > 0 && port.host.read_remote(header.r_key, addr, data).is_err() {
            // The key has gone since the READ was accepted. A late copy of a READ that has had its answer harms nobody.
            if read.is_repeated {
                read.sent = read.packets;
                return Ok(());
            }
            return self.send_nak(
                port,
                Nak {
                    seq,
                    syndrome: NAK_REMOTE_ACCESS,
                    fatal: Some(WorkStatus::REMOTE_ACCESS),
                },
            );
        }
        let is_last = read.sent + 1 == read.packets;
        let opcode = match (read.sent == 0, is_last) {
            (true, true) => Opcode::RC_RDMA_READ_RESPONSE_ONLY,
            (true, false) => Opcode::RC_RDMA_READ_RESPONSE_FIRST,
            (false, false) => Opcode::RC_RDMA_READ_RESPONSE_MIDDLE,
            (false, true) => Opcode::RC_RDMA_READ_RESPONSE_LAST,
        };
        let extended = if opcode == Opcode::RC_RDMA_READ_RESPONSE_MIDDLE {
            Extended::None
        } else {
            aeth(ACK, read.msn)
        };
        port.send(&Packet {
            opcode,
            psn: seq.psn(),
            extended,
            payload,
            ..Packet::default()
        });
        read.sent += 1;
        Ok(())
    }

    fn send_nak<H: Host>(&self, port: &mut Port<'_, H>, nak: Nak) -> Result<(), WorkStatus> {
        let is_rnr = nak.syndrome >> 5 == 1;
        port.host
            .count(if is_rnr { Counter::RnrNak } else { Counter::Nak });
        port.send(&acknowledge(nak.seq, nak.syndrome, self.msn));
        nak.fatal.map_or(Ok(()), Err)
    }
}

fn acknowledge(seq: Seq, syndrome: u8, msn: u32) -> Packet {
    Packet {
        opcode: Opcode::RC_ACKNOWLEDGE,
        psn: seq.psn(),
        extended: aeth(syndrome, msn),
        ..Packet::default()
    }
}

fn aeth(syndrome: u8, msn: u32) -> Extended {
    Extended::Aeth(Aeth {
        syndrome,
        msn: Msn::truncated(msn),
    })
}
