/*
 * Requests that may pend. The completion is called once if the function returns STATUS_PENDING, and not at all otherwise; it
 * may come before the function returns.
 */
#include "pingpong.h"

VOID RequestStart(REQUEST *Request)
{
    KeInitializeEvent(&Request->Done, NotificationEvent, FALSE);
    Request->Status = STATUS_PENDING;
    Request->Object = NULL;
}

NTSTATUS RequestEnd(REQUEST *Request, NTSTATUS Status)
{
    if (Status != STATUS_PENDING) {
        return Status;
    }
    /* Without a timeout: the provider has a pointer to the request until it completes it. */
    KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, NULL);
    return Request->Status;
}

VOID NTAPI RequestCompletion(VOID *Context, NTSTATUS Status)
{
    REQUEST *request = Context;

    request->Status = Status;
    KeSetEvent(&request->Done, IO_NO_INCREMENT, FALSE);
}

VOID NTAPI CreateCompletion(VOID *Context, NTSTATUS Status, NDK_OBJECT_HEADER *Object)
{
    REQUEST *request = Context;

    request->Object = Object;
    RequestCompletion(Context, Status);
}

VOID NTAPI CloseCompletion(VOID *Context)
{
    RequestCompletion(Context, STATUS_SUCCESS);
}

VOID CloseObject(NDK_OBJECT_HEADER *Object, NDK_FN_CLOSE_OBJECT Close)
{
    REQUEST request;

    RequestStart(&request);
    RequestEnd(&request, Close(Object, CloseCompletion, &request));
}
