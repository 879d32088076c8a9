/* One end of a connection: the adapter, and what a connection needs of it. */
#include "pingpong.h"

NTSTATUS EndpointOpen(CONST CHAR *Name, ULONG Interface, ENDPOINT *Endpoint)
{
    CONST NDK_ADAPTER_DISPATCH *dispatch;
    ULONG size = sizeof(Endpoint->Info);
    NDK_ADAPTER_INFO *info = &Endpoint->Info;

    RtlZeroMemory(Endpoint, sizeof(*Endpoint));
    Endpoint->Name = Name;
    KeInitializeEvent(&Endpoint->Disconnected, NotificationEvent, FALSE);
    CHECK(AdapterOpen(Interface, &Endpoint->Adapter));
    dispatch = Endpoint->Adapter->Dispatch;
    CHECK(dispatch->NdkQueryAdapterInfo(Endpoint->Adapter, info, &size));
    Log("%s: interface %u, NDKPI %u.%u, %u FRMR pages, %u send SGEs, queue depths %u and %u, CQ depth %u", Name,
        Interface, info->Version.Major, info->Version.Minor, info->FRMRPageCount, info->MaxInitiatorRequestSge,
        info->MaxReceiveQueueDepth, info->MaxInitiatorQueueDepth, info->MaxCqDepth);
    return STATUS_SUCCESS;
}

VOID EndpointClose(ENDPOINT *Endpoint)
{
    if (Endpoint->Adapter != NULL) {
        AdapterClose(Endpoint->Adapter);
        Endpoint->Adapter = NULL;
    }
}

static NTSTATUS CreatePd(ENDPOINT *Endpoint)
{
    REQUEST request;
    NTSTATUS status;

    RequestStart(&request);
    status = Endpoint->Adapter->Dispatch->NdkCreatePd(
        Endpoint->Adapter, CreateCompletion, &request, &Endpoint->Pd);
    if (status == STATUS_PENDING) {
        status = RequestEnd(&request, status);
        Endpoint->Pd = (NDK_PD *)request.Object;
    }
    if (!NT_SUCCESS(status)) {
        Endpoint->Pd = NULL;
        Log("NdkCreatePd failed with 0x%08X", status);
        return status;
    }
    Endpoint->Pd->Dispatch->NdkGetPrivilegedMemoryRegionToken(Endpoint->Pd, &Endpoint->PrivilegedToken);
    return status;
}

static NTSTATUS CreateQp(ENDPOINT *Endpoint)
{
    REQUEST request;
    NTSTATUS status;

    RequestStart(&request);
    status = Endpoint->Pd->Dispatch->NdkCreateQp(
        Endpoint->Pd, Endpoint->ReceiveQueue.Cq, Endpoint->SendQueue.Cq, Endpoint, RECEIVES, RECEIVES,
        min(2, Endpoint->Info.MaxReceiveRequestSge), min(MAX_SGES, Endpoint->Info.MaxInitiatorRequestSge), 0,
        CreateCompletion, &request, &Endpoint->Qp);
    if (status == STATUS_PENDING) {
        status = RequestEnd(&request, status);
        Endpoint->Qp = (NDK_QP *)request.Object;
    }
    if (!NT_SUCCESS(status)) {
        Endpoint->Qp = NULL;
        Log("NdkCreateQp failed with 0x%08X", status);
    }
    return status;
}

NTSTATUS EndpointCreateQp(ENDPOINT *Endpoint)
{
    KeClearEvent(&Endpoint->Disconnected);
    CHECK(CreatePd(Endpoint));
    CHECK(QueueCreate(Endpoint->Adapter, RECEIVES, &Endpoint->SendQueue));
    CHECK(QueueCreate(Endpoint->Adapter, RECEIVES, &Endpoint->ReceiveQueue));
    CHECK(CreateQp(Endpoint));
    CHECK(BufferCreate(Endpoint->Adapter, MESSAGE_SIZE, &Endpoint->Send));
    CHECK(BufferCreate(Endpoint->Adapter, RECEIVES * MESSAGE_SIZE, &Endpoint->Receive));
    for (ULONG slot = 0; slot < RECEIVES; slot++) {
        CHECK(PostReceive(Endpoint, slot));
    }
    return STATUS_SUCCESS;
}

VOID EndpointDeleteQp(ENDPOINT *Endpoint)
{
    if (Endpoint->Qp != NULL) {
        CloseObject(&Endpoint->Qp->Header, Endpoint->Qp->Dispatch->NdkCloseQp);
        Endpoint->Qp = NULL;
    }
    /* The adapter does not reach the buffers any more. */
    BufferDelete(&Endpoint->Receive);
    BufferDelete(&Endpoint->Send);
    QueueDelete(&Endpoint->ReceiveQueue);
    QueueDelete(&Endpoint->SendQueue);
    if (Endpoint->Pd != NULL) {
        CloseObject(&Endpoint->Pd->Header, Endpoint->Pd->Dispatch->NdkClosePd);
        Endpoint->Pd = NULL;
    }
}
