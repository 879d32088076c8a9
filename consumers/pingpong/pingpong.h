/*
 * pingpong.sys: an NDK consumer that shows how the objects of NDK are used, and tests a provider by it.
 *
 * It connects an interface with another, or with another machine, and transfers data every way that NDK has. What it does
 * is in the registry values of its service (config.c), what it sees is in the debug output.
 */
#ifndef PINGPONG_H
#define PINGPONG_H

#include <ntddk.h>
#include "wskndk.h"

#define TAG 'gniP'

#define Log(...) DbgPrint(__VA_ARGS__)

/* Returns from the current function with an error. */
#define CHECK(Expression)                                              \
    do {                                                               \
        NTSTATUS CheckStatus_ = (Expression);                          \
        if (!NT_SUCCESS(CheckStatus_)) {                               \
            Log("%s failed with 0x%08X", #Expression, CheckStatus_);   \
            return CheckStatus_;                                       \
        }                                                              \
    } while (0)

/* ---- config.c ---- */

typedef enum _ROLE { RoleBoth, RoleServer, RoleClient } ROLE;

typedef struct _CONFIG {
    ROLE Role;
    ULONG Interface;          /* of the client, or of the only role */
    SOCKADDR_INET Address;
    ULONG PeerInterface;      /* of the server, if this driver is both */
    SOCKADDR_INET PeerAddress;
    USHORT Port;
    ULONG Count;              /* round trips of the ping-pong */
    ULONG Size;               /* bytes of the region that is read and written */
} CONFIG;

NTSTATUS ReadConfig(PUNICODE_STRING RegistryPath, CONFIG *Config);
ULONG AddressLength(CONST SOCKADDR_INET *Address);

/* ---- provider.c: the way to NDK ---- */

NTSTATUS ProviderOpen(VOID);
VOID ProviderClose(VOID);
NTSTATUS AdapterOpen(ULONG Interface, NDK_ADAPTER **Adapter);
VOID AdapterClose(NDK_ADAPTER *Adapter);

/* ---- request.c: requests that may pend ---- */

typedef struct _REQUEST {
    KEVENT Done;
    NTSTATUS Status;
    NDK_OBJECT_HEADER *Object;
} REQUEST;

VOID RequestStart(REQUEST *Request);
/* Given what the function has returned, waits for the end; returns how it ended. PASSIVE_LEVEL */
NTSTATUS RequestEnd(REQUEST *Request, NTSTATUS Status);
VOID NTAPI RequestCompletion(VOID *Context, NTSTATUS Status);
VOID NTAPI CreateCompletion(VOID *Context, NTSTATUS Status, NDK_OBJECT_HEADER *Object);
VOID NTAPI CloseCompletion(VOID *Context);
VOID CloseObject(NDK_OBJECT_HEADER *Object, NDK_FN_CLOSE_OBJECT Close);

/* ---- buffer.c: memory that the adapter can reach ---- */

typedef struct _BUFFER {
    UCHAR *Data;
    ULONG Length;
    MDL *Mdl;
    NDK_ADAPTER *Adapter;
    NDK_LOGICAL_ADDRESS_MAPPING *Lam;
    ULONG Fbo;                /* where the data begin in the first adapter page */
} BUFFER;

NTSTATUS BufferCreate(NDK_ADAPTER *Adapter, ULONG Length, BUFFER *Buffer);
VOID BufferDelete(BUFFER *Buffer);
VOID BufferFill(BUFFER *Buffer, UCHAR Seed);
BOOLEAN BufferIsFilled(CONST BUFFER *Buffer, UCHAR Seed);
/* Describes a part of the buffer; returns how many elements that took, 0 if there is no room for them. */
ULONG BufferSges(CONST BUFFER *Buffer, ULONG Offset, ULONG Length, UINT32 PrivilegedToken, NDK_SGE *Sges, ULONG Room);

/* ---- queue.c: a completion queue that can be waited for ---- */

typedef struct _QUEUE {
    NDK_CQ *Cq;
    KEVENT Notified;
    NTSTATUS Status;
} QUEUE;

NTSTATUS QueueCreate(NDK_ADAPTER *Adapter, ULONG Depth, QUEUE *Queue);
VOID QueueDelete(QUEUE *Queue);
/*
 * Takes one completion; waits for it, but not for ever. STATUS_CONNECTION_DISCONNECTED when the event is set before, which may
 * be NULL. PASSIVE_LEVEL
 */
NTSTATUS QueueNext(QUEUE *Queue, KEVENT *Disconnected, NDK_RESULT_EX *Result);

/* ---- endpoint.c: one end of a connection ---- */

#define MESSAGE_SIZE 4096
#define RECEIVES     16
#define MAX_SGES     16

typedef struct _ENDPOINT {
    CONST CHAR *Name;
    NDK_ADAPTER *Adapter;
    NDK_ADAPTER_INFO Info;
    NDK_PD *Pd;
    UINT32 PrivilegedToken;
    QUEUE SendQueue;
    QUEUE ReceiveQueue;
    NDK_QP *Qp;
    BUFFER Send;
    BUFFER Receive;           /* RECEIVES messages */
    NDK_CONNECTOR *Connector;
    KEVENT Disconnected;
} ENDPOINT;

NTSTATUS EndpointOpen(CONST CHAR *Name, ULONG Interface, ENDPOINT *Endpoint);
VOID EndpointClose(ENDPOINT *Endpoint);
/* Everything that one connection needs, but its connector. */
NTSTATUS EndpointCreateQp(ENDPOINT *Endpoint);
VOID EndpointDeleteQp(ENDPOINT *Endpoint);

/* ---- connection.c ---- */

/* Connectors that came in and that nobody has taken yet. */
typedef struct _LISTENER {
    NDK_LISTENER *Listener;
    KSPIN_LOCK Lock;
    NDK_CONNECTOR *Waiting[8];
    ULONG Count;
    KEVENT Arrived;           /* set while Count is not 0 */
} LISTENER;

NTSTATUS ListenerOpen(NDK_ADAPTER *Adapter, CONST SOCKADDR_INET *Address, USHORT Port, LISTENER *Listener);
VOID ListenerClose(LISTENER *Listener);
NDK_CONNECTOR *ListenerNext(LISTENER *Listener);

NTSTATUS ConnectorCreate(ENDPOINT *Endpoint);
VOID ConnectorClose(ENDPOINT *Endpoint);
NTSTATUS Connect(ENDPOINT *Endpoint, CONST CONFIG *Config, CONST CHAR *Data);
NTSTATUS CompleteConnect(ENDPOINT *Endpoint);
NTSTATUS Accept(ENDPOINT *Endpoint, CONST CHAR *Data);
NTSTATUS Reject(NDK_CONNECTOR *Connector, CONST CHAR *Data);
NTSTATUS Disconnect(ENDPOINT *Endpoint);
/* Whether the peer's private data begin with this text; the provider pads them. */
BOOLEAN PrivateDataIs(NDK_CONNECTOR *Connector, CONST CHAR *Expected);

/* ---- work.c: work requests, one at a time ---- */

NTSTATUS PostReceive(ENDPOINT *Endpoint, ULONG Slot);
NTSTATUS SendMessage(ENDPOINT *Endpoint, ULONG Length);
NTSTATUS SendMessageAndInvalidate(ENDPOINT *Endpoint, ULONG Length, UINT32 Token);
/* Waits for a message and copies it; posts its receive again. */
NTSTATUS ReceiveMessage(ENDPOINT *Endpoint, VOID *Message, ULONG *Length, UINT32 *InvalidatedToken);
NTSTATUS ReadRemote(ENDPOINT *Endpoint, CONST BUFFER *Buffer, UINT64 Address, UINT32 Token);
NTSTATUS WriteRemote(ENDPOINT *Endpoint, CONST BUFFER *Buffer, UINT64 Address, UINT32 Token);

/* Memory that the peer may read and write: a fast-register memory region. */
typedef struct _REGION {
    BUFFER Buffer;
    NDK_MR *Mr;
    UINT32 Token;
    BOOLEAN Registered;
} REGION;

NTSTATUS RegionCreate(ENDPOINT *Endpoint, ULONG Length, REGION *Region);
NTSTATUS RegionRegister(ENDPOINT *Endpoint, REGION *Region);
NTSTATUS RegionInvalidate(ENDPOINT *Endpoint, REGION *Region);
VOID RegionDelete(REGION *Region);

/* ---- protocol.h has the messages; client.c and server.c the two roles ---- */

NTSTATUS ClientRun(CONST CONFIG *Config);
NTSTATUS ServerStart(CONST CONFIG *Config);
/* Returns how the connections have ended: the first error, if there was one. */
NTSTATUS ServerStop(VOID);

#endif
