//! A miniport that is right but for the fault that was asked for. Sends complete at once, and are answered with a
//! frame; its adapter has
//! registered DMA with shared memory, a timer and a work item.
#![expect(unsafe_code, reason = "handlers that NDIS calls, and calls of NDIS")]

use core::ffi::c_void;
use core::ptr::{null_mut, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use ndk_sys::imports::{ndis, netio};
use ndk_sys::{
    AF_UNSPEC, DEVICE_OBJECT, DRIVER_OBJECT, LARGE_INTEGER, MIB_NOTIFICATION_TYPE, MIB_UNICASTIPADDRESS_ROW,
    NDIS_HALT_ACTION, NDIS_HANDLE, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS,
    NDIS_NDK_PROVIDER_CHARACTERISTICS, NDIS_NDK_STATISTICS_INFO, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_OBJECT_TYPE_NDK_PROVIDER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION, NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_OID_REQUEST,
    NDIS_PHYSICAL_ADDRESS, NDIS_PORT_NUMBER, NDIS_SG_DMA_DESCRIPTION, NDIS_SHUTDOWN_ACTION,
    NDIS_STATISTICS_INFO, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING,
    NDIS_STATUS_SUCCESS, NDIS_TIMER_CHARACTERISTICS, NET_BUFFER_LIST, NET_PNP_EVENT_NOTIFICATION, NTSTATUS,
    NdisRequestQueryInformation, NetEventNDKEnable, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_RECEIVE_SCALE_PARAMETERS, OID_GEN_STATISTICS, OID_NDK_SET_STATE, OID_NDK_STATISTICS,
    OID_PNP_QUERY_POWER, OID_PNP_SET_POWER, SCATTER_GATHER_LIST,
};
use vrnic_abi::pci::REGISTER_BAR_SIZE;
use vrnic_abi::regs;

use crate::faults::{Fault, Load, When, is};
use crate::kernel::{DISPATCH_LEVEL, KfRaiseIrql, number, peek, pointer, poke, sleep};
use crate::{dma, net, provider};

macro_rules! later {
    ($($name:literal)*) => { &[$(Fault { name: $name, when: When::Later },)*] };
}

/// The faults of this file and of `provider`.
pub const FAULTS: &[Fault] = later! {
    "CallAfterUnload" "InvalidAccess-unmapped" "RegisterAccess" "DmaUnmapped" "DmaDirection" "DmaOperation"
    "NdisObjectHeader" "NdisHandle" "NdisDeregisterMiniportDriver" "NdisSetOptionalHandlers" "NdisMiniportAttributes"
    "NdisCompletion" "NdisPauseFailed" "NdisResourceLeak" "NdisResourceNotHeld" "NdisSharedMemoryOrder" "PeriodicTimer"
    "NdisTimerFreed" "NdisWorkItemQueued" "NdisWorkItemFreed" "NdisDoubleOidComplete" "NdisTimedOidComplete"
    "NdisOidBytesWritten" "NdisNetPnPEventInOid" "NdisSendLost" "NdisSendReturned" "NdisSendStatus" "NdisSendOnWire"
    "NdisSendChanged" "NdisLargeSendInfo" "NdisListTouched" "NdisDispatchFlag" "NdisLockHeld" "NdisNetBufferPool"
    "NdisNetBufferData" "NdisReceiveState" "NdisReceiveList" "NdisReceiveChanged"
    "NdisPauseWithReceives" "NdisRssHash" "NdisRssProcessor" "NdisReceiveChecksum" "NdisPacketFilter" "NdisStatistics"
    "NdisStatusBuffer"
    "NetioHandle" "NetioCancelInCallback" "NetioNotificationLeak"
    "NdkObjectHeader" "NdkObjectHeader-version" "NdkObjectHeader-reserved" "NdkObjectHeader-slot"
    "NdkReservedTouched" "NdkDispatchUsed" "NdkAddress" "NdkCompletionTwice" "NdkCompletionWithoutPending"
    "NdkPendingWithoutCompletion" "NdkContext" "NdkOutParamOnPending" "NdkStatusUndocumented"
    "NdkStatusUndocumented-close" "NdkCallbackIrql" "NdkCallbackLockHeld" "NdkCallbackAfterClose"
    "NdkCloseDuringCallback" "NdkCloseOrder" "NdkConnectEventOverlap" "NdkAdapterClosedWithObjects"
    "NdkStatusOfFunction" "NdkStatusOfFunction-post" "NdkNotificationStatus" "NdkCqNotificationOverlap" "NdkCqNotArmed"
    "NdkCqNotSolicited" "NdkCqLostWakeup" "NdkSrqNotArmed" "NdkResultCount" "NdkResultUnknown" "NdkResultUnknown-failed"
    "NdkResultOrder" "NdkResultSilent" "NdkResultStatus" "NdkResultAfterError" "NdkResultFields" "NdkRequestLost"
    "NdkDeferredStuck" "NdkDisconnectEventTwice" "NdkConnectionData" "NdkLam" "NdkMdlChanged" "NdkToken" "NdkAdapterInfo"
    "NdkReservedCounters"
};

/// What the driver keeps, as numbers.
struct State {
    driver_object: AtomicUsize,
    driver: AtomicUsize,
    adapter: AtomicUsize,
    dma: AtomicUsize,
    shared: AtomicUsize,
    shared_physical: AtomicI64,
    timer: AtomicUsize,
    item: AtomicUsize,
    notification: AtomicUsize,
}

static STATE: State = State {
    driver_object: AtomicUsize::new(0),
    driver: AtomicUsize::new(0),
    adapter: AtomicUsize::new(0),
    dma: AtomicUsize::new(0),
    shared: AtomicUsize::new(0),
    shared_physical: AtomicI64::new(0),
    timer: AtomicUsize::new(0),
    item: AtomicUsize::new(0),
    notification: AtomicUsize::new(0),
};

/// Bytes of shared memory.
const SHARED: u32 = 4096;

fn get(value: &AtomicUsize) -> NDIS_HANDLE {
    with_exposed_provenance_mut(value.load(Ordering::Relaxed))
}

fn set(value: &AtomicUsize, pointer: *mut c_void) {
    value.store(number(pointer), Ordering::Relaxed);
}

fn header(kind: u8, revision: u8, size: usize) -> NDIS_OBJECT_HEADER {
    NDIS_OBJECT_HEADER {
        Type: kind,
        Revision: revision,
        Size: u16::try_from(size).unwrap_or(0),
    }
}

/// Registers with NDIS.
pub fn register(load: &Load) -> NTSTATUS {
    STATE.driver_object.store(number(load.driver), Ordering::Relaxed);
    let mut characteristics = characteristics();
    if is("NdisObjectHeader") {
        characteristics.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    }
    let mut handle = null_mut();
    // SAFETY: what `DriverEntry` got, and a structure and a variable of ours.
    let status = unsafe {
        ndis::NdisMRegisterMiniportDriver(
            load.driver.cast(),
            load.registry_path.cast_mut().cast(),
            null_mut(),
            &raw mut characteristics,
            &raw mut handle,
        )
    };
    set(&STATE.driver, handle);
    if is("NdisSetOptionalHandlers") {
        // SAFETY: the handle that we got, outside of MiniportSetOptions on purpose.
        let _ = unsafe { set_options(handle, null_mut()) };
    }
    status
}

fn characteristics() -> NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
    let mut all = NDIS_MINIPORT_DRIVER_CHARACTERISTICS::zeroed();
    all.Header = header(
        NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
        2,
        size_of_val(&all),
    );
    all.MajorNdisVersion = 6;
    all.MinorNdisVersion = 30;
    all.SetOptionsHandler = Some(set_options);
    all.InitializeHandlerEx = Some(initialize);
    all.HaltHandlerEx = Some(halt);
    all.UnloadHandler = Some(unload);
    all.PauseHandler = Some(pause);
    all.RestartHandler = Some(restart);
    all.OidRequestHandler = Some(oid_request);
    all.SendNetBufferListsHandler = Some(send);
    all.ReturnNetBufferListsHandler = Some(returned);
    all.CancelSendHandler = Some(cancel);
    all.DevicePnPEventNotifyHandler = Some(pnp_event);
    all.ShutdownHandlerEx = Some(shutdown);
    all.CancelOidRequestHandler = Some(cancel);
    all.DirectOidRequestHandler = Some(direct_oid_request);
    all.CancelDirectOidRequestHandler = Some(cancel);
    all
}

