/*
 * NDKPI, the Network Direct Kernel Provider Interface: the functions and objects by which a kernel-mode consumer uses an RDMA
 * adapter. Names, values and layouts are those of Microsoft's ndkpi.h (up to NDKPI 2.1), written down anew for builds without
 * the Windows Driver Kit; a test compares them with the bindings in crates/ndk-sys. With the WDK, leave this folder out of the
 * include path.
 *
 * Unless it says otherwise, everything may be called at IRQL <= DISPATCH_LEVEL. A function that returns STATUS_PENDING calls
 * its completion callback exactly once, possibly before it returns; with any other result it does not call it.
 */
#ifndef _NDKPI_H_
#define _NDKPI_H_

#include "ndkinfo.h"
#include "ws2def.h"

/* An address that the adapter uses, not the processor. */
typedef PHYSICAL_ADDRESS NDK_LOGICAL_ADDRESS;

typedef struct _NDK_ADAPTER NDK_ADAPTER;
typedef struct _NDK_PD NDK_PD;
typedef struct _NDK_CQ NDK_CQ;
typedef struct _NDK_QP NDK_QP;
typedef struct _NDK_SRQ NDK_SRQ;
typedef struct _NDK_MR NDK_MR;
typedef struct _NDK_MW NDK_MW;
typedef struct _NDK_CONNECTOR NDK_CONNECTOR;
typedef struct _NDK_LISTENER NDK_LISTENER;
typedef struct _NDK_SHARED_ENDPOINT NDK_SHARED_ENDPOINT;

/* ---- What all objects share ---- */

/* The kind of an NDK object. */
typedef enum _NDK_OBJECT_TYPE {
    NdkObjectTypeUndefined = 0,
    NdkObjectTypeAdapter = 1,
    NdkObjectTypeQp = 2,
    NdkObjectTypeCq = 3,
    NdkObjectTypeMr = 4,
    NdkObjectTypeMw = 5,
    NdkObjectTypePd = 6,
    NdkObjectTypeSharedEndpoint = 7,
    NdkObjectTypeConnector = 8,
    NdkObjectTypeListener = 9,
    NdkObjectTypeSrq = 10,
    NdkObjectTypeMax = 11
} NDK_OBJECT_TYPE;

/* What a work request was, in NDK_RESULT_EX. */
typedef enum _NDK_OPERATION_TYPE {
    NdkOperationTypeReceive = 1,
    NdkOperationTypeReceiveAndInvalidate = 32769,
    NdkOperationTypeSend = 2,
    NdkOperationTypeFastRegister = 4,
    NdkOperationTypeBind = 8,
    NdkOperationTypeInvalidate = 16,
    NdkOperationTypeRead = 32,
    NdkOperationTypeWrite = 64
} NDK_OPERATION_TYPE;

/* Access to a memory region that NdkRegisterMr grants; remote write contains local write. */
#define NDK_MR_FLAG_ALLOW_LOCAL_READ   0x0
#define NDK_MR_FLAG_ALLOW_LOCAL_WRITE  0x1
#define NDK_MR_FLAG_ALLOW_REMOTE_READ  0x2
#define NDK_MR_FLAG_ALLOW_REMOTE_WRITE 0x5
#define NDK_MR_FLAG_RDMA_READ_SINK     0x8

/* Work request flags; remote write contains local write. */
#define NDK_OP_FLAG_SILENT_SUCCESS             0x1
#define NDK_OP_FLAG_READ_FENCE                 0x2
#define NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT     0x4
#define NDK_OP_FLAG_ALLOW_REMOTE_READ          0x8
#define NDK_OP_FLAG_ALLOW_LOCAL_WRITE          0x10
#define NDK_OP_FLAG_ALLOW_REMOTE_WRITE         0x30
#define NDK_OP_FLAG_INLINE                     0x40
#define NDK_OP_FLAG_RDMA_READ_SINK             0x80
#define NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE 0x100
#define NDK_OP_FLAG_DEFER                      0x200

