//! Control Flow Guard: Windows lets an indirect call go only to addresses in the image's table of functions.

use std::collections::BTreeSet;
use std::mem::offset_of;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use object::pe::{self, ImageLoadConfigDirectory64 as LoadConfig};
use object::{LittleEndian as LE, U32, U64};

use crate::pe::Image;
use crate::{Verdict, pass_and_fail};

/// Relative addresses.
type Addresses = BTreeSet<u32>;

/// The load configuration, as far as `GuardFlags`.
fn load_config(image: &Image) -> Result<(u32, LoadConfig), String> {
    let directory = image
        .directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG)
        .filter(|entry| entry.size.get(LE) != 0);
    let address = directory
        .ok_or("there is no load configuration")?
        .virtual_address
        .get(LE);
    let stored = image
        .at(address)
        .ok_or("the load configuration is outside of the image")?;
    let size = stored.get(..4).map_or(0, |size| {
        u32::from_le_bytes(size.try_into().expect("4 bytes")) as usize
    });
    let needed = offset_of!(LoadConfig, guard_flags) + 4;
    if size < needed || stored.len() < size {
        return Err(format!("the load configuration has {size} bytes"));
    }
    // A longer structure than the image has: what it lacks reads as zero.
    let mut bytes = [0; size_of::<LoadConfig>()];
    let taken = size.min(bytes.len());
    bytes[..taken].copy_from_slice(&stored[..taken]);
    let (config, _) = object::pod::from_bytes::<LoadConfig>(&bytes).expect("the right size");
    Ok((address, *config))
}

fn relative(image: &Image, address: U64<LE>) -> Result<u32, String> {
    let base = image.optional().image_base.get(LE);
    address
        .get(LE)
        .checked_sub(base)
        .and_then(|relative| u32::try_from(relative).ok())
        .ok_or("an address outside".into())
}

/// The functions that may be called indirectly.
fn table(image: &Image) -> Result<Addresses, String> {
    let (_, config) = load_config(image)?;
    let flags = config.guard_flags.get(LE);
    let needed = pe::IMAGE_GUARD_CF_INSTRUMENTED | pe::IMAGE_GUARD_CF_FUNCTION_TABLE_PRESENT;
    if flags & needed != needed {
        return Err(format!("the guard flags are {flags:#x}"));
    }
    let stride = 4 + (flags.0 >> pe::IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_SHIFT) as usize;
    let count = usize::try_from(config.guard_cf_function_count.get(LE)).map_err(|error| error.to_string())?;
    let bytes = image
        .at(relative(image, config.guard_cf_function_table)?)
        .ok_or("the table is outside of the image")?;
    let entries: Vec<u32> = bytes
        .chunks_exact(stride)
        .take(count)
        .map(|entry| u32::from_le_bytes(entry[..4].try_into().expect("4 bytes")))
        .collect();
    if entries.len() != count || !entries.is_sorted_by(|earlier, later| earlier < later) {
        return Err("the table is cut short or not sorted".into());
    }
    Ok(entries.into_iter().collect())
}

fn is_code(image: &Image, address: u32) -> bool {
    image.sections().iter().any(|section| {
        let executable = section
            .characteristics
            .get(LE)
            .contains(pe::IMAGE_SCN_MEM_EXECUTE);
        executable && section.contains_rva(address)
    })
}

/// What the pointers in the data of the image, such as its dispatch tables, say is a function.
fn functions_in_data(image: &Image) -> Result<Addresses, String> {
    let read = || -> object::Result<Addresses> {
        let pe = image.pe();
        let mut found = Addresses::new();
        let Some(mut blocks) = pe
            .data_directories()
            .relocation_blocks(&*image.0, &pe.section_table())?
        else {
            return Ok(found);
        };
        while let Some(block) = blocks.next()? {
            for relocation in block {
                let pointer = image
                    .at(relocation.virtual_address)
                    .and_then(|bytes| bytes.first_chunk());
                let target = pointer.map(|pointer| U64::from_bytes(*pointer));
                if let Some(target) = target.and_then(|target| relative(image, target).ok())
                    && is_code(image, target)
                {
                    found.insert(target);
                }
            }
        }
        Ok(found)
    };
    read().map_err(|error| error.to_string())
}

