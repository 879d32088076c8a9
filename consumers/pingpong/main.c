/* Entry and unload. A client does its work in DriverEntry; a server works until it is unloaded. */
#include "pingpong.h"

static NTSTATUS Run(CONST CONFIG *Config)
{
    NTSTATUS status;

    CHECK(ProviderOpen());
    if (Config->Role != RoleClient) {
        CHECK(ServerStart(Config));
    }
    if (Config->Role == RoleServer) {
        return STATUS_SUCCESS;
    }
    status = ClientRun(Config);
    if (Config->Role == RoleBoth) {
        NTSTATUS served = ServerStop();

        status = NT_SUCCESS(status) ? served : status;
    }
    Log("result: 0x%08X", status);
    return status;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    (VOID)ServerStop();
    ProviderClose();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    CONFIG config;
    NTSTATUS status = ReadConfig(RegistryPath, &config);

    DriverObject->DriverUnload = Unload;
    if (NT_SUCCESS(status)) {
        status = Run(&config);
    }
    if (!NT_SUCCESS(status)) {
        /* The unload routine of a driver whose entry has failed is not called. */
        Unload(DriverObject);
    }
    return status;
}
