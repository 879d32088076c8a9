//! Which arguments of a provider's functions are callbacks and out parameters.

use super::super::kind::Kind;

/// An event callback: the number of its argument; its context follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Connect(usize),
    CqNotification(usize),
    SrqNotification(usize),
    Disconnect(usize),
}

/// How a function ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// When it returns, with a status.
    Status,
    /// As `Status`, and it posts a work request: the consumer's request context is argument 1.
    Post,
    /// When it returns, with something else than a status, or nothing.
    Value,
    /// The completion and its context are arguments 1 and 2.
    Close,
    /// The completion is this argument; its context follows.
    Request(usize),
    /// As `Request`, for a completion that may be left out.
    OptionalRequest(usize),
    /// The completion is argument `at`; its context and the out parameter follow. `antecedents` are the arguments with
    /// further objects on which the new one depends.
    Create {
        kind: Kind,
        at: usize,
        antecedents: &'static [usize],
    },
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    /// Arguments, the object included.
    pub arguments: usize,
    pub shape: Shape,
    pub event: Option<Event>,
}

const fn plain(arguments: usize, shape: Shape) -> Signature {
    Signature {
        arguments,
        shape,
        event: None,
    }
}

const fn create(kind: Kind, arguments: usize, antecedents: &'static [usize]) -> Signature {
    let at = arguments - 3;
    plain(
        arguments,
        Shape::Create {
            kind,
            at,
            antecedents,
        },
    )
}

/// The request completion and its context come last.
const fn request(arguments: usize) -> Signature {
    plain(arguments, Shape::Request(arguments - 2))
}

const fn with(event: Event, signature: Signature) -> Signature {
    Signature {
        event: Some(event),
        ..signature
    }
}

/// The function of that name (ndkpi.h); `None` if there is none.
pub(super) fn of(kind: Kind, name: &str) -> Option<Signature> {
    Some(match name {
        "NdkQueryExtension" => plain(4, Shape::Status),
        "NdkGetLocalAddress" | "NdkGetPeerAddress" => plain(3, Shape::Status),
        _ if name.starts_with("NdkClose") => plain(3, Shape::Close),
        _ => match kind {
            Kind::Adapter => adapter(name)?,
            Kind::Pd => pd(name)?,
            Kind::Connector => connector(name)?,
            Kind::Qp => post(name)?,
            Kind::Cq | Kind::Mr | Kind::Mw | Kind::Srq | Kind::Listener | Kind::SharedEndpoint => {
                other(name)?
            }
        },
    })
}

fn adapter(name: &str) -> Option<Signature> {
    Some(match name {
        "NdkQueryAdapterInfo" => plain(3, Shape::Status),
        "NdkCreateCq" => with(Event::CqNotification(2), create(Kind::Cq, 8, &[])),
        "NdkCreatePd" => create(Kind::Pd, 4, &[]),
        "NdkCreateSharedEndpoint" => create(Kind::SharedEndpoint, 6, &[]),
        "NdkCreateConnector" => create(Kind::Connector, 4, &[]),
        "NdkCreateListener" => with(Event::Connect(1), create(Kind::Listener, 6, &[])),
        "NdkBuildLAM" => plain(8, Shape::OptionalRequest(3)),
        "NdkReleaseLAM" => plain(2, Shape::Value),
        _ => return None,
    })
}

fn pd(name: &str) -> Option<Signature> {
    Some(match name {
        "NdkCreateMr" => create(Kind::Mr, 5, &[]),
        "NdkCreateMw" => create(Kind::Mw, 4, &[]),
        "NdkCreateSrq" => with(Event::SrqNotification(4), create(Kind::Srq, 10, &[])),
        "NdkCreateQp" => create(Kind::Qp, 12, &[1, 2]),
        "NdkCreateQpWithSrq" => create(Kind::Qp, 11, &[1, 2, 3]),
        "NdkGetPrivilegedMemoryRegionToken" => plain(2, Shape::Value),
        _ => return None,
    })
}

fn connector(name: &str) -> Option<Signature> {
    Some(match name {
        "NdkConnect" => request(12),
        "NdkConnectWithSharedEndpoint" => request(11),
        "NdkCompleteConnect" | "NdkCompleteConnectEx" => with(Event::Disconnect(1), request(5)),
        "NdkAccept" | "NdkAcceptEx" => with(Event::Disconnect(6), request(10)),
        "NdkReject" => plain(3, Shape::Status),
        "NdkGetConnectionData" => plain(5, Shape::Status),
        "NdkDisconnect" => request(3),
        _ => return None,
    })
}

fn post(name: &str) -> Option<Signature> {
    Some(match name {
        "NdkFlush" => plain(1, Shape::Value),
        "NdkSend" => plain(5, Shape::Post),
        "NdkReceive" | "NdkInvalidate" => plain(4, Shape::Post),
        "NdkBind" | "NdkRead" | "NdkWrite" => plain(7, Shape::Post),
        "NdkFastRegister" => plain(9, Shape::Post),
        "NdkSendAndInvalidate" => plain(6, Shape::Post),
        _ => return None,
    })
}

fn other(name: &str) -> Option<Signature> {
    Some(match name {
        "NdkResizeCq" => request(4),
        "NdkArmCq" | "NdkControlConnectEvents" => plain(2, Shape::Value),
        "NdkGetCqResults" | "NdkGetCqResultsEx" => plain(3, Shape::Value),
        "NdkControlCqInterruptModeration" => plain(3, Shape::Status),
        "NdkRegisterMr" => request(6),
        "NdkDeregisterMr" => request(3),
        "NdkInitializeFastRegisterMr" | "NdkModifySrq" | "NdkListen" => request(5),
        "NdkGetRemoteTokenFromMr" | "NdkGetLocalTokenFromMr" | "NdkGetRemoteTokenFromMw" => {
            plain(1, Shape::Value)
        }
        "NdkSrqReceive" => plain(4, Shape::Post),
        _ => return None,
    })
}
