//! The commands: what they accept, and what they answer.

use std::mem::offset_of;

use vrnic_abi::cmd::{Command, Opcode, Status};
use vrnic_abi::doorbell::{ETH_ARM, ETH_CONSUMER, ETH_RX_PRODUCER, ETH_TX_PRODUCER};
use vrnic_abi::eth::{EthConfig, EthQueueCreate, EthQueueModify, HASH_IPV4, MAX_MULTICAST, RssTable};
use vrnic_abi::resource::ObjectNumber;
use zerocopy::FromZeros;

use super::port::Port;
use crate::rig::{MAILBOX, NOWHERE, OUR_MAC};

/// Where the input is in a command.
const INPUT: usize = offset_of!(Command, input);

fn bad(at: usize) -> (Status, u32) {
    (Status::BAD_PARAMETER, u32::try_from(at).unwrap())
}

#[test]
fn queues_have_the_lowest_number_that_is_free() {
    let mut port = Port::with_queues(0);
    let attributes = Port::attributes(0);
    for number in 0..16 {
        assert_eq!(port.try_create(&attributes), Ok(number));
    }
    assert_eq!(port.try_create(&attributes), Err((Status::NO_RESOURCES, 0)));
    for number in [5, 3] {
        assert_eq!(port.destroy(number), Status::OK);
        assert_eq!(port.destroy(number), Status::BAD_RESOURCE);
    }
    for number in [3, 5] {
        assert_eq!(port.try_create(&attributes), Ok(number));
    }
    for number in [16, u32::MAX] {
        assert_eq!(port.destroy(number), Status::BAD_RESOURCE);
    }
}

#[test]
fn a_new_queue_has_no_doorbells() {
    let mut port = Port::with_queues(1);
    let words = [ETH_TX_PRODUCER, ETH_RX_PRODUCER, ETH_CONSUMER, ETH_ARM];
    for word in words {
        port.ring(0, word, 7);
    }
    assert_eq!(port.destroy(0), Status::OK);
    assert_eq!(port.try_create(&Port::attributes(0)), Ok(0));
    for word in words {
        assert_eq!(port.rig.nic.doorbells().load(port.word(0, word)), 0);
    }
}

#[test]
fn inputs_of_create() {
    let mut port = Port::with_queues(0);
    let good = Port::attributes(0);
    let changed = |change: fn(&mut EthQueueCreate)| {
        let mut attributes = good;
        change(&mut attributes);
        attributes
    };
    for (attributes, expected) in [
        (changed(|a| a.tx += 8), bad(INPUT)),
        (changed(|a| a.rx = (u64::MAX - 63).into()), bad(INPUT + 8)),
        (changed(|a| a.completions += 32), bad(INPUT + 16)),
        (changed(|a| a.eqn = 1.into()), (Status::BAD_RESOURCE, 0)),
        (changed(|a| a.tx_log2 = 5), bad(INPUT + 28)),
        (changed(|a| a.tx_log2 = 15), bad(INPUT + 28)),
        (changed(|a| a.rx_log2 = 15), bad(INPUT + 29)),
        (changed(|a| a.rx_log2 = 7), bad(INPUT + 30)),
        (changed(|a| a.completions_log2 = 6), bad(INPUT + 30)),
        (changed(|a| a.completions_log2 = 16), bad(INPUT + 30)),
        (changed(|a| a.completions_log2 = 255), bad(INPUT + 30)),
        (changed(|a| a.reserved = 1), bad(INPUT + 31)),
    ] {
        assert_eq!(port.try_create(&attributes), Err(expected), "{attributes:?}");
    }
    assert_eq!(port.try_create(&good), Ok(0));
}

#[test]
fn an_event_queue_in_use_stays() {
    let mut port = Port::with_queues(1);
    let eq = ObjectNumber { number: 0.into() };
    assert_eq!(port.rig.status(Opcode::DESTROY_EQ, &eq), Status::IN_USE);
    assert_eq!(port.destroy(0), Status::OK);
    assert_eq!(port.rig.status(Opcode::DESTROY_EQ, &eq), Status::OK);
}

