//! OID requests of the regular path. They are answered at once: NDIS calls at `PASSIVE_LEVEL` and the device is quick.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use ndk_sys::{
    NDIS_HANDLE, NDIS_NDK_CONNECTIONS_REVISION_1, NDIS_NDK_LOCAL_ENDPOINTS_REVISION_1,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_DATA,
    NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS, NdisDeviceStateD0,
    NdisDeviceStateD3, OID_802_3_CURRENT_ADDRESS, OID_802_3_MAXIMUM_LIST_SIZE, OID_802_3_MULTICAST_LIST,
    OID_802_3_PERMANENT_ADDRESS, OID_802_3_RCV_ERROR_ALIGNMENT, OID_802_3_XMIT_MORE_COLLISIONS,
    OID_802_3_XMIT_ONE_COLLISION, OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_INTERRUPT_MODERATION, OID_GEN_LINK_PARAMETERS, OID_GEN_MAXIMUM_TOTAL_SIZE, OID_GEN_RCV_ERROR,
    OID_GEN_RCV_NO_BUFFER, OID_GEN_RCV_OK, OID_GEN_RECEIVE_BLOCK_SIZE, OID_GEN_RECEIVE_BUFFER_SPACE,
    OID_GEN_RECEIVE_SCALE_PARAMETERS, OID_GEN_STATISTICS, OID_GEN_TRANSMIT_BLOCK_SIZE,
    OID_GEN_TRANSMIT_BUFFER_SPACE, OID_GEN_TRANSMIT_QUEUE_LENGTH, OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION, OID_GEN_VENDOR_ID, OID_GEN_VLAN_ID, OID_GEN_XMIT_ERROR, OID_GEN_XMIT_OK,
    OID_NDK_CONNECTIONS, OID_NDK_LOCAL_ENDPOINTS, OID_NDK_SET_STATE, OID_NDK_STATISTICS,
    OID_OFFLOAD_ENCAPSULATION, OID_PM_PARAMETERS, OID_PNP_QUERY_POWER, OID_PNP_SET_POWER,
    OID_TCP_OFFLOAD_CURRENT_CONFIG, OID_TCP_OFFLOAD_PARAMETERS,
};

use super::adapter::Adapter;
use super::config::ETHERNET_HEADER;
use super::ethernet::{Ethernet, MULTICAST_LIST};
use super::statistics::{self, Totals};
use crate::nic::Nic;
use crate::nic::command::CommandError;
use crate::os::irql::Passive;
use crate::os::oid::{Kind, OidRequest};
use crate::os::pool::PoolArc;

/// For people, with its terminator.
const DESCRIPTION: &[u8] = b"vrnic RDMA network adapter\0";
/// No OUI of our own: what NDIS says for that.
const VENDOR_ID: u32 = 0x00FF_FFFF;
/// Major version in the upper, minor in the lower half.
const DRIVER_VERSION: u32 = 0x0000_0001;
/// `MiniportOidRequest`.
pub unsafe extern "system" fn oid_request(
    context: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    let Some(request) = NonNull::new(request) else {
        return NDIS_STATUS_FAILURE;
    };
    // SAFETY: NDIS hands the request over until this returns.
    let mut request = unsafe { OidRequest::new(request) };
    adapter.oid(&passive, &mut request)
}

/// `MiniportCancelOidRequest`: requests never wait.
pub unsafe extern "system" fn cancel_oid_request(_context: NDIS_HANDLE, _id: *mut c_void) {}

impl Adapter {
    fn oid(&self, passive: &Passive, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let (Some(nic), Some(ethernet)) = (self.nic(), self.ethernet.get()) else {
            return NDIS_STATUS_FAILURE;
        };
        if nic.health() == crate::nic::Health::Removed {
            // What the documentation of the handler asks for between surprise removal and halt.
            return NDIS_STATUS_NOT_ACCEPTED;
        }
        match request.kind() {
            Kind::Query => self.query(passive, nic, ethernet, request),
            Kind::Set => self.set(passive, nic, ethernet, request),
            Kind::Other => NDIS_STATUS_NOT_SUPPORTED,
        }
    }

