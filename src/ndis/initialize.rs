//! `MiniportInitializeEx`: each step can fail, and then halt's teardown undoes those before it.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ptr::NonNull;

use ndk_sys::{
    EVENT_NDIS_ADAPTER_NOT_FOUND, EVENT_NDIS_BAD_VERSION, EVENT_NDIS_HARDWARE_FAILURE,
    EVENT_NDIS_INTERRUPT_CONNECT, EVENT_NDIS_INVALID_VALUE_FROM_ADAPTER, EVENT_NDIS_OUT_OF_RESOURCE,
    EVENT_NDIS_RESOURCE_CONFLICT, EVENT_NDIS_TIMEOUT, EVENT_NDIS_UNSUPPORTED_CONFIGURATION, NDIS_HANDLE,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_FOUND, NDIS_STATUS_FAILURE,
    NDIS_STATUS_RESOURCE_CONFLICT, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};
use vrnic_abi::info::CAP_ETH;
use vrnic_abi::pci::{DEVICE_ID, DOORBELL_BAR_SIZE, REGISTER_BAR_SIZE, VECTORS, VENDOR_ID};

use super::adapter::Adapter;
use super::config::Config;
use super::ethernet::{Closed, Ethernet};
use super::interrupt::TICK;
use super::rss::Processor;
use super::{attributes, oids, task_offload};
use crate::ndk::{self, Provider};
use crate::nic::{BringUpError, Nic, Resources};
use crate::os::bus;
use crate::os::dma::DmaChannel;
use crate::os::event_log;
use crate::os::handle::AdapterHandle;
use crate::os::interrupt::Interrupt;
use crate::os::irql::Passive;
use crate::os::miniport;
use crate::os::netio::Notification;
use crate::os::pool::PoolArc;
use crate::os::processors::{self, ScalingProcessors};
use crate::os::registry::Configuration;
use crate::os::timer::Timer;
use crate::os::work::Worker;

/// Why the adapter does not come up: for the event log and for NDIS.
struct Failure {
    event: event_log::EventCode,
    text: &'static str,
    detail: u32,
    status: NDIS_STATUS,
}

impl Failure {
    fn new(event: event_log::EventCode, text: &'static str, status: NDIS_STATUS) -> Self {
        Self {
            event,
            text,
            detail: status.cast_unsigned(),
            status,
        }
    }
}

impl From<BringUpError> for Failure {
    fn from(error: BringUpError) -> Self {
        use crate::nic::command::CommandError;
        let (event, text, detail, status) = match error {
            BringUpError::Ndis(status) => (
                EVENT_NDIS_OUT_OF_RESOURCE,
                "no memory for the device",
                status.cast_unsigned(),
                status,
            ),
            BringUpError::Identity(value) => (
                EVENT_NDIS_BAD_VERSION,
                "device has another interface",
                value,
                NDIS_STATUS_ADAPTER_NOT_FOUND,
            ),
            BringUpError::State(state) => {
                use crate::nic::StateError;
                match state {
                    StateError::Timeout => (
                        EVENT_NDIS_TIMEOUT,
                        "device does not start",
                        0,
                        NDIS_STATUS_FAILURE,
                    ),
                    StateError::Fatal(syndrome) => (
                        EVENT_NDIS_HARDWARE_FAILURE,
                        "device stops at once",
                        syndrome,
                        NDIS_STATUS_FAILURE,
                    ),
                    StateError::Removed => (
                        EVENT_NDIS_ADAPTER_NOT_FOUND,
                        "device is gone",
                        0,
                        NDIS_STATUS_ADAPTER_NOT_FOUND,
                    ),
                }
            }
            BringUpError::Command(opcode, CommandError::Firmware { status, syndrome }) => {
                wdk::println!("vrnic: {opcode:?} failed: {status:?}, syndrome {syndrome:#x}");
                (
                    EVENT_NDIS_HARDWARE_FAILURE,
                    "device refuses a command",
                    opcode.0.into(),
                    NDIS_STATUS_FAILURE,
                )
            }
            BringUpError::Command(opcode, _) => (
                EVENT_NDIS_TIMEOUT,
                "device does not answer a command",
                opcode.0.into(),
                NDIS_STATUS_FAILURE,
            ),
            BringUpError::Info(field) => (
                EVENT_NDIS_INVALID_VALUE_FROM_ADAPTER,
                field.0,
                0,
                NDIS_STATUS_FAILURE,
            ),
        };
        Self {
            event,
            text,
            detail,
            status,
        }
    }
}

