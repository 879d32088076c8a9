//! Osslsigncode's verdict on a package, and on spoiled ones. It did sign the files itself, but neither hashed the catalog's
//! members nor wrote the catalog.

use std::fs;
use std::path::Path;

use crate::made::{flipped, image, made, run, signer, text, verify};
use xtask::package::Package;
use xtask::package::sign::{Identity, Signer};

/// Offset of a piece of a file.
fn find(file: &Path, piece: &[u8]) -> usize {
    let bytes = fs::read(file).expect("it is there");
    let found = bytes.windows(piece.len()).position(|window| window == piece);
    found.unwrap_or_else(|| panic!("{} has no {piece:02x?}", file.display()))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn the_image_and_the_catalog_are_signed() {
    let made = made();
    let (sys, cat) = (made.package.file("vrnic.sys"), made.package.file("vrnic.cat"));
    let trusted = made.test.certificate();
    verify(&sys, None, &trusted).expect("the image's own signature is good");
    verify(&cat, None, &trusted).expect("the catalog's signature is good");
    verify(&sys, Some(&cat), &trusted).expect("the image is in the catalog");
}

#[test]
fn an_image_without_a_signature_of_its_own_is_in_the_catalog_too() {
    let made = made();
    verify(
        &image(),
        Some(&made.package.file("vrnic.cat")),
        &made.test.certificate(),
    )
    .expect("the same hash");
}

#[test]
fn a_flipped_byte_in_the_image_is_noticed() {
    let made = made();
    let (sys, cat) = (made.package.file("vrnic.sys"), made.package.file("vrnic.cat"));
    let trusted = made.test.certificate();
    // In the DOS stub, and in a section.
    for offset in [0x4E, 0x1000] {
        let spoiled = flipped(&sys, offset);
        verify(&spoiled, None, &trusted).expect_err("its own signature is bad");
        verify(&spoiled, Some(&cat), &trusted).expect_err("it is not in the catalog");
    }
}

#[test]
fn a_flipped_byte_in_the_catalog_is_noticed() {
    let made = made();
    let (sys, cat) = (made.package.file("vrnic.sys"), made.package.file("vrnic.cat"));
    let trusted = made.test.certificate();
    for piece in [
        utf16("vrnic.inf"),
        utf16("2:10.0"),
        utf16("pci\\ven_1af4&dev_10f0"),
    ] {
        let spoiled = flipped(&cat, find(&cat, &piece));
        verify(&spoiled, None, &trusted).expect_err("the signature is bad");
        verify(&sys, Some(&spoiled), &trusted).expect_err("a bad catalog proves nothing");
    }
}

#[test]
fn another_certificate_is_not_trusted() {
    let made = made();
    let (_, other) = signer(&made.folder.path().join("other"));
    let (sys, cat) = (made.package.file("vrnic.sys"), made.package.file("vrnic.cat"));
    verify(&sys, None, &other.certificate()).expect_err("not this certificate's");
    verify(&cat, None, &other.certificate()).expect_err("not this certificate's");
    verify(&sys, Some(&cat), &other.certificate()).expect_err("not this certificate's");
}

#[test]
fn the_catalog_of_another_package_does_not_have_the_image() {
    let made = made();
    let other = made.folder.path().join("another.sys");
    let mut bytes = fs::read(image()).expect("it is there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&other, bytes).expect("written");
    verify(
        &other,
        Some(&made.package.file("vrnic.cat")),
        &made.test.certificate(),
    )
    .expect_err("another hash");
}

#[test]
fn the_test_certificate_signs_code_only_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let made = made();
    let shown = run(
        "openssl",
        &[
            "x509",
            "-inform",
            "DER",
            "-noout",
            "-text",
            "-in",
            text(&made.package.certificate()),
        ],
    );
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for wanted in [
        "CA:FALSE",
        "Digital Signature",
        "Code Signing",
        "sha256WithRSAEncryption",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    let key = fs::metadata(made.test.key()).expect("it is there");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let again = signer(made.test.certificate().parent().expect("a folder")).1;
    assert_eq!(again, made.test);
    assert_eq!(
        fs::read(again.key()).expect("it is there"),
        fs::read(made.test.key()).expect("it is there"),
        "made once"
    );
}

#[test]
fn a_pkcs12_file_signs() {
    let made = made();
    let folder = made.folder.path();
    let (file, password) = (folder.join("own.pfx"), folder.join("password"));
    fs::write(&password, "secret").expect("written");
    let export = run(
        "openssl",
        &[
            "pkcs12",
            "-export",
            "-passout",
            "pass:secret",
            "-in",
            text(&made.test.certificate()),
            "-inkey",
            text(&made.test.key()),
            "-out",
            text(&file),
        ],
    );
    assert!(export.status.success(), "{export:?}");
    let mut signer = Signer {
        identity: Identity::Pfx(file),
        password: Some(password.clone()),
        timestamp: None,
    };
    let output = folder.join("pfx.sys");
    signer.sign(&image(), &output).expect("signed");
    verify(&output, None, &made.test.certificate()).expect("a good signature");
    fs::write(&password, "wrong").expect("written");
    signer.password = Some(password);
    signer.sign(&image(), &output).expect_err("the wrong password");
}

#[test]
fn a_token_signs() {
    let made = made();
    let folder = made.folder.path();
    fs::create_dir(folder.join("tokens")).expect("created");
    let configuration = folder.join("softhsm.conf");
    fs::write(
        &configuration,
        format!("directories.tokendir = {}\n", folder.join("tokens").display()),
    )
    .expect("written");
    let pin = folder.join("pin");
    fs::write(&pin, "1234").expect("written");
    let script = format!(
        "set -e; export SOFTHSM2_CONF={conf}; \
         softhsm2-util --init-token --free --label vrnic --pin 1234 --so-pin 1234; \
         softhsm2-util --import {key} --token vrnic --label signing --id 01 --pin 1234",
        conf = configuration.display(),
        key = made.test.key().display(),
    );
    let token = run("sh", &["-c", &script]);
    assert!(token.status.success(), "{token:?}");
    // In a process of its own: the token's library reads its configuration from the environment.
    let copy = folder.join("token.sys");
    let identity = Identity::Token {
        module: "/usr/lib/softhsm/libsofthsm2.so".into(),
        certificate: text(&made.test.certificate()).to_owned(),
        key: "pkcs11:token=vrnic;object=signing".to_owned(),
    };
    let signer = Signer {
        identity,
        password: Some(pin),
        timestamp: None,
    };
    let output = signer
        .command(&image(), &copy)
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    verify(&copy, None, &made.test.certificate()).expect("a good signature");
}

#[test]
fn a_package_that_cannot_be_made_leaves_the_older_one() {
    let made = made();
    let output = made.folder.path().join("kept");
    let (mut signer, _) = signer(made.test.certificate().parent().expect("a folder"));
    let package = Package::make(&image(), &output, &signer).expect("made");
    let before = fs::read(package.file("vrnic.cat")).expect("it is there");
    signer.identity = Identity::Pfx("/no/such/file".into());
    Package::make(&image(), &output, &signer).expect_err("nothing to sign with");
    assert_eq!(fs::read(package.file("vrnic.cat")).expect("it is there"), before);
}

#[test]
fn the_cabinet_for_attestation_has_the_package_in_a_folder() {
    let made = made();
    let (signer, _) = signer(made.test.certificate().parent().expect("a folder"));
    let own = Signer {
        identity: Identity::Files {
            certificates: made.test.certificate(),
            key: made.test.key(),
        },
        ..signer.clone()
    };
    let package = Package::make(&image(), &made.folder.path().join("attested"), &own).expect("made");
    package.hand_over(&own).expect("handed over");
    let list = run("gcab", &["--list", text(&package.cabinet())]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut names: Vec<&str> = list.lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "vrnic\\vrnic.cat",
            "vrnic\\vrnic.inf",
            "vrnic\\vrnic.pdb",
            "vrnic\\vrnic.sys"
        ]
    );
    verify(&package.cabinet(), None, &made.test.certificate()).expect("it is signed");
    // Microsoft would not take a test certificate's: the user signs this one.
    package.hand_over(&signer).expect("handed over");
    verify(&package.cabinet(), None, &made.test.certificate()).expect_err("it is not signed");
}
