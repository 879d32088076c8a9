//! What this crate reads from a frame, under tshark's names: for comparison with tshark's own reading.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use roce_wire::cm::{CmMad, CmMessage, PathInfo, Req};
use roce_wire::eth::EthernetHeader;
use roce_wire::frame::{Frame, IpPair};
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader};
use roce_wire::ipv4::Ipv4Header;
use roce_wire::ipv6::Ipv6Header;
use roce_wire::mad::{self, Mad, MadHeader};
use roce_wire::udp::UdpHeader;

/// A field's value, which says how tshark's text for it is to be understood.
#[derive(Debug, PartialEq)]
pub enum Value {
    Number(u64),
    /// Hexadecimal digits, or an address.
    Text(String),
}

impl Value {
    /// Whether tshark's text means this value.
    pub fn is(&self, tshark: &str) -> bool {
        match self {
            Self::Text(text) => text == tshark,
            Self::Number(number) => {
                let parsed = match (tshark, tshark.strip_prefix("0x")) {
                    // Newer versions of tshark print booleans so.
                    ("True", _) => Ok(1),
                    ("False", _) => Ok(0),
                    (_, Some(digits)) => u64::from_str_radix(digits, 16),
                    (digits, None) => digits.parse(),
                };
                parsed == Ok(*number)
            }
        }
    }
}

type Fields = BTreeMap<String, Value>;

fn number(fields: &mut Fields, name: &str, value: impl Into<u64>) {
    fields.insert(name.into(), Value::Number(value.into()));
}

fn text(fields: &mut Fields, name: &str, value: impl Display) {
    fields.insert(name.into(), Value::Text(value.to_string()));
}

fn hex(fields: &mut Fields, name: &str, bytes: &[u8]) {
    let mut digits = String::new();
    bytes
        .iter()
        .try_for_each(|byte| write!(digits, "{byte:02x}"))
        .expect("a string takes all");
    text(fields, name, digits);
}

/// Every field of a `RoCEv2` frame.
pub fn of(bytes: &[u8]) -> Fields {
    let frame = Frame::parse(bytes).expect("a good frame");
    let mut fields = Fields::new();
    lower_headers(&mut fields, bytes, &frame);
    transport_headers(&mut fields, &frame);
    let icrc = bytes.last_chunk().expect("parsed");
    // tshark shows the four bytes as a big-endian number, though the CRC's least significant byte comes first.
    number(&mut fields, "infiniband.invariant.crc", u32::from_be_bytes(*icrc));
    if let Ok(mad) = frame.gsi_mad() {
        management_datagram(&mut fields, mad);
    }
    fields
}

fn lower_headers(fields: &mut Fields, bytes: &[u8], frame: &Frame<'_>) {
    let address = &frame.address;
    let (ethernet, packet) = bytes.split_first_chunk().expect("parsed");
    number(
        fields,
        "eth.type",
        EthernetHeader::from_bytes(ethernet).ether_type.0,
    );
    text(fields, "eth.src", address.source_mac);
    text(fields, "eth.dst", address.destination_mac);
    let datagram = match address.ip {
        IpPair::V4 {
            source,
            destination,
            identification,
        } => {
            let (header, datagram) = packet.split_first_chunk().expect("parsed");
            let header = Ipv4Header::from_bytes(header).expect("parsed");
            number(fields, "ip.dsfield", address.traffic_class);
            number(fields, "ip.ttl", address.hop_limit);
            number(fields, "ip.id", identification);
            number(fields, "ip.len", header.total_length);
            number(fields, "ip.flags.df", header.dont_fragment);
            number(fields, "ip.proto", header.protocol);
            text(fields, "ip.src", source);
            text(fields, "ip.dst", destination);
            datagram
        }
        IpPair::V6 {
            source,
            destination,
            flow_label,
        } => {
            let (header, datagram) = packet.split_first_chunk().expect("parsed");
            let header = Ipv6Header::from_bytes(header).expect("parsed");
            number(fields, "ipv6.tclass", address.traffic_class);
            number(fields, "ipv6.hlim", address.hop_limit);
            number(fields, "ipv6.flow", flow_label.get());
            number(fields, "ipv6.plen", header.payload_length);
            number(fields, "ipv6.nxt", header.next_header);
            text(fields, "ipv6.src", source);
            text(fields, "ipv6.dst", destination);
            datagram
        }
    };
    let udp = UdpHeader::from_bytes(datagram.first_chunk().expect("parsed"));
    number(fields, "udp.srcport", udp.source_port);
    number(fields, "udp.dstport", udp.destination_port);
    number(fields, "udp.length", udp.length);
}

