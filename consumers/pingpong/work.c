/* Work requests, one at a time, and memory for the peer. */
#include "pingpong.h"

/* Waits for the completion of the request that was posted last. */
static NTSTATUS Finish(ENDPOINT *Endpoint, CONST CHAR *What, NTSTATUS Posted)
{
    NDK_RESULT_EX result;

    if (!NT_SUCCESS(Posted)) {
        Log("%s: %s cannot be posted: 0x%08X", Endpoint->Name, What, Posted);
        return Posted;
    }
    CHECK(QueueNext(&Endpoint->SendQueue, NULL, &result));
    if (!NT_SUCCESS(result.Status)) {
        Log("%s: %s ended with 0x%08X", Endpoint->Name, What, result.Status);
    }
    return result.Status;
}

NTSTATUS PostReceive(ENDPOINT *Endpoint, ULONG Slot)
{
    NDK_SGE sges[2];
    ULONG used = BufferSges(
        &Endpoint->Receive, Slot * MESSAGE_SIZE, MESSAGE_SIZE, Endpoint->PrivilegedToken, sges, RTL_NUMBER_OF(sges));

    return Endpoint->Qp->Dispatch->NdkReceive(Endpoint->Qp, (VOID *)(ULONG_PTR)Slot, sges, used);
}

NTSTATUS SendMessage(ENDPOINT *Endpoint, ULONG Length)
{
    NDK_SGE sges[2];
    ULONG used = BufferSges(&Endpoint->Send, 0, Length, Endpoint->PrivilegedToken, sges, RTL_NUMBER_OF(sges));

    return Finish(Endpoint, "NdkSend", Endpoint->Qp->Dispatch->NdkSend(Endpoint->Qp, NULL, sges, used, 0));
}

NTSTATUS SendMessageAndInvalidate(ENDPOINT *Endpoint, ULONG Length, UINT32 Token)
{
    NDK_SGE sges[2];
    ULONG used = BufferSges(&Endpoint->Send, 0, Length, Endpoint->PrivilegedToken, sges, RTL_NUMBER_OF(sges));

    return Finish(
        Endpoint, "NdkSendAndInvalidate",
        Endpoint->Qp->Dispatch->NdkSendAndInvalidate(Endpoint->Qp, NULL, sges, used, 0, Token));
}

NTSTATUS ReceiveMessage(ENDPOINT *Endpoint, VOID *Message, ULONG *Length, UINT32 *InvalidatedToken)
{
    NDK_RESULT_EX result;
    NTSTATUS status = QueueNext(&Endpoint->ReceiveQueue, &Endpoint->Disconnected, &result);
    ULONG slot;

    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (!NT_SUCCESS(result.Status)) {
        Log("%s: NdkReceive ended with 0x%08X", Endpoint->Name, result.Status);
        return result.Status;
    }
    slot = (ULONG)(ULONG_PTR)result.RequestContext;
    *Length = min(*Length, result.BytesTransferred);
    RtlCopyMemory(Message, Endpoint->Receive.Data + slot * MESSAGE_SIZE, *Length);
    *InvalidatedToken = result.Type == NdkOperationTypeReceiveAndInvalidate
                            ? (UINT32)result.TypeSpecificCompletionOutput
                            : 0;
    return PostReceive(Endpoint, slot);
}

