//! The package as tools read it that did not make it: OpenSSL's ASN.1 parser, osslsigncode's own hashes of the image,
//! coreutils' of the INF, LLVM's reader of images.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::made::{Made, flipped, image, made, run, signer, text};
use xtask::package::Package;
use xtask::package::catalog::{self, Member};
use xtask::package::stamp::Stamp;

/// A member of a catalog: its values, and the hash and the serialized page hashes in its `SpcIndirectData`.
#[derive(Debug, Default)]
struct Entry {
    texts: Vec<String>,
    indirect: Option<String>,
    pages: Option<String>,
}

/// One line of `openssl asn1parse`: the depth, the type, and what it says of the value.
type Node = (usize, String, String);

/// The DER of a file as OpenSSL reads it.
fn nodes(file: &Path) -> Vec<Node> {
    let output = run("openssl", &["asn1parse", "-inform", "DER", "-in", text(file)]);
    assert!(output.status.success(), "{output:?}");
    let node = |line: &str| {
        let (head, rest) = line.split_once(": ")?;
        let depth = head.split("d=").nth(1)?.split(' ').next()?.parse().ok()?;
        let (kind, value) = rest.split_once(':').unwrap_or((rest, ""));
        Some((depth, kind.trim().to_owned(), value.trim().to_owned()))
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| node(line).unwrap_or_else(|| panic!("openssl asn1parse says {line:?}")))
        .collect()
}

/// The bytes of an OCTET STRING in hexadecimal.
fn octets(node: &Node) -> Option<&str> {
    node.1.starts_with("OCTET STRING").then_some(node.2.as_str())
}

