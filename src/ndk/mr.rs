//! `NDK_MR`: a memory region, for registration by MDL or for fast registration, one of them for life.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::access;
use super::device_object::{self, DeviceObject, DevicePart, number_of};
use super::fast_register::FastRegion;
use super::key::Key;
use super::limits::MAX_REGISTRATION;
use super::object::{self, Common, Object, ObjectRef};
use super::pd::Pd;
use super::request::Completion;
use crate::nic::command::CommandError;
use crate::nic::{Nic, Outcome, Payload, Request, Submitted};
use crate::os::dma::{Access, Mapping, PageTable};
use crate::os::lock::SpinLock;
use crate::os::pool::{OutOfMemory, PoolArc, PoolBox, Pooled, Tag};
use crate::status;
use core::ffi::c_void;
use ndk_sys::{
    BOOLEAN, FALSE, MDL, NDK_FN_REQUEST_COMPLETION, NDK_MR, NDK_MR_DISPATCH, NTSTATUS, NdkObjectTypeMr,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_PENDING,
    STATUS_SUCCESS,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, MrRegister};
use zerocopy::IntoBytes;

/// A memory region.
#[repr(C)]
pub struct Mr {
    public: NDK_MR,
    common: Common,
    device: DevicePart<Self>,
    pub(super) key: Key,
    kind: Kind,
    pub(super) pd: ObjectRef<Pd>,
}

enum Kind {
    Normal(SpinLock<Registration>),
    Fast(FastRegion),
}

/// What a region for registration by MDL is doing.
enum Registration {
    None,
    /// A command is under way that has the mapping.
    Changing,
    Done(Memory),
}

/// Memory that is registered.
struct Memory {
    /// Keeps the device's access to it.
    _mapping: Mapping,
    /// As the device has it.
    access: u32,
}

impl Pooled for Mr {
    const TAG: Tag = Tag::new(*b"VrMr");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Mr {
    fn common(&self) -> &Common {
        &self.common
    }

    fn finish(mr: PoolBox<Self>) {
        device_object::finish(mr);
    }
}

impl DeviceObject for Mr {
    fn nic(&self) -> &PoolArc<Nic> {
        self.pd.nic()
    }

    fn device_part(&self) -> &DevicePart<Self> {
        &self.device
    }

