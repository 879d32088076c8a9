//! `./x package`: the driver package, as Windows installs it.
//!
//! | module | what it makes |
//! |---|---|
//! | [`stamp`] | version and date, from the crate and git |
//! | [`inf`] | checks of the stamped INF |
//! | [`pe`], [`catalog`] | the hashes of the files, and the catalog with them |
//! | [`sign`] | signatures, and the certificate for tests |
//! | [`sbom`] | the list of what the driver was linked from |

pub mod catalog;
pub mod inf;
pub mod pe;
pub mod sbom;
pub mod sign;
pub mod stamp;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::driver::{self, Image, Profile};
use crate::packages::{self, Need, Proof};
use crate::paths;
use catalog::Member;
use sign::{Identity, Signer, TestCertificate};
use stamp::Stamp;

/// What is needed to hand a package over for attestation signing.
const HAND_OVER_TOOLS: &[Need] = &[Need {
    package: "gcab",
    why: "makes the cabinet for attestation signing",
    proof: Proof::Program("gcab"),
}];

/// What the package and its tests need in all.
pub const NEEDS: [&[Need]; 4] = [sign::TOOLS, sign::TOKEN_TOOLS, HAND_OVER_TOOLS, TEST_TOOLS];

/// What the tests need besides.
const TEST_TOOLS: &[Need] = &[Need {
    package: "softhsm2",
    why: "is the token that the tests sign with",
    proof: Proof::Program("softhsm2-util"),
}];

/// The subcommand.
#[must_use]
pub fn command() -> clap::Command {
    let file = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    clap::Command::new("package")
        .about("Make the signed driver package and print its folder as the last line")
        .after_help(
            "Without a key of yours, a test certificate signs. It is made once and kept in your data folder.",
        )
        .arg(
            file("pfx", "FILE", "Sign with this PKCS #12 file").conflicts_with_all([
                "certs",
                "key",
                "pkcs11-module",
            ]),
        )
        .arg(
            text(
                "certs",
                "FILE|URI",
                "Sign with this certificate and its chain (PEM), or one in a token",
            )
            .requires("key"),
        )
        .arg(
            text(
                "key",
                "FILE|URI",
                "The certificate's key: a file, or one in a token (pkcs11:…)",
            )
            .requires("certs"),
        )
        .arg(
            file(
                "pkcs11-module",
                "LIBRARY",
                "The library of the PKCS #11 token that has the key",
            )
            .requires("key"),
        )
        .arg(file(
            "password-file",
            "FILE",
            "Has the password of the key or the PIN of the token",
        ))
        .arg(text(
            "timestamp",
            "URL",
            "An RFC 3161 server that confirms the time of the signatures",
        ))
        .arg(
            Arg::new("attestation")
                .long("attestation")
                .action(ArgAction::SetTrue)
                .help("Make the cabinet for Microsoft's attestation signing, too"),
        )
}

/// Makes what the command line asks for and prints the package's folder, as the last line of the standard output.
///
/// # Errors
/// As [`Package::make`], and when the cabinet cannot be made.
pub fn run(arguments: &ArgMatches) -> Result<()> {
    packages::ensure(sign::TOOLS)?;
    let signer = signer(arguments)?;
    let image = driver::build(Image::Vrnic, Profile::Release)?;
    let package = Package::make(&image, &paths::target().join("package"), &signer)?;
    if arguments.get_flag("attestation") {
        package.hand_over(&signer)?;
    }
    println!("{}", package.folder().display());
    Ok(())
}

fn signer(arguments: &ArgMatches) -> Result<Signer> {
    let path = |name: &str| arguments.get_one::<PathBuf>(name).cloned();
    let text = |name: &str| arguments.get_one::<String>(name).cloned();
    let identity = match (path("pfx"), text("certs"), text("key"), path("pkcs11-module")) {
        (Some(file), ..) => Identity::Pfx(file),
        (None, Some(certificate), Some(key), Some(module)) => {
            packages::ensure(sign::TOKEN_TOOLS)?;
            Identity::Token {
                module,
                certificate,
                key,
            }
        }
        (None, Some(certificates), Some(key), None) => Identity::Files {
            certificates: certificates.into(),
            key: key.into(),
        },
        _ => Identity::Test(TestCertificate::of_user()?),
    };
    Ok(Signer {
        identity,
        password: path("password-file"),
        timestamp: text("timestamp"),
    })
}

/// A finished package: a folder with what Windows installs, and beside it what people want besides.
#[derive(Clone, Debug)]
pub struct Package {
    output: PathBuf,
}

