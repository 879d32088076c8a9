//! `NDK_PD` as a consumer has it.

use super::adapter::Adapter;
use super::callbacks::{self, SRQ_NOTIFICATION};
use super::cq::Cq;
use super::guarded::Guarded;
use super::handle::{Handle, closable};
use super::kind::Kind;
use super::mr::{Mr, Mw};
use super::objects::{self, Fixed};
use super::qp::Qp;
use super::requests::{self, Creation};
use super::srq::Srq;
use super::started::Started;
use super::{events, trace};
use ndk_sys::NTSTATUS;
use std::sync::Arc;

/// A protection domain. Dropping it closes it, and waits for that at PASSIVE unless something depends on it.
pub struct Pd {
    pub(super) handle: Handle,
}

closable!(Pd);

/// What a QP is made with.
#[derive(Clone, Copy, Debug)]
pub struct QpConfig<'a> {
    /// Where receives complete.
    pub receive_cq: &'a Cq,
    /// Where everything else completes.
    pub initiator_cq: &'a Cq,
    /// `QPContext` of its results.
    pub context: u64,
    /// Receives that may be outstanding; not used with an SRQ.
    pub receive_depth: u32,
    /// Other requests that may be outstanding.
    pub initiator_depth: u32,
    /// Elements of a receive; not used with an SRQ.
    pub receive_sge: u32,
    /// Elements of another request.
    pub initiator_sge: u32,
    /// Bytes that may be inline.
    pub inline: u32,
}

impl<'a> QpConfig<'a> {
    /// One CQ for both queues of 16 requests with 4 elements, nothing inline.
    #[must_use]
    pub fn new(cq: &'a Cq) -> Self {
        Self {
            receive_cq: cq,
            initiator_cq: cq,
            context: 0,
            receive_depth: 16,
            initiator_depth: 16,
            receive_sge: 4,
            initiator_sge: 4,
            inline: 0,
        }
    }
}

impl Adapter {
    /// `NdkCreatePd`.
    ///
    /// # Errors
    /// The status.
    pub fn create_pd(&self) -> Result<Pd, NTSTATUS> {
        self.start_create_pd().wait()
    }

    /// As [`Adapter::create_pd`], without the wait.
    pub fn start_create_pd(&self) -> Started<Pd> {
        self.start_create(Kind::Pd, "NdkCreatePd", &[], |fixed| Pd {
            handle: Handle::new(fixed, "NdkClosePd"),
        })
    }
}

impl Pd {
    /// `NdkGetPrivilegedMemoryRegionToken`.
    #[must_use]
    pub fn privileged_token(&self) -> u32 {
        const NAME: &str = "NdkGetPrivilegedMemoryRegionToken";
        let token = Guarded::filled(4, 0);
        let arguments = [token.address() as u64];
        let _ = objects::invoke(&self.handle.fixed, NAME, &arguments, String::new);
        trace::add(trace::What::Return(None), NAME, || {
            (self.handle.fixed.label(), String::new())
        });
        token.read()
    }

    /// `NdkCreateMr`; `fast` for regions that are registered by requests of a QP.
    ///
    /// # Errors
    /// The status.
    pub fn create_mr(&self, fast: bool) -> Result<Mr, NTSTATUS> {
        self.start_create_mr(fast).wait()
    }

    /// As [`Pd::create_mr`], without the wait.
    pub fn start_create_mr(&self, fast: bool) -> Started<Mr> {
        self.start_create(Kind::Mr, "NdkCreateMr", &[fast.into()], &[], 0, Mr::new)
    }

    /// `NdkCreateMw`.
    ///
    /// # Errors
    /// The status.
    pub fn create_mw(&self) -> Result<Mw, NTSTATUS> {
        self.start_create_mw().wait()
    }

    /// As [`Pd::create_mw`], without the wait.
    pub fn start_create_mw(&self) -> Started<Mw> {
        self.start_create(Kind::Mw, "NdkCreateMw", &[], &[], 0, Mw::new)
    }