    fn query(
        &self,
        passive: &Passive,
        nic: &PoolArc<Nic>,
        ethernet: &Ethernet,
        request: &mut OidRequest<'_>,
    ) -> NDIS_STATUS {
        let frame = ethernet.mtu() + ETHERNET_HEADER;
        let queues = u32::try_from(ethernet.queue_count()).unwrap_or(1);
        match request.oid() {
            OID_GEN_CURRENT_PACKET_FILTER => request.answer(&ethernet.port.lock().filter),
            OID_GEN_CURRENT_LOOKAHEAD => request.answer(&self.lookahead.load(Ordering::Relaxed)),
            OID_GEN_INTERRUPT_MODERATION => Self::query_moderation(ethernet, request),
            OID_GEN_MAXIMUM_TOTAL_SIZE | OID_GEN_TRANSMIT_BLOCK_SIZE | OID_GEN_RECEIVE_BLOCK_SIZE => {
                request.answer(&frame)
            }
            OID_GEN_TRANSMIT_BUFFER_SPACE => request.answer(&(frame * self.config.transmit_buffers * queues)),
            OID_GEN_RECEIVE_BUFFER_SPACE => request.answer(&(frame * self.config.receive_buffers * queues)),
            OID_GEN_TRANSMIT_QUEUE_LENGTH => request.answer(&ethernet.in_flight()),
            OID_GEN_VENDOR_DESCRIPTION => request.answer_bytes(DESCRIPTION),
            OID_GEN_VENDOR_DRIVER_VERSION => request.answer(&DRIVER_VERSION),
            OID_GEN_VENDOR_ID => request.answer(&VENDOR_ID),
            OID_GEN_VLAN_ID => request.answer(&u32::from(ethernet.tagging().own)),
            OID_802_3_PERMANENT_ADDRESS => request.answer(&nic.mac()),
            OID_802_3_CURRENT_ADDRESS => request.answer(&nic.current_mac()),
            OID_802_3_MAXIMUM_LIST_SIZE => request.answer(&u32::from(MULTICAST_LIST)),
            OID_802_3_MULTICAST_LIST => {
                let port = *ethernet.port.lock();
                request.answer_bytes(port.multicast().as_flattened())
            }
            OID_802_3_RCV_ERROR_ALIGNMENT | OID_802_3_XMIT_ONE_COLLISION | OID_802_3_XMIT_MORE_COLLISIONS => {
                request.answer(&0u32)
            }
            OID_TCP_OFFLOAD_CURRENT_CONFIG => Self::query_offloads(ethernet, request),
            OID_OFFLOAD_ENCAPSULATION => Self::query_encapsulation(ethernet, request),
            OID_PM_PARAMETERS => Self::query_wake_up(request),
            OID_PNP_QUERY_POWER => NDIS_STATUS_SUCCESS,
            OID_NDK_CONNECTIONS => self.ndk_connections(request),
            OID_NDK_LOCAL_ENDPOINTS => self.ndk_local_endpoints(request),
            // NDIS sends it on the direct path; a query on this one gets the same answer.
            OID_NDK_STATISTICS => self.ndk_statistics(passive, request),
            _ => self
                .query_statistics(passive, request)
                .unwrap_or_else(NDIS_STATUS::from),
        }
    }

