//! The C library's memory routines. Drivers call them without a thunk, on the kernel stack, as they do on Windows: so they
//! keep the stack pointer as it is, and a fault in them is traced to the caller by the return address on top of the stack.
#![expect(unsafe_code, reason = "naked functions that drivers call")]

use std::arch::naked_asm;

/// `memmove(destination, source, length)`, and `memcpy`.
#[unsafe(naked)]
pub(super) unsafe extern "win64" fn memmove(_destination: usize, _source: usize, _length: usize) -> usize {
    naked_asm!(
        "mov rax, rcx",
        "mov r10, rdi",
        "mov r11, rsi",
        "mov rdi, rcx",
        "mov rsi, rdx",
        "mov rcx, r8",
        "mov r9, rdi",
        "sub r9, rsi",
        "cmp r9, r8",
        "jb 2f",
        "rep movsb",
        "jmp 3f",
        // The destination starts inside the source: from the end.
        "2:",
        "lea rdi, [rdi + rcx - 1]",
        "lea rsi, [rsi + rcx - 1]",
        "std",
        "rep movsb",
        "cld",
        "3:",
        "mov rdi, r10",
        "mov rsi, r11",
        "ret",
    )
}

/// `memset(destination, value, length)`
#[unsafe(naked)]
pub(super) unsafe extern "win64" fn memset(_destination: usize, _value: i32, _length: usize) -> usize {
    naked_asm!(
        "mov r9, rcx",
        "mov r10, rdi",
        "mov rdi, rcx",
        "mov eax, edx",
        "mov rcx, r8",
        "rep stosb",
        "mov rdi, r10",
        "mov rax, r9",
        "ret",
    )
}

/// `memcmp(first, second, length)`
#[unsafe(naked)]
pub(super) unsafe extern "win64" fn memcmp(_first: usize, _second: usize, _length: usize) -> i32 {
    naked_asm!(
        "xor eax, eax",
        "test r8, r8",
        "je 3f",
        "2:",
        "movzx eax, byte ptr [rcx]",
        "movzx r9d, byte ptr [rdx]",
        "sub eax, r9d",
        "jne 3f",
        "inc rcx",
        "inc rdx",
        "dec r8",
        "jne 2b",
        "3:",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy_within(text: &str, to: usize, from: usize, length: usize) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let base = bytes.as_mut_ptr() as usize;
        // SAFETY: both ranges are inside the vector.
        let result = unsafe { memmove(base + to, base + from, length) };
        assert_eq!(result, base + to);
        String::from_utf8(bytes).expect("still ASCII")
    }

    #[test]
    fn memmove_handles_overlap_both_ways() {
        assert_eq!(copy_within("abcdefgh", 2, 0, 5), "ababcdeh");
        assert_eq!(copy_within("abcdefgh", 0, 2, 5), "cdefgfgh");
        assert_eq!(copy_within("abcdefgh", 4, 0, 4), "abcdabcd");
        assert_eq!(copy_within("abcdefgh", 0, 0, 0), "abcdefgh");
    }

    #[test]
    fn memset_and_memcmp() {
        let mut bytes = [1_u8; 8];
        // SAFETY: inside the array.
        unsafe { memset(bytes.as_mut_ptr() as usize + 1, 0x1FF, 3) };
        assert_eq!(bytes, [1, 255, 255, 255, 1, 1, 1, 1]);
        let compare = |a: &[u8], b: &[u8]| {
            // SAFETY: both slices have the length of the first.
            unsafe { memcmp(a.as_ptr() as usize, b.as_ptr() as usize, a.len()) }
        };
        assert_eq!(compare(b"same", b"same"), 0);
        assert!(compare(b"a\xFFb", b"a\x01b") > 0);
        assert!(compare(b"aaa", b"aab") < 0);
        assert_eq!(compare(b"", b""), 0);
    }
}
