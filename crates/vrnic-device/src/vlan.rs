//! IEEE 802.1Q tags, which stand between the addresses and the rest of an Ethernet frame.

use std::borrow::Cow;

use roce_wire::eth::EtherType;

/// Where a tag is: behind both addresses.
const AT: usize = 12;
const LEN: usize = 4;
/// The bits of a tag that hold the VLAN id.
const ID: u16 = 0xFFF;

/// A tag as it is in the frame.
pub(crate) fn tag_bytes(tag: u16) -> [u8; LEN] {
    let ([a, b], [c, d]) = (EtherType::VLAN.0.to_be_bytes(), tag.to_be_bytes());
    [a, b, c, d]
}

/// Puts a tag into a frame. Zero: none.
pub(crate) fn tag(frame: &[u8], tag: u16) -> Cow<'_, [u8]> {
    match frame.split_at_checked(AT) {
        Some((addresses, rest)) if tag != 0 => Cow::Owned([addresses, &tag_bytes(tag), rest].concat()),
        _ => Cow::Borrowed(frame),
    }
}

/// Takes the tag, if there is one, out of a frame, and returns the VLAN id with what is left. Zero: none, or a tag that has
/// only a priority.
pub(crate) fn untag(frame: &[u8]) -> (u16, Cow<'_, [u8]>) {
    match frame.get(AT..AT + LEN) {
        Some(&[a, b, c, d]) if u16::from_be_bytes([a, b]) == EtherType::VLAN.0 => {
            let rest = [&frame[..AT], &frame[AT + LEN..]].concat();
            (u16::from_be_bytes([c, d]) & ID, Cow::Owned(rest))
        }
        _ => (0, Cow::Borrowed(frame)),
    }
}
