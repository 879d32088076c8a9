//! Numbers whose wire width is not that of a Rust integer.

/// Defines a number of `$bits` bits that cannot hold a wider value.
macro_rules! narrow_uint {
    ($(#[$meta:meta])* $name:ident: $int:ty, $bits:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($int);

        impl $name {
            /// The largest value.
            pub const MAX: Self = Self(<$int>::MAX >> (<$int>::BITS - $bits));

            /// `value`, if it fits.
            #[must_use]
            pub const fn new(value: $int) -> Option<Self> {
                if value <= Self::MAX.0 { Some(Self(value)) } else { None }
            }

            /// The low bits of `value`: for counters that wrap, and for fields cut out of a wider word.
            #[must_use]
            pub const fn truncated(value: $int) -> Self {
                Self(value & Self::MAX.0)
            }

            /// The value.
            #[must_use]
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(&self.0, f)
            }
        }

        impl core::fmt::LowerHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

pub(crate) use narrow_uint;

/// The three-byte big-endian form of a 24-bit number.
macro_rules! uint24_bytes {
    ($name:ident) => {
        impl $name {
            /// From its big-endian bytes.
            #[must_use]
            pub const fn from_be_bytes(bytes: [u8; 3]) -> Self {
                Self(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
            }

            /// Its big-endian bytes.
            #[must_use]
            pub const fn to_be_bytes(self) -> [u8; 3] {
                let [_, a, b, c] = self.0.to_be_bytes();
                [a, b, c]
            }
        }
    };
}

narrow_uint! {
    /// A queue pair number.
    Qpn: u32, 24
}
uint24_bytes!(Qpn);

impl Qpn {
    /// The general service interface, where management datagrams are sent (IBTA 3.9.5.1).
    pub const GSI: Self = Self(1);
}

narrow_uint! {
    /// An end-to-end context number of the reliable datagram service, which `RoCEv2` does not have.
    Eecn: u32, 24
}
uint24_bytes!(Eecn);

narrow_uint! {
    /// A packet sequence number; it wraps.
    Psn: u32, 24
}
uint24_bytes!(Psn);

impl Psn {
    /// The number `count` packets later.
    #[must_use]
    pub const fn wrapping_add(self, count: u32) -> Self {
        Self::truncated(self.0.wrapping_add(count))
    }
}

narrow_uint! {
    /// A message sequence number; it wraps.
    Msn: u32, 24
}
uint24_bytes!(Msn);

narrow_uint! {
    /// An IPv6 or GRH flow label.
    FlowLabel: u32, 20
}

narrow_uint! {
    /// A time as an exponent: 4.096 µs · 2ⁿ (IBTA 12.7.8, 12.7.23, 12.7.34). For a local ACK timeout, 0 means no timeout.
    Timeout: u8, 5
}

impl Timeout {
    /// The time that it stands for, in nanoseconds: from 4,096 to about 8.8·10¹² (2.4 hours).
    #[must_use]
    pub const fn nanoseconds(self) -> u64 {
        4096 << self.0
    }
}

narrow_uint! {
    /// How often to retry. For an RNR NAK, 7 means for ever (IBTA 9.7.5.2.8).
    RetryCount: u8, 3
}

narrow_uint! {
    /// How often the CM sends a message again before it gives up (IBTA 12.7.27).
    MaxCmRetries: u8, 4
}

narrow_uint! {
    /// A service level.
    ServiceLevel: u8, 4
}

narrow_uint! {
    /// A path's packet rate in the encoding of IBTA 15.2.5.16; `RoCEv2` gives it no meaning.
    PacketRate: u8, 6
}
