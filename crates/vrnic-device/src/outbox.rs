//! Frames that wait until all that go together are there, and buffers for more.

use std::mem;

use crate::frame_buffer::FrameBuffer;
use crate::host::Wire;

/// See the module.
#[derive(Default)]
pub(crate) struct Outbox {
    /// The frames that wait, the oldest first, and behind them buffers for the next ones.
    frames: Vec<FrameBuffer>,
    waiting: usize,
}

/// Buffers that are kept: as many as a queue pair sends in its turn.
const SPARE: usize = 64;

impl Outbox {
    /// Takes a frame, and leaves a buffer in its place.
    pub fn put(&mut self, frame: &mut FrameBuffer) {
        if self.waiting == self.frames.len() {
            self.frames.push(FrameBuffer::new());
        }
        mem::swap(&mut self.frames[self.waiting], frame);
        self.waiting += 1;
    }

    /// Hands all frames to the wire.
    pub fn send(&mut self, wire: &dyn Wire) {
        if self.waiting != 0 {
            wire.transmit_all(&mut self.frames[..self.waiting]);
            self.waiting = 0;
            self.frames.truncate(SPARE);
        }
    }

    /// A buffer for a frame.
    pub fn take_spare(&mut self) -> FrameBuffer {
        let is_spare = self.waiting < self.frames.len();
        is_spare.then(|| self.frames.pop()).flatten().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn put_spare(&mut self, buffer: FrameBuffer) {
        if self.frames.len() < SPARE {
            self.frames.push(buffer);
        }
    }
}