    fn destroy_command(&self) -> Option<(Opcode, u32)> {
        let opcode = match self.kind {
            Kind::Normal(_) => Opcode::DEREGISTER_MR,
            Kind::Fast(_) => Opcode::FREE_KEY,
        };
        Some((opcode, self.key.some()?))
    }
}

// SAFETY: the public part is only read by the provider after creation; everything else is `Sync`.
unsafe impl Sync for Mr {}
// SAFETY: as above.
unsafe impl Send for Mr {}

impl Mr {
    /// `NdkCreateMr`. The device has nothing of it yet.
    pub fn new(pd: ObjectRef<Pd>, fast_register: bool) -> Result<ObjectRef<Self>, OutOfMemory> {
        let kind = if fast_register {
            Kind::Fast(FastRegion::new())
        } else {
            Kind::Normal(SpinLock::new(Registration::None))
        };
        ObjectRef::new(Self {
            public: NDK_MR {
                Header: object::header(pd.adapter().version(), NdkObjectTypeMr),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            device: DevicePart::new()?,
            key: Key::new(),
            kind,
            pd,
        })
    }

    /// The protection domain that it belongs to.
    pub fn pd(&self) -> &ObjectRef<Pd> {
        &self.pd
    }

    /// The key now, for local and for remote use; 0 if the region is not registered or initialised.
    pub fn key(&self) -> u32 {
        self.key.get()
    }

    /// The part for fast registration, if it is that kind of region.
    pub fn fast(&self) -> Option<&FastRegion> {
        match &self.kind {
            Kind::Fast(fast) => Some(fast),
            Kind::Normal(_) => None,
        }
    }

    /// Whether a region that is registered by MDL has all of `access` (`ACCESS_…`). What the last fast registration of another one
    /// allowed, the device knows.
    pub fn allows(&self, access: u32) -> bool {
        match &self.kind {
            Kind::Fast(_) => true,
            Kind::Normal(registration) => match &*registration.lock() {
                Registration::Done(memory) => memory.access & access == access,
                Registration::None | Registration::Changing => false,
            },
        }
    }

    fn registration(&self) -> Option<&SpinLock<Registration>> {
        match &self.kind {
            Kind::Normal(registration) => Some(registration),
            Kind::Fast(_) => None,
        }
    }

    /// Changes the registration to [`Registration::Changing`] if it is as `wanted`; what it was.
    fn begin(&self, wanted: impl FnOnce(&Registration) -> bool) -> Result<Registration, NTSTATUS> {
        let registration = self.registration().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
        let mut registration = registration.lock();
        if !wanted(&registration) {
            return Err(STATUS_INVALID_DEVICE_STATE);
        }
        Ok(core::mem::replace(&mut *registration, Registration::Changing))
    }

    fn end(&self, now: Registration) {
        if let Some(registration) = self.registration() {
            *registration.lock() = now;
        }
    }

    /// `NdkRegisterMr`, after its parameters have been checked.
    fn register(
        mr: &ObjectRef<Self>,
        mapping: Mapping,
        access: u32,
        completion: Completion<Self>,
    ) -> NTSTATUS {
        match Self::prepare(mr, mapping, access) {
            Ok((request, input)) => Self::run(mr, request, Opcode::REGISTER_MR, input.as_bytes(), completion),
            Err(status) => completion.inline(status),
        }
    }

    /// Everything that `REGISTER_MR` needs; the region is changing then.
    fn prepare(
        mr: &ObjectRef<Self>,
        mapping: Mapping,
        access: u32,
    ) -> Result<(PoolBox<Request<Change>>, MrRegister), NTSTATUS> {
        let dma = mr.nic().dma();
        let count = mapping.page_count();
        let mut first = None;
        mapping.for_each_page(|page| first = first.or(Some(page)));
        let table = if count == 1 {
            None
        } else {
            Some(PageTable::new(dma, count, |page| mapping.for_each_page(page))?)
        };
        let input = MrRegister {
            base: mapping.base().into(),
            length: mapping.length().into(),
            pages: table.as_ref().map_or(first.unwrap_or(0), PageTable::root).into(),
            pdn: mr.pd.number().into(),
            access: access.into(),
            levels: table.as_ref().map_or(0, PageTable::levels),
            reserved: [0; 3],
            first_page_offset: mapping.first_page_offset().into(),
        };
        let memory = Memory {
            _mapping: mapping,
            access,
        };
        let request = Request::new(Change {
            completion: None,
            step: Step::Register {
                memory,
                _table: table,
            },
        })?;
        mr.begin(|registration| matches!(registration, Registration::None))?;
        Ok((request, input))
    }

    /// `NdkDeregisterMr`. While windows are bound it fails, and nothing changes.
    fn deregister(mr: &ObjectRef<Self>, completion: Completion<Self>) -> NTSTATUS {
        let request = Request::new(Change {
            completion: None,
            step: Step::None,
        });
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return completion.inline(error.into()),
        };
        match mr.begin(|registration| matches!(registration, Registration::Done(_))) {
            Ok(Registration::Done(memory)) => request.payload.step = Step::Deregister(memory),
            Ok(_) => return completion.inline(STATUS_INVALID_DEVICE_STATE),
            Err(status) => return completion.inline(status),
        }
        let key = mr.key();
        Self::run(mr, request, Opcode::DEREGISTER_MR, &key.to_le_bytes(), completion)
    }

    fn run(
        mr: &ObjectRef<Self>,
        mut request: PoolBox<Request<Change>>,
        opcode: Opcode,
        input: &[u8],
        completion: Completion<Self>,
    ) -> NTSTATUS {
        request.payload.completion = Some(completion);
        match mr.nic().submit(request, opcode, input, &[]) {
            Submitted::Pending => STATUS_PENDING,
            Submitted::Done(request, outcome) => match Change::end(request, outcome) {
                Some((completion, status)) => completion.inline(status),
                None => STATUS_PENDING,
            },
        }
    }
}

/// A change of a registration that the device works on.
struct Change {
    completion: Option<Completion<Mr>>,
    step: Step,
}

enum Step {
    None,
    Register {
        memory: Memory,
        /// Read by the device while the command runs.
        _table: Option<PageTable>,
    },
    Deregister(Memory),
}

impl Payload for Change {
    const TAG: Tag = Mr::TAG;

