//! Stand-in for Microsoft's `wdk-build` on machines without the Windows Driver Kit.
//!
//! The build scripts of `wdk-sys`, `wdk`, `wdk-alloc` and `wdk-panic` call `wdk-build`, and the real one compiles on
//! Windows only. This crate has the part of its interface that they use, for one configuration (a WDM driver for
//! x86-64), and generates the bindings from mingw-w64's DDK headers (see [`headers`]).
//!
//! How the image is linked is not decided here: `cargo xtask driver` passes the link arguments.

mod headers;

use std::io;
use std::path::PathBuf;

use bindgen::Builder;

/// The groups of WDK headers that `wdk-sys` knows. Only [`ApiSubset::Base`] exists without the WDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiSubset {
    /// `ntifs.h`, `ntddk.h` and `ntstrsafe.h`.
    Base,
    /// Windows Driver Framework; contributes nothing to a WDM driver.
    Wdf,
    /// GPIO controllers.
    Gpio,
    /// Human interface devices.
    Hid,
    /// Parallel ports.
    ParallelPorts,
    /// Simple peripheral bus.
    Spb,
    /// Storage.
    Storage,
    /// USB.
    Usb,
}

/// The driver models that `wdk-sys` distinguishes. This crate only makes [`DriverConfig::Wdm`].
#[derive(Clone, Copy, Debug)]
pub enum DriverConfig {
    /// Windows Driver Model.
    Wdm,
    /// Kernel-mode driver framework.
    Kmdf(KmdfConfig),
    /// User-mode driver framework.
    Umdf(UmdfConfig),
}

/// Named by `wdk-sys`, never made here.
#[derive(Clone, Copy, Debug)]
pub struct KmdfConfig {
    /// Major version of the framework.
    pub kmdf_version_major: u8,
    /// Minor version of the framework that is built for.
    pub target_kmdf_version_minor: u8,
}

/// Named by `wdk-sys`, never made here.
#[derive(Clone, Copy, Debug)]
pub struct UmdfConfig {
    /// Major version of the framework.
    pub umdf_version_major: u8,
    /// Minor version of the framework that is built for.
    pub target_umdf_version_minor: u8,
}

/// Why a build could not be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The headers are not where they are looked for.
    #[error("{path} does not exist: {remedy}")]
    NotFound {
        /// What was looked for.
        path: PathBuf,
        /// How to get it.
        remedy: &'static str,
    },
    /// A header group that mingw-w64 does not have.
    #[error("the API subset {0:?} needs the Windows Driver Kit")]
    Unsupported(ApiSubset),
}

/// An I/O error and the path that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{path}")]
pub struct IoError {
    path: PathBuf,
    source: io::Error,
}

impl IoError {
    /// Says which path `source` is about.
    pub fn with_path(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            path: path.into(),
            source,
        }
    }
}

/// The configuration of the build.
#[derive(Debug)]
pub struct Config {
    /// Always [`DriverConfig::Wdm`].
    pub driver_config: DriverConfig,
}

