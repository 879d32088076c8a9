//! OIDs of Ethernet: filters, scaling, offloads, tags, moderation, wake-up.

use core::sync::atomic::Ordering;

use ndk_sys::{
    NDIS_INTERRUPT_MODERATION_PARAMETERS, NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_PM_PARAMETERS, NDIS_PM_PARAMETERS_REVISION_2,
    NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_1, NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2, NDIS_STATUS,
    NDIS_STATUS_INVALID_DATA, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_INVALID_PARAMETER,
    NDIS_STATUS_MULTICAST_FULL, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
    NdisInterruptModerationDisabled, NdisInterruptModerationEnabled,
};

use super::adapter::Adapter;
use super::attributes::PACKET_FILTERS;
use super::config::VLAN_ID;
use super::ethernet::{Ethernet, MULTICAST_LIST, Port};
use super::{object_header, task_offload};
use crate::nic::Nic;
use crate::nic::command::CommandError;
use crate::os::irql::Passive;
use crate::os::miniport;
use crate::os::oid::OidRequest;

impl Adapter {
    /// Changes the settings, and brings the device to them unless it sleeps: then waking up does. If it refuses, they stay as
    /// they were.
    fn change_port(
        &self,
        ethernet: &Ethernet,
        change: impl FnOnce(&mut Port) -> Result<(), NDIS_STATUS>,
        apply: impl FnOnce() -> Result<(), CommandError>,
    ) -> NDIS_STATUS {
        let before = *ethernet.port.lock();
        let mut port = before;
        if let Err(status) = change(&mut port) {
            return status;
        }
        *ethernet.port.lock() = port;
        if self.asleep.load(Ordering::Acquire) {
            return NDIS_STATUS_SUCCESS;
        }
        match apply() {
            Ok(()) => NDIS_STATUS_SUCCESS,
            Err(error) => {
                *ethernet.port.lock() = before;
                error.into()
            }
        }
    }

    /// `OID_GEN_CURRENT_PACKET_FILTER`.
    pub(super) fn set_filter(
        &self,
        passive: &Passive,
        nic: &Nic,
        ethernet: &Ethernet,
        request: &mut OidRequest<'_>,
    ) -> NDIS_STATUS {
        let filter = match request.input::<u32>() {
            Ok(filter) if filter & !PACKET_FILTERS == 0 => filter,
            Ok(_) => return NDIS_STATUS_NOT_SUPPORTED,
            Err(status) => return status,
        };
        self.change_port(
            ethernet,
            |port| {
                port.filter = filter;
                Ok(())
            },
            || ethernet.apply_filter(passive, nic),
        )
    }

    /// `OID_802_3_MULTICAST_LIST`.
    pub(super) fn set_multicast(
        &self,
        passive: &Passive,
        nic: &Nic,
        ethernet: &Ethernet,
        request: &mut OidRequest<'_>,
    ) -> NDIS_STATUS {
        if !request.room().is_multiple_of(6) {
            return NDIS_STATUS_INVALID_LENGTH;
        }
        let most = 6 * usize::from(MULTICAST_LIST);
        if request.room() > most {
            request.needs(most);
            return NDIS_STATUS_MULTICAST_FULL;
        }
        let (addresses, _) = request.whole_input().as_chunks::<6>();
        if addresses.iter().any(|address| address[0] & 1 == 0) {
            return NDIS_STATUS_INVALID_DATA;
        }
        self.change_port(
            ethernet,
            |port| {
                let fits = port.set_multicast(addresses);
                if fits {
                    Ok(())
                } else {
                    Err(NDIS_STATUS_MULTICAST_FULL)
                }
            },
            || ethernet.apply_multicast(passive, nic),
        )
    }

    /// `OID_GEN_RECEIVE_SCALE_PARAMETERS`.
    pub(super) fn set_scaling(
        &self,
        passive: &Passive,
        nic: &Nic,
        ethernet: &Ethernet,
        request: &mut OidRequest<'_>,
    ) -> NDIS_STATUS {
        if !self.config.rss {
            return NDIS_STATUS_NOT_SUPPORTED;
        }
        let parameters = request.whole_input();
        self.change_port(
            ethernet,
            |port| {
                port.scaling = port.scaling.change(parameters)?;
                Ok(())
            },
            || {
                ethernet.apply_scaling(passive, nic)?;
                self.place_queues(ethernet);
                Ok(())
            },
        )
    }

    /// Has each queue served by the processor whose flows it has.
    pub(super) fn place_queues(&self, ethernet: &Ethernet) {
        let scaling = ethernet.port.lock().scaling;
        let spread = scaling.spread(ethernet.queue_count());
        for (queue, processor) in spread.processors.iter().enumerate() {
            if let Some(processor) = processor {
                self.set_queue_processor(queue, *processor);
            }
        }
    }

