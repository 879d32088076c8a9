/* The way to NDK: WSK has a table with which adapters are opened by interface index. */
#include "pingpong.h"

static CONST WSK_CLIENT_DISPATCH ClientDispatch = {MAKE_WSK_VERSION(1, 0), 0, NULL};
static WSK_REGISTRATION Registration;
static WSK_PROVIDER_NPI Provider;
static WSK_PROVIDER_NDK_DISPATCH Ndk;
static BOOLEAN Registered, Captured;

NTSTATUS ProviderOpen(VOID)
{
    WSK_CLIENT_NPI client = {NULL, &ClientDispatch};

    CHECK(WskRegister(&client, &Registration));
    Registered = TRUE;
    CHECK(WskCaptureProviderNPI(&Registration, WSK_INFINITE_WAIT, &Provider));
    Captured = TRUE;
    CHECK(Provider.Dispatch->WskControlClient(
        Provider.Client, WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH, 0, NULL, sizeof(Ndk), &Ndk, NULL, NULL));
    return STATUS_SUCCESS;
}

VOID ProviderClose(VOID)
{
    if (Captured) {
        WskReleaseProviderNPI(&Registration);
        Captured = FALSE;
    }
    if (Registered) {
        WskDeregister(&Registration);
        Registered = FALSE;
    }
}

NTSTATUS AdapterOpen(ULONG Interface, NDK_ADAPTER **Adapter)
{
    /* A provider answers with the highest version that it has of the major version asked for. */
    static CONST NDK_VERSION versions[] = {{2, 0}, {1, 2}};
    NTSTATUS status = STATUS_NOT_SUPPORTED;

    for (ULONG i = 0; i < RTL_NUMBER_OF(versions); i++) {
        status = Ndk.WskOpenNdkAdapter(Provider.Client, versions[i], Interface, Adapter);
        if (NT_SUCCESS(status)) {
            return status;
        }
    }
    Log("the NDK adapter of interface %u cannot be opened: 0x%08X", Interface, status);
    return status;
}

VOID AdapterClose(NDK_ADAPTER *Adapter)
{
    Ndk.WskCloseNdkAdapter(Provider.Client, Adapter);
}
