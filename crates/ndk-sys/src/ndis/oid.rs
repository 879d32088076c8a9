//! OID requests and status indications (ndis.h).

use crate::{GUID, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_PORT_NUMBER, NDIS_STATUS};
use core::ffi::c_void;

enums! {
    /// What an OID request asks for (ntddndis.h, ndis.h).
    enum NDIS_REQUEST_TYPE {
        NdisRequestQueryInformation = 0,
        NdisRequestSetInformation = 1,
        NdisRequestQueryStatistics = 2,
        NdisRequestOpen = 3,
        NdisRequestClose = 4,
        NdisRequestSend = 5,
        NdisRequestTransferData = 6,
        NdisRequestReset = 7,
        NdisRequestGeneric1 = 8,
        NdisRequestGeneric2 = 9,
        NdisRequestGeneric3 = 10,
        NdisRequestGeneric4 = 11,
        NdisRequestMethod = 12,
    }
}

constants! {
    /// Revisions of request and status structures (ndis.h).
    u8 {
        NDIS_OID_REQUEST_REVISION_1 = 1,
        NDIS_OID_REQUEST_REVISION_2 = 2,
        NDIS_STATUS_INDICATION_REVISION_1 = 1,
    }

    /// Sizes of request and status structures by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_STATUS_INDICATION_REVISION_1 = 0x70,
        NDIS_SIZEOF_OID_REQUEST_REVISION_1 = 0xec,
        NDIS_SIZEOF_OID_REQUEST_REVISION_2 = 0xf8,
    }

    /// Flags of OID requests (ndis.h).
    u32 {
        NDIS_OID_REQUEST_FLAGS_VPORT_ID_VALID = 1,
    }
}

layouts! {
    /// A query in [`REQUEST_DATA`]; the header only gives it the tag `_QUERY` (ndis.h).
    pub struct NDIS_OID_REQUEST_QUERY: 0x20 {
        Oid @ 0x0: NDIS_OID,
        InformationBuffer @ 0x8: *mut c_void,
        InformationBufferLength @ 0x10: u32,
        BytesWritten @ 0x14: u32,
        BytesNeeded @ 0x18: u32,
    }

    /// A set in [`REQUEST_DATA`]; the header only gives it the tag `_SET` (ndis.h).
    pub struct NDIS_OID_REQUEST_SET: 0x20 {
        Oid @ 0x0: NDIS_OID,
        InformationBuffer @ 0x8: *mut c_void,
        InformationBufferLength @ 0x10: u32,
        BytesRead @ 0x14: u32,
        BytesNeeded @ 0x18: u32,
    }

    /// A method in [`REQUEST_DATA`]; the header only gives it the tag `_METHOD` (ndis.h).
    pub struct NDIS_OID_REQUEST_METHOD: 0x28 {
        Oid @ 0x0: NDIS_OID,
        InformationBuffer @ 0x8: *mut c_void,
        InputBufferLength @ 0x10: u32,
        OutputBufferLength @ 0x14: u32,
        MethodId @ 0x18: u32,
        BytesWritten @ 0x1c: u32,
        BytesRead @ 0x20: u32,
        BytesNeeded @ 0x24: u32,
    }

    /// The member of an OID request that depends on its type (ndis.h).
    pub union REQUEST_DATA: 0x28 {
        QUERY_INFORMATION @ 0x0: NDIS_OID_REQUEST_QUERY,
        SET_INFORMATION @ 0x0: NDIS_OID_REQUEST_SET,
        METHOD_INFORMATION @ 0x0: NDIS_OID_REQUEST_METHOD,
    }

    /// An OID request, regular or direct (ndis.h).
    pub struct NDIS_OID_REQUEST: 0xf0 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        RequestType @ 0x4: NDIS_REQUEST_TYPE,
        PortNumber @ 0x8: NDIS_PORT_NUMBER,
        Timeout @ 0xc: u32,
        RequestId @ 0x10: *mut c_void,
        RequestHandle @ 0x18: NDIS_HANDLE,
        DATA @ 0x20: REQUEST_DATA,
        NdisReserved @ 0x48: [u8; 128],
        MiniportReserved @ 0xc8: [u8; 16],
        SourceReserved @ 0xd8: [u8; 16],
        SupportedRevision @ 0xe8: u8,
        Reserved1 @ 0xe9: u8,
        Reserved2 @ 0xea: u16,
    }

    /// What a miniport reports with `NdisMIndicateStatusEx` (ndis.h).
    pub struct NDIS_STATUS_INDICATION: 0x70 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        SourceHandle @ 0x8: NDIS_HANDLE,
        PortNumber @ 0x10: NDIS_PORT_NUMBER,
        StatusCode @ 0x14: NDIS_STATUS,
        Flags @ 0x18: u32,
        DestinationHandle @ 0x20: NDIS_HANDLE,
        RequestId @ 0x28: *mut c_void,
        StatusBuffer @ 0x30: *mut c_void,
        StatusBufferSize @ 0x38: u32,
        Guid @ 0x3c: GUID,
        NdisReserved @ 0x50: [*mut c_void; 4],
    }
}
