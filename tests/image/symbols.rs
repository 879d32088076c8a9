//! The symbols beside the image: function names and lines for stack traces.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use object::Object;
use pdb_addr2line::pdb::PDB;

use crate::pe::{Image, driver_path};

/// The `GUID` that ties symbols to their image, as the image has it in its debug directory.
fn guid_in_image(image: &Image) -> Result<[u8; 16], String> {
    let pe = image.pe();
    let info = pe
        .pdb_info()
        .map_err(|error| error.to_string())?
        .ok_or("there is no debug directory")?;
    match info.path() {
        b"vrnic.pdb" => Ok(info.guid()),
        other => Err(format!(
            "the symbols are looked for in {}",
            String::from_utf8_lossy(other)
        )),
    }
}

/// The same in the symbols. A `GUID` has three little-endian fields before its last eight bytes.
fn guid_in_symbols(path: &Path) -> Result<[u8; 16], String> {
    let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let information = PDB::open(file).and_then(|mut pdb| pdb.pdb_information());
    Ok(information.map_err(|error| error.to_string())?.guid.to_bytes_le())
}

fn match_each_other(image: &Image, symbols: &Path) -> Result<(), String> {
    if guid_in_image(image)? == guid_in_symbols(symbols)? {
        Ok(())
    } else {
        Err("the symbols belong to another image".into())
    }
}

/// What LLVM's symbolizer says about the entry point.
fn symbolized(image_path: &Path) -> String {
    let image = Image(fs::read(image_path).expect("an image"));
    let entry = image.optional().address_of_entry_point.get(object::LittleEndian);
    let output = Command::new("llvm-symbolizer-19")
        .args(["--relative-address", "--obj"])
        .arg(image_path)
        .arg(format!("{entry:#x}"))
        .output()
        .expect("llvm-symbolizer-19 runs: ./x doctor says how to get it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_symbols_belong_to_the_image() {
    let image = Image::driver();
    let symbols = driver_path().with_extension("pdb");
    match_each_other(&image, &symbols).expect("the symbols of this build");
    let guid = guid_in_image(&image).expect("a GUID");
    let other = image.with_text(&guid, &[7; 16]);
    let complaint = match_each_other(&other, &symbols).expect_err("another image");
    assert!(complaint.contains("another image"));
}

#[test]
fn the_symbols_have_functions_and_lines() {
    let text = symbolized(&driver_path());
    assert!(
        text.contains("DriverEntry") && text.contains("/vrnic/src/"),
        "{text}"
    );
    // Without the symbols beside it, the image does not know its lines.
    let folder = tempfile::tempdir().expect("a folder");
    let alone = folder.path().join("vrnic.sys");
    fs::copy(driver_path(), &alone).expect("a copy");
    let text = symbolized(&alone);
    assert!(!text.contains("/vrnic/src/"), "{text}");
}

/// The same sources give the same image wherever they are built, so neither file names a folder of this machine.
#[test]
fn no_path_of_the_build_is_left() {
    let root = env!("CARGO_MANIFEST_DIR");
    let contains =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for path in [driver_path(), driver_path().with_extension("pdb")] {
        let bytes = fs::read(&path).expect("readable");
        for folder in [root, "/home/", "/root/", "/tmp/"] {
            assert!(!contains(&bytes, folder), "{} contains {folder}", path.display());
        }
    }
    assert!(
        contains(&fs::read(driver_path()).expect("readable"), "/vrnic/src/"),
        "paths are looked for where they are"
    );
}
