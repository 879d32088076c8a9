//! Device plug and play events for `MiniportDevicePnPEventNotify`.

use super::adapter::Miniport;
use super::header;
use ndk_sys::{NDIS_DEVICE_PNP_EVENT, NDIS_OBJECT_TYPE_DEFAULT};

/// `NET_DEVICE_PNP_EVENT` (ndis.h): header, port, event, information buffer and its length, 16 reserved bytes.
#[repr(C)]
struct NetDevicePnpEvent {
    header: ndk_sys::NDIS_OBJECT_HEADER,
    port_number: u32,
    device_pnp_event: NDIS_DEVICE_PNP_EVENT,
    information_buffer: u64,
    information_buffer_length: u32,
    ndis_reserved: [u8; 16],
}

const _: () = assert!(size_of::<NetDevicePnpEvent>() == 0x30);

/// Tells the driver of `event`, at PASSIVE.
pub(super) fn notify(miniport: &Miniport, handler: usize, event: NDIS_DEVICE_PNP_EVENT) {
    let notification = NetDevicePnpEvent {
        header: header::make::<NetDevicePnpEvent>(NDIS_OBJECT_TYPE_DEFAULT, 1),
        port_number: 0,
        device_pnp_event: event,
        information_buffer: 0,
        information_buffer_length: 0,
        ndis_reserved: [0; 16],
    };
    let at = (&raw const notification).addr();
    miniport.handler("MiniportDevicePnPEventNotify", handler, &[at as u64]);
}
