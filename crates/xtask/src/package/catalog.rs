//! The catalog of a package: a signed list of the hashes of its files, by which Windows knows that they are the publisher's.
//!
//! It is a PKCS #7 `SignedData` around a certificate trust list, in the second version that catalogs for Windows 10 have.
//! Each file is a member twice, as in catalogs that Microsoft signs: under its SHA-1, and under its SHA-256 with the hash as
//! Authenticode has it (`SpcIndirectData`), for an image with the hashes of its pages. `osslsigncode` signs what this module
//! makes.

use anyhow::Result;
use der::asn1::{AnyRef, BmpString, Null, ObjectIdentifier, OctetStringRef, UtcTime};
use der::{DateTime, Encode, Tag, TagNumber};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::pe::Image;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// `szOID_CTL`
const TRUST_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.1");
/// `szOID_CATALOG_LIST`
const CATALOG_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.1");
/// `szOID_CATALOG_LIST_MEMBER2`
const MEMBERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.3");
/// `CAT_NAMEVALUE_OBJID`
const NAME_VALUE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.1");
/// `CAT_MEMBERINFO2_OBJID`
const MEMBER_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.3");
/// `SPC_INDIRECT_DATA_OBJID`
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// `SPC_PE_IMAGE_DATA_OBJID`
const IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// `SPC_CAB_DATA_OBJID`, which flat files have too.
const FLAT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.25");
/// `SPC_PE_IMAGE_PAGE_HASHES_V2_OBJID`: SHA-256.
const PAGE_HASHES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.3.2");

/// The class of the serialized object with the page hashes (`SpcSerializedObject`).
const PAGE_HASH_CLASS: [u8; 16] = [
    0xA6, 0xB5, 0x86, 0xD5, 0xB4, 0xA1, 0x24, 0x66, 0xAE, 0x05, 0xA2, 0x17, 0xDA, 0x8E, 0x60, 0xD6,
];

/// `CRYPTCAT_ATTR_AUTHENTICATED`, `…_NAMEASCII`, `…_DATAASCII`: how the values of catalogs are marked.
const ATTRIBUTE: u32 = 0x1001_0001;

/// The systems that the files are for, in each member: Windows 10 and its successors, whose kernel has version 10.0.
pub const MEMBER_SYSTEMS: &str = "2:10.0";

/// The same for the catalog as a whole, as `Inf2Cat`'s `/os:10_X64` says it.
pub const SYSTEMS: &str = "_v100_X64";

/// A file of the package.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is in it.
    pub content: &'a [u8],
}

/// The catalog of these files, not signed. An image is recognised by its beginning.
///
/// # Errors
/// When an image cannot be read.
pub fn build(members: &[Member], hardware_ids: &[String], date: DateTime) -> Result<Vec<u8>> {
    let mut entries = Vec::new();
    for member in members {
        entries.extend(member_entries(member)?);
    }
    // In the order of their hashes.
    entries.sort();
    let entries: Vec<Vec<u8>> = entries.into_iter().map(|(_, entry)| entry).collect();
    let entries = sequence(&entries)?;
    // An arbitrary number that tells lists apart: the same files give the same list.
    let identifier = &Sha256::digest(&entries)[..16];

    let mut attributes = vec![extension("OS", SYSTEMS)?];
    for (number, id) in (1..).zip(hardware_ids) {
        attributes.push(extension(&format!("HWID{number}"), &id.to_ascii_lowercase())?);
    }
    let list = sequence(&[
        sequence(&[CATALOG_LIST.to_der()?])?,
        octets(identifier)?,
        UtcTime::from_date_time(date)?.to_der()?,
        sequence(&[MEMBERS.to_der()?, Null.to_der()?])?,
        entries,
        tagged(0, &sequence(&attributes)?)?,
    ])?;
    let signed_data = sequence(&[
        1_u8.to_der()?,
        set(Vec::new())?,
        sequence(&[TRUST_LIST.to_der()?, tagged(0, &list)?])?,
        set(Vec::new())?,
    ])?;
    sequence(&[SIGNED_DATA.to_der()?, tagged(0, &signed_data)?])
}

