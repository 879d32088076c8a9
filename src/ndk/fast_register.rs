//! Regions for fast registration: `NdkInitializeFastRegisterMr`, and what `NdkFastRegister` needs.
//!
//! The device reads a registration's page list when it carries the request out, some time after the post. Each region has
//! two lists, used in turns: a region may be registered again while the registration before, long invalidated, is still on its way.

use super::access;
use super::device_object::{DeviceObject, number_of};
use super::key::Key;
use super::limits::MAX_FRMR_PAGES;
use super::mr::Mr;
use super::object::ObjectRef;
use super::request::Completion;
use crate::nic::{Outcome, Payload, Request, Submitted};
use crate::os::dma::DmaPages;
use crate::os::dma::pages::PAGE;
use crate::os::lock::SpinLock;
use crate::os::once::SetOnce;
use crate::os::pool::{PoolBox, Pooled, Tag};
use crate::status;
use core::sync::atomic::{AtomicU32, Ordering};
use ndk_sys::{
    NDK_LOGICAL_ADDRESS, NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_IMPLEMENTATION_LIMIT,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_PENDING, STATUS_SUCCESS,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::KeyAlloc;
use zerocopy::IntoBytes;

/// Page lists of a region.
const LISTS: usize = 2;
/// Set in the word of what a region is initialised for: remote access.
const REMOTE: u32 = 1 << 31;

/// What a region is initialised for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Extent {
    pages: u32,
    remote: bool,
}

impl Extent {
    fn covers(self, other: Self) -> bool {
        self.pages >= other.pages && (self.remote || !other.remote)
    }

    fn or(self, other: Self) -> Self {
        Self {
            pages: self.pages.max(other.pages),
            remote: self.remote || other.remote,
        }
    }
}

/// Memory for page lists of up to [`MAX_FRMR_PAGES`] pages, one page each.
struct Lists {
    memory: DmaPages,
    /// By list, for the device.
    addresses: [u64; LISTS],
}

/// The part of a region that fast registration needs.
pub struct FastRegion {
    /// An [`Extent`] in one word; 0 pages: not initialised.
    extent: AtomicU32,
    lists: SetOnce<Lists>,
    /// The list of the next registration, by its lowest bit.
    turn: AtomicU32,
    /// Held while a new key takes the place of the old one: initialisations may overlap.
    replacing: SpinLock<()>,
}

/// A registration that is about to be posted.
pub struct FastRegistration {
    /// The key that the region gets.
    pub key: u32,
    /// Where the device finds the pages.
    pub page_list: u64,
}

impl FastRegion {
    /// Not initialised.
    pub fn new() -> Self {
        Self {
            extent: AtomicU32::new(0),
            lists: SetOnce::new(),
            turn: AtomicU32::new(0),
            replacing: SpinLock::new(()),
        }
    }

    fn extent(&self) -> Extent {
        let word = self.extent.load(Ordering::Acquire);
        Extent {
            pages: word & !REMOTE,
            remote: word & REMOTE != 0,
        }
    }

    fn set_extent(&self, extent: Extent) {
        let remote = if extent.remote { REMOTE } else { 0 };
        self.extent.store(extent.pages | remote, Ordering::Release);
    }

    /// Writes the pages of a registration that is about to be posted for `region`, whose part this is. It keeps the key that it
    /// has from its initialisation: consumers read it then and hand it out after the registration. The consumer does not post
    /// two at a time.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER`: not initialised, or for fewer pages; `STATUS_ACCESS_VIOLATION`: `remote` access, for which it is not
    /// initialised.
    pub fn register(
        &self,
        region: &Mr,
        pages: &[NDK_LOGICAL_ADDRESS],
        remote: bool,
    ) -> Result<FastRegistration, NTSTATUS> {
        let extent = self.extent();
        let lists = self.lists.get().ok_or(STATUS_INVALID_PARAMETER)?;
        if extent.pages == 0 || pages.len() > extent.pages as usize {
            return Err(STATUS_INVALID_PARAMETER);
        }
        if remote && !extent.remote {
            return Err(STATUS_ACCESS_VIOLATION);
        }
        let turn = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        self.turn.store(turn, Ordering::Relaxed);
        let list = turn as usize % LISTS;
        let memory = lists.memory.memory();
        for (index, page) in pages.iter().enumerate() {
            memory.write(list * PAGE + index * 8, &page.QuadPart.to_le_bytes());
        }
        Ok(FastRegistration {
            key: region.key.get(),
            page_list: lists.addresses[list],
        })
    }

