//! `NDK_ADAPTER` as a consumer has it.

use super::guarded::{Guarded, room_text};
use super::kind::Kind;
use super::listener::{self, Listener};
use super::objects::{self, Client, Fixed};
use super::requests::{self, Creation};
use super::rules::broken;
use super::started::Started;
use super::{Connector, completion_limit, ok, trace};
use crate::cpu::irql;
use crate::memory;
use crate::ndis::Miniport;
use crate::verifier::Rule;
use ndk_sys::{
    NDIS_STATUS, NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED, NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED,
    NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED, NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED,
    NDK_ADAPTER_FLAG_MULTI_ENGINE_SUPPORTED, NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED,
    NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, NDK_ADAPTER_INFO, NDK_VERSION, NTSTATUS,
};
use std::sync::Arc;
use std::time::Instant;

/// An open NDK adapter. Dropping it closes it; listeners and connectors must be closed before.
pub struct Adapter {
    miniport: Arc<Miniport>,
    fixed: Arc<Fixed>,
    open: bool,
}

impl Adapter {
    /// Opens the provider of `miniport`, at PASSIVE.
    ///
    /// # Errors
    /// What the provider's handler returned; `NDIS_STATUS_NOT_SUPPORTED` if the driver is no provider.
    pub fn open(miniport: &Arc<Miniport>, version: NDK_VERSION) -> Result<Self, NDIS_STATUS> {
        let fixed = open(Client::Bench, miniport, version)?;
        Ok(Self {
            miniport: Arc::clone(miniport),
            fixed,
            open: true,
        })
    }

    /// The version that it reports.
    #[must_use]
    pub fn version(&self) -> NDK_VERSION {
        self.fixed.version
    }

    /// `NdkQueryAdapterInfo`, at PASSIVE.
    ///
    /// # Errors
    /// The status.
    pub fn info(&self) -> Result<NDK_ADAPTER_INFO, NTSTATUS> {
        let (status, bytes, _) = self.query_info(Some(size_of::<NDK_ADAPTER_INFO>()));
        ok(status)?;
        let info = memory::read(bytes.as_ptr().addr());
        self.check_info(&info);
        Ok(info)
    }

    fn check_info(&self, info: &NDK_ADAPTER_INFO) {
        let NDK_VERSION { Major, Minor } = self.version();
        let known = NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED
            | NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED
            | NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED
            | NDK_ADAPTER_FLAG_MULTI_ENGINE_SUPPORTED
            | NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED
            | NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED
            | NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED;
        let what = if (info.Version.Major, info.Version.Minor) != (Major, Minor) {
            "another version than the adapter object"
        } else if info.FRMRPageCount < 16 {
            "an FRMRPageCount below 16"
        } else if info.AdapterFlags & !known != 0 {
            "AdapterFlags that NDKPI does not know"
        } else {
            return;
        };
        broken(
            Rule::NdkAdapterInfo,
            format!("NdkQueryAdapterInfo says {what}"),
            "Fill NDK_ADAPTER_INFO in for the version that the adapter was opened with.",
        )
    }

    /// `NdkQueryAdapterInfo` with room for so many bytes, or without a buffer: status, the buffer, and the size that the
    /// provider stored.
    ///
    /// # Panics
    /// Above PASSIVE.
    #[must_use]
    pub fn query_info(&self, room: Option<usize>) -> (NTSTATUS, Vec<u8>, u32) {
        const NAME: &str = "NdkQueryAdapterInfo";
        assert!(
            irql::current() == irql::PASSIVE_LEVEL,
            "{NAME} is called at PASSIVE_LEVEL"
        );
        let buffer = room.map(|room| Guarded::filled(room, 0));
        let size = Guarded::of(&u32::try_from(room.unwrap_or(0)).unwrap_or(u32::MAX).to_ne_bytes());
        let address = buffer.as_ref().map_or(0, Guarded::address);
        let arguments = [address as u64, size.address() as u64];
        let status = objects::invoke_now(&self.fixed, NAME, &arguments, || room_text(room));
        (
            status,
            buffer.map(|buffer| buffer.bytes()).unwrap_or_default(),
            size.read(),
        )
    }

    /// `NdkCreateListener`. `connect_event` runs for each request, at the provider's IRQL (at most DISPATCH), with the
    /// connector that it owns then; it must not wait. Dropping the connector there rejects the request.
    ///
    /// # Errors
    /// The status.
    pub fn create_listener(
        &self,
        connect_event: impl Fn(Connector) + Send + Sync + 'static,
    ) -> Result<Listener, NTSTATUS> {
        let event = listener::register(&self.fixed, Arc::new(connect_event));
        let arguments = [
            super::callbacks::address_of(super::callbacks::CONNECT_EVENT),
            event,
        ];
        let fixed = self.create(Kind::Listener, "NdkCreateListener", &arguments)?;
        Ok(Listener::new(fixed, event))
    }

    /// `NdkCreateConnector`.
    ///
    /// # Errors
    /// The status.
    pub fn create_connector(&self) -> Result<Connector, NTSTATUS> {
        self.create(Kind::Connector, "NdkCreateConnector", &[])
            .map(Connector::new)
    }

