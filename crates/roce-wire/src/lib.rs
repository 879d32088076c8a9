//! Packet formats of `RoCEv2` and of the InfiniBand communication manager (CM).
//!
//! Used by the driver (whose CM builds and parses management datagrams) and by the device (which builds and parses whole frames).
//! Nothing here allocates, does I/O or panics: input of any content and length gives a value or an error that names the cause.
//!
//! | module | what | specification |
//! |---|---|---|
//! | [`eth`] | Ethernet II | IEEE 802.3 |
//! | [`ipv4`], [`ipv6`] | IP headers | RFC 791, RFC 8200 |
//! | [`udp`] | UDP header and checksum | RFC 768 |
//! | [`bth`] | base transport header, opcodes, which headers follow | IBTA volume 1, 9.2 |
//! | [`deth`], [`reth`], [`aeth`], [`immdt`], [`atomic`] | extended transport headers | IBTA volume 1, 9.3 |
//! | [`icrc`] | invariant CRC | IBTA volume 1, 7.8.1 and annex A17 (`RoCEv2`) |
//! | [`frame`] | a complete frame, Ethernet to ICRC | annex A17 |
//! | [`mad`] | management datagrams of the general service interface | IBTA volume 1, 13.4 |
//! | [`cm`] | communication management messages | IBTA volume 1, 12.6 |
//! | [`ip_cm`] | the RDMA IP CM service | annex A11 |
//! | [`gid`], [`num`] | identifiers and numbers narrower than a machine word | |
//!
//! Each header is a plain struct with `LEN`, `from_bytes` and `to_bytes`. Reserved bits are ignored on reading and written as zero.
#![no_std]
#![forbid(unsafe_code)]

pub mod aeth;
pub mod atomic;
pub mod bth;
pub mod cm;
pub mod deth;
pub mod eth;
pub mod frame;
pub mod gid;
pub mod icrc;
pub mod immdt;
pub mod ip_cm;
pub mod ipv4;
pub mod ipv6;
pub mod mad;
pub mod num;
pub mod reth;
pub mod udp;
