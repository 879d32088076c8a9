//! Memory keys: regions, fast registration, windows; page tables that lie.

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::{
    ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, ACCESS_WINDOW_BIND, MrRegister,
};
use vrnic_abi::wqe::{BindSegment, FastRegSegment, WorkOpcode};
use zerocopy::IntoBytes;

use super::pair::{Pair, pattern, statuses};
use super::side::{ALL_ACCESS, Change, Request, Side};
use crate::rig::NOWHERE;

#[test]
fn regions_with_wrong_input() {
    let mut side = Side::ours();
    let memory = side.memory(0x1000);
    let good = side.mr_attributes(memory, 0x1000, ALL_ACCESS);
    let refusals: [(Change<MrRegister>, Status, u32); 10] = [
        (|mr| mr.length = 0.into(), Status::BAD_PARAMETER, 16 + 8),
        (|mr| mr.length = u64::MAX.into(), Status::BAD_PARAMETER, 16 + 8),
        (|mr| mr.pdn = 7.into(), Status::BAD_RESOURCE, 0),
        (|mr| mr.access = 0x10.into(), Status::BAD_PARAMETER, 16 + 28),
        (
            |mr| mr.access = ACCESS_REMOTE_WRITE.into(),
            Status::BAD_PARAMETER,
            16 + 28,
        ),
        (|mr| mr.levels = 4, Status::BAD_PARAMETER, 16 + 32),
        (|mr| mr.reserved[2] = 1, Status::BAD_PARAMETER, 16 + 33),
        (
            |mr| mr.first_page_offset = 1.into(),
            Status::BAD_PARAMETER,
            16 + 36,
        ),
        (
            |mr| mr.pages = (mr.pages.get() + 8).into(),
            Status::BAD_PARAMETER,
            16 + 16,
        ),
        (
            |mr| (mr.pages, mr.levels) = (NOWHERE.into(), 2),
            Status::BAD_PARAMETER,
            16 + 16,
        ),
    ];
    for (spoil, status, syndrome) in refusals {
        let mut mr = good;
        spoil(&mut mr);
        assert_eq!(
            side.make(Opcode::REGISTER_MR, &mr),
            Err((status, syndrome)),
            "{mr:?}"
        );
    }
    let key = side.make(Opcode::REGISTER_MR, &good).unwrap();
    assert_eq!(key, 0x200, "index 2, variant 0");
    assert_eq!(side.command(Opcode::DEREGISTER_MR, key + 1), Status::BAD_RESOURCE);
    assert_eq!(
        side.command(Opcode::FREE_KEY, key),
        Status::BAD_RESOURCE,
        "another kind"
    );
    assert_eq!(side.command(Opcode::DEREGISTER_MR, key), Status::OK);
    assert_eq!(
        side.make(Opcode::REGISTER_MR, &good),
        Ok(0x201),
        "another variant"
    );
}

#[test]
fn key_allocations_with_wrong_input() {
    let mut side = Side::ours();
    for (opcode, max_pages, access, result) in [
        (Opcode::ALLOC_FRMR, 0, 0, Err((Status::BAD_PARAMETER, 20))),
        (Opcode::ALLOC_FRMR, 513, 0, Err((Status::BAD_PARAMETER, 20))),
        (
            Opcode::ALLOC_FRMR,
            512,
            ACCESS_REMOTE_WRITE,
            Err((Status::BAD_PARAMETER, 24)),
        ),
        (Opcode::ALLOC_FRMR, 512, ALL_ACCESS, Ok(0x200)),
        (Opcode::ALLOC_MW, 1, 0, Err((Status::BAD_PARAMETER, 20))),
        (
            Opcode::ALLOC_MW,
            0,
            ACCESS_LOCAL_WRITE,
            Err((Status::BAD_PARAMETER, 24)),
        ),
        (Opcode::ALLOC_MW, 0, ACCESS_REMOTE_WRITE, Ok(0x300)),
    ] {
        let alloc = side.key_alloc(max_pages, access);
        assert_eq!(
            side.make(opcode, &alloc),
            result,
            "{opcode:?} {max_pages} {access}"
        );
    }
    let mut alloc = side.key_alloc(1, 0);
    alloc.pdn = 9.into();
    assert_eq!(
        side.make(Opcode::ALLOC_FRMR, &alloc),
        Err((Status::BAD_RESOURCE, 0))
    );
    // The variant is the driver's business: any of them names the key.
    assert_eq!(side.command(Opcode::FREE_KEY, 0x277), Status::OK);
    assert_eq!(side.command(Opcode::FREE_KEY, 0x200), Status::BAD_RESOURCE);
    assert_eq!(side.command(Opcode::DEREGISTER_MR, 0x300), Status::BAD_RESOURCE);
}