unsafe extern "system" fn set_options(driver: NDIS_HANDLE, _: NDIS_HANDLE) -> NDIS_STATUS {
    let mut ndk = NDIS_NDK_PROVIDER_CHARACTERISTICS::zeroed();
    ndk.Header = header(
        NDIS_OBJECT_TYPE_NDK_PROVIDER_CHARACTERISTICS,
        1,
        size_of_val(&ndk),
    );
    ndk.OpenNDKAdapterHandler = Some(provider::open_adapter);
    ndk.CloseNDKAdapterHandler = Some(provider::close_adapter);
    // SAFETY: the handle that NDIS passed, and a structure of ours.
    unsafe { ndis::NdisSetOptionalHandlers(driver, (&raw mut ndk).cast()) }
}

unsafe extern "system" fn initialize(
    adapter: NDIS_HANDLE,
    _: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    set(&STATE.adapter, adapter);
    if is("NdisMiniportAttributes") {
        set_general_attributes();
    }
    set_registration_attributes();
    set_general_attributes();
    if is("NdisSharedMemoryOrder") {
        allocate_shared_memory();
    }
    register_dma();
    allocate_shared_memory();
    allocate_timer();
    net::set_up(adapter);
    // SAFETY: the adapter's handle.
    set(&STATE.item, unsafe { ndis::NdisAllocateIoWorkItem(adapter) });
    break_rules_of_hardware(number(parameters));
    break_rules_of_objects();
    break_rules_of_netio();
    if is("NdisStatusBuffer") {
        net::indicate_short_status(adapter);
    }
    NDIS_STATUS_SUCCESS
}

