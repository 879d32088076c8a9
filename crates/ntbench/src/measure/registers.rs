//! What it costs to ring a doorbell and to reach a register, by where the NIC is.

use crate::machine::AdapterSetup;
use crate::pci::slot::Slot;
use crate::verifier::pool::Placement;
use crate::{Config, Kernel};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};
use vrnic_abi::{doorbell, pci, regs};
use vrnic_device::{CableEnd, Wire};

/// Medians of one access each.
#[derive(Clone, Copy, Debug)]
pub struct AccessCosts {
    /// What a driver does to ring: the store, the barrier, and the look whether the device sleeps.
    pub doorbell: Duration,
    /// `KICK`, which wakes a device that sleeps: until the device has it.
    pub kick: Duration,
    /// Reading a register.
    pub read: Duration,
}

/// How many accesses are timed together.
const BATCH: u32 = 16;

/// Measures the NIC in this process, or the one that is served at `socket`.
///
/// # Errors
/// Nobody serves it, or its BARs cannot be mapped.
pub fn access_costs(socket: Option<&Path>, rounds: usize) -> io::Result<AccessCosts> {
    let _kernel = Kernel::boot(&Config {
        echo_debug: false,
        pool: Placement::Fast,
        ..Config::default()
    });
    let [wire, _] = CableEnd::pair();
    let slot = match socket {
        Some(socket) => Slot::vfio_user(0, socket)?.0,
        None => Slot::plug(0, AdapterSetup::numbered(0).nic, wire as Arc<dyn Wire>)?,
    };
    let mapped = |index: u8| {
        let bar = slot.bars().iter().find(|bar| bar.index == index)?;
        slot.map(bar.address, bar.size)
    };
    let unmapped = || io::Error::other("a BAR cannot be mapped");
    let registers = mapped(pci::REGISTER_BAR).ok_or_else(unmapped)?;
    let doorbells = mapped(pci::DOORBELL_BAR).ok_or_else(unmapped)?;
    // The queue of that doorbell does not exist.
    let eq = doorbell::EQ + u64::from(doorbell::MAX_EQS - 1) * doorbell::EQ_STRIDE + doorbell::EQ_CONSUMER;
    let (rung, sleep) = (word(doorbells, eq), word(doorbells, doorbell::SLEEP));
    let (kick, link) = (
        word(registers, regs::KICK.into()),
        word(registers, regs::LINK.into()),
    );
    let costs = AccessCosts {
        doorbell: median(rounds, |turn| {
            rung.store(turn, Ordering::Release);
            fence(Ordering::SeqCst);
            sleep.load(Ordering::Relaxed);
        }),
        kick: median(rounds, |_| kick.store(1, Ordering::Relaxed)),
        read: median(rounds, |_| {
            link.load(Ordering::Relaxed);
        }),
    };
    slot.unmap(registers);
    slot.unmap(doorbells);
    Ok(costs)
}

/// A word of a BAR that is mapped at `base`.
fn word<'a>(base: usize, offset: u64) -> &'a AtomicU32 {
    let address = base + usize::try_from(offset).unwrap_or(0);
    #[expect(unsafe_code, reason = "BARs are mapped at addresses, as a driver has them")]
    // SAFETY: the offset is an aligned word of the BAR, and nobody uses it after `unmap`; pages that are not there are trapped.
    unsafe {
        AtomicU32::from_ptr(address as *mut u32)
    }
}

/// The median of one access, from batches.
fn median(rounds: usize, access: impl Fn(u32)) -> Duration {
    let batch = |_| {
        let start = Instant::now();
        (0..BATCH).for_each(&access);
        start.elapsed() / BATCH
    };
    let mut times: Vec<Duration> = (0..rounds.max(1)).map(batch).collect();
    times.sort_unstable();
    times[times.len() / 2]
}
