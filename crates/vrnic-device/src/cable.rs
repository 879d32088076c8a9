//! A cable between two NICs of one process: no thread of its own; frames change hands, with their memory.
//!
//! Each NIC takes its frames out of the cable when its engine polls, in batches; a NIC that sleeps is woken.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::frame_buffer::FrameBuffer;
use crate::host::Wire;
use crate::nic::Nic;

/// Frames that may be under way in one direction; more are lost.
const DEPTH: usize = 16 * 1024;
/// Buffers that are kept to be used again.
const SPARE: usize = 1024;
/// Frames that a NIC takes at a time.
const BATCH: usize = 64;

/// One end of a cable: the wire of one NIC.
pub struct CableEnd {
    sends: Arc<Lane>,
    receives: Arc<Lane>,
}

/// One direction.
#[derive(Default)]
struct Lane {
    frames: Mutex<Frames>,
    /// Frames that wait: the receiver locks only if there are some.
    waiting: AtomicUsize,
    /// Who takes the frames.
    receiver: OnceLock<Weak<Nic>>,
}

#[derive(Default)]
struct Frames {
    waiting: VecDeque<FrameBuffer>,
    /// Buffers that have been used before. The last one comes first: a processor still has it in its cache.
    spare: Vec<FrameBuffer>,
    lost: u64,
}

impl CableEnd {
    /// Both ends of a cable. Each is the wire of a NIC, and is told that NIC by [`Self::plug_in`].
    #[must_use]
    pub fn pair() -> [Arc<Self>; 2] {
        let [one, other] = [(); 2].map(|()| Arc::new(Lane::default()));
        [(&one, &other), (&other, &one)].map(|(sends, receives)| {
            Arc::new(Self {
                sends: Arc::clone(sends),
                receives: Arc::clone(receives),
            })
        })
    }

    /// Says whose wire this end is, so that the NIC is woken when a frame comes. Once: later calls do nothing.
    pub fn plug_in(&self, nic: &Arc<Nic>) {
        let first = self.receives.receiver.set(Arc::downgrade(nic)).is_ok();
        if first {
            nic.wake();
        }
    }

    /// Frames to this end that were lost because too many were under way.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.receives.lock().lost
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets frames in by `put`, and wakes the receiver.
    fn put(&self, put: impl FnOnce(&mut Frames)) {
        let mut frames = self.lock();
        put(&mut frames);
        self.waiting.store(frames.waiting.len(), Ordering::Release);
        drop(frames);
        if let Some(nic) = self.receiver.get().and_then(Weak::upgrade) {
            nic.wake();
        }
    }

    /// Takes the next frames out.
    fn take(&self) -> Vec<FrameBuffer> {
        // A receiver that goes to sleep looks here once more behind a fence.
        if self.waiting.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut frames = self.lock();
        let count = frames.waiting.len().min(BATCH);
        let batch = frames.waiting.drain(..count).collect();
        self.waiting.store(frames.waiting.len(), Ordering::Release);
        batch
    }
}

impl Frames {
    /// The place of one more frame, with a buffer in it; None: the frame is lost.
    fn place(&mut self) -> Option<&mut FrameBuffer> {
        if self.waiting.len() == DEPTH {
            self.lost += 1;
            return None;
        }
        self.waiting.push_back(self.spare.pop().unwrap_or_default());
        self.waiting.back_mut()
    }
}

impl Wire for CableEnd {
    fn transmit(&self, frame: &[u8]) {
        self.sends.put(|frames| {
            if let Some(buffer) = frames.place() {
                buffer.set(frame);
            }
        });
    }

    fn transmit_all(&self, batch: &mut [FrameBuffer]) {
        self.sends.put(|frames| {
            for frame in batch {
                if let Some(buffer) = frames.place() {
                    mem::swap(buffer, frame);
                }
            }
        });
    }

    fn poll(&self, receive: &mut dyn FnMut(&[u8])) {
        let mut batch = self.receives.take();
        if batch.is_empty() {
            return;
        }
        for frame in &batch {
            receive(frame.bytes());
        }
        let mut frames = self.receives.lock();
        batch.truncate(SPARE - frames.spare.len());
        frames.spare.append(&mut batch);
    }
}
