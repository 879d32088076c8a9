//! A miniport driver: registration, its handlers, and the parameters of its life cycle (ndis.h).

use crate::{
    BOOLEAN, CM_PARTIAL_RESOURCE_LIST, DRIVER_OBJECT, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OID,
    NDIS_OID_REQUEST, NDIS_PORT_AUTHENTICATION_PARAMETERS, NDIS_PORT_NUMBER, NDIS_RECEIVE_SCALE_CAPABILITIES,
    NDIS_STATUS, NET_BUFFER_LIST, NET_IF_ACCESS_TYPE, NET_IF_CONNECTION_TYPE, NET_IFINDEX, NET_LUID,
};
use core::ffi::c_void;

enums! {
    /// Why NDIS halts a miniport (ndis.h).
    enum NDIS_HALT_ACTION {
        NdisHaltDeviceDisabled = 0,
        NdisHaltDeviceInstanceDeInitialized = 1,
        NdisHaltDevicePoweredDown = 2,
        NdisHaltDeviceSurpriseRemoved = 3,
        NdisHaltDeviceFailed = 4,
        NdisHaltDeviceInitializationFailed = 5,
        NdisHaltDeviceStopped = 6,
    }

    /// Why NDIS shuts a miniport down (ndis.h).
    enum NDIS_SHUTDOWN_ACTION {
        NdisShutdownPowerOff = 0,
        NdisShutdownBugCheck = 1,
    }

    /// Device events for `MiniportDevicePnPEventNotify` (ndis.h).
    enum NDIS_DEVICE_PNP_EVENT {
        NdisDevicePnPEventQueryRemoved = 0,
        NdisDevicePnPEventRemoved = 1,
        NdisDevicePnPEventSurpriseRemoved = 2,
        NdisDevicePnPEventQueryStopped = 3,
        NdisDevicePnPEventStopped = 4,
        NdisDevicePnPEventPowerProfileChanged = 5,
        NdisDevicePnPEventFilterListChanged = 6,
        NdisDevicePnPEventMaximum = 7,
    }

    /// Mains or battery, with `NdisDevicePnPEventPowerProfileChanged` (ndis.h).
    enum NDIS_POWER_PROFILE {
        NdisPowerProfileBattery = 0,
        NdisPowerProfileAcOnLine = 1,
    }
}

constants! {
    /// Revisions of the miniport driver's structures (ndis.h).
    u8 {
        NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1 = 1,
        NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1 = 1,
        NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2 = 2,
        NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1 = 1,
        NDIS_MINIPORT_PAUSE_PARAMETERS_REVISION_1 = 1,
        NDIS_MINIPORT_PNP_CHARACTERISTICS_REVISION_1 = 1,
        NDIS_MINIPORT_RESTART_PARAMETERS_REVISION_1 = 1,
        NDIS_MINIPORT_SS_CHARACTERISTICS_REVISION_1 = 1,
        NDIS_OBJECT_TYPE_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_1 = 1,
        NDIS_OBJECT_TYPE_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_2 = 2,
        NDIS_RESTART_GENERAL_ATTRIBUTES_REVISION_1 = 1,
        NDIS_RESTART_GENERAL_ATTRIBUTES_REVISION_2 = 2,
    }

    /// Sizes of the miniport driver's structures by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1 = 0x14,
        NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1 = 0x88,
        NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2 = 0x98,
        NDIS_SIZEOF_MINIPORT_PAUSE_PARAMETERS_REVISION_1 = 0xc,
        NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1 = 0x2c,
        NDIS_SIZEOF_MINIPORT_RESTART_PARAMETERS_REVISION_1 = 0x14,
        NDIS_SIZEOF_MINIPORT_SS_CHARACTERISTICS_REVISION_1 = 0x18,
        NDIS_SIZEOF_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_1 = 0x28,
        NDIS_SIZEOF_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_2 = 0x34,
        NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1 = 0x54,
        NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_2 = 0x58,
    }

    /// Why a miniport is paused, a bit mask (ndis.h).
    u32 {
        NDIS_PAUSE_NDIS_INTERNAL = 1,
        NDIS_PAUSE_LOW_POWER = 2,
        NDIS_PAUSE_BIND_PROTOCOL = 4,
        NDIS_PAUSE_UNBIND_PROTOCOL = 8,
        NDIS_PAUSE_ATTACH_FILTER = 0x10,
        NDIS_PAUSE_DETACH_FILTER = 0x20,
        NDIS_PAUSE_FILTER_RESTART_STACK = 0x40,
        NDIS_PAUSE_MINIPORT_DEVICE_REMOVE = 0x80,
    }
}

