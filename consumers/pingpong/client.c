/* The client: connects, and makes the server do everything. */
#include "pingpong.h"
#include "protocol.h"

/* Sends the message at the start of the send buffer, and waits for the answer. */
static NTSTATUS Ask(ENDPOINT *Endpoint, ULONG Length, MESSAGE *Answer)
{
    ULONG length = sizeof(*Answer);
    UINT32 invalidated;

    CHECK(SendMessage(Endpoint, Length));
    CHECK(ReceiveMessage(Endpoint, Answer, &length, &invalidated));
    return length == sizeof(*Answer) ? STATUS_SUCCESS : STATUS_DATA_ERROR;
}

static MESSAGE *NewMessage(ENDPOINT *Endpoint, MESSAGE_TYPE Type)
{
    MESSAGE *message = (MESSAGE *)Endpoint->Send.Data;

    BufferFill(&Endpoint->Send, (UCHAR)Type);
    RtlZeroMemory(message, sizeof(*message));
    message->Type = Type;
    return message;
}

/* The server rejects the first request, with data; after that the same connector may try again. */
static NTSTATUS Refused(ENDPOINT *Endpoint, CONST CONFIG *Config)
{
    NTSTATUS status = Connect(Endpoint, Config, WISH_REJECT);

    if (status != STATUS_CONNECTION_REFUSED) {
        Log("NdkConnect should be refused: 0x%08X", status);
        return NT_SUCCESS(status) ? STATUS_UNSUCCESSFUL : status;
    }
    if (!PrivateDataIs(Endpoint->Connector, ANSWER_REJECT)) {
        Log("the reject came without its data");
        return STATUS_DATA_ERROR;
    }
    Log("client: refused, as it should be, with \"" ANSWER_REJECT "\"");
    return STATUS_SUCCESS;
}

static NTSTATUS Connected(ENDPOINT *Endpoint, CONST CONFIG *Config)
{
    CHECK(Connect(Endpoint, Config, WISH_ACCEPT));
    if (!PrivateDataIs(Endpoint->Connector, ANSWER_ACCEPT)) {
        Log("the connection came without the server's data");
        return STATUS_DATA_ERROR;
    }
    CHECK(CompleteConnect(Endpoint));
    Log("client: connected, with \"" ANSWER_ACCEPT "\"");
    return STATUS_SUCCESS;
}

static NTSTATUS Echoes(ENDPOINT *Endpoint, ULONG Count)
{
    LARGE_INTEGER frequency, start = KeQueryPerformanceCounter(&frequency), end;

    for (ULONG i = 0; i < Count; i++) {
        ULONG length = i == 0 ? MESSAGE_SIZE : sizeof(MESSAGE) + i * 61 % (MESSAGE_SIZE - sizeof(MESSAGE));
        MESSAGE answer;
        MESSAGE *message = NewMessage(Endpoint, MessageEcho);

        message->Length = length;
        message->Seed = i;
        CHECK(Ask(Endpoint, length, &answer));
        if (RtlCompareMemory(&answer, message, sizeof(answer)) != sizeof(answer)) {
            Log("echo %u is not what was sent", i);
            return STATUS_DATA_ERROR;
        }
    }
    end = KeQueryPerformanceCounter(NULL);
    Log("client: %u echoes in %u us", Count,
        (ULONG)((end.QuadPart - start.QuadPart) * 1000000 / frequency.QuadPart));
    return STATUS_SUCCESS;
}

static NTSTATUS AskForRegion(ENDPOINT *Endpoint, ULONG Size, UCHAR Seed, MESSAGE *Region)
{
    MESSAGE *message = NewMessage(Endpoint, MessageRegion);

    message->Length = Size;
    message->Seed = Seed;
    CHECK(Ask(Endpoint, sizeof(*message), Region));
    CHECK(Region->Status);
    return STATUS_SUCCESS;
}

/* Reads what the server has put into its region, writes something else, and has the server look. */
static NTSTATUS ReadAndWrite(ENDPOINT *Endpoint, CONST MESSAGE *Region, UCHAR Seed, BUFFER *Buffer)
{
    MESSAGE *message;
    MESSAGE answer;

    RtlZeroMemory(Buffer->Data, Buffer->Length);
    CHECK(ReadRemote(Endpoint, Buffer, Region->Address, Region->Token));
    if (!BufferIsFilled(Buffer, Seed)) {
        return STATUS_DATA_ERROR;
    }
    Log("client: read %u bytes", Buffer->Length);
    BufferFill(Buffer, (UCHAR)(Seed + 1));
    CHECK(WriteRemote(Endpoint, Buffer, Region->Address, Region->Token));
    message = NewMessage(Endpoint, MessageWritten);
    message->Seed = Seed + 1;
    CHECK(Ask(Endpoint, sizeof(*message), &answer));
    CHECK(answer.Status);
    Log("client: wrote %u bytes", Buffer->Length);
    return STATUS_SUCCESS;
}

