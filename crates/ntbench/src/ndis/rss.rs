//! Receive side scaling, seen from above: frames come with the Toeplitz hash, on the processor that the indirection table names.

use super::adapter::Miniport;
use super::header;
use super::oid::Answer;
use super::receive::Received;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NDIS_HASH_FUNCTION_MASK, NDIS_HASH_IPV4, NDIS_HASH_IPV6, NDIS_HASH_TCP_IPV4, NDIS_HASH_TCP_IPV6,
    NDIS_OBJECT_TYPE_RSS_PARAMETERS, NDIS_RECEIVE_SCALE_PARAMETERS, NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_2,
    NDIS_RSS_PARAM_FLAG_DISABLE_RSS, NDIS_SIZEOF_RECEIVE_SCALE_PARAMETERS_REVISION_2,
    NdisHashFunctionToeplitz, NetBufferListHashInfo, NetBufferListHashValue,
    OID_GEN_RECEIVE_SCALE_PARAMETERS, PROCESSOR_NUMBER,
};
use std::time::{Duration, Instant};

/// How long frames may still come as the parameters before said.
const GRACE: Duration = Duration::from_secs(2);

/// What `OID_GEN_RECEIVE_SCALE_PARAMETERS` sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `NDIS_HASH_*` types.
    pub types: u32,
    /// The secret key.
    pub key: [u8; 40],
    /// The processor of each entry; as many as a power of two. None turns scaling off.
    pub table: Vec<u8>,
}

impl Parameters {
    /// All types that NDIS 6.30 has for both families, Microsoft's key of the verification suite, and those processors in turn.
    #[must_use]
    pub fn over(processors: &[u8], entries: usize) -> Self {
        Self {
            types: NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6 | NDIS_HASH_TCP_IPV6,
            key: VERIFICATION_KEY,
            table: processors.iter().copied().cycle().take(entries).collect(),
        }
    }

    /// The structure with its tables.
    fn encode(&self) -> Vec<u8> {
        let size = size_of::<NDIS_RECEIVE_SCALE_PARAMETERS>();
        let table = self.table.len() * size_of::<PROCESSOR_NUMBER>();
        let mut value = NDIS_RECEIVE_SCALE_PARAMETERS::zeroed();
        value.Header = header::make::<NDIS_RECEIVE_SCALE_PARAMETERS>(
            NDIS_OBJECT_TYPE_RSS_PARAMETERS,
            NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_2,
        );
        value.Header.Size = NDIS_SIZEOF_RECEIVE_SCALE_PARAMETERS_REVISION_2;
        if self.table.is_empty() {
            value.Flags = NDIS_RSS_PARAM_FLAG_DISABLE_RSS;
        } else {
            value.HashInformation = self.types | NdisHashFunctionToeplitz;
        }
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        value.IndirectionTableSize = u16::try_from(table).unwrap_or(u16::MAX);
        value.IndirectionTableOffset = number(size);
        value.HashSecretKeySize = 40;
        value.HashSecretKeyOffset = number(size + table);
        let mut bytes = memory::read_bytes((&raw const value).addr(), size);
        for &processor in &self.table {
            bytes.extend([0, 0, processor, 0]);
        }
        bytes.extend(self.key);
        bytes
    }
}

/// The key of Microsoft's RSS verification suite.
pub const VERIFICATION_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
    0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
    0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// The parameters in force, and those before, until frames that were on their way have come.
#[derive(Default)]
pub(super) struct Scaling {
    current: Option<Parameters>,
    /// Since when the current ones are in force; none were before, if there are no others.
    since: Option<Instant>,
    previous: Vec<(Parameters, Instant)>,
}

impl Scaling {
    fn set(&mut self, new: Parameters) {
        let now = Instant::now();
        self.previous.retain(|one| now - one.1 < GRACE);
        if let Some(old) = self.current.replace(new) {
            self.previous.push((old, now));
        }
        self.since = Some(now);
    }

    /// Whether a frame may still have been on its way when the current parameters were set.
    fn fits_before(&self, received: &Received) -> bool {
        let recent = self.since.is_some_and(|since| since.elapsed() < GRACE);
        let all = || self.previous.iter().filter(|one| one.1.elapsed() < GRACE);
        recent && (self.previous.is_empty() || all().any(|one| judge(&one.0, received).is_ok()))
    }
}

impl Miniport {
    /// Sets `OID_GEN_RECEIVE_SCALE_PARAMETERS`.
    pub fn set_rss(&self, parameters: &Parameters) -> Answer {
        // From here on the driver may use either.
        self.scaling.lock().set(parameters.clone());
        let answer = self.oid_set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &parameters.encode());
        let mut scaling = self.scaling.lock();
        if answer.status != ndk_sys::NDIS_STATUS_SUCCESS {
            scaling.current = scaling.previous.pop().map(|one| one.0);
        }
        scaling.since = Some(Instant::now());
        answer
    }
}

