//! The operating system as the rest of the driver sees it: the only folder that calls ntoskrnl, NDIS and NETIO.
//!
//! Each module wraps one facility in a type whose safe functions keep the rules that Windows documents for it: the IRQL
//! in the signature ([`irql::Passive`]), the lifetime in `Drop`, failure in `Result`.

pub mod bus;
pub mod dma;
pub mod event;
pub mod event_log;
pub mod handle;
pub mod interrupt;
pub mod irql;
pub mod lock;
pub mod miniport;
pub mod mmio;
pub mod nbl;
pub mod netio;
pub mod oid;
pub mod once;
pub mod pool;
pub mod registry;
pub mod time;
pub mod timer;
pub mod work;

/// Bytes of a `T`, as NDIS counts them.
#[must_use]
pub const fn bytes_of<T>() -> u32 {
    const { assert!(size_of::<T>() <= u32::MAX as usize) };
    #[expect(clippy::cast_possible_truncation, reason = "checked above, when compiling")]
    let bytes = size_of::<T>() as u32;
    bytes
}
