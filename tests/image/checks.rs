//! Headers, sections and imports.

use object::pe;
use object::read::pe::{ImageNtHeaders, Import};
use object::{LittleEndian as LE, U16, U32};

use crate::pe::Image;
use crate::{Verdict, pass_and_fail};

/// The modules that the driver may import from, and the documented functions of each that it does.
const IMPORTS: [(&str, &str); 3] = [
    ("ntoskrnl.exe", include_str!("../../xbuild/imports/ntoskrnl.def")),
    ("ndis.sys", include_str!("../../xbuild/imports/ndis.def")),
    ("netio.sys", include_str!("../../xbuild/imports/netio.def")),
];

/// What the loader and the kernel's mitigations ask for (winnt.h).
const CHARACTERISTICS: [(pe::DllFlags, &str); 5] = [
    (pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA, "HIGH_ENTROPY_VA"),
    (pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, "DYNAMIC_BASE"),
    (pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY, "FORCE_INTEGRITY"),
    (pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT, "NX_COMPAT"),
    (pe::IMAGE_DLLCHARACTERISTICS_GUARD_CF, "GUARD_CF"),
];

fn native_subsystem(image: &Image) -> Verdict {
    match image.optional().subsystem.get(LE) {
        pe::IMAGE_SUBSYSTEM_NATIVE => Ok(()),
        other => Err(format!("the subsystem is {other}, not native")),
    }
}

fn characteristics(image: &Image) -> Verdict {
    let set = image.optional().dll_characteristics.get(LE);
    match CHARACTERISTICS.iter().find(|(bit, _)| !set.contains(*bit)) {
        None => Ok(()),
        Some((_, name)) => Err(format!("{name} is not set")),
    }
}

/// The checksum of imagehlp.h's `CheckSumMappedFile`: the 16-bit one's complement sum of the file without its
/// checksum field, plus the length of the file.
fn computed_checksum(image: &Image) -> u32 {
    let field = image.optional_offset() + std::mem::offset_of!(pe::ImageOptionalHeader64, check_sum);
    let file = image.with_bytes(field, &[0; 4]).0;
    let sum = file.chunks(2).fold(0_u32, |sum, pair| {
        let sum = sum + u32::from(u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        (sum & 0xFFFF) + (sum >> 16)
    });
    sum + u32::try_from(file.len()).expect("a small file")
}

fn checksum(image: &Image) -> Verdict {
    let (stored, computed) = (image.optional().check_sum.get(LE), computed_checksum(image));
    if stored == computed {
        Ok(())
    } else {
        Err(format!("the checksum is {stored:#x}, not {computed:#x}"))
    }
}

fn never_writable_and_executable(image: &Image) -> Verdict {
    let both = pe::IMAGE_SCN_MEM_WRITE | pe::IMAGE_SCN_MEM_EXECUTE;
    match image
        .sections()
        .iter()
        .find(|section| section.characteristics.get(LE).contains(both))
    {
        None => Ok(()),
        Some(section) => Err(format!("{} is writable and executable", section_name(section))),
    }
}

/// The linker must have dropped or merged this section: Windows refuses a driver that still has it.
fn no_retpoline_notes(image: &Image) -> Verdict {
    if image
        .sections()
        .iter()
        .any(|section| section.raw_name() == b".retplne")
    {
        return Err("the section .retplne is left".into());
    }
    Ok(())
}

/// `DriverEntry` is the entry point, and its section INIT is thrown away after it has run.
fn entry_is_discardable(image: &Image) -> Verdict {
    let entry = image.optional().address_of_entry_point.get(LE);
    let exports = image.pe().export_table().map_err(|error| error.to_string())?;
    let driver_entry = exports.as_ref().and_then(|table| {
        table
            .name_iter()
            .find(|(name, _)| table.name_from_pointer(*name) == Ok(b"DriverEntry"))
    });
    let address = driver_entry.and_then(|(_, index)| exports.as_ref()?.address_by_index(index).ok());
    if address != Some(entry) {
        return Err(format!(
            "the entry point is {entry:#x}, and DriverEntry is at {address:x?}"
        ));
    }
    let sections = image.sections();
    let section = sections
        .iter()
        .find(|section| section.contains_rva(entry))
        .ok_or("the entry point is in no section")?;
    let discardable = section
        .characteristics
        .get(LE)
        .contains(pe::IMAGE_SCN_MEM_DISCARDABLE);
    if section.raw_name() == b"INIT" && discardable {
        Ok(())
    } else {
        Err(format!(
            "the entry point is in {}, which is not a discardable INIT",
            section_name(section)
        ))
    }
}

fn can_be_relocated(image: &Image) -> Verdict {
    let stripped =
        image.pe().nt_headers().file_header().characteristics.get(LE) & pe::IMAGE_FILE_RELOCS_STRIPPED;
    match image.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) {
        Some(directory) if directory.size.get(LE) > 0 && stripped.0 == 0 => Ok(()),
        _ => Err("there are no base relocations".into()),
    }
}

fn documented_imports(image: &Image) -> Verdict {
    let imported = imports(image)?;
    if imported.is_empty() {
        return Err("there are no imports".into());
    }
    for (module, function) in &imported {
        let (_, definition) = IMPORTS
            .iter()
            .find(|(name, _)| name == module)
            .ok_or_else(|| format!("{function} is imported from {module}"))?;
        if !names(definition).any(|name| name == function) {
            return Err(format!(
                "{function} of {module} is not in its list of documented functions"
            ));
        }
    }
    Ok(())
}