    /// `NdkInitializeFastRegisterMr`, which may be called again, for more. The region keeps what it was initialised for before.
    pub fn initialize(mr: &ObjectRef<Mr>, pages: u32, remote: bool, completion: Completion<Mr>) -> NTSTATUS {
        let Some(region) = mr.fast() else {
            return completion.inline(STATUS_INVALID_DEVICE_REQUEST);
        };
        let limit = mr.pd().adapter().info().FRMRPageCount.min(MAX_FRMR_PAGES);
        if !(1..=limit).contains(&pages) {
            return completion.inline(STATUS_IMPLEMENTATION_LIMIT);
        }
        if let Err(status) = region.make_lists(mr) {
            return completion.inline(status);
        }
        let request = Request::new(Initialization {
            completion: None,
            wanted: Extent { pages, remote },
            asked: Extent { pages, remote },
            step: Step::Allocate,
        });
        match request {
            Ok(mut request) => {
                request.payload.completion = Some(completion);
                match Initialization::allocate(request) {
                    Some((completion, status)) => completion.inline(status),
                    None => STATUS_PENDING,
                }
            }
            Err(error) => completion.inline(error.into()),
        }
    }

    /// Puts `new`, a key for the extent `asked`, in the place of the old key; the one of them that is not needed, if there are two.
    fn replace_key(&self, key: &Key, new: u32, asked: Extent) -> Option<u32> {
        let _replacing = self.replacing.lock();
        if self.extent().covers(asked) {
            return Some(new); // Another call has got further meanwhile.
        }
        let old = key.some();
        key.set(new);
        self.set_extent(asked);
        old
    }

    /// The page lists, once.
    fn make_lists(&self, mr: &Mr) -> Result<(), NTSTATUS> {
        if self.lists.get().is_some() {
            return Ok(());
        }
        let memory = DmaPages::allocate(mr.nic().dma(), LISTS)?;
        let mut addresses = [0; LISTS];
        let mut place = addresses.iter_mut();
        memory.for_each_page(|page| {
            if let Some(address) = place.next() {
                *address = page;
            }
        });
        // If another call was quicker, its lists serve as well.
        let _surplus = self.lists.set(Lists { memory, addresses });
        Ok(())
    }
}

/// An initialisation that the device works on: a key for the new extent replaces the old one, which is freed then.
struct Initialization {
    completion: Option<Completion<Mr>>,
    wanted: Extent,
    /// What the key that is being allocated is for.
    asked: Extent,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Allocate,
    /// Frees a key that is not used any more.
    Free,
}

impl Payload for Initialization {
    const TAG: Tag = Mr::TAG;

    fn done(request: PoolBox<Request<Self>>, outcome: Outcome) {
        if let Some((completion, status)) = Self::next(request, outcome) {
            completion.complete(status);
        }
    }
}

/// Whom to tell what, or `None` while the device works.
type End = Option<(Completion<Mr>, NTSTATUS)>;

impl Initialization {
    /// Asks for a key, unless the region has one for as much already.
    fn allocate(mut request: PoolBox<Request<Self>>) -> End {
        let mr = ObjectRef::clone(request.payload.completion.as_ref()?.object()?);
        let region = mr.fast()?;
        let now = region.extent();
        if now.covers(request.payload.wanted) {
            return Some((request.payload.completion.take()?, STATUS_SUCCESS));
        }
        let asked = request.payload.wanted.or(now);
        request.payload.asked = asked;
        request.payload.step = Step::Allocate;
        let input = KeyAlloc {
            pdn: mr.pd().number().into(),
            max_pages: asked.pages.into(),
            access: access::of_fast_register(asked.remote).into(),
            reserved: 0.into(),
        };
        Self::submit(&mr, request, Opcode::ALLOC_FRMR, input.as_bytes())
    }

    fn submit(mr: &Mr, request: PoolBox<Request<Self>>, opcode: Opcode, input: &[u8]) -> End {
        match mr.nic().submit(request, opcode, input, &[]) {
            Submitted::Pending => None,
            Submitted::Done(request, outcome) => Self::next(request, outcome),
        }
    }

    /// The device has answered.
    fn next(mut request: PoolBox<Request<Self>>, outcome: Outcome) -> End {
        let mr = ObjectRef::clone(request.payload.completion.as_ref()?.object()?);
        let region = mr.fast()?;
        match (request.payload.step, outcome) {
            (Step::Allocate, Ok(output)) => {
                let new = number_of(output);
                let asked = request.payload.asked;
                match region.replace_key(&mr.key, new, asked) {
                    None => Self::allocate(request),
                    Some(key) => {
                        request.payload.step = Step::Free;
                        Self::submit(&mr, request, Opcode::FREE_KEY, &key.to_le_bytes())
                    }
                }
            }
            (Step::Allocate, Err(error)) => {
                let status = status::of_object_error(&error);
                Some((request.payload.completion.take()?, status))
            }
            // A key that cannot be freed is lost to the device, not to the consumer.
            (Step::Free, _) => Self::allocate(request),
        }
    }
}
