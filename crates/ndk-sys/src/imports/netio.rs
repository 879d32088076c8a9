//! Functions of netio.sys: interfaces, addresses, routes, neighbours, WSK (netioapi.h, wsk.h). Those of
//! netioapi.h run at `PASSIVE_LEVEL`, if nothing else is said.

use crate::{
    ADDRESS_FAMILY, BOOLEAN, GUID, HANDLE, MIB_IF_ROW2, MIB_IPFORWARD_ROW2, MIB_IPFORWARD_TABLE2,
    MIB_IPINTERFACE_ROW, MIB_IPINTERFACE_TABLE, MIB_IPNET_ROW2, MIB_IPNET_TABLE2, MIB_UNICASTIPADDRESS_ROW,
    MIB_UNICASTIPADDRESS_TABLE, NET_IFINDEX, NET_LUID, NTSTATUS, PIPFORWARD_CHANGE_CALLBACK,
    PIPINTERFACE_CHANGE_CALLBACK, PSTABLE_UNICAST_IPADDRESS_TABLE_CALLBACK,
    PUNICAST_IPADDRESS_CHANGE_CALLBACK, SOCKADDR_INET, WSK_CLIENT_NPI, WSK_PROVIDER_CHARACTERISTICS,
    WSK_PROVIDER_NPI, WSK_REGISTRATION,
};
use core::ffi::c_void;