/// The two entries of a member, each after the hash under which it is found.
fn member_entries(member: &Member) -> Result<[(Vec<u8>, Vec<u8>); 2]> {
    let image = member
        .content
        .starts_with(b"MZ")
        .then(|| Image::parse(member.content))
        .transpose()?;
    let (sha1, sha256) = match &image {
        Some(image) => (image.digest::<Sha1>(), image.digest::<Sha256>()),
        None => (
            Sha1::digest(member.content).to_vec(),
            Sha256::digest(member.content).to_vec(),
        ),
    };
    // The kind of the file: an image, or any file.
    let kind = implicit(if image.is_some() { 0 } else { 2 }, &[])?;
    let attributes = vec![
        attribute(MEMBER_INFO, kind)?,
        attribute(NAME_VALUE, name_value("OSAttr", MEMBER_SYSTEMS)?)?,
        attribute(NAME_VALUE, name_value("File", member.name)?)?,
    ];
    let hash = sequence(&[sequence(&[SHA_256.to_der()?, Null.to_der()?])?, octets(&sha256)?])?;
    let indirect_data = sequence(&[spc_data(image.as_ref())?, hash])?;
    let mut with_hash = attributes.clone();
    with_hash.push(attribute(INDIRECT_DATA, indirect_data)?);
    let short = sequence(&[octets(&sha1)?, set(attributes)?])?;
    let long = sequence(&[octets(&sha256)?, set(with_hash)?])?;
    Ok([(sha1, short), (sha256, long)])
}

/// `SpcAttributeTypeAndOptionalValue`: what was hashed.
fn spc_data(image: Option<&Image>) -> Result<Vec<u8>> {
    let Some(image) = image else {
        // A link (SpcLink) to an empty file name.
        let link = tagged(2, &implicit(0, &[])?)?;
        return sequence(&[FLAT_DATA.to_der()?, link]);
    };
    let hashes = sequence(&[PAGE_HASHES.to_der()?, set(vec![octets(&image.page_hashes())?])?])?;
    let object = [octets(&PAGE_HASH_CLASS)?, octets(&set(vec![hashes])?)?].concat();
    let link = tagged(1, &object)?;
    // No flags (SpcPeImageFlags): resources and imports are hashed with the rest.
    let flags = AnyRef::new(Tag::BitString, &[0])?.to_der()?;
    sequence(&[IMAGE_DATA.to_der()?, sequence(&[flags, tagged(0, &link)?])?])
}

/// `CatalogNameValue`: the value is UTF-16, as Windows has it in memory, with a zero at the end.
fn name_value(name: &str, value: &str) -> Result<Vec<u8>> {
    let units: Vec<u8> = value
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    sequence(&[
        BmpString::from_utf8(name)?.to_der()?,
        ATTRIBUTE.to_der()?,
        octets(&units)?,
    ])
}

/// An attribute of a member.
fn attribute(kind: ObjectIdentifier, value: Vec<u8>) -> Result<Vec<u8>> {
    sequence(&[kind.to_der()?, set(vec![value])?])
}

/// An attribute of the catalog.
fn extension(name: &str, value: &str) -> Result<Vec<u8>> {
    sequence(&[NAME_VALUE.to_der()?, octets(&name_value(name, value)?)?])
}

fn sequence(parts: &[Vec<u8>]) -> Result<Vec<u8>> {
    Ok(AnyRef::new(Tag::Sequence, &parts.concat())?.to_der()?)
}

/// A set, in the order that DER wants.
fn set(mut parts: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    parts.sort();
    Ok(AnyRef::new(Tag::Set, &parts.concat())?.to_der()?)
}

fn octets(content: &[u8]) -> Result<Vec<u8>> {
    Ok(OctetStringRef::new(content)?.to_der()?)
}

/// `[number]` around DER.
fn tagged(number: u32, content: &[u8]) -> Result<Vec<u8>> {
    context_specific(number, true, content)
}

/// `[number]` instead of a primitive type's tag.
fn implicit(number: u32, content: &[u8]) -> Result<Vec<u8>> {
    context_specific(number, false, content)
}

fn context_specific(number: u32, constructed: bool, content: &[u8]) -> Result<Vec<u8>> {
    let tag = Tag::ContextSpecific {
        constructed,
        number: TagNumber(number),
    };
    Ok(AnyRef::new(tag, content)?.to_der()?)
}
