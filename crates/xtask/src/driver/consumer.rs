//! `./x driver --consumer`: builds the NDK consumer drivers in `consumers/`, which are written in C, with clang and lld.
//!
//! Each folder in `consumers/` with C files is a driver of that name; `include/` has the headers of NDK and WSK, and
//! `imports/` names what ntoskrnl.exe and netio.sys export. The other kernel headers are those of mingw-w64.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::toolchain::{self, llvm};
use super::{Profile, image_dir, link, succeed, target_dir};
use crate::packages::{self, Need, Proof};
use crate::paths;

/// The C compiler, of the version of the other tools.
const CLANG: &[Need] = &[Need {
    package: "clang-19",
    why: "compiles the consumer drivers",
    proof: Proof::Program("clang-19"),
}];

/// The files in `consumers/imports` without their extension.
const IMPORTS: [&str; 2] = ["ntoskrnl", "netio"];

/// mingw-w64's kernel headers and what they include.
const HEADERS: [&str; 2] = ["/usr/share/mingw-w64/include/ddk", "/usr/share/mingw-w64/include"];

/// What the compiler is told: a driver for Windows 10 without C library, with Control Flow Guard and symbols.
const COMPILER_ARGUMENTS: &[&str] = &[
    "--target=x86_64-w64-windows-gnu",
    "-std=c17",
    "-O2",
    "-g",
    "-gcodeview",
    "-mguard=cf",
    "-mno-stack-arg-probe",
    "-ffreestanding",
    "-fno-exceptions",
    "-nostdlibinc",
    "-fms-extensions",
    "-D_WIN32_WINNT=0x0A00",
    "-DNTDDI_VERSION=0x0A000000",
    "-D_WIN64",
    "-D_AMD64_",
    "-DAMD64",
    "-Wall",
    "-Wextra",
    "-Werror",
    // mingw-w64's headers include one of clang's that warns that it is obsolete.
    "-Wno-#warnings",
    // 'NDKD' is how WSK's control code is written.
    "-Wno-multichar",
];

/// The consumers that there are.
///
/// # Errors
/// When `consumers/` cannot be read.
pub fn names() -> Result<Vec<String>> {
    let folder = paths::workspace().join("consumers");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.path().is_dir() && !sources(&entry.path())?.is_empty() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the consumer of that name, installing what the build needs, and returns the path of the `.sys`; its symbols are
/// beside it.
///
/// # Errors
/// When there is no such consumer, something that the build needs cannot be had, or the build fails; the tools have
/// then said why.
pub fn build(name: &str) -> Result<PathBuf> {
    set_up()?;
    let folder = paths::workspace().join("consumers").join(name);
    let sources = if folder.is_dir() {
        sources(&folder)?
    } else {
        Vec::new()
    };
    if sources.is_empty() {
        bail!("there is no consumer {name}: there are {}", names()?.join(", "));
    }
    let work = target_dir().join("consumer").join(name);
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let mut objects = Vec::new();
    for source in &sources {
        objects.push(compile(source, &work)?);
    }
    objects.extend(libraries(&work)?);
    let images = image_dir(Profile::Release);
    fs::create_dir_all(&images).with_context(|| format!("cannot create {}", images.display()))?;
    let built = link(name, &objects, &work)?;
    for extension in ["pdb", "sys"] {
        let published = images.join(name).with_extension(extension);
        super::replace(&built.with_extension(extension), &published)?;
    }
    Ok(images.join(name).with_extension("sys"))
}

/// The C files of a folder, in order.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    files.sort();
    Ok(files)
}

fn compile(source: &Path, work: &Path) -> Result<PathBuf> {
    let object = work
        .join(source.file_name().context("a file")?)
        .with_extension("obj");
    let relative = source.strip_prefix(paths::workspace()).unwrap_or(source);
    succeed(compiler().arg("-c").arg(relative).arg("-o").arg(&object))?;
    Ok(object)
}

/// The compiler with everything that it is told for each file. It runs in the root of the checkout, with relative paths:
/// neither image nor symbols tell where they were built.
#[must_use]
pub fn compiler() -> Command {
    let mut clang = Command::new(llvm("clang"));
    clang.current_dir(paths::workspace()).args(COMPILER_ARGUMENTS);
    clang.arg("-fdebug-compilation-dir=/vrnic");
    clang.arg("-Iconsumers/include");
    for folder in HEADERS {
        clang.args(["-isystem", folder]);
    }
    clang
}

/// Installs what the consumers are built with.
///
/// # Errors
/// When something cannot be had.
pub fn set_up() -> Result<()> {
    packages::ensure(packages::HOST_BUILD)?;
    packages::ensure(toolchain::LLVM_AND_HEADERS)?;
    packages::ensure(CLANG)
}

/// Makes the import libraries and the support for Control Flow Guard.
fn libraries(work: &Path) -> Result<Vec<PathBuf>> {
    let root = paths::workspace();
    let mut made = Vec::new();
    for name in IMPORTS {
        let library = work.join(name).with_extension("lib");
        let definition = root.join("consumers/imports").join(name).with_extension("def");
        let mut dlltool = Command::new(llvm("llvm-dlltool"));
        dlltool.args(["-m", "i386:x86-64", "-d"]).arg(definition);
        succeed(dlltool.arg("-l").arg(&library))?;
        made.push(library);
    }
    let guard = work.join("guard.obj");
    let mut assembler = Command::new(llvm("llvm-mc"));
    assembler.args(["-triple", super::TARGET, "-filetype=obj", "-o"]);
    succeed(assembler.arg(&guard).arg(root.join("xbuild/support/guard.s")))?;
    made.push(guard);
    Ok(made)
}

fn link(name: &str, inputs: &[PathBuf], work: &Path) -> Result<PathBuf> {
    let image = work.join(name).with_extension("sys");
    let mut linker = Command::new(llvm("lld-link"));
    // As for the objects: the symbols record the command line.
    linker.current_dir(work).args(link::OPTIONS);
    linker.args(["/GUARD:CF,NOLONGJMP", "/DEBUG", "/PDBSOURCEPATH:/vrnic"]);
    linker.arg(format!("/OUT:{name}.sys"));
    linker.arg(format!("/PDB:{name}.pdb"));
    linker.arg(format!("/PDBALTPATH:{name}.pdb"));
    for input in inputs {
        linker.arg(input.file_name().context("a file")?);
    }
    succeed(&mut linker)?;
    Ok(image)
}
