//! A private apt: its own package lists, archives and (empty) dpkg status, so that packages of the guest's Debian
//! release can be had on any host that has apt, without touching what the host has installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Step;

/// The Debian release of the guest's userland and kernel.
pub const SUITE: &str = "bookworm";

/// The keys that sign Debian's archive (package `debian-archive-keyring`).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An apt with its state under one folder.
#[derive(Debug)]
pub struct PrivateApt {
    dir: PathBuf,
    suite: &'static str,
    /// The suite that versions are taken from where it has the package.
    target: Option<&'static str>,
}

impl PrivateApt {
    /// Sets up the folder for a Debian release and its backports, with the mirror that this machine's own apt uses, and fetches
    /// the package lists if it has none.
    ///
    /// # Errors
    /// When the machine's sources name no Debian mirror, or the lists cannot be fetched.
    pub fn open(dir: &Path, suite: &'static str, step: &Step) -> Result<Self> {
        let apt = Self {
            dir: dir.to_path_buf(),
            suite,
            target: None,
        };
        for sub in ["state/lists/partial", "cache/archives/partial", "logs"] {
            fs::create_dir_all(dir.join(sub))
                .with_context(|| format!("cannot create {}", dir.join(sub).display()))?;
        }
        fs::write(dir.join("state/status"), "")?;
        let mirror = mirror()?;
        let source = format!("deb [arch=amd64 signed-by={KEYRING}] {mirror}");
        let sources = format!("{source} {suite} main\n{source} {suite}-backports main\n");
        fs::write(dir.join("sources.list"), sources)?;
        fs::write(dir.join("apt.conf"), apt.configuration())?;
        if !apt.has_lists() {
            apt.update(step)?;
        }
        Ok(apt)
    }

    /// Prefers the versions of that suite.
    #[must_use]
    pub const fn target(mut self, suite: &'static str) -> Self {
        self.target = Some(suite);
        self
    }

    /// Fetches the package lists anew.
    ///
    /// # Errors
    /// When the mirror cannot be reached or its signature is wrong.
    pub fn update(&self, step: &Step) -> Result<()> {
        step.message(format!("package lists of Debian {}", self.suite));
        step.run(
            self.command("apt-get").args(["-q", "update"]),
            &self.dir.join("logs/update.log"),
        )
    }

    /// The names of the packages that match an extended regular expression.
    ///
    /// # Errors
    /// When apt-cache fails.
    pub fn search(&self, pattern: &str) -> Result<Vec<String>> {
        let output = self
            .command("apt-cache")
            .args(["search", "--names-only", pattern])
            .output()?;
        if !output.status.success() {
            bail!(
                "apt-cache search failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect())
    }

    /// Downloads `packages` with (`closure`) or without all that they depend on, and unpacks them into `root`.
    ///
    /// # Errors
    /// When a package cannot be had, even with fresh lists, or cannot be unpacked.
    pub fn unpack(&self, packages: &[&str], closure: bool, root: &Path, step: &Step) -> Result<()> {
        let archives = root.with_extension("debs");
        let _ = fs::remove_dir_all(&archives);
        fs::create_dir_all(archives.join("partial"))?;
        // Backports and point releases drop what the lists of an earlier day name.
        if self.download(packages, closure, &archives, step).is_err() {
            self.update(step)?;
            self.download(packages, closure, &archives, step)?;
        }
        fs::create_dir_all(root)?;
        for entry in fs::read_dir(&archives)? {
            let archive = entry?.path();
            if archive.extension().is_some_and(|extension| extension == "deb") {
                let log = self.dir.join("logs/unpack.log");
                step.run(
                    Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(root),
                    &log,
                )?;
            }
        }
        fs::remove_dir_all(&archives)?;
        Ok(())
    }

    fn download(&self, packages: &[&str], closure: bool, archives: &Path, step: &Step) -> Result<()> {
        let mut command = self.command("apt-get");
        if let Some(suite) = self.target {
            command.args(["--target-release", suite]);
        }
        if closure {
            let to = format!("Dir::Cache::archives={}", archives.display());
            command.args(["-q", "--yes", "--download-only", "-o", &to, "install"]);
        } else {
            command.args(["-q", "download"]).current_dir(archives);
        }
        step.run(command.args(packages), &self.dir.join("logs/download.log"))
    }

    fn has_lists(&self) -> bool {
        fs::read_dir(self.dir.join("state/lists")).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C");
        command
    }

    fn configuration(&self) -> String {
        let dir = self.dir.display();
        let own = format!(
            r#"Dir::State "{dir}/state";
Dir::State::status "{dir}/state/status";
Dir::Cache "{dir}/cache";
Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::parts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"#
        );
        own + &host_transport_settings()
    }
}

/// The machine's own proxy, TLS and expiry settings for apt.
fn host_transport_settings() -> String {
    let Ok(output) = Command::new("apt-config").arg("dump").output() else {
        return String::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.starts_with("Acquire::http") || line.starts_with("Acquire::Check-"))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// The Debian mirror that this machine uses, or `$VRNIC_DEBIAN_MIRROR`.
fn mirror() -> Result<String> {
    if let Ok(mirror) = env::var("VRNIC_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| debian_mirror(&text))
        .context(
            "this machine's apt sources name no Debian mirror, and the Linux peer is a Debian kernel: \
             set VRNIC_DEBIAN_MIRROR to the address of one (the folder that has dists/ and pool/)",
        )
}

/// The first address in a sources file (one-line or deb822 style) that is a Debian mirror's.
fn debian_mirror(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains(":/"))
        .find(|address| {
            let last = address
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default();
            // Cloud images name a file with mirrors in it, after the archive.
            last == "debian" || last == "debian.list"
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_found_in_both_styles() {
        let one_line = "# deb http://old.example/debian x main\ndeb [trusted=yes] http://m.example/debian/ bookworm main\n";
        assert_eq!(
            debian_mirror(one_line).as_deref(),
            Some("http://m.example/debian/")
        );
        let deb822 = "Types: deb\nURIs: http://m.example/debian-security\n\nTypes: deb\nURIs: http://m.example/debian\n";
        assert_eq!(debian_mirror(deb822).as_deref(), Some("http://m.example/debian"));
        let cloud = "URIs: mirror+file:///etc/apt/mirrors/debian.list\n";
        assert_eq!(
            debian_mirror(cloud).as_deref(),
            Some("mirror+file:///etc/apt/mirrors/debian.list")
        );
    }

    #[test]
    fn other_archives_are_no_debian_mirror() {
        assert_eq!(
            debian_mirror("deb http://m.example/ubuntu noble main\nURIs: http://m.example/debian-security\n"),
            None
        );
    }
}