imports! {
    library "netio";

    /// Reads an interface.
    fn GetIfEntry2 = PFN_GetIfEntry2(Row: *mut MIB_IF_ROW2) -> NTSTATUS;

    /// Reads an IP interface.
    fn GetIpInterfaceEntry = PFN_GetIpInterfaceEntry(Row: *mut MIB_IPINTERFACE_ROW) -> NTSTATUS;

    /// Reads all IP interfaces; free with `FreeMibTable`.
    fn GetIpInterfaceTable = PFN_GetIpInterfaceTable(
        Family: ADDRESS_FAMILY,
        Table: *mut *mut MIB_IPINTERFACE_TABLE,
    ) -> NTSTATUS;

    /// Sets all members of an IP interface to "unspecified".
    fn InitializeIpInterfaceEntry = PFN_InitializeIpInterfaceEntry(Row: *mut MIB_IPINTERFACE_ROW);

    /// Asks to be told of changed IP interfaces.
    fn NotifyIpInterfaceChange = PFN_NotifyIpInterfaceChange(
        Family: ADDRESS_FAMILY,
        Callback: Option<PIPINTERFACE_CHANGE_CALLBACK>,
        CallerContext: *mut c_void,
        InitialNotification: BOOLEAN,
        NotificationHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// From index to LUID.
    fn ConvertInterfaceIndexToLuid = PFN_ConvertInterfaceIndexToLuid(
        InterfaceIndex: NET_IFINDEX,
        InterfaceLuid: *mut NET_LUID,
    ) -> NTSTATUS;

    /// From LUID to index.
    fn ConvertInterfaceLuidToIndex = PFN_ConvertInterfaceLuidToIndex(
        InterfaceLuid: *const NET_LUID,
        InterfaceIndex: *mut u32,
    ) -> NTSTATUS;

    /// From LUID to GUID.
    fn ConvertInterfaceLuidToGuid = PFN_ConvertInterfaceLuidToGuid(
        InterfaceLuid: *const NET_LUID,
        InterfaceGuid: *mut GUID,
    ) -> NTSTATUS;

    /// From GUID to LUID.
    fn ConvertInterfaceGuidToLuid = PFN_ConvertInterfaceGuidToLuid(
        InterfaceGuid: *const GUID,
        InterfaceLuid: *mut NET_LUID,
    ) -> NTSTATUS;

    /// Reads all unicast addresses; free with `FreeMibTable`.
    fn GetUnicastIpAddressTable = PFN_GetUnicastIpAddressTable(
        Family: ADDRESS_FAMILY,
        Table: *mut *mut MIB_UNICASTIPADDRESS_TABLE,
    ) -> NTSTATUS;

    /// Reads a unicast address.
    fn GetUnicastIpAddressEntry = PFN_GetUnicastIpAddressEntry(
        Row: *mut MIB_UNICASTIPADDRESS_ROW,
    ) -> NTSTATUS;

    /// Sets all members of a unicast address to "unspecified".
    fn InitializeUnicastIpAddressEntry = PFN_InitializeUnicastIpAddressEntry(
        Row: *mut MIB_UNICASTIPADDRESS_ROW,
    );

    /// Asks to be told of changed unicast addresses.
    fn NotifyUnicastIpAddressChange = PFN_NotifyUnicastIpAddressChange(
        Family: ADDRESS_FAMILY,
        Callback: Option<PUNICAST_IPADDRESS_CHANGE_CALLBACK>,
        CallerContext: *mut c_void,
        InitialNotification: BOOLEAN,
        NotificationHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// Reads all unicast addresses when none is tentative.
    fn NotifyStableUnicastIpAddressTable = PFN_NotifyStableUnicastIpAddressTable(
        Family: ADDRESS_FAMILY,
        Table: *mut *mut MIB_UNICASTIPADDRESS_TABLE,
        CallerCallback: Option<PSTABLE_UNICAST_IPADDRESS_TABLE_CALLBACK>,
        CallerContext: *mut c_void,
        NotificationHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// Reads a route.
    fn GetIpForwardEntry2 = PFN_GetIpForwardEntry2(Row: *mut MIB_IPFORWARD_ROW2) -> NTSTATUS;

    /// Reads all routes; free with `FreeMibTable`.
    fn GetIpForwardTable2 = PFN_GetIpForwardTable2(
        Family: ADDRESS_FAMILY,
        Table: *mut *mut MIB_IPFORWARD_TABLE2,
    ) -> NTSTATUS;

    /// Finds route and source address to a destination. IRQL <= `DISPATCH_LEVEL`.
    fn GetBestRoute2 = PFN_GetBestRoute2(
        InterfaceLuid: *mut NET_LUID,
        InterfaceIndex: NET_IFINDEX,
        SourceAddress: *const SOCKADDR_INET,
        DestinationAddress: *const SOCKADDR_INET,
        AddressSortOptions: u32,
        BestRoute: *mut MIB_IPFORWARD_ROW2,
        BestSourceAddress: *mut SOCKADDR_INET,
    ) -> NTSTATUS;

    /// Asks to be told of changed routes.
    fn NotifyRouteChange2 = PFN_NotifyRouteChange2(
        AddressFamily: ADDRESS_FAMILY,
        Callback: Option<PIPFORWARD_CHANGE_CALLBACK>,
        CallerContext: *mut c_void,
        InitialNotification: BOOLEAN,
        NotificationHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// Reads a neighbour.
    fn GetIpNetEntry2 = PFN_GetIpNetEntry2(Row: *mut MIB_IPNET_ROW2) -> NTSTATUS;

    /// Reads all neighbours; free with `FreeMibTable`.
    fn GetIpNetTable2 = PFN_GetIpNetTable2(
        Family: ADDRESS_FAMILY,
        Table: *mut *mut MIB_IPNET_TABLE2,
    ) -> NTSTATUS;

    /// Resolves a neighbour's hardware address; waits for the answer.
    fn ResolveIpNetEntry2 = PFN_ResolveIpNetEntry2(
        Row: *mut MIB_IPNET_ROW2,
        SourceAddress: *const SOCKADDR_INET,
    ) -> NTSTATUS;

    /// Forgets neighbours.
    fn FlushIpNetTable2 = PFN_FlushIpNetTable2(
        Family: ADDRESS_FAMILY,
        InterfaceIndex: NET_IFINDEX,
    ) -> NTSTATUS;

    /// Ends a notification; waits for its callbacks.
    fn CancelMibChangeNotify2 = PFN_CancelMibChangeNotify2(NotificationHandle: HANDLE) -> NTSTATUS;

    /// Frees a table.
    fn FreeMibTable = PFN_FreeMibTable(Memory: *mut c_void);

    /// Registers a WSK client. IRQL <= `APC_LEVEL`.
    fn WskRegister = PFN_WskRegister(
        WskClientNpi: *mut WSK_CLIENT_NPI,
        WskRegistration: *mut WSK_REGISTRATION,
    ) -> NTSTATUS;

    /// Undoes `WskRegister`; waits for what the client has captured. IRQL <= `APC_LEVEL`.
    fn WskDeregister = PFN_WskDeregister(WskRegistration: *mut WSK_REGISTRATION);

    /// Captures the WSK subsystem, after a wait of so many milliseconds. IRQL <= `APC_LEVEL`.
    fn WskCaptureProviderNPI = PFN_WskCaptureProviderNPI(
        WskRegistration: *mut WSK_REGISTRATION,
        WaitTimeout: u32,
        WskProviderNpi: *mut WSK_PROVIDER_NPI,
    ) -> NTSTATUS;

    /// Undoes `WskCaptureProviderNPI`. IRQL <= `APC_LEVEL`.
    fn WskReleaseProviderNPI = PFN_WskReleaseProviderNPI(WskRegistration: *mut WSK_REGISTRATION);

    /// Versions that the subsystem supports. IRQL <= `APC_LEVEL`.
    fn WskQueryProviderCharacteristics = PFN_WskQueryProviderCharacteristics(
        WskRegistration: *mut WSK_REGISTRATION,
        WskProviderCharacteristics: *mut WSK_PROVIDER_CHARACTERISTICS,
    ) -> NTSTATUS;
}
