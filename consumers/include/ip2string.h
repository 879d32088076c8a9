/* IP addresses as text (Microsoft's ip2string.h): ports are in network byte order, lengths count characters with the NUL. */
#ifndef _IP2STRING_H_
#define _IP2STRING_H_

#include "ws2def.h"

#define INET_ADDRSTRLEN  22
#define INET6_ADDRSTRLEN 65

NTSYSAPI NTSTATUS NTAPI RtlIpv4StringToAddressExW(PCWSTR AddressString, BOOLEAN Strict, IN_ADDR *Address, PUSHORT Port);
NTSYSAPI NTSTATUS NTAPI RtlIpv6StringToAddressExW(PCWSTR AddressString, IN6_ADDR *Address, PULONG ScopeId, PUSHORT Port);
NTSYSAPI NTSTATUS NTAPI RtlIpv4AddressToStringExW(
    CONST IN_ADDR *Address, USHORT Port, PWSTR AddressString, PULONG AddressStringLength);
NTSYSAPI NTSTATUS NTAPI RtlIpv6AddressToStringExW(
    CONST IN6_ADDR *Address, ULONG ScopeId, USHORT Port, PWSTR AddressString, PULONG AddressStringLength);

#endif
