//! Toeplitz's hash function as NDIS defines it: each bit of the input that is set adds (exclusive or) the 32 bits of the key that begin at
//! the bit's place.

/// Bytes of a key.
pub(super) const KEY: usize = 40;
/// Longest input in bytes: two IPv6 addresses and two ports.
const MAX_INPUT: usize = 36;
static_assertions::const_assert!(MAX_INPUT + size_of::<u32>() <= KEY);

/// A key, ready to be used: what each half of each input byte adds.
pub(super) struct Toeplitz {
    tables: Box<[[u32; 16]; 2 * MAX_INPUT]>,
}

impl Toeplitz {
    pub fn new(key: &[u8; KEY]) -> Self {
        let mut tables = Box::new([[0; 16]; 2 * MAX_INPUT]);
        for (place, table) in tables.iter_mut().enumerate() {
            for (half, sum) in (0u8..).zip(table) {
                let bits = (0..4).filter(|bit| half & (0b1000 >> bit) != 0);
                *sum = bits.fold(0, |sum, bit| sum ^ window(key, place * 4 + bit));
            }
        }
        Self { tables }
    }

    /// The hash of the concatenation of `parts`, [`MAX_INPUT`] bytes at most.
    pub fn hash(&self, parts: [&[u8]; 2]) -> u32 {
        let halves = parts
            .into_iter()
            .flatten()
            .flat_map(|byte| [byte >> 4, byte & 0xF]);
        self.tables
            .iter()
            .zip(halves)
            .fold(0, |sum, (table, half)| sum ^ table[usize::from(half)])
    }
}

/// The 32 bits of the key that begin with bit `at`, counted from the highest of the first byte.
fn window(key: &[u8; KEY], at: usize) -> u32 {
    let byte = at / 8;
    let five = key[byte..].iter().take(5);
    let bits = five.fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    // The highest window begins in byte 35 and ends in byte 39: there are always five.
    u32::try_from(bits >> (8 - at % 8) & u64::from(u32::MAX)).unwrap_or_default()
}
