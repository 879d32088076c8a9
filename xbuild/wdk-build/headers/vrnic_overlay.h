/* What `wdk-alloc` and `wdk-sys` use and mingw-w64's DDK headers lack (wdm.h of the WDK has it). */
#pragma once

typedef ULONG64 POOL_FLAGS;

NTKERNELAPI PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);
