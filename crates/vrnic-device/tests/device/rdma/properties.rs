//! The key table against a model, and drivers that write anything anywhere.

use proptest::prelude::*;
use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::doorbell;
use vrnic_abi::regs::DeviceState;
use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, ACCESS_WINDOW_BIND};
use vrnic_abi::wqe::{BindSegment, FastRegSegment, RemoteSegment, WorkOpcode};
use zerocopy::IntoBytes;

use super::pair::Pair;
use super::side::{ALL_ACCESS, Request};
use crate::host::MEMORY;

/// What happens to side 1's keys; numbers choose among the keys that there are.
#[derive(Clone, Debug)]
enum Step {
    Register {
        access: u32,
        pages: u64,
    },
    AllocateFast,
    AllocateWindow,
    Free {
        key: usize,
        variant: u32,
    },
    FastRegister {
        key: usize,
        variant: u32,
        access: u32,
        pages: u64,
    },
    Bind {
        key: usize,
        variant: u32,
        region: usize,
        access: u32,
        first: u64,
        pages: u64,
    },
    Invalidate {
        key: usize,
        variant: u32,
    },
    /// The peer writes or reads a byte, pages away from the beginning.
    Access {
        key: usize,
        variant: u32,
        page: u64,
        write: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    // Most of what is tried works: a failure takes the queue pairs and all bindings with it.
    let variant = prop_oneof![9 => Just(0u32), 1 => Just(1u32)];
    let remote = ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE;
    let access = prop_oneof![4 => Just(ALL_ACCESS), 4 => Just(remote), 1 => 0..16u32];
    let (key, pages) = (any::<usize>(), 1..4u64);
    let choice = (
        key,
        variant,
        access,
        pages,
        any::<usize>(),
        0..3u64,
        any::<bool>(),
    );
    (0..16u8, choice).prop_map(
        |(kind, (key, variant, access, pages, region, first, write))| match kind {
            0 | 1 => Step::Register { access, pages },
            2 => Step::AllocateFast,
            3 => Step::AllocateWindow,
            4 => Step::Free { key, variant },
            5 | 6 => Step::FastRegister {
                key,
                variant,
                access,
                pages,
            },
            7 | 8 => Step::Bind {
                key,
                variant,
                region,
                access,
                first,
                pages,
            },
            9 => Step::Invalidate { key, variant },
            _ => Step::Access {
                key,
                variant,
                page: first,
                write,
            },
        },
    )
}

/// What the model knows of one key: pages from the beginning of side 1's memory.
#[derive(Clone, Debug)]
struct Key {
    value: u32,
    kind: Kind,
    windows: u32,
}

#[derive(Clone, Debug)]
enum Kind {
    Region { access: u32, pages: u64 },
    Fast(Option<(u32, u64)>),
    Window(Option<Bound>),
}

#[derive(Clone, Debug)]
struct Bound {
    region: u32,
    access: u32,
    first: u64,
    pages: u64,
}

impl Key {
    fn region(&self) -> Option<(u32, u64)> {
        match self.kind {
            Kind::Region { access, pages } => Some((access, pages)),
            Kind::Fast(registered) => registered,
            Kind::Window(_) => None,
        }
    }
}

fn is_region_access(access: u32) -> bool {
    access & ACCESS_REMOTE_WRITE == 0 || access & ACCESS_LOCAL_WRITE != 0
}

struct Model {
    pair: Pair,
    list: u64,
    keys: Vec<Key>,
}

impl Model {
    fn new() -> Self {
        let mut pair = Pair::new();
        let list = pair.sides[1].memory(0x1000);
        let pages: Vec<u8> = (0..4)
            .flat_map(|page| (pair.memory[1] + page * 0x1000).to_le_bytes())
            .collect();
        pair.sides[1].rig.host.poke(list, &pages);
        Self {
            pair,
            list,
            keys: Vec::new(),
        }
    }

    /// With a key of each kind.
    fn with_keys() -> Self {
        let mut model = Self::new();
        for step in [
            Step::Register {
                access: ALL_ACCESS,
                pages: 3,
            },
            Step::AllocateFast,
            Step::AllocateWindow,
        ] {
            model.run(&step);
        }
        model
    }

    /// The place of the key that `choice` chooses.
    fn choose(&self, choice: usize) -> Option<usize> {
        choice.checked_rem(self.keys.len())
    }