functions! {
    /// Lets a driver register optional handlers, from inside its registration. `PASSIVE_LEVEL` (ndis.h).
    fn SET_OPTIONS(NdisDriverHandle: NDIS_HANDLE, DriverContext: NDIS_HANDLE) -> NDIS_STATUS;

    /// Initialises an adapter. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_INITIALIZE(
        NdisMiniportHandle: NDIS_HANDLE,
        MiniportDriverContext: NDIS_HANDLE,
        MiniportInitParameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS;

    /// Releases everything of an adapter. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_HALT(MiniportAdapterContext: NDIS_HANDLE, HaltAction: NDIS_HALT_ACTION);

    /// Releases everything of the driver. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_UNLOAD(DriverObject: *mut DRIVER_OBJECT);

    /// Stops the data path; may pend until `NdisMPauseComplete`. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_PAUSE(
        MiniportAdapterContext: NDIS_HANDLE,
        PauseParameters: *mut NDIS_MINIPORT_PAUSE_PARAMETERS,
    ) -> NDIS_STATUS;

    /// Starts the data path; may pend until `NdisMRestartComplete`. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_RESTART(
        MiniportAdapterContext: NDIS_HANDLE,
        RestartParameters: *mut NDIS_MINIPORT_RESTART_PARAMETERS,
    ) -> NDIS_STATUS;

    /// Brings the hardware to a known state; nothing is released. `PASSIVE_LEVEL`, or `HIGH_LEVEL`
    /// when the system has crashed (ndis.h).
    fn MINIPORT_SHUTDOWN(MiniportAdapterContext: NDIS_HANDLE, ShutdownAction: NDIS_SHUTDOWN_ACTION);

    /// Reports a device event, surprise removal for one. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_DEVICE_PNP_EVENT_NOTIFY(
        MiniportAdapterContext: NDIS_HANDLE,
        NetDevicePnPEvent: *mut c_void,
    );

    /// Asks every few seconds whether the adapter must be reset. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_CHECK_FOR_HANG(MiniportAdapterContext: NDIS_HANDLE) -> BOOLEAN;

    /// Resets the adapter; may pend until `NdisMResetComplete`. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_RESET(MiniportAdapterContext: NDIS_HANDLE, AddressingReset: *mut BOOLEAN) -> NDIS_STATUS;

    /// Handles an OID request, one at a time; may pend until `NdisMOidRequestComplete`.
    /// `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_OID_REQUEST(
        MiniportAdapterContext: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
    ) -> NDIS_STATUS;

    /// Asks to cancel pended OID requests. IRQL <= `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_CANCEL_OID_REQUEST(MiniportAdapterContext: NDIS_HANDLE, RequestId: *mut c_void);

    /// Handles a direct OID request, several at a time. IRQL <= `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_DIRECT_OID_REQUEST(
        MiniportAdapterContext: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
    ) -> NDIS_STATUS;

    /// Asks to cancel pended direct OID requests. IRQL <= `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_CANCEL_DIRECT_OID_REQUEST(MiniportAdapterContext: NDIS_HANDLE, RequestId: *mut c_void);

    /// Sends; every list comes back by `NdisMSendNetBufferListsComplete`.
    /// IRQL <= `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_SEND_NET_BUFFER_LISTS(
        MiniportAdapterContext: NDIS_HANDLE,
        NetBufferList: *mut NET_BUFFER_LIST,
        PortNumber: NDIS_PORT_NUMBER,
        SendFlags: u32,
    );

    /// Asks to cancel pending sends. IRQL <= `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_CANCEL_SEND(MiniportAdapterContext: NDIS_HANDLE, CancelId: *mut c_void);

    /// Returns what the miniport indicated. IRQL <= `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_RETURN_NET_BUFFER_LISTS(
        MiniportAdapterContext: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        ReturnFlags: u32,
    );

    /// Sees a device before it starts. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_ADD_DEVICE(
        NdisMiniportHandle: NDIS_HANDLE,
        MiniportDriverContext: NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Undoes [`MINIPORT_ADD_DEVICE`]. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_REMOVE_DEVICE(MiniportAddDeviceContext: NDIS_HANDLE);

    /// Sees resource requirements or start IRPs of the device. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_PNP_IRP(MiniportAddDeviceContext: NDIS_HANDLE, Irp: *mut c_void) -> NDIS_STATUS;

    /// Says that the adapter is idle and may suspend. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_IDLE_NOTIFICATION(MiniportAdapterContext: NDIS_HANDLE, ForceIdle: BOOLEAN) -> NDIS_STATUS;

    /// Takes an idle notification back. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_CANCEL_IDLE_NOTIFICATION(MiniportAdapterContext: NDIS_HANDLE);
}

