//! The object types: their names, and the slots of their dispatch tables in order.

use ndk_sys::{
    NDK_OBJECT_TYPE, NDK_VERSION, NdkObjectTypeAdapter, NdkObjectTypeConnector, NdkObjectTypeListener,
};

/// A type of object that the consumer side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Adapter,
    Listener,
    Connector,
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

const LISTENER: &[&str] = &[
    "NdkCloseListener",
    "NdkQueryExtension",
    "NdkListen",
    "NdkGetLocalAddress",
    "NdkControlConnectEvents",
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

impl Kind {
    /// As it is called in reports and traces.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Listener => "listener",
            Self::Connector => "connector",
        }
    }

    /// `ObjectType` in the header.
    pub(super) const fn object_type(self) -> NDK_OBJECT_TYPE {
        match self {
            Self::Adapter => NdkObjectTypeAdapter,
            Self::Listener => NdkObjectTypeListener,
            Self::Connector => NdkObjectTypeConnector,
        }
    }

    /// Names of the slots that the dispatch table has in that version of NDKPI.
    pub(super) fn slots(self, version: NDK_VERSION) -> &'static [&'static str] {
        match self {
            Self::Adapter => ADAPTER,
            Self::Listener => LISTENER,
            Self::Connector if (version.Major, version.Minor) >= (2, 1) => CONNECTOR,
            Self::Connector => &CONNECTOR[..CONNECTOR.len() - 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_long_as_ndkpi_says() {
        let slots = |kind: Kind, major, minor| {
            kind.slots(NDK_VERSION {
                Major: major,
                Minor: minor,
            })
            .len()
        };
        assert_eq!(
            slots(Kind::Adapter, 2, 0) * 8,
            size_of::<ndk_sys::NDK_ADAPTER_DISPATCH>()
        );
        assert_eq!(
            slots(Kind::Listener, 2, 0) * 8,
            size_of::<ndk_sys::NDK_LISTENER_DISPATCH>()
        );
        assert_eq!(
            slots(Kind::Connector, 2, 1) * 8,
            size_of::<ndk_sys::NDK_CONNECTOR_DISPATCH>()
        );
        assert_eq!(slots(Kind::Connector, 1, 2) * 8, 0x58);
    }
}
