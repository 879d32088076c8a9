//! What the way of a frame takes of the drivers at both ends. Instructions and calls are counted, so they are the same on each machine.

use super::{config, miniport, start};
use crate::support::sys;
use ntbench::cpu::step::count_work;
use ntbench::measure::{self, EthernetPair, FrameWork, Load};
use ntbench::ndk::VERSION_1_2;

/// The loads, and the most instructions that each frame may take: a list to send in calls of one, in calls of 16, and a frame that is
/// received. There is room for the compiler's whims.
const LIMITS: [(Load, [f64; 3]); 3] = [
    (Load::Frames(60), [800.0, 500.0, 400.0]),
    (Load::Frames(1514), [800.0, 500.0, 400.0]),
    (Load::LargeSends(62 << 10), [2600.0, 2600.0, 400.0]),
];

/// Locks that may be taken for a call that sends, and for an interrupt with its DPC.
const LOCKS_OF_A_CALL: u64 = 1;
const LOCKS_OF_INTERRUPTS: u64 = 40;

#[test]
fn nothing_is_allocated_or_waited_for_on_the_way_of_a_frame() {
    for queues in [1, 2] {
        let pair = EthernetPair::start(&sys(), queues).expect("the driver starts");
        let link = pair.link();
        for (load, limits) in LIMITS {
            let mut sender = link.sender(load);
            for (burst, limit) in [(1, limits[0]), (16, limits[1])] {
                let work = link.count(&mut sender, load, burst);
                let what = format!("{load:?}, {burst} in a call, {queues} queues: {work:?}");
                assert_eq!(work.slow(), [""; 0], "{what}");
                assert!(work.instructions_to_send() < limit, "{what}");
                assert!(work.instructions_to_receive() < limits[2], "{what}");
                let calls = work.lists.div_ceil(burst as u64);
                assert_eq!(locks_of_calls(&work), calls * LOCKS_OF_A_CALL, "{what}");
                assert!(
                    work.locks() - calls * LOCKS_OF_A_CALL < LOCKS_OF_INTERRUPTS,
                    "{what}"
                );
            }
        }
        assert_eq!(
            link.spread().0 as usize,
            queues,
            "as many processors have had frames"
        );
    }
}

fn locks_of_calls(work: &FrameWork) -> u64 {
    work.send.calls_of(&["KeAcquire"])
}

#[test]
fn what_allocates_or_asks_the_device_is_seen() {
    let machine = start(config());
    let (statistics, work) = count_work(|| miniport(&machine).statistics());
    assert!(statistics.is_some(), "the device is asked");
    let slow = measure::slow(&work);
    assert!(slow.iter().any(|call| call.contains("registers")), "{slow:?}");
    let (ndk, work) = count_work(|| machine.open_ndk(VERSION_1_2));
    assert!(ndk.is_ok(), "the provider opens an adapter");
    let slow = measure::slow(&work);
    assert!(slow.iter().any(|call| call.contains("Allocate")), "{slow:?}");
}
