//! The manual in `docs/src/device` and the types say the same: numbers, names, offsets, sizes.

use std::path::Path;

use vrnic_abi::{cm, cmd, cqe, doorbell, eth, event, info, regs, resource, wqe};

/// The cells of one table of the manual, without code quotes.
struct Table {
    what: String,
    rows: Vec<Vec<String>>,
}

/// The first table behind the heading that begins with `heading` whose first column has the title `column`.
fn table(chapter: &str, heading: &str, column: &str) -> Table {
    let what = format!("{chapter}, {heading}, table of {column}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/src/device")
        .join(chapter);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.replace('`', "");
    let is_heading =
        |line: &&str| line.starts_with('#') && line.trim_matches(['#', ' ']).starts_with(heading);
    let title = format!("| {column} |");
    let mut lines = text
        .lines()
        .skip_while(|line| !is_heading(line))
        .skip_while(|line| !line.starts_with(&title));
    assert!(lines.next().is_some(), "there is no {what}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    Table {
        rows: rows.map(cells).collect(),
        what,
    }
}

impl Table {
    /// The numbers of one column with the texts of another; a link counts as its text.
    fn pairs(&self, number_column: usize, text_column: usize) -> Vec<(u64, String)> {
        let text = |cell: &str| {
            cell.trim_start_matches('[')
                .split([']', ':'])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        self.rows
            .iter()
            .map(|row| (number(&row[number_column]), text(&row[text_column])))
            .collect()
    }

    fn assert_pairs(&self, number_column: usize, text_column: usize, expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(value, name)| (*value, (*name).to_owned()))
            .collect();
        assert_eq!(self.pairs(number_column, text_column), expected, "{}", self.what);
    }
}

fn number(cell: &str) -> u64 {
    let number = match cell.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => cell.parse(),
    };
    number.unwrap_or_else(|_| panic!("{cell} is not a number"))
}

macro_rules! names {
    ($enumeration:ty) => {
        <$enumeration>::ALL
            .iter()
            .map(|value| (u64::from(value.0), value.name().unwrap()))
            .collect::<Vec<_>>()
    };
}

#[test]
fn enumerations() {
    table("commands.md", "Commands", "opcode").assert_pairs(0, 1, &names!(cmd::Opcode));
    table("command-queue.md", "Firmware status", "value").assert_pairs(0, 1, &names!(cmd::Status));
    table("event-queues.md", "Kinds", "kind").assert_pairs(0, 1, &names!(event::EventKind));
    table("registers.md", "STATUS", "value").assert_pairs(0, 1, &names!(regs::DeviceState));
    table("registers.md", "FATAL_SYNDROME", "value").assert_pairs(0, 1, &names!(regs::FatalSyndrome));
    table("data-path.md", "QpModify", "state").assert_pairs(0, 1, &names!(resource::QpState));
    table("data-path.md", "ControlSegment", "opcode").assert_pairs(0, 1, &names!(wqe::WorkOpcode));
    table("ethernet.md", "Completion", "value").assert_pairs(0, 1, &names!(eth::EthStatus));
    table("data-path.md", "Cqe", "status").assert_pairs(0, 1, &names!(cqe::WorkStatus));
}

macro_rules! constants {
    ($module:ident: $($name:ident)*) => { [$((u64::from($module::$name), stringify!($name))),*] };
}

#[test]
fn registers() {
    let expected = constants!(regs: MAGIC ABI_VERSION FW_VERSION CTRL STATUS FATAL_SYNDROME MAC_LO MAC_HI LINK LINK_SPEED
        CMDQ_BASE_LO CMDQ_BASE_HI CMDQ_CPL_LO CMDQ_CPL_HI CMDQ_FETCH_LO CMDQ_FETCH_HI CMDQ_LOG2 CMDQ_DOORBELL
        INT_CAUSE INT_MASK KICK);
    table("registers.md", "Registers", "offset").assert_pairs(0, 1, &expected);
}

#[test]
fn doorbells() {
    let found: Vec<_> = table("doorbells.md", "Doorbells", "offset").rows;
    let expected = [
        (doorbell::QP, doorbell::QP_STRIDE, doorbell::MAX_OBJECTS),
        (doorbell::CQ, doorbell::CQ_STRIDE, doorbell::MAX_OBJECTS),
        (doorbell::SRQ, doorbell::SRQ_STRIDE, doorbell::MAX_OBJECTS),
        (doorbell::EQ, doorbell::EQ_STRIDE, doorbell::MAX_EQS),
        (doorbell::CM_CONSUMER, 0, 1),
        (doorbell::SLEEP, 0, 1),
        (doorbell::ETH, doorbell::ETH_STRIDE, doorbell::MAX_ETH_QUEUES),
    ];
    assert_eq!(found.len(), expected.len());
    for (row, (offset, stride, entries)) in found.iter().zip(expected) {
        let found_stride = if row[1].is_empty() { 0 } else { number(&row[1]) };
        assert_eq!(
            (number(&row[0]), found_stride, number(&row[2])),
            (offset, stride, entries.into()),
            "{row:?}"
        );
    }
}

