//! IP addresses as text: the `RtlIpv4…` and `RtlIpv6…` routines (ip2string.h), with and without ports.

use super::status::{self, NtStatus};
use crate::exports;
use crate::memory;
use std::net::{Ipv4Addr, Ipv6Addr};

exports! {
    /// IP addresses as text.
    pub static EXPORTS: "ntoskrnl.exe" = {
        RtlIpv4StringToAddressExW = function(rtl_ipv4_string_to_address_ex_w, any());
        RtlIpv4StringToAddressExA = function(rtl_ipv4_string_to_address_ex_a, any());
        RtlIpv4StringToAddressW = function(rtl_ipv4_string_to_address_w, any());
        RtlIpv4StringToAddressA = function(rtl_ipv4_string_to_address_a, any());
        RtlIpv6StringToAddressExW = function(rtl_ipv6_string_to_address_ex_w, any());
        RtlIpv6StringToAddressExA = function(rtl_ipv6_string_to_address_ex_a, any());
        RtlIpv6StringToAddressW = function(rtl_ipv6_string_to_address_w, any());
        RtlIpv6StringToAddressA = function(rtl_ipv6_string_to_address_a, any());
        RtlIpv4AddressToStringExW = function(rtl_ipv4_address_to_string_ex_w, any());
        RtlIpv4AddressToStringExA = function(rtl_ipv4_address_to_string_ex_a, any());
        RtlIpv4AddressToStringW = function(rtl_ipv4_address_to_string_w, any());
        RtlIpv4AddressToStringA = function(rtl_ipv4_address_to_string_a, any());
        RtlIpv6AddressToStringExW = function(rtl_ipv6_address_to_string_ex_w, any());
        RtlIpv6AddressToStringExA = function(rtl_ipv6_address_to_string_ex_a, any());
        RtlIpv6AddressToStringW = function(rtl_ipv6_address_to_string_w, any());
        RtlIpv6AddressToStringA = function(rtl_ipv6_address_to_string_a, any());
    }
}

/// Longest text that is looked at.
const LIMIT: usize = 128;

/// Bytes of a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Narrow,
    Wide,
}

impl Width {
    const fn bytes(self) -> usize {
        match self {
            Self::Narrow => 1,
            Self::Wide => 2,
        }
    }

    fn read(self, address: usize) -> String {
        match self {
            Self::Narrow => String::from_utf8_lossy(&memory::read_c_string(address, LIMIT)).into_owned(),
            Self::Wide => memory::read_wide_string(address, LIMIT),
        }
    }

    /// Writes ASCII text and a NUL; returns where the NUL is.
    fn write(self, address: usize, text: &str) -> usize {
        for (index, byte) in text.bytes().chain([0]).enumerate() {
            match self {
                Self::Narrow => memory::write(address + index, byte),
                Self::Wide => memory::write(address + 2 * index, u16::from(byte)),
            }
        }
        address + text.len() * self.bytes()
    }
}

/// A number as C writes it: `0x` hexadecimal, `0` octal.
fn c_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let all_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    all_digits
        .then(|| u32::from_str_radix(digits, radix).ok())
        .flatten()
}

/// An address of one to four parts, the last of which fills what is left.
fn parse_v4(text: &str, strict: bool) -> Option<Ipv4Addr> {
    if strict {
        return text.parse().ok();
    }
    let parts = text.split('.').map(c_number).collect::<Option<Vec<u32>>>()?;
    let (&last, bytes) = parts.split_last()?;
    let free = 32_u32.checked_sub(8 * u32::try_from(bytes.len()).ok()?)?;
    if bytes.iter().any(|&byte| byte > 255) || free == 0 || u64::from(last) >= 1 << free {
        return None;
    }
    let high = bytes
        .iter()
        .fold(0_u64, |high, &byte| high << 8 | u64::from(byte));
    u32::try_from(high << free | u64::from(last))
        .ok()
        .map(Ipv4Addr::from_bits)
}

