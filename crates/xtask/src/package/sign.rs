//! Signing with osslsigncode, and the certificate for tests that is made where the user has none.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{Need, Proof};

/// What is needed to sign.
pub const TOOLS: &[Need] = &[
    Need {
        package: "osslsigncode",
        why: "signs vrnic.sys and the catalog",
        proof: Proof::Program("osslsigncode"),
    },
    Need {
        package: "openssl",
        why: "makes the test certificate",
        proof: Proof::Program("openssl"),
    },
];

/// What is needed besides to sign with a token.
pub const TOKEN_TOOLS: &[Need] = &[Need {
    package: "libengine-pkcs11-openssl",
    why: "lets osslsigncode use PKCS #11 tokens",
    proof: Proof::File("/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so"),
}];

/// With what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The user's test certificate.
    Test(TestCertificate),
    /// A certificate (with its chain) and a key, in PEM or DER.
    Files {
        /// The certificates.
        certificates: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A PKCS #12 file.
    Pfx(PathBuf),
    /// A key in a PKCS #11 token.
    Token {
        /// The token's library.
        module: PathBuf,
        /// The certificate's URI (`pkcs11:…`) or the name of a file with it.
        certificate: String,
        /// The key's URI.
        key: String,
    },
}

/// How to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// With what.
    pub identity: Identity,
    /// A file with the password of the key or the PIN of the token.
    pub password: Option<PathBuf>,
    /// An RFC 3161 server that confirms the time.
    pub timestamp: Option<String>,
}

impl Signer {
    /// Writes a signed copy of `input`. An image's signature has its page hashes.
    ///
    /// # Errors
    /// When osslsigncode fails; it says why.
    pub fn sign(&self, input: &Path, output: &Path) -> Result<()> {
        // osslsigncode does not overwrite.
        if output.exists() {
            fs::remove_file(output).with_context(|| format!("cannot replace {}", output.display()))?;
        }
        quietly(&mut self.command(input, output)).with_context(|| format!("cannot sign {}", input.display()))
    }

    /// The command that does it.
    #[must_use]
    pub fn command(&self, input: &Path, output: &Path) -> Command {
        let mut command = Command::new("osslsigncode");
        command.args(["sign", "-h", "sha256"]);
        if input.extension().is_some_and(|end| end == "sys") {
            command.arg("-ph");
        }
        command.args(self.identity.arguments());
        if let Some(password) = &self.password {
            command.arg("-readpass").arg(password);
        }
        if let Some(server) = &self.timestamp {
            command.arg("-ts").arg(server);
        }
        command
            .args(["-n", "vrnic", "-in"])
            .arg(input)
            .arg("-out")
            .arg(output);
        command
    }
}

impl Identity {
    fn arguments(&self) -> Vec<OsString> {
        let pair = |certificates: &Path, key: &Path| {
            vec!["-certs".into(), certificates.into(), "-key".into(), key.into()]
        };
        match self {
            Self::Test(test) => pair(&test.certificate(), &test.key()),
            Self::Files { certificates, key } => pair(certificates, key),
            Self::Pfx(file) => vec!["-pkcs12".into(), file.into()],
            Self::Token {
                module,
                certificate,
                key,
            } => {
                let is_uri = certificate.starts_with("pkcs11:");
                vec![
                    "-pkcs11module".into(),
                    module.into(),
                    if is_uri { "-pkcs11cert" } else { "-certs" }.into(),
                    certificate.into(),
                    "-key".into(),
                    key.into(),
                ]
            }
        }
    }
}

/// A certificate for tests with its key, in a folder that only the user can read: made once, and the same for all packages,
/// so that a machine has to trust it only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCertificate {
    folder: PathBuf,
}

/// What OpenSSL makes the test certificate from: one that may sign code and nothing else.
const REQUEST: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = vrnic test signing, do not trust beyond test machines
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
subjectKeyIdentifier = hash
";

/// For how long a test certificate is good.
const DAYS: &str = "1825";

impl TestCertificate {
    /// The user's: in `$XDG_DATA_HOME/vrnic/test-signing`, or below `~/.local/share`.
    ///
    /// # Errors
    /// When there is no home folder, and as [`TestCertificate::in_folder`].
    pub fn of_user() -> Result<Self> {
        let data = env::var_os("XDG_DATA_HOME")
            .filter(|folder| Path::new(folder).is_absolute())
            .map(PathBuf::from)
            .or_else(|| env::home_dir().map(|home| home.join(".local/share")))
            .context("there is no home folder for the test certificate: set XDG_DATA_HOME")?;
        Self::in_folder(data.join("vrnic/test-signing"))
    }

    /// The one in `folder`; it is made there at first.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn in_folder(folder: PathBuf) -> Result<Self> {
        let test = Self { folder };
        if !(test.certificate().is_file() && test.key().is_file()) {
            test.make()
                .with_context(|| format!("cannot make a test certificate in {}", test.folder.display()))?;
        }
        Ok(test)
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// The key, in PEM.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn make(&self) -> Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let request = self.folder.join("request.cnf");
        fs::write(&request, REQUEST)?;
        // OpenSSL would create it readable for all.
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.key())?;
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req", "-x509", "-newkey", "rsa:3072", "-sha256", "-nodes", "-days", DAYS,
        ]);
        openssl.arg("-config").arg(request);
        openssl
            .arg("-keyout")
            .arg(self.key())
            .arg("-out")
            .arg(self.certificate());
        quietly(&mut openssl)
    }

    /// Writes the certificate as Windows imports it.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn export(&self, file: &Path) -> Result<()> {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["x509", "-outform", "DER", "-in"])
            .arg(self.certificate());
        quietly(openssl.arg("-out").arg(file))
    }
}

/// Runs a command whose output matters only if it fails.
pub(super) fn quietly(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