/// A structure's table has these fields, at their offsets, with their sizes; what is reserved needs no name.
macro_rules! structure {
    ($chapter:literal, $heading:literal, $structure:ty: $($field:ident)*) => {
        let table = table($chapter, $heading, "offset");
        let mut end = 0;
        let value = <$structure as zerocopy::FromZeros>::new_zeroed();
        let expected = [$((
            std::mem::offset_of!($structure, $field) as u64,
            size_of_val(&value.$field) as u64,
            stringify!($field).to_owned(),
        )),*];
        let (names, sizes) = (table.pairs(0, 2), table.pairs(1, 2));
        for ((offset, name), (size, _)) in names.iter().zip(&sizes) {
            assert_eq!(*offset, end, "{}: {name} does not follow its predecessor", table.what);
            end += size;
        }
        assert_eq!(end, size_of::<$structure>() as u64, "{}", table.what);
        let named: Vec<_> = names
            .into_iter()
            .zip(sizes)
            .filter(|((_, name), _)| name != "reserved")
            .map(|((offset, name), (size, _))| (offset, size, name))
            .collect();
        assert_eq!(named, expected, "{}", table.what);
    };
}

#[test]
fn structures_of_commands_and_events() {
    structure!("command-queue.md", "Command: 64 bytes", cmd::Command: opcode tag mailbox_len mailbox input);
    structure!("command-queue.md", "Completion: 32 bytes", cmd::Completion: tag status syndrome output owner);
    structure!("event-queues.md", "Entry: 32 bytes", event::Event: kind detail number data lost owner);
    structure!("commands.md", "Rings", resource::Ring: addr log2_entries levels);
    structure!("commands.md", "SET_GID", cm::GidEntry: index flags vlan gid);
    structure!("commands.md", "CREATE_EQ", resource::EqCreate: ring vector flags);
    structure!("commands.md", "CM_ENABLE", cm::CmEnable: ring eqn);
    structure!("commands.md", "CM_SEND",
        cm::CmSend: dst_mac gid_index dst_gid udp_src_port traffic_class hop_limit dst_qpn);
    structure!("cm.md", "Receive slot: 512 bytes",
        cm::CmReceive: src_mac gid_index src_gid udp_src_port traffic_class hop_limit src_qpn mad);
    structure!("commands.md", "QUERY_DEVICE",
        info::DeviceInfo: capabilities fw_version node_guid max_qps max_cqs max_srqs max_keys max_pds max_eqs
        max_cq_log2 max_rq_log2 max_sq_log2 max_sge max_frmr_pages max_message max_inline max_inbound_reads
        max_outbound_reads max_half_open gid_entries max_eth_queues max_eth_log2 max_tx_pieces max_multicast
        max_large_send hash_types);
}

#[test]
fn structures_of_the_data_path() {
    structure!("data-path.md", "CqCreate", resource::CqCreate: ring eqn moderation_us moderation_count);
    structure!("data-path.md", "CqModify", resource::CqModify: cqn mask attributes);
    structure!("data-path.md", "SrqCreate", resource::SrqCreate: ring pdn eqn limit max_sge);
    structure!("data-path.md", "SrqModify", resource::SrqModify: srqn mask ring limit);
    structure!("data-path.md", "QpCreate",
        resource::QpCreate: sq rq pdn send_cqn recv_cqn srqn eqn flags max_recv_sge kind);
    structure!("data-path.md", "QpModify",
        resource::QpModify: mask state path_mtu_log2 max_inbound_reads max_outbound_reads dst_qpn rq_psn sq_psn dst_mac
        gid_index dst_gid udp_src_port traffic_class hop_limit timeout retry_count rnr_retry min_rnr_timer access);
    structure!("data-path.md", "MrRegister",
        resource::MrRegister: base length pages pdn access levels first_page_offset);
    structure!("data-path.md", "KeyAlloc", resource::KeyAlloc: pdn max_pages access);
    structure!("data-path.md", "ControlSegment",
        wqe::ControlSegment: opcode flags length16 index inline_len invalidate_key);
    structure!("data-path.md", "RemoteSegment", wqe::RemoteSegment: addr key);
    structure!("data-path.md", "DataSegment", wqe::DataSegment: addr length key);
    structure!("data-path.md", "SrqSegment", wqe::SrqSegment: cookie);
    structure!("data-path.md", "FastRegSegment",
        wqe::FastRegSegment: base length page_list key access pages first_page_offset);
    structure!("data-path.md", "BindSegment", wqe::BindSegment: base length window_key region_key access);
    structure!("data-path.md", "Cqe",
        cqe::Cqe: qpn index byte_len extra syndrome flags opcode status owner);
}

