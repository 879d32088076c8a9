//! Checks of an INF file before Windows sees it.
//!
//! The rules are those that `InfVerif` documents for a driver package that runs from the driver store (`InfVerif /w`, with its
//! numbers where it has them), and those of network adapters: what the class needs, and the keywords under `Ndi\Params`.
//!
//! | module | what it is |
//! |---|---|
//! | [`parse`] | the text as sections and lines |
//! | [`install`] | what the sections lead to: models, install sections, registry values, services |
//! | [`rules`] | what every driver package must keep to |
//! | [`network`] | what a network adapter must have |
//! | [`standard`] | the standardized keywords |

pub mod install;
pub mod network;
pub mod parse;
pub mod rules;
pub mod standard;

use std::fmt;

use install::Install;
use parse::Inf;

/// What is wrong with an INF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 if something is missing altogether.
    pub line: usize,
    /// The broken rule: the number in `InfVerif`, if it has one.
    pub rule: Rule,
    /// What is wrong.
    pub text: String,
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `InfVerif` has this number for it.
    InfVerif(u16),
    /// The syntax of INF files (1000 to 1099 in `InfVerif`).
    Syntax,
    /// What the WDK documents of INF files, without a number.
    Inf,
    /// What the WDK documents of INF files for network adapters.
    Network,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line != 0 {
            write!(f, "line {}: ", self.line)?;
        }
        match self.rule {
            Rule::InfVerif(number) => write!(f, "{} (InfVerif {number})", self.text),
            Rule::Syntax => write!(f, "{} (syntax)", self.text),
            Rule::Inf => write!(f, "{}", self.text),
            Rule::Network => write!(f, "{} (network adapters)", self.text),
        }
    }
}

/// Checks a stamped INF; none of the problems keeps the others from being found, except for syntax errors.
#[must_use]
pub fn check(text: &str) -> Vec<Problem> {
    let inf = match Inf::parse(text) {
        Ok(inf) => inf,
        Err(problem) => return vec![problem],
    };
    let mut install = Install::read(&inf);
    let mut problems = std::mem::take(&mut install.problems);
    problems.extend(rules::check(&inf, &install));
    problems.extend(network::check(&inf, &install));
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// A number as INF files have them: decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    hexadecimal.map_or_else(
        || text.parse().ok(),
        |digits| u32::from_str_radix(digits, 16).ok(),
    )
}
