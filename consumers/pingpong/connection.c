/* Listeners and connectors. */
#include "pingpong.h"

/* Reads in flight that we ask for, either way; the provider caps them. */
#define READ_LIMIT 16

static VOID SetPort(SOCKADDR_INET *Address, USHORT Port)
{
    /* The port is at the same place in both families, in network byte order. */
    Address->Ipv4.sin_port = RtlUshortByteSwap(Port);
}

/* A connection request. DISPATCH_LEVEL at most: the connector waits for somebody at PASSIVE_LEVEL. */
static VOID NTAPI ConnectEvent(VOID *Context, NDK_CONNECTOR *Connector)
{
    LISTENER *listener = Context;
    KLOCK_QUEUE_HANDLE handle;
    BOOLEAN taken = FALSE;

    KeAcquireInStackQueuedSpinLock(&listener->Lock, &handle);
    if (listener->Count < RTL_NUMBER_OF(listener->Waiting)) {
        listener->Waiting[listener->Count++] = Connector;
        taken = TRUE;
    }
    KeReleaseInStackQueuedSpinLock(&handle);
    if (taken) {
        KeSetEvent(&listener->Arrived, IO_NO_INCREMENT, FALSE);
    } else {
        /* Closing it rejects the request. Nobody waits for that: the close of the listener does. */
        static REQUEST ignored;

        Connector->Dispatch->NdkCloseConnector(&Connector->Header, CloseCompletion, &ignored);
    }
}

NTSTATUS ListenerOpen(NDK_ADAPTER *Adapter, CONST SOCKADDR_INET *Address, USHORT Port, LISTENER *Listener)
{
    SOCKADDR_INET address = *Address;
    REQUEST request;
    NTSTATUS status;

    RtlZeroMemory(Listener, sizeof(*Listener));
    KeInitializeSpinLock(&Listener->Lock);
    KeInitializeEvent(&Listener->Arrived, NotificationEvent, FALSE);
    RequestStart(&request);
    status = Adapter->Dispatch->NdkCreateListener(
        Adapter, ConnectEvent, Listener, CreateCompletion, &request, &Listener->Listener);
    if (status == STATUS_PENDING) {
        status = RequestEnd(&request, status);
        Listener->Listener = (NDK_LISTENER *)request.Object;
    }
    if (!NT_SUCCESS(status)) {
        Listener->Listener = NULL;
        Log("NdkCreateListener failed with 0x%08X", status);
        return status;
    }
    SetPort(&address, Port);
    RequestStart(&request);
    CHECK(RequestEnd(
        &request,
        Listener->Listener->Dispatch->NdkListen(
            Listener->Listener, (SOCKADDR *)&address, AddressLength(&address), RequestCompletion, &request)));
    return STATUS_SUCCESS;
}

NDK_CONNECTOR *ListenerNext(LISTENER *Listener)
{
    KLOCK_QUEUE_HANDLE handle;
    NDK_CONNECTOR *connector = NULL;

    KeAcquireInStackQueuedSpinLock(&Listener->Lock, &handle);
    if (Listener->Count != 0) {
        connector = Listener->Waiting[0];
        Listener->Count--;
        RtlMoveMemory(Listener->Waiting, Listener->Waiting + 1, Listener->Count * sizeof(Listener->Waiting[0]));
    }
    if (Listener->Count == 0) {
        KeClearEvent(&Listener->Arrived);
    }
    KeReleaseInStackQueuedSpinLock(&handle);
    return connector;
}

VOID ListenerClose(LISTENER *Listener)
{
    NDK_CONNECTOR *connector;
    REQUEST request;
    NTSTATUS status;

    if (Listener->Listener == NULL) {
        return;
    }
    /* No further request comes once the close has been called; it ends when the last connector is closed. */
    RequestStart(&request);
    status = Listener->Listener->Dispatch->NdkCloseListener(
        &Listener->Listener->Header, CloseCompletion, &request);
    while ((connector = ListenerNext(Listener)) != NULL) {
        CloseObject(&connector->Header, connector->Dispatch->NdkCloseConnector);
    }
    RequestEnd(&request, status);
    Listener->Listener = NULL;
}