/* What NdkArmCq arms a completion queue for. */
#define NDK_CQ_NOTIFY_ERRORS    0x0
#define NDK_CQ_NOTIFY_ANY       0x1
#define NDK_CQ_NOTIFY_SOLICITED 0x2

/* Storage of the object's user: zeroed at creation, then left alone until close. */
typedef struct _NDK_OBJECT_HEADER_RESERVED_BLOCK {
    VOID *rf[4];
} NDK_OBJECT_HEADER_RESERVED_BLOCK;

/* Start of every NDK object. */
typedef struct _NDK_OBJECT_HEADER {
    NDK_VERSION Version;
    NDK_OBJECT_TYPE ObjectType;
    NDK_OBJECT_HEADER_RESERVED_BLOCK NdkReserved;
} NDK_OBJECT_HEADER;

/* A piece of registered memory, by virtual or (with the privileged token) logical address. */
typedef struct _NDK_SGE {
    union {
        VOID *VirtualAddress;
        NDK_LOGICAL_ADDRESS LogicalAddress;
    };
    ULONG Length;
    UINT32 MemoryRegionToken;
} NDK_SGE;

/* Adapter page addresses of a buffer, as NdkBuildLAM returns them. */
typedef struct _NDK_LOGICAL_ADDRESS_MAPPING {
    VOID *AdapterContext;
    ULONG AdapterPageCount;
    NDK_LOGICAL_ADDRESS AdapterPageArray[1];
} NDK_LOGICAL_ADDRESS_MAPPING;

/* The dispatch table of an extension. */
typedef struct _NDK_EXTENSION_INTERFACE {
    CONST VOID *Dispatch;
} NDK_EXTENSION_INTERFACE;

/* A work completion. */
typedef struct _NDK_RESULT {
    NTSTATUS Status;
    ULONG BytesTransferred;
    VOID *QPContext;
    VOID *RequestContext;
} NDK_RESULT;

/*
 * A work completion with its operation type (NDKPI 1.2) and the provider's own error code (NDKPI 2.1; padding
 * before).
 */
typedef struct _NDK_RESULT_EX {
    NTSTATUS Status;
    ULONG BytesTransferred;
    VOID *QPContext;
    VOID *RequestContext;
    NDK_OPERATION_TYPE Type;
    ULONG ProviderErrorCode;
    SIZE_T TypeSpecificCompletionOutput;
} NDK_RESULT_EX;

/* Says that a close has finished: nothing of the object is used afterwards. */
typedef VOID (NTAPI *NDK_FN_CLOSE_COMPLETION)(VOID *Context);

/* Says how a pended request ended. */
typedef VOID (NTAPI *NDK_FN_REQUEST_COMPLETION)(VOID *Context, NTSTATUS Status);

/* Hands over the object of a pended creation, or says why there is none. */
typedef VOID (NTAPI *NDK_FN_CREATE_COMPLETION)(VOID *Context, NTSTATUS Status, NDK_OBJECT_HEADER *pNdkObject);

/* Closes an object: STATUS_SUCCESS or STATUS_PENDING, never a failure. */
typedef NTSTATUS (NTAPI *NDK_FN_CLOSE_OBJECT)(
    NDK_OBJECT_HEADER *pNdkObject,
    NDK_FN_CLOSE_COMPLETION CloseCompletion,
    VOID *RequestContext);

/* Asks for an extension interface by GUID; STATUS_NOT_SUPPORTED if there is none. */
typedef NTSTATUS (NTAPI *NDK_FN_QUERY_EXTENSION_INTERFACE)(
    NDK_OBJECT_HEADER *pNdkObject,
    GUID *ExtensionInterfaceID,
    NDK_VERSION ExtensionInterfaceVersion,
    NDK_EXTENSION_INTERFACE *pExtensionInterface);

/* Reports a completion, or by its status that the queue has failed; once per arming. */
typedef VOID (NTAPI *NDK_FN_CQ_NOTIFICATION_CALLBACK)(VOID *CqNotificationContext, NTSTATUS CqStatus);