    /// `NdkCreateSrq`. `notification` runs when fewer receives than `threshold` are left.
    ///
    /// # Errors
    /// The status.
    pub fn create_srq(
        &self,
        depth: u32,
        sge: u32,
        threshold: u32,
        notification: impl Fn(NTSTATUS) + Send + Sync + 'static,
    ) -> Result<Srq, NTSTATUS> {
        self.start_create_srq(depth, sge, threshold, notification).wait()
    }

    /// As [`Pd::create_srq`], without the wait.
    pub fn start_create_srq(
        &self,
        depth: u32,
        sge: u32,
        threshold: u32,
        notification: impl Fn(NTSTATUS) + Send + Sync + 'static,
    ) -> Started<Srq> {
        let handler = move |_: &Arc<Fixed>, status| notification(status);
        let event = events::register(SRQ_NOTIFICATION, Arc::new(handler));
        let callback = callbacks::address_of(SRQ_NOTIFICATION);
        let arguments = [depth.into(), sge.into(), threshold.into(), callback, event, 0];
        self.start_create(Kind::Srq, "NdkCreateSrq", &arguments, &[], 0, move |fixed| {
            events::attach(event, fixed.id);
            Srq::new(fixed)
        })
    }

    /// `NdkCreateQp`.
    ///
    /// # Errors
    /// The status.
    pub fn create_qp(&self, config: &QpConfig<'_>) -> Result<Qp, NTSTATUS> {
        self.start_create_qp(config).wait()
    }

    /// As [`Pd::create_qp`], without the wait.
    pub fn start_create_qp(&self, config: &QpConfig<'_>) -> Started<Qp> {
        let (receive, initiator) = (&config.receive_cq.handle.fixed, &config.initiator_cq.handle.fixed);
        let arguments = [
            receive.address as u64,
            initiator.address as u64,
            config.context,
            config.receive_depth.into(),
            config.initiator_depth.into(),
            config.receive_sge.into(),
            config.initiator_sge.into(),
            config.inline.into(),
        ];
        let antecedents = [receive.id, initiator.id];
        self.start_create(
            Kind::Qp,
            "NdkCreateQp",
            &arguments,
            &antecedents,
            config.context,
            Qp::new,
        )
    }

    /// `NdkCreateQpWithSrq`.
    ///
    /// # Errors
    /// The status.
    pub fn create_qp_with_srq(&self, config: &QpConfig<'_>, srq: &Srq) -> Result<Qp, NTSTATUS> {
        self.start_create_qp_with_srq(config, srq).wait()
    }

    /// As [`Pd::create_qp_with_srq`], without the wait.
    pub fn start_create_qp_with_srq(&self, config: &QpConfig<'_>, srq: &Srq) -> Started<Qp> {
        let (receive, initiator) = (&config.receive_cq.handle.fixed, &config.initiator_cq.handle.fixed);
        let srq = &srq.handle.fixed;
        let arguments = [
            receive.address as u64,
            initiator.address as u64,
            srq.address as u64,
            config.context,
            config.initiator_depth.into(),
            config.initiator_sge.into(),
            config.inline.into(),
        ];
        let antecedents = [receive.id, initiator.id, srq.id];
        self.start_create(
            Kind::Qp,
            "NdkCreateQpWithSrq",
            &arguments,
            &antecedents,
            config.context,
            Qp::new,
        )
    }

    fn start_create<T>(
        &self,
        kind: Kind,
        name: &'static str,
        arguments: &[u64],
        antecedents: &[objects::Id],
        context: u64,
        wrap: impl FnOnce(Arc<Fixed>) -> T + Send + 'static,
    ) -> Started<T> {
        let creation = Creation {
            kind,
            version: self.handle.fixed.version,
            antecedents: [&[self.handle.fixed.id], antecedents].concat(),
            context,
        };
        requests::start_create(&self.handle.fixed, name, arguments, &creation, wrap)
    }
}
