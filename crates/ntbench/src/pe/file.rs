//! Reads a PE file and checks what Windows' loader and code integrity would check of a kernel driver.

use object::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_EXCEPTION, IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, IMAGE_FILE_MACHINE_AMD64,
    IMAGE_GUARD_CF_FUNCTION_TABLE_PRESENT, IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_MASK,
    IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_SHIFT, IMAGE_SCN_MEM_DISCARDABLE, IMAGE_SCN_MEM_EXECUTE,
    IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE, ImageLoadConfigDirectory64, ImageNtHeaders64,
};
use object::read::pe::{ImageNtHeaders, Import, PeFile64};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::memory::{Protection, page_up};

/// Why a file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not an x86-64 PE image or breaks its format.
    #[error("{path}: not a loadable image: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The image uses exports that the bench does not have.
    #[error("{path}: imports that the bench does not emulate: {}", names.join(", "))]
    UnknownImports {
        /// The file.
        path: PathBuf,
        /// `module!function`, all of them.
        names: Vec<String>,
    },
}

/// One section as it will be mapped.
#[derive(Clone, Debug)]
pub struct Section {
    /// Name without padding.
    pub name: String,
    /// Offset from the start of the image.
    pub rva: usize,
    /// Size in memory, whole pages.
    pub size: usize,
    /// Initialised content.
    pub data: Vec<u8>,
    /// Protection after loading.
    pub protection: Protection,
    /// Thrown away when `DriverEntry` has returned.
    pub discardable: bool,
}

/// One import address table slot.
#[derive(Clone, Debug)]
pub struct ImportSlot {
    /// Module name as the image spells it.
    pub module: String,
    /// Export name.
    pub name: String,
    /// Offset of the slot.
    pub rva: usize,
}

/// Control Flow Guard data of the image.
#[derive(Clone, Debug, Default)]
pub struct GuardTables {
    /// Offset of the pointer to the check function, if the image has one.
    pub check_pointer: Option<usize>,
    /// Offset of the pointer to the dispatch function, if the image has one.
    pub dispatch_pointer: Option<usize>,
    /// Offsets of all valid targets of indirect calls.
    pub targets: Vec<usize>,
}

/// A checked PE file.
#[derive(Clone, Debug)]
pub struct PeImage {
    /// Where it came from.
    pub path: PathBuf,
    /// Preferred load address.
    pub image_base: u64,
    /// Size in memory, whole pages.
    pub size: usize,
    /// Offset of `DriverEntry`.
    pub entry: usize,
    /// The headers as mapped at offset 0.
    pub headers: Vec<u8>,
    /// Sections by address.
    pub sections: Vec<Section>,
    /// Offsets of 64-bit addresses to relocate.
    pub relocations: Vec<usize>,
    /// Imports.
    pub imports: Vec<ImportSlot>,
    /// Present when the image was built with Control Flow Guard.
    pub guard: Option<GuardTables>,
    /// Where the table of functions with their unwind data is; empty if there is none.
    pub exception_table: Range<usize>,
}

impl PeImage {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`LoadError::Read`] or [`LoadError::Format`].
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let data = std::fs::read(path).map_err(|source| LoadError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(path, &data).map_err(|reason| LoadError::Format {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        })
    }

    fn parse(path: &Path, data: &[u8]) -> Result<Self, FormatError> {
        let file = PeFile64::parse(data)?;
        let headers = file.nt_headers();
        check_headers(headers)?;
        check_checksum(data, file.dos_header().nt_headers_offset() as usize, headers)?;
        let optional = &headers.optional_header;
        let size = page_up(optional.size_of_image.get(LE) as usize);
        let sections = read_sections(&file, data, size)?;
        let header_size = optional.size_of_headers.get(LE) as usize;
        let image = Self {
            path: path.to_path_buf(),
            image_base: optional.image_base.get(LE),
            size,
            entry: optional.address_of_entry_point.get(LE) as usize,
            headers: data
                .get(..header_size)
                .ok_or("headers are longer than the file")?
                .to_vec(),
            relocations: read_relocations(&file, size)?,
            imports: read_imports(&file)?,
            guard: read_guard(&file, &sections)?,
            exception_table: read_exception_table(&file),
            sections,
        };
        let executable = |rva: usize| {
            image
                .section_at(rva)
                .is_some_and(|section| section.protection == Protection::ReadExecute)
        };
        if !executable(image.entry) {
            return Err("the entry point is not in an executable section".into());
        }
        Ok(image)
    }

    /// Length of a section's content without the padding that files have behind the table of functions: unwinders
    /// search that table.
    #[must_use]
    pub fn unpadded_length(&self, section: &Section) -> usize {
        let table = &self.exception_table;
        let length = section.data.len();
        if section.rva == table.start {
            length.min(table.len())
        } else {
            length
        }
    }

    /// The section that contains an offset.
    #[must_use]
    pub fn section_at(&self, rva: usize) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| (section.rva..section.rva + section.size).contains(&rva))
    }
}

