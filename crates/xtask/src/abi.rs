//! `./x abi`: the layouts of all structures of `ndk-sys`, for others to compare with Microsoft's headers.

use std::io::{self, Write as _};

/// Prints `{"STRUCT": {"size": n, "fields": {"Field": offset, …}}, …}`, computed from the Rust types.
///
/// # Errors
/// Fails if standard output cannot be written to.
pub fn run() -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", ndk_sys::abi::Json)
}
