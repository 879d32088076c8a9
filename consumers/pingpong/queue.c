/* A completion queue that can be waited for. */
#include "pingpong.h"

/* How long a completion may take. */
#define LIMIT_MS 20000

static VOID NTAPI CqNotification(VOID *Context, NTSTATUS Status)
{
    QUEUE *queue = Context;

    queue->Status = Status;
    KeSetEvent(&queue->Notified, IO_NO_INCREMENT, FALSE);
}

NTSTATUS QueueCreate(NDK_ADAPTER *Adapter, ULONG Depth, QUEUE *Queue)
{
    REQUEST request;
    NTSTATUS status;

    KeInitializeEvent(&Queue->Notified, SynchronizationEvent, FALSE);
    Queue->Status = STATUS_SUCCESS;
    RequestStart(&request);
    status = Adapter->Dispatch->NdkCreateCq(
        Adapter, Depth, CqNotification, Queue, NULL, CreateCompletion, &request, &Queue->Cq);
    if (status == STATUS_PENDING) {
        status = RequestEnd(&request, status);
        Queue->Cq = (NDK_CQ *)request.Object;
    }
    if (!NT_SUCCESS(status)) {
        Queue->Cq = NULL;
        Log("NdkCreateCq failed with 0x%08X", status);
    }
    return status;
}

VOID QueueDelete(QUEUE *Queue)
{
    if (Queue->Cq != NULL) {
        CloseObject(&Queue->Cq->Header, Queue->Cq->Dispatch->NdkCloseCq);
        Queue->Cq = NULL;
    }
}

NTSTATUS QueueNext(QUEUE *Queue, KEVENT *Disconnected, NDK_RESULT_EX *Result)
{
    CONST NDK_CQ_DISPATCH *dispatch = Queue->Cq->Dispatch;
    PVOID events[2] = {&Queue->Notified, Disconnected};
    LARGE_INTEGER timeout;
    NTSTATUS status;

    timeout.QuadPart = -10000LL * LIMIT_MS;
    for (;;) {
        if (dispatch->NdkGetCqResultsEx(Queue->Cq, Result, 1) != 0) {
            return STATUS_SUCCESS;
        }
        /* What comes between the two looks is seen by the second; what comes later makes the notification. */
        dispatch->NdkArmCq(Queue->Cq, NDK_CQ_NOTIFY_ANY);
        if (dispatch->NdkGetCqResultsEx(Queue->Cq, Result, 1) != 0) {
            return STATUS_SUCCESS;
        }
        status = KeWaitForMultipleObjects(
            Disconnected == NULL ? 1 : 2, events, WaitAny, Executive, KernelMode, FALSE, &timeout, NULL);
        if (status == STATUS_WAIT_1) {
            return STATUS_CONNECTION_DISCONNECTED;
        }
        if (status == STATUS_TIMEOUT) {
            Log("no completion within %u ms", LIMIT_MS);
            return STATUS_IO_TIMEOUT;
        }
        CHECK(Queue->Status);
    }
}
