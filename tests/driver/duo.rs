//! Two adapters on one wire, and what tests of connections between them share.

use crate::support::{PATIENCE, sys};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE, NTSTATUS,
    STATUS_SUCCESS,
};
use ntbench::Kernel;
use ntbench::machine::{AdapterSetup, Machine, MachineConfig};
use ntbench::ndk::{self, Cq, End, Memory, Mr, Pair, PairOptions, Pd, Sge, VERSION_2_0, WorkResultEx, pair};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

/// A machine with two adapters, and an NDK adapter of each.
pub struct Duo {
    // In the order in which they go down.
    pub client: ndk::Adapter,
    pub server: ndk::Adapter,
    pub machine: Machine,
}

/// All that a region can allow.
pub const ALL_ACCESS: u32 =
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

/// The client's address.
pub fn client_address() -> SocketAddr {
    "10.77.0.9:0".parse().expect("an address")
}

/// The server's address, with a port that no other test has used.
pub fn server_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(20_000);
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::new("10.77.0.10".parse().expect("an address"), port)
}

impl Duo {
    pub fn new() -> Self {
        let adapters = vec![AdapterSetup::numbered(0), AdapterSetup::numbered(1)];
        Self::with(MachineConfig::with_adapters(sys(), adapters))
    }

    pub fn with(config: MachineConfig) -> Self {
        let machine = Machine::start(config).expect("the driver starts");
        let open = |index| {
            machine
                .open_ndk_on(index, VERSION_2_0)
                .expect("the provider opens an adapter")
        };
        Self {
            client: open(0),
            server: open(1),
            machine,
        }
    }

    pub fn kernel(&self) -> &Kernel {
        self.machine.kernel()
    }

    /// A connection from the client to the server.
    pub fn pair(&self) -> Pair {
        self.pair_with(&PairOptions::default())
    }

    pub fn pair_with(&self, options: &PairOptions) -> Pair {
        pair::connect(
            &self.client,
            &self.server,
            client_address(),
            server_address(),
            options,
        )
        .expect("they connect")
    }
}

/// Memory with a region for all of it.
pub struct Region {
    // In the order in which they go down.
    pub mr: Mr,
    pub memory: Memory,
}

impl Region {
    pub fn new(pd: &Pd, length: usize) -> Self {
        Self::with(pd, Memory::new(length), ALL_ACCESS)
    }

    pub fn with(pd: &Pd, memory: Memory, flags: u32) -> Self {
        let mr = pd.create_mr(false).expect("a region is made");
        mr.register(&memory, memory.len(), flags)
            .expect("the memory is registered");
        Self { mr, memory }
    }

    /// An element.
    pub fn sge(&self, at: usize, length: usize) -> Sge {
        let length = u32::try_from(length).expect("short enough");
        self.memory.sge(at, length, self.mr.local_token())
    }

    /// All of it.
    pub fn whole(&self) -> Sge {
        self.sge(0, self.memory.len())
    }

    /// Where a peer finds it.
    pub fn remote(&self, at: usize) -> (u64, u32) {
        (self.memory.va() + at as u64, self.mr.remote_token())
    }
}

/// The next completions of a CQ.
pub fn take(cq: &Cq, count: usize) -> Vec<WorkResultEx> {
    let results = cq.wait_for(count, PATIENCE);
    assert_eq!(results.len(), count, "completions arrive: {results:x?}");
    results
}

/// The next completion of a CQ.
pub fn take_one(cq: &Cq) -> WorkResultEx {
    take(cq, 1)[0]
}

/// The next completion of a CQ is that of the request, and good.
pub fn assert_good(cq: &Cq, context: u64) -> WorkResultEx {
    assert_completes(cq, context, STATUS_SUCCESS)
}

/// The next completion of a CQ is that of the request, with that status.
pub fn assert_completes(cq: &Cq, context: u64, status: NTSTATUS) -> WorkResultEx {
    let result = take_one(cq);
    let name = ndk::trace::status_name;
    assert_eq!(
        (result.context, name(result.status)),
        (context, name(status)),
        "request and status"
    );
    result
}

/// Posts receives with contexts from `first` on, each for one part of the region.
pub fn post_receives(end: &End, region: &Region, first: u64, count: usize) {
    let each = region.memory.len() / count;
    for (context, at) in (first..).zip(0..count) {
        let status = end.qp.receive(context, &[region.sge(at * each, each)]);
        assert_eq!(status, STATUS_SUCCESS);
    }
}
