//! What the loader accepts and refuses.

use crate::code;
use crate::image::TestImage;
use ntbench::pe::file::{LoadError, PeImage};
use ntbench::pe::image::LoadedImage;
use std::path::Path;

fn refusal(name: &str, change: impl FnOnce(&mut TestImage)) -> String {
    let mut image = code::image();
    change(&mut image);
    let path = image.write(name);
    LoadedImage::load(&path)
        .expect_err("the image must be refused")
        .to_string()
}

#[test]
fn broken_images_are_refused_with_a_reason() {
    type Change = fn(&mut TestImage);
    let cases: [(&str, Change, &str); 7] = [
        ("checksum", |image| image.good_checksum = false, "checksum"),
        ("machine", |image| image.machine = 0xAA64, "machine 0xaa64"),
        ("subsystem", |image| image.subsystem = 3, "subsystem 3"),
        (
            "write-execute",
            |image| image.text_flags |= 0x8000_0000,
            "writable and executable",
        ),
        (
            "no-relocations",
            |image| image.relocations = false,
            "/DYNAMICBASE",
        ),
        ("entry", |image| image.functions[0] = 0x2000, "entry point"),
        (
            "text-data",
            |image| image.text_flags = crate::image::READ,
            "entry point",
        ),
    ];
    for (name, change, reason) in cases {
        let text = refusal(name, change);
        assert!(text.contains(reason), "{name}: {text}");
    }
}

#[test]
fn all_unknown_imports_are_named() {
    let mut image = code::image();
    image.imports.push("KeDoesNotExist".into());
    image.imports.push("ExNeitherThis".into());
    let path = image.write("unknown-imports");
    let Err(LoadError::UnknownImports { names, .. }) = LoadedImage::load(&path) else {
        panic!("the image must be refused for its imports");
    };
    assert_eq!(
        names,
        ["ntoskrnl.exe!KeDoesNotExist", "ntoskrnl.exe!ExNeitherThis"]
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = PeImage::read(Path::new("/no/such/driver.sys")).expect_err("it is not there");
    assert!(matches!(error, LoadError::Read { .. }) && error.to_string().contains("/no/such/driver.sys"));
}

#[test]
fn sections_have_their_own_protection() {
    let path = code::image().write("protection");
    let image = LoadedImage::load(&path).expect("it loads");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let protection = |rva: usize| {
        let address = image.base + rva;
        let line = maps.lines().find(|line| {
            let (start, rest) = line.split_once('-').expect("a range");
            let end = rest.split(' ').next().expect("an end");
            let parse = |text| usize::from_str_radix(text, 16).expect("hexadecimal");
            (parse(start)..parse(end)).contains(&address)
        });
        line.and_then(|line| line.split(' ').nth(1))
            .map(|flags| flags[..3].to_owned())
    };
    assert_eq!(protection(0).as_deref(), Some("r--"), "headers");
    assert_eq!(protection(crate::image::TEXT).as_deref(), Some("r-x"));
    assert_eq!(protection(crate::image::RDATA).as_deref(), Some("r--"));
    assert_eq!(protection(crate::image::DATA).as_deref(), Some("rw-"));
}

#[test]
fn damaged_files_never_panic() {
    let good = code::image().build();
    let folder = std::env::temp_dir().join(format!("ntbench-damaged-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("damaged.sys");
    let try_bytes = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("write");
        // Accepted or refused, it must not panic.
        drop(PeImage::read(&path));
    };
    for length in (0..0x400).step_by(7).chain((0x400..good.len()).step_by(0x3FF)) {
        try_bytes(&good[..length]);
    }
    // Every header and table byte, with the checksum put right so that it does not hide the damage.
    let interesting = (0..0x300)
        .chain(0x3400..0x3500)
        .chain(0x3800..0x38A0)
        .chain(0x6000..0x600C);
    for offset in interesting {
        for value in [0, 0xFF] {
            let mut bytes = good.clone();
            bytes[offset] = value;
            let sum = ntbench::pe::file::checksum(&bytes, 0x80 + 24 + 64);
            bytes[0x80 + 24 + 64..0x80 + 24 + 68].copy_from_slice(&sum.to_le_bytes());
            try_bytes(&bytes);
        }
    }
    std::fs::remove_dir_all(&folder).expect("remove the temporary folder");
}
