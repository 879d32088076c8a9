/* Interfaces by index, LUID and alias (Microsoft's netioapi.h and ifdef.h). PASSIVE_LEVEL. */
#ifndef _NETIOAPI_H_
#define _NETIOAPI_H_

#include "ws2def.h"

typedef ULONG NET_IFINDEX, *PNET_IFINDEX;
typedef NET_IFINDEX IF_INDEX, *PIF_INDEX;

typedef union _NET_LUID_LH {
    ULONG64 Value;
    struct {
        ULONG64 Reserved : 24;
        ULONG64 NetLuidIndex : 24;
        ULONG64 IfType : 16;
    } Info;
} NET_LUID, *PNET_LUID;

#define IF_MAX_STRING_SIZE      256
#define NDIS_IF_MAX_STRING_SIZE IF_MAX_STRING_SIZE

NTSTATUS NTAPI ConvertInterfaceIndexToLuid(NET_IFINDEX InterfaceIndex, PNET_LUID InterfaceLuid);
NTSTATUS NTAPI ConvertInterfaceLuidToIndex(CONST NET_LUID *InterfaceLuid, PNET_IFINDEX InterfaceIndex);
NTSTATUS NTAPI ConvertInterfaceLuidToAlias(CONST NET_LUID *InterfaceLuid, PWSTR InterfaceAlias, SIZE_T Length);
NTSTATUS NTAPI ConvertInterfaceAliasToLuid(CONST WCHAR *InterfaceAlias, PNET_LUID InterfaceLuid);

#endif
