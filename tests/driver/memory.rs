//! Protection domains, memory regions and windows, logical address mappings of the real `vrnic.sys`, and the commands behind
//! them: inline, pending, refused, and with a device that fails.

use crate::support::{PATIENCE, machine, open};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
    NDK_MR_FLAG_RDMA_READ_SINK, NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_DEVICE_BUSY,
    STATUS_DEVICE_NOT_READY, STATUS_DEVICE_REMOVED, STATUS_IMPLEMENTATION_LIMIT,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_DEVICE_STATE,
    STATUS_INVALID_PARAMETER, STATUS_PENDING, STATUS_SUCCESS,
};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::memory;
use ntbench::ndk::{Memory, MemoryOptions, Started, mapping_size};
use ntbench::nt::mdl::offset;
use ntbench::verifier::faults;
use std::collections::BTreeSet;
use std::time::Instant;
use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::regs::FatalSyndrome;
use vrnic_abi::resource::{KEY_VARIANT_BITS, PRIVILEGED_KEY};
use vrnic_device::Hold;

const BOTH_IRQLS: [u8; 2] = [PASSIVE_LEVEL, DISPATCH_LEVEL];
const WRITE: u32 = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;

/// More than the command queue has tags.
const MANY: usize = 150;

/// 5,000 bytes in three MDLs, from the middle of a page.
fn in_pieces() -> Memory {
    Memory::with(&MemoryOptions {
        length: 5000,
        offset: 100,
        pieces: vec![1000, 3500],
        readable: false,
    })
}

/// Judges functions: NdkCreatePd, NdkClosePd, NdkGetPrivilegedMemoryRegionToken, NdkCreateMr, NdkCloseMr, NdkRegisterMr, NdkDeregisterMr
/// Judges functions: NdkGetLocalTokenFromMr, NdkGetRemoteTokenFromMr, NdkCreateMw, NdkCloseMw, NdkGetRemoteTokenFromMw
#[test]
fn regions_and_windows_work_at_both_irqls() {
    let machine = machine();
    let ndk = open(&machine);
    let buffer = in_pieces();
    for irql in BOTH_IRQLS {
        machine.kernel().run_at(irql, 0, || {
            let pd = ndk.create_pd().expect("a domain");
            assert_eq!(pd.privileged_token(), PRIVILEGED_KEY);
            let mr = pd.create_mr(false).expect("a region");
            assert_eq!(mr.local_token(), 0, "not registered");
            mr.register(&buffer, 5000, WRITE).expect("registered");
            let token = mr.local_token();
            assert_ne!(token, 0);
            assert_eq!(mr.remote_token(), token);
            mr.deregister().expect("deregistered");
            assert_eq!(mr.local_token(), 0);
            // In part, and again: the region is as new. It is closed with its registration.
            mr.register(&buffer, 1, 0).expect("registered");
            assert_ne!(mr.local_token(), 0);
            let mw = pd.create_mw().expect("a window");
            assert_ne!(mw.remote_token(), 0);
            assert_ne!(
                mw.remote_token() >> KEY_VARIANT_BITS,
                mr.remote_token() >> KEY_VARIANT_BITS,
                "no index twice"
            );
        });
    }
}

/// Judges rule: NdkRegisterMr refuses a chain that is not virtually contiguous with INVALID_PARAMETER
#[test]
fn what_cannot_be_registered_is_refused() {
    let machine = machine();
    let ndk = open(&machine);
    let pd = ndk.create_pd().expect("a domain");
    let mr = pd.create_mr(false).expect("a region");
    let (buffer, other) = (in_pieces(), Memory::new(4096));
    let register = |mdl, length, flags| mr.start_register_mdl(mdl, length, flags).wait_status();
    assert_eq!(register(buffer.mdl(), 0, WRITE), STATUS_INVALID_PARAMETER);
    assert_eq!(
        register(buffer.mdl(), 5001, WRITE),
        STATUS_INVALID_PARAMETER,
        "the chain is shorter"
    );
    assert_eq!(register(0, 1, WRITE), STATUS_INVALID_PARAMETER, "no chain");
    assert_eq!(
        register(buffer.mdl(), (1 << 30) + 1, WRITE),
        STATUS_INVALID_PARAMETER
    );
    for flags in [4, 0x10, u32::MAX] {
        assert_eq!(
            register(buffer.mdl(), 10, flags),
            STATUS_INVALID_PARAMETER,
            "flags {flags:#x}"
        );
    }
    let single = Memory::new(4096);
    memory::write(single.mdl() + offset::NEXT, other.mdl());
    assert_eq!(
        register(single.mdl(), 8192, WRITE),
        STATUS_INVALID_PARAMETER,
        "not contiguous"
    );
    assert_eq!(
        register(single.mdl(), 4096, WRITE),
        STATUS_SUCCESS,
        "as far as it is"
    );
    assert_eq!(
        register(buffer.mdl(), 10, WRITE),
        STATUS_INVALID_DEVICE_STATE,
        "registered already"
    );
    assert_eq!(mr.deregister(), Ok(()));
    assert_eq!(mr.deregister(), Err(STATUS_INVALID_DEVICE_STATE));
    memory::write(single.mdl() + offset::NEXT, 0_usize);

    let every = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE | NDK_MR_FLAG_RDMA_READ_SINK;
    assert_eq!(
        register(buffer.mdl(), 5000, every),
        STATUS_SUCCESS,
        "a read sink is tolerated"
    );
    assert_eq!(
        mr.initialize_fast_register(1, false),
        Err(STATUS_INVALID_DEVICE_REQUEST),
        "the flavour is for life"
    );
}