/// The Toeplitz hash.
#[must_use]
pub fn toeplitz(key: &[u8; 40], input: &[u8]) -> u32 {
    let bit = |at: usize| u32::from(key[at / 8 % 40] >> (7 - at % 8) & 1);
    let mut window = u32::from_be_bytes([key[0], key[1], key[2], key[3]]);
    let mut hash = 0;
    for (index, byte) in input.iter().enumerate() {
        for position in 0..8 {
            if byte >> (7 - position) & 1 == 1 {
                hash ^= window;
            }
            window = window << 1 | bit(32 + index * 8 + position);
        }
    }
    hash
}

/// What of a frame is hashed: the type, and the fields. `None`: nothing, or headers that this does not read.
fn input(frame: &[u8], types: u32) -> Option<(u32, Vec<u8>)> {
    let ethertype = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let packet = frame.get(14..)?;
    let (addresses, protocol, next, ip, tcp, fragment) = match ethertype {
        0x0800 => {
            let header = usize::from(packet.first()? & 15) * 4;
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3FFF != 0;
            (
                packet.get(12..20)?,
                *packet.get(9)?,
                packet.get(header..)?,
                NDIS_HASH_IPV4,
                NDIS_HASH_TCP_IPV4,
                fragment,
            )
        }
        0x86DD => (
            packet.get(8..40)?,
            *packet.get(6)?,
            packet.get(40..)?,
            NDIS_HASH_IPV6,
            NDIS_HASH_TCP_IPV6,
            false,
        ),
        _ => return None,
    };
    // Extension headers may have other addresses.
    if ethertype == 0x86DD && matches!(protocol, 0 | 43 | 44 | 51 | 60) {
        return None;
    }
    if types & tcp != 0 && protocol == 6 && !fragment {
        return Some((tcp, [addresses, next.get(..4)?].concat()));
    }
    (types & ip != 0).then(|| (ip, addresses.to_vec()))
}

/// Checks a frame that was indicated against the parameters in force.
pub(super) fn check(miniport: &Miniport, received: &Received) {
    let scaling = miniport.scaling.lock();
    let Some(Err((rule, what))) = scaling.current.as_ref().map(|now| judge(now, received)) else {
        return;
    };
    if scaling.fits_before(received) {
        return;
    }
    drop(scaling);
    Violation::new(rule, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice("Indicate frames with the hash that OID_GEN_RECEIVE_SCALE_PARAMETERS asks for, from a DPC on the processor of its table.")
        .stop()
}

fn judge(parameters: &Parameters, received: &Received) -> Result<(), (Rule, String)> {
    if parameters.table.is_empty() {
        return Ok(());
    }
    let Some((kind, fields)) = input(&received.data, parameters.types) else {
        return Ok(());
    };
    let of = |index: ndk_sys::NDIS_NET_BUFFER_LIST_INFO| {
        received.info[usize::try_from(index).unwrap_or(0)] & 0xFFFF_FFFF
    };
    let hash = toeplitz(&parameters.key, &fields);
    let expected = (u64::from(kind | NdisHashFunctionToeplitz), u64::from(hash));
    let found = (of(NetBufferListHashInfo), of(NetBufferListHashValue));
    if found != expected {
        return Err((
            Rule::NdisRssHash,
            format!(
                "a frame came with hash information {:#x} and hash {:#x}, expected are {:#x} and {:#x}",
                found.0, found.1, expected.0, expected.1
            ),
        ));
    }
    let entry = hash as usize & (parameters.table.len() - 1);
    let wanted = usize::from(parameters.table[entry]);
    if received.processor != wanted {
        return Err((
            Rule::NdisRssProcessor,
            format!(
                "a frame with hash {hash:#x} came on processor {}, and the table names {wanted}",
                received.processor
            ),
        ));
    }
    Ok(())
}

const _: () = assert!(NDIS_HASH_FUNCTION_MASK == 0xFF);

#[cfg(test)]
mod tests {
    use super::*;

    /// Microsoft's "Verifying the RSS Hash Calculation".
    #[test]
    fn hashes_are_those_of_the_verification_suite() {
        let fields = |source: [u8; 4], destination: [u8; 4], ports: [u16; 2]| {
            let mut fields = [source, destination].concat();
            fields.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
            fields
        };
        let one = fields([66, 9, 149, 187], [161, 142, 100, 80], [2794, 1766]);
        assert_eq!(toeplitz(&VERIFICATION_KEY, &one), 0x51cc_c178);
        assert_eq!(toeplitz(&VERIFICATION_KEY, &one[..8]), 0x323e_8fc2);
        let two = fields([199, 92, 111, 2], [65, 69, 140, 83], [14230, 4739]);
        assert_eq!(toeplitz(&VERIFICATION_KEY, &two), 0xc626_b0ea);
    }
}
