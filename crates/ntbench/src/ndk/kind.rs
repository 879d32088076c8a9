//! The object types: their names, and the slots of their dispatch tables in order.

use ndk_sys::{
    NDK_OBJECT_TYPE, NDK_VERSION, NdkObjectTypeAdapter, NdkObjectTypeConnector, NdkObjectTypeCq,
    NdkObjectTypeListener, NdkObjectTypeMr, NdkObjectTypeMw, NdkObjectTypePd, NdkObjectTypeQp,
    NdkObjectTypeSharedEndpoint, NdkObjectTypeSrq,
};

/// A type of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Adapter,
    Cq,
    Pd,
    Mr,
    Mw,
    Srq,
    Qp,
    Connector,
    Listener,
    SharedEndpoint,
}

/// The functions of an adapter. It has no close function: NDIS closes it.
const ADAPTER: &[&str] = &[
    "NdkQueryExtension",
    "NdkQueryAdapterInfo",
    "NdkCreateCq",
    "NdkCreatePd",
    "NdkCreateSharedEndpoint",
    "NdkCreateConnector",
    "NdkCreateListener",
    "NdkBuildLAM",
    "NdkReleaseLAM",
];

/// The last one exists from NDKPI 1.2.
const CQ: &[&str] = &[
    "NdkCloseCq",
    "NdkQueryExtension",
    "NdkResizeCq",
    "NdkArmCq",
    "NdkGetCqResults",
    "NdkControlCqInterruptModeration",
    "NdkGetCqResultsEx",
];

const PD: &[&str] = &[
    "NdkClosePd",
    "NdkQueryExtension",
    "NdkCreateMr",
    "NdkCreateMw",
    "NdkCreateSrq",
    "NdkCreateQp",
    "NdkCreateQpWithSrq",
    "NdkGetPrivilegedMemoryRegionToken",
];

const MR: &[&str] = &[
    "NdkCloseMr",
    "NdkQueryExtension",
    "NdkRegisterMr",
    "NdkDeregisterMr",
    "NdkInitializeFastRegisterMr",
    "NdkGetRemoteTokenFromMr",
    "NdkGetLocalTokenFromMr",
];

const MW: &[&str] = &["NdkCloseMw", "NdkQueryExtension", "NdkGetRemoteTokenFromMw"];

const SRQ: &[&str] = &[
    "NdkCloseSrq",
    "NdkQueryExtension",
    "NdkModifySrq",
    "NdkSrqReceive",
];

/// The last one exists from NDKPI 1.2.
const QP: &[&str] = &[
    "NdkCloseQp",
    "NdkQueryExtension",
    "NdkFlush",
    "NdkSend",
    "NdkReceive",
    "NdkBind",
    "NdkFastRegister",
    "NdkInvalidate",
    "NdkRead",
    "NdkWrite",
    "NdkSendAndInvalidate",
];

/// The last two exist from NDKPI 2.1.
const CONNECTOR: &[&str] = &[
    "NdkCloseConnector",
    "NdkQueryExtension",
    "NdkConnect",
    "NdkConnectWithSharedEndpoint",
    "NdkCompleteConnect",
    "NdkAccept",
    "NdkReject",
    "NdkGetConnectionData",
    "NdkGetLocalAddress",
    "NdkGetPeerAddress",
    "NdkDisconnect",
    "NdkCompleteConnectEx",
    "NdkAcceptEx",
];

const LISTENER: &[&str] = &[
    "NdkCloseListener",
    "NdkQueryExtension",
    "NdkListen",
    "NdkGetLocalAddress",
    "NdkControlConnectEvents",
];

const SHARED_ENDPOINT: &[&str] = &[
    "NdkCloseSharedEndpoint",
    "NdkQueryExtension",
    "NdkGetLocalAddress",
];

impl Kind {
    /// As it is called in reports and traces.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Cq => "CQ",
            Self::Pd => "PD",
            Self::Mr => "MR",
            Self::Mw => "MW",
            Self::Srq => "SRQ",
            Self::Qp => "QP",
            Self::Connector => "connector",
            Self::Listener => "listener",
            Self::SharedEndpoint => "shared endpoint",
        }
    }

    /// `ObjectType` in the header.
    pub(super) const fn object_type(self) -> NDK_OBJECT_TYPE {
        match self {
            Self::Adapter => NdkObjectTypeAdapter,
            Self::Cq => NdkObjectTypeCq,
            Self::Pd => NdkObjectTypePd,
            Self::Mr => NdkObjectTypeMr,
            Self::Mw => NdkObjectTypeMw,
            Self::Srq => NdkObjectTypeSrq,
            Self::Qp => NdkObjectTypeQp,
            Self::Connector => NdkObjectTypeConnector,
            Self::Listener => NdkObjectTypeListener,
            Self::SharedEndpoint => NdkObjectTypeSharedEndpoint,
        }
    }

    /// Names of the slots that the dispatch table has in that version of NDKPI.
    pub(super) fn slots(self, version: NDK_VERSION) -> &'static [&'static str] {
        let from = |major, minor| (version.Major, version.Minor) >= (major, minor);
        match self {
            Self::Adapter => ADAPTER,
            Self::Cq if from(1, 2) => CQ,
            Self::Cq => &CQ[..CQ.len() - 1],
            Self::Pd => PD,
            Self::Mr => MR,
            Self::Mw => MW,
            Self::Srq => SRQ,
            Self::Qp if from(1, 2) => QP,
            Self::Qp => &QP[..QP.len() - 1],
            Self::Connector if from(2, 1) => CONNECTOR,
            Self::Connector => &CONNECTOR[..CONNECTOR.len() - 2],
            Self::Listener => LISTENER,
            Self::SharedEndpoint => SHARED_ENDPOINT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_long_as_ndkpi_says() {
        let slots = |kind: Kind, major, minor| {
            let version = NDK_VERSION {
                Major: major,
                Minor: minor,
            };
            kind.slots(version).len() * 8
        };
        let sizes = [
            (Kind::Adapter, size_of::<ndk_sys::NDK_ADAPTER_DISPATCH>()),
            (Kind::Cq, size_of::<ndk_sys::NDK_CQ_DISPATCH>()),
            (Kind::Pd, size_of::<ndk_sys::NDK_PD_DISPATCH>()),
            (Kind::Mr, size_of::<ndk_sys::NDK_MR_DISPATCH>()),
            (Kind::Mw, size_of::<ndk_sys::NDK_MW_DISPATCH>()),
            (Kind::Srq, size_of::<ndk_sys::NDK_SRQ_DISPATCH>()),
            (Kind::Qp, size_of::<ndk_sys::NDK_QP_DISPATCH>()),
            (Kind::Connector, size_of::<ndk_sys::NDK_CONNECTOR_DISPATCH>()),
            (Kind::Listener, size_of::<ndk_sys::NDK_LISTENER_DISPATCH>()),
            (
                Kind::SharedEndpoint,
                size_of::<ndk_sys::NDK_SHARED_ENDPOINT_DISPATCH>(),
            ),
        ];
        for (kind, size) in sizes {
            assert_eq!(slots(kind, 2, 1), size, "{}", kind.name());
        }
        assert_eq!(slots(Kind::Connector, 2, 0), 0x58);
        assert_eq!((slots(Kind::Cq, 1, 1), slots(Kind::Qp, 1, 1)), (0x30, 0x50));
    }
}