/// Judges functions: NdkInitializeFastRegisterMr
/// Judges rule: NdkInitializeFastRegisterMr may be called again, and refuses unsupported page counts with IMPLEMENTATION_LIMIT
#[test]
fn regions_for_fast_registration_grow() {
    let machine = machine();
    let ndk = open(&machine);
    let limit = ndk.info().expect("limits").FRMRPageCount;
    assert!(limit >= 511);
    let pd = ndk.create_pd().expect("a domain");
    let mr = pd.create_mr(true).expect("a region");
    assert_eq!(
        mr.initialize_fast_register(0, true),
        Err(STATUS_IMPLEMENTATION_LIMIT)
    );
    assert_eq!(
        mr.initialize_fast_register(limit + 1, true),
        Err(STATUS_IMPLEMENTATION_LIMIT)
    );
    assert_eq!(
        mr.register(&Memory::new(1), 1, WRITE),
        Err(STATUS_INVALID_DEVICE_REQUEST)
    );
    assert_eq!(mr.deregister(), Err(STATUS_INVALID_DEVICE_REQUEST));
    assert_eq!(mr.local_token(), 0);
    mr.initialize_fast_register(16, false).expect("initialised");
    let small = mr.local_token();
    assert_ne!(small, 0);
    mr.initialize_fast_register(8, false).expect("for less");
    assert_eq!(mr.local_token(), small, "nothing new is needed");
    mr.initialize_fast_register(8, true).expect("for remote access");
    mr.initialize_fast_register(limit, true).expect("for more");
    assert_ne!(mr.local_token(), small);
    // A key that is replaced is freed: the device would run out of them otherwise.
    for _ in 0..3 {
        let other = pd.create_mr(true).expect("a region");
        (1..=200).for_each(|pages| other.initialize_fast_register(pages, false).expect("one more"));
    }
}

/// Judges functions: NdkBuildLAM, NdkReleaseLAM
/// Judges rule: NdkBuildLAM stores the size that it needs with BUFFER_TOO_SMALL
#[test]
fn a_mapping_has_the_pages_of_its_buffer() {
    let machine = machine();
    let ndk = open(&machine);
    let buffer = Memory::with(&MemoryOptions {
        length: 1_000_000,
        offset: 4095,
        pieces: vec![1, 200_000, 300_000],
        readable: true,
    });
    for irql in BOTH_IRQLS {
        machine.kernel().run_at(irql, 0, || {
            // The bench checks number, offset and alignment of the pages.
            let whole = ndk.build_lam(&buffer, 1_000_000).expect("a mapping");
            assert_eq!((whole.offset(), whole.pages().len()), (4095, 246));
            let mut pages = whole.pages().to_vec();
            pages.sort_unstable();
            pages.dedup();
            assert_eq!(pages.len(), 246, "no page twice");
            let byte = ndk.build_lam(&buffer, 1).expect("a mapping");
            assert_eq!(byte.pages().len(), 1);
        });
    }
    let needed = mapping_size(246);
    for room in [0, 16, needed - 1] {
        let small = ndk.build_lam_raw(buffer.mdl(), 1_000_000, room);
        assert_eq!(small.status, STATUS_BUFFER_TOO_SMALL);
        assert_eq!(small.size as usize, needed);
    }
    for (mdl, length) in [(0, 1), (buffer.mdl(), 0), (buffer.mdl(), 1_000_001)] {
        let refused = ndk.build_lam_raw(mdl, length, 4096);
        assert_eq!(refused.status, STATUS_INVALID_PARAMETER, "{length} bytes");
    }
}

