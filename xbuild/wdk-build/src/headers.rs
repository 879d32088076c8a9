//! mingw-w64's DDK headers, read by bindgen in place of the WDK's.
//!
//! bindgen finds libclang by `LIBCLANG_PATH` and clang's own headers by `BINDGEN_EXTRA_CLANG_ARGS`; both are set by
//! `cargo xtask driver`.

use std::path::{Path, PathBuf};

use bindgen::{Builder, EnumVariation, Formatter, RustEdition, RustTarget};

use crate::{Config, ConfigError};

/// The headers of the base API subset, as in the real `wdk-build`, and the overlay with what mingw-w64 lacks.
pub(crate) const BASE: [&str; 4] = ["ntifs.h", "ntddk.h", "ntstrsafe.h", "vrnic_overlay.h"];

/// Macros for a kernel-mode driver on x86-64; `NTDDI_VERSION` is Windows 10.
pub(crate) const DEFINITIONS: [(&str, Option<&str>); 6] = [
    ("_WIN64", None),
    ("_AMD64_", None),
    ("AMD64", None),
    ("_KERNEL_MODE", None),
    ("_WIN32_WINNT", Some("0x0A00")),
    ("NTDDI_VERSION", Some("0x0A000000")),
];

/// Where Debian's package mingw-w64-x86-64-dev puts the headers.
const MINGW: &str = "/usr/share/mingw-w64/include";

/// The folder with the headers that are ours.
pub(crate) fn overlay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("headers")
}

/// The overlay first, then the DDK, then the headers of the C library.
pub(crate) fn include_paths() -> Result<Vec<PathBuf>, ConfigError> {
    let ddk = Path::new(MINGW).join("ddk");
    if !ddk.join("ntddk.h").exists() {
        return Err(ConfigError::NotFound {
            path: ddk,
            remedy: "install the package mingw-w64-x86-64-dev",
        });
    }
    Ok(vec![overlay(), ddk, MINGW.into()])
}

/// The settings of the real `wdk-build`, as far as they matter to these headers: a name that the driver takes from
/// `wdk-sys` must have the same type here and there.
pub(crate) fn builder(config: &Config) -> Result<Builder, ConfigError> {
    let includes = config
        .include_paths()?
        .map(|path| format!("--include-directory={}", path.display()));
    let definitions = config
        .preprocessor_definitions()
        .map(|(name, value)| match value {
            Some(value) => format!("--define-macro={name}={value}"),
            None => format!("--define-macro={name}"),
        });
    Ok(Builder::default()
        .use_core()
        .derive_default(true)
        .generate_cstr(true)
        .detect_include_paths(false)
        .clang_args([
            "--target=x86_64-w64-mingw32",
            "-fms-extensions",
            "-fno-builtin",
            "-w",
        ])
        .clang_args(includes)
        .clang_args(definitions)
        // Deprecated, and blocked by the real crate too.
        .blocklist_item("ExAllocatePool(WithTag|WithQuotaTag|WithTagPriority)?")
        // An AMX type of clang's own headers, aligned in a way that bindgen cannot say.
        .blocklist_item(".*tile1024i.*")
        .must_use_type("NTSTATUS")
        .must_use_type("HRESULT")
        .default_enum_style(EnumVariation::ModuleConsts)
        .formatter(Formatter::Prettyplease)
        .rust_target(RustTarget::stable(85, 0).unwrap_or_else(|_| RustTarget::default()))
        .rust_edition(RustEdition::Edition2024))
}
