//! The images that are or were loaded.

use parking_lot::RwLock;
use std::path::PathBuf;
use std::sync::Arc;

/// What symbolisation knows of an image.
#[derive(Debug)]
pub struct Module {
    /// File name without folder.
    pub name: String,
    /// Where the file is; the PDB is beside it.
    pub path: PathBuf,
    /// Load address.
    pub base: usize,
    /// Size in memory.
    pub size: usize,
    /// Still listed, so that late calls can be named.
    pub unloaded: bool,
    /// A copy of the image's unwind tables, for the unwinder.
    pub unwind: super::unwind::UnwindSections,
}

static MODULES: RwLock<Vec<Arc<Module>>> = RwLock::new(Vec::new());

/// Registers a loaded image.
pub fn add(module: Module) {
    super::unwind::add_module(&module);
    MODULES.write().push(Arc::new(module));
}

/// Marks an image as unloaded.
pub fn remove(base: usize) {
    let mut modules = MODULES.write();
    if let Some(module) = modules.iter_mut().find(|module| module.base == base) {
        *module = Arc::new(Module {
            name: module.name.clone(),
            path: module.path.clone(),
            base,
            size: module.size,
            unloaded: true,
            unwind: module.unwind.clone(),
        });
    }
}

/// The image that contains an address.
#[must_use]
pub fn find(address: usize) -> Option<Arc<Module>> {
    let modules = MODULES.read();
    modules
        .iter()
        .find(|module| (module.base..module.base + module.size).contains(&address))
        .cloned()
}
