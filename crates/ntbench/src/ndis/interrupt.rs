//! Message-signalled interrupts: the ISR at device level, its DPC at dispatch level.

use super::adapter::Miniport;
use super::handles;
use super::header::{self, Expected};
use super::resources::Kind;
use crate::cpu::call::call;
use crate::cpu::irql::{DEVICE_LEVEL, RaisedIrql};
use crate::cpu::vp::{self, Dpc};
use crate::exports;
use crate::memory;
use crate::verifier::{faults, limits};
use ndk_sys::{
    BOOLEAN, GROUP_AFFINITY, IO_INTERRUPT_MESSAGE_INFO, NDIS_CONNECT_MESSAGE_BASED,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
    NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_BAD_CHARACTERISTICS,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};
use parking_lot::{Condvar, Mutex, ReentrantMutex};
use std::sync::{Arc, Weak};

exports! {
    /// Interrupts.
    pub static EXPORTS: "ndis.sys" = {
        NdisMRegisterInterruptEx = function(ndis_m_register_interrupt_ex, exactly(PASSIVE_LEVEL));
        NdisMDeregisterInterruptEx = function(ndis_m_deregister_interrupt_ex, exactly(PASSIVE_LEVEL));
        NdisMSynchronizeWithInterruptEx = function(ndis_m_synchronize_with_interrupt_ex, any());
        NdisMQueueDpc = function(ndis_m_queue_dpc, any());
        NdisMQueueDpcEx = function(ndis_m_queue_dpc_ex, any());
    }
}

/// A registered interrupt.
struct Interrupt {
    miniport: Arc<Miniport>,
    context: u64,
    service: usize,
    dpc: usize,
    /// One lock for each message, or one for all (`MsiSyncWithAllMessages`).
    locks: Vec<ReentrantMutex<()>>,
    /// Services and DPCs that are queued or running, and whether more may come.
    activity: Mutex<Activity>,
    idle: Condvar,
    _message_info: Box<[u64]>,
}

#[derive(Default)]
struct Activity {
    running: usize,
    closed: bool,
}

impl Interrupt {
    /// Announces a service routine or DPC; false once the interrupt is being deregistered.
    fn begin(&self) -> bool {
        let mut activity = self.activity.lock();
        if !activity.closed {
            activity.running += 1;
        }
        !activity.closed
    }

    fn end(&self) {
        self.activity.lock().running -= 1;
        self.idle.notify_all();
    }

    fn lock(&self, message: u32) -> &ReentrantMutex<()> {
        let index = usize::try_from(message).unwrap_or(0) % self.locks.len();
        &self.locks[index]
    }

    /// The ISR of one message, at device level.
    fn serve(self: &Arc<Self>, message: u32) {
        if !self.begin() {
            return;
        }
        let (queue_default, targets): (BOOLEAN, u32) = (0, 0);
        let held = self.lock(message).lock();
        let arguments = [
            self.context,
            message.into(),
            (&raw const queue_default).addr() as u64,
            (&raw const targets).addr() as u64,
        ];
        let _recognized = call(self.service, &arguments);
        drop(held);
        // The driver has written them behind the compiler's back.
        let queue_default: BOOLEAN = memory::read((&raw const queue_default).addr());
        let targets: u32 = memory::read((&raw const targets).addr());
        if queue_default != 0 {
            self.queue_dpc(vp::current().index(), message, 0);
        }
        self.queue_dpcs(targets, message, 0);
        self.end();
    }

    fn queue_dpcs(self: &Arc<Self>, targets: u32, message: u32, context: u64) -> u32 {
        let processors = (0..vp::count().min(32)).filter(|at| targets >> at & 1 == 1);
        processors
            .filter(|&at| self.queue_dpc(at, message, context))
            .fold(0, |queued, at| queued | 1 << at)
    }

    /// Queues the message's DPC to a processor; false if it is queued there already.
    fn queue_dpc(self: &Arc<Self>, processor: usize, message: u32, context: u64) -> bool {
        let Some(vp) = vp::get(processor) else {
            return false;
        };
        if !self.begin() {
            return false;
        }
        let interrupt = Arc::clone(self);
        let run = move || {
            limits::dpc(interrupt.dpc, || {
                let _ = call(interrupt.dpc, &[interrupt.context, message.into(), context, 0, 0]);
            });
            interrupt.end();
        };
        let key = Arc::as_ptr(self).addr() + usize::try_from(message).unwrap_or(0);
        let queued = vp.queue_dpc(
            Dpc {
                key,
                run: Box::new(run),
            },
            false,
        );
        if !queued {
            self.end();
        }
        queued
    }
}