NTSTATUS ConnectorCreate(ENDPOINT *Endpoint)
{
    REQUEST request;
    NTSTATUS status;

    RequestStart(&request);
    status = Endpoint->Adapter->Dispatch->NdkCreateConnector(
        Endpoint->Adapter, CreateCompletion, &request, &Endpoint->Connector);
    if (status == STATUS_PENDING) {
        status = RequestEnd(&request, status);
        Endpoint->Connector = (NDK_CONNECTOR *)request.Object;
    }
    if (!NT_SUCCESS(status)) {
        Endpoint->Connector = NULL;
        Log("NdkCreateConnector failed with 0x%08X", status);
    }
    return status;
}

VOID ConnectorClose(ENDPOINT *Endpoint)
{
    if (Endpoint->Connector != NULL) {
        CloseObject(&Endpoint->Connector->Header, Endpoint->Connector->Dispatch->NdkCloseConnector);
        Endpoint->Connector = NULL;
    }
}

static VOID NTAPI DisconnectEvent(VOID *Context)
{
    ENDPOINT *endpoint = Context;

    KeSetEvent(&endpoint->Disconnected, IO_NO_INCREMENT, FALSE);
}

static ULONG Length(CONST CHAR *Text)
{
    return (ULONG)strlen(Text);
}

NTSTATUS Connect(ENDPOINT *Endpoint, CONST CONFIG *Config, CONST CHAR *Data)
{
    SOCKADDR_INET source = Config->Address, destination = Config->PeerAddress;
    REQUEST request;

    /* Port 0 of the source: any. */
    SetPort(&destination, Config->Port);
    RequestStart(&request);
    return RequestEnd(
        &request,
        Endpoint->Connector->Dispatch->NdkConnect(
            Endpoint->Connector, Endpoint->Qp, (SOCKADDR *)&source, AddressLength(&source),
            (SOCKADDR *)&destination, AddressLength(&destination), READ_LIMIT, READ_LIMIT, Data, Length(Data),
            RequestCompletion, &request));
}

NTSTATUS CompleteConnect(ENDPOINT *Endpoint)
{
    REQUEST request;

    RequestStart(&request);
    return RequestEnd(
        &request,
        Endpoint->Connector->Dispatch->NdkCompleteConnect(
            Endpoint->Connector, DisconnectEvent, Endpoint, RequestCompletion, &request));
}

NTSTATUS Accept(ENDPOINT *Endpoint, CONST CHAR *Data)
{
    REQUEST request;

    RequestStart(&request);
    return RequestEnd(
        &request,
        Endpoint->Connector->Dispatch->NdkAccept(
            Endpoint->Connector, Endpoint->Qp, READ_LIMIT, READ_LIMIT, Data, Length(Data), DisconnectEvent,
            Endpoint, RequestCompletion, &request));
}

NTSTATUS Reject(NDK_CONNECTOR *Connector, CONST CHAR *Data)
{
    return Connector->Dispatch->NdkReject(Connector, Data, Length(Data));
}

NTSTATUS Disconnect(ENDPOINT *Endpoint)
{
    REQUEST request;

    RequestStart(&request);
    return RequestEnd(
        &request,
        Endpoint->Connector->Dispatch->NdkDisconnect(Endpoint->Connector, RequestCompletion, &request));
}

BOOLEAN PrivateDataIs(NDK_CONNECTOR *Connector, CONST CHAR *Expected)
{
    UCHAR data[256];
    ULONG inbound = 0, outbound = 0, length = sizeof(data);
    NTSTATUS status;

    RtlZeroMemory(data, sizeof(data));
    status = Connector->Dispatch->NdkGetConnectionData(Connector, &inbound, &outbound, data, &length);
    if (!NT_SUCCESS(status)) {
        Log("NdkGetConnectionData failed with 0x%08X", status);
        return FALSE;
    }
    return RtlCompareMemory(data, Expected, Length(Expected)) == Length(Expected);
}