fn set_registration_attributes() {
    let mut attributes = NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES::zeroed();
    attributes.Header = header(
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
        1,
        size_of_val(&attributes),
    );
    // SAFETY: the adapter's handle, and a structure of ours.
    let _ = unsafe { ndis::NdisMSetMiniportAttributes(get(&STATE.adapter), (&raw mut attributes).cast()) };
}

fn set_general_attributes() {
    let mut attributes = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES::zeroed();
    attributes.Header = header(
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
        2,
        size_of_val(&attributes),
    );
    attributes.MtuSize = 1500;
    attributes.MacAddressLength = 6;
    // SAFETY: the adapter's handle, and a structure of ours.
    let _ = unsafe { ndis::NdisMSetMiniportAttributes(get(&STATE.adapter), (&raw mut attributes).cast()) };
}

unsafe extern "system" fn process_sg_list(
    _: *mut DEVICE_OBJECT,
    _: *mut c_void,
    _: *mut SCATTER_GATHER_LIST,
    _: *mut c_void,
) {
}

fn register_dma() {
    let mut description = NDIS_SG_DMA_DESCRIPTION::zeroed();
    description.Header = header(NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION, 1, size_of_val(&description));
    description.ProcessSGListHandler = Some(process_sg_list);
    let mut dma = null_mut();
    // SAFETY: the adapter's handle, a structure and a variable of ours.
    let _ = unsafe {
        ndis::NdisMRegisterScatterGatherDma(get(&STATE.adapter), &raw mut description, &raw mut dma)
    };
    set(&STATE.dma, dma);
}

fn allocate_shared_memory() {
    let (mut address, mut physical) = (null_mut(), NDIS_PHYSICAL_ADDRESS::zeroed());
    // SAFETY: the adapter's handle and variables of ours.
    unsafe {
        ndis::NdisMAllocateSharedMemory(
            get(&STATE.adapter),
            SHARED,
            1,
            &raw mut address,
            &raw mut physical,
        );
    };
    set(&STATE.shared, address);
    STATE.shared_physical.store(physical.QuadPart, Ordering::Relaxed);
}

unsafe extern "system" fn timer_function(_: *mut c_void, _: *mut c_void, _: *mut c_void, _: *mut c_void) {}

fn allocate_timer() {
    let mut characteristics = NDIS_TIMER_CHARACTERISTICS::zeroed();
    characteristics.Header = header(
        NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
        1,
        size_of_val(&characteristics),
    );
    characteristics.TimerFunction = Some(timer_function);
    let mut timer = null_mut();
    // SAFETY: the adapter's handle, a structure and a variable of ours.
    let _ = unsafe {
        ndis::NdisAllocateTimerObject(get(&STATE.adapter), &raw mut characteristics, &raw mut timer)
    };
    set(&STATE.timer, timer);
}

/// The lower half of a number.
fn half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

