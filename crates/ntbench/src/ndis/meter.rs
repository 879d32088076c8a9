//! Frames through a miniport whose adapter is measured: lists that come back and frames that come are counted, and nothing is checked,
//! copied or remembered. The driver sees no difference.

use super::adapter::{Miniport, State};
use super::nbl;
use super::packet::{NO_STATUS, Owned, SendList};
use crate::cpu::call;
use crate::cpu::irql::{DISPATCH_LEVEL, RaisedIrql};
use crate::cpu::thread;
use crate::memory;
use ndk_sys::{
    NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_RETURN_FLAGS_DISPATCH_LEVEL, NDIS_SEND_FLAGS_DISPATCH_LEVEL,
    NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST, TcpLargeSendNetBufferListInfo,
};
use parking_lot::Mutex;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long what the host's stack has sent may take to come back.
const LIMIT: Duration = Duration::from_secs(10);

/// What comes of a miniport that is measured.
#[derive(Default)]
pub struct Meter {
    /// Lists that have come back.
    back: Mutex<Vec<usize>>,
    frames: AtomicU64,
    bytes: AtomicU64,
    lent: AtomicU64,
    /// Those that frames were indicated on, as bits.
    processors: AtomicU64,
}

impl Meter {
    /// Frames and their bytes that have been indicated so far.
    #[must_use]
    pub fn received(&self) -> (u64, u64) {
        (
            self.frames.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// How many of these frames were lent, and not only shown because the driver was short of buffers.
    #[must_use]
    pub fn lent(&self) -> u64 {
        self.lent.load(Ordering::Relaxed)
    }

    /// On how many processors frames have been indicated.
    #[must_use]
    pub fn processors(&self) -> u32 {
        self.processors.load(Ordering::Relaxed).count_ones()
    }

    /// The driver gives a chain of lists back.
    pub(super) fn completed(&self, first: usize) {
        let mut back = self.back.lock();
        for list in nbl::lists(first) {
            let status: i32 = memory::read(list + offset_of!(NET_BUFFER_LIST, Status));
            assert_eq!(status, NDIS_STATUS_SUCCESS, "a measured frame is sent");
            back.push(list);
        }
    }

    /// The driver indicates a chain of lists: it has them back when this returns.
    pub(super) fn indicated(&self, miniport: &Miniport, first: usize, flags: u32) {
        let (mut frames, mut bytes) = (0, 0);
        for list in nbl::lists(first) {
            let buffer: usize = memory::read(list + offset_of!(NET_BUFFER_LIST, FirstNetBuffer));
            let length: u32 = memory::read(buffer + offset_of!(NET_BUFFER, DataLength));
            frames += 1;
            bytes += u64::from(length);
        }
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let processor = thread::with(|thread| thread.vp.get());
        self.processors.fetch_or(1 << (processor % 64), Ordering::Relaxed);
        if flags & NDIS_RECEIVE_FLAGS_RESOURCES == 0 {
            self.lent.fetch_add(frames, Ordering::Relaxed);
            let handler = miniport.registration.handlers.ReturnNetBufferListsHandler;
            let handler = handler.map_or(0, |handler| handler as usize);
            miniport.call_directly(handler, &[first as u64, NDIS_RETURN_FLAGS_DISPATCH_LEVEL.into()]);
        }
    }
}

/// Lists to send again and again.
pub struct Sender {
    miniport: Arc<Miniport>,
    meter: Arc<Meter>,
    /// All lists, with what a driver changes in a large send.
    _owned: Vec<Owned>,
    large_send: u64,
    total: usize,
    free: Vec<usize>,
    handler: usize,
}

impl Sender {
    /// Hands up to `count` lists down in one call at DISPATCH: how many there were.
    pub fn send(&mut self, count: usize) -> usize {
        let lists = self.free.split_off(self.free.len() - count.min(self.free.len()));
        let sent = lists.len();
        let mut next = 0_usize;
        for list in lists {
            memory::write(list, next);
            memory::write(list + offset_of!(NET_BUFFER_LIST, Status), NO_STATUS);
            if self.large_send != 0 {
                let index = TcpLargeSendNetBufferListInfo as usize;
                let info = offset_of!(NET_BUFFER_LIST, NetBufferListInfo) + index * 8;
                memory::write(list + info, self.large_send);
            }
            next = list;
        }
        if next != 0 {
            let raised = RaisedIrql::at_least(DISPATCH_LEVEL);
            let arguments = [next as u64, 0, NDIS_SEND_FLAGS_DISPATCH_LEVEL.into()];
            self.miniport.call_directly(self.handler, &arguments);
            drop(raised);
        }
        sent
    }

    /// Takes lists that have come back: how many the driver still has.
    pub fn reclaim(&mut self) -> usize {
        self.free.append(&mut self.meter.back.lock());
        self.total - self.free.len()
    }
}

impl Miniport {
    /// Begins to measure: the host's stack sends nothing any more and gets nothing. It stays like that.
    ///
    /// # Panics
    /// When it is being measured already, or what the stack has sent does not come back.
    pub fn measure(&self) -> Arc<Meter> {
        if let Some(protocol) = &self.config.protocol {
            protocol.stop();
        }
        let deadline = Instant::now() + LIMIT;
        while self.sends().outstanding() != 0 || self.receives().outstanding() != 0 {
            assert!(Instant::now() < deadline, "lists of the stack come back");
            std::thread::sleep(Duration::from_millis(1));
        }
        let meter = Arc::new(Meter::default());
        let first = self.meter.set(Arc::clone(&meter)).is_ok();
        assert!(first, "it is not measured already");
        meter
    }

    /// Lists to be sent by this miniport, which is being measured.
    ///
    /// # Panics
    /// When it is not running, or not measured.
    #[must_use]
    pub fn sender(self: &Arc<Self>, lists: &[SendList]) -> Sender {
        assert_eq!(self.state(), State::Running, "it runs");
        let meter = self.meter.get().expect("it is measured");
        let owned: Vec<Owned> = lists.iter().map(Owned::new).collect();
        let large_send = lists.iter().flat_map(|list| &list.info);
        let large_send = large_send.filter(|info| info.0 == TcpLargeSendNetBufferListInfo);
        Sender {
            free: owned.iter().map(Owned::address).collect(),
            total: owned.len(),
            _owned: owned,
            large_send: large_send.map(|info| info.1).next().unwrap_or(0),
            meter: Arc::clone(meter),
            handler: self
                .registration
                .handlers
                .SendNetBufferListsHandler
                .map_or(0, |handler| handler as usize),
            miniport: Arc::clone(self),
        }
    }

    /// Calls a handler of a miniport that is measured: without a limit of time.
    fn call_directly(&self, handler: usize, arguments: &[u64]) {
        let mut all = [0; 4];
        all[0] = self.context.load(Ordering::Acquire);
        all[1..=arguments.len()].copy_from_slice(arguments);
        call::call_without_limit(handler, &all[..=arguments.len()]);
    }
}