/// Begin and end of the functions that have unwind information.
fn functions(image: &Image) -> Vec<(u32, u32)> {
    let directory = image
        .directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION)
        .expect("a function table");
    let bytes = image
        .at(directory.virtual_address.get(LE))
        .expect("a function table in the image");
    let word =
        |entry: &[u8], index: usize| u32::from_le_bytes(entry[index * 4..][..4].try_into().expect("4 bytes"));
    let entries = bytes[..directory.size.get(LE) as usize].chunks_exact(12);
    entries.map(|entry| (word(entry, 0), word(entry, 1))).collect()
}

/// What the code takes the address of with `lea`, where that is the start of a function: handlers that are put into a
/// structure on the stack and registered.
fn functions_in_code(image: &Image) -> Addresses {
    let functions = functions(image);
    let starts: Addresses = functions.iter().map(|(begin, _)| *begin).collect();
    let mut found = Addresses::new();
    for (begin, end) in functions {
        let code = &image.at(begin).expect("a function in the image")[..(end - begin) as usize];
        for instruction in &mut Decoder::with_ip(64, code, begin.into(), DecoderOptions::NONE) {
            let takes_address = instruction.mnemonic() == Mnemonic::Lea
                && instruction.op1_kind() == OpKind::Memory
                && instruction.is_ip_rel_memory_operand();
            let target = u32::try_from(instruction.ip_rel_memory_address());
            if takes_address
                && let Ok(target) = target
                && starts.contains(&target)
            {
                found.insert(target);
            }
        }
    }
    found
}

/// Every function whose address is taken anywhere is in the table, and everything in the table is code.
fn every_handler_may_be_called(image: &Image) -> Verdict {
    let table = table(image)?;
    if let Some(address) = table.iter().find(|address| !is_code(image, **address)) {
        return Err(format!("{address:#x} is in the table and is not code"));
    }
    let taken: Addresses = &functions_in_data(image)? | &functions_in_code(image);
    match taken.difference(&table).next() {
        None => Ok(()),
        Some(address) => Err(format!("{address:#x} may not be called indirectly")),
    }
}

/// Windows writes its own functions over the two pointers, which must be there for that.
fn the_checks_can_be_replaced(image: &Image) -> Verdict {
    let (_, config) = load_config(image)?;
    for pointer in [
        config.guard_cf_check_function_pointer,
        config.guard_cf_dispatch_function_pointer,
    ] {
        let stored = image
            .at(relative(image, pointer)?)
            .and_then(|bytes| bytes.first_chunk());
        let default = stored
            .map(|bytes| relative(image, U64::from_bytes(*bytes)))
            .ok_or("a pointer outside")??;
        if !is_code(image, default) {
            return Err(format!("{default:#x} is not code"));
        }
    }
    Ok(())
}

/// A copy whose load configuration is changed.
fn with_load_config(image: &Image, change: impl FnOnce(&mut LoadConfig)) -> Image {
    let (address, mut config) = load_config(image).expect("a load configuration");
    change(&mut config);
    let length = offset_of!(LoadConfig, guard_flags) + 4;
    image.with_bytes(image.offset(address), &object::pod::bytes_of(&config)[..length])
}

#[test]
fn every_handler_is_in_the_guard_table() {
    let image = Image::driver();
    let handlers = functions_in_data(&image).expect("relocations").len() + functions_in_code(&image).len();
    assert!(
        handlers > 30,
        "an NDK provider has dispatch tables and handlers; found {handlers} functions"
    );
    let fewer = with_load_config(&image, |config| {
        config.guard_cf_function_count = U64::new(LE, config.guard_cf_function_count.get(LE) / 2);
    });
    let without = with_load_config(&image, |config| {
        config.guard_flags = U32::new(LE, pe::GuardFlags(0));
    });
    let short = image.with_bytes(
        image.offset(load_config(&image).expect("one").0),
        &112_u32.to_le_bytes(),
    );
    let (_, config) = load_config(&image).expect("one");
    let table = image.offset(relative(&image, config.guard_cf_function_table).expect("inside"));
    let not_code = image.with_bytes(table, &0_u32.to_le_bytes());
    pass_and_fail(
        every_handler_may_be_called,
        &[
            ("may not be called indirectly", fewer),
            ("the guard flags are 0x0", without),
            ("has 112 bytes", short),
            ("is not code", not_code),
        ],
    );
}

#[test]
fn windows_can_put_its_own_checks_in() {
    let null = with_load_config(&Image::driver(), |config| {
        config.guard_cf_dispatch_function_pointer = config.guard_cf_function_table;
    });
    pass_and_fail(the_checks_can_be_replaced, &[("", null)]);
}