/// Writes a page table with that many levels over `pages`; its address.
fn page_table(side: &mut Side, pages: &[u64], levels: u8) -> u64 {
    if levels == 0 {
        return pages[0];
    }
    let tables: Vec<u64> = pages
        .chunks(512)
        .map(|chunk| {
            let table = side.memory(0x1000);
            let bytes: Vec<u8> = chunk.iter().flat_map(|page| page.to_le_bytes()).collect();
            side.rig.host.poke(table, &bytes);
            table
        })
        .collect();
    page_table(side, &tables, levels - 1)
}

#[test]
fn regions_of_scattered_pages() {
    for levels in 1..=3 {
        let mut pair = Pair::new();
        let side = &mut pair.sides[0];
        // Three pages, the last of which comes first, and the first of which is used from 0x123 on.
        let pages: Vec<u64> = (0..3).map(|_| side.memory(0x1000)).rev().collect();
        let base = 0xFFFF_8000_0000_0123;
        let table = page_table(side, &pages, levels);
        let mr = MrRegister {
            base: base.into(),
            length: 0x2800.into(),
            pages: table.into(),
            pdn: side.pdn.into(),
            access: ALL_ACCESS.into(),
            levels,
            reserved: [0; 3],
            first_page_offset: 0x123.into(),
        };
        let key = side.make(Opcode::REGISTER_MR, &mr).unwrap();
        // What the tables say later has no effect.
        side.rig.host.poke(table, &[0xFF; 0x1000]);
        let data = pattern(0x2800);
        side.rig.host.poke(pages[0] + 0x123, &data[..0xEDD]);
        side.rig.host.poke(pages[1], &data[0xEDD..0x1EDD]);
        side.rig.host.poke(pages[2], &data[0x1EDD..]);
        pair.receive(0x4000);
        let request = Request::new(WorkOpcode::SEND, &[], &[(base, 0x2800, key)]);
        assert_eq!(statuses(&pair.request(&request)[0]), [WorkStatus::OK], "{levels}");
        assert_eq!(pair.bytes(1, 0x2800), data);
        let beyond = Request::new(WorkOpcode::SEND, &[], &[(base + 1, 0x2800, key)]);
        assert_eq!(
            statuses(&pair.request(&beyond)[0]),
            [WorkStatus::LOCAL_PROTECTION]
        );
    }
}

#[test]
fn a_region_of_a_gigabyte() {
    // The host has no such memory: the tables name the same page again and again.
    let mut side = Side::ours();
    let page = side.memory(0x1000);
    let leaf = page_table(&mut side, &vec![page; 512], 1);
    let middle = page_table(&mut side, &vec![leaf; 512], 1);
    let mr = MrRegister {
        levels: 2,
        pages: middle.into(),
        length: (1 << 30).into(),
        base: 0.into(),
        first_page_offset: 0.into(),
        ..side.mr_attributes(page, 1, ALL_ACCESS)
    };
    let key = side.make(Opcode::REGISTER_MR, &mr).unwrap();
    let one_more = MrRegister {
        length: ((1 << 30) + 1).into(),
        ..mr
    };
    assert_eq!(
        side.make(Opcode::REGISTER_MR, &one_more),
        Err((Status::BAD_PARAMETER, 16 + 32))
    );
    assert_eq!(side.command(Opcode::DEREGISTER_MR, key), Status::OK);
}

#[test]
fn page_lists_have_a_limit_together() {
    let mut side = Side::ours();
    let page = side.memory(0x1000);
    let leaf = page_table(&mut side, &vec![page; 512], 1);
    let middle = page_table(&mut side, &vec![leaf; 512], 1);
    let root = page_table(&mut side, &vec![middle; 512], 1);
    let mr = MrRegister {
        levels: 3,
        pages: root.into(),
        length: (1 << 36).into(),
        base: 0.into(),
        first_page_offset: 0.into(),
        ..side.mr_attributes(page, 1, ALL_ACCESS)
    };
    let too_long = MrRegister {
        length: ((1 << 37) + 1).into(),
        ..mr
    };
    assert_eq!(
        side.make(Opcode::REGISTER_MR, &too_long),
        Err((Status::NO_RESOURCES, 0))
    );
    let key = side.make(Opcode::REGISTER_MR, &mr).unwrap();
    let also_too_long = MrRegister {
        length: ((1 << 36) + 1).into(),
        ..mr
    };
    assert_eq!(
        side.make(Opcode::REGISTER_MR, &also_too_long),
        Err((Status::NO_RESOURCES, 0))
    );
    assert_eq!(side.command(Opcode::DEREGISTER_MR, key), Status::OK);
}

/// What makes a key.
type OfKeys = fn(&mut Keys) -> u32;

/// One side of a pair that does things to its own keys.
struct Keys {
    pair: Pair,
    list: u64,
    fast: u32,
    window: u32,
}

