//! Driver stacks: walked with the image's `.pdata`, across the bench's own calls in between.

use super::modules::Module;
use crate::cpu::stack;
use crate::cpu::thread::{self, Registers};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{FrameAddress, ModuleSectionInfo, Unwinder};
use parking_lot::RwLock;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Frames that one stretch of driver code may have in a trace.
const FRAME_LIMIT: usize = 48;

type SectionData = Arc<[u8]>;

/// One frame of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Driver code. `exact` is false for return addresses.
    Driver {
        /// Where.
        address: usize,
        /// Whether it is the address of the instruction itself.
        exact: bool,
    },
    /// An export of the bench, called by the frame below and perhaps calling the frame above.
    Bench(&'static str),
}

/// A driver stack, innermost frame first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackTrace {
    /// The frames.
    pub frames: Vec<Frame>,
}

/// Copies of the sections that unwinding reads.
#[derive(Clone, Debug, Default)]
pub struct UnwindSections {
    /// Name, offsets in the image, content.
    pub sections: Vec<(String, Range<u64>, SectionData)>,
}

impl ModuleSectionInfo<SectionData> for &UnwindSections {
    fn base_svma(&self) -> u64 {
        0
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        self.sections
            .iter()
            .find(|section| section.0.as_bytes() == name)
            .map(|section| section.1.clone())
    }

    fn section_data(&mut self, name: &[u8]) -> Option<SectionData> {
        self.sections
            .iter()
            .find(|section| section.0.as_bytes() == name)
            .map(|section| Arc::clone(&section.2))
    }
}

static UNWINDER: LazyLock<RwLock<UnwinderX86_64<SectionData>>> =
    LazyLock::new(|| RwLock::new(UnwinderX86_64::new()));

thread_local! {
    static CACHE: RefCell<CacheX86_64> = RefCell::new(CacheX86_64::new());
}

pub(super) fn add_module(module: &Module) {
    let base = module.base as u64;
    let range = base..base + module.size as u64;
    UNWINDER.write().add_module(framehop::Module::new(
        module.name.clone(),
        range,
        base,
        &module.unwind,
    ));
}

static FAST: AtomicBool = AtomicBool::new(false);

/// Whether [`StackTrace::track`] is to be cheap: for benchmarks.
pub fn set_fast(fast: bool) {
    FAST.store(fast, Ordering::Relaxed);
}

/// Whether the bench runs for benchmarks.
#[must_use]
pub fn is_fast() -> bool {
    FAST.load(Ordering::Relaxed)
}

impl StackTrace {
    /// The stack to remember with something that is tracked: as [`StackTrace::capture`], or only the innermost caller
    /// when the bench is set to be fast.
    #[must_use]
    pub fn track() -> Self {
        if !is_fast() {
            return Self::capture();
        }
        let address = thread::caller_address();
        Self {
            frames: address
                .map(|address| Frame::Driver {
                    address,
                    exact: false,
                })
                .into_iter()
                .collect(),
        }
    }

    /// The current thread's driver stack: from where a fault or guard check interrupted the driver, if one did, through
    /// every active export call to the outermost call into a driver.
    #[must_use]
    pub fn capture() -> Self {
        let mut frames = Vec::new();
        if let Some(registers) = thread::top() {
            walk(registers, &mut frames);
        }
        for call in thread::imports() {
            frames.push(Frame::Bench(call.export.name));
            walk(call.caller, &mut frames);
        }
        Self { frames }
    }
}

fn walk(registers: Registers, frames: &mut Vec<Frame>) {
    let header = thread::with(|thread| thread.stack.get());
    let mut read_stack = |address: u64| {
        let address = usize::try_from(address).map_err(|_| ())?;
        let inside = stack::is_stack(header, address) && stack::is_stack(header, address + 7);
        inside.then(|| crate::memory::read::<u64>(address)).ok_or(())
    };
    let mut regs = UnwindRegsX86_64::new(registers.ip, registers.sp, registers.bp);
    let unwinder = UNWINDER.read();
    let mut address = if registers.exact {
        FrameAddress::from_instruction_pointer(registers.ip)
    } else {
        let Some(address) = FrameAddress::from_return_address(registers.ip) else {
            return;
        };
        address
    };
    for index in 0..FRAME_LIMIT {
        let Ok(at) = usize::try_from(address.address()) else {
            break;
        };
        if super::find(at).is_none() {
            break;
        }
        frames.push(Frame::Driver {
            address: at,
            exact: registers.exact && index == 0,
        });
        let next =
            CACHE.with_borrow_mut(|cache| unwinder.unwind_frame(address, &mut regs, cache, &mut read_stack));
        let Ok(Some(return_address)) = next else { break };
        let Some(next_address) = FrameAddress::from_return_address(return_address) else {
            break;
        };
        address = next_address;
    }
}
