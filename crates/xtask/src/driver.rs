//! `./x driver`: builds the Windows images on a machine without the Windows Driver Kit.
//!
//! Cargo runs in the workspace `xbuild/`, which has the driver crate as a dependency and a stand-in for `wdk-build`.
//! This module brings what that build takes from outside: the compiler ([`toolchain`]), the libraries of the WDK, the
//! version resource and the link arguments ([`link`]).

pub mod consumer;
pub mod link;
pub mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches};

use crate::{packages, paths};
use toolchain::Toolchain;

/// The target that Windows drivers for x86-64 are built for.
pub const TARGET: &str = "x86_64-pc-windows-msvc";

/// An image that can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// `vrnic.sys`, the driver.
    Vrnic,
    /// `wrong.sys`, whose faults the bench's verifier must find.
    Wrong,
}

impl Image {
    /// The package in `xbuild`'s graph.
    const fn package(self) -> &'static str {
        match self {
            Self::Vrnic => "vrnic",
            Self::Wrong => "wrong-driver",
        }
    }

    /// The file name without its extension.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vrnic => "vrnic",
            Self::Wrong => "wrong",
        }
    }
}

/// How an image is compiled. Both are optimised: without that, a kernel stack would be too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What is shipped and tested.
    Release,
    /// With debug assertions and overflow checks.
    Checked,
}

impl Profile {
    /// Cargo's name for it and for its folder.
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Checked => "checked",
        }
    }
}

/// The subcommand `driver`.
#[must_use]
pub fn command() -> clap::Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new("driver")
        .about("Build vrnic.sys for Windows and print its path as the last line")
        .arg(flag(
            "wrong",
            "Build wrong.sys instead, the driver whose faults the verifier must find",
        ))
        .arg(flag("checked", "Build with debug assertions and overflow checks"))
        .arg(
            Arg::new("consumer")
                .long("consumer")
                .num_args(0..=1)
                .default_missing_value("pingpong")
                .conflicts_with_all(["wrong", "checked"])
                .help("Build an NDK consumer in C instead: the folder's name in consumers/, pingpong by default"),
        )
}

/// Builds what the command line asks for and prints where it is, as the last line of the standard output.
///
/// # Errors
/// As [`build`].
pub fn run(arguments: &ArgMatches) -> Result<()> {
    if let Some(name) = arguments.get_one::<String>("consumer") {
        println!("{}", consumer::build(name)?.display());
        return Ok(());
    }
    let image = if arguments.get_flag("wrong") {
        Image::Wrong
    } else {
        Image::Vrnic
    };
    let profile = if arguments.get_flag("checked") {
        Profile::Checked
    } else {
        Profile::Release
    };
    println!("{}", build(image, profile)?.display());
    Ok(())
}

/// Builds `image`, installing what the build needs, and returns the path of the `.sys`. The symbols (`.pdb`) and the
/// linker's `.map` are beside it.
///
/// # Errors
/// When something that the build needs cannot be had, and when the build fails; Cargo has then said why.
pub fn build(image: Image, profile: Profile) -> Result<PathBuf> {
    let toolchain = set_up()?;
    let mut cargo = cargo(toolchain, "rustc")?;
    cargo.args(["--package", image.package(), "--lib", "--crate-type", "cdylib"]);
    cargo.args(["--profile", profile.name(), "--"]);
    for argument in link::arguments(image)? {
        cargo.arg("-C").arg(argument);
    }
    succeed(&mut cargo)?;
    publish(image, profile)
}

/// The subcommand that runs [`clippy`].
#[must_use]
pub fn clippy_command() -> clap::Command {
    clap::Command::new("clippy-windows")
        .about("Run clippy on the code that only Windows compiles; warnings are errors")
}