#[test]
fn structures_of_ethernet_queues() {
    structure!("ethernet.md", "CREATE_ETH_QUEUE", eth::EthQueueCreate:
        tx rx completions eqn tx_log2 rx_log2 completions_log2 moderation_us moderation_count);
    structure!("ethernet.md", "MODIFY_ETH_QUEUE", eth::EthQueueModify: number moderation_us moderation_count);
    structure!("ethernet.md", "Transmit descriptor: 16 bytes", eth::TxDescriptor: addr length flags segment_size vlan);
    structure!("ethernet.md", "Receive descriptor: 16 bytes", eth::RxDescriptor: addr length);
    structure!("ethernet.md", "Completion: 32 bytes",
        eth::EthCompletion: index length rss_hash rss_type vlan flags status owner);
    structure!("ethernet.md", "SET_ETH_CONFIG", eth::EthConfig: filter mtu mac flags);
    structure!("ethernet.md", "SET_RSS", eth::RssTable: hash_types entries default_queue key queue);
}

/// The numbers of the bits of flags, with their names.
macro_rules! bits {
    ($($name:ident)*) => { [$((u64::from(eth::$name.trailing_zeros()), stringify!($name))),*] };
}

#[test]
fn flags_of_ethernet_queues() {
    table("ethernet.md", "Transmit descriptor", "bit").assert_pairs(
        0,
        1,
        &bits!(TX_END TX_IP_CHECKSUM TX_L4_CHECKSUM TX_VLAN TX_NO_COMPLETION),
    );
    table("ethernet.md", "Completion: 32 bytes", "bit").assert_pairs(
        0,
        1,
        &bits!(ETH_RX ETH_IP_OK ETH_IP_BAD ETH_L4_OK ETH_L4_BAD ETH_VLAN ETH_IPV4 ETH_IPV6 ETH_TCP ETH_UDP),
    );
    table("ethernet.md", "SET_ETH_CONFIG", "bit").assert_pairs(
        0,
        1,
        &bits!(FILTER_DIRECTED FILTER_MULTICAST FILTER_ALL_MULTICAST FILTER_BROADCAST FILTER_PROMISCUOUS),
    );
    table("ethernet.md", "SET_RSS", "bit").assert_pairs(
        0,
        1,
        &bits!(HASH_IPV4 HASH_TCP_IPV4 HASH_IPV6 HASH_TCP_IPV6 HASH_UDP_IPV4 HASH_UDP_IPV6),
    );
}

macro_rules! counters {
    ($($field:ident)*) => { [$((std::mem::offset_of!(info::Statistics, $field) as u64, stringify!($field))),*] };
}

#[test]
fn statistics() {
    let expected = counters!(rdma_in_frames rdma_in_octets rdma_out_frames rdma_out_octets drop_malformed drop_icrc
        drop_no_receiver drop_cm_full cm_in cm_out cm_abandoned events_lost commands_failed dma_faults eth_in_frames
        eth_in_octets eth_out_frames eth_out_octets drop_qp rc_duplicates rc_out_of_sequence rc_naks_out rc_rnr_naks_out
        rc_retransmits rc_timeouts qp_errors cq_errors in_unicast_frames in_unicast_octets in_multicast_frames
        in_multicast_octets in_broadcast_frames in_broadcast_octets out_unicast_frames out_unicast_octets
        out_multicast_frames out_multicast_octets out_broadcast_frames out_broadcast_octets eth_in_no_buffer
        eth_in_buffer_too_small eth_in_too_long eth_in_errors eth_out_errors eth_out_discards eth_queue_errors reserved);
    table("statistics.md", "Statistics", "offset").assert_pairs(0, 1, &expected);
}

#[test]
#[should_panic(expected = "assertion `left == right` failed: registers.md")]
fn a_wrong_number_is_noticed() {
    table("registers.md", "STATUS", "value").assert_pairs(0, 1, &[(0, "RESETTING"), (2, "IDLE")]);
}