/// Finds BAR0 in the resource list, and maps it.
fn map_registers(parameters: usize) -> usize {
    // NDIS_MINIPORT_INIT_PARAMETERS.AllocatedResources; count at offset 4, descriptors of 20 bytes from offset 8.
    let list: usize = peek(parameters + 8);
    let descriptors = (0..peek::<u32>(list + 4) as usize).map(|index| list + 8 + 20 * index);
    let mut bars = descriptors.filter(|at| u64::from(peek::<u32>(at + 12)) == REGISTER_BAR_SIZE);
    let physical = bars.next().map_or(0, |at| peek::<i64>(at + 4));
    let mut address = null_mut();
    // SAFETY: the adapter's handle and a variable of ours.
    let _ = unsafe {
        ndis::NdisMMapIoSpace(
            &raw mut address,
            get(&STATE.adapter),
            NDIS_PHYSICAL_ADDRESS { QuadPart: physical },
            half(REGISTER_BAR_SIZE),
        )
    };
    number(address)
}

/// Starts the command queue in memory at one address, so that the device writes there.
fn start_command_queue(registers: usize, address: u64) {
    let write = |register: u32, value: u32| poke(registers + register as usize, value);
    write(regs::CTRL, regs::CTRL_RESET);
    sleep(10);
    for register in [regs::CMDQ_BASE_LO, regs::CMDQ_CPL_LO, regs::CMDQ_FETCH_LO] {
        write(register, half(address));
        write(register + 4, half(address >> 32));
    }
    write(regs::CMDQ_LOG2, regs::CMDQ_LOG2_MIN);
    write(regs::CTRL, regs::CTRL_ENABLE);
    sleep(200);
}

fn break_rules_of_hardware(parameters: usize) {
    if is("RegisterAccess") {
        let registers = map_registers(parameters);
        // SAFETY: a register, in a way in which registers cannot be accessed.
        unsafe { core::arch::asm!("lock xadd [{}], {:e}", in(reg) registers, inout(reg) 1 => _) };
    }
    if is("InvalidAccess-unmapped") {
        let registers = map_registers(parameters);
        let size = half(REGISTER_BAR_SIZE);
        // SAFETY: what was just mapped.
        unsafe { ndis::NdisMUnmapIoSpace(get(&STATE.adapter), pointer(registers), size) };
        let _: u32 = peek(registers);
    }
    let wild = if is("DmaUnmapped") {
        // A virtual address, which the device cannot use.
        Some(STATE.shared.load(Ordering::Relaxed) as u64)
    } else if is("DmaDirection") || is("DmaOperation") {
        Some(dma::map_for_reading(get(&STATE.adapter)))
    } else {
        None
    };
    if let Some(wild) = wild {
        start_command_queue(map_registers(parameters), wild);
    }
    if is("NdisResourceNotHeld") {
        // SAFETY: the adapter's handle; nothing is mapped there, on purpose.
        unsafe { ndis::NdisMUnmapIoSpace(get(&STATE.adapter), pointer(0x1000), 16) };
    }
}

unsafe extern "system" fn nothing(_: *mut c_void, _: NDIS_HANDLE) {}

/// Frees the work item that it runs from, and goes on for a while.
unsafe extern "system" fn linger(_: *mut c_void, item: NDIS_HANDLE) {
    // SAFETY: a work item may be freed in its own function.
    unsafe { ndis::NdisFreeIoWorkItem(item) };
    sleep(3_000);
}

fn break_rules_of_objects() {
    let (adapter, timer, item) = (get(&STATE.adapter), get(&STATE.timer), get(&STATE.item));
    if is("PeriodicTimer") {
        // SAFETY: the timer that we have.
        let _ =
            unsafe { ndis::NdisSetTimerObject(timer, LARGE_INTEGER { QuadPart: -10_000 }, 1, null_mut()) };
        KfRaiseIrql(DISPATCH_LEVEL);
        // SAFETY: the timer that we have, at the wrong IRQL on purpose.
        let _ = unsafe { ndis::NdisCancelTimerObject(timer) };
    }
    if is("NdisTimerFreed") {
        let due = LARGE_INTEGER {
            QuadPart: -600_000_000,
        };
        // SAFETY: the timer that we have.
        let _ = unsafe { ndis::NdisSetTimerObject(timer, due, 0, null_mut()) };
        // SAFETY: the timer that we have, too early on purpose.
        unsafe { ndis::NdisFreeTimerObject(timer) };
    }
    if is("NdisWorkItemQueued") || is("NdisWorkItemFreed") {
        crate::faults::keep_workers_busy(STATE.driver_object.load(Ordering::Relaxed));
        // SAFETY: the work item that we have.
        unsafe { ndis::NdisQueueIoWorkItem(item, Some(nothing), null_mut()) };
    }
    if is("NdisWorkItemQueued") {
        // SAFETY: the work item that we have, a second time on purpose.
        unsafe { ndis::NdisQueueIoWorkItem(item, Some(nothing), null_mut()) };
    }
    if is("NdisWorkItemFreed") {
        // SAFETY: the work item that we have, too early on purpose.
        unsafe { ndis::NdisFreeIoWorkItem(item) };
    }
    if is("CallAfterUnload") {
        // SAFETY: the adapter's handle.
        let own = unsafe { ndis::NdisAllocateIoWorkItem(adapter) };
        // SAFETY: the work item that we have just got.
        unsafe { ndis::NdisQueueIoWorkItem(own, Some(linger), null_mut()) };
    }
}