fn transport_headers(fields: &mut Fields, frame: &Frame<'_>) {
    let bth = &frame.bth;
    number(fields, "infiniband.bth.opcode", bth.opcode.0);
    number(fields, "infiniband.bth.se", bth.solicited_event);
    number(fields, "infiniband.bth.m", bth.mig_req);
    number(fields, "infiniband.bth.padcnt", bth.pad_count);
    number(fields, "infiniband.bth.tver", bth.transport_version);
    number(fields, "infiniband.bth.p_key", bth.p_key);
    number(fields, "infiniband.bth.destqp", bth.dest_qp.get());
    number(fields, "infiniband.bth.a", bth.ack_request);
    number(fields, "infiniband.bth.psn", bth.psn.get());
    if let Some(deth) = frame.extended.deth {
        number(fields, "infiniband.deth.q_key", deth.q_key);
        number(fields, "infiniband.deth.srcqp", deth.source_qp.get());
    }
    if let Some(reth) = frame.extended.reth {
        number(fields, "infiniband.reth.va", reth.virtual_address);
        number(fields, "infiniband.reth.r_key", reth.r_key);
        number(fields, "infiniband.reth.dmalen", reth.dma_length);
    }
    if let Some(aeth) = frame.extended.aeth {
        number(fields, "infiniband.aeth.syndrome", aeth.syndrome);
        number(fields, "infiniband.aeth.msn", aeth.msn.get());
    }
    if let Some(imm_dt) = frame.extended.imm_dt {
        hex(fields, "infiniband.immdt", &imm_dt.to_bytes());
    }
}

fn management_datagram(fields: &mut Fields, bytes: &Mad) {
    let header = MadHeader::from_bytes(mad::split(bytes).0);
    number(fields, "infiniband.mad.baseversion", header.base_version);
    number(fields, "infiniband.mad.mgmtclass", header.mgmt_class.0);
    number(fields, "infiniband.mad.classversion", header.class_version);
    number(fields, "infiniband.mad.method", header.method.0);
    number(fields, "infiniband.mad.status", header.status);
    number(fields, "infiniband.mad.classspecific", header.class_specific);
    number(fields, "infiniband.mad.transactionid", header.transaction_id);
    number(fields, "infiniband.mad.attributeid", header.attribute_id);
    number(
        fields,
        "infiniband.mad.attributemodifier",
        header.attribute_modifier,
    );
    message(fields, &CmMad::from_bytes(bytes).expect("a CM message").message);
}

fn message(fields: &mut Fields, message: &CmMessage) {
    // tshark's dissector has no fields for MRA, LAP and APR.
    let (prefix, local_name) = match message {
        CmMessage::Req(req) => return request(fields, req),
        CmMessage::Mra(_) | CmMessage::Lap(_) | CmMessage::Apr(_) => return,
        CmMessage::Rej(rej) => {
            number(fields, "infiniband.cm.rej.msgrej", rej.message_rejected.get());
            number(fields, "infiniband.cm.rej.rejinfolen", rej.reject_info_length);
            number(fields, "infiniband.cm.rej.reason", rej.reason.0);
            hex(fields, "infiniband.cm.rej.ari", &rej.ari);
            ("infiniband.cm.rej", ".localcommid")
        }
        CmMessage::Rep(rep) => {
            number(fields, "infiniband.cm.rep.localqkey", rep.local_q_key);
            number(fields, "infiniband.cm.rep.localqpn", rep.local_qpn.get());
            number(fields, "infiniband.cm.rep.localeecn", rep.local_eecn.get());
            number(fields, "infiniband.cm.rep.startpsn", rep.starting_psn.get());
            number(fields, "infiniband.cm.rep.respres", rep.responder_resources);
            number(fields, "infiniband.cm.rep.initdepth", rep.initiator_depth);
            number(
                fields,
                "infiniband.cm.rep.tgtackdelay",
                rep.target_ack_delay.get(),
            );
            number(fields, "infiniband.cm.rep.failoveracc", rep.failover.get());
            number(
                fields,
                "infiniband.cm.rep.e2eflowctrl",
                rep.end_to_end_flow_control,
            );
            number(
                fields,
                "infiniband.cm.rep.rnrretrcount",
                rep.rnr_retry_count.get(),
            );
            number(fields, "infiniband.cm.rep.srq", rep.srq);
            number(fields, "infiniband.cm.rep.localcaguid", rep.local_ca_guid);
            ("infiniband.cm.rep", "")
        }
        CmMessage::Rtu(_) => ("infiniband.cm.rtu", ".localcommid"),
        CmMessage::Dreq(dreq) => {
            number(fields, "infiniband.cm.req.remoteqpneecn", dreq.remote_qpn.get());
            ("infiniband.cm.dreq", ".localcommid")
        }
        CmMessage::Drep(_) => ("infiniband.cm.drsp", ".localcommid"),
    };
    number(
        fields,
        &format!("{prefix}{local_name}"),
        message.local_comm_id().0,
    );
    number(
        fields,
        &format!("{prefix}.remotecommid"),
        message.remote_comm_id().expect("no REQ").0,
    );
    hex(fields, &format!("{prefix}.private"), message.private_data());
}

