//! Which Rust compiler and which LLVM build the images.
//!
//! A rustup toolchain with the Windows target builds them as it is. Without that target, Debian's compiler for web
//! browsers does: it is recent, and its package of the standard library's sources lets Cargo build `core` and `alloc`
//! for the target (`-Zbuild-std`, an unstable option: hence `RUSTC_BOOTSTRAP`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::TARGET;
use crate::packages::{self, Need, Proof};
use crate::paths;

/// The version of LLVM whose tools are used. Debian installs them with the version in their names.
const LLVM_VERSION: &str = "19";

/// Linker, library and resource tools, libclang, and the headers that bindgen reads with it.
pub const LLVM_AND_HEADERS: &[Need] = &[
    Need {
        package: "lld-19",
        why: "links the Windows images",
        proof: Proof::Program("lld-link-19"),
    },
    Need {
        package: "llvm-19",
        why: "makes import libraries and the version resource, and checks the images",
        proof: Proof::Program("llvm-dlltool-19"),
    },
    Need {
        package: "libclang-19-dev",
        why: "reads the kernel headers for wdk-sys",
        proof: Proof::File("/usr/lib/llvm-19/lib/libclang.so"),
    },
    Need {
        package: "mingw-w64-x86-64-dev",
        why: "has the kernel headers for wdk-sys",
        proof: Proof::File("/usr/share/mingw-w64/include/ddk/ntddk.h"),
    },
];

/// Debian's compiler, for machines where rustup has no Windows target.
pub const DEBIAN_RUST: &[Need] = &[
    Need {
        package: "rustc-web",
        why: "compiles for Windows",
        proof: Proof::File("/usr/bin/rustc"),
    },
    Need {
        package: "cargo-web",
        why: "compiles for Windows",
        proof: Proof::File("/usr/bin/cargo"),
    },
    Need {
        package: "rust-web-src",
        why: "has the sources of core and alloc",
        proof: Proof::File("/usr/lib/rustlib/src/rust/library/core/Cargo.toml"),
    },
];

/// The lints that go with [`DEBIAN_RUST`].
pub const DEBIAN_CLIPPY: &[Need] = &[Need {
    package: "rust-web-clippy",
    why: "checks the code that only Windows compiles",
    proof: Proof::File("/usr/bin/clippy-driver"),
}];

/// The oldest Debian compiler that builds the driver: `rust-version` of the root manifest.
const OLDEST: (u32, u32) = (1, 95);

/// libclang's folder.
pub const LIBCLANG: &str = "/usr/lib/llvm-19/lib";

/// The headers that belong to that libclang.
pub const CLANG_HEADERS: &str = "/usr/lib/llvm-19/lib/clang/19/include";

/// An LLVM tool by its plain name, such as `lld-link`.
#[must_use]
pub fn llvm(tool: &str) -> PathBuf {
    let name = format!("{tool}-{LLVM_VERSION}");
    packages::find_program(&name).unwrap_or_else(|| name.into())
}

/// Where the Rust compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain of `rust-toolchain.toml`, with the target installed.
    Rustup,
    /// Debian's packages, which build `core` and `alloc` along.
    Debian,
}

impl Toolchain {
    /// Finds a toolchain, installing Debian's if there is none.
    ///
    /// # Errors
    /// When there is none and it cannot be installed, or when it is too old; the error says what to do.
    pub fn find() -> Result<Self> {
        if rustup_has_target() {
            return Ok(Self::Rustup);
        }
        packages::ensure(DEBIAN_RUST).context(RUSTUP_ADVICE)?;
        check_debian_version()?;
        Ok(Self::Debian)
    }

    /// A Cargo command for the Windows target, its subcommand given.
    #[must_use]
    pub fn cargo(self, subcommand: &str) -> Command {
        match self {
            Self::Rustup => {
                let mut cargo = Command::new("cargo");
                cargo.arg(subcommand);
                cargo
            }
            Self::Debian => {
                let mut cargo = Command::new("/usr/bin/cargo");
                cargo.args([subcommand, "-Zbuild-std=core,alloc"]);
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
        }
    }

    /// The program that compiles with clippy's lints.
    ///
    /// # Errors
    /// When it cannot be installed, or rustup has not installed it.
    pub fn clippy_driver(self) -> Result<PathBuf> {
        match self {
            Self::Rustup => Ok("clippy-driver".into()),
            Self::Debian => {
                packages::ensure(DEBIAN_CLIPPY)?;
                Ok("/usr/bin/clippy-driver".into())
            }
        }
    }

    /// The version of its compiler, such as `1.95.0`, which is also that of the standard library.
    ///
    /// # Errors
    /// When the compiler cannot be asked.
    pub fn version(self) -> Result<String> {
        let said = match self {
            Self::Rustup => ask_rustc(&["--version"])?,
            Self::Debian => debian_version()?,
        };
        let version = said.split(' ').nth(1);
        Ok(version
            .with_context(|| format!("rustc --version says {said:?}"))?
            .to_owned())
    }

    /// Folders whose names depend on the machine, and what panic messages and symbols say in their place.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn neutral_paths(self) -> Result<Vec<(PathBuf, &'static str)>> {
        let cargo_home = match env::var_os("CARGO_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => env::home_dir()
                .context("there is no home folder: set CARGO_HOME")?
                .join(".cargo"),
        };
        let mut paths = vec![(cargo_home, "/cargo"), (paths::workspace(), "/vrnic")];
        if self == Self::Debian {
            paths.push(("/usr/lib/rustlib/src/rust".into(), "/rust"));
        }
        Ok(paths)
    }
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

const RUSTUP_ADVICE: &str = "The driver is built with Debian's packages rustc-web, cargo-web and rust-web-src, or with \
    rustup's toolchain after: rustup target add x86_64-pc-windows-msvc";

/// Whether the toolchain of the checkout can compile for Windows as it is.
#[must_use]
pub fn rustup_has_target() -> bool {
    ask_rustc(&["--print", "target-libdir", "--target", TARGET])
        .is_ok_and(|folder| Path::new(&folder).is_dir())
}

fn ask_rustc(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .current_dir(paths::workspace())
        .args(arguments)
        .output()
        .context("cannot start rustc")?;
    if !output.status.success() {
        bail!(
            "rustc {} failed:\n{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn debian_version() -> Result<String> {
    let output = Command::new(DEBIAN_RUSTC)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot start {DEBIAN_RUSTC}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether Debian's compiler is recent enough.
///
/// # Errors
/// When it is not, or cannot be asked.
pub fn check_debian_version() -> Result<()> {
    let text = debian_version()?;
    let found = parse_version(&text).with_context(|| format!("{DEBIAN_RUSTC} --version says {text:?}"))?;
    if found < OLDEST {
        let (major, minor) = OLDEST;
        bail!(
            "{DEBIAN_RUSTC} is Rust {}.{}, and {major}.{minor} or newer is needed. {RUSTUP_ADVICE}",
            found.0,
            found.1
        );
    }
    Ok(())
}

/// Reads `rustc 1.96.0 (…)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn a_compiler_version_is_read() {
        assert_eq!(
            parse_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(parse_version("rustc 1.85.0-nightly"), Some((1, 85)));
        assert_eq!(parse_version("rustc"), None);
        assert_eq!(parse_version("rustc one.two"), None);
    }
}
