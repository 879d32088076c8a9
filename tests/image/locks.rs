//! The image is built with the lock file of `xbuild`, and on Windows with that of the root: the same crates must be
//! the same versions.

use std::collections::BTreeMap;

/// The packages from the registry that a lock file names, and their checksums.
type Packages<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

fn packages(lock: &str) -> Packages<'_> {
    let package = |block| {
        let value = |key: &str| -> Option<&str> {
            let line = str::lines(block).find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
            line.strip_suffix('"')
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    };
    lock.split("\n\n").filter_map(package).collect()
}

/// Packages of `part` that `whole` has in other versions only.
fn differing<'a>(part: &Packages<'a>, whole: &Packages<'a>) -> Vec<(&'a str, &'a str)> {
    let known = |wanted: &str| whole.keys().any(|(name, _)| *name == wanted);
    part.iter()
        .filter(|(package, sum)| known(package.0) && whole.get(*package) != Some(sum))
        .map(|(key, _)| *key)
        .collect()
}

#[test]
fn both_lock_files_have_the_same_versions() {
    let root = packages(include_str!("../../Cargo.lock"));
    let xbuild = packages(include_str!("../../xbuild/Cargo.lock"));
    assert!(
        xbuild.keys().any(|(name, _)| *name == "wdk-sys"),
        "the lock file is read"
    );
    let differing = differing(&xbuild, &root);
    assert!(
        differing.is_empty(),
        "in xbuild/: cargo update PACKAGE --precise VERSION_OF_THE_ROOT for {differing:?}"
    );
}

#[test]
fn another_version_is_noticed() {
    let root = packages("[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00\"\n");
    let other = packages(
        "[[package]]\nname = \"a\"\nversion = \"1.0.1\"\nchecksum = \"01\"\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\nchecksum = \"02\"\n",
    );
    assert_eq!(differing(&other, &root), [("a", "1.0.1")]);
    assert_eq!(differing(&root, &root), []);
}
