//! Device objects and symbolic links, as far as drivers make them for themselves. Nothing opens them: the bench sends no IRPs.

use super::pool;
use super::status::{self, NtStatus};
use super::unicode;
use crate::exports;
use crate::memory;
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::Mutex;
use std::collections::BTreeMap;

exports! {
    /// Device objects, symbolic links, and the end of IRPs.
    pub static EXPORTS: "ntoskrnl.exe" = {
        IoCreateDevice = function(io_create_device, exactly(PASSIVE_LEVEL));
        IoDeleteDevice = function(io_delete_device, at_most(APC_LEVEL));
        IoCreateSymbolicLink = function(io_create_symbolic_link, exactly(PASSIVE_LEVEL));
        IoDeleteSymbolicLink = function(io_delete_symbolic_link, exactly(PASSIVE_LEVEL));
        IofCompleteRequest = function(iof_complete_request, at_most(DISPATCH_LEVEL));
    }
}

/// Offsets in `DEVICE_OBJECT` (wdm.h, x64), and in `DRIVER_OBJECT` that of the list of its devices.
mod offset {
    pub const SIZE_OF: usize = 0x150;
    pub const DRIVER: usize = 8;
    pub const NEXT: usize = 16;
    pub const FLAGS: usize = 48;
    pub const CHARACTERISTICS: usize = 52;
    pub const EXTENSION: usize = 64;
    pub const DEVICE_TYPE: usize = 72;
    pub const STACK_SIZE: usize = 76;
    pub const DEVICES_IN_DRIVER: usize = 8;
}

/// `IO_TYPE_DEVICE`
const IO_TYPE_DEVICE: u16 = 3;
/// `DO_DEVICE_INITIALIZING`, which the I/O manager clears after `DriverEntry`.
const DO_DEVICE_INITIALIZING: u32 = 0x80;
/// A device that is not deleted shows up as a leak of this tag.
const DEVICE_TAG: u32 = u32::from_le_bytes(*b"Devi");

/// Names that are taken: devices by their address, links by their target.
static DEVICES: Mutex<BTreeMap<usize, String>> = Mutex::new(BTreeMap::new());
static LINKS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

extern "win64" fn io_create_device(
    driver: usize,
    extension_size: u32,
    name: usize,
    device_type: u32,
    characteristics: u32,
    _exclusive: u8,
    out: usize,
) -> NtStatus {
    let name = (name != 0).then(|| unicode::read(name).to_lowercase());
    if let Some(name) = &name
        && DEVICES.lock().values().any(|other| other == name)
    {
        return status::OBJECT_NAME_COLLISION;
    }
    let device = pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: offset::SIZE_OF + extension_size as usize,
        tag: DEVICE_TAG,
        zeroed: true,
        alignment: 0,
    });
    if device == 0 {
        return status::INSUFFICIENT_RESOURCES;
    }
    memory::write(device, IO_TYPE_DEVICE);
    memory::write(device + 2, u16::try_from(offset::SIZE_OF).unwrap_or(0));
    memory::write(device + offset::DRIVER, driver);
    memory::write(device + offset::FLAGS, DO_DEVICE_INITIALIZING);
    memory::write(device + offset::CHARACTERISTICS, characteristics);
    if extension_size != 0 {
        memory::write(device + offset::EXTENSION, device + offset::SIZE_OF);
    }
    memory::write(device + offset::DEVICE_TYPE, device_type);
    memory::write(device + offset::STACK_SIZE, 1_u8);
    let next: usize = memory::read(driver + offset::DEVICES_IN_DRIVER);
    memory::write(device + offset::NEXT, next);
    memory::write(driver + offset::DEVICES_IN_DRIVER, device);
    DEVICES.lock().insert(device, name.unwrap_or_default());
    memory::write(out, device);
    status::SUCCESS
}

extern "win64" fn io_delete_device(device: usize) {
    let driver: usize = memory::read(device + offset::DRIVER);
    let mut at = driver + offset::DEVICES_IN_DRIVER;
    loop {
        let next: usize = memory::read(at);
        if next == device {
            memory::write(at, memory::read::<usize>(device + offset::NEXT));
            break;
        }
        if next == 0 {
            break;
        }
        at = next + offset::NEXT;
    }
    DEVICES.lock().remove(&device);
    pool::free(device, Some(DEVICE_TAG));
}

extern "win64" fn io_create_symbolic_link(link: usize, target: usize) -> NtStatus {
    let link = unicode::read(link).to_lowercase();
    let mut links = LINKS.lock();
    if links.contains_key(&link) {
        return status::OBJECT_NAME_COLLISION;
    }
    links.insert(link, unicode::read(target));
    status::SUCCESS
}

extern "win64" fn io_delete_symbolic_link(link: usize) -> NtStatus {
    let link = unicode::read(link).to_lowercase();
    match LINKS.lock().remove(&link) {
        Some(_) => status::SUCCESS,
        None => status::OBJECT_NAME_NOT_FOUND,
    }
}

/// Forgets all links, at boot.
pub fn clear() {
    LINKS.lock().clear();
    DEVICES.lock().clear();
}

/// There is no IRP that a driver could complete.
extern "win64" fn iof_complete_request(irp: usize, _boost: u8) {
    Violation::new(
        Rule::IrpCompleted,
        BugCheck::new(0x44, [irp as u64, 0xE78, 0, 0]),
        format!("IofCompleteRequest was called for {irp:#x}, which is no IRP that the driver was sent"),
    )
    .advice("Complete each IRP that a dispatch routine gets once, and nothing else.")
    .stop()
}
