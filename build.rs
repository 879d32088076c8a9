//! On Windows the real `wdk-build` finds the WDK and passes the kernel-driver link arguments, and this script adds what
//! NDIS drivers need on top. Elsewhere there is nothing to do: host builds are plain libraries for unit tests, and
//! `xbuild/` links the driver by itself.

#[cfg(windows)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    wdk_build::configure_wdk_binary_build()?;
    for argument in [
        "ndis.lib",
        "netio.lib",
        "/HIGHENTROPYVA",
        // The checksum, without which Windows does not load a boot driver.
        "/RELEASE",
        // INIT is executable, readable and discarded after DriverEntry.
        "/SECTION:INIT,ERD",
        // No time stamps: the same sources give the same image.
        "/BREPRO",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
    version_resource()
}

/// Fills this package's version into `inf/vrnic.rc` and links the result.
#[cfg(windows)]
fn version_resource() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=inf/vrnic.rc");
    let version = env!("CARGO_PKG_VERSION");
    let text = std::fs::read_to_string("inf/vrnic.rc")?
        .replace("VERSION_NUMBERS", &format!("{},0", version.replace('.', ",")))
        .replace("VERSION_STRING", &format!("\"{version}\""));
    let filled = std::path::Path::new(&std::env::var("OUT_DIR")?).join("vrnic.rc");
    std::fs::write(&filled, text)?;
    embed_resource::compile_for_cdylib(filled, embed_resource::NONE).manifest_required()?;
    Ok(())
}

#[cfg(not(windows))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