#[test]
fn modify_and_query() {
    let mut port = Port::with_queues(1);
    let mut modify = EthQueueModify {
        number: 0.into(),
        moderation_us: 100.into(),
        moderation_count: 16.into(),
    };
    assert_eq!(port.rig.status(Opcode::MODIFY_ETH_QUEUE, &modify), Status::OK);
    let number = ObjectNumber { number: 0.into() };
    let found: EthQueueCreate = port.rig.query(Opcode::QUERY_ETH_QUEUE, &number);
    assert_eq!(
        (found.moderation_us.get(), found.moderation_count.get()),
        (100, 16)
    );
    assert_eq!(found.tx, Port::attributes(0).tx);
    modify.number = 1.into();
    assert_eq!(
        port.rig.status(Opcode::MODIFY_ETH_QUEUE, &modify),
        Status::BAD_RESOURCE
    );
    let missing = ObjectNumber { number: 1.into() };
    let completion = port.rig.run_mailbox(Opcode::QUERY_ETH_QUEUE, &missing, 36);
    assert_eq!(Status::from(completion.status), Status::BAD_RESOURCE);
}

#[test]
fn inputs_of_the_configuration() {
    let mut port = Port::with_queues(0);
    let good = port.config;
    let changed = |change: fn(&mut EthConfig)| {
        let mut config = good;
        change(&mut config);
        config
    };
    for (config, at) in [
        (changed(|c| c.filter = 0x20.into()), 0),
        (changed(|c| c.mtu = 67.into()), 4),
        (changed(|c| c.mtu = 9001.into()), 4),
        (changed(|c| c.mac = [0; 6]), 8),
        (changed(|c| c.mac[0] |= 1), 8),
        (changed(|c| c.flags = 2.into()), 14),
    ] {
        let command = port.rig.new_command(Opcode::SET_ETH_CONFIG, &config);
        let completion = port.rig.run(&command);
        assert_eq!(
            (completion.status.into(), completion.syndrome.get()),
            bad(INPUT + at),
            "{config:?}"
        );
    }
    for mtu in [68, 9000] {
        port.config.mtu = mtu.into();
        assert_eq!(port.configure(), Status::OK);
    }
}

#[test]
fn inputs_of_the_multicast_list() {
    let mut port = Port::with_queues(0);
    let group = [1, 0, 0x5E, 0, 0, 1];
    assert_eq!(port.set_multicast(&[]), Ok(()));
    assert_eq!(port.set_multicast(&vec![group; MAX_MULTICAST.into()]), Ok(()));
    let too_many = vec![group; usize::from(MAX_MULTICAST) + 1];
    assert_eq!(port.set_multicast(&too_many), Err(bad(4)));
    assert_eq!(port.set_multicast(&[group, OUR_MAC]), Err(bad(0x1006)));
    for (address, length, expected) in [
        (MAILBOX, 5, bad(4)),
        (MAILBOX, 0, bad(8)),
        (NOWHERE, 6, (Status::BAD_MAILBOX, 0)),
        (MAILBOX, u32::MAX, bad(4)),
    ] {
        let mut command = port.rig.new_command(Opcode::SET_MULTICAST, &[0u8; 0]);
        (command.mailbox, command.mailbox_len) = (address.into(), length.into());
        let completion = port.rig.run(&command);
        let found = (completion.status.into(), completion.syndrome.get());
        assert_eq!(found, expected, "{address:#x}, {length}");
    }
}

#[test]
fn inputs_of_rss() {
    let mut port = Port::with_queues(2);
    let mut good = RssTable::new_zeroed();
    good.hash_types = HASH_IPV4.into();
    good.entries = 2.into();
    good.queue[..4].copy_from_slice(&[1, 0, 9, 9]);
    let changed = |change: fn(&mut RssTable)| {
        let mut table = good;
        change(&mut table);
        table
    };
    for (table, at) in [
        (changed(|t| t.hash_types = 0x800.into()), 0),
        (changed(|t| t.entries = 0.into()), 4),
        (changed(|t| t.entries = 3.into()), 4),
        (changed(|t| t.entries = 256.into()), 4),
        (changed(|t| t.entries = 4.into()), 48 + 2),
        (changed(|t| t.default_queue = 2.into()), 6),
    ] {
        assert_eq!(port.set_rss(&table), Err(bad(0x1000 + at)), "{at}");
    }
    assert_eq!(port.set_rss(&good), Ok(()));
    // Without hash types, only the default queue is looked at.
    assert_eq!(
        port.set_rss(&changed(|t| {
            t.hash_types = 0.into();
            t.entries = 77.into();
        })),
        Ok(())
    );
    let completion = port.rig.run_mailbox(Opcode::SET_RSS, &[0u8; 0], 175);
    let found = (completion.status.into(), completion.syndrome.get());
    assert_eq!(found, (Status::BAD_MAILBOX, 176));
}
