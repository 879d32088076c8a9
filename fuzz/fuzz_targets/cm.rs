//! A datagram of any bytes is refused, or is a message that can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use roce_wire::cm::{CmMad, CmMessage};
use roce_wire::ip_cm::IpCmHeader;
use roce_wire::mad::MAD_LEN;

fuzz_target!(|input: &[u8]| {
    let mut mad = [0; MAD_LEN];
    let length = input.len().min(MAD_LEN);
    mad[..length].copy_from_slice(&input[..length]);
    let Ok(parsed) = CmMad::from_bytes(&mad) else {
        return;
    };
    assert_eq!(CmMad::from_bytes(&parsed.to_bytes()), Ok(parsed));
    match parsed.message {
        CmMessage::Req(req) => {
            if let Ok((header, consumer)) = IpCmHeader::parse(&req.private_data) {
                let again = header.private_data(consumer).expect("as long as it was");
                assert_eq!(IpCmHeader::parse(&again), Ok((header, consumer)));
            }
        }
        CmMessage::Rej(rej) => assert!(rej.ari().len() <= rej.ari.len()),
        _ => {}
    }
});
