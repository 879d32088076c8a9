//! A second opinion: LLVM's reader, which shares no code with the one that the other checks use.

use std::io::Write as _;
use std::process::Command;

use crate::pe::Image;
use crate::{Verdict, pass_and_fail};

/// What `llvm-readobj` prints about an image.
fn readobj(image: &Image) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&image.0).expect("written");
    let output = Command::new("llvm-readobj-19")
        .args([
            "--file-headers",
            "--sections",
            "--coff-load-config",
            "--coff-imports",
            "--coff-resources",
        ])
        .arg(file.path())
        .output()
        .expect("llvm-readobj-19 runs: ./x doctor says how to get it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The values of a key, in the order of the text.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(key)?.strip_prefix(": ");
    text.lines().filter_map(value).collect()
}

fn llvm_agrees(image: &Image) -> Verdict {
    let text = readobj(image);
    for line in [
        "Machine: IMAGE_FILE_MACHINE_AMD64 (0x8664)",
        "Subsystem: IMAGE_SUBSYSTEM_NATIVE (0x1)",
        "IMAGE_DLL_CHARACTERISTICS_HIGH_ENTROPY_VA (0x20)",
        "IMAGE_DLL_CHARACTERISTICS_DYNAMIC_BASE (0x40)",
        "IMAGE_DLL_CHARACTERISTICS_FORCE_INTEGRITY (0x80)",
        "IMAGE_DLL_CHARACTERISTICS_NX_COMPAT (0x100)",
        "IMAGE_DLL_CHARACTERISTICS_GUARD_CF (0x4000)",
        "CF_FUNCTION_TABLE_PRESENT (0x400)",
        "CF_INSTRUMENTED (0x100)",
        "Type: VERSIONINFO (ID 16) [",
    ] {
        if !text.lines().any(|found| found.trim() == line) {
            return Err(format!("llvm-readobj does not say {line:?}"));
        }
    }
    let section =
        |flags: &str| !flags.contains("IMAGE_SCN_MEM_WRITE") || !flags.contains("IMAGE_SCN_MEM_EXECUTE");
    if !text.split("Section {").skip(1).all(section) {
        return Err("llvm-readobj says that a section is writable and executable".into());
    }
    let targets = text
        .split("GuardFidTable [")
        .nth(1)
        .and_then(|table| table.split(']').next())
        .unwrap_or_default();
    let listed = targets
        .lines()
        .filter(|line| line.trim().starts_with("0x"))
        .count()
        .to_string();
    match values(&text, "GuardCFFunctionCount")[..] {
        [count] if count == listed && listed != "0" => Ok(()),
        ref other => Err(format!("llvm-readobj lists {listed} call targets of {other:?}")),
    }
}

#[test]
fn llvm_reads_the_same_image() {
    use object::pe;
    use object::{LittleEndian as LE, U16, U32};

    let image = Image::driver();
    let gui = image.with_optional(|header| header.subsystem = U16::new(LE, pe::IMAGE_SUBSYSTEM_WINDOWS_GUI));
    let unguarded = image.with_optional(|header| {
        let set = header.dll_characteristics.get(LE);
        header.dll_characteristics = U16::new(LE, set ^ pe::IMAGE_DLLCHARACTERISTICS_GUARD_CF);
    });
    let writable = image.with_section(b".text", |section| {
        section.characteristics = U32::new(LE, section.characteristics.get(LE) | pe::IMAGE_SCN_MEM_WRITE);
    });
    pass_and_fail(
        llvm_agrees,
        &[
            ("SUBSYSTEM_NATIVE", gui),
            ("GUARD_CF", unguarded),
            ("writable and executable", writable),
        ],
    );
}