impl Keys {
    fn new() -> Self {
        let mut pair = Pair::new();
        let side = &mut pair.sides[0];
        let list = side.memory(0x1000);
        let alloc = side.key_alloc(4, ALL_ACCESS);
        let fast = side.make(Opcode::ALLOC_FRMR, &alloc).unwrap();
        let alloc = side.key_alloc(0, ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE);
        let window = side.make(Opcode::ALLOC_MW, &alloc).unwrap();
        Self {
            pair,
            list,
            fast,
            window,
        }
    }

    fn fast_segment(&self) -> FastRegSegment {
        let memory = self.pair.memory[0];
        let pages: Vec<u8> = (0..4)
            .flat_map(|page| (memory + page * 0x1000).to_le_bytes())
            .collect();
        self.pair.sides[0].rig.host.poke(self.list, &pages);
        FastRegSegment {
            base: 0x9_0010.into(),
            length: 0x3FF0.into(),
            page_list: self.list.into(),
            key: self.fast.into(),
            access: ALL_ACCESS.into(),
            pages: 4.into(),
            first_page_offset: 0x10.into(),
            reserved: [0; 8],
        }
    }

    fn bind_segment(&self) -> BindSegment {
        BindSegment {
            base: self.pair.memory[0].into(),
            length: 0x4000.into(),
            window_key: self.window.into(),
            region_key: self.pair.keys[0].into(),
            access: (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE).into(),
            reserved: [0; 20],
        }
    }

    fn done(&mut self, request: &Request) -> WorkStatus {
        let [sent, _] = self.pair.request(request);
        assert_eq!(sent.len(), 1);
        WorkStatus(sent[0].status)
    }

    fn register(&mut self, segment: &FastRegSegment) -> WorkStatus {
        self.done(&Request::new(WorkOpcode::FAST_REG, &[segment.as_bytes()], &[]))
    }

    fn bind(&mut self, segment: &BindSegment) -> WorkStatus {
        self.done(&Request::new(WorkOpcode::BIND_MW, &[segment.as_bytes()], &[]))
    }

    fn invalidate(&mut self, key: u32) -> WorkStatus {
        self.done(&Request::new(WorkOpcode::LOCAL_INV, &[], &[]).key(key))
    }
}

const OK: WorkStatus = WorkStatus::OK;

#[test]
fn fast_registration() {
    let mut keys = Keys::new();
    let mut segment = keys.fast_segment();
    for variant in [3, 4, 0xFF] {
        segment.key = (keys.fast + variant).into();
        assert_eq!(keys.register(&segment), OK);
        keys.pair.fill(0, &pattern(0x4000));
        keys.pair.receive(0x4000);
        let whole = (0x9_0010, 0x3FF0, keys.fast + variant);
        assert_eq!(keys.done(&Request::new(WorkOpcode::SEND, &[], &[whole])), OK);
        assert_eq!(keys.pair.bytes(1, 0x3FF0), pattern(0x4000)[0x10..]);
        assert_eq!(keys.invalidate(keys.fast + variant), OK);
    }
    let gone = Request::new(WorkOpcode::SEND, &[], &[(0x9_0010, 8, keys.fast + 0xFF)]);
    assert_eq!(keys.done(&gone), WorkStatus::LOCAL_PROTECTION);
}

#[test]
fn fast_registrations_that_are_refused() {
    let refusals: [(&str, Change<FastRegSegment>); 14] = [
        ("a region's key", |fast| fast.key = 0x200.into()),
        ("a window's key", |fast| fast.key = 0x400.into()),
        ("no key", |fast| fast.key = 0x7700.into()),
        ("no length", |fast| fast.length = 0.into()),
        ("more than the pages hold", |fast| fast.length = 0x3FF1.into()),
        ("beyond the address space", |fast| fast.length = u64::MAX.into()),
        ("no pages", |fast| fast.pages = 0.into()),
        ("too many pages", |fast| fast.pages = 5.into()),
        ("another offset", |fast| fast.first_page_offset = 0x11.into()),
        ("unknown access", |fast| fast.access = 0x10.into()),
        ("remote write alone", |fast| {
            fast.access = ACCESS_REMOTE_WRITE.into();
        }),
        ("a list that is not aligned", |fast| {
            fast.page_list = (fast.page_list.get() + 4).into();
        }),
        ("pages that are not aligned", |fast| {
            fast.page_list = (fast.page_list.get() + 0x100).into();
        }),
        ("reserved", |fast| fast.reserved[7] = 1),
    ];
    for (what, spoil) in refusals {
        let mut keys = Keys::new();
        let mut segment = keys.fast_segment();
        keys.pair.sides[0].rig.host.poke(keys.list + 0x100, &[1; 32]);
        spoil(&mut segment);
        assert_eq!(keys.register(&segment), WorkStatus::LOCAL_OPERATION, "{what}");
    }
    let mut keys = Keys::new();
    let mut segment = keys.fast_segment();
    segment.page_list = NOWHERE.into();
    assert_eq!(keys.register(&segment), WorkStatus::LOCAL_PROTECTION);
    let mut keys = Keys::new();
    let segment = keys.fast_segment();
    assert_eq!(keys.register(&segment), OK);
    assert_eq!(
        keys.register(&segment),
        WorkStatus::LOCAL_OPERATION,
        "registered already"
    );
}