/* Reports that the queue has fallen below its threshold, or has failed. */
typedef VOID (NTAPI *NDK_FN_SRQ_NOTIFICATION_CALLBACK)(VOID *SrqNotificationContext, NTSTATUS SrqStatus);

/* Delivers the connector of an incoming connection request. */
typedef VOID (NTAPI *NDK_FN_CONNECT_EVENT_CALLBACK)(VOID *ConnectEventContext, NDK_CONNECTOR *pNdkConnector);

/* Says, once, that the connection has ended. */
typedef VOID (NTAPI *NDK_FN_DISCONNECT_EVENT_CALLBACK)(VOID *DisconnectEventContext);

/* Says, once, that the connection has ended, and the provider's reason or 0 (NDKPI 2.1). */
typedef VOID (NTAPI *NDK_FN_DISCONNECT_EVENT_CALLBACK_EX)(
    VOID *DisconnectEventContext,
    ULONG ProviderDisconnectReason);

/* ---- Adapters ---- */

/* Reads the adapter's limits; without a buffer, the size needed. PASSIVE_LEVEL. */
typedef NTSTATUS (NTAPI *NDK_FN_QUERY_ADAPTER_INFO)(
    NDK_ADAPTER *pNdkAdapter,
    NDK_ADAPTER_INFO *pInfo,
    ULONG *pBufferSize);

/* Creates a completion queue. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_CQ)(
    NDK_ADAPTER *pNdkAdapter,
    ULONG CqDepth,
    NDK_FN_CQ_NOTIFICATION_CALLBACK CqNotification,
    VOID *CqNotificationContext,
    GROUP_AFFINITY *Affinity,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_CQ **ppNdkCq);

/* Creates a protection domain. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_PD)(
    NDK_ADAPTER *pNdkAdapter,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_PD **ppNdkPd);

/* Creates a local endpoint that several outgoing connections share. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_SHARED_ENDPOINT)(
    NDK_ADAPTER *pNdkAdapter,
    CONST SOCKADDR *pAddress,
    ULONG AddressLength,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_SHARED_ENDPOINT **ppNdkSharedEndpoint);

/* Creates a connector. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_CONNECTOR)(
    NDK_ADAPTER *pNdkAdapter,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_CONNECTOR **ppNdkConnector);

/* Creates a listener, which delivers connectors through its connect event callback. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_LISTENER)(
    NDK_ADAPTER *pNdkAdapter,
    NDK_FN_CONNECT_EVENT_CALLBACK ConnectEvent,
    VOID *ConnectEventContext,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_LISTENER **ppNdkListener);

/* Maps a buffer for the adapter; the completion callback is optional. */
typedef NTSTATUS (NTAPI *NDK_FN_BUILD_LAM)(
    NDK_ADAPTER *pNdkAdapter,
    MDL *Mdl,
    SIZE_T Length,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext,
    NDK_LOGICAL_ADDRESS_MAPPING *pNdkLAM,
    ULONG *pLAMSize,
    ULONG *pFBO);

/* Releases what NDK_FN_BUILD_LAM built. */
typedef VOID (NTAPI *NDK_FN_RELEASE_LAM)(NDK_ADAPTER *pNdkAdapter, NDK_LOGICAL_ADDRESS_MAPPING *pNdkLAM);

/* Functions of an adapter. */
typedef struct _NDK_ADAPTER_DISPATCH {
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_QUERY_ADAPTER_INFO NdkQueryAdapterInfo;
    NDK_FN_CREATE_CQ NdkCreateCq;
    NDK_FN_CREATE_PD NdkCreatePd;
    NDK_FN_CREATE_SHARED_ENDPOINT NdkCreateSharedEndpoint;
    NDK_FN_CREATE_CONNECTOR NdkCreateConnector;
    NDK_FN_CREATE_LISTENER NdkCreateListener;
    NDK_FN_BUILD_LAM NdkBuildLAM;
    NDK_FN_RELEASE_LAM NdkReleaseLAM;
} NDK_ADAPTER_DISPATCH;