layouts! {
    /// A miniport driver's versions and handlers, for `NdisMRegisterMiniportDriver` (ndis.h).
    pub struct NDIS_MINIPORT_DRIVER_CHARACTERISTICS: 0x98 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MajorNdisVersion @ 0x4: u8,
        MinorNdisVersion @ 0x5: u8,
        MajorDriverVersion @ 0x6: u8,
        MinorDriverVersion @ 0x7: u8,
        Flags @ 0x8: u32,
        SetOptionsHandler @ 0x10: Option<SET_OPTIONS>,
        InitializeHandlerEx @ 0x18: Option<MINIPORT_INITIALIZE>,
        HaltHandlerEx @ 0x20: Option<MINIPORT_HALT>,
        UnloadHandler @ 0x28: Option<MINIPORT_UNLOAD>,
        PauseHandler @ 0x30: Option<MINIPORT_PAUSE>,
        RestartHandler @ 0x38: Option<MINIPORT_RESTART>,
        OidRequestHandler @ 0x40: Option<MINIPORT_OID_REQUEST>,
        SendNetBufferListsHandler @ 0x48: Option<MINIPORT_SEND_NET_BUFFER_LISTS>,
        ReturnNetBufferListsHandler @ 0x50: Option<MINIPORT_RETURN_NET_BUFFER_LISTS>,
        CancelSendHandler @ 0x58: Option<MINIPORT_CANCEL_SEND>,
        CheckForHangHandlerEx @ 0x60: Option<MINIPORT_CHECK_FOR_HANG>,
        ResetHandlerEx @ 0x68: Option<MINIPORT_RESET>,
        DevicePnPEventNotifyHandler @ 0x70: Option<MINIPORT_DEVICE_PNP_EVENT_NOTIFY>,
        ShutdownHandlerEx @ 0x78: Option<MINIPORT_SHUTDOWN>,
        CancelOidRequestHandler @ 0x80: Option<MINIPORT_CANCEL_OID_REQUEST>,
        DirectOidRequestHandler @ 0x88: Option<MINIPORT_DIRECT_OID_REQUEST>,
        CancelDirectOidRequestHandler @ 0x90: Option<MINIPORT_CANCEL_DIRECT_OID_REQUEST>,
    }

    /// What `MiniportInitializeEx` gets: resources and identity of the adapter (ndis.h).
    pub struct NDIS_MINIPORT_INIT_PARAMETERS: 0x40 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        AllocatedResources @ 0x8: *mut CM_PARTIAL_RESOURCE_LIST,
        IMDeviceInstanceContext @ 0x10: NDIS_HANDLE,
        MiniportAddDeviceContext @ 0x18: NDIS_HANDLE,
        IfIndex @ 0x20: NET_IFINDEX,
        NetLuid @ 0x28: NET_LUID,
        DefaultPortAuthStates @ 0x30: *mut NDIS_PORT_AUTHENTICATION_PARAMETERS,
        PciDeviceCustomProperties @ 0x38: *mut NDIS_PCI_DEVICE_CUSTOM_PROPERTIES,
    }

    /// PCI properties of the device (ndis.h).
    pub struct NDIS_PCI_DEVICE_CUSTOM_PROPERTIES: 0x34 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        DeviceType @ 0x4: u32,
        CurrentSpeedAndMode @ 0x8: u32,
        CurrentPayloadSize @ 0xc: u32,
        MaxPayloadSize @ 0x10: u32,
        MaxReadRequestSize @ 0x14: u32,
        CurrentLinkSpeed @ 0x18: u32,
        CurrentLinkWidth @ 0x1c: u32,
        MaxLinkSpeed @ 0x20: u32,
        MaxLinkWidth @ 0x24: u32,
        PciExpressVersion @ 0x28: u32,
        InterruptType @ 0x2c: u32,
        MaxInterruptMessages @ 0x30: u32,
    }

    /// Why the miniport is paused (ndis.h).
    pub struct NDIS_MINIPORT_PAUSE_PARAMETERS: 0xc {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        PauseReason @ 0x8: u32,
    }

    /// With what attributes the miniport is restarted (ndis.h).
    pub struct NDIS_MINIPORT_RESTART_PARAMETERS: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        RestartAttributes @ 0x8: *mut NDIS_RESTART_ATTRIBUTES,
        Flags @ 0x10: u32,
    }

    /// One attribute of a restart; a linked list (ndis.h).
    #[repr(align(16))]
    pub struct NDIS_RESTART_ATTRIBUTES: 0x20 {
        Next @ 0x0: *mut NDIS_RESTART_ATTRIBUTES,
        Oid @ 0x8: NDIS_OID,
        DataLength @ 0xc: u32,
        Data @ 0x10: [u8; 1],
    }

    /// General attributes of a restart, `OID_GEN_MINIPORT_RESTART_ATTRIBUTES` (ndis.h).
    pub struct NDIS_RESTART_GENERAL_ATTRIBUTES: 0x58 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MtuSize @ 0x4: u32,
        MaxXmitLinkSpeed @ 0x8: u64,
        MaxRcvLinkSpeed @ 0x10: u64,
        LookaheadSize @ 0x18: u32,
        MacOptions @ 0x1c: u32,
        SupportedPacketFilters @ 0x20: u32,
        MaxMulticastListSize @ 0x24: u32,
        RecvScaleCapabilities @ 0x28: *mut NDIS_RECEIVE_SCALE_CAPABILITIES,
        AccessType @ 0x30: NET_IF_ACCESS_TYPE,
        Flags @ 0x34: u32,
        ConnectionType @ 0x38: NET_IF_CONNECTION_TYPE,
        SupportedStatistics @ 0x3c: u32,
        DataBackFillSize @ 0x40: u32,
        ContextBackFillSize @ 0x44: u32,
        SupportedOidList @ 0x48: *mut u32,
        SupportedOidListLength @ 0x50: u32,
        MaxLookaheadSizeAccessed @ 0x54: u32,
    }

    /// Optional plug and play handlers, for `NdisSetOptionalHandlers` (ndis.h).
    pub struct NDIS_MINIPORT_PNP_CHARACTERISTICS: 0x30 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MiniportAddDeviceHandler @ 0x8: Option<MINIPORT_ADD_DEVICE>,
        MiniportRemoveDeviceHandler @ 0x10: Option<MINIPORT_REMOVE_DEVICE>,
        MiniportFilterResourceRequirementsHandler @ 0x18: Option<MINIPORT_PNP_IRP>,
        MiniportStartDeviceHandler @ 0x20: Option<MINIPORT_PNP_IRP>,
        Flags @ 0x28: u32,
    }

    /// Optional selective suspend handlers, for `NdisSetOptionalHandlers` (ndis.h).
    pub struct NDIS_MINIPORT_SS_CHARACTERISTICS: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        IdleNotificationHandler @ 0x8: Option<MINIPORT_IDLE_NOTIFICATION>,
        CancelIdleNotificationHandler @ 0x10: Option<MINIPORT_CANCEL_IDLE_NOTIFICATION>,
    }

    /// What `NdisSetOptionalHandlers` takes: a header that tells which handlers follow (ndis.h).
    pub struct NDIS_DRIVER_OPTIONAL_HANDLERS: 0x4 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
    }
}
