//! MSI-X interrupts.
#![expect(unsafe_code, reason = "NDIS interrupts and their callbacks")]

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use ndk_sys::{
    BOOLEAN, FALSE, GROUP_AFFINITY, NDIS_CONNECT_MESSAGE_BASED, NDIS_HANDLE, NDIS_INDICATE_ALL_NBLS,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_MINIPORT_INTERRUPT_REVISION_1, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT, NDIS_RECEIVE_THROTTLE_PARAMETERS,
    NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1, NDIS_STATUS, TRUE, imports::ndis,
};
use ndk_sys::{NDIS_STATUS_RESOURCE_CONFLICT, NDIS_STATUS_SUCCESS};

use super::handle::AdapterHandle;
use super::irql::Passive;
use super::pool::{PoolArc, Pooled};

/// Most messages.
const MESSAGES: usize = vrnic_abi::pci::VECTORS as usize;

/// How many received lists a DPC may hand to NDIS, and whether that was not enough.
pub struct Throttle {
    limit: u32,
    more: bool,
}

impl Throttle {
    /// Lists that may be handed to NDIS.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// There are more than may be handed on now.
    pub fn set_more(&mut self) {
        self.more = true;
    }
}

/// Whom interrupts are for.
pub trait InterruptTarget: Pooled + Send + Sync {
    /// A message came in. `DISPATCH_LEVEL`; several processors may be here at the same time, for the same message too.
    ///
    /// Returns whether there is more to do, apart from what `throttle` says: the call is then repeated, after others have had
    /// their turn.
    fn on_message(&self, message: u32, throttle: &mut Throttle) -> bool;
}

/// The adapter's connected interrupt messages. It keeps its target alive; dropping it at `PASSIVE_LEVEL` disconnects, and no
/// handler runs or will run when that is done.
pub struct Interrupt<T: InterruptTarget> {
    handle: NDIS_HANDLE,
    messages: u32,
    /// The context of the handlers.
    context: NonNull<Context<T>>,
}

/// What the handlers get.
struct Context<T: InterruptTarget> {
    target: PoolArc<T>,
    /// For asking for another DPC; null until `register` is done.
    handle: core::sync::atomic::AtomicPtr<c_void>,
    /// By message: the processor that its DPC runs on. [`ANYWHERE`], or group and number in the upper and lower half.
    targets: [AtomicU32; MESSAGES],
}

/// A DPC runs where its interrupt came in.
const ANYWHERE: u32 = u32::MAX;

impl<T: InterruptTarget> Context<T> {
    fn target(&self, message: u32) -> Option<GROUP_AFFINITY> {
        let target = self.targets.get(message as usize)?.load(Ordering::Relaxed);
        if target == ANYWHERE {
            return None;
        }
        Some(GROUP_AFFINITY {
            Mask: 1 << (target & 63),
            Group: (target >> 16) as u16,
            ..GROUP_AFFINITY::zeroed()
        })
    }

    fn handle(&self) -> NDIS_HANDLE {
        self.handle.load(Ordering::Acquire)
    }
}

impl<T: InterruptTarget> Pooled for Context<T> {
    const TAG: super::pool::Tag = super::pool::Tag::new(*b"VrIn");
}

// SAFETY: a handle and a reference to something that may be shared.
unsafe impl<T: InterruptTarget> Send for Interrupt<T> {}
// SAFETY: as above.
unsafe impl<T: InterruptTarget> Sync for Interrupt<T> {}

impl<T: InterruptTarget> Interrupt<T> {
    /// Connects the adapter's messages. Handlers may run before this returns.
    ///
    /// # Errors
    ///
    /// What NDIS says; [`NDIS_STATUS_RESOURCE_CONFLICT`] if the system granted no message interrupt: the device has no
    /// other kind.
    pub fn register(
        passive: &Passive,
        adapter: AdapterHandle,
        target: PoolArc<T>,
    ) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let context = Context {
            target,
            handle: core::sync::atomic::AtomicPtr::new(core::ptr::null_mut()),
            targets: [const { AtomicU32::new(ANYWHERE) }; MESSAGES],
        };
        let context = super::pool::PoolBox::new(context)
            .map_err(NDIS_STATUS::from)?
            .into_raw();
        let mut characteristics = NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
                Revision: NDIS_MINIPORT_INTERRUPT_REVISION_1,
                Size: NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1,
            },
            InterruptHandler: Some(line_interrupt),
            InterruptDpcHandler: Some(line_interrupt_dpc),
            MsiSupported: TRUE,
            MessageInterruptHandler: Some(message_interrupt::<T>),
            MessageInterruptDpcHandler: Some(message_interrupt_dpc::<T>),
            ..NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS::zeroed()
        };
        let mut handle = core::ptr::null_mut();
        // SAFETY: a valid adapter handle, a filled structure, a context that lives until deregistration.
        let status = unsafe {
            ndis::NdisMRegisterInterruptEx(
                adapter.raw(),
                context.as_ptr().cast(),
                &raw mut characteristics,
                &raw mut handle,
            )
        };
        if status != NDIS_STATUS_SUCCESS {
            // SAFETY: the block of `into_raw`; no handler has it.
            drop(unsafe { super::pool::PoolBox::from_raw(context) });
            return Err(status);
        }
        // SAFETY: the context lives; handlers read the same atomic.
        unsafe { context.as_ref() }
            .handle
            .store(handle, Ordering::Release);
        let mut interrupt = Self {
            handle,
            messages: 0,
            context,
        };
        let table = NonNull::new(characteristics.MessageInfoTable);
        if characteristics.InterruptType == NDIS_CONNECT_MESSAGE_BASED
            && let Some(table) = table
        {
            // SAFETY: NDIS filled the table in, and it lives as long as the registration.
            interrupt.messages = unsafe { table.as_ref() }.MessageCount;
        }
        // Dropping `interrupt` undoes the registration.
        if interrupt.messages == 0 {
            Err(NDIS_STATUS_RESOURCE_CONFLICT)
        } else {
            Ok(interrupt)
        }
    }

    /// Calls the target for `message` soon, as if it had come in. Any IRQL.
    pub fn request(&self, message: u32) {
        // SAFETY: the block lives as long as the registration.
        let target = unsafe { self.context.as_ref() }.target(message);
        queue_dpc(self.handle, message, target);
    }

    /// Has the target called for `message` on that processor, whose number in its group is below 64.
    pub fn set_target(&self, message: u32, group: u16, number: u8) {
        let target = u32::from(group) << 16 | u32::from(number & 63);
        // SAFETY: the block lives as long as the registration.
        let targets = &unsafe { self.context.as_ref() }.targets;
        if let Some(place) = targets.get(message as usize) {
            place.store(target, Ordering::Relaxed);
        }
    }

    /// Messages that the system granted, at least one. Message `n` is MSI-X vector `n`.
    #[must_use]
    pub fn messages(&self) -> u32 {
        self.messages
    }
}

