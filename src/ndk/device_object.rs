//! Objects that the device has too: made by one command, destroyed by another, both without waiting.
#![expect(unsafe_code, reason = "the out parameter of creations")]

use super::object::{self, Object, ObjectRef};
use super::request::Creation;
use crate::nic::command::CommandError;
use crate::nic::health::Reason;
use crate::nic::{Nic, Outcome, Payload, Request, Submitted};
use crate::os::pool::{OutOfMemory, PoolArc, PoolBox, Tag};
use crate::status;
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use ndk_sys::{NDK_FN_CREATE_COMPLETION, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_PENDING};
use vrnic_abi::cmd::{Opcode, Status};

/// The device has no such object: more than any number or key that it gives.
const NONE: u32 = u32::MAX;
/// How often the device is asked again to destroy something that is in use: for as many ticks of 10 ms.
const PATIENCE: u32 = 1000;

/// An object that the device has too.
pub trait DeviceObject: Object + Send + Sync + 'static {
    /// The device.
    fn nic(&self) -> &PoolArc<Nic>;

    /// What this module keeps with the object.
    fn device_part(&self) -> &DevicePart<Self>;

    /// The command that destroys it, if the device has it.
    fn destroy_command(&self) -> Option<(Opcode, u32)>;

    /// The device has made it, with this number: time to enter it into tables.
    ///
    /// # Errors
    /// It cannot be that number. The creation fails then.
    fn created(&self, _number: u32) -> Result<(), NTSTATUS> {
        Ok(())
    }

    /// The last reference is gone. Time to leave tables: the device may give the number to another object when it has
    /// destroyed this one, which comes next.
    fn leaving(&self) {}
}

/// The number of an object, and what it takes to destroy it.
pub struct DevicePart<T: DeviceObject> {
    number: AtomicU32,
    /// Made with the object, so that a close cannot fail.
    destroy: Cell<Option<PoolBox<Request<Destruction<T>>>>>,
}

// SAFETY: `destroy` is only used by whoever drops the last reference of the object.
unsafe impl<T: DeviceObject> Sync for DevicePart<T> {}

impl<T: DeviceObject> DevicePart<T> {
    /// Of an object that the device does not have yet.
    ///
    /// # Errors
    /// No memory.
    pub fn new() -> Result<Self, OutOfMemory> {
        let request = Request::new(Destruction {
            object: None,
            attempts: 0,
        })?;
        Ok(Self {
            number: AtomicU32::new(NONE),
            destroy: Cell::new(Some(request)),
        })
    }

    /// The number, once the device has made the object.
    pub fn number(&self) -> Option<u32> {
        Some(self.number.load(Ordering::Acquire)).filter(|number| *number != NONE)
    }
}

/// Number or key in the output of a command.
pub fn number_of([b0, b1, b2, b3, ..]: [u8; 16]) -> u32 {
    u32::from_le_bytes([b0, b1, b2, b3])
}

/// What a command makes of the consumer's callback.
#[derive(Clone, Copy)]
pub struct Callback {
    /// The consumer's; a function that may pend needs it.
    pub function: Option<NDK_FN_CREATE_COMPLETION>,
    /// For it.
    pub context: *mut c_void,
}

/// The body of an NDK function that creates `object` by the command `opcode`: inline or pending, as it comes.
///
/// # Safety
/// `out` is null or valid, and `P` is the public structure of `T`.
pub unsafe fn create<T: DeviceObject, P>(
    object: ObjectRef<T>,
    opcode: Opcode,
    input: &[u8],
    mailbox: &[u8],
    callback: Callback,
    out: *mut *mut P,
) -> NTSTATUS {
    let (Some(out), Some(function)) = (NonNull::new(out), callback.function) else {
        object.discard();
        return STATUS_INVALID_PARAMETER;
    };
    let mut request = match Request::new(Making(None)) {
        Ok(request) => request,
        Err(error) => {
            object.discard();
            return error.into();
        }
    };
    let nic = object.nic().clone();
    request.payload.0 = Some(Creation::new(object, function, callback.context));
    match nic.submit(request, opcode, input, mailbox) {
        Submitted::Pending => STATUS_PENDING,
        Submitted::Done(mut request, outcome) => match request.payload.0.take() {
            None => STATUS_INVALID_PARAMETER,
            Some(creation) => {
                let result = made(&creation, outcome);
                // SAFETY: as ours (caller).
                unsafe { creation.inline(result, out) }
            }
        },
    }
}

/// A creation that the device works on.
struct Making<T: DeviceObject>(Option<Creation<T>>);

impl<T: DeviceObject> Payload for Making<T> {
    const TAG: Tag = T::TAG;

    fn done(mut request: PoolBox<Request<Self>>, outcome: Outcome) {
        let creation = request.payload.0.take();
        drop(request);
        if let Some(creation) = creation {
            let result = made(&creation, outcome);
            creation.complete(result);
        }
    }
}

fn made<T: DeviceObject>(creation: &Creation<T>, outcome: Outcome) -> Result<(), NTSTATUS> {
    let output = outcome.map_err(|error| status::of_object_error(&error))?;
    let number = number_of(output);
    match creation.object() {
        None => Ok(()),
        Some(object) => {
            object.device_part().number.store(number, Ordering::Release);
            object.created(number)
        }
    }
}

/// A destruction that the device works on.
struct Destruction<T: DeviceObject> {
    object: Option<PoolBox<T>>,
    attempts: u32,
}

impl<T: DeviceObject> Payload for Destruction<T> {
    const TAG: Tag = T::TAG;

    fn done(request: PoolBox<Request<Self>>, outcome: Outcome) {
        destroyed(request, outcome);
    }
}

/// [`Object::finish`] of these objects: the device forgets it first, and only then its memory goes and its close completes.
pub fn finish<T: DeviceObject>(object: PoolBox<T>) {
    object.leaving();
    let command = object.destroy_command();
    let request = object.device_part().destroy.take();
    let (Some((opcode, number)), Some(mut request)) = (command, request) else {
        return object::conclude(object);
    };
    let nic = object.nic().clone();
    request.payload.object = Some(object);
    match nic.submit(request, opcode, &number.to_le_bytes(), &[]) {
        Submitted::Pending => {}
        Submitted::Done(request, outcome) => destroyed(request, outcome),
    }
}

fn destroyed<T: DeviceObject>(mut request: PoolBox<Request<Destruction<T>>>, outcome: Outcome) {
    let Some(object) = request.payload.object.take() else {
        return;
    };
    match outcome {
        // The device is dead or gone, and uses no memory any more.
        Ok(_) | Err(CommandError::Dead | CommandError::Removed) => {
            drop(request);
            object::conclude(object);
        }
        Err(error) => {
            let nic = object.nic().clone();
            request.payload.object = Some(object);
            request.payload.attempts += 1;
            let in_use = matches!(error, CommandError::Firmware { status, .. } if status == Status::IN_USE);
            if !in_use || request.payload.attempts > PATIENCE {
                // What it does with memory that should be freed is unknown: it is stopped.
                nic.fail(Reason::Refused, 0);
            }
            nic.submit_again(request);
        }
    }
}
