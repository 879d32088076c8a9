//! The software bill of materials: what `vrnic.sys` was linked from, in `CycloneDX` 1.5.
//!
//! Cargo says which packages those are: the graph of `xbuild`, from which the image is built, without procedural macros and
//! build scripts, which leave no code behind, and with Rust's own library. (cargo-cyclonedx would list the graph of the root's lock file, with the paths
//! of the machine in it.)

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::stamp::Stamp;
use crate::driver::TARGET;
use crate::driver::toolchain::Toolchain;
use crate::{cargo, paths};

/// Rust's own library, as the bill names it.
const STANDARD_LIBRARY: &str = "rust-std";

/// A package of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Component {
    name: String,
    version: String,
    licence: String,
    /// SHA-256 of the published archive; none for the project's own packages.
    checksum: Option<String>,
    /// Indices of those that it uses.
    uses: Vec<usize>,
}

/// The bill of `image`, which is `vrnic.sys` as the package has it.
///
/// # Errors
/// When Cargo cannot say what the image was linked from.
pub fn build(image: &[u8], stamp: &Stamp) -> Result<String> {
    let mut tree = cargo::cargo("tree");
    tree.current_dir(paths::workspace().join("xbuild"));
    // The graph of a package alone would have its development dependencies.
    tree.args(["--locked", "--target", TARGET, "--edges", "normal,no-proc-macro"]);
    tree.args(["--package", "vrnic", "--prefix", "depth", "--format", "|{p}|{l}"]);
    tree.env_remove("CARGO_TARGET_DIR");
    let output = tree.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let lock = paths::workspace().join("xbuild/Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let mut components = components(&String::from_utf8(output.stdout)?, &lock)?;
    add_standard_library(&mut components, Toolchain::find()?.version()?);
    Ok(format!("{:#}\n", document(&components, image, stamp)))
}

/// The packages of Cargo's tree, the root first.
fn components(tree: &str, lock: &str) -> Result<Vec<Component>> {
    let mut components: Vec<Component> = Vec::new();
    let mut path: Vec<usize> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.split('|').collect();
        let [depth, package, licence] = parts.as_slice() else {
            bail!("cargo tree says {line:?}");
        };
        let depth: usize = depth
            .parse()
            .with_context(|| format!("cargo tree says {line:?}"))?;
        let mut words = package.split(' ');
        let (name, version) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default().trim_start_matches('v'),
        );
        let is_it = |component: &Component| component.name == name && component.version == version;
        let index = components.iter().position(is_it).unwrap_or_else(|| {
            components.push(Component {
                name: name.to_owned(),
                version: version.to_owned(),
                // A package whose subtree has been shown already.
                licence: licence.trim_end_matches(" (*)").to_owned(),
                checksum: checksum(lock, name, version),
                uses: Vec::new(),
            });
            components.len() - 1
        });
        path.truncate(depth);
        if let Some(user) = path.last()
            && !components[*user].uses.contains(&index)
        {
            components[*user].uses.push(index);
        }
        path.push(index);
    }
    if components.is_empty() {
        bail!("cargo tree names no package");
    }
    Ok(components)
}

/// Adds what every Rust program is linked from: `core` and `alloc`.
fn add_standard_library(components: &mut Vec<Component>, version: String) {
    let index = components.len();
    components[0].uses.push(index);
    components.push(Component {
        name: STANDARD_LIBRARY.to_owned(),
        version,
        licence: "MIT OR Apache-2.0".to_owned(),
        checksum: None,
        uses: Vec::new(),
    });
}

/// The checksum of a package in Cargo's lock file.
fn checksum(lock: &str, name: &str, version: &str) -> Option<String> {
    let head = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let entry = lock
        .split("[[package]]\n")
        .find(|entry| entry.starts_with(&head))?;
    let line = entry
        .lines()
        .find_map(|line| line.strip_prefix("checksum = \""))?;
    Some(line.trim_end_matches('"').to_owned())
}

impl Component {
    /// Its package URL, which names it everywhere.
    fn url(&self) -> String {
        let kind = if self.name == STANDARD_LIBRARY {
            "generic"
        } else {
            "cargo"
        };
        format!("pkg:{kind}/{}@{}", self.name, self.version)
    }

    fn value(&self) -> Value {
        let mut value = json!({
            "type": "library",
            "bom-ref": self.url(),
            "name": self.name,
            "version": self.version,
            "purl": self.url(),
            "licenses": [{ "expression": self.licence.replace('/', " OR ") }],
        });
        if let Some(checksum) = &self.checksum {
            value["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        value
    }
}

fn document(components: &[Component], image: &[u8], stamp: &Stamp) -> Value {
    let (root, rest) = components.split_first().expect("there is a root");
    let date = stamp.date;
    let time = format!("{date}");
    let dependencies: Vec<Value> = components
        .iter()
        .map(|component| {
            let uses: Vec<String> = component
                .uses
                .iter()
                .map(|index| components[*index].url())
                .collect();
            json!({ "ref": component.url(), "dependsOn": uses })
        })
        .collect();
    let mut subject = root.value();
    subject["type"] = json!("device-driver");
    subject["hashes"] = json!([{ "alg": "SHA-256", "content": hexadecimal(&Sha256::digest(image)) }]);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "component": subject,
            "properties": [
                { "name": "vrnic:file", "value": "vrnic.sys" },
                { "name": "vrnic:driver-version", "value": stamp.version },
            ],
        },
        "components": rest.iter().map(Component::value).collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0|vrnic v0.1.0 (/somewhere)|MIT OR Apache-2.0\n1|a v1.0.0|MIT\n2|b v2.0.0|MIT/Apache-2.0\n\
                        1|b v2.0.0|MIT/Apache-2.0 (*)\n";
    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\nchecksum = \"00ff\"\n\n[[package]]\n";

    #[test]
    fn packages_licences_checksums_and_edges_are_there_and_paths_are_not() {
        let mut components = components(TREE, LOCK).expect("a tree");
        add_standard_library(&mut components, "1.2.3".to_owned());
        let stamp = Stamp::new("0.1.0.7".to_owned(), 0).expect("a time");
        let document = document(&components, b"image", &stamp);
        assert_eq!(document["components"][0]["hashes"][0]["content"], "00ff");
        assert_eq!(
            document["components"][1]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(
            document["dependencies"][0]["dependsOn"],
            json!([
                "pkg:cargo/a@1.0.0",
                "pkg:cargo/b@2.0.0",
                "pkg:generic/rust-std@1.2.3"
            ])
        );
        assert_eq!(
            document["dependencies"][1]["dependsOn"],
            json!(["pkg:cargo/b@2.0.0"])
        );
        assert_eq!(document["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
        assert!(!document.to_string().contains("somewhere"));
    }

    #[test]
    fn a_tree_that_cannot_be_read_is_refused() {
        for tree in ["", "vrnic", "x|vrnic v1|MIT"] {
            assert!(components(tree, LOCK).is_err(), "{tree:?}");
        }
    }
}
