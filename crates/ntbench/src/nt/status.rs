//! The NTSTATUS values that exports return.

/// An NTSTATUS.
pub type NtStatus = i32;

/// The operation succeeded.
pub const SUCCESS: NtStatus = 0;
/// A wait ended because its time was over.
pub const TIMEOUT: NtStatus = 0x102;
/// More data is available than fits.
pub const BUFFER_OVERFLOW: NtStatus = 0x8000_0005_u32.cast_signed();
/// Not implemented for these arguments.
pub const NOT_IMPLEMENTED: NtStatus = 0xC000_0002_u32.cast_signed();
/// The handle is not one of the right kind.
pub const INVALID_HANDLE: NtStatus = 0xC000_0008_u32.cast_signed();
/// An argument is out of range.
pub const INVALID_PARAMETER: NtStatus = 0xC000_000D_u32.cast_signed();
/// The buffer is too small even for the fixed part.
pub const BUFFER_TOO_SMALL: NtStatus = 0xC000_0023_u32.cast_signed();
/// The object is of another type.
pub const OBJECT_TYPE_MISMATCH: NtStatus = 0xC000_0024_u32.cast_signed();
/// The named object does not exist.
pub const OBJECT_NAME_NOT_FOUND: NtStatus = 0xC000_0034_u32.cast_signed();
/// The name is taken.
pub const OBJECT_NAME_COLLISION: NtStatus = 0xC000_0035_u32.cast_signed();
/// No memory.
pub const INSUFFICIENT_RESOURCES: NtStatus = 0xC000_009A_u32.cast_signed();
/// The semaphore's limit would be passed.
pub const SEMAPHORE_LIMIT_EXCEEDED: NtStatus = 0xC000_0047_u32.cast_signed();
