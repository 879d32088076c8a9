# Control Flow Guard support: what Microsoft's BufferOverflowFastFailK.lib gives a driver on Windows.
# Windows replaces both pointers at load; their defaults let every call pass.

        .text
        .def    __guard_check_icall_default; .scl 3; .type 32; .endef
__guard_check_icall_default:
        ret

        .def    __guard_dispatch_icall_default; .scl 3; .type 32; .endef
__guard_dispatch_icall_default:
        jmp     *%rax

        .section .00cfg,"dr"
        .balign 8
        .globl  __guard_check_icall_fptr
__guard_check_icall_fptr:
        .quad   __guard_check_icall_default
        .globl  __guard_dispatch_icall_fptr
__guard_dispatch_icall_fptr:
        .quad   __guard_dispatch_icall_default

# IMAGE_LOAD_CONFIG_DIRECTORY64 (winnt.h), up to and with GuardFlags and what follows it to the 160 bytes of
# Windows 10 1507. The linker defines the three symbols of the function table and its flags.
        .section .rdata,"dr"
        .balign 8
        .globl  _load_config_used
_load_config_used:
        .long   160                             # Size
        .zero   108                             # TimeDateStamp … Reserved1, SEHandlerTable, SEHandlerCount
        .quad   __guard_check_icall_fptr        # 112: GuardCFCheckFunctionPointer
        .quad   __guard_dispatch_icall_fptr     # 120: GuardCFDispatchFunctionPointer
        .quad   __guard_fids_table              # 128: GuardCFFunctionTable
        .quad   __guard_fids_count              # 136: GuardCFFunctionCount
        .long   __guard_flags                   # 144: GuardFlags
        .zero   12                              # CodeIntegrity
