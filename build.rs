//! On Windows the real `wdk-build` finds the WDK and passes the kernel-driver link arguments. Elsewhere there is
//! nothing to do: host builds are plain libraries for unit tests, and `xbuild/` links the driver by itself.

#[cfg(windows)]
fn main() -> Result<(), wdk_build::ConfigError> {
    wdk_build::configure_wdk_binary_build()
}

#[cfg(not(windows))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