/// Module and name of everything that the image imports.
fn imports(image: &Image) -> Result<Vec<(String, String)>, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let read = || -> object::Result<Vec<(String, String)>> {
        let pe = image.pe();
        let mut imported = Vec::new();
        let Some(table) = pe.import_table()? else {
            return Ok(imported);
        };
        let mut modules = table.descriptors()?;
        while let Some(module) = modules.next()? {
            let name = text(table.name(module.name.get(LE))?);
            let mut thunks = table.thunks(module.original_first_thunk.get(LE))?;
            while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>()? {
                imported.push((
                    name.clone(),
                    match table.import::<pe::ImageNtHeaders64>(thunk)? {
                        Import::Name(_, function) => text(function),
                        Import::Ordinal(ordinal) => format!("#{ordinal}"),
                    },
                ));
            }
        }
        Ok(imported)
    };
    read().map_err(|error| error.to_string())
}

/// The functions that a module-definition file names.
fn names(definition: &str) -> impl Iterator<Item = &str> {
    let lines = definition.lines().skip_while(|line| *line != "EXPORTS").skip(1);
    lines.filter(|line| !line.starts_with(';'))
}

fn section_name(section: &pe::ImageSectionHeader) -> String {
    String::from_utf8_lossy(section.raw_name()).into_owned()
}

#[test]
fn the_subsystem_is_native() {
    let gui = Image::driver()
        .with_optional(|header| header.subsystem = U16::new(LE, pe::IMAGE_SUBSYSTEM_WINDOWS_GUI));
    pass_and_fail(native_subsystem, &[("not native", gui)]);
}

#[test]
fn the_mitigations_are_asked_for() {
    let without = |bit: pe::DllFlags| {
        Image::driver().with_optional(|header| {
            header.dll_characteristics = U16::new(LE, header.dll_characteristics.get(LE) ^ bit);
        })
    };
    pass_and_fail(
        characteristics,
        &CHARACTERISTICS.map(|(bit, name)| (name, without(bit))),
    );
}

#[test]
fn the_checksum_is_right() {
    let image = Image::driver();
    let wrong = image.with_optional(|header| header.check_sum = U32::new(LE, header.check_sum.get(LE) + 1));
    let none = image.with_optional(|header| header.check_sum = U32::new(LE, 0));
    let other_content = image.with_text(b"DOS mode", b"DOS node");
    let complaint = "the checksum is";
    pass_and_fail(
        checksum,
        &[(complaint, wrong), (complaint, none), (complaint, other_content)],
    );
}

#[test]
fn no_section_is_writable_and_executable() {
    let set = |name: &'static [u8], bit: pe::SectionFlags| {
        Image::driver().with_section(name, |section| {
            section.characteristics = U32::new(LE, section.characteristics.get(LE) | bit);
        })
    };
    pass_and_fail(
        never_writable_and_executable,
        &[
            (".text is writable", set(b".text", pe::IMAGE_SCN_MEM_WRITE)),
            ("INIT is writable", set(b"INIT", pe::IMAGE_SCN_MEM_WRITE)),
        ],
    );
}

#[test]
fn no_section_keeps_the_driver_from_loading() {
    let left = Image::driver().with_section(b".reloc", |section| section.name = *b".retplne");
    pass_and_fail(no_retpoline_notes, &[(".retplne", left)]);
}

#[test]
fn the_entry_point_is_discarded_after_use() {
    let image = Image::driver();
    let kept = image.with_section(b"INIT", |section| {
        section.characteristics = U32::new(
            LE,
            section.characteristics.get(LE) ^ pe::IMAGE_SCN_MEM_DISCARDABLE,
        );
    });
    let elsewhere = image.with_optional(|header| header.address_of_entry_point = header.base_of_code);
    pass_and_fail(
        entry_is_discardable,
        &[
            ("not a discardable INIT", kept),
            ("and DriverEntry is at", elsewhere),
        ],
    );
}

#[test]
fn the_image_can_be_relocated() {
    let image = Image::driver();
    let directory = image.optional_offset() + size_of::<pe::ImageOptionalHeader64>();
    let entry = directory + pe::IMAGE_DIRECTORY_ENTRY_BASERELOC * size_of::<pe::ImageDataDirectory>();
    pass_and_fail(
        can_be_relocated,
        &[("no base relocations", image.with_bytes(entry, &[0; 8]))],
    );
}

#[test]
fn only_documented_functions_of_three_modules_are_imported() {
    let image = Image::driver();
    let module = image.with_text(b"ndis.sys\0", b"ndix.sys\0");
    let function = image.with_text(b"ExAllocatePool2\0", b"ExAllocatePool3\0");
    pass_and_fail(
        documented_imports,
        &[
            ("is imported from ndix.sys", module),
            ("ExAllocatePool3 of ntoskrnl.exe", function),
        ],
    );
}

/// Must be listed for the link, and may be dropped by it: what the compiler calls depends on how it optimises, and
/// nothing calls the deallocator of `wdk-alloc` so far.
const NOT_ALWAYS_IMPORTED: [&str; 5] = ["ExFreePool", "memcmp", "memcpy", "memmove", "memset"];

/// A list that grows beyond what is used would let undocumented functions in unseen.
#[test]
fn the_lists_of_functions_name_only_what_is_used() {
    let mut imported = imports(&Image::driver()).expect("imports");
    imported.extend(imports(&Image::read("VRNIC_WRONG_SYS")).expect("imports"));
    for (module, definition) in IMPORTS {
        for function in names(definition).filter(|name| !NOT_ALWAYS_IMPORTED.contains(name)) {
            let used = imported
                .iter()
                .any(|(from, name)| from == module && name == function);
            assert!(
                used,
                "{function} of {module} is listed in xbuild/imports, and no driver imports it"
            );
        }
    }
}