/// Checks the formatting of the packages of `xbuild`, and runs clippy over them and over the driver for the Windows
/// target, with warnings as errors.
///
/// # Errors
/// When clippy cannot be had, and when something is not as it should be.
pub fn clippy() -> Result<()> {
    let toolchain = set_up()?;
    let clippy = toolchain.clippy_driver()?;
    let xbuild = paths::workspace().join("xbuild");
    succeed(
        crate::cargo::cargo("fmt")
            .current_dir(&xbuild)
            .args(["--all", "--check"]),
    )?;
    // Everything but the stand-in is compiled for Windows only.
    let mut stand_in = crate::cargo::cargo("clippy");
    stand_in.args(["--package", "wdk-build", "--", "--deny", "warnings"]);
    succeed(stand_in.current_dir(&xbuild))?;
    for image in [Image::Vrnic, Image::Wrong] {
        let mut cargo = cargo(toolchain, "check")?;
        // As in a build, so that the generated bindings are shared with it.
        cargo.args([
            "--profile",
            Profile::Release.name(),
            "--package",
            image.package(),
            "--lib",
        ]);
        // `cargo clippy` looks at members of the workspace only, and the driver is a dependency here.
        cargo.env("VRNIC_CLIPPY_DRIVER", &clippy);
        succeed(&mut cargo)?;
    }
    Ok(())
}

fn set_up() -> Result<Toolchain> {
    packages::ensure(packages::HOST_BUILD)?;
    packages::ensure(toolchain::LLVM_AND_HEADERS)?;
    Toolchain::find()
}

/// A `cargo` command in `xbuild` for the Windows target.
fn cargo(toolchain: Toolchain, subcommand: &str) -> Result<Command> {
    let mut cargo = toolchain.cargo(subcommand);
    cargo.current_dir(paths::workspace().join("xbuild"));
    cargo.args(["--target", TARGET]);
    // These would replace the flags of the configuration files.
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(variable);
    }
    cargo.env("LIBCLANG_PATH", toolchain::LIBCLANG);
    cargo.env(
        "BINDGEN_EXTRA_CLANG_ARGS",
        format!("-isystem {}", toolchain::CLANG_HEADERS),
    );
    configure(&mut cargo, &format!("linker='{}'", link::linker().display()));
    cargo.env("VRNIC_LLD_LINK", toolchain::llvm("lld-link"));
    cargo.env("VRNIC_ROOT", paths::workspace());
    cargo.env("RUSTC_WRAPPER", paths::workspace().join("xbuild/support/rustc"));
    // Compiler messages keep the real paths, so that an editor finds them.
    configure(&mut cargo, "rustflags=['--remap-path-scope=object']");
    for (from, to) in toolchain.neutral_paths()? {
        configure(
            &mut cargo,
            &format!("rustflags=['--remap-path-prefix={}={to}']", from.display()),
        );
    }
    Ok(cargo)
}

/// Adds a setting for the Windows target. Cargo joins the flags of several such settings.
fn configure(cargo: &mut Command, setting: &str) {
    cargo.args(["--config", &format!("target.{TARGET}.{setting}")]);
}

/// The build directory, shared by all that build the images.
#[must_use]
pub fn target_dir() -> PathBuf {
    paths::workspace().join("xbuild/target")
}

/// Where the finished images are.
#[must_use]
pub fn image_dir(profile: Profile) -> PathBuf {
    target_dir().join("image").join(profile.name())
}

/// Puts what Cargo built, `NAME.dll` and its symbols, to where it is looked for, as `NAME.sys`.
fn publish(image: Image, profile: Profile) -> Result<PathBuf> {
    let built = target_dir()
        .join(TARGET)
        .join(profile.name())
        .join("deps")
        .join(image.name());
    let folder = image_dir(profile);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let published = folder.join(image.name());
    replace(&built.with_extension("pdb"), &published.with_extension("pdb"))?;
    replace(&built.with_extension("map"), &published.with_extension("map"))?;
    let sys = published.with_extension("sys");
    replace(&built.with_extension("dll"), &sys)?;
    Ok(sys)
}

/// Copies a file in one step, so that a reader sees the old one or the new one.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_added_extension(format!("{}.part", std::process::id()));
    fs::copy(from, &part)
        .and_then(|_| fs::rename(&part, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Runs a command whose messages the user is to see as they come.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("{} failed ({status})", program.display());
    }
    Ok(())
}
