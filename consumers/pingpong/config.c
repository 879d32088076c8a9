/* The registry values of the service, in its key Parameters. Each has a default. */
#include "pingpong.h"

typedef struct _VALUE {
    KEY_VALUE_PARTIAL_INFORMATION Information;
    UCHAR More[128];
} VALUE;

static NTSTATUS OpenKey(HANDLE Root, PUNICODE_STRING Name, HANDLE *Key)
{
    OBJECT_ATTRIBUTES attributes;

    InitializeObjectAttributes(&attributes, Name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Root, NULL);
    return ZwOpenKey(Key, KEY_READ, &attributes);
}

/* A value of that name and type; FALSE if there is none. A string is terminated. */
static BOOLEAN ReadValue(HANDLE Key, PCWSTR Name, ULONG Type, VALUE *Value)
{
    UNICODE_STRING name;
    ULONG length;

    RtlInitUnicodeString(&name, Name);
    RtlZeroMemory(Value, sizeof(*Value));
    return NT_SUCCESS(ZwQueryValueKey(
               Key, &name, KeyValuePartialInformation, Value, sizeof(*Value) - sizeof(WCHAR), &length)) &&
           Value->Information.Type == Type;
}

static ULONG ReadNumber(HANDLE Key, PCWSTR Name, ULONG Default)
{
    VALUE value;

    return ReadValue(Key, Name, REG_DWORD, &value) ? *(ULONG *)value.Information.Data : Default;
}

static NTSTATUS ReadAddress(HANDLE Key, PCWSTR Name, PCWSTR Default, SOCKADDR_INET *Address)
{
    VALUE value;
    PCWSTR text = ReadValue(Key, Name, REG_SZ, &value) ? (PCWSTR)value.Information.Data : Default;
    USHORT port;

    RtlZeroMemory(Address, sizeof(*Address));
    if (NT_SUCCESS(RtlIpv4StringToAddressExW(text, TRUE, &Address->Ipv4.sin_addr, &port))) {
        Address->si_family = AF_INET;
        return STATUS_SUCCESS;
    }
    Address->si_family = AF_INET6;
    return RtlIpv6StringToAddressExW(text, &Address->Ipv6.sin6_addr, &Address->Ipv6.sin6_scope_id, &port);
}

static NTSTATUS ReadRole(HANDLE Key, ROLE *Role)
{
    static CONST struct {
        PCWSTR Name;
        ROLE Role;
    } roles[] = {{L"both", RoleBoth}, {L"server", RoleServer}, {L"client", RoleClient}};
    VALUE value;

    *Role = RoleBoth;
    if (!ReadValue(Key, L"Role", REG_SZ, &value)) {
        return STATUS_SUCCESS;
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(roles); i++) {
        if (_wcsicmp((PCWSTR)value.Information.Data, roles[i].Name) == 0) {
            *Role = roles[i].Role;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_INVALID_PARAMETER;
}

static NTSTATUS ReadValues(HANDLE Key, CONFIG *Config)
{
    CHECK(ReadRole(Key, &Config->Role));
    CHECK(ReadAddress(Key, L"Address", L"10.0.0.1", &Config->Address));
    CHECK(ReadAddress(Key, L"PeerAddress", L"10.0.0.2", &Config->PeerAddress));
    Config->Interface = ReadNumber(Key, L"Interface", 12);
    Config->PeerInterface = ReadNumber(Key, L"PeerInterface", 15);
    Config->Port = (USHORT)ReadNumber(Key, L"Port", 54321);
    Config->Count = ReadNumber(Key, L"Count", 16);
    Config->Size = ReadNumber(Key, L"Size", 64 * 1024);
    return Config->Size == 0 || Config->Address.si_family != Config->PeerAddress.si_family
               ? STATUS_INVALID_PARAMETER
               : STATUS_SUCCESS;
}

NTSTATUS ReadConfig(PUNICODE_STRING RegistryPath, CONFIG *Config)
{
    UNICODE_STRING parameters = RTL_CONSTANT_STRING(L"Parameters");
    HANDLE service, key;
    NTSTATUS status;

    CHECK(OpenKey(NULL, RegistryPath, &service));
    status = OpenKey(service, &parameters, &key);
    if (!NT_SUCCESS(status)) {
        /* No values: the defaults. */
        key = service;
    }
    status = ReadValues(key, Config);
    if (key != service) {
        ZwClose(key);
    }
    ZwClose(service);
    return status;
}

ULONG AddressLength(CONST SOCKADDR_INET *Address)
{
    return Address->si_family == AF_INET ? sizeof(SOCKADDR_IN) : sizeof(SOCKADDR_IN6);
}
