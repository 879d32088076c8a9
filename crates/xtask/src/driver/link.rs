//! What the linker gets: the libraries that the WDK would have, the version resource, and the arguments.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::toolchain::llvm;
use super::{Image, succeed, target_dir};
use crate::paths;

/// The files in `xbuild/imports` that name what the drivers import.
const IMPORTS: [&str; 3] = ["ntoskrnl", "ndis", "netio"];

/// The library that the WDK gives every driver; `wdk-sys` asks for it by this name.
const SUPPORT_LIBRARY: &str = "BufferOverflowFastFailK.lib";

/// The compiled version resource.
const VERSION_RESOURCE: &str = "vrnic.res";

/// The arguments for `rustc -C` that make a driver of a cdylib.
///
/// # Errors
/// When a library or the version resource cannot be made.
pub fn arguments(image: Image) -> Result<Vec<String>> {
    let inputs = Inputs::read()?.make()?;
    let mut arguments: Vec<String> = OPTIONS
        .iter()
        .chain(&LIBRARIES)
        .map(|argument| format!("link-arg={argument}"))
        .collect();
    arguments.push(format!("link-arg=/LIBPATH:{}", inputs.display()));
    if image == Image::Vrnic {
        arguments.push(format!("link-arg={}", inputs.join(VERSION_RESOURCE).display()));
    }
    Ok(arguments)
}

/// Those of `wdk-build` for a WDM driver first. What follows them, the root's `build.rs` passes on Windows too.
pub(super) const OPTIONS: [&str; 15] = [
    "/DRIVER",
    "/NODEFAULTLIB",
    "/SUBSYSTEM:NATIVE",
    "/ENTRY:DriverEntry",
    "/NXCOMPAT",
    "/DYNAMICBASE",
    "/HIGHENTROPYVA",
    "/MAP",
    "/OPT:REF,ICF",
    "/INTEGRITYCHECK",
    "/MANIFEST:NO",
    // The checksum, without which Windows does not load a boot driver.
    "/RELEASE",
    // INIT is executable, readable and discarded after DriverEntry.
    "/SECTION:INIT,ERD",
    // Microsoft's linker drops this section of retpoline notes; left alone, it keeps a driver from loading.
    "/MERGE:.retplne=.rdata",
    // No time stamps: the same sources give the same image.
    "/BREPRO",
];

/// What `wdk-sys` does not ask for by itself.
const LIBRARIES: [&str; 2] = ["ndis.lib", "netio.lib"];

/// The program that rustc runs as its linker.
#[must_use]
pub fn linker() -> PathBuf {
    paths::workspace().join("xbuild/support/lld-link")
}

/// The sources of what the linker gets besides the crates.
#[derive(Hash)]
struct Inputs {
    imports: Vec<String>,
    support: String,
    resource: String,
}

impl Inputs {
    fn read() -> Result<Self> {
        let read = |path: &str| {
            let path = paths::workspace().join(path);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let imports = IMPORTS
            .iter()
            .map(|name| read(&format!("xbuild/imports/{name}.def")))
            .collect::<Result<_>>()?;
        Ok(Self {
            imports,
            support: read("xbuild/support/guard.s")?,
            resource: fill_version(&read("inf/vrnic.rc")?, env!("CARGO_PKG_VERSION")),
        })
    }

    /// Makes the libraries and the resource, if they are not there, and returns their folder.
    ///
    /// Its name depends on the sources. So a change gives other link arguments, and Cargo links again.
    fn make(&self) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let folder = target_dir().join(format!("lib/{:016x}", hasher.finish()));
        if folder.is_dir() {
            return Ok(folder);
        }
        // Made under another name first: somebody else may be making the same folder, or may stop this.
        let part = folder.with_extension(format!("{}.part", std::process::id()));
        fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        self.make_in(&part)?;
        if fs::rename(&part, &folder).is_err() {
            fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
        Ok(folder)
    }

    fn make_in(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text)
                .with_context(|| format!("cannot write {name} in {}", folder.display()))
        };
        let run = |tool: &str, arguments: &[&str]| {
            succeed(Command::new(llvm(tool)).current_dir(folder).args(arguments))
        };
        for (name, text) in IMPORTS.iter().zip(&self.imports) {
            let (definition, library) = (format!("{name}.def"), format!("{name}.lib"));
            write(&definition, text)?;
            run(
                "llvm-dlltool",
                &["-m", "i386:x86-64", "-d", &definition, "-l", &library],
            )?;
        }
        write("guard.s", &self.support)?;
        run(
            "llvm-mc",
            &[
                "-triple",
                super::TARGET,
                "-filetype=obj",
                "-o",
                "guard.obj",
                "guard.s",
            ],
        )?;
        run("llvm-lib", &[&format!("/OUT:{SUPPORT_LIBRARY}"), "guard.obj"])?;
        write("vrnic.rc", &self.resource)?;
        run(
            "llvm-rc",
            &["/NO-PREPROCESS", "/FO", VERSION_RESOURCE, "vrnic.rc"],
        )
    }
}

/// Puts a version such as 0.1.0 in place of the two words that `vrnic.rc` has for it.
fn fill_version(text: &str, version: &str) -> String {
    let numbers = format!("{},0", version.replace('.', ","));
    text.replace("VERSION_NUMBERS", &numbers)
        .replace("VERSION_STRING", &format!("\"{version}\""))
}

#[cfg(test)]
mod tests {
    use super::fill_version;

    #[test]
    fn the_version_is_put_in_as_numbers_and_as_text() {
        assert_eq!(
            fill_version("FILEVERSION VERSION_NUMBERS", "1.2.3"),
            "FILEVERSION 1,2,3,0"
        );
        assert_eq!(fill_version("VALUE VERSION_STRING", "1.2.3"), "VALUE \"1.2.3\"");
    }
}
