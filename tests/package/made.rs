//! A package, made of the driver under test and signed with a test certificate of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::{env, fs};

use tempfile::TempDir;
use xtask::package::Package;
use xtask::package::sign::{Identity, Signer, TestCertificate};

/// A package and who signed it.
pub struct Made {
    pub package: Package,
    pub test: TestCertificate,
    /// Where all of it is, until the end.
    pub folder: TempDir,
}

/// The image that is packaged.
pub fn image() -> PathBuf {
    let path = env::var_os("VRNIC_SYS").map(PathBuf::from);
    path.expect("VRNIC_SYS must name the image to test: run ./x test")
}

/// A signer with the test certificate in `folder`.
pub fn signer(folder: &Path) -> (Signer, TestCertificate) {
    let test = TestCertificate::in_folder(folder.to_owned()).expect("OpenSSL makes a certificate");
    let signer = Signer {
        identity: Identity::Test(test.clone()),
        password: None,
        timestamp: None,
    };
    (signer, test)
}

/// The package, made once.
pub fn made() -> &'static Made {
    static MADE: LazyLock<Made> = LazyLock::new(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let (signer, test) = signer(&folder.path().join("certificate"));
        let package =
            Package::make(&image(), &folder.path().join("package"), &signer).expect("the package is made");
        Made {
            package,
            test,
            folder,
        }
    });
    &MADE
}

/// What a program says.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}; ./x doctor says how to get it"))
}

/// The path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Osslsigncode's verdict on `file`: its signature, or the catalog's if one is named.
pub fn verify(file: &Path, catalog: Option<&Path>, trusted: &Path) -> Result<(), String> {
    let mut arguments = vec!["verify", "-CAfile", text(trusted)];
    if let Some(catalog) = catalog {
        arguments.extend(["-catalog", text(catalog)]);
    }
    arguments.extend(["-in", text(file)]);
    let output = run("osslsigncode", &arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.contains("Signature verification: ok") {
        Ok(())
    } else {
        Err(said.into_owned())
    }
}

/// A copy of a file with one byte flipped, beside the package.
pub fn flipped(file: &Path, offset: usize) -> PathBuf {
    let mut bytes = fs::read(file).expect("it is there");
    bytes[offset] ^= 1;
    let copy = file.with_file_name(format!(
        "flipped-{offset}-{}",
        file.file_name().expect("a file").display()
    ));
    fs::write(&copy, bytes).expect("written");
    copy
}
