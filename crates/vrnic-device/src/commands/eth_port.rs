//! `SET_ETH_CONFIG`, `SET_RSS`, `SET_MULTICAST`.

use std::mem::offset_of;

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::eth::{
    ETH_MTU_MIN, ETH_STRIP_VLAN, EthConfig, FILTER_ALL, HASH_ALL, MAX_MULTICAST, RSS_ENTRIES, RssTable,
};
use zerocopy::transmute;

use super::{
    Failure, NO_OUTPUT, bad_mailbox_field, bad_parameter, check_input, check_mailbox_field, input, no_input,
    no_mailbox, read_mailbox,
};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::eth::{Address, Rss};

pub(super) fn configure(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let config: EthConfig = input(command)?;
    let is_filter = config.filter.get() & !FILTER_ALL == 0;
    check_input(is_filter, offset_of!(EthConfig, filter))?;
    let mtus = ETH_MTU_MIN..=device.config.mtu.into();
    check_input(mtus.contains(&config.mtu.get()), offset_of!(EthConfig, mtu))?;
    let is_unicast = !is_group(config.mac) && config.mac != [0; 6];
    check_input(is_unicast, offset_of!(EthConfig, mac))?;
    let are_flags = config.flags.get() & !ETH_STRIP_VLAN == 0;
    check_input(are_flags, offset_of!(EthConfig, flags))?;
    // Queue pairs have taken over the address.
    if config.mac != device.ethernet.port.mac && !device.rdma.qps.is_empty() {
        return Err(Failure::new(Status::IN_USE));
    }
    device.ethernet.port.configure(&config);
    Ok(NO_OUTPUT)
}

pub(super) fn set_rss(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    let table: RssTable = transmute!(read_mailbox::<{ size_of::<RssTable>() }>(device, command)?);
    let exists = |number: u32| device.ethernet.get(number).is_some();
    check_mailbox_field(
        exists(table.default_queue.get().into()),
        offset_of!(RssTable, default_queue),
    )?;
    let hash_types = table.hash_types.get();
    check_mailbox_field(hash_types & !HASH_ALL == 0, offset_of!(RssTable, hash_types))?;
    if hash_types != 0 {
        let entries = usize::from(table.entries.get());
        let is_size = entries.is_power_of_two() && entries <= RSS_ENTRIES;
        check_mailbox_field(is_size, offset_of!(RssTable, entries))?;
        if let Some(at) = table.queue[..entries]
            .iter()
            .position(|queue| !exists((*queue).into()))
        {
            return Err(bad_mailbox_field(offset_of!(RssTable, queue) + at));
        }
    }
    device.ethernet.rss = Rss::new(&table);
    Ok(NO_OUTPUT)
}

pub(super) fn set_multicast(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    if command.mailbox_len.get() == 0 {
        no_mailbox(command)?;
    }
    let mut addresses = [Address::default(); MAX_MULTICAST as usize];
    let bytes = addresses.as_flattened_mut();
    let length = usize::try_from(command.mailbox_len.get()).ok();
    let bytes = length
        .filter(|length| length.is_multiple_of(size_of::<Address>()))
        .and_then(|length| bytes.get_mut(..length))
        .ok_or(bad_parameter(offset_of!(Command, mailbox_len)))?;
    let count = bytes.len() / size_of::<Address>();
    if count != 0 {
        let read = device.dma.read(command.mailbox.get(), bytes);
        read.map_err(|_| Failure::new(Status::BAD_MAILBOX))?;
    }
    let addresses = &addresses[..count];
    if let Some(at) = addresses.iter().position(|address| !is_group(*address)) {
        return Err(bad_mailbox_field(at * size_of::<Address>()));
    }
    device.ethernet.port.set_multicast(addresses);
    Ok(NO_OUTPUT)
}

/// A multicast address, or the broadcast address.
const fn is_group(address: Address) -> bool {
    address[0] & 1 != 0
}