/* An adapter as its consumer sees it; the provider's data may follow. */
struct _NDK_ADAPTER {
    NDK_OBJECT_HEADER Header;
    CONST NDK_ADAPTER_DISPATCH *Dispatch;
};

/* ---- Protection domains ---- */

/* Creates a memory region, for fast registration or for registration by MDL. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_MR)(
    NDK_PD *pNdkPd,
    BOOLEAN FastRegister,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_MR **ppNdkMr);

/* Creates a memory window. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_MW)(
    NDK_PD *pNdkPd,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_MW **ppNdkMw);

/* Creates a shared receive queue. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_SRQ)(
    NDK_PD *pNdkPd,
    ULONG SrqDepth,
    ULONG MaxReceiveRequestSge,
    ULONG NotifyThreshold,
    NDK_FN_SRQ_NOTIFICATION_CALLBACK SrqNotification,
    VOID *SrqNotificationContext,
    GROUP_AFFINITY *Affinity,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_SRQ **ppNdkSrq);

/* Creates a queue pair with a receive queue of its own. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_QP)(
    NDK_PD *pNdkPd,
    NDK_CQ *pReceiveCq,
    NDK_CQ *pInitiatorCq,
    VOID *QPContext,
    ULONG ReceiveQueueDepth,
    ULONG InitiatorQueueDepth,
    ULONG MaxReceiveRequestSge,
    ULONG MaxInitiatorRequestSge,
    ULONG InlineDataSize,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_QP **ppNdkQp);

/* Creates a queue pair that receives from a shared receive queue. */
typedef NTSTATUS (NTAPI *NDK_FN_CREATE_QP_WITH_SRQ)(
    NDK_PD *pNdkPd,
    NDK_CQ *pReceiveCq,
    NDK_CQ *pInitiatorCq,
    NDK_SRQ *pSrq,
    VOID *QPContext,
    ULONG InitiatorQueueDepth,
    ULONG MaxInitiatorRequestSge,
    ULONG InlineDataSize,
    NDK_FN_CREATE_COMPLETION CreateCompletion,
    VOID *RequestContext,
    NDK_QP **ppNdkQp);

/* The token with which logical addresses are used unregistered. */
typedef VOID (NTAPI *NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN)(NDK_PD *pNdkPd, UINT32 *pToken);

/* Functions of a protection domain. */
typedef struct _NDK_PD_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkClosePd;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_CREATE_MR NdkCreateMr;
    NDK_FN_CREATE_MW NdkCreateMw;
    NDK_FN_CREATE_SRQ NdkCreateSrq;
    NDK_FN_CREATE_QP NdkCreateQp;
    NDK_FN_CREATE_QP_WITH_SRQ NdkCreateQpWithSrq;
    NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN NdkGetPrivilegedMemoryRegionToken;
} NDK_PD_DISPATCH;

/* A protection domain as its consumer sees it; the provider's data may follow. */
struct _NDK_PD {
    NDK_OBJECT_HEADER Header;
    CONST NDK_PD_DISPATCH *Dispatch;
};

/* ---- Completion queues ---- */

