//! The standardized keywords that apply to an Ethernet adapter with RDMA: which values Microsoft gave them, and which of them
//! such an adapter must offer.

/// What a user interface lets people enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these numbers; a package may offer fewer.
    Choice(&'static [u32]),
    /// A number of at least this.
    Number(u32),
    /// Text.
    Text,
}

/// A standardized keyword.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub kind: Kind,
    /// Whether the adapter must have it.
    pub is_required: bool,
}

const fn must(name: &'static str, kind: Kind) -> Keyword {
    Keyword {
        name,
        kind,
        is_required: true,
    }
}

const fn may(name: &'static str, kind: Kind) -> Keyword {
    Keyword {
        name,
        kind,
        is_required: false,
    }
}

const SWITCH: Kind = Kind::Choice(&[0, 1]);
const DIRECTIONS: Kind = Kind::Choice(&[0, 1, 2, 3]);

/// The keywords.
pub const KEYWORDS: &[Keyword] = &[
    must("*NetworkDirect", SWITCH),
    // 0 is the device's default; the others are NDK_RDMA_TECHNOLOGY.
    must("*NetworkDirectTechnology", Kind::Choice(&[0, 1, 2, 3, 4])),
    may(
        "*NetworkDirectRoCEFrameSize",
        Kind::Choice(&[256, 512, 1024, 2048, 4096]),
    ),
    must("*JumboPacket", Kind::Number(1514)),
    must("*InterruptModeration", SWITCH),
    must("*PriorityVLANTag", DIRECTIONS),
    must("*RSS", SWITCH),
    must("*NumRssQueues", Kind::Number(1)),
    may("*RSSProfile", Kind::Choice(&[1, 2, 3, 4, 5])),
    may("*RssBaseProcGroup", Kind::Number(0)),
    may("*RssBaseProcNumber", Kind::Number(0)),
    may("*RssMaxProcGroup", Kind::Number(0)),
    may("*RssMaxProcNumber", Kind::Number(0)),
    may("*MaxRssProcessors", Kind::Number(1)),
    may("*NumaNodeId", Kind::Number(0)),
    must("*IPChecksumOffloadIPv4", DIRECTIONS),
    must("*TCPChecksumOffloadIPv4", DIRECTIONS),
    must("*TCPChecksumOffloadIPv6", DIRECTIONS),
    must("*UDPChecksumOffloadIPv4", DIRECTIONS),
    must("*UDPChecksumOffloadIPv6", DIRECTIONS),
    must("*LsoV2IPv4", SWITCH),
    must("*LsoV2IPv6", SWITCH),
    may("*FlowControl", Kind::Choice(&[0, 1, 2, 3, 4])),
    may("*ReceiveBuffers", Kind::Number(1)),
    may("*TransmitBuffers", Kind::Number(0)),
    may("*WakeOnMagicPacket", SWITCH),
    may("*WakeOnPattern", SWITCH),
    may("*PMARPOffload", SWITCH),
    may("*PMNSOffload", SWITCH),
    must("NetworkAddress", Kind::Text),
    may("VlanID", Kind::Number(0)),
];

/// The keyword with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS
        .iter()
        .find(|keyword| keyword.name.eq_ignore_ascii_case(name))
}
