//! A client that shortens a file which we have mapped: the next access to the missing pages raises `SIGBUS`.
#![expect(unsafe_code, reason = "handles a signal")]

use std::io;
use std::ptr;

/// From now on missing pages of mapped files read as zeros, and what is written to them is lost, instead of the end of the process.
///
/// # Errors
/// What the system says.
pub fn tolerate() -> io::Result<()> {
    // SAFETY: all fields may be zero.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_bus_error as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler does only what handlers may do.
    let result = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `si_code` of an access to a page of a mapping that its file does not have.
const BUS_ADRERR: i32 = 2;

extern "C" fn on_bus_error(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid pointer to a handler with SA_SIGINFO.
    let info = unsafe { info.as_ref() };
    let address = info.filter(|info| info.si_code == BUS_ADRERR).map(|info| {
        // SAFETY: a bus error has an address.
        unsafe { info.si_addr() }
    });
    let replaced = address.is_some_and(|address| {
        let page = (address as usize & !0xFFF) as *mut libc::c_void;
        // SAFETY: only mappings of files fault like this, and the only files that can become shorter are guest memory: its page is
        // replaced by one of our own. `mmap` is a plain system call.
        let result = unsafe {
            libc::mmap(
                page,
                0x1000,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        result != libc::MAP_FAILED
    });
    if !replaced {
        // SAFETY: back to the default action, which ends the process when the access is tried again.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
