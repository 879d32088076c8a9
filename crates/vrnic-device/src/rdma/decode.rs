//! From the bytes of a send request to a checked request.

use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::wqe::{
    BindSegment, ControlSegment, DataSegment, FastRegSegment, MAX_INLINE, MAX_SGE, RemoteSegment, WORK_FENCE,
    WORK_INLINE, WORK_SIGNALED, WORK_SOLICITED, WorkOpcode,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::rc::{Operation, SendRequest, Sge};

/// The request is malformed.
struct Malformed;

/// Fills in `request`, which is clear, from a private copy of the request that begins at block `index`.
pub(super) fn decode(index: u32, bytes: &[u8], request: &mut SendRequest) {
    request.index = index;
    if read(index, bytes, request).is_err() {
        request.fault = Some(WorkStatus::LOCAL_OPERATION);
    }
}

fn read(index: u32, bytes: &[u8], request: &mut SendRequest) -> Result<(), Malformed> {
    let (control, rest) = segment::<ControlSegment>(bytes)?;
    let opcode = WorkOpcode(control.opcode);
    request.opcode = control.opcode;
    let (operation, data) = read_operation(opcode, control.invalidate_key.get(), rest)?;
    let has = |flag| control.flags & flag != 0;
    let is_send = matches!(opcode, WorkOpcode::SEND | WorkOpcode::SEND_INV);
    let may_be_inline = is_send || opcode == WorkOpcode::WRITE;
    let takes_key = matches!(
        opcode,
        WorkOpcode::SEND_INV | WorkOpcode::LOCAL_INV | WorkOpcode::READ_LOCAL_INV
    );
    let is_good = u32::from(control.index.get()) == index & 0xFFFF
        && control.flags & !(WORK_SIGNALED | WORK_FENCE | WORK_SOLICITED | WORK_INLINE) == 0
        && (is_send || !has(WORK_SOLICITED))
        && (may_be_inline || !has(WORK_INLINE))
        && (has(WORK_INLINE) || control.inline_len.get() == 0)
        && (takes_key || control.invalidate_key.get() == 0)
        && (control.reserved, control.reserved2.get()) == (0, 0);
    if !is_good {
        return Err(Malformed);
    }
    request.operation = operation;
    request.signaled = has(WORK_SIGNALED);
    request.fenced = has(WORK_FENCE);
    request.solicited = has(WORK_SOLICITED);
    request.inline = has(WORK_INLINE);
    if request.inline {
        read_inline(data, control.inline_len.get(), request)
    } else {
        read_elements(data, request)
    }
}

/// The operation, and what is behind its segment: nothing, if it has no data.
fn read_operation(opcode: WorkOpcode, key: u32, rest: &[u8]) -> Result<(Operation, &[u8]), Malformed> {
    let (operation, rest) = match opcode {
        WorkOpcode::SEND => return Ok((Operation::Send, rest)),
        WorkOpcode::SEND_INV => return Ok((Operation::SendInvalidate { key }, rest)),
        WorkOpcode::WRITE => {
            let (remote, data) = remote(rest)?;
            let (addr, key) = (remote.addr.get(), remote.key.get());
            return Ok((Operation::Write { addr, key }, data));
        }
        WorkOpcode::READ | WorkOpcode::READ_LOCAL_INV => {
            let (remote, data) = remote(rest)?;
            let read = Operation::Read {
                addr: remote.addr.get(),
                key: remote.key.get(),
                invalidate: (opcode == WorkOpcode::READ_LOCAL_INV).then_some(key),
            };
            return Ok((read, data));
        }
        WorkOpcode::FAST_REG => {
            let (segment, rest) = segment::<FastRegSegment>(rest)?;
            (Operation::FastRegister(segment), rest)
        }
        WorkOpcode::LOCAL_INV => (Operation::LocalInvalidate { key }, rest),
        WorkOpcode::BIND_MW => {
            let (segment, rest) = segment::<BindSegment>(rest)?;
            (Operation::Bind(segment), rest)
        }
        _ => return Err(Malformed),
    };
    if rest.is_empty() {
        Ok((operation, rest))
    } else {
        Err(Malformed)
    }
}

fn remote(bytes: &[u8]) -> Result<(RemoteSegment, &[u8]), Malformed> {
    let (remote, data) = segment::<RemoteSegment>(bytes)?;
    if remote.reserved.get() == 0 {
        Ok((remote, data))
    } else {
        Err(Malformed)
    }
}

/// Inline data fills the request up to the last 16 bytes.
fn read_inline(data: &[u8], length: u16, request: &mut SendRequest) -> Result<(), Malformed> {
    let used = usize::from(length);
    if used > MAX_INLINE || data.len() != used.next_multiple_of(size_of::<DataSegment>()) {
        return Err(Malformed);
    }
    request.inline_data.extend_from_slice(&data[..used]);
    request.length = length.into();
    Ok(())
}

fn read_elements(data: &[u8], request: &mut SendRequest) -> Result<(), Malformed> {
    let segments = <[DataSegment]>::ref_from_bytes(data).map_err(|_| Malformed)?;
    if segments.len() > MAX_SGE.into() {
        return Err(Malformed);
    }
    for segment in segments {
        let length = segment.length.get();
        request.length = request.length.saturating_add(length);
        request.sges.push(Sge {
            addr: segment.addr.get(),
            length,
            key: segment.key.get(),
        });
    }
    Ok(())
}

fn segment<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<(T, &[u8]), Malformed> {
    T::read_from_prefix(bytes).map_err(|_| Malformed)
}