unsafe extern "system" fn address_changed(
    _: *mut c_void,
    _: *mut MIB_UNICASTIPADDRESS_ROW,
    _: MIB_NOTIFICATION_TYPE,
) {
    if is("NetioCancelInCallback") {
        // Until the handle is stored.
        sleep(100);
        // SAFETY: the notification that we have, in the wrong place on purpose.
        let _ = unsafe { netio::CancelMibChangeNotify2(get(&STATE.notification)) };
    }
}

fn break_rules_of_netio() {
    if is("NetioHandle") {
        // SAFETY: a handle that there is not, on purpose.
        let _ = unsafe { netio::CancelMibChangeNotify2(pointer(0x1234)) };
    }
    if is("NetioCancelInCallback") || is("NetioNotificationLeak") {
        let mut handle = null_mut();
        // SAFETY: a callback and a variable of ours.
        let _ = unsafe {
            netio::NotifyUnicastIpAddressChange(
                AF_UNSPEC,
                Some(address_changed),
                null_mut(),
                1,
                &raw mut handle,
            )
        };
        set(&STATE.notification, handle);
        sleep(500);
    }
}

unsafe extern "system" fn restart(_: NDIS_HANDLE, _: *mut NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
    NDIS_STATUS_SUCCESS
}

unsafe extern "system" fn pause(_: NDIS_HANDLE, _: *mut NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
    if is("NdisPauseFailed") {
        return NDIS_STATUS_FAILURE;
    }
    if is("NdisCompletion") {
        for _ in 0..2 {
            // SAFETY: the adapter's handle; once would be enough.
            unsafe { ndis::NdisMPauseComplete(get(&STATE.adapter)) };
        }
        return NDIS_STATUS_PENDING;
    }
    if !is("NdisPauseWithReceives") {
        net::wait_for_returns();
    }
    if is("NdisReceiveState") {
        // SAFETY: the adapter's handle.
        unsafe { ndis::NdisMPauseComplete(get(&STATE.adapter)) };
        net::indicate(get(&STATE.adapter));
        return NDIS_STATUS_PENDING;
    }
    NDIS_STATUS_SUCCESS
}

unsafe extern "system" fn halt(_: NDIS_HANDLE, _: NDIS_HALT_ACTION) {
    if !is("NdisResourceLeak") {
        // SAFETY: the timer that we have.
        unsafe { ndis::NdisFreeTimerObject(get(&STATE.timer)) };
    }
    // SAFETY: the work item that we have.
    unsafe { ndis::NdisFreeIoWorkItem(get(&STATE.item)) };
    let physical = NDIS_PHYSICAL_ADDRESS {
        QuadPart: STATE.shared_physical.load(Ordering::Relaxed),
    };
    net::tear_down();
    // SAFETY: what was allocated.
    unsafe { ndis::NdisMFreeSharedMemory(get(&STATE.adapter), SHARED, 1, get(&STATE.shared), physical) };
    // SAFETY: what was registered.
    unsafe { ndis::NdisMDeregisterScatterGatherDma(get(&STATE.dma)) };
}

unsafe extern "system" fn unload(_: *mut DRIVER_OBJECT) {
    if is("NdisDeregisterMiniportDriver") {
        return;
    }
    let handle = if is("NdisHandle") {
        pointer(0x1234)
    } else {
        get(&STATE.driver)
    };
    // SAFETY: the handle that we got, or a wrong one on purpose.
    unsafe { ndis::NdisMDeregisterMiniportDriver(handle) };
}

