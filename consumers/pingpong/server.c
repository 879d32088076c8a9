/* The server: a thread that takes one connection after the other and does what the client wants. */
#include "pingpong.h"
#include "protocol.h"

static struct {
    ENDPOINT Endpoint;
    LISTENER Listener;
    KEVENT Stop;
    PKTHREAD Thread;
    NTSTATUS Status;
} Server;

/* The answer is at the start of the send buffer. */
static NTSTATUS Answer(ENDPOINT *Endpoint, CONST MESSAGE *Message)
{
    RtlCopyMemory(Endpoint->Send.Data, Message, sizeof(*Message));
    return SendMessage(Endpoint, max(sizeof(*Message), min(Message->Length, MESSAGE_SIZE)));
}

/* Registers the region, new or again, and tells the client where it is. */
static NTSTATUS Register(ENDPOINT *Endpoint, MESSAGE *Message, REGION *Region)
{
    NTSTATUS status = STATUS_SUCCESS;

    if (Region->Registered) {
        status = RegionInvalidate(Endpoint, Region);
    }
    if (NT_SUCCESS(status) && Region->Buffer.Length != Message->Length) {
        RegionDelete(Region);
        status = Message->Length == 0 ? STATUS_INVALID_PARAMETER
                                      : RegionCreate(Endpoint, Message->Length, Region);
    }
    if (NT_SUCCESS(status)) {
        BufferFill(&Region->Buffer, (UCHAR)Message->Seed);
        status = RegionRegister(Endpoint, Region);
    }
    Message->Status = status;
    Message->Length = sizeof(*Message);
    Message->Address = (UINT64)(ULONG_PTR)Region->Buffer.Data;
    Message->Token = Region->Token;
    return Answer(Endpoint, Message);
}

static NTSTATUS CheckWritten(ENDPOINT *Endpoint, MESSAGE *Message, CONST REGION *Region)
{
    Message->Status = Region->Registered && BufferIsFilled(&Region->Buffer, (UCHAR)Message->Seed)
                          ? STATUS_SUCCESS
                          : STATUS_DATA_ERROR;
    return Answer(Endpoint, Message);
}

static NTSTATUS CheckReleased(ENDPOINT *Endpoint, MESSAGE *Message, REGION *Region, UINT32 Invalidated)
{
    Message->Status = Invalidated == Region->Token ? STATUS_SUCCESS : STATUS_DATA_ERROR;
    Region->Registered = FALSE;
    Log("server: token 0x%08X was invalidated by its user", Invalidated);
    return Answer(Endpoint, Message);
}

/* One message; STATUS_CONNECTION_DISCONNECTED ends the connection in good order. */
static NTSTATUS Serve(ENDPOINT *Endpoint, REGION *Region)
{
    MESSAGE message;
    ULONG length = sizeof(message);
    UINT32 invalidated;
    NTSTATUS status = ReceiveMessage(Endpoint, &message, &length, &invalidated);

    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (length != sizeof(message)) {
        return STATUS_DATA_ERROR;
    }
    switch (message.Type) {
    case MessageEcho:
        return Answer(Endpoint, &message);
    case MessageRegion:
        return Register(Endpoint, &message, Region);
    case MessageWritten:
        return CheckWritten(Endpoint, &message, Region);
    case MessageReleased:
        return CheckReleased(Endpoint, &message, Region, invalidated);
    case MessageBye:
        return STATUS_CONNECTION_DISCONNECTED;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

static NTSTATUS ServeConnection(ENDPOINT *Endpoint)
{
    REGION region;
    NTSTATUS status;

    RtlZeroMemory(&region, sizeof(region));
    do {
        status = Serve(Endpoint, &region);
    } while (NT_SUCCESS(status));
    /* Ends the connection, or says that we know; flushes what is posted. */
    if (NT_SUCCESS(Disconnect(Endpoint))) {
        Log("server: disconnected");
    }
    RegionDelete(&region);
    return status == STATUS_CONNECTION_DISCONNECTED ? STATUS_SUCCESS : status;
}

static NTSTATUS AcceptAndServe(ENDPOINT *Endpoint)
{
    NTSTATUS status = EndpointCreateQp(Endpoint);

    if (NT_SUCCESS(status)) {
        status = Accept(Endpoint, ANSWER_ACCEPT);
        if (NT_SUCCESS(status)) {
            Log("server: accepted");
            status = ServeConnection(Endpoint);
        } else if (status == STATUS_CONNECTION_REFUSED || status == STATUS_CONNECTION_ABORTED) {
            Log("server: the client does not want the connection any more (0x%08X)", status);
            status = STATUS_SUCCESS;
        }
    }
    /* The connector first: its close ends the connection if it is there still. */
    ConnectorClose(Endpoint);
    EndpointDeleteQp(Endpoint);
    return status;
}

static NTSTATUS Incoming(NDK_CONNECTOR *Connector)
{
    ENDPOINT *endpoint = &Server.Endpoint;
    NTSTATUS status;

    endpoint->Connector = Connector;
    if (!PrivateDataIs(Connector, WISH_REJECT)) {
        return AcceptAndServe(endpoint);
    }
    status = Reject(Connector, ANSWER_REJECT);
    Log("server: NdkReject = 0x%08X", status);
    ConnectorClose(endpoint);
    return status;
}

static VOID NTAPI ServerThread(VOID *Context)
{
    PVOID events[2] = {&Server.Stop, &Server.Listener.Arrived};

    UNREFERENCED_PARAMETER(Context);
    while (KeWaitForMultipleObjects(2, events, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) == STATUS_WAIT_1) {
        NDK_CONNECTOR *connector = ListenerNext(&Server.Listener);
        NTSTATUS status = connector == NULL ? STATUS_SUCCESS : Incoming(connector);

        if (!NT_SUCCESS(status) && NT_SUCCESS(Server.Status)) {
            Log("server: a connection failed with 0x%08X", status);
            Server.Status = status;
        }
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS StartThread(VOID)
{
    HANDLE handle;
    NTSTATUS status;

    CHECK(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, ServerThread, NULL));
    status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, (PVOID *)&Server.Thread, NULL);
    ZwClose(handle);
    return status;
}

NTSTATUS ServerStart(CONST CONFIG *Config)
{
    BOOLEAN both = Config->Role == RoleBoth;

    KeInitializeEvent(&Server.Stop, NotificationEvent, FALSE);
    Server.Status = STATUS_SUCCESS;
    CHECK(EndpointOpen("server", both ? Config->PeerInterface : Config->Interface, &Server.Endpoint));
    CHECK(ListenerOpen(
        Server.Endpoint.Adapter, both ? &Config->PeerAddress : &Config->Address, Config->Port, &Server.Listener));
    CHECK(StartThread());
    Log("server: listens on port %u", Config->Port);
    return STATUS_SUCCESS;
}

NTSTATUS ServerStop(VOID)
{
    if (Server.Thread != NULL) {
        KeSetEvent(&Server.Stop, IO_NO_INCREMENT, FALSE);
        KeWaitForSingleObject(Server.Thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Server.Thread);
        Server.Thread = NULL;
    }
    ListenerClose(&Server.Listener);
    EndpointClose(&Server.Endpoint);
    return Server.Status;
}