impl Config {
    /// Tells rustc which values `cfg(driver_model__driver_type)` may have.
    pub fn emit_check_cfg_settings() {
        println!(r#"cargo::rustc-check-cfg=cfg(driver_model__driver_type, values("WDM","KMDF","UMDF"))"#);
    }

    /// The headers of one API subset, as written in an `#include`.
    ///
    /// # Errors
    /// [`ConfigError::Unsupported`] for every subset that mingw-w64 does not have.
    pub fn headers(&self, subset: ApiSubset) -> Result<impl Iterator<Item = String>, ConfigError> {
        let names: &[&str] = match subset {
            ApiSubset::Base => &headers::BASE,
            ApiSubset::Wdf => &[],
            other => return Err(ConfigError::Unsupported(other)),
        };
        Ok(names.iter().map(ToString::to_string))
    }

    /// A C source that includes the headers of all `subsets`.
    ///
    /// # Errors
    /// As [`Config::headers`].
    pub fn bindgen_header_contents(
        &self,
        subsets: impl IntoIterator<Item = ApiSubset>,
    ) -> Result<String, ConfigError> {
        let mut contents = String::new();
        for subset in subsets {
            contents.extend(
                self.headers(subset)?
                    .map(|header| format!("#include \"{header}\"\n")),
            );
        }
        Ok(contents)
    }

    /// The import libraries of one API subset, as Rust source to put into the bindings. The names are those of the
    /// WDK; `cargo xtask driver` makes libraries of these names and passes their folder to the linker.
    #[must_use]
    pub fn bindgen_library_link_raw_lines(&self, subset: ApiSubset) -> Option<String> {
        const LIBRARIES: [&str; 2] = ["BufferOverflowFastFailK", "ntoskrnl"];
        (subset == ApiSubset::Base).then(|| {
            LIBRARIES.map(|name| {
                format!("#[link(name = \"{name}\", kind = \"static\", modifiers = \"-bundle\")]\nunsafe extern \"C\" {{}}\n")
            }).concat()
        })
    }

    /// Macros that the compiler driver of the WDK would define.
    pub fn preprocessor_definitions(&self) -> impl Iterator<Item = (String, Option<String>)> {
        headers::DEFINITIONS
            .iter()
            .map(|(name, value)| ((*name).to_string(), value.map(ToString::to_string)))
    }

    /// The folders that headers are looked for in.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`] if the package with the headers is not installed.
    pub fn include_paths(&self) -> Result<impl Iterator<Item = PathBuf>, ConfigError> {
        headers::include_paths().map(Vec::into_iter)
    }

    /// `None`: a WDM driver has no table of WDF functions.
    #[must_use]
    pub fn compute_wdffunctions_symbol_name(&self) -> Option<String> {
        None
    }

    /// Sets `cfg(driver_model__driver_type)` for the crate that is being built.
    ///
    /// # Errors
    /// None; the real crate can fail here.
    pub fn configure_library_build(&self) -> Result<(), ConfigError> {
        Self::emit_check_cfg_settings();
        println!(r#"cargo::rustc-cfg=driver_model__driver_type="WDM""#);
        Ok(())
    }

    /// The same as [`Config::configure_library_build`]: link arguments do not come from here.
    ///
    /// # Errors
    /// None; the real crate can fail here.
    pub fn configure_binary_build(&self) -> Result<(), ConfigError> {
        self.configure_library_build()
    }
}

/// Starts a [`Builder`] with what the WDK's headers need.
pub trait BuilderExt {
    /// A `Builder` for `config`.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`] if the headers are not installed.
    fn wdk_default(config: &Config) -> Result<Builder, ConfigError>;
}

impl BuilderExt for Builder {
    fn wdk_default(config: &Config) -> Result<Builder, ConfigError> {
        headers::builder(config)
    }
}

/// What `wdk`, `wdk-alloc` and `wdk-panic` call from their build scripts.
///
/// # Errors
/// As [`Config::configure_library_build`].
pub fn configure_wdk_library_build() -> Result<(), ConfigError> {
    configure_wdk_library_build_and_then(|_| Ok(()))
}

/// What `wdk-sys` calls from its build script: configures the build, then lets `generate` write the bindings.
///
/// # Errors
/// Those of `generate`, and as [`Config::configure_library_build`].
pub fn configure_wdk_library_build_and_then<F, E>(mut generate: F) -> Result<(), E>
where
    F: FnMut(Config) -> Result<(), E>,
    E: From<ConfigError>,
{
    let config = Config {
        driver_config: DriverConfig::Wdm,
    };
    config.configure_library_build()?;
    println!("cargo::rerun-if-changed={}", headers::overlay().display());
    generate(config)
}

/// What a driver calls from its build script.
///
/// # Errors
/// As [`Config::configure_binary_build`].
pub fn configure_wdk_binary_build() -> Result<(), ConfigError> {
    Config {
        driver_config: DriverConfig::Wdm,
    }
    .configure_binary_build()
}