/* Reads or writes the buffer in as many requests as its elements need. */
static NTSTATUS Transfer(ENDPOINT *Endpoint, CONST BUFFER *Buffer, UINT64 Address, UINT32 Token, BOOLEAN Write)
{
    ULONG most = Write ? Endpoint->Info.MaxInitiatorRequestSge : Endpoint->Info.MaxReadRequestSge;
    ULONG step = (min(MAX_SGES, most) - 1) * PAGE_SIZE;
    NDK_SGE sges[MAX_SGES];
    NTSTATUS status;

    for (ULONG offset = 0; offset < Buffer->Length; offset += step) {
        ULONG length = min(step, Buffer->Length - offset);
        ULONG used = BufferSges(Buffer, offset, length, Endpoint->PrivilegedToken, sges, RTL_NUMBER_OF(sges));
        NDK_QP *qp = Endpoint->Qp;

        status = Write ? qp->Dispatch->NdkWrite(qp, NULL, sges, used, Address + offset, Token, 0)
                       : qp->Dispatch->NdkRead(qp, NULL, sges, used, Address + offset, Token, 0);
        status = Finish(Endpoint, Write ? "NdkWrite" : "NdkRead", status);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    return STATUS_SUCCESS;
}

NTSTATUS ReadRemote(ENDPOINT *Endpoint, CONST BUFFER *Buffer, UINT64 Address, UINT32 Token)
{
    return Transfer(Endpoint, Buffer, Address, Token, FALSE);
}

NTSTATUS WriteRemote(ENDPOINT *Endpoint, CONST BUFFER *Buffer, UINT64 Address, UINT32 Token)
{
    return Transfer(Endpoint, Buffer, Address, Token, TRUE);
}

NTSTATUS RegionCreate(ENDPOINT *Endpoint, ULONG Length, REGION *Region)
{
    REQUEST request;
    NTSTATUS status;

    RtlZeroMemory(Region, sizeof(*Region));
    CHECK(BufferCreate(Endpoint->Adapter, Length, &Region->Buffer));
    if (Region->Buffer.Lam->AdapterPageCount > Endpoint->Info.FRMRPageCount) {
        Log("%u bytes are more than a region can have", Length);
        return STATUS_INVALID_PARAMETER;
    }
    RequestStart(&request);
    status = Endpoint->Pd->Dispatch->NdkCreateMr(Endpoint->Pd, TRUE, CreateCompletion, &request, &Region->Mr);
    if (status == STATUS_PENDING) {
        status = RequestEnd(&request, status);
        Region->Mr = (NDK_MR *)request.Object;
    }
    if (!NT_SUCCESS(status)) {
        Region->Mr = NULL;
        Log("NdkCreateMr failed with 0x%08X", status);
        return status;
    }
    RequestStart(&request);
    CHECK(RequestEnd(
        &request,
        Region->Mr->Dispatch->NdkInitializeFastRegisterMr(
            Region->Mr, Region->Buffer.Lam->AdapterPageCount, TRUE, RequestCompletion, &request)));
    return STATUS_SUCCESS;
}

NTSTATUS RegionRegister(ENDPOINT *Endpoint, REGION *Region)
{
    CONST BUFFER *buffer = &Region->Buffer;
    NTSTATUS status = Endpoint->Qp->Dispatch->NdkFastRegister(
        Endpoint->Qp, NULL, Region->Mr, buffer->Lam->AdapterPageCount, buffer->Lam->AdapterPageArray, buffer->Fbo,
        buffer->Length, buffer->Data, NDK_OP_FLAG_ALLOW_REMOTE_READ | NDK_OP_FLAG_ALLOW_REMOTE_WRITE);

    /* Known from when the request is posted; some providers have another token for each registration. */
    Region->Token = Region->Mr->Dispatch->NdkGetRemoteTokenFromMr(Region->Mr);
    status = Finish(Endpoint, "NdkFastRegister", status);
    Region->Registered = NT_SUCCESS(status);
    return status;
}

NTSTATUS RegionInvalidate(ENDPOINT *Endpoint, REGION *Region)
{
    Region->Registered = FALSE;
    return Finish(
        Endpoint, "NdkInvalidate",
        Endpoint->Qp->Dispatch->NdkInvalidate(Endpoint->Qp, NULL, &Region->Mr->Header, 0));
}

VOID RegionDelete(REGION *Region)
{
    if (Region->Mr != NULL) {
        CloseObject(&Region->Mr->Header, Region->Mr->Dispatch->NdkCloseMr);
        Region->Mr = NULL;
    }
    BufferDelete(&Region->Buffer);
}
