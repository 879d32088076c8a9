//! Builds small kernel images around the functions of `code`.

use std::path::PathBuf;

/// Offsets of the image's parts; file offsets are the same.
pub const TEXT: usize = 0x1000;
pub const RDATA: usize = 0x3000;
pub const DATA: usize = 0x4000;
const PDATA: usize = 0x5000;
const RELOC: usize = 0x6000;
const SIZE: usize = 0x7000;

/// Inside `.rdata`; `code` knows the first and the third.
const IAT: usize = RDATA;
const GUARD_CHECK: usize = RDATA + 0xA00;
const GUARD_DISPATCH: usize = RDATA + 0xA08;
const LOOKUP: usize = RDATA + 0x200;
const IMPORT_DIRECTORY: usize = RDATA + 0x400;
const NAMES: usize = RDATA + 0x480;
const LOAD_CONFIG: usize = RDATA + 0x800;
const GUARD_FUNCTIONS: usize = RDATA + 0xB00;
const UNWIND_INFO: usize = RDATA + 0xC00;

const IMAGE_BASE: u64 = 0x1_4000_0000;
const NT_HEADERS: usize = 0x80;
const OPTIONAL: usize = NT_HEADERS + 24;

/// Characteristics of sections.
pub const CODE: u32 = 0x6000_0020;
pub const READ: u32 = 0x4000_0040;
pub const READ_WRITE: u32 = 0xC000_0040;
pub const DISCARDABLE: u32 = 0x4200_0040;

/// An image in the making; tests change what they want to break.
#[derive(Clone)]
pub struct TestImage {
    /// Machine code, position independent.
    pub code: Vec<u8>,
    /// Offsets of functions in the code; the first is the entry.
    pub functions: Vec<usize>,
    /// Bytes of stack that each function allocates after its prolog of four bytes.
    pub frame: usize,
    /// Imports from ntoskrnl.exe, in the order of the slots.
    pub imports: Vec<String>,
    pub machine: u16,
    pub subsystem: u16,
    pub text_flags: u32,
    pub guard: bool,
    pub relocations: bool,
    pub good_checksum: bool,
}

impl TestImage {
    /// An image that loads.
    pub fn new(code: Vec<u8>, functions: Vec<usize>, imports: &[&str]) -> Self {
        assert!(code.len() <= RDATA - TEXT && imports.len() < 64);
        Self {
            code,
            functions,
            frame: 0x48,
            imports: imports.iter().map(|&name| name.to_owned()).collect(),
            machine: 0x8664,
            subsystem: 1,
            text_flags: CODE,
            guard: true,
            relocations: true,
            good_checksum: true,
        }
    }

    /// The file's content.
    pub fn build(&self) -> Vec<u8> {
        let mut file = File(vec![0; SIZE]);
        file.0[TEXT..TEXT + self.code.len()].copy_from_slice(&self.code);
        self.headers(&mut file);
        self.import_tables(&mut file);
        self.load_config(&mut file);
        self.exception_table(&mut file);
        // One block: page of `.rdata`, relocating the two guard pointers.
        if self.relocations {
            file.rva(RELOC, RDATA);
            file.u32(RELOC + 4, 12);
            file.u16(RELOC + 8, 0xA000 | 0xA00);
            file.u16(RELOC + 10, 0xA000 | 0xA08);
        }
        let sum = ntbench::pe::file::checksum(&file.0, OPTIONAL + 64);
        file.u32(OPTIONAL + 64, if self.good_checksum { sum } else { sum ^ 1 });
        file.0
    }

    /// Writes the image to a temporary file with this name.
    pub fn write(&self, name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ntbench-core-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join(format!("{name}.sys"));
        std::fs::write(&path, self.build()).expect("write the image");
        path
    }