    /// `OID_GEN_INTERRUPT_MODERATION`.
    pub(super) fn query_moderation(ethernet: &Ethernet, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let moderated = ethernet.port.lock().moderated;
        request.answer(&NDIS_INTERRUPT_MODERATION_PARAMETERS {
            Header: object_header::<NDIS_INTERRUPT_MODERATION_PARAMETERS>(
                NDIS_OBJECT_TYPE_DEFAULT,
                NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
            ),
            Flags: 0,
            InterruptModeration: if moderated {
                NdisInterruptModerationEnabled
            } else {
                NdisInterruptModerationDisabled
            },
        })
    }

    /// `OID_GEN_INTERRUPT_MODERATION`.
    pub(super) fn set_moderation(
        &self,
        passive: &Passive,
        nic: &Nic,
        ethernet: &Ethernet,
        request: &mut OidRequest<'_>,
    ) -> NDIS_STATUS {
        let moderated = match request.input::<NDIS_INTERRUPT_MODERATION_PARAMETERS>() {
            Ok(parameters) if parameters.InterruptModeration == NdisInterruptModerationEnabled => true,
            Ok(parameters) if parameters.InterruptModeration == NdisInterruptModerationDisabled => false,
            Ok(_) => return NDIS_STATUS_INVALID_DATA,
            Err(status) => return status,
        };
        self.change_port(
            ethernet,
            |port| {
                port.moderated = moderated;
                Ok(())
            },
            || ethernet.apply_moderation(passive, nic),
        )
    }

    /// `OID_GEN_VLAN_ID`.
    pub(super) fn set_vlan(&self, ethernet: &Ethernet, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        match request.input::<u32>() {
            Ok(id) if id != 0 && !self.config.vlan => NDIS_STATUS_NOT_SUPPORTED,
            Ok(id) if VLAN_ID.takes(id) => {
                let mut tagging = ethernet.tagging();
                tagging.own = u16::try_from(id).unwrap_or(0);
                ethernet.set_tagging(tagging);
                NDIS_STATUS_SUCCESS
            }
            Ok(_) => NDIS_STATUS_INVALID_DATA,
            Err(status) => status,
        }
    }

    /// `OID_TCP_OFFLOAD_CURRENT_CONFIG`.
    pub(super) fn query_offloads(ethernet: &Ethernet, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let offloads = ethernet.port.lock().offloads;
        request.answer(&task_offload::structure(offloads))
    }

    /// `OID_TCP_OFFLOAD_PARAMETERS`: NDIS is told what is on afterwards.
    pub(super) fn set_offloads(&self, ethernet: &Ethernet, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let port = *ethernet.port.lock();
        let offloads = match task_offload::change(port.offloads, request.whole_input()) {
            Ok(offloads) => offloads,
            Err(status) => return status,
        };
        ethernet.port.lock().offloads = offloads;
        ethernet.set_offloads(task_offload::in_force(offloads, port.encapsulation));
        miniport::indicate_offloads(self.handle, &mut task_offload::structure(offloads));
        NDIS_STATUS_SUCCESS
    }

    /// `OID_OFFLOAD_ENCAPSULATION`.
    pub(super) fn query_encapsulation(ethernet: &Ethernet, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let encapsulation = ethernet.port.lock().encapsulation;
        request.answer(&task_offload::encapsulation_structure(encapsulation))
    }

    /// `OID_OFFLOAD_ENCAPSULATION`.
    pub(super) fn set_encapsulation(ethernet: &Ethernet, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let port = *ethernet.port.lock();
        match task_offload::encapsulate(port.encapsulation, request.whole_input()) {
            Ok(encapsulation) => {
                ethernet.port.lock().encapsulation = encapsulation;
                ethernet.set_offloads(task_offload::in_force(port.offloads, encapsulation));
                NDIS_STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    /// `OID_PM_PARAMETERS`: nothing wakes the adapter.
    pub(super) fn query_wake_up(request: &mut OidRequest<'_>) -> NDIS_STATUS {
        request.answer(&NDIS_PM_PARAMETERS {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_DEFAULT,
                Revision: NDIS_PM_PARAMETERS_REVISION_2,
                Size: NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2,
            },
            ..NDIS_PM_PARAMETERS::zeroed()
        })
    }

    /// `OID_PM_PARAMETERS`: only nothing can be asked for.
    pub(super) fn set_wake_up(request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let least = usize::from(NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_1);
        if request.room() < least {
            return request.needs(least);
        }
        let nothing = request
            .whole_input()
            .iter()
            .skip(size_of::<NDIS_OBJECT_HEADER>())
            .take(usize::from(NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2) - size_of::<NDIS_OBJECT_HEADER>())
            .all(|byte| *byte == 0);
        if nothing {
            NDIS_STATUS_SUCCESS
        } else {
            NDIS_STATUS_INVALID_PARAMETER
        }
    }
}
