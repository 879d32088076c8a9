//! Where things are: the checkout, Cargo's target directory, and the cache of what was downloaded.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use anyhow::{Context, Result};

/// The root of the checkout that this xtask was built from.
#[must_use]
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Cargo's target directory: `$CARGO_TARGET_DIR`, or `target/` in the checkout.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// What was downloaded or built from downloads: `$VRNIC_CACHE`, or `target/vrnic-cache/` in the checkout.
///
/// It may be deleted at any time; the next run fills it again.
#[must_use]
pub fn cache() -> PathBuf {
    env::var_os("VRNIC_CACHE").map_or_else(
        || workspace().join("target/vrnic-cache"),
        |dir| workspace().join(dir),
    )
}

/// A new folder for one run's sockets and logs: `/tmp/vrnic-NAME-PID`, short enough for the paths of Unix sockets.
///
/// # Errors
/// When it cannot be created.
pub fn run_dir(name: &str) -> Result<PathBuf> {
    let dir = env::temp_dir().join(format!("vrnic-{name}-{}", process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}