    fn create(&self, kind: Kind, name: &'static str, arguments: &[u64]) -> Result<Arc<Fixed>, NTSTATUS> {
        self.start_create(kind, name, arguments, |fixed| fixed).wait()
    }

    /// Starts the creation of a child. `wrap` makes what the caller gets.
    pub(super) fn start_create<T>(
        &self,
        kind: Kind,
        name: &'static str,
        arguments: &[u64],
        wrap: impl FnOnce(Arc<Fixed>) -> T + Send + 'static,
    ) -> Started<T> {
        let creation = Creation {
            kind,
            version: self.version(),
            antecedents: vec![self.fixed.id],
            context: 0,
        };
        requests::start_create(&self.fixed, name, arguments, &creation, wrap)
    }

    pub(super) fn fixed(&self) -> &Arc<Fixed> {
        &self.fixed
    }

    /// Calls any function of the dispatch table that returns a status inline, with the arguments after the adapter itself.
    #[must_use]
    pub fn call(&self, name: &'static str, arguments: &[u64]) -> NTSTATUS {
        objects::invoke_now(&self.fixed, name, arguments, String::new)
    }

    /// `NdkQueryExtension`, with an interface that does not exist.
    #[must_use]
    pub fn query_extension(&self) -> NTSTATUS {
        query_extension(&self.fixed)
    }

    /// Closes it at PASSIVE, after the closes that are pending; returns when the provider's handler has returned.
    ///
    /// # Panics
    /// When a listener or connector is open, because the close would wait for it.
    pub fn close(mut self) {
        self.close_once();
    }

    /// Starts to close it on a thread of its own, whatever is open: the provider must wait for that.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use = "the close ends when the thread does"]
    pub fn start_close(mut self) -> std::thread::JoinHandle<()> {
        self.open = false;
        let (miniport, fixed) = (Arc::clone(&self.miniport), Arc::clone(&self.fixed));
        let close = move || call_close_handler(&miniport, &fixed);
        std::thread::Builder::new()
            .name("ndk-close".into())
            .spawn(close)
            .expect("start a thread")
    }

    fn close_once(&mut self) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let left = !objects::wait_for_successors(self.fixed.id, Instant::now() + completion_limit());
        let count = objects::successors(self.fixed.id);
        assert!(
            !left,
            "{} has {count} objects: close listeners and connectors first",
            self.fixed.label()
        );
        call_close_handler(&self.miniport, &self.fixed);
    }
}

/// Opens the provider's adapter for a client.
pub(super) fn open(
    client: Client,
    miniport: &Arc<Miniport>,
    version: NDK_VERSION,
) -> Result<Arc<Fixed>, NDIS_STATUS> {
    let detail = || {
        (
            String::new(),
            format!("version {}.{}", version.Major, version.Minor),
        )
    };
    trace::add(trace::What::Call, "OpenNDKAdapterHandler", detail);
    let opened = miniport.open_ndk_adapter(version);
    let status = opened.err().unwrap_or(ndk_sys::STATUS_SUCCESS);
    trace::add(trace::What::Return(Some(status)), "OpenNDKAdapterHandler", || {
        (String::new(), String::new())
    });
    let address = usize::try_from(opened?).unwrap_or(0);
    let reported: NDK_VERSION = memory::read(address);
    if reported.Major != version.Major || reported.Minor < version.Minor {
        broken(
            Rule::NdkObjectHeader,
            format!(
                "an adapter of version {}.{} was opened for a consumer that asked for {}.{}",
                reported.Major, reported.Minor, version.Major, version.Minor
            ),
            "Fail with NDIS_STATUS_BAD_VERSION, or report the highest minor version of the major version asked for.",
        )
    }
    Ok(objects::adopt_for(client, Kind::Adapter, address, reported, &[]))
}

/// Has the provider close the adapter: returns when everything below it is gone.
pub(super) fn call_close_handler(miniport: &Miniport, fixed: &Fixed) {
    const NAME: &str = "CloseNDKAdapterHandler";
    trace::add(trace::What::Call, NAME, || (fixed.label(), String::new()));
    objects::begin_close(fixed);
    miniport.close_ndk_adapter(fixed.address as u64);
    objects::check_close(fixed.id, NAME);
    objects::end_close(fixed.id);
    trace::add(trace::What::Return(None), NAME, || (fixed.label(), String::new()));
}

/// `NdkQueryExtension` of any object: no standard extension exists, so the answer should be `STATUS_NOT_SUPPORTED`.
pub(super) fn query_extension(fixed: &Fixed) -> NTSTATUS {
    let (guid, out) = (Guarded::of(&[0x5A; 16]), Guarded::filled(8, 0));
    // NDK_VERSION is passed by value: minor in the upper half.
    let arguments = [guid.address() as u64, 1, out.address() as u64];
    objects::invoke_now(fixed, "NdkQueryExtension", &arguments, String::new)
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // A test that has failed may have left objects open: its own message matters then.
        if !std::thread::panicking() || objects::successors(self.fixed.id) == 0 {
            self.close_once();
        }
    }
}
