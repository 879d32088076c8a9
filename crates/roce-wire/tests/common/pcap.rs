//! Reads the fixtures' captures: little-endian pcap of Ethernet frames.

/// The frames of a capture.
pub fn frames(capture: &[u8]) -> Vec<&[u8]> {
    assert_eq!(
        capture[..4],
        0xa1b2_c3d4_u32.to_le_bytes(),
        "little-endian pcap with microseconds"
    );
    let mut rest = &capture[24..];
    let mut frames = Vec::new();
    while let Some((header, tail)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (frame, tail) = tail.split_at(length);
        frames.push(frame);
        rest = tail;
    }
    assert!(rest.is_empty(), "the capture ends inside a record");
    frames
}