/// `MiniportInitializeEx`.
pub unsafe extern "system" fn initialize(
    handle: NDIS_HANDLE,
    _driver_context: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    // SAFETY: the adapter's handle, kept in the adapter only.
    let handle = unsafe { AdapterHandle::new(handle) };
    // SAFETY: NDIS passes its parameters.
    let Some(parameters) = (unsafe { parameters.as_ref() }) else {
        return NDIS_STATUS_FAILURE;
    };
    match start(&passive, handle, parameters) {
        Ok(()) => NDIS_STATUS_SUCCESS,
        Err(failure) => {
            event_log::write(failure.event, failure.text, failure.detail);
            failure.status
        }
    }
}

fn start(
    passive: &Passive,
    handle: AdapterHandle,
    parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
) -> Result<(), Failure> {
    let keywords = Configuration::open(passive, handle).map_err(|status| {
        Failure::new(
            EVENT_NDIS_UNSUPPORTED_CONFIGURATION,
            "configuration cannot be read",
            status,
        )
    })?;
    let config = Config::read(&keywords);
    drop(keywords);
    let adapter = PoolArc::new(Adapter::new(
        handle,
        parameters.NetLuid,
        parameters.IfIndex,
        config,
    ))
    .map_err(|_| {
        Failure::new(
            EVENT_NDIS_OUT_OF_RESOURCE,
            "no memory for the adapter",
            NDIS_STATUS_RESOURCES,
        )
    })?;
    let context = adapter.into_raw();
    let registered = miniport::set_registration_attributes(
        passive,
        handle,
        attributes::registration(context.as_ptr().cast()),
    );
    // SAFETY: NDIS calls nothing for the adapter until this returns, so that the reference is ours for now.
    let adapter = unsafe { Adapter::take(context) };
    let result = registered
        .map_err(|status| {
            Failure::new(
                EVENT_NDIS_UNSUPPORTED_CONFIGURATION,
                "NDIS refuses the adapter",
                status,
            )
        })
        .and_then(|()| adapter.start(passive, &adapter, parameters));
    match result {
        Ok(()) => {
            // The reference that NDIS holds until halt.
            let _context: NonNull<Adapter> = adapter.into_raw();
            Ok(())
        }
        Err(failure) => {
            Adapter::tear_down(adapter, passive);
            Err(failure)
        }
    }
}

