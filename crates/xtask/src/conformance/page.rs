//! The page of the book.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::required;
use super::results::{Outcome, Results, TestId};
use super::sources::{Claim, Kind};

const PASSED: &str = "passed";

const INTRODUCTION: &str = "# Conformance

What is judged, by which test, and how that ended in the last run of all tests. `./x conformance` checks this page after `./x test`, and with `--write` it writes
it from what the tests say in their documentation and from their results. A function, scenario or program that no passing test judges makes
`./x conformance` fail.
";

const SECTIONS: &[(Kind, &str, &str)] = &[
    (
        Kind::Function,
        "Functions",
        "Every slot of every NDK dispatch table, and the handlers and OIDs of the miniport that belong to NDK.",
    ),
    (
        Kind::Rule,
        "Rules",
        "Sentences of the NDK documentation and of the tables in this book. The rules that the bench checks in every run, with their negative \
         controls, are in [The verifier's rules](bench/rules.md).",
    ),
    (
        Kind::NetworkDirect,
        "Microsoft's NetworkDirect unit tests",
        "The scenarios of the unit tests in Microsoft's NetworkDirect repository, written anew for the kernel interface, with the outcomes that \
         those pin down.",
    ),
    (
        Kind::SmbDirect,
        "SMB Direct's event log",
        "Each event with which SMB Direct complains about an adapter, as a test that it has no reason to.",
    ),
    (
        Kind::Linux,
        "Linux",
        "A Debian kernel with soft-RoCE, rdma-core's and perftest's programs, in QEMU on the NIC's wire.",
    ),
];

/// The page's text.
#[must_use]
pub fn render(claims: &[Claim], results: &Results) -> String {
    let mut page = INTRODUCTION.to_owned();
    for (kind, title, text) in SECTIONS {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {title}\n\n{text}\n\n| | judged by | result |\n|---|---|---|\n"
        );
        for (subject, tests) in rows(*kind, claims) {
            let (names, outcomes) = columns(&tests, results);
            let shown = if *kind == Kind::Rule {
                subject
            } else {
                format!("`{subject}`")
            };
            let _ = writeln!(page, "| {shown} | {names} | {outcomes} |");
        }
    }
    page
}

/// A line for each section with its numbers, for the README.
#[must_use]
pub fn summary(claims: &[Claim], results: &Results) -> String {
    let mut table = "| judged by tests that pass | |\n|---|---|\n".to_owned();
    for (kind, title, _) in SECTIONS {
        let rows = rows(*kind, claims);
        let passed = rows
            .values()
            .filter(|tests| columns(tests, results).1 == PASSED)
            .count();
        let _ = writeln!(table, "| {title} | {passed} of {} |", rows.len());
    }
    table
}

/// Subjects with their tests: those that are required even without one.
fn rows(kind: Kind, claims: &[Claim]) -> BTreeMap<String, Vec<&TestId>> {
    let required: Vec<String> = match kind {
        Kind::Function => required::functions().into_iter().collect(),
        Kind::Rule => Vec::new(),
        Kind::NetworkDirect => required::NETWORK_DIRECT.iter().map(ToString::to_string).collect(),
        Kind::SmbDirect => required::SMB_DIRECT.iter().map(ToString::to_string).collect(),
        Kind::Linux => required::LINUX.iter().map(ToString::to_string).collect(),
    };
    let mut rows: BTreeMap<String, Vec<&TestId>> = required
        .into_iter()
        .map(|subject| (subject, Vec::new()))
        .collect();
    for claim in claims.iter().filter(|claim| claim.kind == kind) {
        rows.entry(claim.subject.clone()).or_default().push(&claim.test);
    }
    rows
}

fn columns(tests: &[&TestId], results: &Results) -> (String, &'static str) {
    let names: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
    let worst = tests
        .iter()
        .map(|test| match results.of(test) {
            Some(Outcome::Failed) => "**failed**",
            None => "**did not run**",
            Some(Outcome::Ignored) => "ignored",
            Some(Outcome::Passed) => PASSED,
        })
        .min_by_key(|outcome| {
            ["**failed**", "**did not run**", "ignored", PASSED]
                .iter()
                .position(|o| o == outcome)
        });
    (names.join("<br>"), worst.unwrap_or("**no test**"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_has_passed() {
        let results = Results::parse("Running a (x/driver-1)\ntest a ... ok\ntest b ... FAILED\n");
        let claim = |subject: &str, path: &str| Claim {
            kind: Kind::Rule,
            subject: subject.into(),
            test: TestId {
                binary: "driver".into(),
                path: path.into(),
            },
        };
        let claims = [claim("one", "a"), claim("two", "b"), claim("three", "c")];
        assert!(summary(&claims, &results).contains("| Rules | 1 of 3 |"));
    }

    #[test]
    fn the_worst_result_of_several_tests_counts() {
        let results = Results::parse("Running a (x/driver-1)\ntest a ... ok\ntest b ... FAILED\n");
        let id = |path: &str| TestId {
            binary: "driver".into(),
            path: path.into(),
        };
        let (a, b) = (id("a"), id("b"));
        assert_eq!(columns(&[&a], &results).1, "passed");
        assert_eq!(columns(&[&a, &b], &results).1, "**failed**");
        assert_eq!(columns(&[], &results).1, "**no test**");
    }

    #[test]
    fn required_subjects_have_rows_without_tests() {
        let page = render(&[], &Results::default());
        assert!(page.contains("| `NdkReject` |  | **no test** |"));
        assert!(page.contains("| `rping` |  | **no test** |"));
    }
}