/// `address` or `address:port`.
fn parse_v4_with_port(text: &str, strict: bool) -> Option<(Ipv4Addr, u16)> {
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (
            address,
            u16::try_from(c_number(port)?).ok().filter(|&port| port != 0)?,
        ),
        None => (text, 0),
    };
    Some((parse_v4(address, strict)?, port))
}

/// `address`, `address%scope`, `[address%scope]` or `[address%scope]:port`.
fn parse_v6_with_port(text: &str) -> Option<(Ipv6Addr, u32, u16)> {
    let (inside, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            match port.strip_prefix(':') {
                Some(port) => (
                    inside,
                    u16::try_from(c_number(port)?).ok().filter(|&port| port != 0)?,
                ),
                None if port.is_empty() => (inside, 0),
                None => return None,
            }
        }
        None => (text, 0),
    };
    let (address, scope) = match inside.split_once('%') {
        Some((address, scope)) => (address, scope.parse().ok()?),
        None => (inside, 0),
    };
    Some((address.parse().ok()?, scope, port))
}

/// The longest start of `text` that `parse` takes, and its length.
fn longest<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<(T, usize)> {
    let ends = (1..=text.len()).rev().filter(|&end| text.is_char_boundary(end));
    let mut found = ends.filter_map(|end| parse(&text[..end]).map(|value| (value, end)));
    found.next()
}

fn v4_with_port(width: Width, text: usize, strict: u8, address: usize, port: usize) -> NtStatus {
    if text == 0 || address == 0 || port == 0 {
        return status::INVALID_PARAMETER;
    }
    let Some((value, number)) = parse_v4_with_port(&width.read(text), strict != 0) else {
        return status::INVALID_PARAMETER;
    };
    memory::write(address, value.octets());
    memory::write(port, number.to_be_bytes());
    status::SUCCESS
}

fn v4(width: Width, text: usize, strict: u8, terminator: usize, address: usize) -> NtStatus {
    let found = longest(&width.read(text), |part| parse_v4(part, strict != 0));
    let end = found.as_ref().map_or(0, |&(_, end)| end);
    memory::write(terminator, text + end * width.bytes());
    let Some((value, _)) = found else {
        return status::INVALID_PARAMETER;
    };
    memory::write(address, value.octets());
    status::SUCCESS
}

fn v6_with_port(width: Width, text: usize, address: usize, scope: usize, port: usize) -> NtStatus {
    if text == 0 || address == 0 || scope == 0 || port == 0 {
        return status::INVALID_PARAMETER;
    }
    let Some((value, scope_id, number)) = parse_v6_with_port(&width.read(text)) else {
        return status::INVALID_PARAMETER;
    };
    memory::write(address, value.octets());
    memory::write(scope, scope_id);
    memory::write(port, number.to_be_bytes());
    status::SUCCESS
}

fn v6(width: Width, text: usize, terminator: usize, address: usize) -> NtStatus {
    let found = longest(&width.read(text), |part| part.parse::<Ipv6Addr>().ok());
    let end = found.as_ref().map_or(0, |&(_, end)| end);
    memory::write(terminator, text + end * width.bytes());
    let Some((value, _)) = found else {
        return status::INVALID_PARAMETER;
    };
    memory::write(address, value.octets());
    status::SUCCESS
}

/// Writes text where `length` characters fit, and says how many it takes with its NUL.
fn write_bounded(width: Width, text: &str, out: usize, length: usize) -> NtStatus {
    if out == 0 || length == 0 {
        return status::INVALID_PARAMETER;
    }
    let room: u32 = memory::read(length);
    let needed = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
    memory::write(length, needed);
    if room < needed {
        return status::INVALID_PARAMETER;
    }
    width.write(out, text);
    status::SUCCESS
}

fn v4_text(address: usize) -> String {
    Ipv4Addr::from(memory::read::<[u8; 4]>(address)).to_string()
}

fn v6_text(address: usize) -> String {
    Ipv6Addr::from(memory::read::<[u8; 16]>(address)).to_string()
}