/* Changes the depth of the queue. */
typedef NTSTATUS (NTAPI *NDK_FN_RESIZE_CQ)(
    NDK_CQ *pNdkCq,
    ULONG CqDepth,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Asks for one notification; the type is one of NDK_CQ_NOTIFY_…. */
typedef VOID (NTAPI *NDK_FN_ARM_CQ)(NDK_CQ *pNdkCq, ULONG Type);

/* Takes up to ResultCount completions; returns how many. */
typedef ULONG (NTAPI *NDK_FN_GET_CQ_RESULTS)(NDK_CQ *pNdkCq, NDK_RESULT *Results, ULONG nResults);

/* Takes up to ResultCount extended completions; returns how many (NDKPI 1.2). */
typedef ULONG (NTAPI *NDK_FN_GET_CQ_RESULTS_EX)(NDK_CQ *pNdkCq, NDK_RESULT_EX *Results, ULONG nResults);

/* Sets the notification delay: microseconds and completions. */
typedef NTSTATUS (NTAPI *NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION)(
    NDK_CQ *pNdkCq,
    ULONG ModerationInterval,
    ULONG ModerationCount);

/* Functions of a completion queue. */
typedef struct _NDK_CQ_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseCq;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_RESIZE_CQ NdkResizeCq;
    NDK_FN_ARM_CQ NdkArmCq;
    NDK_FN_GET_CQ_RESULTS NdkGetCqResults;
    NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION NdkControlCqInterruptModeration;
    NDK_FN_GET_CQ_RESULTS_EX NdkGetCqResultsEx;
} NDK_CQ_DISPATCH;

/* A completion queue as its consumer sees it; the provider's data may follow. */
struct _NDK_CQ {
    NDK_OBJECT_HEADER Header;
    CONST NDK_CQ_DISPATCH *Dispatch;
};

/* ---- Queue pairs ---- */

/* Cancels all requests of the queue pair; they complete with STATUS_CANCELLED. */
typedef VOID (NTAPI *NDK_FN_FLUSH)(NDK_QP *pNdkQp);

/* Posts a send. */
typedef NTSTATUS (NTAPI *NDK_FN_SEND)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    CONST NDK_SGE *pSgl,
    ULONG nSge,
    ULONG Flags);

/* Posts a receive. */
typedef NTSTATUS (NTAPI *NDK_FN_RECEIVE)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    CONST NDK_SGE *pSgl,
    ULONG nSge);

/* Binds a memory window to a part of a memory region. */
typedef NTSTATUS (NTAPI *NDK_FN_BIND)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    NDK_MR *pMr,
    NDK_MW *pMw,
    VOID *VirtualAddress,
    SIZE_T Length,
    ULONG Flags);

/* Registers an array of adapter pages with a fast-register memory region. */
typedef NTSTATUS (NTAPI *NDK_FN_FAST_REGISTER)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    NDK_MR *pMr,
    ULONG AdapterPageCount,
    CONST NDK_LOGICAL_ADDRESS *AdapterPageArray,
    ULONG FBO,
    SIZE_T Length,
    VOID *BaseVirtualAddress,
    ULONG Flags);

/* Invalidates a fast-register memory region or a memory window. */
typedef NTSTATUS (NTAPI *NDK_FN_INVALIDATE)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    NDK_OBJECT_HEADER *pNdkMrOrMw,
    ULONG Flags);

/* Posts an RDMA read. */
typedef NTSTATUS (NTAPI *NDK_FN_READ)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    CONST NDK_SGE *pSgl,
    ULONG nSge,
    UINT64 RemoteAddress,
    UINT32 RemoteToken,
    ULONG Flags);

/* Posts an RDMA write. */
typedef NTSTATUS (NTAPI *NDK_FN_WRITE)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    CONST NDK_SGE *pSgl,
    ULONG nSge,
    UINT64 RemoteAddress,
    UINT32 RemoteToken,
    ULONG Flags);

/* Posts a send that invalidates the peer's token (NDKPI 1.2). */
typedef NTSTATUS (NTAPI *NDK_FN_SEND_AND_INVALIDATE)(
    NDK_QP *pNdkQp,
    VOID *RequestContext,
    CONST NDK_SGE *pSgl,
    ULONG nSge,
    ULONG Flags,
    UINT32 RemoteToken);

/* Functions of a queue pair. */
typedef struct _NDK_QP_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseQp;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_FLUSH NdkFlush;
    NDK_FN_SEND NdkSend;
    NDK_FN_RECEIVE NdkReceive;
    NDK_FN_BIND NdkBind;
    NDK_FN_FAST_REGISTER NdkFastRegister;
    NDK_FN_INVALIDATE NdkInvalidate;
    NDK_FN_READ NdkRead;
    NDK_FN_WRITE NdkWrite;
    NDK_FN_SEND_AND_INVALIDATE NdkSendAndInvalidate;
} NDK_QP_DISPATCH;

