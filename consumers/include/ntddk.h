/*
 * mingw-w64's ntddk.h, which defines two functions that its intrin.h declares without `static`: each object file would have
 * them. Under these names they are its own. And it takes the byte swaps for functions of the C library.
 */
#include <intrin.h>

#define _byteswap_ushort(Value) __builtin_bswap16(Value)
#define _byteswap_ulong(Value)  __builtin_bswap32(Value)

#define InterlockedBitTestAndSet   DdkInterlockedBitTestAndSet
#define InterlockedBitTestAndReset DdkInterlockedBitTestAndReset
#include_next <ntddk.h>
#undef InterlockedBitTestAndSet
#undef InterlockedBitTestAndReset
