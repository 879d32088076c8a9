//! Receive side scaling: what NDIS sets, and which queue and processor that makes of a flow.

use ndk_sys::{
    NDIS_HASH_FUNCTION_MASK, NDIS_OBJECT_TYPE_RSS_PARAMETERS, NDIS_RECEIVE_SCALE_PARAMETERS,
    NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_2, NDIS_RSS_PARAM_FLAG_DISABLE_RSS,
    NDIS_RSS_PARAM_FLAG_HASH_INFO_UNCHANGED, NDIS_RSS_PARAM_FLAG_HASH_KEY_UNCHANGED,
    NDIS_RSS_PARAM_FLAG_ITABLE_UNCHANGED, NDIS_STATUS, NDIS_STATUS_INVALID_DATA, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_INVALID_PARAMETER, NdisHashFunctionToeplitz,
};
use vrnic_abi::eth::{HASH_IPV4, HASH_IPV6, HASH_TCP_IPV4, HASH_TCP_IPV6, RSS_ENTRIES, RssTable};
use zerocopy::FromZeros;

/// Hash types that NDIS 6.30 knows and the device computes.
pub const HASH_TYPES: u32 = HASH_IPV4 | HASH_TCP_IPV4 | HASH_IPV6 | HASH_TCP_IPV6;
/// Most queues.
pub const MAX_QUEUES: usize = 16;
/// Bytes of the key.
const KEY: usize = 40;
/// Bytes of an entry of NDIS's table: `PROCESSOR_NUMBER`.
const ENTRY: usize = 4;

/// A processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Group.
    pub group: u16,
    /// Number in the group.
    pub number: u8,
}

/// What is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// NDIS hash types; 0: everything goes to the first queue.
    hash_types: u32,
    key: [u8; KEY],
    /// By entry: the processor.
    table: [Processor; RSS_ENTRIES],
    entries: usize,
}

impl Scaling {
    /// Off.
    pub const OFF: Self = Self {
        hash_types: 0,
        key: [0; KEY],
        table: [Processor { group: 0, number: 0 }; RSS_ENTRIES],
        entries: 0,
    };

    /// What holds after `OID_GEN_RECEIVE_SCALE_PARAMETERS` with this buffer.
    ///
    /// # Errors
    ///
    /// [`NDIS_STATUS_INVALID_LENGTH`], [`NDIS_STATUS_INVALID_DATA`] or [`NDIS_STATUS_INVALID_PARAMETER`].
    pub fn change(&self, buffer: &[u8]) -> Result<Self, NDIS_STATUS> {
        let parameters = Parameters(buffer);
        let flags = parameters.check()?;
        let mut new = *self;
        if flags & NDIS_RSS_PARAM_FLAG_DISABLE_RSS != 0 {
            new.hash_types = 0;
            return Ok(new);
        }
        if flags & NDIS_RSS_PARAM_FLAG_HASH_INFO_UNCHANGED == 0 {
            let information = parameters.u32(core::mem::offset_of!(
                NDIS_RECEIVE_SCALE_PARAMETERS,
                HashInformation
            ))?;
            let types = information & !NDIS_HASH_FUNCTION_MASK;
            let function = information & NDIS_HASH_FUNCTION_MASK;
            if types & !HASH_TYPES != 0 || (types != 0 && function != NdisHashFunctionToeplitz) {
                return Err(NDIS_STATUS_INVALID_PARAMETER);
            }
            new.hash_types = types;
            if types == 0 {
                return Ok(new); // No hash: off.
            }
        }
        if flags & NDIS_RSS_PARAM_FLAG_HASH_KEY_UNCHANGED == 0 {
            new.key = parameters.key()?;
        }
        if flags & NDIS_RSS_PARAM_FLAG_ITABLE_UNCHANGED == 0 {
            new.set_table(parameters.table()?)?;
        }
        if new.hash_types != 0 && new.entries == 0 {
            return Err(NDIS_STATUS_INVALID_PARAMETER);
        }
        Ok(new)
    }

    fn set_table(&mut self, bytes: &[u8]) -> Result<(), NDIS_STATUS> {
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        if !rest.is_empty() || !entries.len().is_power_of_two() || entries.len() > RSS_ENTRIES {
            return Err(NDIS_STATUS_INVALID_PARAMETER);
        }
        for (place, [group_low, group_high, number, _]) in self.table.iter_mut().zip(entries) {
            if *number >= 64 {
                return Err(NDIS_STATUS_INVALID_PARAMETER);
            }
            *place = Processor {
                group: u16::from_le_bytes([*group_low, *group_high]),
                number: *number,
            };
        }
        self.entries = entries.len();
        Ok(())
    }