/* A queue pair as its consumer sees it; the provider's data may follow. */
struct _NDK_QP {
    NDK_OBJECT_HEADER Header;
    CONST NDK_QP_DISPATCH *Dispatch;
};

/* ---- Shared receive queues ---- */

/* Changes the depth and the notification threshold. */
typedef NTSTATUS (NTAPI *NDK_FN_MODIFY_SRQ)(
    NDK_SRQ *pNdkSrq,
    ULONG SrqDepth,
    ULONG NotifyThreshold,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Posts a receive request. */
typedef NTSTATUS (NTAPI *NDK_FN_SRQ_RECEIVE)(
    NDK_SRQ *pNdkSrq,
    VOID *RequestContext,
    CONST NDK_SGE *pSgl,
    ULONG nSge);

/* Functions of a shared receive queue. */
typedef struct _NDK_SRQ_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseSrq;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_MODIFY_SRQ NdkModifySrq;
    NDK_FN_SRQ_RECEIVE NdkSrqReceive;
} NDK_SRQ_DISPATCH;

/* A shared receive queue as its consumer sees it; the provider's data may follow. */
struct _NDK_SRQ {
    NDK_OBJECT_HEADER Header;
    CONST NDK_SRQ_DISPATCH *Dispatch;
};

/* ---- Memory regions and windows ---- */

