//! Calls of a provider's functions as its consumers make them: nothing is checked, copied or remembered.

use crate::cpu::call;
use crate::memory::{self, PAGE_SIZE};
use crate::ndk::{Cq, Memory, Mr, Pd, Qp, Sge};
use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE, NDK_RESULT,
    STATUS_SUCCESS,
};
use std::mem::offset_of;

/// Memory that is registered for everything.
pub struct Region {
    // In the order in which they go down.
    mr: Mr,
    memory: Memory,
}

impl Region {
    /// `length` bytes.
    ///
    /// # Panics
    /// When it cannot be registered.
    #[must_use]
    pub fn new(pd: &Pd, length: usize) -> Self {
        let memory = Memory::new(length);
        let mr = pd.create_mr(false).expect("a region is made");
        let access =
            NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
        mr.register(&memory, length, access)
            .expect("the memory is registered");
        Self { mr, memory }
    }

    /// An element of its first bytes.
    #[must_use]
    pub fn sge(&self, length: u32) -> SgeList {
        SgeList::new(&self.memory.sge(0, length, self.mr.local_token()))
    }

    /// An element of its first bytes, for inline data.
    #[must_use]
    pub fn inline_sge(&self, length: u32) -> SgeList {
        SgeList::new(&self.memory.inline_sge(0, length))
    }

    /// Where a peer finds it: address and token.
    #[must_use]
    pub fn remote(&self) -> (u64, u64) {
        (self.memory.va(), self.mr.remote_token().into())
    }
}

/// A list of one element, as providers read it.
pub struct SgeList {
    words: Box<[u64; 2]>,
}

impl SgeList {
    fn new(sge: &Sge) -> Self {
        Self {
            words: Box::new([sge.address, u64::from(sge.length) | u64::from(sge.token) << 32]),
        }
    }

    fn address(&self) -> u64 {
        self.words.as_ptr().addr() as u64
    }
}

/// A QP's functions. Request contexts are 0.
pub struct DirectQp {
    object: u64,
    send: usize,
    receive: usize,
    read: usize,
    write: usize,
    fast_register: usize,
    invalidate: usize,
}

impl DirectQp {
    /// Of that QP.
    #[must_use]
    pub fn new(qp: &Qp) -> Self {
        Self {
            object: qp.address() as u64,
            send: qp.function("NdkSend"),
            receive: qp.function("NdkReceive"),
            read: qp.function("NdkRead"),
            write: qp.function("NdkWrite"),
            fast_register: qp.function("NdkFastRegister"),
            invalidate: qp.function("NdkInvalidate"),
        }
    }

    /// `NdkSend`.
    pub fn send(&self, sge: &SgeList, flags: u32) {
        post(self.send, &[self.object, 0, sge.address(), 1, flags.into()]);
    }

    /// `NdkReceive`.
    pub fn receive(&self, sge: &SgeList) {
        post(self.receive, &[self.object, 0, sge.address(), 1]);
    }

    /// `NdkRead` from address and token.
    pub fn read(&self, sge: &SgeList, (address, token): (u64, u64), flags: u32) {
        post(
            self.read,
            &[self.object, 0, sge.address(), 1, address, token, flags.into()],
        );
    }

    /// `NdkWrite` to address and token.
    pub fn write(&self, sge: &SgeList, (address, token): (u64, u64), flags: u32) {
        post(
            self.write,
            &[self.object, 0, sge.address(), 1, address, token, flags.into()],
        );
    }

    /// `NdkFastRegister` of whole pages.
    pub fn fast_register(&self, mr: &Mr, pages: &[u64], base: u64) {
        let (count, list) = (pages.len() as u64, pages.as_ptr().addr() as u64);
        let length = count * PAGE_SIZE as u64;
        post(
            self.fast_register,
            &[
                self.object,
                0,
                mr.address() as u64,
                count,
                list,
                0,
                length,
                base,
                0,
            ],
        );
    }

    /// `NdkInvalidate`.
    pub fn invalidate(&self, mr: &Mr) {
        post(self.invalidate, &[self.object, 0, mr.address() as u64, 0]);
    }
}

fn post(function: usize, arguments: &[u64]) {
    let status = low_half(call::call_without_limit(function, arguments));
    assert_eq!(status, STATUS_SUCCESS.cast_unsigned(), "a post succeeds");
}

/// What a function that returns 32 bits leaves in rax.
fn low_half(rax: u64) -> u32 {
    let [a, b, c, d, ..] = rax.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Results that one call can take.
const AT_ONCE: usize = 16;

/// A CQ's `NdkGetCqResults`.
pub struct DirectCq {
    object: u64,
    get_results: usize,
    results: Box<[[u64; size_of::<NDK_RESULT>() / 8]; AT_ONCE]>,
}

impl DirectCq {
    /// Of that CQ.
    #[must_use]
    pub fn new(cq: &Cq) -> Self {
        Self {
            object: cq.address() as u64,
            get_results: cq.function("NdkGetCqResults"),
            results: Box::default(),
        }
    }

    /// Takes up to `count` results, 16 at most: how many there were.
    ///
    /// # Panics
    /// When a request has failed.
    #[must_use]
    pub fn take(&self, count: usize) -> usize {
        let buffer = self.results.as_ptr().addr();
        let room = count.min(AT_ONCE) as u64;
        let taken = call::call_without_limit(self.get_results, &[self.object, buffer as u64, room]);
        let taken = low_half(taken) as usize;
        for index in 0..taken {
            let at = buffer + index * size_of::<NDK_RESULT>() + offset_of!(NDK_RESULT, Status);
            let status: i32 = memory::read(at);
            assert_eq!(status, STATUS_SUCCESS, "a request succeeds");
        }
        taken
    }
}
