//! What the tests say that they judge.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::results::TestId;

/// What a test can judge. The order is that of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A function of a dispatch table, or a handler of the miniport.
    Function,
    /// A sentence of the documentation.
    Rule,
    /// A unit test of Microsoft's `NetworkDirect` repository, written anew.
    NetworkDirect,
    /// An event of SMB Direct's log that complains about an adapter.
    SmbDirect,
    /// A program or behaviour of Linux.
    Linux,
}

/// How the documentation of a test begins a claim.
const MARKS: &[(&str, Kind)] = &[
    ("Judges functions: ", Kind::Function),
    ("Judges rule: ", Kind::Rule),
    ("Judges NetworkDirect test: ", Kind::NetworkDirect),
    ("Judges SMB Direct event: ", Kind::SmbDirect),
    ("Judges with Linux: ", Kind::Linux),
];

/// A test judges something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// What kind of thing.
    pub kind: Kind,
    /// What.
    pub subject: String,
    /// The test.
    pub test: TestId,
}

/// All claims of the tests in the workspace.
///
/// # Errors
/// When a file cannot be read, or a mark stands where there is no test.
pub fn collect(workspace: &Path) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    walk(workspace, "vrnic", &mut claims)?;
    for entry in fs::read_dir(workspace.join("crates"))? {
        let folder = entry?.path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .replace('-', "_");
        walk(&folder, &name, &mut claims)?;
    }
    claims.sort();
    Ok(claims)
}

/// The tests of one package.
fn walk(package: &Path, library: &str, claims: &mut Vec<Claim>) -> Result<()> {
    for_each_file(&package.join("src"), &mut |file, relative| {
        let parts = modules(relative);
        read(file, library, &parts, claims)
    })?;
    for_each_file(&package.join("tests"), &mut |file, relative| {
        let parts = modules(relative);
        // A folder is one binary, and so is a file beside it.
        let (binary, parts) = parts.split_first().context("a file without a name")?;
        read(file, &binary.replace('-', "_"), parts, claims)
    })
}

fn for_each_file(folder: &Path, visit: &mut dyn FnMut(&Path, &Path) -> Result<()>) -> Result<()> {
    fn recurse(root: &Path, folder: &Path, visit: &mut dyn FnMut(&Path, &Path) -> Result<()>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                recurse(root, &path, visit)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                visit(&path, path.strip_prefix(root)?)?;
            }
        }
        Ok(())
    }
    if folder.is_dir() {
        recurse(folder, folder, visit)?;
    }
    Ok(())
}

/// The module path of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`; `main.rs` and `lib.rs` add nothing.
fn modules(relative: &Path) -> Vec<String> {
    let mut parts: Vec<String> = relative
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| ["mod", "main", "lib"].contains(&last.as_str()))
    {
        parts.pop();
    }
    parts
}

fn read(file: &Path, binary: &str, modules: &[String], claims: &mut Vec<Claim>) -> Result<()> {
    let text = fs::read_to_string(file)?;
    scan(&text, binary, modules, claims).with_context(|| file.display().to_string())
}

/// Reads one file: documentation lines, then `#[test]`, then `fn NAME`. Modules inside the file are named by their indentation.
fn scan(text: &str, binary: &str, modules: &[String], claims: &mut Vec<Claim>) -> Result<()> {
    let mut pending: Vec<(Kind, String)> = Vec::new();
    let mut is_test = false;
    let mut inner: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(documentation) = trimmed.strip_prefix("/// ") {
            pending.extend(claims_of(documentation));
        } else if trimmed == "#[test]" {
            is_test = true;
        } else if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inner = Some(name.to_owned());
        } else if line == "}" {
            inner = None;
        } else if let (true, Some(rest)) = (is_test, trimmed.strip_prefix("fn ")) {
            let name = rest.split('(').next().unwrap_or_default().to_owned();
            let path: Vec<String> = modules
                .iter()
                .cloned()
                .chain(inner.clone())
                .chain([name])
                .collect();
            let id = TestId {
                binary: binary.to_owned(),
                path: path.join("::"),
            };
            claims.extend(pending.drain(..).map(|(kind, subject)| Claim {
                kind,
                subject,
                test: id.clone(),
            }));
            is_test = false;
        } else if !trimmed.starts_with("#[") && !trimmed.starts_with("///") {
            if let Some((_, subject)) = pending.first() {
                bail!("`{subject}` is claimed where there is no test");
            }
            is_test = false;
        }
    }
    Ok(())
}

/// A rule is a sentence; the other kinds are lists.
fn claims_of(documentation: &str) -> Vec<(Kind, String)> {
    let found = MARKS
        .iter()
        .find_map(|(mark, kind)| Some((*kind, documentation.strip_prefix(mark)?)));
    match found {
        Some((Kind::Rule, rule)) => vec![(Kind::Rule, rule.trim_end_matches('.').to_owned())],
        Some((kind, list)) => list
            .trim_end_matches('.')
            .split(", ")
            .map(|subject| (kind, subject.trim_matches('`').to_owned()))
            .collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> Result<Vec<Claim>> {
        let mut claims = Vec::new();
        scan(text, "driver", &["reject".to_owned()], &mut claims)?;
        Ok(claims)
    }

    #[test]
    fn claims_belong_to_the_test_below_them() {
        let text = "/// Sends.\n/// Judges functions: `NdkReject`, `NdkAccept`.\n/// Judges rule: data arrives, all of it.\n#[test]\n\
                    fn sends() {\n}\n\nmod inner {\n    /// Judges with Linux: rping\n    #[test]\n    fn pings() {}\n}\n";
        let found: Vec<_> = scanned(text)
            .expect("all claims have tests")
            .into_iter()
            .map(|claim| (claim.kind, claim.subject, claim.test.path))
            .collect();
        let expected = [
            (Kind::Function, "NdkReject", "reject::sends"),
            (Kind::Function, "NdkAccept", "reject::sends"),
            (Kind::Rule, "data arrives, all of it", "reject::sends"),
            (Kind::Linux, "rping", "reject::inner::pings"),
        ];
        assert_eq!(
            found,
            expected.map(|(kind, subject, path)| (kind, subject.into(), path.into()))
        );
    }

    #[test]
    fn a_claim_without_a_test_is_an_error() {
        assert!(scanned("/// Judges functions: NdkReject\nfn helper() {}\n").is_err());
        assert!(scanned("/// Judges functions: NdkReject\nstruct Thing;\n").is_err());
    }

    #[test]
    fn files_are_modules() {
        let of = |path: &str| modules(Path::new(path)).join("::");
        assert_eq!(of("cm/tests/passive.rs"), "cm::tests::passive");
        assert_eq!(of("cm/tests/mod.rs"), "cm::tests");
        assert_eq!(of("driver/main.rs"), "driver");
        assert_eq!(of("lib.rs"), "");
    }
}
