//! A cable between two NICs of one process: no thread of its own, no copy but the one into it.
//!
//! Each NIC takes its frames out of the cable when its engine polls, in batches; a NIC that sleeps is woken.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

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
    /// Who takes the frames.
    receiver: OnceLock<Weak<Nic>>,
}

#[derive(Default)]
struct Frames {
    waiting: VecDeque<Vec<u8>>,
    /// Empty buffers that have been used before.
    spare: Vec<Vec<u8>>,
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
}

impl Wire for CableEnd {
    fn transmit(&self, frame: &[u8]) {
        let mut frames = self.sends.lock();
        if frames.waiting.len() == DEPTH {
            frames.lost += 1;
            return;
        }
        let mut buffer = frames.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(frame);
        frames.waiting.push_back(buffer);
        drop(frames);
        if let Some(nic) = self.sends.receiver.get().and_then(Weak::upgrade) {
            nic.wake();
        }
    }

    fn poll(&self, receive: &mut dyn FnMut(&[u8])) {
        let mut batch: [Vec<u8>; BATCH] = [const { Vec::new() }; BATCH];
        let mut count = 0;
        {
            let mut frames = self.receives.lock();
            for (place, frame) in batch
                .iter_mut()
                .zip(std::iter::from_fn(|| frames.waiting.pop_front()))
            {
                *place = frame;
                count += 1;
            }
        }
        if count == 0 {
            return;
        }
        batch[..count].iter().for_each(|frame| receive(frame));
        let mut frames = self.receives.lock();
        let room = SPARE - frames.spare.len();
        let used = batch.into_iter().take(count.min(room));
        frames.spare.extend(used);
    }
}