    fn done(request: PoolBox<Request<Self>>, outcome: Outcome) {
        if let Some((completion, status)) = Self::end(request, outcome) {
            completion.complete(status);
        }
    }
}

impl Change {
    /// Carries out what the device has answered; whom to tell what.
    fn end(mut request: PoolBox<Request<Self>>, outcome: Outcome) -> Option<(Completion<Mr>, NTSTATUS)> {
        let completion = request.payload.completion.take()?;
        let mr = completion.object()?;
        let step = core::mem::replace(&mut request.payload.step, Step::None);
        let (now, status) = match (step, outcome) {
            (Step::Register { memory, .. }, Ok(output)) => {
                mr.key.set(number_of(output));
                (Registration::Done(memory), STATUS_SUCCESS)
            }
            // A dead or removed device uses the memory no more.
            (Step::Deregister(_), Ok(_) | Err(CommandError::Dead | CommandError::Removed)) => {
                mr.key.clear();
                (Registration::None, STATUS_SUCCESS)
            }
            (Step::Deregister(memory), Err(error)) => {
                (Registration::Done(memory), status::of_object_error(&error))
            }
            (_, Err(error)) => (Registration::None, status::of_object_error(&error)),
            (Step::None, Ok(_)) => (Registration::None, STATUS_SUCCESS),
        };
        mr.end(now);
        Some((completion, status))
    }
}

static DISPATCH: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
    NdkCloseMr: Some(object::close::<Mr>),
    NdkQueryExtension: Some(object::query_extension),
    NdkRegisterMr: Some(register_mr),
    NdkDeregisterMr: Some(deregister_mr),
    NdkInitializeFastRegisterMr: Some(initialize_fast_register_mr),
    NdkGetRemoteTokenFromMr: Some(get_token),
    NdkGetLocalTokenFromMr: Some(get_token),
};

unsafe extern "system" fn register_mr(
    mr: *mut NDK_MR,
    mdl: *mut MDL,
    length: usize,
    flags: u32,
    completion: Option<NDK_FN_REQUEST_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open region.
    let mr = unsafe { object::reference::<Mr, _>(mr) };
    let access = match access::of_mr_flags(flags) {
        Ok(access) if completion.is_some() && length <= MAX_REGISTRATION => access,
        Ok(_) => return STATUS_INVALID_PARAMETER,
        Err(status) => return status,
    };
    if mr.fast().is_some() {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    let direction = if access & ACCESS_LOCAL_WRITE == 0 {
        Access::Read
    } else {
        Access::ReadWrite
    };
    // SAFETY: the consumer's chain of locked pages, which stays until the region is deregistered or closed.
    match unsafe { Mapping::of_mdl(mr.nic().dma(), mdl, length, direction) } {
        Ok(mapping) => Mr::register(&mr, mapping, access, Completion::new(&mr, completion, context)),
        Err(status) => status,
    }
}

unsafe extern "system" fn deregister_mr(
    mr: *mut NDK_MR,
    completion: Option<NDK_FN_REQUEST_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open region.
    let mr = unsafe { object::reference::<Mr, _>(mr) };
    if completion.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    Mr::deregister(&mr, Completion::new(&mr, completion, context))
}

unsafe extern "system" fn initialize_fast_register_mr(
    mr: *mut NDK_MR,
    pages: u32,
    remote_access: BOOLEAN,
    completion: Option<NDK_FN_REQUEST_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open region.
    let mr = unsafe { object::reference::<Mr, _>(mr) };
    if completion.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    let completion = Completion::new(&mr, completion, context);
    FastRegion::initialize(&mr, pages, remote_access != FALSE, completion)
}

unsafe extern "system" fn get_token(mr: *mut NDK_MR) -> u32 {
    // SAFETY: the consumer passes an open region.
    let mr: &Mr = unsafe { object::borrow(mr) };
    mr.key()
}