type FormatError = Box<dyn std::error::Error>;

fn check_headers(headers: &ImageNtHeaders64) -> Result<(), FormatError> {
    let machine = headers.file_header().machine.get(LE);
    if machine != IMAGE_FILE_MACHINE_AMD64 {
        return Err(format!("machine {machine:#06x}, the bench runs x86-64 (0x8664)").into());
    }
    let subsystem = headers.optional_header.subsystem.get(LE);
    if subsystem != IMAGE_SUBSYSTEM_NATIVE {
        return Err(format!("subsystem {subsystem}, a kernel driver has 1 (native)").into());
    }
    let alignment = headers.optional_header.section_alignment.get(LE);
    if alignment < 0x1000 {
        return Err(format!("section alignment {alignment:#x} is less than a page").into());
    }
    Ok(())
}

/// Windows refuses drivers with a wrong checksum where it matters most (boot), so the bench always does.
fn check_checksum(data: &[u8], nt_offset: usize, headers: &ImageNtHeaders64) -> Result<(), FormatError> {
    // Signature (4), file header (20), then `CheckSum` at offset 64 of the optional header.
    let computed = checksum(data, nt_offset + 4 + 20 + 64);
    let stored = headers.optional_header.check_sum.get(LE);
    if computed == stored {
        return Ok(());
    }
    let hint = if stored == 0 {
        "link with /RELEASE"
    } else {
        "the file was changed after linking"
    };
    Err(format!("PE checksum is {stored:#x}, should be {computed:#x}: {hint}").into())
}

/// The PE image checksum: 16-bit one's complement sum of the file without the field itself, plus the file's length.
#[must_use]
pub fn checksum(data: &[u8], field: usize) -> u32 {
    let mut sum: u32 = 0;
    for (index, pair) in data.chunks(2).enumerate() {
        let offset = index * 2;
        if (field..field + 4).contains(&offset) {
            continue;
        }
        let word = u32::from(pair[0]) | pair.get(1).map_or(0, |&high| u32::from(high) << 8);
        sum += word;
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the field has 32 bits; images are smaller than 4 GiB"
    )]
    let length = data.len() as u32;
    sum.wrapping_add(length)
}

fn read_sections(file: &PeFile64<'_>, data: &[u8], image_size: usize) -> Result<Vec<Section>, FormatError> {
    let mut sections = Vec::new();
    for header in file.section_table().iter() {
        let name = String::from_utf8_lossy(header.raw_name()).into_owned();
        let flags = header.characteristics.get(LE);
        let (writable, executable) = (
            flags.contains(IMAGE_SCN_MEM_WRITE),
            flags.contains(IMAGE_SCN_MEM_EXECUTE),
        );
        let protection = match (writable, executable) {
            (true, true) => return Err(format!("section {name} is writable and executable").into()),
            (true, false) => Protection::ReadWrite,
            (false, true) => Protection::ReadExecute,
            (false, false) => Protection::Read,
        };
        let rva = header.virtual_address.get(LE) as usize;
        let raw = header.pe_data(data)?;
        let size = page_up((header.virtual_size.get(LE) as usize).max(1));
        if !rva.is_multiple_of(crate::memory::PAGE_SIZE) || rva + size > image_size {
            return Err(format!("section {name} does not fit the image").into());
        }
        sections.push(Section {
            name,
            rva,
            size,
            data: raw[..raw.len().min(size)].to_vec(),
            protection,
            discardable: flags.contains(IMAGE_SCN_MEM_DISCARDABLE),
        });
    }
    sections.sort_by_key(|section| section.rva);
    if sections
        .windows(2)
        .any(|pair| pair[0].rva + pair[0].size > pair[1].rva)
    {
        return Err("sections overlap".into());
    }
    Ok(sections)
}