/* Gives the region back: the message itself invalidates its token. */
static NTSTATUS Release(ENDPOINT *Endpoint, UINT32 Token)
{
    MESSAGE *message = NewMessage(Endpoint, MessageReleased);
    MESSAGE answer;
    ULONG length = sizeof(answer);
    UINT32 invalidated;

    message->Token = Token;
    CHECK(SendMessageAndInvalidate(Endpoint, sizeof(*message), Token));
    CHECK(ReceiveMessage(Endpoint, &answer, &length, &invalidated));
    CHECK(answer.Status);
    Log("client: invalidated token 0x%08X", Token);
    return STATUS_SUCCESS;
}

static NTSTATUS RemoteAccess(ENDPOINT *Endpoint, ULONG Size)
{
    NTSTATUS status;
    BUFFER buffer;

    status = BufferCreate(Endpoint->Adapter, Size, &buffer);
    /* Twice: the second time with a new token for the same region. */
    for (UCHAR seed = 10; NT_SUCCESS(status) && seed <= 20; seed += 10) {
        MESSAGE region;

        status = AskForRegion(Endpoint, Size, seed, &region);
        if (NT_SUCCESS(status)) {
            status = ReadAndWrite(Endpoint, &region, seed, &buffer);
        }
        if (NT_SUCCESS(status)) {
            status = Release(Endpoint, region.Token);
        }
    }
    BufferDelete(&buffer);
    return status;
}

/* Everything on one connection, which the client ends. */
static NTSTATUS FirstConnection(ENDPOINT *Endpoint, CONST CONFIG *Config)
{
    CHECK(Refused(Endpoint, Config));
    CHECK(Connected(Endpoint, Config));
    CHECK(Echoes(Endpoint, Config->Count));
    CHECK(RemoteAccess(Endpoint, Config->Size));
    CHECK(Disconnect(Endpoint));
    Log("client: disconnected");
    return STATUS_SUCCESS;
}

/* The server ends this one. */
static NTSTATUS SecondConnection(ENDPOINT *Endpoint, CONST CONFIG *Config)
{
    LARGE_INTEGER timeout;

    timeout.QuadPart = -10000LL * 20000;
    CHECK(Connected(Endpoint, Config));
    (VOID)NewMessage(Endpoint, MessageBye);
    CHECK(SendMessage(Endpoint, sizeof(MESSAGE)));
    if (KeWaitForSingleObject(&Endpoint->Disconnected, Executive, KernelMode, FALSE, &timeout) != STATUS_SUCCESS) {
        Log("the server has not disconnected");
        return STATUS_IO_TIMEOUT;
    }
    CHECK(Disconnect(Endpoint));
    Log("client: disconnected by the server");
    return STATUS_SUCCESS;
}

/* The server accepts this one, and the client does not want it any more. */
static NTSTATUS ThirdConnection(ENDPOINT *Endpoint, CONST CONFIG *Config)
{
    CHECK(Connect(Endpoint, Config, WISH_ACCEPT));
    CHECK(Reject(Endpoint->Connector, ANSWER_NO));
    Log("client: rejected what the server had accepted");
    return STATUS_SUCCESS;
}

typedef NTSTATUS CONNECTION(ENDPOINT *Endpoint, CONST CONFIG *Config);

static NTSTATUS OneConnection(ENDPOINT *Endpoint, CONST CONFIG *Config, CONNECTION *Connection)
{
    NTSTATUS status = EndpointCreateQp(Endpoint);

    if (NT_SUCCESS(status)) {
        status = ConnectorCreate(Endpoint);
    }
    if (NT_SUCCESS(status)) {
        status = Connection(Endpoint, Config);
    }
    ConnectorClose(Endpoint);
    EndpointDeleteQp(Endpoint);
    return status;
}

NTSTATUS ClientRun(CONST CONFIG *Config)
{
    static CONNECTION *CONST connections[] = {FirstConnection, SecondConnection, ThirdConnection};
    static ENDPOINT endpoint;
    NTSTATUS status = EndpointOpen("client", Config->Interface, &endpoint);

    for (ULONG i = 0; NT_SUCCESS(status) && i < RTL_NUMBER_OF(connections); i++) {
        status = OneConnection(&endpoint, Config, connections[i]);
    }
    EndpointClose(&endpoint);
    return status;
}
