//! `REGISTER_MR`, `DEREGISTER_MR`, `ALLOC_FRMR`, `ALLOC_MW`, `FREE_KEY`.

use std::mem::offset_of;

use vrnic_abi::PAGE_SIZE;
use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::resource::{
    ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, KeyAlloc, MAX_LEVELS, MrRegister, ObjectNumber,
};

use super::protection_domain::users;
use super::{Failure, NO_OUTPUT, bad_input, check_input, created, input, no_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::rdma::{Extent, KeyError, KeyKind, MAX_FAST_PAGES, is_region_access};
use crate::ring::{RingError, check_range, read_page_list};

pub(super) fn register(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let register: MrRegister = input(command)?;
    let (base, length) = (register.base.get(), register.length.get());
    let pdn = register.pdn.get();
    check_input(length != 0, offset_of!(MrRegister, length))?;
    check_input(
        is_region_access(register.access.get()),
        offset_of!(MrRegister, access),
    )?;
    check_input(register.levels <= MAX_LEVELS, offset_of!(MrRegister, levels))?;
    check_input(register.reserved == [0; 3], offset_of!(MrRegister, reserved))?;
    check_input(
        u64::from(register.first_page_offset.get()) == base % PAGE_SIZE,
        offset_of!(MrRegister, first_page_offset),
    )?;
    let too_long = bad_input(offset_of!(MrRegister, length));
    let count = Extent::page_count(base, length).ok_or(too_long)?;
    let count = usize::try_from(count).map_err(|_| too_long)?;
    users(device, pdn)?;
    // A contiguous region is one entry, whatever its length.
    if !device
        .rdma
        .keys
        .has_room(if register.levels == 0 { 1 } else { count })
    {
        return Err(Failure::new(Status::NO_RESOURCES));
    }
    let pages = read_pages(device, &register, count).map_err(|error| {
        bad_input(match error {
            RingError::Levels => offset_of!(MrRegister, levels),
            _ => offset_of!(MrRegister, pages),
        })
    })?;
    let extent = Extent { base, length, pages };
    let key = device.rdma.keys.register(pdn, register.access.get(), extent);
    made(device, pdn, key)
}

/// The page list of a region; one entry if it is contiguous.
fn read_pages(device: &mut Device, register: &MrRegister, count: usize) -> Result<Vec<u64>, RingError> {
    let addr = register.pages.get();
    if register.levels != 0 {
        return read_page_list(&mut device.dma, addr, register.levels, count);
    }
    check_range(addr, count as u64 * PAGE_SIZE, PAGE_SIZE)?;
    Ok(vec![addr])
}

pub(super) fn deregister(device: &mut Device, command: &Command) -> Outcome {
    remove(device, command, &[KeyKind::Region])
}

pub(super) fn allocate_fast(device: &mut Device, command: &Command) -> Outcome {
    let alloc = key_alloc(device, command)?;
    let (pdn, access) = (alloc.pdn.get(), alloc.access.get());
    check_input(
        (1..=MAX_FAST_PAGES).contains(&alloc.max_pages.get()),
        offset_of!(KeyAlloc, max_pages),
    )?;
    check_input(is_region_access(access), offset_of!(KeyAlloc, access))?;
    let max_pages = usize::try_from(alloc.max_pages.get()).unwrap_or(usize::MAX);
    if !device.rdma.keys.has_room(max_pages) {
        return Err(Failure::new(Status::NO_RESOURCES));
    }
    let key = device.rdma.keys.allocate_fast(pdn, access, max_pages);
    made(device, pdn, key)
}

pub(super) fn allocate_window(device: &mut Device, command: &Command) -> Outcome {
    let alloc = key_alloc(device, command)?;
    let (pdn, access) = (alloc.pdn.get(), alloc.access.get());
    check_input(alloc.max_pages.get() == 0, offset_of!(KeyAlloc, max_pages))?;
    check_input(
        access & !(ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE) == 0,
        offset_of!(KeyAlloc, access),
    )?;
    let key = device.rdma.keys.allocate_window(pdn, access);
    made(device, pdn, key)
}

fn key_alloc(device: &mut Device, command: &Command) -> Result<KeyAlloc, Failure> {
    no_mailbox(command)?;
    let alloc: KeyAlloc = input(command)?;
    check_input(alloc.reserved.get() == 0, offset_of!(KeyAlloc, reserved))?;
    users(device, alloc.pdn.get())?;
    Ok(alloc)
}

/// A key has been made, unless there was no room for it.
fn made(device: &mut Device, pdn: u32, key: Option<u32>) -> Outcome {
    let key = key.ok_or(Failure::new(Status::NO_RESOURCES))?;
    *users(device, pdn)? += 1;
    Ok(created(key))
}

pub(super) fn free(device: &mut Device, command: &Command) -> Outcome {
    remove(device, command, &[KeyKind::FastRegion, KeyKind::Window])
}

fn remove(device: &mut Device, command: &Command, kinds: &[KeyKind]) -> Outcome {
    no_mailbox(command)?;
    let key = input::<ObjectNumber>(command)?.number.get();
    let pdn = device.rdma.keys.remove(key, kinds).map_err(|error| {
        Failure::new(match error {
            KeyError::NotFound => Status::BAD_RESOURCE,
            KeyError::InUse => Status::IN_USE,
        })
    })?;
    *users(device, pdn)? -= 1;
    Ok(NO_OUTPUT)
}
