//! Functions and lines from the PDB beside an image.

use super::modules::Module;
use parking_lot::Mutex;
use pdb_addr2line::{Context, ContextPdbData, pdb::PDB};
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

type PdbContext = Context<'static, 'static>;

/// PDBs that were read, by image path; `None` where there is none or it cannot be read.
static CONTEXTS: Mutex<Option<HashMap<PathBuf, Option<PdbContext>>>> = Mutex::new(None);

/// What is at an offset of an image, innermost inlined function first; empty without a PDB.
pub(super) fn frames(module: &Module, offset: usize) -> Vec<String> {
    let mut guard = CONTEXTS.lock();
    let contexts = guard.get_or_insert_default();
    let context = contexts
        .entry(module.path.clone())
        .or_insert_with(|| open(module));
    let (Some(context), Ok(probe)) = (context, u32::try_from(offset)) else {
        return Vec::new();
    };
    let Ok(Some(found)) = context.find_frames(probe) else {
        return Vec::new();
    };
    let displacement = offset.saturating_sub(found.start_rva as usize);
    found
        .frames
        .iter()
        .map(|frame| {
            let name = frame.function.as_deref().unwrap_or("?");
            let name = format!("{:#}", rustc_demangle::demangle(name));
            match (frame.file.as_deref(), frame.line) {
                (Some(file), Some(line)) => format!("{name}+{displacement:#x} ({file}:{line})"),
                _ => format!("{name}+{displacement:#x}"),
            }
        })
        .collect()
}

fn open(module: &Module) -> Option<PdbContext> {
    let file = File::open(module.path.with_extension("pdb")).ok()?;
    let pdb = PDB::open(file).ok()?;
    let data = ContextPdbData::try_from_pdb(pdb).ok()?;
    // Contexts borrow from their data; both are kept for the rest of the process, one per image file.
    let data: &'static ContextPdbData<'static, 'static, File> = Box::leak(Box::new(data));
    data.make_context().ok()
}