/// Queues the DPC of `message` to the processor `target`, or to the first, which every system has. Any IRQL. One that is queued
/// already is enough.
fn queue_dpc(interrupt: NDIS_HANDLE, message: u32, target: Option<GROUP_AFFINITY>) {
    let mut target = target.unwrap_or(GROUP_AFFINITY {
        Mask: 1,
        ..GROUP_AFFINITY::zeroed()
    });
    // SAFETY: a registered interrupt, and a valid set of processors.
    unsafe {
        ndis::NdisMQueueDpcEx(interrupt, message, &raw mut target, core::ptr::null_mut());
    };
}

impl<T: InterruptTarget> Drop for Interrupt<T> {
    fn drop(&mut self) {
        // SAFETY: registered; waits until no handler runs.
        unsafe { ndis::NdisMDeregisterInterruptEx(self.handle) };
        // SAFETY: the block of `register`; no handler uses it any more.
        drop(unsafe { super::pool::PoolBox::from_raw(self.context) });
    }
}

/// `MiniportMessageInterrupt`: a message needs no acknowledgement, everything else is for the DPC. Device IRQL.
unsafe extern "system" fn message_interrupt<T: InterruptTarget>(
    context: NDIS_HANDLE,
    message: u32,
    queue_default: *mut BOOLEAN,
    target_processors: *mut u32,
) -> BOOLEAN {
    // SAFETY: the context lives until the interrupt is deregistered.
    let context = unsafe { &*context.cast::<Context<T>>() };
    let handle = context.handle();
    let default = match context.target(message) {
        Some(target) if !handle.is_null() => {
            queue_dpc(handle, message, Some(target));
            FALSE
        }
        _ => TRUE,
    };
    // SAFETY: NDIS passes a place for the answer.
    unsafe { *queue_default = default };
    // SAFETY: as above.
    unsafe { *target_processors = 0 };
    TRUE
}

/// `MiniportMessageInterruptDPC`.
unsafe extern "system" fn message_interrupt_dpc<T: InterruptTarget>(
    context: NDIS_HANDLE,
    message: u32,
    _dpc_context: *mut c_void,
    throttle: *mut c_void,
    _reserved: *mut c_void,
) {
    // SAFETY: the context lives until the interrupt is deregistered.
    let context = unsafe { &*context.cast::<Context<T>>() };
    // SAFETY: null, or the parameters of this call.
    let parameters = unsafe { throttle.cast::<NDIS_RECEIVE_THROTTLE_PARAMETERS>().as_mut() };
    let mut throttle = Throttle {
        limit: parameters
            .as_ref()
            .map_or(NDIS_INDICATE_ALL_NBLS, |parameters| parameters.MaxNblsToIndicate),
        more: false,
    };
    let mut again = context.target.on_message(message, &mut throttle);
    match parameters {
        // NDIS calls once more.
        Some(parameters) if throttle.limit != NDIS_INDICATE_ALL_NBLS => {
            parameters.set_MoreNblsPending(throttle.more.into());
        }
        _ => again |= throttle.more,
    }
    let handle = context.handle();
    if again && !handle.is_null() {
        queue_dpc(handle, message, context.target(message));
    }
}

/// `MiniportInterrupt`: the device has no line interrupt, so that one on a shared line is never ours. Device IRQL.
unsafe extern "system" fn line_interrupt(
    _context: NDIS_HANDLE,
    queue_dpc: *mut BOOLEAN,
    target_processors: *mut u32,
) -> BOOLEAN {
    // SAFETY: NDIS passes a place for the answer.
    unsafe { *queue_dpc = FALSE };
    // SAFETY: as above.
    unsafe { *target_processors = 0 };
    FALSE
}

/// `MiniportInterruptDPC`, which [`line_interrupt`] never asks for.
unsafe extern "system" fn line_interrupt_dpc(
    _context: NDIS_HANDLE,
    _dpc_context: *mut c_void,
    _throttle: *mut c_void,
    _reserved: *mut c_void,
) {
}
