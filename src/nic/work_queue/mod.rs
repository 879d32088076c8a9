//! Work queues and completion queues: what is on the fast path between consumers and the device.
//!
//! | module | what it is |
//! |---|---|
//! | [`wqe`] | work requests, written straight into the ring |
//! | [`send`], [`receive`], [`shared`] | which requests are outstanding, and their consumers' names |
//! | [`completion`] | completions as they are read |
//! | `memory`, `doorbell` | rings and doorbells |
//! | `directory` | arrays by object number |
//! | `queue_pair`, `completion_queue` | all of it together |

pub mod completion;
pub mod receive;
pub mod send;
pub mod shared;
pub mod wqe;

#[cfg(windows)]
pub mod completion_queue;
#[cfg(windows)]
pub mod directory;
#[cfg(windows)]
pub mod doorbell;
#[cfg(windows)]
pub mod memory;
#[cfg(windows)]
pub mod queue_pair;

/// Logarithm of the smallest ring that holds `entries`.
#[must_use]
pub const fn log2_entries(entries: u32) -> u8 {
    // At most 32.
    (entries.next_power_of_two().trailing_zeros() & 0xFF) as u8
}