impl Adapter {
    /// Everything after the registration attributes.
    fn start(
        &self,
        passive: &Passive,
        this: &PoolArc<Self>,
        parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> Result<(), Failure> {
        let resources = self.resources(parameters)?;
        let out_of_memory = |_| {
            Failure::new(
                EVENT_NDIS_OUT_OF_RESOURCE,
                "no memory for the workers",
                NDIS_STATUS_RESOURCES,
            )
        };
        let worker = Worker::new(passive, self.handle, this.clone(), Self::work).map_err(out_of_memory)?;
        let _empty = self.worker.set(worker);
        let ndk_worker =
            Worker::new(passive, self.handle, this.clone(), Self::change_ndk_state).map_err(out_of_memory)?;
        let _empty = self.ndk_worker.set(ndk_worker);
        let dma = DmaChannel::register(passive, self.handle)
            .map_err(|status| Failure::new(EVENT_NDIS_RESOURCE_CONFLICT, "no DMA channel", status))?;
        let _empty = self.dma.set(dma);
        let nic = Nic::bring_up(passive, &resources)?;
        wdk::println!(
            "vrnic: firmware {:#x}, {} GIDs",
            nic.firmware_version(),
            nic.info().gid_entries
        );
        let _empty = self.nic.set(nic.clone());
        let messages = self.connect_interrupt(passive, this)?;
        let messages = nic.start_events(passive, messages)?;
        self.start_ethernet(passive, &nic, messages)?;
        self.set_attributes(passive, &nic, messages)?;
        self.start_ndk(passive, this, &nic);
        let timer = Timer::start(passive, self.handle, this.clone(), TICK)
            .map_err(|status| Failure::new(EVENT_NDIS_OUT_OF_RESOURCE, "no timer", status))?;
        *self.timer.lock() = Some(timer);
        // The queues of events are served for the first time, and armed.
        if let Some(interrupt) = self.interrupt.lock().as_ref() {
            (0..messages).for_each(|message| interrupt.request(message.into()));
        }
        Ok(())
    }

    /// Allocates the Ethernet queues and makes them known to the device.
    fn start_ethernet(&self, passive: &Passive, nic: &PoolArc<Nic>, messages: u16) -> Result<(), Failure> {
        let limit = nic.info().max_eth_queues.get();
        if nic.info().capabilities.get() & CAP_ETH == 0 || limit == 0 {
            return Err(Failure {
                event: EVENT_NDIS_INVALID_VALUE_FROM_ADAPTER,
                text: "device has no Ethernet",
                detail: nic.info().capabilities.get(),
                status: NDIS_STATUS_FAILURE,
            });
        }
        let processors = if self.config.rss {
            processors::for_scaling(passive, self.handle)
        } else {
            ScalingProcessors::default()
        };
        // The first message is for commands and everything else.
        let own_messages = u32::from(messages).saturating_sub(1).max(1);
        let count = if self.config.rss {
            self.config
                .queues
                .min(limit.into())
                .min(own_messages)
                .min(processors.count().max(1))
        } else {
            1
        };
        let message = |index: usize| match messages {
            0 | 1 => 0,
            // Below the number of messages.
            _ => u32::try_from(index).unwrap_or(0) % own_messages + 1,
        };
        let ethernet = Ethernet::new(passive, nic, &self.config, count as usize, message)
            .map_err(|status| Failure::new(EVENT_NDIS_OUT_OF_RESOURCE, "no memory for frames", status))?;
        let _empty = self.ethernet.set(ethernet);
        let Some(ethernet) = self.ethernet.get() else {
            return Ok(()); // Cannot be: it was set above.
        };
        // Until NDIS sets a table.
        for (index, processor) in processors.from(self.config.base_processor).enumerate() {
            self.set_queue_processor(index, processor);
        }
        ethernet.start(passive, nic, Closed::RESET).map_err(|error| {
            Failure::new(
                EVENT_NDIS_HARDWARE_FAILURE,
                "Ethernet does not start",
                error.into(),
            )
        })?;
        if !nic.link().up {
            ethernet.close(Closed::DISCONNECTED, false);
        }
        Ok(())
    }

    /// The processor that serves queue `index`.
    pub(super) fn set_queue_processor(&self, index: usize, processor: Processor) {
        let message = self
            .ethernet
            .get()
            .and_then(|ethernet| ethernet.message_of(index));
        if let (Some(message), Some(interrupt)) = (message, self.interrupt.lock().as_ref()) {
            interrupt.set_target(message, processor.group, processor.number);
        }
    }

    fn set_attributes(&self, passive: &Passive, nic: &Nic, messages: u16) -> Result<(), Failure> {
        let Some(ethernet) = self.ethernet.get() else {
            return Ok(()); // Cannot be: it has been started.
        };
        let refused = |status| {
            Failure::new(
                EVENT_NDIS_UNSUPPORTED_CONFIGURATION,
                "NDIS refuses attributes",
                status,
            )
        };
        let mut general = attributes::general(nic, ethernet, &self.config);
        let mut scaling = attributes::scaling(ethernet.queue_count(), messages);
        if self.config.rss {
            general.RecvScaleCapabilities = &raw mut scaling;
        }
        let mut power = attributes::power();
        general.PowerManagementCapabilitiesEx = &raw mut power;
        miniport::set_general_attributes(passive, self.handle, general, oids::supported(self.config.rss))
            .map_err(refused)?;
        let current = task_offload::structure(self.config.offloads);
        let hardware = task_offload::structure(task_offload::HARDWARE);
        miniport::set_offload_attributes(passive, self.handle, current, hardware).map_err(refused)
    }

    fn resources(&self, parameters: &NDIS_MINIPORT_INIT_PARAMETERS) -> Result<Resources, Failure> {
        if bus::vendor_and_device(self.handle) != Some((VENDOR_ID, DEVICE_ID)) {
            let status = NDIS_STATUS_ADAPTER_NOT_FOUND;
            return Err(Failure::new(
                EVENT_NDIS_ADAPTER_NOT_FOUND,
                "not a vrnic device",
                status,
            ));
        }
        let bar = |length| {
            // SAFETY: the list that NDIS passed.
            unsafe { bus::memory_resource(parameters.AllocatedResources, length) }.ok_or_else(|| {
                Failure::new(
                    EVENT_NDIS_RESOURCE_CONFLICT,
                    "a memory range is missing",
                    NDIS_STATUS_RESOURCE_CONFLICT,
                )
            })
        };
        Ok(Resources {
            adapter: self.handle,
            registers: bar(REGISTER_BAR_SIZE)?,
            doorbells: bar(DOORBELL_BAR_SIZE)?,
            command_timeout: self.config.command_timeout,
        })
    }

    /// Connects the interrupt messages; how many of them are used: one for commands and everything but completions, and one
    /// for the completions of each processor.
    fn connect_interrupt(&self, passive: &Passive, this: &PoolArc<Self>) -> Result<u16, Failure> {
        let interrupt = Interrupt::register(passive, self.handle, this.clone())
            .map_err(|status| Failure::new(EVENT_NDIS_INTERRUPT_CONNECT, "no message interrupts", status))?;
        let used = interrupt
            .messages()
            .min(processors::count().saturating_add(1))
            .min(u32::from(VECTORS));
        *self.interrupt.lock() = Some(interrupt);
        Ok(u16::try_from(used).unwrap_or(VECTORS))
    }

    /// Starts the NDK provider. If that fails, the NIC works without.
    fn start_ndk(&self, passive: &Passive, this: &PoolArc<Self>, nic: &PoolArc<Nic>) {
        if let Err((text, status)) = self.try_start_ndk(passive, this, nic) {
            event_log::write(ndk_sys::EVENT_NDIS_DRIVER_FAILURE, text, status.cast_unsigned());
        }
    }

    fn try_start_ndk(
        &self,
        passive: &Passive,
        this: &PoolArc<Self>,
        nic: &PoolArc<Nic>,
    ) -> Result<(), (&'static str, NDIS_STATUS)> {
        let enabled = self.config.network_direct;
        nic.start_cm(passive)
            .map_err(|error| ("the CM service does not start", error.into()))?;
        let config = ndk::Config {
            enabled,
            luid: self.luid,
            interface_index: self.interface_index,
            frame_size: self.config.frame_size,
        };
        let provider = Provider::new(passive, nic.clone(), &config)
            .map_err(|status| ("NDK could not be started", status))?;
        let mut capabilities = provider.capabilities();
        miniport::set_ndk_attributes(passive, self.handle, enabled, &mut capabilities)
            .map_err(|status| ("NDIS refuses the NDK attributes", status))?;
        let notification = Notification::register(passive, this.clone())
            .map_err(|status| ("no notification of addresses", status))?;
        self.ndk_state.start(enabled);
        let _empty = self.provider.set(provider);
        *self.notification.lock() = Some(notification);
        self.refresh_addresses(passive);
        Ok(())
    }
}