    /// Whether flows are spread.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.hash_types != 0
    }

    /// Spreads the processors of the table over `queues` queues, of which there is one at least: in the order in which they
    /// appear, and from the first queue again if there are more.
    #[must_use]
    pub fn spread(&self, queues: usize) -> Spread {
        let mut spread = Spread {
            queues: [0; RSS_ENTRIES],
            entries: 0,
            processors: [None; MAX_QUEUES],
        };
        if !self.is_on() {
            return spread;
        }
        let queues = queues.clamp(1, MAX_QUEUES);
        let mut seen = [Processor::default(); RSS_ENTRIES];
        let mut count = 0;
        for (place, processor) in spread.queues.iter_mut().zip(&self.table[..self.entries]) {
            let known = seen[..count].iter().position(|other| other == processor);
            let order = known.unwrap_or_else(|| {
                seen[count] = *processor;
                count += 1;
                count - 1
            });
            let queue = order % queues;
            *place = u8::try_from(queue).unwrap_or(0);
            spread.processors[queue].get_or_insert(*processor);
        }
        spread.entries = self.entries;
        spread
    }

    /// For the device, whose queues have the numbers that `number` gives.
    #[must_use]
    pub fn device_table(&self, spread: &Spread, number: impl Fn(usize) -> u8) -> RssTable {
        let mut table = RssTable::new_zeroed();
        table.default_queue = u16::from(number(0)).into();
        table.entries = 1.into();
        table.queue = [number(0); RSS_ENTRIES];
        if self.is_on() {
            table.hash_types = self.hash_types.into();
            table.entries = u16::try_from(spread.entries).unwrap_or(1).into();
            table.key = self.key;
            for (place, queue) in table.queue.iter_mut().zip(&spread.queues[..spread.entries]) {
                *place = number(usize::from(*queue));
            }
        }
        table
    }
}

/// Queues and their processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// By entry of the table: the queue.
    pub queues: [u8; RSS_ENTRIES],
    /// Entries in use, a power of two; 0: everything goes to the first queue.
    pub entries: usize,
    /// By queue: the processor whose flows it has.
    pub processors: [Option<Processor>; MAX_QUEUES],
}