#[test]
fn a_fast_region_gives_no_more_than_it_was_made_with() {
    let mut keys = Keys::new();
    let alloc = keys.pair.sides[0].key_alloc(4, ACCESS_REMOTE_READ);
    keys.fast = keys.pair.sides[0].make(Opcode::ALLOC_FRMR, &alloc).unwrap();
    let mut segment = keys.fast_segment();
    segment.access = ACCESS_REMOTE_READ.into();
    assert_eq!(keys.register(&segment), OK);
    assert_eq!(keys.invalidate(keys.fast), OK);
    segment.access = (ACCESS_REMOTE_READ | ACCESS_LOCAL_WRITE).into();
    assert_eq!(keys.register(&segment), WorkStatus::LOCAL_OPERATION);
}

#[test]
fn invalidations_that_are_refused() {
    let refusals: [(&str, OfKeys); 6] = [
        ("a registered region", |keys| keys.pair.keys[0]),
        ("a new fast region", |keys| keys.fast),
        ("a new window", |keys| keys.window),
        ("no key", |_| 0x7700),
        ("another variant", |keys| {
            let segment = keys.fast_segment();
            assert_eq!(keys.register(&segment), OK);
            keys.fast + 1
        }),
        ("a fast region with a window", |keys| {
            let segment = keys.fast_segment();
            assert_eq!(keys.register(&segment), OK);
            let bind = BindSegment {
                base: 0x9_0010.into(),
                length: 1.into(),
                region_key: keys.fast.into(),
                ..keys.bind_segment()
            };
            assert_eq!(keys.bind(&bind), OK);
            keys.fast
        }),
    ];
    for (what, key) in refusals {
        let mut keys = Keys::new();
        let key = key(&mut keys);
        assert_eq!(keys.invalidate(key), WorkStatus::LOCAL_OPERATION, "{what}");
    }
}

#[test]
fn binds_that_are_refused() {
    let refusals: [(&str, Change<BindSegment>); 10] = [
        ("no window", |bind| bind.window_key = 0x7700.into()),
        ("a region as window", |bind| bind.window_key = 0x200.into()),
        ("no region", |bind| bind.region_key = 0x7700.into()),
        ("another variant", |bind| bind.region_key = 0x201.into()),
        ("a window as region", |bind| bind.region_key = 0x400.into()),
        ("a fast region that is not registered", |bind| {
            bind.region_key = 0x300.into();
        }),
        ("no length", |bind| bind.length = 0.into()),
        ("beyond the region", |bind| bind.length = 0x4001.into()),
        ("local access", |bind| bind.access = ACCESS_LOCAL_WRITE.into()),
        ("reserved", |bind| bind.reserved[19] = 1),
    ];
    for (what, spoil) in refusals {
        let mut keys = Keys::new();
        let mut segment = keys.bind_segment();
        spoil(&mut segment);
        assert_eq!(keys.bind(&segment), WorkStatus::WINDOW_BIND, "{what}");
    }
    let mut keys = Keys::new();
    let segment = keys.bind_segment();
    assert_eq!(keys.bind(&segment), OK);
    assert_eq!(keys.invalidate(keys.window), OK);
    assert_eq!(keys.bind(&segment), OK, "again after invalidation");
    assert_eq!(keys.bind(&segment), WorkStatus::WINDOW_BIND, "bound already");
}

#[test]
fn rights_of_the_region_that_a_bind_needs() {
    for (region, window, status) in [
        (ACCESS_REMOTE_READ, ACCESS_REMOTE_READ, WorkStatus::WINDOW_BIND),
        (ACCESS_WINDOW_BIND, ACCESS_REMOTE_READ, OK),
        (ACCESS_WINDOW_BIND, ACCESS_REMOTE_WRITE, WorkStatus::WINDOW_BIND),
        (ACCESS_WINDOW_BIND | ACCESS_LOCAL_WRITE, ACCESS_REMOTE_WRITE, OK),
    ] {
        let mut keys = Keys::new();
        let memory = keys.pair.memory[0];
        let region_key = keys.pair.sides[0].register(memory, 0x4000, region);
        let segment = BindSegment {
            region_key: region_key.into(),
            access: window.into(),
            ..keys.bind_segment()
        };
        assert_eq!(keys.bind(&segment), status, "{region:#x} {window:#x}");
    }
}