    /// Runs a request at `side`; a queue pair that has failed is replaced, and so are the bindings that were its own.
    fn request(&mut self, side: usize, request: &Request) -> WorkStatus {
        self.pair.sides[side].send(&mut self.pair.qps[side], request);
        self.pair.run();
        let status = self.pair.drain()[side]
            .last()
            .map_or(WorkStatus::FATAL, |cqe| WorkStatus(cqe.status));
        if status != WorkStatus::OK {
            for side in 0..2 {
                let old = self.pair.qps[side].qpn;
                assert_eq!(self.pair.sides[side].command(Opcode::DESTROY_QP, old), Status::OK);
                self.pair.qps[side] = self.pair.sides[side].qp(&self.pair.cqs[side]);
                while self.pair.sides[side].event().is_some() {}
            }
            self.pair.connect();
            for place in 0..self.keys.len() {
                self.unbind(place);
            }
        }
        status
    }

    fn unbind(&mut self, place: usize) {
        if let Kind::Window(bound) = &mut self.keys[place].kind
            && let Some(bound) = bound.take()
            && let Some(region) = self.keys.iter_mut().find(|key| key.value >> 8 == bound.region)
        {
            region.windows -= 1;
        }
    }

    fn make(&mut self, opcode: Opcode, input: &(impl IntoBytes + zerocopy::Immutable), kind: Kind) {
        let key = self.pair.sides[1].make(opcode, input).unwrap();
        assert!(self.keys.iter().all(|other| other.value >> 8 != key >> 8));
        self.keys.push(Key {
            value: key,
            kind,
            windows: 0,
        });
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Register { access, pages } => {
                let memory = self.pair.memory[1];
                let length = usize::try_from(pages * 0x1000).unwrap();
                let register = self.pair.sides[1].mr_attributes(memory, length, access);
                if is_region_access(access) {
                    self.make(Opcode::REGISTER_MR, &register, Kind::Region { access, pages });
                } else {
                    let made = self.pair.sides[1].make(Opcode::REGISTER_MR, &register);
                    assert_eq!(made.map_err(|error| error.0), Err(Status::BAD_PARAMETER));
                }
            }
            Step::AllocateFast => {
                let alloc = self.pair.sides[1].key_alloc(4, ALL_ACCESS);
                self.make(Opcode::ALLOC_FRMR, &alloc, Kind::Fast(None));
            }
            Step::AllocateWindow => {
                let alloc = self.pair.sides[1].key_alloc(0, ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE);
                self.make(Opcode::ALLOC_MW, &alloc, Kind::Window(None));
            }
            Step::Free { key, variant } => self.free(key, variant),
            Step::FastRegister {
                key,
                variant,
                access,
                pages,
            } => self.fast_register(key, variant, access, pages),
            Step::Bind {
                key,
                variant,
                region,
                access,
                first,
                pages,
            } => {
                self.bind(key, variant, region, access, first, pages);
            }
            Step::Invalidate { key, variant } => self.invalidate(key, variant),
            Step::Access {
                key,
                variant,
                page,
                write,
            } => self.access(key, variant, page, write),
        }
    }

    fn free(&mut self, choice: usize, variant: u32) {
        let Some(place) = self.choose(choice) else { return };
        let key = self.keys[place].clone();
        let is_region = matches!(key.kind, Kind::Region { .. });
        let opcode = if is_region {
            Opcode::DEREGISTER_MR
        } else {
            Opcode::FREE_KEY
        };
        let expected = if is_region && variant != 0 {
            Status::BAD_RESOURCE
        } else if key.windows != 0 {
            Status::IN_USE
        } else {
            Status::OK
        };
        assert_eq!(
            self.pair.sides[1].command(opcode, key.value ^ variant),
            expected,
            "{key:?}"
        );
        if expected == Status::OK {
            self.unbind(place);
            self.keys.remove(place);
        }
    }

    fn fast_register(&mut self, choice: usize, variant: u32, access: u32, pages: u64) {
        let Some(place) = self.choose(choice) else { return };
        let new = self.keys[place].value ^ variant;
        let segment = FastRegSegment {
            base: self.pair.memory[1].into(),
            length: (pages * 0x1000).into(),
            page_list: self.list.into(),
            key: new.into(),
            access: access.into(),
            pages: u32::try_from(pages).unwrap().into(),
            first_page_offset: 0.into(),
            reserved: [0; 8],
        };
        let works = matches!(self.keys[place].kind, Kind::Fast(None)) && is_region_access(access);
        let status = self.request(1, &Request::new(WorkOpcode::FAST_REG, &[segment.as_bytes()], &[]));
        assert_eq!(
            status,
            if works {
                WorkStatus::OK
            } else {
                WorkStatus::LOCAL_OPERATION
            }
        );
        if works {
            self.keys[place].value = new;
            self.keys[place].kind = Kind::Fast(Some((access, pages)));
        }
    }