/// `NDIS_RECEIVE_SCALE_PARAMETERS` with what follows it.
struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    fn bytes(&self, offset: usize, length: usize) -> Result<&'a [u8], NDIS_STATUS> {
        let end = offset.checked_add(length).ok_or(NDIS_STATUS_INVALID_LENGTH)?;
        self.0.get(offset..end).ok_or(NDIS_STATUS_INVALID_LENGTH)
    }

    fn u16(&self, offset: usize) -> Result<u16, NDIS_STATUS> {
        let bytes = self.bytes(offset, 2)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u16::from(*byte)))
    }

    fn u32(&self, offset: usize) -> Result<u32, NDIS_STATUS> {
        let bytes = self.bytes(offset, 4)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// The flags, if this is what it should be.
    fn check(&self) -> Result<u16, NDIS_STATUS> {
        let header = self.bytes(0, size_of::<NDIS_RECEIVE_SCALE_PARAMETERS>())?;
        if header[0] != NDIS_OBJECT_TYPE_RSS_PARAMETERS
            || header[1] < NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_2
        {
            return Err(NDIS_STATUS_INVALID_DATA);
        }
        self.u16(core::mem::offset_of!(NDIS_RECEIVE_SCALE_PARAMETERS, Flags))
    }

    fn key(&self) -> Result<[u8; KEY], NDIS_STATUS> {
        let size = self.u16(core::mem::offset_of!(
            NDIS_RECEIVE_SCALE_PARAMETERS,
            HashSecretKeySize
        ))?;
        let offset = self.u32(core::mem::offset_of!(
            NDIS_RECEIVE_SCALE_PARAMETERS,
            HashSecretKeyOffset
        ))?;
        let bytes = self.bytes(offset as usize, size.into())?;
        if bytes.is_empty() || bytes.len() > KEY {
            return Err(NDIS_STATUS_INVALID_PARAMETER);
        }
        let mut key = [0; KEY];
        key[..bytes.len()].copy_from_slice(bytes);
        Ok(key)
    }

    fn table(&self) -> Result<&'a [u8], NDIS_STATUS> {
        let size = self.u16(core::mem::offset_of!(
            NDIS_RECEIVE_SCALE_PARAMETERS,
            IndirectionTableSize
        ))?;
        let offset = self.u32(core::mem::offset_of!(
            NDIS_RECEIVE_SCALE_PARAMETERS,
            IndirectionTableOffset
        ))?;
        self.bytes(offset as usize, size.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STRUCTURE: usize = size_of::<NDIS_RECEIVE_SCALE_PARAMETERS>();

    /// Parameters with a key of 40 bytes and a table of those processors of group 0.
    fn parameters(flags: u16, information: u32, processors: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; STRUCTURE];
        bytes[0] = NDIS_OBJECT_TYPE_RSS_PARAMETERS;
        bytes[1] = NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_2;
        bytes[4..6].copy_from_slice(&flags.to_le_bytes());
        bytes[8..12].copy_from_slice(&information.to_le_bytes());
        let table = u16::try_from(processors.len() * ENTRY).expect("short");
        bytes[12..14].copy_from_slice(&table.to_le_bytes());
        bytes[16..20].copy_from_slice(&u32::try_from(STRUCTURE + KEY).expect("short").to_le_bytes());
        bytes[20..22].copy_from_slice(&40u16.to_le_bytes());
        bytes[24..28].copy_from_slice(&u32::try_from(STRUCTURE).expect("short").to_le_bytes());
        bytes.extend(1..=40);
        for processor in processors {
            bytes.extend([0, 0, *processor, 0]);
        }
        bytes
    }

    const HASH: u32 = HASH_TCP_IPV4 | HASH_IPV4 | NdisHashFunctionToeplitz;

    #[test]
    fn processors_get_queues_in_their_order() {
        let scaling = Scaling::OFF
            .change(&parameters(0, HASH, &[3, 1, 3, 2]))
            .expect("good parameters");
        let spread = scaling.spread(8);
        assert_eq!(spread.queues[..4], [0, 1, 0, 2]);
        let numbers = spread.processors.map(|processor| processor.map(|one| one.number));
        assert_eq!(numbers[..4], [Some(3), Some(1), Some(2), None]);
        let spread = scaling.spread(2);
        assert_eq!(spread.queues[..4], [0, 1, 0, 0], "more processors than queues");
        let table = scaling.device_table(&scaling.spread(8), |queue| 10 + u8::try_from(queue).expect("few"));
        assert_eq!(table.hash_types.get(), HASH_TCP_IPV4 | HASH_IPV4);
        assert_eq!((table.entries.get(), table.default_queue.get()), (4, 10));
        assert_eq!(table.queue[..4], [10, 11, 10, 12]);
        assert_eq!(table.key[..3], [1, 2, 3]);
    }

    #[test]
    fn off_is_one_queue() {
        let on = Scaling::OFF
            .change(&parameters(0, HASH, &[1, 2]))
            .expect("good parameters");
        for off in [
            on.change(&parameters(NDIS_RSS_PARAM_FLAG_DISABLE_RSS, HASH, &[1])),
            on.change(&parameters(0, 0, &[1])),
        ] {
            let off = off.expect("good parameters");
            assert!(!off.is_on());
            let table = off.device_table(&off.spread(4), |_| 3);
            assert_eq!((table.hash_types.get(), table.default_queue.get()), (0, 3));
        }
    }

    #[test]
    fn what_is_unchanged_stays() {
        let first = Scaling::OFF
            .change(&parameters(0, HASH, &[1, 2]))
            .expect("good parameters");
        let flags = NDIS_RSS_PARAM_FLAG_HASH_INFO_UNCHANGED | NDIS_RSS_PARAM_FLAG_HASH_KEY_UNCHANGED;
        let second = first
            .change(&parameters(flags, 0, &[5, 6, 7, 8]))
            .expect("good parameters");
        assert_eq!((second.hash_types, second.key), (first.hash_types, first.key));
        assert_eq!(second.spread(4).entries, 4);
        let only_table = NDIS_RSS_PARAM_FLAG_ITABLE_UNCHANGED;
        assert_eq!(
            Scaling::OFF.change(&parameters(only_table, HASH, &[])),
            Err(NDIS_STATUS_INVALID_PARAMETER),
            "there is no table yet"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |bytes: &[u8]| Scaling::OFF.change(bytes).expect_err("nonsense");
        assert_eq!(refused(&[]), NDIS_STATUS_INVALID_LENGTH);
        let mut wrong = parameters(0, HASH, &[1]);
        wrong[1] = 1;
        assert_eq!(refused(&wrong), NDIS_STATUS_INVALID_DATA, "of NDIS 6.0");
        assert_eq!(
            refused(&parameters(0, HASH, &[1, 2, 3])),
            NDIS_STATUS_INVALID_PARAMETER,
            "not a power of two"
        );
        assert_eq!(
            refused(&parameters(0, HASH, &[64])),
            NDIS_STATUS_INVALID_PARAMETER,
            "no group has so many"
        );
        assert_eq!(
            refused(&parameters(0, HASH | 1 << 11, &[1])),
            NDIS_STATUS_INVALID_PARAMETER,
            "a hash that the device does not know"
        );
        let long = parameters(0, HASH, &[1]);
        assert_eq!(refused(&long[..long.len() - 1]), NDIS_STATUS_INVALID_LENGTH);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..120), cut in 0usize..80, queues in 0usize..20) {
            let mut good = parameters(0, HASH, &[1, 2, 3, 4]);
            for (place, byte) in good.iter_mut().skip(cut).zip(&bytes) {
                *place = *byte;
            }
            for buffer in [&bytes, &good] {
                if let Ok(scaling) = Scaling::OFF.change(buffer) {
                    let spread = scaling.spread(queues);
                    prop_assert!(spread.queues.iter().all(|queue| usize::from(*queue) < queues.max(1)));
                    let _table = scaling.device_table(&spread, |_| 0);
                }
            }
        }
    }
}