/* Registers the pages of an MDL chain with NDK_MR_FLAG_… access. */
typedef NTSTATUS (NTAPI *NDK_FN_REGISTER_MR)(
    NDK_MR *pNdkMr,
    MDL *Mdl,
    SIZE_T Length,
    ULONG Flags,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Undoes NDK_FN_REGISTER_MR. */
typedef NTSTATUS (NTAPI *NDK_FN_DEREGISTER_MR)(
    NDK_MR *pNdkMr,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Prepares the region for fast registration of up to so many pages. */
typedef NTSTATUS (NTAPI *NDK_FN_INITIALIZE_FAST_REGISTER_MR)(
    NDK_MR *pNdkMr,
    ULONG AdapterPageCount,
    BOOLEAN RemoteAccess,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* The token that a peer uses. */
typedef UINT32 (NTAPI *NDK_FN_GET_REMOTE_TOKEN_FROM_MR)(NDK_MR *pNdkMr);

/* The token for NDK_SGE. */
typedef UINT32 (NTAPI *NDK_FN_GET_LOCAL_TOKEN_FROM_MR)(NDK_MR *pNdkMr);

/* The token that a peer uses. */
typedef UINT32 (NTAPI *NDK_FN_GET_REMOTE_TOKEN_FROM_MW)(NDK_MW *pNdkMw);

/* Functions of a memory region. */
typedef struct _NDK_MR_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseMr;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_REGISTER_MR NdkRegisterMr;
    NDK_FN_DEREGISTER_MR NdkDeregisterMr;
    NDK_FN_INITIALIZE_FAST_REGISTER_MR NdkInitializeFastRegisterMr;
    NDK_FN_GET_REMOTE_TOKEN_FROM_MR NdkGetRemoteTokenFromMr;
    NDK_FN_GET_LOCAL_TOKEN_FROM_MR NdkGetLocalTokenFromMr;
} NDK_MR_DISPATCH;

/* A memory region as its consumer sees it; the provider's data may follow. */
struct _NDK_MR {
    NDK_OBJECT_HEADER Header;
    CONST NDK_MR_DISPATCH *Dispatch;
};

/* Functions of a memory window. */
typedef struct _NDK_MW_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseMw;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_GET_REMOTE_TOKEN_FROM_MW NdkGetRemoteTokenFromMw;
} NDK_MW_DISPATCH;

/* A memory window as its consumer sees it; the provider's data may follow. */
struct _NDK_MW {
    NDK_OBJECT_HEADER Header;
    CONST NDK_MW_DISPATCH *Dispatch;
};

/* ---- Connectors, listeners and shared endpoints ---- */

/* Requests a connection from a local to a remote address, with private data. */
typedef NTSTATUS (NTAPI *NDK_FN_CONNECT)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_QP *pNdkQp,
    CONST SOCKADDR *pSrcAddress,
    ULONG SrcAddressLength,
    CONST SOCKADDR *pDestAddress,
    ULONG DestAddressLength,
    ULONG InboundReadLimit,
    ULONG OutboundReadLimit,
    CONST VOID *pPrivateData,
    ULONG PrivateDataLength,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Requests a connection from a shared endpoint. */
typedef NTSTATUS (NTAPI *NDK_FN_CONNECT_WITH_SHARED_ENDPOINT)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_QP *pNdkQp,
    NDK_SHARED_ENDPOINT *pNdkSharedEndpoint,
    CONST SOCKADDR *pDestAddress,
    ULONG DestAddressLength,
    ULONG InboundReadLimit,
    ULONG OutboundReadLimit,
    CONST VOID *pPrivateData,
    ULONG PrivateDataLength,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Confirms a connection that the peer has accepted. */
typedef NTSTATUS (NTAPI *NDK_FN_COMPLETE_CONNECT)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_FN_DISCONNECT_EVENT_CALLBACK DisconnectEvent,
    VOID *DisconnectEventContext,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* NDK_FN_COMPLETE_CONNECT with a disconnect event that has a reason (NDKPI 2.1). */
typedef NTSTATUS (NTAPI *NDK_FN_COMPLETE_CONNECT_EX)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_FN_DISCONNECT_EVENT_CALLBACK_EX DisconnectEvent,
    VOID *DisconnectEventContext,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Accepts an incoming connection request, with private data. */
typedef NTSTATUS (NTAPI *NDK_FN_ACCEPT)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_QP *pNdkQp,
    ULONG InboundReadLimit,
    ULONG OutboundReadLimit,
    CONST VOID *pPrivateData,
    ULONG PrivateDataLength,
    NDK_FN_DISCONNECT_EVENT_CALLBACK DisconnectEvent,
    VOID *DisconnectEventContext,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* NDK_FN_ACCEPT with a disconnect event that has a reason (NDKPI 2.1). */
typedef NTSTATUS (NTAPI *NDK_FN_ACCEPT_EX)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_QP *pNdkQp,
    ULONG InboundReadLimit,
    ULONG OutboundReadLimit,
    CONST VOID *pPrivateData,
    ULONG PrivateDataLength,
    NDK_FN_DISCONNECT_EVENT_CALLBACK_EX DisconnectEvent,
    VOID *DisconnectEventContext,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/*
 * Rejects an incoming request, or a connection that the peer accepted and nobody confirmed yet. Synchronous: there
 * is no completion callback.
 */
typedef NTSTATUS (NTAPI *NDK_FN_REJECT)(
    NDK_CONNECTOR *pNdkConnector,
    CONST VOID *pPrivateData,
    ULONG PrivateDataLength);

/*
 * Reads the read limits and the peer's private data; the length returned is the room needed, not the length of
 * what the peer sent.
 */
typedef NTSTATUS (NTAPI *NDK_FN_GET_CONNECTION_DATA)(
    NDK_CONNECTOR *pNdkConnector,
    ULONG *pInboundReadLimit,
    ULONG *pOutboundReadLimit,
    VOID *pPrivateData,
    ULONG *pPrivateDataLength);

/* Reads the local address. */
typedef NTSTATUS (NTAPI *NDK_FN_GET_LOCAL_ADDRESS)(
    NDK_CONNECTOR *pNdkConnector,
    SOCKADDR *pAddress,
    ULONG *pAddressLength);

/* Reads the peer's address. */
typedef NTSTATUS (NTAPI *NDK_FN_GET_PEER_ADDRESS)(
    NDK_CONNECTOR *pNdkConnector,
    SOCKADDR *pAddress,
    ULONG *pAddressLength);

/* Ends a connection. */
typedef NTSTATUS (NTAPI *NDK_FN_DISCONNECT)(
    NDK_CONNECTOR *pNdkConnector,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Starts to listen on an address. */
typedef NTSTATUS (NTAPI *NDK_FN_LISTEN)(
    NDK_LISTENER *pNdkListener,
    CONST SOCKADDR *pAddress,
    ULONG AddressLength,
    NDK_FN_REQUEST_COMPLETION RequestCompletion,
    VOID *RequestContext);

/* Pauses or resumes the delivery of connect events. */
typedef VOID (NTAPI *NDK_FN_CONTROL_CONNECT_EVENTS)(NDK_LISTENER *pNdkListener, BOOLEAN Pause);

/* Reads the listener's address. */
typedef NTSTATUS (NTAPI *NDK_FN_GET_LISTENER_LOCAL_ADDRESS)(
    NDK_LISTENER *pNdkListener,
    SOCKADDR *pAddress,
    ULONG *pAddressLength);

/* Reads the endpoint's address. */
typedef NTSTATUS (NTAPI *NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS)(
    NDK_SHARED_ENDPOINT *pNdkSharedEndpoint,
    SOCKADDR *pAddress,
    ULONG *pAddressLength);

/*
 * Functions of a connector. The last two exist from NDKPI 2.1; before that the table is 0x58 long, and a longer
 * one is harmless.
 */
typedef struct _NDK_CONNECTOR_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseConnector;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_CONNECT NdkConnect;
    NDK_FN_CONNECT_WITH_SHARED_ENDPOINT NdkConnectWithSharedEndpoint;
    NDK_FN_COMPLETE_CONNECT NdkCompleteConnect;
    NDK_FN_ACCEPT NdkAccept;
    NDK_FN_REJECT NdkReject;
    NDK_FN_GET_CONNECTION_DATA NdkGetConnectionData;
    NDK_FN_GET_LOCAL_ADDRESS NdkGetLocalAddress;
    NDK_FN_GET_PEER_ADDRESS NdkGetPeerAddress;
    NDK_FN_DISCONNECT NdkDisconnect;
    NDK_FN_COMPLETE_CONNECT_EX NdkCompleteConnectEx;
    NDK_FN_ACCEPT_EX NdkAcceptEx;
} NDK_CONNECTOR_DISPATCH;

/* A connector as its consumer sees it; the provider's data may follow. */
struct _NDK_CONNECTOR {
    NDK_OBJECT_HEADER Header;
    CONST NDK_CONNECTOR_DISPATCH *Dispatch;
};

/* Functions of a listener. */
typedef struct _NDK_LISTENER_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseListener;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_LISTEN NdkListen;
    NDK_FN_GET_LISTENER_LOCAL_ADDRESS NdkGetLocalAddress;
    NDK_FN_CONTROL_CONNECT_EVENTS NdkControlConnectEvents;
} NDK_LISTENER_DISPATCH;

/* A listener as its consumer sees it; the provider's data may follow. */
struct _NDK_LISTENER {
    NDK_OBJECT_HEADER Header;
    CONST NDK_LISTENER_DISPATCH *Dispatch;
};

/* Functions of a shared endpoint. */
typedef struct _NDK_SHARED_ENDPOINT_DISPATCH {
    NDK_FN_CLOSE_OBJECT NdkCloseSharedEndpoint;
    NDK_FN_QUERY_EXTENSION_INTERFACE NdkQueryExtension;
    NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS NdkGetLocalAddress;
} NDK_SHARED_ENDPOINT_DISPATCH;

/* A shared endpoint as its consumer sees it; the provider's data may follow. */
struct _NDK_SHARED_ENDPOINT {
    NDK_OBJECT_HEADER Header;
    CONST NDK_SHARED_ENDPOINT_DISPATCH *Dispatch;
};

#endif