unsafe extern "system" fn oid_request(_: NDIS_HANDLE, request: *mut NDIS_OID_REQUEST) -> NDIS_STATUS {
    let adapter = get(&STATE.adapter);
    if is("NdisDoubleOidComplete") {
        // SAFETY: the request that NDIS passed.
        unsafe { ndis::NdisMOidRequestComplete(adapter, request, NDIS_STATUS_SUCCESS) };
        return NDIS_STATUS_SUCCESS;
    }
    if is("NdisTimedOidComplete") {
        return NDIS_STATUS_PENDING;
    }
    // NDIS_OID_REQUEST: type at offset 4; the data of a query at 0x20: OID, buffer at 0x28, its length at 0x30, bytes written at 0x34.
    let request = number(request);
    let is_query = peek::<i32>(request + 4) == NdisRequestQueryInformation;
    let oid: u32 = peek(request + 0x20);
    if is("NdisStatistics") && is_query && oid == OID_GEN_STATISTICS {
        // Nothing was ever sent.
        let mut statistics = NDIS_STATISTICS_INFO::zeroed();
        statistics.Header = header(NDIS_OBJECT_TYPE_DEFAULT, 1, size_of_val(&statistics));
        poke(
            request + 0x34,
            u32::try_from(size_of_val(&statistics)).unwrap_or(0),
        );
        poke(peek(request + 0x28), statistics);
        return NDIS_STATUS_SUCCESS;
    }
    if [
        OID_GEN_CURRENT_PACKET_FILTER,
        OID_GEN_RECEIVE_SCALE_PARAMETERS,
        OID_PNP_QUERY_POWER,
        OID_PNP_SET_POWER,
    ]
    .contains(&oid)
    {
        return NDIS_STATUS_SUCCESS;
    }
    if is("NdisOidBytesWritten") && is_query {
        let length: u32 = peek(request + 0x30);
        poke(request + 0x34, length + 1);
        return NDIS_STATUS_SUCCESS;
    }
    if is("NdisNetPnPEventInOid") && peek::<u32>(request + 0x20) == OID_NDK_SET_STATE {
        let mut event = NET_PNP_EVENT_NOTIFICATION::zeroed();
        event.Header = header(NDIS_OBJECT_TYPE_DEFAULT, 1, size_of_val(&event));
        event.NetPnPEvent.NetEvent = NetEventNDKEnable;
        // SAFETY: the adapter's handle, and a structure of ours.
        let _ = unsafe { ndis::NdisMNetPnPEvent(adapter, &raw mut event) };
    }
    NDIS_STATUS_NOT_SUPPORTED
}

/// Answers statistics only: nothing has happened, unless a reserved counter counts.
unsafe extern "system" fn direct_oid_request(_: NDIS_HANDLE, request: *mut NDIS_OID_REQUEST) -> NDIS_STATUS {
    // As above.
    let request = number(request);
    let (buffer, length): (usize, u32) = (peek(request + 0x28), peek(request + 0x30));
    let size = size_of::<NDIS_NDK_STATISTICS_INFO>();
    if peek::<u32>(request + 0x20) != OID_NDK_STATISTICS || (length as usize) < size {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    let mut statistics = NDIS_NDK_STATISTICS_INFO::zeroed();
    statistics.Header = header(NDIS_OBJECT_TYPE_DEFAULT, 1, size);
    poke(buffer, statistics);
    if is("NdkReservedCounters") {
        poke(buffer + 8 + 5 * 8, 1_u64);
    }
    poke(request + 0x34, u32::try_from(size).unwrap_or(0));
    NDIS_STATUS_SUCCESS
}

unsafe extern "system" fn send(_: NDIS_HANDLE, lists: *mut NET_BUFFER_LIST, _: NDIS_PORT_NUMBER, _: u32) {
    net::send(get(&STATE.adapter), lists);
}

unsafe extern "system" fn returned(_: NDIS_HANDLE, lists: *mut NET_BUFFER_LIST, _: u32) {
    net::returned(lists);
}

unsafe extern "system" fn cancel(_: NDIS_HANDLE, _: *mut c_void) {}

unsafe extern "system" fn pnp_event(_: NDIS_HANDLE, _: *mut c_void) {}

unsafe extern "system" fn shutdown(_: NDIS_HANDLE, _: NDIS_SHUTDOWN_ACTION) {}
