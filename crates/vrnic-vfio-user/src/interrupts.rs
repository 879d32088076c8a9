//! Interrupts: event files that the client gives for the MSI-X vectors.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use vrnic_abi::pci::VECTORS;
use vrnic_device::Interrupts;

use crate::protocol::{IRQ_DATA_EVENTFD, IRQ_DATA_NONE, IRQ_TRIGGER, IrqSet, MSIX};

/// The event files. A vector without one keeps its interrupt until it gets one: QEMU takes all away and gives them again
/// whenever the guest enables one more vector.
#[derive(Default)]
pub struct EventFiles {
    vectors: Mutex<[Vector; VECTORS as usize]>,
}

#[derive(Default)]
struct Vector {
    file: Option<OwnedFd>,
    pending: bool,
}

impl Vector {
    fn raise(&mut self) {
        match &self.file {
            Some(file) => signal(file),
            None => self.pending = true,
        }
    }
}

impl EventFiles {
    /// Does what `DEVICE_SET_IRQS` asks for.
    ///
    /// # Errors
    /// `EINVAL` for vectors that there are not, a number of files that does not fit, and files that are no event files; `ENOTSUP` for
    /// what QEMU never asks for (masking by message).
    pub fn set(&self, request: &IrqSet, files: Vec<OwnedFd>) -> Result<(), Errno> {
        let range = range(request)?;
        if request.index != MSIX {
            // There are no interrupts of other kinds: to switch off none is fine.
            let nothing = range.is_empty() && request.flags == IRQ_DATA_NONE | IRQ_TRIGGER;
            return if nothing { Ok(()) } else { Err(Errno::INVAL) };
        }
        if range.end > usize::from(VECTORS) {
            return Err(Errno::INVAL);
        }
        let mut vectors = self.lock();
        match request.flags {
            flags if flags == IRQ_DATA_NONE | IRQ_TRIGGER && range.is_empty() => {
                *vectors = Default::default();
            }
            flags if flags == IRQ_DATA_NONE | IRQ_TRIGGER => {
                vectors[range].iter_mut().for_each(Vector::raise);
            }
            // Files are given for all or none of them (to take theirs away).
            flags if flags == IRQ_DATA_EVENTFD | IRQ_TRIGGER => {
                if files.len() != range.len() && !files.is_empty() {
                    return Err(Errno::INVAL);
                }
                for file in &files {
                    prepare(file)?;
                }
                let files = files.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                for (vector, file) in vectors[range].iter_mut().zip(files) {
                    vector.file = file;
                    if vector.file.is_some() && std::mem::take(&mut vector.pending) {
                        vector.raise();
                    }
                }
            }
            _ => return Err(Errno::NOTSUP),
        }
        Ok(())
    }

    /// Takes all files away and forgets what waits.
    pub fn clear(&self) {
        *self.lock() = Default::default();
    }

    fn lock(&self) -> MutexGuard<'_, [Vector; VECTORS as usize]> {
        self.vectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupts for EventFiles {
    fn raise(&self, vector: u16) {
        if let Some(vector) = self.lock().get_mut(usize::from(vector)) {
            vector.raise();
        }
    }
}

fn range(request: &IrqSet) -> Result<std::ops::Range<usize>, Errno> {
    let start = request.start as usize;
    let end = start.checked_add(request.count as usize).ok_or(Errno::INVAL)?;
    Ok(start..end)
}

/// Makes sure that writing to the file cannot block: it is an event file, and does not wait.
fn prepare(file: &OwnedFd) -> Result<(), Errno> {
    let name = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| Errno::INVAL)?;
    if name.as_os_str() != "anon_inode:[eventfd]" {
        return Err(Errno::INVAL);
    }
    let flags = rustix::fs::fcntl_getfl(file)?;
    rustix::fs::fcntl_setfl(file, flags | OFlags::NONBLOCK)
}

/// Adds one to an event file's counter. A full counter is not zero: the client is told already.
fn signal(file: &OwnedFd) {
    let mut ready = [PollFd::new(file, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // The client may have made it wait again: so we ask before. Without room there is nothing to tell.
    if rustix::event::poll(&mut ready, Some(&now)) == Ok(1) {
        let _ = rustix::io::write(file, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    fn request(flags: u32, start: u32, count: u32) -> IrqSet {
        IrqSet {
            argsz: 20,
            flags,
            index: MSIX,
            start,
            count,
        }
    }

    fn counter(file: &OwnedFd) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::read(file, &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
    }

    const FILES: u32 = IRQ_DATA_EVENTFD | IRQ_TRIGGER;
    const NONE: u32 = IRQ_DATA_NONE | IRQ_TRIGGER;

    #[test]
    fn an_interrupt_waits_for_its_file() {
        let events = EventFiles::default();
        events.raise(3);
        events.raise(3);
        events.raise(99);
        let file = eventfd(0, EventfdFlags::empty()).expect("a file");
        let theirs = file.try_clone().expect("a file");
        assert_eq!(events.set(&request(FILES, 3, 1), vec![theirs]), Ok(()));
        assert_eq!(counter(&file), 1);
        events.raise(3);
        assert_eq!(counter(&file), 1);
        assert_eq!(events.set(&request(NONE, 3, 1), vec![]), Ok(()), "triggers it");
        assert_eq!(counter(&file), 1);
        assert_eq!(events.set(&request(NONE, 0, 0), vec![]), Ok(()), "all off");
        events.raise(3);
        assert_eq!(counter(&file), 0);
    }

    #[test]
    fn a_full_counter_blocks_nobody() {
        let events = EventFiles::default();
        let file = eventfd(0, EventfdFlags::empty()).expect("a file");
        let theirs = file.try_clone().expect("a file");
        events.set(&request(FILES, 0, 1), vec![theirs]).expect("good");
        rustix::io::write(&file, &(u64::MAX - 1).to_ne_bytes()).expect("room");
        events.raise(0);
        rustix::fs::fcntl_setfl(&file, OFlags::empty()).expect("a hostile client can");
        events.raise(0);
        assert_eq!(counter(&file), u64::MAX - 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let events = EventFiles::default();
        let file = || eventfd(0, EventfdFlags::empty()).expect("a file");
        let pipe = || rustix::pipe::pipe().expect("a pipe").1;
        for (request, files) in [
            (request(FILES, 15, 2), vec![file(), file()]),
            (request(FILES, u32::MAX, 1), vec![file()]),
            (request(FILES, 0, u32::MAX), vec![file()]),
            (request(FILES, 0, 2), vec![file()]),
            (request(FILES, 0, 1), vec![pipe()]),
            (
                IrqSet {
                    index: 0,
                    ..request(FILES, 0, 1)
                },
                vec![file()],
            ),
        ] {
            assert_eq!(events.set(&request, files), Err(Errno::INVAL), "{request:?}");
        }
        assert_eq!(
            events.set(&request(crate::protocol::IRQ_MASK | 1, 0, 1), vec![]),
            Err(Errno::NOTSUP)
        );
    }
}
