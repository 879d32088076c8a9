//! NDK consumers that break a rule of WSK or NDK. They need a provider with an adapter: another `wrong.sys`.
#![expect(
    unsafe_code,
    reason = "calls WSK and the provider, on purpose not as they may be called"
)]

use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::AtomicU64;

use ndk_sys::imports::netio::{WskCaptureProviderNPI, WskDeregister, WskRegister, WskReleaseProviderNPI};
use ndk_sys::{
    NDK_ADAPTER, NDK_ADAPTER_DISPATCH, NDK_CONNECTOR, NDK_CQ, NDK_CQ_DISPATCH, NDK_LISTENER,
    NDK_LISTENER_DISPATCH, NDK_OBJECT_HEADER, NDK_RESULT, NDK_VERSION, NTSTATUS, WSK_CLIENT_DISPATCH,
    WSK_CLIENT_NPI, WSK_NO_WAIT, WSK_PROVIDER_DISPATCH, WSK_PROVIDER_NDK_DISPATCH, WSK_PROVIDER_NPI,
    WSK_REGISTRATION, WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH,
};

use super::faults;
use crate::kernel::{IofCompleteRequest, address, number, peek, pointer, pool, start_thread};

faults! {
    "none-consumer" => |_| {
        let consumer = Consumer::open();
        close_listener(consumer.listener(Some(created)), 1);
        consumer.close();
    },
    "IrpCompleted" => |_| IofCompleteRequest(pool(256), 0),
    "WskRegistration" => |_| {
        let consumer = Consumer::open();
        consumer.close_adapter();
        // SAFETY: the NPI is captured, on purpose.
        unsafe { WskDeregister(consumer.registration) };
    },
    "WskRegistration-release" => |_| {
        let consumer = Consumer::open();
        consumer.close_adapter();
        for _ in 0..2 {
            // SAFETY: the second time it is not captured, on purpose.
            unsafe { WskReleaseProviderNPI(consumer.registration) };
        }
    },
    "WskRegistration-client" => |_| {
        let consumer = Consumer::open();
        consumer.close_adapter();
        // SAFETY: after that the client of the NPI is gone, and used on purpose.
        unsafe { WskReleaseProviderNPI(consumer.registration) };
        let _ = consumer.open_adapter();
    },
    "WskAdapterOpen" => |_| {
        let consumer = Consumer::open();
        // SAFETY: with the adapter open, on purpose.
        unsafe { WskReleaseProviderNPI(consumer.registration) };
    },
    "WskLeak" => |_| {
        let _ = Consumer::open();
    },
    "NdkConsumerObject" => |_| {
        let consumer = Consumer::open();
        close_listener(consumer.listener(Some(created)), 2);
    },
    "NdkConsumerObject-kind" => |_| {
        let consumer = Consumer::open();
        let create = consumer.dispatch().NdkCreateConnector;
        let listener: *mut NDK_ADAPTER = consumer.listener(Some(created)).cast();
        let mut out: *mut NDK_CONNECTOR = null_mut();
        if let Some(create) = create {
            // SAFETY: a function of adapters for a listener, on purpose.
            let _ = unsafe { create(listener, Some(created), null_mut(), &raw mut out) };
        }
    },
    "NdkConsumerObject-adapter" => |_| {
        let consumer = Consumer::open();
        consumer.close_adapter();
        consumer.close_adapter();
    },
    "NdkConsumerCallback" => |_| {
        let _ = Consumer::open().listener(None);
    },
    "NdkConsumerOverlap" => |_| {
        let cq = Consumer::open().cq();
        let _ = start_thread(poll, number(cq));
        poll(number(cq));
    },
    "NdkConsumerAdapterObjects" => |_| {
        let consumer = Consumer::open();
        let _ = consumer.listener(Some(created));
        consumer.close_adapter();
    },
}

/// Interface index of the provider's adapter.
const INTERFACE: u32 = 12;