fn request(fields: &mut Fields, req: &Req) {
    let mut put = |name: &str, value: u64| number(fields, &format!("infiniband.cm.req{name}"), value);
    let (space, port) = req.service_id.to_port().expect("an IP service");
    put("", req.local_comm_id.0.into());
    put(".serviceid.protocol", space.0.into());
    put(".serviceid.dport", port.into());
    put(".localcaguid", req.local_ca_guid);
    put(".localqkey", req.local_q_key.into());
    put(".localqpn", req.local_qpn.get().into());
    put(".responderres", req.responder_resources.into());
    put(".localeecn", req.local_eecn.get().into());
    put(".initdepth", req.initiator_depth.into());
    put(".remoteeecn", req.remote_eecn.get().into());
    put(".remoteresptout", req.remote_cm_response_timeout.get().into());
    put(".transpsvctype", req.transport_service.get().into());
    put(".e2eflowctrl", req.end_to_end_flow_control.into());
    put(".startpsn", req.starting_psn.get().into());
    put(".localresptout", req.local_cm_response_timeout.get().into());
    put(".retrcount", req.retry_count.get().into());
    put(".pkey", req.p_key.into());
    put(".pppmtu", req.path_mtu.get().into());
    put(".rdcexist", req.rdc_exists.into());
    put(".rnrretrcount", req.rnr_retry_count.get().into());
    put(".maxcmretr", req.max_cm_retries.get().into());
    put(".srq", req.srq.into());
    put(".ext_transport", req.extended_transport.into());
    let prefix = req.service_id.0.to_be_bytes();
    hex(fields, "infiniband.cm.req.serviceid.prefix", &prefix[..5]);
    path(fields, "prim", &req.primary_path);
    path(fields, "alt", &req.alternate_path);
    primary_gids(fields, &req.primary_path);
    hex(
        fields,
        "infiniband.cm.req.alt_localgid",
        &req.alternate_path.local_port_gid.0,
    );
    hex(
        fields,
        "infiniband.cm.req.alt_remotegid",
        &req.alternate_path.remote_port_gid.0,
    );
    ip_cm(fields, req);
}

fn path(fields: &mut Fields, which: &str, path: &PathInfo) {
    let mut put =
        |name: &str, value: u64| number(fields, &format!("infiniband.cm.req.{which}_{name}"), value);
    put("locallid", path.local_port_lid.into());
    put("remotelid", path.remote_port_lid.into());
    put("tfcclass", path.traffic_class.into());
    put("hoplim", path.hop_limit.into());
    put("sl", path.service_level.get().into());
    put("subnetlocal", path.subnet_local.into());
    put("localacktout", path.local_ack_timeout.get().into());
}

/// tshark has one field for a GID that is an IPv4 address, and another one for others.
fn primary_gids(fields: &mut Fields, path: &PathInfo) {
    for (name, gid) in [
        ("localgid", path.local_port_gid),
        ("remotegid", path.remote_port_gid),
    ] {
        let ip = gid.to_ip();
        let suffix = if ip.is_ipv4() { "_ipv4" } else { "" };
        text(fields, &format!("infiniband.cm.req.prim_{name}{suffix}"), ip);
    }
}

fn ip_cm(fields: &mut Fields, req: &Req) {
    let (header, consumer) = IpCmHeader::parse(&req.private_data).expect("an IP CM header");
    let (version, source, destination) = match header.addresses {
        IpCmAddresses::V4 { .. } => (4_u8, "sip4", "dip4"),
        IpCmAddresses::V6 { .. } => (6, "sip6", "dip6"),
    };
    // Parsing has accepted version 0.0 only.
    number(fields, "infiniband.cm.req.ip_cm.majv", 0_u8);
    number(fields, "infiniband.cm.req.ip_cm.minv", 0_u8);
    number(fields, "infiniband.cm.req.ip_cm.ipv", version);
    number(fields, "infiniband.cm.req.ip_cm.sport", header.source_port);
    text(
        fields,
        &format!("infiniband.cm.req.ip_cm.{source}"),
        header.addresses.source(),
    );
    text(
        fields,
        &format!("infiniband.cm.req.ip_cm.{destination}"),
        header.addresses.destination(),
    );
    hex(fields, "infiniband.cm.req.ip_cm.private", consumer);
}
