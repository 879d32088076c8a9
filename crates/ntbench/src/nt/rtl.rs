//! The runtime library: strings, memory, versions.

use super::status::{self, NtStatus};
use super::string;
use super::unicode;
use crate::cpu::thunk;
use crate::exports;
use crate::memory;
use std::sync::atomic::{AtomicU32, Ordering};

exports! {
    /// Runtime library routines.
    pub static EXPORTS: "ntoskrnl.exe" = {
        RtlInitUnicodeString = function(rtl_init_unicode_string, any());
        RtlInitAnsiString = function(rtl_init_ansi_string, any());
        RtlCopyUnicodeString = function(rtl_copy_unicode_string, at_most(DISPATCH_LEVEL));
        RtlAppendUnicodeStringToString = function(rtl_append_unicode_string_to_string, at_most(DISPATCH_LEVEL));
        RtlEqualUnicodeString = function(rtl_equal_unicode_string, exactly(PASSIVE_LEVEL));
        RtlCompareUnicodeString = function(rtl_compare_unicode_string, exactly(PASSIVE_LEVEL));
        RtlCompareMemory = function(rtl_compare_memory, any());
        memcpy = direct(string::memmove);
        memmove = direct(string::memmove);
        memset = direct(string::memset);
        memcmp = direct(string::memcmp);
        RtlGetVersion = function(rtl_get_version, exactly(PASSIVE_LEVEL));
        PsGetVersion = function(ps_get_version, any());
        RtlRandomEx = function(rtl_random_ex, at_most(APC_LEVEL));
        MmGetSystemRoutineAddress = function(mm_get_system_routine_address, exactly(PASSIVE_LEVEL));
        NtBuildNumber = data(NT_BUILD_NUMBER);
    }
}

/// The version that the bench claims: Windows Server 2022.
const VERSION: (u32, u32, u32) = (10, 0, 20348);

/// Free builds have the upper four bits set.
static NT_BUILD_NUMBER: u32 = 0xF000_0000 | VERSION.2;

extern "win64" fn rtl_init_unicode_string(destination: usize, source: usize) {
    let units = if source == 0 {
        0
    } else {
        (0..0x7FFE)
            .take_while(|index| memory::read::<u16>(source + index * 2) != 0)
            .count()
    };
    let length = u16::try_from(units * 2).unwrap_or(0xFFFC);
    let maximum = if source == 0 { 0 } else { length + 2 };
    memory::write(destination, [length, maximum]);
    memory::write(destination + 8, source);
}

extern "win64" fn rtl_init_ansi_string(destination: usize, source: usize) {
    let length = if source == 0 {
        0
    } else {
        memory::read_c_string(source, 0xFFFE).len()
    };
    let length = u16::try_from(length).unwrap_or(0xFFFE);
    memory::write(destination, [length, if source == 0 { 0 } else { length + 1 }]);
    memory::write(destination + 8, source);
}

fn parts(string: usize) -> (u16, u16, usize) {
    let [length, maximum]: [u16; 2] = memory::read(string);
    (length, maximum, memory::read(string + 8))
}

extern "win64" fn rtl_copy_unicode_string(destination: usize, source: usize) {
    let (_, maximum, buffer) = parts(destination);
    let (source_length, _, source_buffer) = if source == 0 { (0, 0, 0) } else { parts(source) };
    let length = source_length.min(maximum);
    memory::copy(buffer, source_buffer, usize::from(length));
    memory::write(destination, length);
    if length + 2 <= maximum {
        memory::write(buffer + usize::from(length), 0_u16);
    }
}

extern "win64" fn rtl_append_unicode_string_to_string(destination: usize, source: usize) -> NtStatus {
    let (length, maximum, buffer) = parts(destination);
    let (source_length, _, source_buffer) = parts(source);
    let Some(total) = length
        .checked_add(source_length)
        .filter(|&total| total <= maximum)
    else {
        return status::BUFFER_TOO_SMALL;
    };
    memory::copy(
        buffer + usize::from(length),
        source_buffer,
        usize::from(source_length),
    );
    memory::write(destination, total);
    if total + 2 <= maximum {
        memory::write(buffer + usize::from(total), 0_u16);
    }
    status::SUCCESS
}

fn compare(first: usize, second: usize, ignore_case: bool) -> std::cmp::Ordering {
    let fold = |text: String| if ignore_case { text.to_uppercase() } else { text };
    let (first, second) = (fold(unicode::read(first)), fold(unicode::read(second)));
    first.encode_utf16().cmp(second.encode_utf16())
}

extern "win64" fn rtl_equal_unicode_string(first: usize, second: usize, ignore_case: u8) -> u8 {
    u8::from(compare(first, second, ignore_case != 0).is_eq())
}

extern "win64" fn rtl_compare_unicode_string(first: usize, second: usize, ignore_case: u8) -> i32 {
    compare(first, second, ignore_case != 0) as i32
}

extern "win64" fn rtl_compare_memory(first: usize, second: usize, length: usize) -> usize {
    (0..length)
        .take_while(|index| memory::read::<u8>(first + index) == memory::read::<u8>(second + index))
        .count()
}

/// Fills in `RTL_OSVERSIONINFOW`, or its `EX` form if the caller's size says so.
extern "win64" fn rtl_get_version(information: usize) -> NtStatus {
    const PLATFORM_NT: u32 = 2;
    const VER_NT_SERVER: u8 = 3;
    let size: u32 = memory::read(information);
    memory::write(information + 4, [VERSION.0, VERSION.1, VERSION.2, PLATFORM_NT]);
    memory::write(information + 20, 0_u16);
    if size as usize >= 284 {
        memory::write(information + 276, [0_u16; 3]);
        memory::write(information + 282, [VER_NT_SERVER, 0]);
    }
    status::SUCCESS
}

extern "win64" fn ps_get_version(major: usize, minor: usize, build: usize, service_pack: usize) -> u8 {
    for (address, value) in [(major, VERSION.0), (minor, VERSION.1), (build, VERSION.2)] {
        if address != 0 {
            memory::write(address, value);
        }
    }
    if service_pack != 0 {
        memory::write(service_pack, 0_u32);
    }
    // FALSE: a free build.
    0
}

static RANDOM_STREAM: AtomicU32 = AtomicU32::new(1);

/// A linear congruential generator, reproducible; like the original it is no source of secrets.
extern "win64" fn rtl_random_ex(seed: usize) -> u32 {
    let stream = RANDOM_STREAM.fetch_add(0x9E37_79B9, Ordering::Relaxed);
    let value = memory::read::<u32>(seed)
        .wrapping_mul(0x41C6_4E6D)
        .wrapping_add(12345)
        ^ stream;
    memory::write(seed, value);
    value & 0x7FFF_FFFF
}

extern "win64" fn mm_get_system_routine_address(name: usize) -> usize {
    exports::find("ntoskrnl.exe", &unicode::read(name)).map_or(0, thunk::address_of)
}
