//! A frame of any bytes is refused, or can be written and read again.
//!
//! The fuzzer cannot guess an invariant CRC, so the one that is asked for is put in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use roce_wire::cm::CmMad;
use roce_wire::frame::{Frame, FrameError};
use roce_wire::icrc;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    if let Err(FrameError::Icrc { found, expected }) = Frame::parse(&bytes) {
        // It is at the end of the IP packet, which is not always the end of the frame.
        let found = found.to_le_bytes();
        let Some(position) = bytes.windows(icrc::LEN).rposition(|window| window == found) else {
            return;
        };
        bytes[position..position + icrc::LEN].copy_from_slice(&expected.to_le_bytes());
    }
    let Ok(frame) = Frame::parse(&bytes) else { return };
    let mut buffer = vec![0; bytes.len()];
    let length = frame
        .write(&mut buffer)
        .expect("a frame that was read can be written");
    assert_eq!(Frame::parse(&buffer[..length]), Ok(frame));
    if let Ok(mad) = frame.gsi_mad() {
        let _ = CmMad::from_bytes(mad);
    }
});