extern "win64" fn ndis_m_register_interrupt_ex(
    handle: u64,
    context: u64,
    characteristics: usize,
    interrupt_out: usize,
) -> NDIS_STATUS {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        characteristics,
        Expected {
            name: "NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS",
            kind: NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
            revision: 1,
            size: NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1,
        },
    );
    let mut value: NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS = memory::read(characteristics);
    let (Some(service), Some(dpc)) = (value.MessageInterruptHandler, value.MessageInterruptDpcHandler) else {
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    };
    if value.MsiSupported == 0 || value.InterruptHandler.is_none() || value.InterruptDpcHandler.is_none() {
        // NDIS wants the line handlers as well, for systems that give no messages; the bench always gives them.
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    }
    if faults::allocation_fails() {
        return NDIS_STATUS_RESOURCES;
    }
    let messages = miniport.slot.messages();
    let locks = if value.MsiSyncWithAllMessages == 0 {
        usize::from(messages)
    } else {
        1
    };
    let message_info = message_info(messages);
    value.InterruptType = NDIS_CONNECT_MESSAGE_BASED;
    value.MessageInfoTable = message_info.as_ptr().cast_mut().cast();
    let interrupt = Arc::new(Interrupt {
        miniport: Arc::clone(&miniport),
        context,
        service: service as usize,
        dpc: dpc as usize,
        locks: (0..locks).map(|_| ReentrantMutex::new(())).collect(),
        activity: Mutex::default(),
        idle: Condvar::new(),
        _message_info: message_info,
    });
    let connected = Arc::downgrade(&interrupt);
    let own = handles::open(interrupt);
    miniport.ledger.take(Kind::Interrupt, own, 0);
    memory::write(characteristics, value);
    memory::write(interrupt_out, own);
    miniport.slot.connect(Some(Arc::new(move |message| {
        if let Some(interrupt) = Weak::upgrade(&connected) {
            interrupt.serve(message.into());
        }
    })));
    NDIS_STATUS_SUCCESS
}

/// The `IO_INTERRUPT_MESSAGE_INFO` that the driver may read until it deregisters: a header and 48 bytes for each message.
fn message_info(messages: u16) -> Box<[u64]> {
    let mut info = IO_INTERRUPT_MESSAGE_INFO::zeroed();
    info.UnifiedIrql = DEVICE_LEVEL;
    info.MessageCount = messages.into();
    let words = (size_of::<IO_INTERRUPT_MESSAGE_INFO>() + usize::from(messages) * 48).div_ceil(8);
    let table = vec![0_u64; words].into_boxed_slice();
    memory::write(table.as_ptr().addr(), info);
    table
}

extern "win64" fn ndis_m_deregister_interrupt_ex(handle: u64) {
    let interrupt = handles::close::<Interrupt>(handle);
    interrupt.miniport.slot.connect(None);
    interrupt.miniport.ledger.give_back(Kind::Interrupt, handle);
    let mut activity = interrupt.activity.lock();
    activity.closed = true;
    while activity.running != 0 {
        interrupt.idle.wait(&mut activity);
    }
}

extern "win64" fn ndis_m_synchronize_with_interrupt_ex(
    handle: u64,
    message: u32,
    function: usize,
    context: u64,
) -> BOOLEAN {
    let interrupt = handles::get::<Interrupt>(handle);
    // First the processor, then the lock: whoever has the lock must not wait for a processor.
    let raised = RaisedIrql::at_least(DEVICE_LEVEL);
    let held = interrupt.lock(message).lock();
    let result = call(function, &[context]);
    drop(held);
    drop(raised);
    BOOLEAN::from(result & 0xFF != 0)
}

extern "win64" fn ndis_m_queue_dpc(handle: u64, message: u32, targets: u32, context: u64) -> u32 {
    handles::get::<Interrupt>(handle).queue_dpcs(targets, message, context)
}

extern "win64" fn ndis_m_queue_dpc_ex(handle: u64, message: u32, targets: usize, context: u64) -> u64 {
    let targets: GROUP_AFFINITY = memory::read(targets);
    // All processors are in group 0, at most 64 of them.
    let mask = if targets.Group == 0 {
        u32::try_from(targets.Mask & 0xFFFF_FFFF).unwrap_or(0)
    } else {
        0
    };
    handles::get::<Interrupt>(handle)
        .queue_dpcs(mask, message, context)
        .into()
}
