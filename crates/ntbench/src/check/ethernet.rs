//! Frames through a miniport: sends of all forms, at both IRQLs; what it indicates comes back late; filters, receive side scaling,
//! sleep.

use crate::Kernel;
use crate::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ndis::Adapter;
use crate::ndis::frame::{Headers, Left, seed_checksums};
use crate::ndis::packet::{Layout, SendList};
use crate::ndis::protocol;
use crate::ndis::receive::Returns;
use crate::ndis::rss::Parameters;
use ndk_sys::{
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NdisDeviceStateD3, OID_GEN_CURRENT_PACKET_FILTER,
    TcpLargeSendNetBufferListInfo,
};
use std::time::Duration;

/// How long sent frames are waited for.
const SEND_LIMIT: Duration = Duration::from_millis(500);
/// Segments of the large send.
const SEGMENT: usize = 1000;

/// See the module. Whatever fails with a status breaks no rule.
pub(super) fn run(kernel: &Kernel, adapter: &Adapter) {
    let miniport = adapter.miniport();
    let filter = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST;
    let entries = miniport
        .attributes()
        .general
        .and_then(|general| general.indirection_entries)
        .map_or(128, usize::from);
    // Twice, so that nothing before has its grace any more.
    for _ in 0..2 {
        let _ = miniport.oid_set(OID_GEN_CURRENT_PACKET_FILTER, &filter.to_le_bytes());
        let _ = miniport.set_rss(&Parameters::over(&[1], entries));
    }
    let _ = miniport.statistics();
    let _ = miniport.send(&[&[0xFF; 60]], SEND_LIMIT);
    let _ = miniport.statistics();
    for (turn, irql) in [PASSIVE_LEVEL, DISPATCH_LEVEL]
        .into_iter()
        .cycle()
        .take(8)
        .enumerate()
    {
        let lists: Vec<SendList> = (0..3)
            .map(|number| SendList {
                frames: vec![vec![0xFF; 60 + 300 * number]; 1 + number],
                layout: Layout::varied(turn + number),
                ..SendList::default()
            })
            .collect();
        let numbers = kernel.run_at(irql, 0, || miniport.send_lists(&lists));
        let _ = miniport.wait_sent(&numbers, SEND_LIMIT);
    }
    let numbers = miniport.send_lists(&[large_send()]);
    let _ = miniport.wait_sent(&numbers, SEND_LIMIT);
    miniport.cancel_sends(7);
    miniport.receives().set_returns(Returns::Held);
    let _ = miniport.send(&[&[0xFF; 60][..]; 4], SEND_LIMIT);
    let _ = adapter.reset();
    if adapter.suspend(NdisDeviceStateD3).is_ok() {
        let _ = adapter.resume();
    }
    miniport.receives().set_returns(Returns::Mixed);
    let _ = miniport.statistics();
}

/// A TCP packet of three segments and a half.
fn large_send() -> SendList {
    let mut frame = vec![0xFF; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([
        10, 77, 0, 9, 10, 77, 0, 8, 0, 80, 0, 90, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    frame.resize(frame.len() + SEGMENT * 7 / 2, 0x33);
    seed_checksums(
        &mut frame,
        Left {
            ip4: true,
            transport: true,
            large: true,
        },
    );
    let info = Headers::of(&frame).map(|headers| {
        (
            TcpLargeSendNetBufferListInfo,
            protocol::large_send(&headers, SEGMENT),
        )
    });
    SendList {
        frames: vec![frame],
        layout: Layout::varied(2),
        info: info.into_iter().collect(),
        flags: 0,
    }
}