unsafe extern "system" fn created(_: *mut c_void, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {}

unsafe extern "system" fn connect_event(_: *mut c_void, _: *mut NDK_CONNECTOR) {}

unsafe extern "system" fn notified(_: *mut c_void, _: NTSTATUS) {}

/// Polls a CQ, often enough to meet somebody else who does.
extern "system" fn poll(cq: usize) {
    const TIMES: usize = 100_000;
    let value: NDK_CQ = peek(cq);
    let dispatch: NDK_CQ_DISPATCH = peek(number(value.Dispatch));
    let mut result = NDK_RESULT::zeroed();
    if let Some(results) = dispatch.NdkGetCqResults {
        for _ in 0..TIMES {
            // SAFETY: a CQ that is open, which two threads poll at a time, on purpose; a structure of ours.
            let _ = unsafe { results(pointer(cq), &raw mut result, 1) };
        }
    }
}

unsafe extern "system" fn closed(_: *mut c_void) {}

/// `MAKE_WSK_VERSION(1, 0)`
static CLIENT: WSK_CLIENT_DISPATCH = WSK_CLIENT_DISPATCH {
    Version: 0x0100,
    Reserved: 0,
    WskClientEvent: None,
};

/// The `WSK_REGISTRATION`, whose contents are WSK's.
static REGISTRATION: [AtomicU64; size_of::<WSK_REGISTRATION>() / 8] =
    [const { AtomicU64::new(0) }; size_of::<WSK_REGISTRATION>() / 8];

/// A consumer with an open adapter.
struct Consumer {
    registration: *mut WSK_REGISTRATION,
    npi: WSK_PROVIDER_NPI,
    ndk: WSK_PROVIDER_NDK_DISPATCH,
    adapter: *mut NDK_ADAPTER,
}

impl Consumer {
    fn open() -> Self {
        let mut client = WSK_CLIENT_NPI {
            ClientContext: null_mut(),
            Dispatch: &raw const CLIENT,
        };
        let registration = pointer(address(&REGISTRATION));
        let mut npi = WSK_PROVIDER_NPI {
            Client: null_mut(),
            Dispatch: null(),
        };
        // SAFETY: structures of ours.
        let _ = unsafe { WskRegister(&raw mut client, registration) };
        // SAFETY: the registration has succeeded, or the verifier says why not.
        let _ = unsafe { WskCaptureProviderNPI(registration, WSK_NO_WAIT, &raw mut npi) };
        let mut consumer = Self {
            registration,
            npi,
            ndk: WSK_PROVIDER_NDK_DISPATCH::zeroed(),
            adapter: null_mut(),
        };
        consumer.get_ndk();
        consumer.adapter = consumer.open_adapter();
        consumer
    }

    fn get_ndk(&mut self) {
        let dispatch: WSK_PROVIDER_DISPATCH = peek(number(self.npi.Dispatch));
        if let Some(control) = dispatch.WskControlClient {
            // SAFETY: the output is of the type and size that the request wants.
            let _ = unsafe {
                control(
                    self.npi.Client,
                    WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH,
                    0,
                    null_mut(),
                    size_of::<WSK_PROVIDER_NDK_DISPATCH>(),
                    (&raw mut self.ndk).cast(),
                    null_mut(),
                    null_mut(),
                )
            };
        }
    }

    fn open_adapter(&self) -> *mut NDK_ADAPTER {
        let mut adapter = null_mut();
        let version = NDK_VERSION { Major: 1, Minor: 0 };
        if let Some(open) = self.ndk.WskOpenNdkAdapter {
            // SAFETY: a variable of ours.
            let _ = unsafe { open(self.npi.Client, version, INTERFACE, &raw mut adapter) };
        }
        adapter
    }

    fn dispatch(&self) -> NDK_ADAPTER_DISPATCH {
        let adapter: NDK_ADAPTER = peek(number(self.adapter));
        peek(number(adapter.Dispatch))
    }

    fn cq(&self) -> *mut NDK_CQ {
        let mut cq = null_mut();
        if let Some(create) = self.dispatch().NdkCreateCq {
            // SAFETY: an adapter that is open, and a variable of ours.
            let _ = unsafe {
                create(
                    self.adapter,
                    16,
                    Some(notified),
                    null_mut(),
                    null_mut(),
                    Some(created),
                    null_mut(),
                    &raw mut cq,
                )
            };
        }
        cq
    }

    fn listener(&self, completion: Option<ndk_sys::NDK_FN_CREATE_COMPLETION>) -> *mut NDK_LISTENER {
        let mut listener = null_mut();
        if let Some(create) = self.dispatch().NdkCreateListener {
            // SAFETY: an adapter that is open, and a variable of ours.
            let _ = unsafe {
                create(
                    self.adapter,
                    Some(connect_event),
                    null_mut(),
                    completion,
                    null_mut(),
                    &raw mut listener,
                )
            };
        }
        listener
    }

    fn close_adapter(&self) {
        if let Some(close) = self.ndk.WskCloseNdkAdapter {
            // SAFETY: an adapter that may be closed, on purpose.
            unsafe { close(self.npi.Client, self.adapter) };
        }
    }

    /// In good order.
    fn close(self) {
        self.close_adapter();
        // SAFETY: captured once.
        unsafe { WskReleaseProviderNPI(self.registration) };
        // SAFETY: registered, and not captured any more.
        unsafe { WskDeregister(self.registration) };
    }
}

/// Closes a listener so many times.
fn close_listener(listener: *mut NDK_LISTENER, times: usize) {
    let value: NDK_LISTENER = peek(number(listener));
    let dispatch: NDK_LISTENER_DISPATCH = peek(number(value.Dispatch));
    let Some(close) = dispatch.NdkCloseListener else {
        return;
    };
    for _ in 0..times {
        // SAFETY: a listener that is closed after the first time, on purpose.
        let _ = unsafe { close(listener.cast(), Some(closed), null_mut()) };
    }
}