fn v4_to_bounded(width: Width, address: usize, port: u16, out: usize, length: usize) -> NtStatus {
    if address == 0 {
        return status::INVALID_PARAMETER;
    }
    let text = match u16::from_be(port) {
        0 => v4_text(address),
        port => format!("{}:{port}", v4_text(address)),
    };
    write_bounded(width, &text, out, length)
}

fn v6_to_bounded(width: Width, address: usize, scope: u32, port: u16, out: usize, length: usize) -> NtStatus {
    if address == 0 {
        return status::INVALID_PARAMETER;
    }
    let mut text = v6_text(address);
    if scope != 0 {
        text = format!("{text}%{scope}");
    }
    let port = u16::from_be(port);
    if port != 0 {
        text = format!("[{text}]:{port}");
    }
    write_bounded(width, &text, out, length)
}

extern "win64" fn rtl_ipv4_string_to_address_ex_w(
    text: usize,
    strict: u8,
    address: usize,
    port: usize,
) -> NtStatus {
    v4_with_port(Width::Wide, text, strict, address, port)
}

extern "win64" fn rtl_ipv4_string_to_address_ex_a(
    text: usize,
    strict: u8,
    address: usize,
    port: usize,
) -> NtStatus {
    v4_with_port(Width::Narrow, text, strict, address, port)
}

extern "win64" fn rtl_ipv4_string_to_address_w(
    text: usize,
    strict: u8,
    end: usize,
    address: usize,
) -> NtStatus {
    v4(Width::Wide, text, strict, end, address)
}

extern "win64" fn rtl_ipv4_string_to_address_a(
    text: usize,
    strict: u8,
    end: usize,
    address: usize,
) -> NtStatus {
    v4(Width::Narrow, text, strict, end, address)
}

extern "win64" fn rtl_ipv6_string_to_address_ex_w(
    text: usize,
    address: usize,
    scope: usize,
    port: usize,
) -> NtStatus {
    v6_with_port(Width::Wide, text, address, scope, port)
}

extern "win64" fn rtl_ipv6_string_to_address_ex_a(
    text: usize,
    address: usize,
    scope: usize,
    port: usize,
) -> NtStatus {
    v6_with_port(Width::Narrow, text, address, scope, port)
}

extern "win64" fn rtl_ipv6_string_to_address_w(text: usize, end: usize, address: usize) -> NtStatus {
    v6(Width::Wide, text, end, address)
}

extern "win64" fn rtl_ipv6_string_to_address_a(text: usize, end: usize, address: usize) -> NtStatus {
    v6(Width::Narrow, text, end, address)
}

extern "win64" fn rtl_ipv4_address_to_string_ex_w(
    address: usize,
    port: u16,
    out: usize,
    length: usize,
) -> NtStatus {
    v4_to_bounded(Width::Wide, address, port, out, length)
}

extern "win64" fn rtl_ipv4_address_to_string_ex_a(
    address: usize,
    port: u16,
    out: usize,
    length: usize,
) -> NtStatus {
    v4_to_bounded(Width::Narrow, address, port, out, length)
}

extern "win64" fn rtl_ipv4_address_to_string_w(address: usize, out: usize) -> usize {
    Width::Wide.write(out, &v4_text(address))
}

extern "win64" fn rtl_ipv4_address_to_string_a(address: usize, out: usize) -> usize {
    Width::Narrow.write(out, &v4_text(address))
}

extern "win64" fn rtl_ipv6_address_to_string_ex_w(
    address: usize,
    scope: u32,
    port: u16,
    out: usize,
    length: usize,
) -> NtStatus {
    v6_to_bounded(Width::Wide, address, scope, port, out, length)
}

extern "win64" fn rtl_ipv6_address_to_string_ex_a(
    address: usize,
    scope: u32,
    port: u16,
    out: usize,
    length: usize,
) -> NtStatus {
    v6_to_bounded(Width::Narrow, address, scope, port, out, length)
}

