//! The hashes of an image that a signature covers (Windows Authenticode Portable Executable Signature Format).
//!
//! They leave out what signing changes: the checksum, the entry of the certificate table, and that table. So a signed image
//! and the image before that have the same ones.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Offset of the offset of the PE header.
const NEW_HEADER: usize = 0x3C;
/// Length of the signature and of the COFF header.
const COFF: usize = 24;
/// Offset of the alignment of sections in memory in the optional header.
const ALIGNMENT: usize = 32;
/// Offset of the length of all headers in the optional header.
const HEADERS: usize = 60;
/// Offset of the checksum in the optional header.
const CHECKSUM: usize = 64;
/// Offset of the entry of the certificate table in the optional header of a 64-bit image.
const CERTIFICATES: usize = 112 + 4 * 8;
/// `IMAGE_NT_OPTIONAL_HDR64_MAGIC`
const MAGIC_64: u16 = 0x20B;
/// Size of a page, in bytes.
const PAGE: usize = 4096;
/// Length of an entry in the section table.
const SECTION: usize = 40;
/// Signatures begin at a multiple of this.
const SIGNATURE_ALIGNMENT: usize = 8;

/// A 64-bit image.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    /// Offset of the checksum.
    checksum: usize,
    /// Offset of the entry of the certificate table.
    certificates: usize,
    /// Where the content ends and the certificate table begins.
    end: usize,
    headers: usize,
    /// Where the sections begin, and how long they are.
    sections: Vec<(usize, usize)>,
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16> {
    let field = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    Ok(u16::from_le_bytes(*field.context("the image is cut short")?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<usize> {
    let field = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    let value = u32::from_le_bytes(*field.context("the image is cut short")?);
    Ok(usize::try_from(value)?)
}

impl<'a> Image<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// When this is no 64-bit image, or one whose parts overlap or end after the file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        ensure!(bytes.starts_with(b"MZ"), "this is no executable image");
        let coff = u32_at(bytes, NEW_HEADER)?;
        ensure!(
            bytes.get(coff..).is_some_and(|rest| rest.starts_with(b"PE\0\0")),
            "this is no PE image"
        );
        let optional = coff + COFF;
        ensure!(u16_at(bytes, optional)? == MAGIC_64, "this is no 64-bit image");
        let certificates = optional + CERTIFICATES;
        let (start, length) = (u32_at(bytes, certificates)?, u32_at(bytes, certificates + 4)?);
        let end = if start == 0 { bytes.len() } else { start };
        ensure!(
            start == 0 || start.checked_add(length) == Some(bytes.len()),
            "the certificate table is not at the end"
        );
        let headers = u32_at(bytes, optional + HEADERS)?;
        ensure!(
            u32_at(bytes, optional + ALIGNMENT)? == PAGE,
            "the sections are not aligned to pages"
        );
        ensure!(
            certificates + 8 <= headers && headers <= end && headers <= PAGE,
            "the headers have no sensible length"
        );
        let table = optional + usize::from(u16_at(bytes, coff + 20)?);
        let mut sections = Vec::new();
        for index in 0..usize::from(u16_at(bytes, coff + 6)?) {
            let entry = table + index * SECTION;
            let (length, start) = (u32_at(bytes, entry + 16)?, u32_at(bytes, entry + 20)?);
            ensure!(
                start
                    .checked_add(length)
                    .is_some_and(|section_end| section_end <= end),
                "a section ends after the image"
            );
            if length != 0 {
                sections.push((start, length));
            }
        }
        sections.sort_unstable();
        Ok(Self {
            bytes,
            checksum: optional + CHECKSUM,
            certificates,
            end,
            headers,
            sections,
        })
    }

    /// Hashes the headers up to `end` without what signing changes.
    fn hash_headers(&self, hash: &mut impl Digest, end: usize) {
        hash.update(&self.bytes[..self.checksum]);
        hash.update(&self.bytes[self.checksum + 4..self.certificates]);
        hash.update(&self.bytes[self.certificates + 8..end]);
    }

    /// The hash of the image.
    #[must_use]
    pub fn digest<D: Digest>(&self) -> Vec<u8> {
        let mut hash = D::new();
        self.hash_headers(&mut hash, self.end);
        let padding = self.end.next_multiple_of(SIGNATURE_ALIGNMENT) - self.end;
        hash.update(&[0; SIGNATURE_ALIGNMENT][..padding]);
        hash.finalize().to_vec()
    }

    /// The SHA-256 hash of each page, each after its offset in the file: the headers, the pages of the sections, and a last
    /// one of zeros that marks the end.
    #[must_use]
    pub fn page_hashes(&self) -> Vec<u8> {
        let mut table = Vec::new();
        let mut add = |offset: usize, hash: &[u8]| {
            // Offsets in an image have 32 bits.
            table.extend_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
            table.extend_from_slice(hash);
        };
        let zeros = [0; PAGE];
        let mut hash = Sha256::new();
        self.hash_headers(&mut hash, self.headers);
        hash.update(&zeros[self.headers..]);
        add(0, &hash.finalize());
        let mut end = self.headers;
        for (start, length) in &self.sections {
            let section = &self.bytes[*start..start + length];
            for (index, page) in section.chunks(PAGE).enumerate() {
                let hash = Sha256::new()
                    .chain_update(page)
                    .chain_update(&zeros[page.len()..]);
                add(start + index * PAGE, &hash.finalize());
            }
            end = start + length;
        }
        add(end, &[0; 32]);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn what_is_no_image_is_refused() {
        let mut image = vec![0; 0x400];
        image[..2].copy_from_slice(b"MZ");
        image[0x3C] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x58..0x5A].copy_from_slice(&0x20B_u16.to_le_bytes());
        let mut aligned = image.clone();
        aligned[0x78..0x7C].copy_from_slice(&4096_u32.to_le_bytes());
        for (spoiled, complaint) in [
            (&b"text"[..], "no executable"),
            (&image[..0x30], "cut short"),
            (&image[..0x42], "no PE"),
            (&image[..0x60], "cut short"),
            (&image[..], "not aligned"),
            (&aligned[..], "no sensible length"),
        ] {
            let error = Image::parse(spoiled).expect_err("refused").to_string();
            assert!(error.contains(complaint), "{complaint}: {error}");
        }
    }
}
