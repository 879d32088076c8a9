//! The version resource, which Windows shows among a file's properties and compares at an update.

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::ResourceDirectoryEntryData;

use crate::pe::Image;
use crate::{Verdict, pass_and_fail};

/// `VS_FFI_SIGNATURE` of winver.h, which starts the part of the resource with numbers.
const SIGNATURE: [u8; 4] = 0xFEEF_04BD_u32.to_le_bytes();

/// `VFT_DRV` and `VFT2_DRV_NETWORK` of winver.h.
const NETWORK_DRIVER: (u32, u32) = (3, 6);

/// The bytes of the first version resource in the first language.
fn resource(image: &Image) -> Result<&[u8], String> {
    let find = || -> object::Result<Option<(u32, u32)>> {
        let pe = image.pe();
        let Some(directory) = pe
            .data_directories()
            .resource_directory(&*image.0, &pe.section_table())?
        else {
            return Ok(None);
        };
        let root = directory.root()?;
        let Some(versions) = root
            .entries
            .iter()
            .find(|entry| entry.name_or_id().id() == Some(pe::RT_VERSION))
        else {
            return Ok(None);
        };
        let Some(names) = versions.data(directory)?.table() else {
            return Ok(None);
        };
        let Some(languages) = names
            .entries
            .first()
            .map(|name| name.data(directory))
            .transpose()?
            .and_then(ResourceDirectoryEntryData::table)
        else {
            return Ok(None);
        };
        let data = languages
            .entries
            .first()
            .map(|language| language.data(directory))
            .transpose()?;
        Ok(data
            .and_then(ResourceDirectoryEntryData::data)
            .map(|data| (data.offset_to_data.get(LE), data.size.get(LE))))
    };
    let (address, size) = find()
        .map_err(|error| error.to_string())?
        .ok_or("there is no version resource")?;
    image
        .at(address)
        .and_then(|bytes| bytes.get(..size as usize))
        .ok_or("the version resource is cut short".into())
}

/// The numbers are those of the crate, and the file calls itself a network driver.
fn is_ours(image: &Image) -> Verdict {
    let resource = resource(image)?;
    let start = resource
        .windows(4)
        .position(|window| window == SIGNATURE)
        .ok_or("there are no version numbers")?;
    let word = |index: usize| {
        let bytes = resource
            .get(start + index * 4..)
            .and_then(|rest| rest.first_chunk());
        bytes
            .map(|bytes| u32::from_le_bytes(*bytes))
            .ok_or("the numbers are cut short")
    };
    let text = |high: u32, low: u32| format!("{}.{}.{}", high >> 16, high & 0xFFFF, low >> 16);
    for (what, version) in [
        ("file", text(word(2)?, word(3)?)),
        ("product", text(word(4)?, word(5)?)),
    ] {
        if version != env!("CARGO_PKG_VERSION") {
            return Err(format!("the version of the {what} is {version}"));
        }
    }
    if (word(9)?, word(10)?) != NETWORK_DRIVER {
        return Err("the file does not say that it is a network driver".into());
    }
    let name: Vec<u8> = "OriginalFilename\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let value: Vec<u8> = "vrnic.sys\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let has = |text: &[u8]| resource.windows(text.len()).any(|window| window == text);
    if has(&name) && has(&value) {
        Ok(())
    } else {
        Err("the original file name is not vrnic.sys".into())
    }
}

#[test]
fn the_version_is_that_of_the_crate() {
    let image = Image::driver();
    let directory = image.optional_offset() + size_of::<pe::ImageOptionalHeader64>();
    let entry = directory + pe::IMAGE_DIRECTORY_ENTRY_RESOURCE * size_of::<pe::ImageDataDirectory>();
    let numbers = image
        .0
        .windows(4)
        .position(|window| window == SIGNATURE)
        .expect("version numbers");
    pass_and_fail(
        is_ours,
        &[
            ("no version resource", image.with_bytes(entry, &[0; 8])),
            (
                "the version of the file is 99.",
                image.with_bytes(numbers + 10, &[99, 0]),
            ),
            (
                "the version of the product is 99.",
                image.with_bytes(numbers + 18, &[99, 0]),
            ),
            (
                "not say that it is a network driver",
                image.with_bytes(numbers + 36, &[1]),
            ),
        ],
    );
}