extern "win64" fn rtl_ipv6_address_to_string_w(address: usize, out: usize) -> usize {
    Width::Wide.write(out, &v6_text(address))
}

extern "win64" fn rtl_ipv6_address_to_string_a(address: usize, out: usize) -> usize {
    Width::Narrow.write(out, &v6_text(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_ipv4_is_four_decimal_parts_and_the_rest_is_what_c_allows() {
        assert_eq!(parse_v4("10.0.0.2", true), Some(Ipv4Addr::new(10, 0, 0, 2)));
        for text in ["10.1", "0x7f.0.0.1", "10.0.0.256", "", "10.0.0.1.2"] {
            assert_eq!(parse_v4(text, true), None, "{text}");
        }
        assert_eq!(parse_v4("10.1", false), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(parse_v4("0x7F.0.0.010", false), Some(Ipv4Addr::new(127, 0, 0, 8)));
        assert_eq!(parse_v4("4294967295", false), Some(Ipv4Addr::BROADCAST));
        for text in ["10.16777216", "1.2.3.4.5", "256.1", "09.1", "1..2"] {
            assert_eq!(parse_v4(text, false), None, "{text}");
        }
    }

    #[test]
    fn ports_follow_a_colon() {
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert_eq!(parse_v4_with_port("10.0.0.2:54321", true), Some((address, 54321)));
        assert_eq!(parse_v4_with_port("10.0.0.2", true), Some((address, 0)));
        for text in ["10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0.2:x"] {
            assert_eq!(parse_v4_with_port(text, true), None, "{text}");
        }
        let address: Ipv6Addr = "fe80::2".parse().expect("an address");
        assert_eq!(parse_v6_with_port("[fe80::2%12]:445"), Some((address, 12, 445)));
        assert_eq!(parse_v6_with_port("fe80::2%12"), Some((address, 12, 0)));
        assert_eq!(parse_v6_with_port("[fe80::2]"), Some((address, 0, 0)));
        for text in ["[fe80::2", "[fe80::2]445", "[fe80::2]:", "fe80::2:445:x"] {
            assert_eq!(parse_v6_with_port(text), None, "{text}");
        }
    }

    #[test]
    fn both_widths_are_read_and_written() {
        let text: Vec<u16> = "10.0.0.2:54321\0".encode_utf16().collect();
        let (mut address, mut port) = ([0_u8; 4], [0_u8; 2]);
        let at = |bytes: &mut [u8]| bytes.as_mut_ptr() as usize;
        let status =
            rtl_ipv4_string_to_address_ex_w(text.as_ptr() as usize, 1, at(&mut address), at(&mut port));
        assert_eq!(
            (status, address, port),
            (0, [10, 0, 0, 2], 54321_u16.to_be_bytes())
        );
        let (mut out, mut length) = ([0_u8; 22], 22_u32);
        let length_at = (&raw mut length) as usize;
        let status =
            rtl_ipv4_address_to_string_ex_a(at(&mut address), 54321_u16.to_be(), at(&mut out), length_at);
        assert_eq!((status, memory::read::<u32>(length_at)), (0, 15));
        assert_eq!(&out[..15], b"10.0.0.2:54321\0");
        memory::write(length_at, 14_u32);
        let status =
            rtl_ipv4_address_to_string_ex_a(at(&mut address), 54321_u16.to_be(), at(&mut out), length_at);
        assert_eq!(
            (status, memory::read::<u32>(length_at)),
            (status::INVALID_PARAMETER, 15)
        );
        let (narrow, mut end) = (b"10.0.0.9 tail\0", 0_usize);
        let status = rtl_ipv4_string_to_address_a(
            narrow.as_ptr() as usize,
            1,
            (&raw mut end) as usize,
            at(&mut address),
        );
        let end: usize = memory::read((&raw const end) as usize);
        assert_eq!(
            (status, end - narrow.as_ptr() as usize, address),
            (0, 8, [10, 0, 0, 9])
        );
    }
}
