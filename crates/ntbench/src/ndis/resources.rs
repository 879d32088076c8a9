//! What an adapter has taken from NDIS, and must have given back when it is halted or its initialisation has failed.

use crate::symbols::StackTrace;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `NdisMRegisterInterruptEx`.
    Interrupt,
    /// `NdisMMapIoSpace`.
    Mapping,
    /// `NdisMRegisterScatterGatherDma`.
    Dma,
    /// `NdisMAllocateSharedMemory`.
    SharedMemory,
    /// `NdisAllocateNetBufferListPool`, `NdisAllocateNetBufferPool`.
    NetBufferPool,
    /// `NdisAllocateTimerObject`.
    Timer,
    /// `NdisAllocateIoWorkItem`.
    WorkItem,
    /// `NdisOpenConfigurationEx`.
    Configuration,
    /// Lists of DMA adapters; they come before the adapters, as they must be given back.
    ScatterGather,
    /// Common buffers of DMA adapters.
    CommonBuffer,
    /// `IoGetDmaAdapter`.
    DmaAdapter,
}

impl Kind {
    const fn taken_by(self) -> &'static str {
        match self {
            Self::Interrupt => "NdisMRegisterInterruptEx",
            Self::Mapping => "NdisMMapIoSpace",
            Self::Dma => "NdisMRegisterScatterGatherDma",
            Self::SharedMemory => "NdisMAllocateSharedMemory",
            Self::NetBufferPool => "NdisAllocateNetBufferListPool or NdisAllocateNetBufferPool",
            Self::Timer => "NdisAllocateTimerObject",
            Self::WorkItem => "NdisAllocateIoWorkItem",
            Self::Configuration => "NdisOpenConfigurationEx",
            Self::ScatterGather => "GetScatterGatherList(Ex) or BuildScatterGatherList",
            Self::CommonBuffer => "AllocateCommonBuffer",
            Self::DmaAdapter => "IoGetDmaAdapter",
        }
    }

    const fn given_back_by(self) -> &'static str {
        match self {
            Self::Interrupt => "NdisMDeregisterInterruptEx",
            Self::Mapping => "NdisMUnmapIoSpace",
            Self::Dma => "NdisMDeregisterScatterGatherDma",
            Self::SharedMemory => "NdisMFreeSharedMemory",
            Self::NetBufferPool => "NdisFreeNetBufferListPool or NdisFreeNetBufferPool",
            Self::Timer => "NdisFreeTimerObject",
            Self::WorkItem => "NdisFreeIoWorkItem",
            Self::Configuration => "NdisCloseConfiguration",
            Self::ScatterGather => "PutScatterGatherList",
            Self::CommonBuffer => "FreeCommonBuffer",
            Self::DmaAdapter => "PutDmaAdapter",
        }
    }
}

/// The resources of one adapter, by kind and by handle or address.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<(Kind, u64), (usize, StackTrace)>>);

impl Ledger {
    /// The driver has taken a resource; `size` is its length where it has one.
    pub fn take(&self, kind: Kind, key: u64, size: usize) {
        self.0.lock().insert((kind, key), (size, StackTrace::track()));
    }

    /// The driver gives a resource back. Returns its size, `None` if it does not have it.
    pub fn give_back(&self, kind: Kind, key: u64) -> Option<usize> {
        self.0.lock().remove(&(kind, key)).map(|(size, _)| size)
    }

    /// Whether it has any resource of that kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.lock().keys().any(|(other, _)| *other == kind)
    }

    /// Reports what is left.
    pub fn check_empty(&self) {
        let first = self
            .0
            .lock()
            .first_key_value()
            .map(|(&(kind, key), (size, trace))| (kind, key, *size, trace.clone()));
        if let Some((kind, key, size, trace)) = first {
            leaked(kind, key, size, trace)
        }
    }
}

/// Reports a resource that was not given back.
pub fn leaked(kind: Kind, key: u64, size: usize, taken: StackTrace) -> ! {
    Violation::new(
        Rule::NdisResourceLeak,
        BugCheck::verifier(0x62, [key, size as u64, 0]),
        format!(
            "the adapter is halted, and what {} gave is not returned",
            kind.taken_by()
        ),
    )
    .detail(format!("handle or address {key:#x}, size {size}"))
    .stack(format!("taken by {}", kind.taken_by()), taken)
    .advice(format!(
        "Call {} in MiniportHaltEx, and when MiniportInitializeEx fails after taking it.",
        kind.given_back_by()
    ))
    .stop()
}

/// Reports a resource that is given back but is not there.
pub fn not_there(kind: Kind, key: u64) -> ! {
    Violation::new(
        Rule::NdisResourceNotHeld,
        BugCheck::verifier(0x91, [key, 0, 0]),
        format!(
            "{} was called with {key:#x}, which this adapter does not have",
            kind.given_back_by()
        ),
    )
    .advice(format!("Pass exactly what {} gave, once.", kind.taken_by()))
    .stop()
}
