//! An image read with the crate `object`, and copies of it with one thing spoiled.

use std::path::PathBuf;
use std::{env, fs};

use object::pe::{ImageDataDirectory, ImageNtHeaders64, ImageOptionalHeader64, ImageSectionHeader};
use object::read::pe::PeFile64;
use object::{LittleEndian as LE, pod};

/// The bytes of an image.
#[derive(Clone)]
pub struct Image(pub Vec<u8>);

/// The path of an image, as `./x test` sets it in the environment.
fn path(variable: &str) -> PathBuf {
    let path = env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| panic!("{variable} must name the image to test: run ./x test"))
}

/// The path of the driver under test.
pub fn driver_path() -> PathBuf {
    path("VRNIC_SYS")
}

impl Image {
    /// The driver under test.
    pub fn driver() -> Self {
        Self::read("VRNIC_SYS")
    }

    /// The image that an environment variable names.
    pub fn read(variable: &str) -> Self {
        let path = path(variable);
        Self(fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display())))
    }

    /// The parsed image. Its headers are sound, or the linker is broken.
    pub fn pe(&self) -> PeFile64<'_> {
        PeFile64::parse(&*self.0).expect("a PE32+ image")
    }

    /// The optional header.
    pub fn optional(&self) -> ImageOptionalHeader64 {
        self.pe().nt_headers().optional_header
    }

    /// The section headers.
    pub fn sections(&self) -> Vec<ImageSectionHeader> {
        self.pe().section_table().iter().copied().collect()
    }

    /// The bytes at a relative address up to the end of its section in the file.
    pub fn at(&self, address: u32) -> Option<&[u8]> {
        self.pe().section_table().pe_data_at(&*self.0, address)
    }

    /// An entry of the data directory, if there is one.
    pub fn directory(&self, index: usize) -> Option<ImageDataDirectory> {
        self.pe().data_directory(index).copied()
    }

    /// The offset in the file of what is at a relative address.
    pub fn offset(&self, address: u32) -> usize {
        let pe = self.pe();
        let (offset, _) = pe
            .section_table()
            .pe_file_range_at(address)
            .expect("an address in the image");
        usize::try_from(offset).expect("32 bits")
    }

    /// The offset in the file of the optional header.
    pub fn optional_offset(&self) -> usize {
        let new_header = usize::try_from(self.pe().dos_header().nt_headers_offset()).expect("32 bits");
        new_header + size_of::<ImageNtHeaders64>() - size_of::<ImageOptionalHeader64>()
    }

    /// A copy with the optional header changed.
    pub fn with_optional(&self, change: impl FnOnce(&mut ImageOptionalHeader64)) -> Self {
        let mut header = self.optional();
        change(&mut header);
        self.with_bytes(self.optional_offset(), pod::bytes_of(&header))
    }

    /// A copy with the header of one section changed.
    pub fn with_section(&self, name: &[u8], change: impl FnOnce(&mut ImageSectionHeader)) -> Self {
        let sections = self.sections();
        let index = sections
            .iter()
            .position(|section| section.raw_name() == name)
            .expect("such a section");
        let mut header = sections[index];
        change(&mut header);
        let optional_size = self.pe().nt_headers().file_header.size_of_optional_header.get(LE);
        let table = self.optional_offset() + usize::from(optional_size);
        self.with_bytes(
            table + index * size_of::<ImageSectionHeader>(),
            pod::bytes_of(&header),
        )
    }

    /// A copy with other bytes at an offset of the file.
    pub fn with_bytes(&self, offset: usize, bytes: &[u8]) -> Self {
        let mut copy = self.clone();
        copy.0[offset..][..bytes.len()].copy_from_slice(bytes);
        copy
    }

    /// A copy with the first `old` replaced by `new`, which is as long.
    pub fn with_text(&self, old: &[u8], new: &[u8]) -> Self {
        assert_eq!(old.len(), new.len());
        let offset = self
            .0
            .windows(old.len())
            .position(|window| window == old)
            .expect("such a text");
        self.with_bytes(offset, new)
    }
}