fn read_relocations(file: &PeFile64<'_>, image_size: usize) -> Result<Vec<usize>, FormatError> {
    let mut relocations = Vec::new();
    let Some(mut blocks) = file
        .data_directories()
        .relocation_blocks(file.data(), &file.section_table())?
    else {
        return Err("no relocations: link with /DYNAMICBASE".into());
    };
    while let Some(block) = blocks.next()? {
        for relocation in block {
            let rva = relocation.virtual_address as usize;
            match relocation.typ {
                object::pe::IMAGE_REL_BASED_ABSOLUTE => {}
                object::pe::IMAGE_REL_BASED_DIR64 if rva + 8 <= image_size => relocations.push(rva),
                kind => return Err(format!("relocation type {kind} at {rva:#x} cannot be applied").into()),
            }
        }
    }
    Ok(relocations)
}

fn read_imports(file: &PeFile64<'_>) -> Result<Vec<ImportSlot>, FormatError> {
    let mut imports = Vec::new();
    let Some(table) = file.import_table()? else {
        return Ok(imports);
    };
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).into_owned();
        let mut names_rva = descriptor.original_first_thunk.get(LE);
        if names_rva == 0 {
            names_rva = descriptor.first_thunk.get(LE);
        }
        let mut slot = descriptor.first_thunk.get(LE) as usize;
        let mut thunks = table.thunks(names_rva)?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            let name = match table.import::<ImageNtHeaders64>(thunk)? {
                Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                Import::Ordinal(ordinal) => format!("#{ordinal}"),
            };
            imports.push(ImportSlot {
                module: module.clone(),
                name,
                rva: slot,
            });
            slot += 8;
        }
    }
    Ok(imports)
}

fn read_exception_table(file: &PeFile64<'_>) -> Range<usize> {
    let directory = file.data_directory(IMAGE_DIRECTORY_ENTRY_EXCEPTION);
    directory.map_or(0..0, |directory| {
        let start = directory.virtual_address.get(LE) as usize;
        start..start.saturating_add(directory.size.get(LE) as usize)
    })
}

fn read_guard(file: &PeFile64<'_>, sections: &[Section]) -> Result<Option<GuardTables>, FormatError> {
    let Some(directory) = file.data_directory(IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG) else {
        return Ok(None);
    };
    let rva = directory.virtual_address.get(LE) as usize;
    if rva == 0 {
        return Ok(None);
    }
    let size = size_of::<ImageLoadConfigDirectory64>();
    let mut bytes = slice_at(sections, rva, 4)?.to_vec();
    let stated = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    bytes = slice_at(sections, rva, stated.min(size))?.to_vec();
    bytes.resize(size, 0);
    let (config, _) = object::from_bytes::<ImageLoadConfigDirectory64>(&bytes)
        .map_err(|()| "load configuration is not aligned")?;
    // Without a table Windows checks nothing, whatever else the structure says.
    if config.guard_flags.get(LE).0 & IMAGE_GUARD_CF_FUNCTION_TABLE_PRESENT.0 == 0 {
        return Ok(None);
    }
    let image_base = file.nt_headers().optional_header.image_base.get(LE);
    let rva_of = |address: u64| {
        (address != 0).then(|| usize::try_from(address.wrapping_sub(image_base)).unwrap_or(usize::MAX))
    };
    let stride = 4
        + ((config.guard_flags.get(LE).0 & IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_MASK)
            >> IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_SHIFT) as usize;
    let count = usize::try_from(config.guard_cf_function_count.get(LE))?;
    let mut targets = Vec::new();
    if let Some(table) = rva_of(config.guard_cf_function_table.get(LE)) {
        let length = count
            .checked_mul(stride)
            .ok_or("guard function table is too long")?;
        for entry in slice_at(sections, table, length)?.chunks_exact(stride) {
            targets.push(u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) as usize);
        }
    }
    let tables = GuardTables {
        check_pointer: rva_of(config.guard_cf_check_function_pointer.get(LE)),
        dispatch_pointer: rva_of(config.guard_cf_dispatch_function_pointer.get(LE)),
        targets,
    };
    let present =
        tables.check_pointer.is_some() || tables.dispatch_pointer.is_some() || !tables.targets.is_empty();
    Ok(present.then_some(tables))
}

fn slice_at(sections: &[Section], rva: usize, length: usize) -> Result<&[u8], FormatError> {
    sections
        .iter()
        .find(|section| (section.rva..section.rva + section.size).contains(&rva))
        .and_then(|section| {
            section
                .data
                .get(rva - section.rva..(rva - section.rva).checked_add(length)?)
        })
        .ok_or_else(|| format!("{length} bytes at {rva:#x} are outside the file").into())
}