/// Judges rule: a function that answers PENDING calls back exactly once, any other not at all
#[test]
fn a_slow_firmware_makes_requests_pend_and_no_number_is_too_large() {
    let machine = machine();
    let ndk = open(&machine);
    let pd = ndk.create_pd().expect("a domain");
    let buffer = in_pieces();
    let faults = machine.nic().faults();
    for irql in BOTH_IRQLS {
        faults.hold(Hold::All);
        let (creations, windows, registrations) = machine.kernel().run_at(irql, 0, || {
            let creations: Vec<_> = (0..MANY).map(|_| ndk.start_create_pd()).collect();
            let windows: Vec<_> = (0..MANY).map(|_| pd.start_create_mw()).collect();
            let regions: Vec<_> = (0..3).map(|_| pd.create_mr(false).expect("a region")).collect();
            let registrations: Vec<_> = regions
                .into_iter()
                .map(|mr| (mr.start_register(&buffer, 5000, WRITE), mr))
                .collect();
            (creations, windows, registrations)
        });
        assert!(creations.iter().all(|created| created.status() == STATUS_PENDING));
        assert!(registrations.iter().all(|(started, _)| !started.is_complete()));
        let (_, mr) = &registrations[0];
        assert_eq!(
            mr.start_register(&buffer, 1, WRITE).wait_status(),
            STATUS_INVALID_DEVICE_STATE,
            "one at a time"
        );
        // In any order.
        faults.release_reversed();
        let ended: Vec<_> = creations
            .into_iter()
            .map(|created| created.wait().expect("a domain"))
            .collect();
        assert_eq!(ended.len(), MANY);
        assert!(
            windows
                .into_iter()
                .map(Started::wait)
                .all(|window| window.is_ok())
        );
        for (started, mr) in registrations {
            started.wait().expect("registered");
            assert_ne!(mr.local_token(), 0);
        }
    }
}

#[test]
fn a_firmware_that_refuses_leaves_everything_as_it_was() {
    let machine = machine();
    let ndk = open(&machine);
    let faults = machine.nic().faults();
    let refuse = |opcode, status| faults.answer(opcode, status, 7, 1);
    refuse(Opcode::ALLOC_PD, Status::NO_RESOURCES);
    assert_eq!(ndk.start_create_pd().status(), STATUS_INSUFFICIENT_RESOURCES);
    let pd = ndk.create_pd().expect("a domain");
    refuse(Opcode::ALLOC_MW, Status::NO_RESOURCES);
    assert_eq!(pd.start_create_mw().status(), STATUS_INSUFFICIENT_RESOURCES);
    let (mr, buffer) = (pd.create_mr(false).expect("a region"), in_pieces());
    refuse(Opcode::REGISTER_MR, Status::NO_RESOURCES);
    assert_eq!(
        mr.register(&buffer, 5000, WRITE),
        Err(STATUS_INSUFFICIENT_RESOURCES)
    );
    assert_eq!(mr.local_token(), 0);
    mr.register(&buffer, 5000, WRITE).expect("registered");
    refuse(Opcode::DEREGISTER_MR, Status::IN_USE);
    let token = mr.local_token();
    assert_eq!(mr.deregister(), Err(STATUS_DEVICE_BUSY), "windows are bound");
    assert_eq!(mr.local_token(), token);
    mr.deregister().expect("deregistered");
    let fast = pd.create_mr(true).expect("a region");
    refuse(Opcode::ALLOC_FRMR, Status::NO_RESOURCES);
    assert_eq!(
        fast.initialize_fast_register(4, true),
        Err(STATUS_INSUFFICIENT_RESOURCES)
    );
    fast.initialize_fast_register(4, true).expect("initialised");
    let key = fast.local_token();
    refuse(Opcode::ALLOC_FRMR, Status::NO_RESOURCES);
    assert_eq!(
        fast.initialize_fast_register(5, true),
        Err(STATUS_INSUFFICIENT_RESOURCES)
    );
    assert_eq!(fast.local_token(), key, "still good for four");
    // What is in use for a moment is asked for again.
    faults.answer(Opcode::FREE_KEY, Status::IN_USE, 0, 3);
    fast.close();
}

