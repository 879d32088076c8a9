//! Large sends: consecutive segments of a TCP connection become one, which the adapter cuts up again.

use crate::ndis::frame::{Headers, TCP};

/// A frame to send; with the payload of each segment if the adapter shall cut it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The frame, with a length of zero in its IP header if it is to be cut up.
    pub frame: Vec<u8>,
    /// `MSS`.
    pub segment: Option<usize>,
}

/// Offsets in a TCP header.
const SEQUENCE: usize = 4;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
/// PSH may be set in the last segment only, and stays.
const PUSH: u8 = 8;
const ACKNOWLEDGE: u8 = 16;

/// A segment that can be part of a large send.
struct Segment {
    headers: Headers,
    payload: usize,
    sequence: u32,
    flags: u8,
}

impl Segment {
    fn of(frame: &[u8]) -> Option<Self> {
        let headers = Headers::of(frame).filter(|headers| headers.protocol == TCP && !headers.fragment)?;
        let tcp = frame.get(headers.transport..headers.transport + 20)?;
        let payload = headers.transport + usize::from(tcp[DATA_OFFSET] >> 4) * 4;
        let flags = tcp[FLAGS];
        let sequence = u32::from_be_bytes([
            tcp[SEQUENCE],
            tcp[SEQUENCE + 1],
            tcp[SEQUENCE + 2],
            tcp[SEQUENCE + 3],
        ]);
        (flags & !PUSH == ACKNOWLEDGE && payload < headers.end && headers.end == frame.len()).then_some(
            Self {
                headers,
                payload,
                sequence,
                flags,
            },
        )
    }
}

/// Whether all but what changes from segment to segment is the same: lengths, the identification, sequence, flags, checksums.
fn same_headers(one: &[u8], other: &[u8], headers: &Headers, end: usize) -> bool {
    let changing = |at: usize| {
        let ip = if headers.v6 {
            (headers.ip + 4..headers.ip + 6).contains(&at)
        } else {
            (headers.ip + 2..headers.ip + 6).contains(&at) || (headers.ip + 10..headers.ip + 12).contains(&at)
        };
        let tcp = at.checked_sub(headers.transport);
        ip || tcp.is_some_and(|at| (4..8).contains(&at) || at == FLAGS || (16..18).contains(&at))
    };
    (0..end).all(|at| changing(at) || one[at] == other[at])
}

/// Merges what can be merged, up to `limit` bytes of a frame. The order stays.
#[must_use]
pub fn merge(frames: Vec<Vec<u8>>, limit: usize) -> Vec<Whole> {
    let mut merged: Vec<Whole> = Vec::new();
    for frame in frames {
        let fits = merged.last_mut().is_some_and(|last| append(last, &frame, limit));
        if !fits {
            merged.push(Whole { frame, segment: None });
        }
    }
    for whole in merged.iter_mut().filter(|whole| whole.segment.is_some()) {
        let Some(headers) = Headers::of(&whole.frame) else {
            continue;
        };
        let length = if headers.v6 {
            headers.ip + 4
        } else {
            headers.ip + 2
        };
        whole.frame[length..length + 2].fill(0);
    }
    merged
}

/// Appends a segment to what was merged so far, if it is the next one.
fn append(last: &mut Whole, frame: &[u8], limit: usize) -> bool {
    // What was merged already is longer than its IP header says.
    let Some(headers) = Headers::of(&last.frame) else {
        return false;
    };
    let Some(first) = Segment::of(&last.frame[..headers.end]) else {
        return false;
    };
    let Some(next) = Segment::of(frame) else {
        return false;
    };
    let have = last.frame.len() - first.payload;
    let segment = last.segment.unwrap_or(have);
    let more = frame.len() - next.payload;
    let expected = first
        .sequence
        .wrapping_add(u32::try_from(have).unwrap_or(u32::MAX));
    let goes = have.is_multiple_of(segment)
        && more <= segment
        && next.sequence == expected
        && first.flags & PUSH == 0
        && first.payload == next.payload
        && first.headers.v6 == next.headers.v6
        && same_headers(&last.frame, frame, &first.headers, first.payload)
        && last.frame.len() + more <= limit;
    if goes {
        last.frame.extend_from_slice(&frame[next.payload..]);
        last.frame[first.headers.transport + FLAGS] |= next.flags & PUSH;
        last.segment = Some(segment);
    }
    goes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndis::frame::fill_checksums;

    fn segment(sequence: u32, payload: &[u8], flags: u8) -> Vec<u8> {
        let mut frame = vec![2; 12];
        let length = u16::try_from(40 + payload.len()).expect("short").to_be_bytes();
        frame.extend([8, 0, 0x45, 0, length[0], length[1]]);
        frame.extend([
            0,
            sequence.to_le_bytes()[0],
            0x40,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            1,
            10,
            0,
            0,
            2,
        ]);
        frame.extend([0, 80, 0, 90]);
        frame.extend(sequence.to_be_bytes());
        frame.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        frame.extend(payload);
        fill_checksums(&mut frame);
        frame
    }

    #[test]
    fn consecutive_segments_become_one() {
        let frames = vec![
            segment(0, &[1; 100], ACKNOWLEDGE),
            segment(100, &[2; 100], ACKNOWLEDGE),
            segment(200, &[3; 50], ACKNOWLEDGE | PUSH),
            segment(250, &[4; 50], ACKNOWLEDGE),
        ];
        let merged = merge(frames.clone(), 65_535);
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[0].segment, Some(100));
        assert_eq!(merged[0].frame.len(), 54 + 250);
        assert_eq!(merged[0].frame[16..18], [0, 0], "the length is not known");
        assert_eq!(merged[0].frame[14 + 20 + FLAGS], ACKNOWLEDGE | PUSH);
        assert_eq!(
            merged[1],
            Whole {
                frame: frames[3].clone(),
                segment: None
            }
        );
        assert_eq!(
            merge(frames.clone(), 54 + 150).len(),
            3,
            "room for the second and the third"
        );
        assert_eq!(merge(frames, 54 + 149).len(), 4, "no room for two");
    }

    #[test]
    fn what_does_not_follow_stays_apart() {
        let first = segment(0, &[1; 100], ACKNOWLEDGE);
        for other in [
            segment(101, &[2; 100], ACKNOWLEDGE),
            segment(100, &[2; 101], ACKNOWLEDGE),
            segment(100, &[2; 100], ACKNOWLEDGE | 1),
            segment(100, &[], ACKNOWLEDGE),
            vec![0; 60],
        ] {
            assert_eq!(merge(vec![first.clone(), other], 65_535).len(), 2);
        }
    }
}
