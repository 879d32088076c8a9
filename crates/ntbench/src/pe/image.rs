//! A mapped driver image: relocated, bound, protected.

use super::file::{LoadError, PeImage};
use super::{arena, cfg};
use crate::cpu::thunk;
use crate::exports;
use crate::memory::{self, Protection, page_up};
use crate::symbols::{self, Module, UnwindSections};
use std::ops::Range;
use std::path::Path;

/// A loaded image; unmapped when dropped.
#[derive(Debug)]
pub struct LoadedImage {
    /// What was loaded.
    pub file: PeImage,
    /// Load address.
    pub base: usize,
}

impl LoadedImage {
    /// Loads a file: maps it, applies relocations, binds imports, sets up Control Flow Guard, protects the sections.
    ///
    /// # Errors
    /// What [`PeImage::read`] says, or [`LoadError::UnknownImports`] with all of them.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let file = PeImage::read(path)?;
        let bindings = resolve_imports(&file)?;
        let base = arena::allocate(file.size);
        memory::protect(base, file.size, Protection::ReadWrite);
        memory::write_bytes(base, &file.headers);
        for section in &file.sections {
            memory::write_bytes(base + section.rva, &section.data);
        }
        let delta = (base as u64).wrapping_sub(file.image_base);
        for &rva in &file.relocations {
            let value: u64 = memory::read(base + rva);
            memory::write(base + rva, value.wrapping_add(delta));
        }
        for (rva, address) in bindings {
            memory::write(base + rva, address as u64);
        }
        let image = Self { file, base };
        image.set_up_guard();
        image.protect();
        image.register_symbols(path);
        Ok(image)
    }

    /// The addresses of the image.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.base..self.base + self.file.size
    }

    /// Address of `DriverEntry`.
    #[must_use]
    pub fn entry(&self) -> usize {
        self.base + self.file.entry
    }

    /// Takes the discardable sections away, as Windows does after `DriverEntry`.
    pub fn discard_init(&self) {
        for section in self.file.sections.iter().filter(|section| section.discardable) {
            memory::decommit(self.base + section.rva, section.size);
        }
    }

    fn set_up_guard(&self) {
        cfg::allow(self.entry());
        let Some(guard) = &self.file.guard else {
            self.code().for_each(cfg::allow_all);
            return;
        };
        for &rva in &guard.targets {
            cfg::allow(self.base + rva);
        }
        if let Some(rva) = guard.check_pointer {
            memory::write(self.base + rva, cfg::check_icall as *const () as u64);
        }
        if let Some(rva) = guard.dispatch_pointer {
            memory::write(self.base + rva, cfg::dispatch_icall as *const () as u64);
        }
    }

    /// Where the executable sections are.
    fn code(&self) -> impl Iterator<Item = Range<usize>> {
        let sections = self.file.sections.iter();
        sections
            .filter(|section| section.protection == Protection::ReadExecute)
            .map(|section| self.base + section.rva..self.base + section.rva + section.size)
    }

    fn protect(&self) {
        memory::protect(self.base, self.file.size, Protection::None);
        memory::protect(self.base, page_up(self.file.headers.len()), Protection::Read);
        for section in &self.file.sections {
            memory::protect(self.base + section.rva, section.size, section.protection);
        }
    }

    fn register_symbols(&self, path: &Path) {
        let sections = self.file.sections.iter().map(|section| {
            let length = self.file.unpadded_length(section);
            let range = section.rva as u64..(section.rva + length) as u64;
            (section.name.clone(), range, section.data[..length].into())
        });
        symbols::add(Module {
            name: path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            path: path.to_path_buf(),
            base: self.base,
            size: self.file.size,
            unloaded: false,
            unwind: UnwindSections {
                sections: sections.collect(),
            },
        });
    }
}

impl Drop for LoadedImage {
    fn drop(&mut self) {
        memory::decommit(self.base, self.file.size);
        cfg::forbid(self.entry());
        if let Some(guard) = &self.file.guard {
            for &rva in &guard.targets {
                cfg::forbid(self.base + rva);
            }
        } else {
            for code in self.code() {
                cfg::forbid_all(&code);
            }
        }
        symbols::remove(self.base);
    }
}

fn resolve_imports(file: &PeImage) -> Result<Vec<(usize, usize)>, LoadError> {
    let mut bindings = Vec::new();
    let mut unknown = Vec::new();
    for import in &file.imports {
        match exports::find(&import.module, &import.name) {
            Some(export) => bindings.push((import.rva, thunk::address_of(export))),
            None => unknown.push(format!("{}!{}", import.module, import.name)),
        }
    }
    if unknown.is_empty() {
        return Ok(bindings);
    }
    Err(LoadError::UnknownImports {
        path: file.path.clone(),
        names: unknown,
    })
}
