//! What `cargo test` has printed about each test.

use std::collections::BTreeMap;
use std::fmt;

/// A test: its binary (with `_` for `-`) and its path in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestId {
    /// Name of the library or of the integration test.
    pub binary: String,
    /// Modules and function.
    pub path: String,
}

impl fmt::Display for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.binary, self.path)
    }
}

/// How a test has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Passed.
    Passed,
    /// Failed.
    Failed,
    /// Ignored.
    Ignored,
}

/// All tests of a run.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<TestId, Outcome>);

impl Results {
    /// Reads what `cargo test` prints: `Running tests/driver/main.rs (…/driver-0123456789abcdef)`, then `test reject::data ... ok`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut results = BTreeMap::new();
        let mut binary = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(running) = line.strip_prefix("Running ") {
                binary = binary_of(running).unwrap_or_default();
            } else if let Some((path, outcome)) = line
                .strip_prefix("test ")
                .and_then(|rest| rest.split_once(" ... "))
            {
                // What a test itself prints to standard error may stand between name and outcome, or at its end.
                let outcome = match outcome {
                    outcome if outcome.ends_with("ok") => Outcome::Passed,
                    outcome if outcome.ends_with("FAILED") => Outcome::Failed,
                    outcome if outcome.starts_with("ignored") => Outcome::Ignored,
                    _ => continue,
                };
                let id = TestId {
                    binary: binary.clone(),
                    path: path.to_owned(),
                };
                results.insert(id, outcome);
            }
        }
        Self(results)
    }

    /// How the test has ended; `None`: it has not run.
    #[must_use]
    pub fn of(&self, test: &TestId) -> Option<Outcome> {
        self.0.get(test).copied()
    }
}

/// `driver` from `tests/driver/main.rs (target/debug/deps/driver-0123456789abcdef)`.
fn binary_of(running: &str) -> Option<String> {
    let (_, path) = running.rsplit_once('(')?;
    let file = path.trim_end_matches(')').rsplit(['/', '\\']).next()?;
    let (name, _) = file.rsplit_once('-')?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_belong_to_their_binary() {
        let text = "     Running unittests src/lib.rs (target/debug/deps/vrnic-00ff)\n\nrunning 1 test\ntest cm::tests::a ... ok\n\
                    \n     Running tests/driver/main.rs (target/debug/deps/driver-11aa)\ntest a ... FAILED\ntest b ... ignored, slow\n\
                    test result: FAILED. 0 passed\n";
        let results = Results::parse(text);
        let of = |binary: &str, path: &str| {
            results.of(&TestId {
                binary: binary.into(),
                path: path.into(),
            })
        };
        assert_eq!(of("vrnic", "cm::tests::a"), Some(Outcome::Passed));
        assert_eq!(of("driver", "a"), Some(Outcome::Failed));
        assert_eq!(of("driver", "b"), Some(Outcome::Ignored));
        assert_eq!(of("driver", "cm::tests::a"), None);
    }
}
