//! The functions that post work requests.

use crate::memory;
use ndk_sys::{
    NDK_OP_FLAG_DEFER, NDK_OP_FLAG_SILENT_SUCCESS, NDK_OPERATION_TYPE, NDK_SGE, NTSTATUS,
    NdkOperationTypeBind, NdkOperationTypeFastRegister, NdkOperationTypeInvalidate, NdkOperationTypeRead,
    NdkOperationTypeReceive, NdkOperationTypeReceiveAndInvalidate, NdkOperationTypeSend,
    NdkOperationTypeWrite, STATUS_ACCESS_VIOLATION, STATUS_BUFFER_OVERFLOW, STATUS_CANCELLED,
    STATUS_DATA_OVERRUN, STATUS_INTERNAL_ERROR, STATUS_INVALID_DEVICE_REQUEST, STATUS_IO_TIMEOUT,
    STATUS_REMOTE_RESOURCES, STATUS_SUCCESS,
};
use std::mem::offset_of;

/// A posting function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub name: &'static str,
    pub kind: NDK_OPERATION_TYPE,
    /// Which arguments, after the object, are the elements' address and the flags.
    elements: Option<usize>,
    flags: Option<usize>,
}

const fn operation(
    name: &'static str,
    kind: NDK_OPERATION_TYPE,
    elements: Option<usize>,
    flags: Option<usize>,
) -> Operation {
    Operation {
        name,
        kind,
        elements,
        flags,
    }
}

/// All of them; the first argument after the object is the request context.
const OPERATIONS: [Operation; 10] = [
    operation("NdkSend", NdkOperationTypeSend, Some(1), Some(3)),
    operation("NdkSendAndInvalidate", NdkOperationTypeSend, Some(1), Some(3)),
    operation("NdkReceive", NdkOperationTypeReceive, Some(1), None),
    operation("NdkSrqReceive", NdkOperationTypeReceive, Some(1), None),
    operation("NdkRead", NdkOperationTypeRead, Some(1), Some(5)),
    operation("NdkWrite", NdkOperationTypeWrite, Some(1), Some(5)),
    operation("NdkBind", NdkOperationTypeBind, None, Some(5)),
    operation("NdkFastRegister", NdkOperationTypeFastRegister, None, Some(7)),
    operation("NdkInvalidate", NdkOperationTypeInvalidate, None, Some(2)),
    // Never posted: what a receive may turn out to be.
    operation("", NdkOperationTypeReceiveAndInvalidate, None, None),
];

/// The posting function of that name.
pub(super) fn of(name: &str) -> Option<Operation> {
    OPERATIONS.into_iter().find(|operation| operation.name == name)
}

impl Operation {
    pub(super) fn is_receive(self) -> bool {
        self.kind == NdkOperationTypeReceive
    }

    fn flag(self, arguments: &[u64], flag: u32) -> bool {
        self.flags.is_some_and(|at| arguments[at] & u64::from(flag) != 0)
    }

    pub(super) fn is_silent(self, arguments: &[u64]) -> bool {
        self.flag(arguments, NDK_OP_FLAG_SILENT_SUCCESS)
    }

    pub(super) fn is_deferred(self, arguments: &[u64]) -> bool {
        self.flag(arguments, NDK_OP_FLAG_DEFER)
    }

    /// Bytes that the elements have together.
    pub(super) fn length(self, arguments: &[u64]) -> u64 {
        let Some(at) = self.elements else { return 0 };
        let address = usize::try_from(arguments[at]).unwrap_or(0);
        let count = usize::try_from(arguments[at + 1] & u64::from(u32::MAX)).unwrap_or(0);
        if address == 0 {
            return 0;
        }
        let length = |index: usize| {
            let element = address + index * size_of::<NDK_SGE>();
            u64::from(memory::read::<u32>(element + offset_of!(NDK_SGE, Length)))
        };
        (0..count).map(length).sum()
    }

    /// Whether a completion of it may have that status.
    pub(super) fn can_end_with(self, status: NTSTATUS) -> bool {
        const ALL: [NTSTATUS; 5] = [
            STATUS_SUCCESS,
            STATUS_CANCELLED,
            STATUS_INVALID_DEVICE_REQUEST,
            STATUS_INTERNAL_ERROR,
            STATUS_ACCESS_VIOLATION,
        ];
        const REMOTE: [NTSTATUS; 2] = [STATUS_IO_TIMEOUT, STATUS_REMOTE_RESOURCES];
        ALL.contains(&status)
            || self.elements.is_some() && REMOTE.contains(&status)
            || self.elements.is_some() && status == self.too_long()
    }

    /// The status that says that the elements do not go with the data.
    fn too_long(self) -> NTSTATUS {
        if self.is_receive() {
            STATUS_BUFFER_OVERFLOW
        } else {
            STATUS_DATA_OVERRUN
        }
    }

    /// Whether an extended result of it may have that type.
    pub(super) fn can_be(self, kind: NDK_OPERATION_TYPE) -> bool {
        kind == self.kind || self.is_receive() && kind == NdkOperationTypeReceiveAndInvalidate
    }
}