    fn bind(&mut self, choice: usize, variant: u32, region: usize, access: u32, first: u64, pages: u64) {
        let (Some(place), Some(region)) = (self.choose(choice), self.choose(region)) else {
            return;
        };
        let new = self.keys[place].value ^ variant;
        let region_key = self.keys[region].value;
        let segment = BindSegment {
            base: (self.pair.memory[1] + first * 0x1000).into(),
            length: (pages * 0x1000).into(),
            window_key: new.into(),
            region_key: region_key.into(),
            access: access.into(),
            reserved: [0; 20],
        };
        let remote = ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE;
        let works = matches!(self.keys[place].kind, Kind::Window(None))
            && access & !remote == 0
            && self.keys[region].region().is_some_and(|(granted, length)| {
                granted & ACCESS_WINDOW_BIND != 0
                    && (access & ACCESS_REMOTE_WRITE == 0 || granted & ACCESS_LOCAL_WRITE != 0)
                    && first + pages <= length
            });
        let status = self.request(1, &Request::new(WorkOpcode::BIND_MW, &[segment.as_bytes()], &[]));
        assert_eq!(
            status,
            if works {
                WorkStatus::OK
            } else {
                WorkStatus::WINDOW_BIND
            }
        );
        if works {
            self.keys[region].windows += 1;
            self.keys[place].value = new;
            self.keys[place].kind = Kind::Window(Some(Bound {
                region: region_key >> 8,
                access,
                first,
                pages,
            }));
        }
    }

    fn invalidate(&mut self, choice: usize, variant: u32) {
        let Some(place) = self.choose(choice) else { return };
        let key = self.keys[place].clone();
        let works = variant == 0
            && match key.kind {
                Kind::Region { .. } => false,
                Kind::Fast(registered) => registered.is_some() && key.windows == 0,
                Kind::Window(bound) => bound.is_some(),
            };
        let request = Request::new(WorkOpcode::LOCAL_INV, &[], &[]).key(key.value ^ variant);
        let status = self.request(1, &request);
        assert_eq!(
            status,
            if works {
                WorkStatus::OK
            } else {
                WorkStatus::LOCAL_OPERATION
            }
        );
        if works {
            self.unbind(place);
            if let Kind::Fast(registered) = &mut self.keys[place].kind {
                *registered = None;
            }
        }
    }

    fn access(&mut self, choice: usize, variant: u32, page: u64, write: bool) {
        let Some(place) = self.choose(choice) else { return };
        let key = self.keys[place].clone();
        let (opcode, needed) = if write {
            (WorkOpcode::WRITE, ACCESS_REMOTE_WRITE)
        } else {
            (WorkOpcode::READ, ACCESS_REMOTE_READ)
        };
        let (granted, shown) = match (&key.kind, key.region()) {
            (Kind::Window(Some(bound)), _) => (bound.access, bound.first..bound.first + bound.pages),
            (_, Some((access, pages))) => (access, 0..pages),
            _ => (0, 0..0),
        };
        let works = variant == 0 && granted & needed != 0 && shown.contains(&page);
        let remote = RemoteSegment {
            addr: (self.pair.memory[1] + page * 0x1000 + 0xFFF).into(),
            key: (key.value ^ variant).into(),
            reserved: 0.into(),
        };
        let request = Request::new(opcode, &[remote.as_bytes()], &[self.pair.local(1)]);
        let status = self.request(0, &request);
        let expected = if works {
            WorkStatus::OK
        } else {
            WorkStatus::REMOTE_ACCESS
        };
        assert_eq!(status, expected, "{key:?} page {page} {opcode:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn keys_give_access_to_what_they_say(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::with_keys();
        for step in &steps {
            model.run(step);
        }
    }

    #[test]
    fn anything_in_rings_and_doorbells_is_survived(
        bytes in prop::collection::vec((0..0xA_0000u64, prop::collection::vec(any::<u8>(), 1..64)), 0..24),
        words in prop::collection::vec((0..8u64, prop_oneof![0..40u32, any::<u32>()]), 1..12),
    ) {
        let mut pair = Pair::new();
        let [send, _] = [0, 1].map(|_| Request::new(WorkOpcode::SEND, &[], &[pair.local(3000)]));
        pair.receive(0x4000);
        pair.sides[0].send(&mut pair.qps[0], &send);
        // Objects are from 0x4_0000 on; the rings of commands and events, whose contents stop the device, are before.
        for (at, data) in &bytes {
            pair.sides[0].rig.host.poke(MEMORY + 0x4_0000 + at, data);
        }
        for (word, value) in words {
            let base = match word {
                0..=3 => doorbell::QP + 2 * 8 + word % 2 * 4,
                4..=5 => doorbell::CQ + word % 2 * 4,
                _ => doorbell::SRQ,
            };
            pair.sides[0].ring(base, value);
            pair.run();
        }
        prop_assert_eq!(pair.sides[0].rig.state(), DeviceState::READY);
        let number = pair.qps[0].qpn;
        prop_assert_eq!(pair.sides[0].command(Opcode::DESTROY_QP, number), Status::OK);
        prop_assert!(!pair.sides[0].rig.nic.poll());
    }
}
