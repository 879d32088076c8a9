//! The version and date of a package, and what they are put into.
//!
//! Both come from the checkout, so that the same commit gives the same package anywhere: the version is the crate's with the
//! number of commits as its fourth part, the date is that of the last commit. Where there is no git, `SOURCE_DATE_EPOCH` has
//! the date and the fourth part is 0; it takes precedence where there is.

use std::env;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use der::DateTime;

use super::inf::install::ARCHITECTURE;
use crate::paths;

/// Version and date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Four numbers with points between them.
    pub version: String,
    /// When, UTC.
    pub date: DateTime,
}

impl Stamp {
    /// The stamp of a version and a time in seconds since 1970.
    ///
    /// # Errors
    /// When the time is before 1970 or after 9999.
    pub fn new(version: String, seconds: u64) -> Result<Self> {
        let date = DateTime::from_unix_duration(Duration::from_secs(seconds))
            .with_context(|| format!("{seconds} is no time of a package"))?;
        Ok(Self { version, date })
    }

    /// The stamp of this checkout.
    ///
    /// # Errors
    /// When there are neither git nor `SOURCE_DATE_EPOCH`.
    pub fn of_checkout() -> Result<Self> {
        let commits = if git(&["rev-parse", "--is-shallow-repository"]).as_deref() == Some("false") {
            git(&["rev-list", "--count", "HEAD"])
        } else {
            None
        };
        let Some(seconds) = env::var("SOURCE_DATE_EPOCH")
            .ok()
            .or_else(|| git(&["log", "-1", "--format=%ct"]))
        else {
            bail!("this is no git checkout: set SOURCE_DATE_EPOCH to the date of the package");
        };
        let seconds = seconds
            .parse()
            .with_context(|| format!("the date {seconds:?} is no number of seconds"))?;
        let version = format!(
            "{}.{}",
            env!("CARGO_PKG_VERSION"),
            commits.as_deref().unwrap_or("0")
        );
        Self::new(version, seconds)
    }

    /// The INF that this stamp makes of an INX, with the line ends of Windows.
    ///
    /// # Errors
    /// When the INX has no line `DriverVer =` to fill in.
    pub fn inf(&self, inx: &str) -> Result<String> {
        let (year, month, day) = (self.date.year(), self.date.month(), self.date.day());
        let mut is_stamped = false;
        let mut inf = String::new();
        for line in inx.lines() {
            let is_version = line
                .split('=')
                .next()
                .is_some_and(|key| key.trim() == "DriverVer");
            is_stamped |= is_version;
            if is_version {
                let version = &self.version;
                // Writing to a String cannot fail.
                let _ = write!(inf, "DriverVer   = {month:02}/{day:02}/{year:04},{version}");
            } else {
                inf.push_str(&line.replace("NT$ARCH$", ARCHITECTURE));
            }
            inf.push_str("\r\n");
        }
        if !is_stamped {
            bail!("there is no DriverVer to fill in");
        }
        Ok(inf)
    }
}

/// What git says in the checkout, if it says something.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .current_dir(paths::workspace())
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    #[test]
    fn version_date_and_architecture_are_filled_in() {
        let stamp = Stamp::new("1.2.3.4".to_owned(), 1_704_153_600).expect("a time");
        let inf = stamp
            .inf("DriverVer =\n%a% = b, NT$ARCH$.10.0")
            .expect("it has the line");
        assert_eq!(
            inf,
            "DriverVer   = 01/02/2024,1.2.3.4\r\n%a% = b, NTamd64.10.0\r\n"
        );
        assert!(stamp.inf("[Version]").is_err());
    }

    #[test]
    fn the_checkout_has_a_version_of_four_numbers() {
        let stamp = Stamp::of_checkout().expect("git or a date");
        assert_eq!(stamp.version.split('.').count(), 4, "{stamp:?}");
    }
}