    fn query_statistics(
        &self,
        passive: &Passive,
        request: &mut OidRequest<'_>,
    ) -> Result<NDIS_STATUS, CommandError> {
        let counter: fn(&Totals) -> u64 = match request.oid() {
            OID_GEN_STATISTICS => {
                let info = statistics::general(&self.device_statistics(passive)?);
                return Ok(request.answer(&info));
            }
            OID_GEN_XMIT_OK => |totals| totals.out_frames,
            OID_GEN_RCV_OK => |totals| totals.in_frames,
            OID_GEN_RCV_ERROR => |totals| totals.in_errors,
            OID_GEN_RCV_NO_BUFFER => |totals| totals.in_discards,
            OID_GEN_XMIT_ERROR => |totals| totals.out_errors,
            _ => return Ok(NDIS_STATUS_NOT_SUPPORTED),
        };
        let totals = Totals::from(&self.device_statistics(passive)?);
        Ok(request.answer_counter(counter(&totals)))
    }

    fn set(
        &self,
        passive: &Passive,
        nic: &PoolArc<Nic>,
        ethernet: &Ethernet,
        request: &mut OidRequest<'_>,
    ) -> NDIS_STATUS {
        match request.oid() {
            OID_GEN_CURRENT_PACKET_FILTER => self.set_filter(passive, nic, ethernet, request),
            OID_GEN_CURRENT_LOOKAHEAD => match request.input::<u32>() {
                Ok(lookahead) if lookahead <= ethernet.mtu() => {
                    self.lookahead.store(lookahead, Ordering::Relaxed);
                    NDIS_STATUS_SUCCESS
                }
                Ok(_) => NDIS_STATUS_INVALID_DATA,
                Err(status) => status,
            },
            OID_GEN_INTERRUPT_MODERATION => self.set_moderation(passive, nic, ethernet, request),
            OID_GEN_RECEIVE_SCALE_PARAMETERS => self.set_scaling(passive, nic, ethernet, request),
            OID_GEN_VLAN_ID => self.set_vlan(ethernet, request),
            OID_802_3_MULTICAST_LIST => self.set_multicast(passive, nic, ethernet, request),
            OID_TCP_OFFLOAD_PARAMETERS => self.set_offloads(ethernet, request),
            OID_OFFLOAD_ENCAPSULATION => Self::set_encapsulation(ethernet, request),
            OID_PM_PARAMETERS => Self::set_wake_up(request),
            // There is nothing to choose.
            OID_GEN_LINK_PARAMETERS => request.consume(),
            OID_PNP_SET_POWER => match request.input::<i32>() {
                Ok(state) if (NdisDeviceStateD0..=NdisDeviceStateD3).contains(&state) => {
                    self.set_power(passive, state)
                }
                Ok(_) => NDIS_STATUS_INVALID_DATA,
                Err(status) => status,
            },
            OID_NDK_SET_STATE => self.set_ndk_state(request),
            _ => NDIS_STATUS_NOT_SUPPORTED,
        }
    }

    fn ndk_connections(&self, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let Some(provider) = self.provider() else {
            return NDIS_STATUS_NOT_SUPPORTED;
        };
        let head = |count, total| list_head(NDIS_NDK_CONNECTIONS_REVISION_1, count, total);
        request.answer_list(|entry| provider.connections(entry), head)
    }

    fn ndk_local_endpoints(&self, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let Some(provider) = self.provider() else {
            return NDIS_STATUS_NOT_SUPPORTED;
        };
        let head = |count, total| list_head(NDIS_NDK_LOCAL_ENDPOINTS_REVISION_1, count, total);
        request.answer_list(|entry| provider.local_endpoints(entry), head)
    }
}

/// The head of `NDIS_NDK_CONNECTIONS` and `NDIS_NDK_LOCAL_ENDPOINTS`: header, flags, count, and that our port space is not
/// TCP's.
fn list_head(revision: u8, count: u32, total: usize) -> [u32; 4] {
    let [size_low, size_high] = u16::try_from(total).unwrap_or(u16::MAX).to_ne_bytes();
    [
        u32::from_ne_bytes([NDIS_OBJECT_TYPE_DEFAULT, revision, size_low, size_high]),
        0,
        count,
        0,
    ]
}