/// Judges rule: running out of memory answers INSUFFICIENT_RESOURCES and leaves everything as it was
#[test]
fn every_allocation_may_fail() {
    let machine = machine();
    let ndk = open(&machine);
    // Two levels of page tables.
    let (large, small) = (Memory::new(600 * 4096), in_pieces());
    let work = || -> Result<(), NTSTATUS> {
        let pd = ndk.create_pd()?;
        let mr = pd.create_mr(false)?;
        mr.register(&large, large.len(), WRITE)?;
        let _window = pd.create_mw()?;
        let fast = pd.create_mr(true)?;
        fast.initialize_fast_register(16, false)?;
        fast.initialize_fast_register(17, true)?;
        let _mapping = ndk.build_lam(&small, small.len())?;
        mr.deregister()
    };
    let mut seen = BTreeSet::new();
    for irql in BOTH_IRQLS {
        let mut failures = 0;
        loop {
            faults::configure(true, seen.clone());
            let result = machine.kernel().run_at(irql, 0, work);
            let now = faults::seen();
            faults::configure(false, BTreeSet::new());
            match result {
                Ok(()) => assert_eq!(now.len(), seen.len(), "what failed was not noticed"),
                Err(status) => assert_eq!(status, STATUS_INSUFFICIENT_RESOURCES),
            }
            if now.len() == seen.len() {
                break;
            }
            failures += 1;
            seen = now;
        }
        assert!(failures >= 15, "only {failures} allocations");
        // At the other IRQL everything fails once more.
        seen.clear();
    }
}

/// Judges rule: the close of an antecedent completes after those of its successors
#[test]
fn a_close_waits_for_what_depends_on_the_object() {
    let machine = machine();
    let ndk = open(&machine);
    let pd = ndk.create_pd().expect("a domain");
    let regions: Vec<_> = [false, true, false]
        .into_iter()
        .map(|fast| pd.create_mr(fast).expect("a region"))
        .collect();
    let window = pd.create_mw().expect("a window");
    let closing = pd.start_close();
    assert!(!closing.is_complete(), "the domain waits for its regions");
    regions.into_iter().for_each(ntbench::ndk::Mr::close);
    assert!(!closing.is_complete(), "and for its window");
    window.close();
    closing.wait();
}

/// Judges rule: closes succeed on a device that has failed or been removed
#[test]
fn a_device_that_fails_ends_everything_and_closes_succeed() {
    for (removed, status) in [(false, STATUS_DEVICE_NOT_READY), (true, STATUS_DEVICE_REMOVED)] {
        let machine = machine();
        let ndk = open(&machine);
        let pd = ndk.create_pd().expect("a domain");
        let (mr, buffer) = (pd.create_mr(false).expect("a region"), in_pieces());
        mr.register(&buffer, 5000, WRITE).expect("registered");
        let window = pd.create_mw().expect("a window");
        machine.nic().faults().hold(Hold::All);
        let pending: Vec<_> = (0..MANY).map(|_| ndk.start_create_pd()).collect();
        let closing = window.start_close();
        assert!(!closing.is_complete(), "the firmware has not answered");
        if removed {
            machine.nic().remove();
            machine.adapter().notify_removed();
        } else {
            machine.nic().faults().fatal(FatalSyndrome::INTERNAL);
        }
        for started in pending {
            assert_eq!(started.wait().map(drop), Err(status));
        }
        closing.wait();
        assert_eq!(ndk.start_create_pd().wait().map(drop), Err(status), "at once");
        mr.close();
        pd.close();
    }
}

#[test]
fn five_hundred_and_twelve_regions_are_made_quickly() {
    let machine = machine();
    let ndk = open(&machine);
    let pd = ndk.create_pd().expect("a domain");
    let pages = ndk.info().expect("limits").FRMRPageCount;
    let start = Instant::now();
    let regions: Vec<_> = (0..512)
        .map(|_| {
            let mr = pd.create_mr(true).expect("a region");
            mr.initialize_fast_register(pages, true).expect("initialised");
            mr
        })
        .collect();
    let each = start.elapsed() / 512;
    eprintln!("a region for fast registration takes {each:?}");
    assert!(start.elapsed() < PATIENCE);
    let mut tokens: Vec<_> = regions
        .iter()
        .map(|mr| mr.remote_token() >> KEY_VARIANT_BITS)
        .collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 512);
}
