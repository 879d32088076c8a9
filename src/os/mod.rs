//! The operating system as the rest of the driver sees it: the only folder that calls ntoskrnl, NDIS and NETIO.
//!
//! Each module wraps one facility in a type whose safe functions keep the rules that Windows documents for it: the IRQL
//! in the signature (`irql::Passive`), the lifetime in `Drop`, failure in `Result`. Elsewhere than on Windows there are only
//! the rules that need no OS.

#[cfg(windows)]
pub mod bus;
pub mod dma;
#[cfg(windows)]
pub mod event;
#[cfg(windows)]
pub mod event_log;
#[cfg(windows)]
pub mod handle;
#[cfg(windows)]
pub mod interrupt;
#[cfg(windows)]
pub mod irql;
#[cfg(windows)]
pub mod lock;
#[cfg(windows)]
pub mod miniport;
#[cfg(windows)]
pub mod mmio;
#[cfg(windows)]
pub mod nbl;
#[cfg(windows)]
pub mod netio;
#[cfg(windows)]
pub mod oid;
#[cfg(windows)]
pub mod once;
#[cfg(windows)]
pub mod pool;
#[cfg(windows)]
pub mod processors;
#[cfg(windows)]
pub mod registry;
#[cfg(windows)]
pub mod route;
#[cfg(windows)]
pub mod time;
#[cfg(windows)]
pub mod timer;
#[cfg(windows)]
pub mod work;
#[cfg(windows)]
pub mod work_item;

/// Bytes of a `T`, as NDIS counts them.
#[must_use]
pub const fn bytes_of<T>() -> u32 {
    const { assert!(size_of::<T>() <= u32::MAX as usize) };
    #[expect(clippy::cast_possible_truncation, reason = "checked above, when compiling")]
    let bytes = size_of::<T>() as u32;
    bytes
}
