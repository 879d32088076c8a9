/* Memory that the adapter can reach: nonpaged pool, and its pages as the adapter addresses them (its LAM). */
#include "pingpong.h"

static NTSTATUS MapBuffer(BUFFER *Buffer)
{
    CONST NDK_ADAPTER_DISPATCH *dispatch = Buffer->Adapter->Dispatch;
    ULONG pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(Buffer->Data, Buffer->Length);
    ULONG size = FIELD_OFFSET(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray) + pages * sizeof(NDK_LOGICAL_ADDRESS);
    REQUEST request;
    NTSTATUS status;

    for (;;) {
        ULONG room = size;

        Buffer->Lam = ExAllocatePoolWithTag(NonPagedPoolNx, size, TAG);
        if (Buffer->Lam == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        RequestStart(&request);
        status = RequestEnd(
            &request,
            dispatch->NdkBuildLAM(
                Buffer->Adapter, Buffer->Mdl, Buffer->Length, RequestCompletion, &request, Buffer->Lam, &size,
                &Buffer->Fbo));
        if (NT_SUCCESS(status)) {
            return status;
        }
        ExFreePoolWithTag(Buffer->Lam, TAG);
        Buffer->Lam = NULL;
        if (status != STATUS_BUFFER_TOO_SMALL || size <= room) {
            Log("NdkBuildLAM failed with 0x%08X", status);
            return status;
        }
    }
}

NTSTATUS BufferCreate(NDK_ADAPTER *Adapter, ULONG Length, BUFFER *Buffer)
{
    RtlZeroMemory(Buffer, sizeof(*Buffer));
    Buffer->Data = ExAllocatePoolWithTag(NonPagedPoolNx, Length, TAG);
    if (Buffer->Data == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Buffer->Length = Length;
    Buffer->Adapter = Adapter;
    Buffer->Mdl = IoAllocateMdl(Buffer->Data, Length, FALSE, FALSE, NULL);
    if (Buffer->Mdl == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    MmBuildMdlForNonPagedPool(Buffer->Mdl);
    return MapBuffer(Buffer);
}

VOID BufferDelete(BUFFER *Buffer)
{
    if (Buffer->Lam != NULL) {
        Buffer->Adapter->Dispatch->NdkReleaseLAM(Buffer->Adapter, Buffer->Lam);
        ExFreePoolWithTag(Buffer->Lam, TAG);
    }
    if (Buffer->Mdl != NULL) {
        IoFreeMdl(Buffer->Mdl);
    }
    if (Buffer->Data != NULL) {
        ExFreePoolWithTag(Buffer->Data, TAG);
    }
    RtlZeroMemory(Buffer, sizeof(*Buffer));
}

static UCHAR Pattern(ULONG Offset, UCHAR Seed)
{
    return (UCHAR)(Offset * 7 + (Offset >> 8) + Seed);
}

VOID BufferFill(BUFFER *Buffer, UCHAR Seed)
{
    for (ULONG i = 0; i < Buffer->Length; i++) {
        Buffer->Data[i] = Pattern(i, Seed);
    }
}

BOOLEAN BufferIsFilled(CONST BUFFER *Buffer, UCHAR Seed)
{
    for (ULONG i = 0; i < Buffer->Length; i++) {
        if (Buffer->Data[i] != Pattern(i, Seed)) {
            Log("byte %u is 0x%02X instead of 0x%02X", i, Buffer->Data[i], Pattern(i, Seed));
            return FALSE;
        }
    }
    return TRUE;
}

ULONG BufferSges(CONST BUFFER *Buffer, ULONG Offset, ULONG Length, UINT32 PrivilegedToken, NDK_SGE *Sges, ULONG Room)
{
    ULONG used = 0;
    ULONG at = Buffer->Fbo + Offset;

    while (Length != 0) {
        ULONG inPage = at % PAGE_SIZE;
        ULONG piece = min(Length, PAGE_SIZE - inPage);

        if (used == Room) {
            return 0;
        }
        Sges[used].LogicalAddress.QuadPart = Buffer->Lam->AdapterPageArray[at / PAGE_SIZE].QuadPart + inPage;
        Sges[used].Length = piece;
        Sges[used].MemoryRegionToken = PrivilegedToken;
        used++;
        at += piece;
        Length -= piece;
    }
    return used;
}