impl Package {
    /// Makes the package of `image` in `output`. An older one there is replaced when the new one is finished.
    ///
    /// # Errors
    /// When the INF breaks a rule, and when something cannot be made or signed.
    pub fn make(image: &Path, output: &Path, signer: &Signer) -> Result<Self> {
        let stamp = Stamp::of_checkout()?;
        let unfinished = Self {
            output: output.with_added_extension("part"),
        };
        remove(&unfinished.output)?;
        fs::create_dir_all(unfinished.folder())
            .with_context(|| format!("cannot create {}", unfinished.folder().display()))?;
        unfinished.fill(image, &stamp, signer)?;
        remove(output)?;
        fs::rename(&unfinished.output, output)
            .with_context(|| format!("cannot create {}", output.display()))?;
        let package = Self {
            output: output.to_owned(),
        };
        if matches!(signer.identity, Identity::Test(_)) {
            eprintln!("  test certificate: {}", package.certificate().display());
        }
        eprintln!("  bill of materials: {}", package.sbom().display());
        eprintln!("  version: {}", stamp.version);
        Ok(package)
    }

    /// Makes everything in a new folder.
    fn fill(&self, image: &Path, stamp: &Stamp, signer: &Signer) -> Result<()> {
        let inf = stamped_inf(stamp)?;
        fs::write(self.file("vrnic.inf"), &inf)?;
        signer.sign(image, &self.file("vrnic.sys"))?;
        let sys = fs::read(self.file("vrnic.sys"))?;
        let members = [
            Member {
                name: "vrnic.inf",
                content: inf.as_bytes(),
            },
            Member {
                name: "vrnic.sys",
                content: &sys,
            },
        ];
        let unsigned = self.output.join("unsigned.cat");
        fs::write(
            &unsigned,
            catalog::build(&members, &hardware_ids(&inf)?, stamp.date)?,
        )?;
        signer.sign(&unsigned, &self.file("vrnic.cat"))?;
        fs::remove_file(unsigned)?;
        fs::write(self.sbom(), sbom::build(&sys, stamp)?)?;
        fs::copy(image.with_extension("pdb"), self.output.join("vrnic.pdb"))
            .context("cannot copy the symbols")?;
        if let Identity::Test(test) = &signer.identity {
            test.export(&self.certificate())?;
        }
        Ok(())
    }

    /// The folder that Windows installs from.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.output.join("vrnic")
    }

    /// A file in that folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The bill of materials.
    #[must_use]
    pub fn sbom(&self) -> PathBuf {
        self.output.join("vrnic.cdx.json")
    }

    /// The test certificate, if that signed.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.output.join("vrnic-test.cer")
    }

    /// The cabinet for attestation signing.
    #[must_use]
    pub fn cabinet(&self) -> PathBuf {
        self.output.join("vrnic-attestation.cab")
    }

    /// Makes the cabinet that Microsoft's Partner Center takes: the files of the package and the symbols, in a folder. With a
    /// key of the user's it is signed; a test certificate is nothing that Microsoft would accept.
    ///
    /// # Errors
    /// When it cannot be made or signed.
    pub fn hand_over(&self, signer: &Signer) -> Result<()> {
        packages::ensure(HAND_OVER_TOOLS)?;
        let unsigned = self.output.join("unsigned.cab");
        let content = self.output.join("cabinet");
        let folder = content.join("vrnic");
        fs::create_dir_all(&folder)?;
        let mut gcab = Command::new("gcab");
        gcab.current_dir(&content)
            .arg("--create")
            .arg("--zip")
            .arg(&unsigned);
        for name in ["vrnic.sys", "vrnic.inf", "vrnic.cat", "vrnic.pdb"] {
            let from = if name == "vrnic.pdb" {
                self.output.join(name)
            } else {
                self.file(name)
            };
            fs::copy(&from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
            gcab.arg(format!("vrnic/{name}"));
        }
        sign::quietly(&mut gcab)?;
        fs::remove_dir_all(content)?;
        if matches!(signer.identity, Identity::Test(_)) {
            fs::rename(unsigned, self.cabinet())?;
            eprintln!(
                "  {} is not signed: sign it with the certificate that your Partner Center account has \
                 (--pfx, or --certs and --key)",
                self.cabinet().display()
            );
        } else {
            signer.sign(&unsigned, &self.cabinet())?;
            fs::remove_file(unsigned)?;
            eprintln!("  {}", self.cabinet().display());
        }
        Ok(())
    }
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    Ok(())
}

/// The INF of this checkout, which breaks no rule.
///
/// # Errors
/// When it does; the error lists all that is wrong.
pub fn stamped_inf(stamp: &Stamp) -> Result<String> {
    let inx = paths::workspace().join("inf/vrnic.inx");
    let text = fs::read_to_string(&inx).with_context(|| format!("cannot read {}", inx.display()))?;
    let inf = stamp.inf(&text)?;
    let problems = inf::check(&inf);
    if !problems.is_empty() {
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("{} breaks rules:\n  {}", inx.display(), list.join("\n  "));
    }
    Ok(inf)
}

/// The ids of the devices that an INF is for.
fn hardware_ids(inf: &str) -> Result<Vec<String>> {
    let inf = inf::parse::Inf::parse(inf).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let models = inf::install::Install::read(&inf).models;
    Ok(models.into_iter().flat_map(|model| model.ids).collect())
}