    fn headers(&self, file: &mut File) {
        file.0[..2].copy_from_slice(b"MZ");
        file.rva(0x3C, NT_HEADERS);
        file.0[NT_HEADERS..NT_HEADERS + 4].copy_from_slice(b"PE\0\0");
        let sections = [
            (".text", TEXT, RDATA, self.text_flags),
            (".rdata", RDATA, DATA, READ),
            (".data", DATA, PDATA, READ_WRITE),
            (".pdata", PDATA, RELOC, READ),
            (".reloc", RELOC, SIZE, DISCARDABLE),
        ];
        file.u16(NT_HEADERS + 4, self.machine);
        file.u16(
            NT_HEADERS + 6,
            u16::try_from(sections.len()).expect("few sections"),
        );
        file.u16(NT_HEADERS + 20, 240);
        file.u16(NT_HEADERS + 22, 0x22);
        file.u16(OPTIONAL, 0x20B);
        file.rva(OPTIONAL + 16, TEXT + self.functions[0]);
        file.u64(OPTIONAL + 24, IMAGE_BASE);
        file.u32(OPTIONAL + 32, 0x1000);
        file.u32(OPTIONAL + 36, 0x1000);
        file.rva(OPTIONAL + 56, SIZE);
        file.u32(OPTIONAL + 60, 0x1000);
        file.u16(OPTIONAL + 68, self.subsystem);
        file.u32(OPTIONAL + 108, 16);
        let mut directory = |index: usize, rva: usize, size: usize| {
            file.rva(OPTIONAL + 112 + index * 8, rva);
            file.rva(OPTIONAL + 116 + index * 8, size);
        };
        directory(1, IMPORT_DIRECTORY, 40);
        directory(3, PDATA, self.functions.len() * 12);
        if self.relocations {
            directory(5, RELOC, 12);
        }
        if self.guard {
            directory(10, LOAD_CONFIG, 160);
        }
        for (index, (name, start, end, flags)) in sections.into_iter().enumerate() {
            let at = OPTIONAL + 240 + index * 40;
            file.0[at..at + name.len()].copy_from_slice(name.as_bytes());
            for (offset, value) in [(8, end - start), (12, start), (16, end - start), (20, start)] {
                file.rva(at + offset, value);
            }
            file.u32(at + 36, flags);
        }
    }

    fn import_tables(&self, file: &mut File) {
        let mut name_at = NAMES + 16;
        file.0[NAMES..NAMES + 12].copy_from_slice(b"ntoskrnl.exe");
        for (index, name) in self.imports.iter().enumerate() {
            file.0[name_at + 2..name_at + 2 + name.len()].copy_from_slice(name.as_bytes());
            file.u64(LOOKUP + index * 8, name_at as u64);
            file.u64(IAT + index * 8, name_at as u64);
            name_at += (name.len() + 4) & !1;
            assert!(name_at < LOAD_CONFIG);
        }
        file.rva(IMPORT_DIRECTORY, LOOKUP);
        file.rva(IMPORT_DIRECTORY + 12, NAMES);
        file.rva(IMPORT_DIRECTORY + 16, IAT);
    }

    fn load_config(&self, file: &mut File) {
        if !self.guard {
            return;
        }
        file.u32(LOAD_CONFIG, 160);
        file.u64(LOAD_CONFIG + 112, IMAGE_BASE + GUARD_CHECK as u64);
        file.u64(LOAD_CONFIG + 120, IMAGE_BASE + GUARD_DISPATCH as u64);
        file.u64(LOAD_CONFIG + 128, IMAGE_BASE + GUARD_FUNCTIONS as u64);
        file.u64(LOAD_CONFIG + 136, self.functions.len() as u64);
        file.u32(LOAD_CONFIG + 144, 0x500);
        for (index, offset) in self.functions.iter().enumerate() {
            file.rva(GUARD_FUNCTIONS + index * 4, TEXT + offset);
        }
    }

    /// All functions have one prolog: `sub rsp, frame` in four bytes.
    fn exception_table(&self, file: &mut File) {
        let small = u16::try_from(self.frame / 8 - 1).expect("small frames");
        file.0[UNWIND_INFO..UNWIND_INFO + 4].copy_from_slice(&[1, 4, 1, 0]);
        file.u16(UNWIND_INFO + 4, 4 | (2 | small << 4) << 8);
        let ends = self.functions.iter().skip(1).copied().chain([self.code.len()]);
        for (index, (&start, end)) in self.functions.iter().zip(ends).enumerate() {
            let at = PDATA + index * 12;
            file.rva(at, TEXT + start);
            file.rva(at + 4, TEXT + end);
            file.rva(at + 8, UNWIND_INFO);
        }
    }
}

struct File(Vec<u8>);

impl File {
    fn u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn rva(&mut self, at: usize, value: usize) {
        self.u32(at, u32::try_from(value).expect("images are small"));
    }

    fn u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}
