//! Names for addresses: loaded modules (`modules`), stacks (`unwind`), and functions and lines from a PDB (`pdb`).

mod modules;
mod pdb;
mod unwind;

pub use modules::{Module, add, find, remove};
pub use unwind::{Frame, StackTrace, UnwindSections, is_fast, set_fast};

use std::fmt::Write as _;

/// `module!function+0x12 (file:line)`, or as much of it as is known.
#[must_use]
pub fn describe(address: usize) -> String {
    lines(address).join(" in ")
}

/// The function at an address and the functions that it is inlined into, innermost first.
fn lines(address: usize) -> Vec<String> {
    let Some(module) = find(address) else {
        return vec![format!("{address:#x}")];
    };
    let offset = address - module.base;
    let unloaded = if module.unloaded { " (unloaded)" } else { "" };
    let frames = pdb::frames(&module, offset);
    if frames.is_empty() {
        return vec![format!("{}+{offset:#x}{unloaded}", module.name)];
    }
    frames
        .into_iter()
        .map(|frame| format!("{}!{frame}{unloaded}", module.name))
        .collect()
}

/// A stack as text, one line for each frame.
#[must_use]
pub fn render(trace: &StackTrace) -> String {
    let mut text = String::new();
    for frame in &trace.frames {
        match frame {
            Frame::Bench(name) => {
                let _ = writeln!(text, "    -- bench: {name}");
            }
            Frame::Driver { address, exact } => {
                // A return address is one past its call: look up the call.
                let probe = if *exact { *address } else { address - 1 };
                let lines = lines(probe);
                for (depth, line) in lines.iter().enumerate() {
                    let inlined = if depth + 1 == lines.len() {
                        ""
                    } else {
                        " [inlined]"
                    };
                    let _ = writeln!(text, "    {address:#018x} {line}{inlined}");
                }
            }
        }
    }
    if trace.frames.is_empty() {
        text.push_str("    (no driver code on this thread)\n");
    }
    text
}