/// UTF-16 with a zero at the end, from hexadecimal.
fn utf16(hexadecimal: &str) -> Option<String> {
    let units: Vec<u16> = (0..hexadecimal.len() / 4)
        .map(|index| u16::from_str_radix(&hexadecimal[index * 4..][..4], 16).map(u16::swap_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    let text = String::from_utf16(&units).ok()?;
    text.strip_suffix('\0').map(str::to_owned)
}

/// The members of a catalog by the hashes under which they are found, and what the catalog says of itself.
fn members(catalog: &Path) -> (BTreeMap<String, Entry>, Vec<String>) {
    let nodes = nodes(catalog);
    let start = nodes
        .iter()
        .position(|node| node.2 == "1.3.6.1.4.1.311.12.1.3")
        .expect("a catalog of the second version");
    let list = nodes[start - 1].0 - 1;
    let mut members = BTreeMap::new();
    let mut current: Option<(String, Entry)> = None;
    let mut own = Vec::new();
    let mut is_own = false;
    let mut last_object = String::new();
    for node in nodes[start..].iter().take_while(|node| node.0 > list) {
        let depth = node.0 - list - 1;
        is_own |= depth == 0 && node.1 == "cont [ 0 ]";
        if node.1 == "OBJECT" {
            last_object.clone_from(&node.2);
        }
        let Some(value) = octets(node) else { continue };
        match (&mut current, depth) {
            // A value of the catalog is in DER of its own: text at its end.
            _ if is_own => own.push(value.to_owned()),
            (_, 2) => {
                members.extend(current.replace((value.to_owned(), Entry::default())));
            }
            (Some((_, entry)), _) if last_object == "1.3.6.1.4.1.311.12.2.1" => {
                entry.texts.extend(utf16(value));
            }
            (Some((_, entry)), _) if last_object == "sha256" => {
                entry.indirect = Some(value.to_owned());
            }
            (Some((_, entry)), _) if value.len() > 200 => entry.pages = Some(value.to_owned()),
            _ => {}
        }
    }
    members.extend(current);
    (members, own)
}

/// The hash of an image as osslsigncode says it, of a signature that it makes with `hash`.
fn image_hash(made: &Made, hash: &str) -> String {
    let signed = made.folder.path().join(format!("{hash}.sys"));
    let (key, certificate) = (made.test.key(), made.test.certificate());
    let sign = run(
        "osslsigncode",
        &[
            "sign",
            "-h",
            hash,
            "-key",
            text(&key),
            "-certs",
            text(&certificate),
            "-in",
            text(&image()),
            "-out",
            text(&signed),
        ],
    );
    assert!(sign.status.success(), "{sign:?}");
    let verify = run("osslsigncode", &["verify", "-in", text(&signed)]);
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    let line = said
        .lines()
        .find(|line| line.starts_with("Calculated message digest"));
    let hash = line.and_then(|line| line.split(": ").nth(1));
    hash.unwrap_or_else(|| panic!("no hash: {said}"))
        .trim()
        .to_owned()
}

/// The hash of a file as coreutils say it.
fn file_hash(program: &str, file: &Path) -> String {
    let output = run(program, &[text(file)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split(' ').next().expect("a hash").to_uppercase()
}

/// Whether a catalog has a file under both hashes, with its name.
fn has(members: &BTreeMap<String, Entry>, hashes: &[String; 2], name: &str) -> bool {
    let [short, long] = hashes;
    let of = |hash: &String| {
        members
            .get(hash)
            .filter(|entry| entry.texts == ["2:10.0", name] || entry.texts == [name, "2:10.0"])
    };
    of(short).is_some_and(|entry| entry.indirect.is_none())
        && of(long).is_some_and(|entry| entry.indirect.as_ref() == Some(long))
}

#[test]
fn the_catalog_has_both_files_under_both_hashes() {
    let made = made();
    let (members, _) = members(&made.package.file("vrnic.cat"));
    assert_eq!(members.len(), 4, "{members:#?}");
    let image_hashes = ["sha1", "sha256"].map(|hash| image_hash(made, hash));
    assert!(
        has(&members, &image_hashes, "vrnic.sys"),
        "{image_hashes:?} {members:#?}"
    );
    let inf = made.package.file("vrnic.inf");
    let inf_hashes = ["sha1sum", "sha256sum"].map(|program| file_hash(program, &inf));
    assert!(
        has(&members, &inf_hashes, "vrnic.inf"),
        "{inf_hashes:?} {members:#?}"
    );
    // Each under its own name only, and a changed INF not at all.
    assert!(!has(&members, &inf_hashes, "vrnic.sys"));
    let spoiled = flipped(&inf, 100);
    let hashes = ["sha1sum", "sha256sum"].map(|program| file_hash(program, &spoiled));
    assert!(!has(&members, &hashes, "vrnic.inf"));
}

#[test]
fn the_page_hashes_are_those_that_the_image_is_signed_with() {
    let made = made();
    let (members, _) = members(&made.package.file("vrnic.cat"));
    let pages = members
        .values()
        .find_map(|entry| entry.pages.as_ref())
        .expect("page hashes");
    let pages: Vec<u8> = (0..pages.len() / 2)
        .map(|index| u8::from_str_radix(&pages[index * 2..][..2], 16).expect("hexadecimal"))
        .collect();
    let signed = fs::read(made.package.file("vrnic.sys")).expect("it is there");
    let unsigned = fs::read(image()).expect("it is there");
    let has = |pages: &[u8]| {
        signed[unsigned.len()..]
            .windows(pages.len())
            .any(|window| window == pages)
    };
    assert!(has(&pages), "osslsigncode has others in its signature");
    let mut others = pages.clone();
    others[100] ^= 1;
    assert!(!has(&others));
    // After the DER around it: a hash for the headers, one for each page of the sections, and the end.
    let table = &pages[28..];
    assert_eq!(table.len() % 36, 0);
    assert!(table.len() / 36 > unsigned.len() / 4096);
    assert_eq!(table[..4], [0; 4]);
    assert_eq!(table[table.len() - 32..], [0; 32]);
}

#[test]
fn the_catalog_names_systems_and_devices() {
    let made = made();
    let (_, own) = members(&made.package.file("vrnic.cat"));
    for text in ["_v100_X64", "pci\\ven_1af4&dev_10f0"] {
        let units: Vec<String> = text
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .map(|byte| format!("{byte:02X}"))
            .collect();
        assert!(
            own.iter().any(|value| value.ends_with(&units.concat())),
            "{text}: {own:#?}"
        );
    }
}

#[test]
fn the_id_in_the_inf_is_that_of_the_device() {
    let inf = fs::read_to_string(made().package.file("vrnic.inf")).expect("it is there");
    let id = format!(
        "PCI\\VEN_{:04X}&DEV_{:04X}",
        vrnic_abi::pci::VENDOR_ID,
        vrnic_abi::pci::DEVICE_ID
    );
    assert!(inf.contains(&id), "{id}");
    let limit = format!("MessageNumberLimit, 0x00010001, {}\r\n", vrnic_abi::pci::VECTORS);
    assert!(inf.contains(&limit), "{limit}");
}

#[test]
fn llvm_finds_a_certificate_table_in_the_signed_image_only() {
    let table = |file: &Path| {
        let output = run("llvm-readobj-19", &["--file-headers", text(file)]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.contains("CertificateTableSize"));
        line.and_then(|line| line.split(": ").nth(1)).map(str::to_owned)
    };
    assert_eq!(table(&image()).as_deref(), Some("0x0"));
    let signed = table(&made().package.file("vrnic.sys")).expect("a size");
    assert_ne!(signed, "0x0");
}

#[test]
fn the_same_checkout_gives_the_same_inf_and_the_same_list() {
    let made = made();
    let (signer, _) = signer(&made.folder.path().join("another"));
    let again = Package::make(&image(), &made.folder.path().join("again"), &signer).expect("made");
    let inf = fs::read(made.package.file("vrnic.inf")).expect("it is there");
    assert_eq!(inf, fs::read(again.file("vrnic.inf")).expect("it is there"));
    let sys = fs::read(image()).expect("it is there");
    let list = |sys: &[u8], seconds| {
        let stamp = Stamp::new("1.0.0.0".to_owned(), seconds).expect("a time");
        let members = [
            Member {
                name: "vrnic.inf",
                content: &inf,
            },
            Member {
                name: "vrnic.sys",
                content: sys,
            },
        ];
        catalog::build(&members, &["PCI\\X".to_owned()], stamp.date).expect("a catalog")
    };
    assert_eq!(list(&sys, 7), list(&sys, 7));
    assert_ne!(list(&sys, 7), list(&sys, 8));
    // A signature of the image's own changes nothing.
    let with_signature = fs::read(made.package.file("vrnic.sys")).expect("it is there");
    assert_eq!(list(&sys, 7), list(&with_signature, 7));
}

#[test]
fn the_inf_has_the_crates_version_and_a_date() {
    let inf = fs::read_to_string(made().package.file("vrnic.inf")).expect("it is there");
    let line = inf
        .lines()
        .find(|line| line.starts_with("DriverVer"))
        .expect("a version");
    assert!(
        line.contains(concat!(",", env!("CARGO_PKG_VERSION"), ".")),
        "{line}"
    );
    assert!(
        !inf.contains('$') || inf.matches('$').count() == 2,
        "only $WINDOWS NT$ is left"
    );
    assert_eq!(inf.lines().count(), inf.matches("\r\n").count());
}

#[test]
fn the_bill_of_materials_lists_what_is_linked() {
    let made = made();
    let bill = fs::read_to_string(made.package.sbom()).expect("it is there");
    let bill: serde_json::Value = serde_json::from_str(&bill).expect("JSON");
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let sys = file_hash("sha256sum", &made.package.file("vrnic.sys")).to_lowercase();
    assert_eq!(
        bill["metadata"]["component"]["hashes"][0]["content"],
        sys.as_str()
    );
    let components = bill["components"].as_array().expect("a list");
    let find = |name: &str| components.iter().find(|component| component["name"] == name);
    for name in [
        "ndk-sys",
        "roce-wire",
        "vrnic-abi",
        "wdk-sys",
        "zerocopy",
        "rust-std",
    ] {
        assert!(find(name).is_some(), "{name}");
    }
    // Neither what only generates code nor what only tests use.
    for name in ["syn", "zerocopy-derive", "bindgen", "criterion", "ntbench"] {
        assert!(find(name).is_none(), "{name}");
    }
    let published = find("zerocopy").expect("found above");
    assert_eq!(published["hashes"][0]["content"].as_str().map(str::len), Some(64));
    assert!(
        components
            .iter()
            .all(|component| component["licenses"][0]["expression"].is_string())
    );
    // Everything that is referred to is there.
    let references = bill["dependencies"].as_array().expect("a list");
    let known = |id: &serde_json::Value| references.iter().any(|reference| reference["ref"] == *id);
    for reference in references {
        let uses = reference["dependsOn"].as_array().expect("a list");
        assert!(uses.iter().all(known), "{reference}");
    }
}
