//! The queue pair's changes of state, by commands that nobody waits for.

use super::machine::QpAction;
use super::object::Connector;
use crate::ndk::object::ObjectRef;
use crate::ndk::path;
use crate::ndk::qp::QpEvent;
use crate::nic::command::CommandError;
use crate::nic::{Outcome, Payload, Request, Submitted};
use crate::os::pool::{OutOfMemory, PoolBox, Tag};
use crate::status;
use ndk_sys::STATUS_INTERNAL_ERROR;

/// What a command about the queue pair carries: who wants it, and what for.
pub struct Change {
    /// While it is under way.
    connector: Option<ObjectRef<Connector>>,
    action: QpAction,
}

impl Payload for Change {
    const TAG: Tag = Tag::new(*b"VrCq");

    fn done(mut request: PoolBox<Request<Self>>, outcome: Outcome) {
        if let Some(connector) = request.payload.connector.take() {
            Connector::changed(&connector, request, outcome);
            Connector::run(&connector);
        }
    }
}

impl Change {
    /// A command to be. At most `DISPATCH_LEVEL`.
    pub fn new() -> Result<PoolBox<Request<Self>>, OutOfMemory> {
        Request::new(Self {
            connector: None,
            action: QpAction::Flush,
        })
    }
}

impl Connector {
    /// Has the queue pair changed. Without a lock.
    pub(super) fn change(connector: &ObjectRef<Self>, action: QpAction) {
        let (request, qp, parameters) = {
            let mut core = connector.core.lock();
            (core.change.take(), core.qp.clone(), core.qp_parameters)
        };
        let (Some(mut request), Some(qp)) = (request, qp) else {
            // Every attempt gets both before it begins.
            return connector
                .core
                .lock()
                .machine
                .on_qp_done(action, Err(STATUS_INTERNAL_ERROR));
        };
        request.payload.connector = Some(connector.clone());
        request.payload.action = action;
        let submitted = match (action, parameters) {
            (QpAction::Flush, _) | (_, None) => qp.flush(request),
            (_, Some(parameters)) => qp.modify(request, &path::modify(&parameters, action)),
        };
        if let Submitted::Done(mut request, outcome) = submitted {
            drop(request.payload.connector.take());
            Self::changed(connector, request, outcome);
        }
    }

    /// The device has done it, or refuses.
    fn changed(connector: &ObjectRef<Self>, request: PoolBox<Request<Change>>, outcome: Outcome) {
        let action = request.payload.action;
        let result = match outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(failure(action, error)),
        };
        let mut core = connector.core.lock();
        core.change = Some(request);
        if result.is_ok()
            && matches!(action, QpAction::Connect | QpAction::Send)
            && let Some(qp) = &core.qp
        {
            qp.set_connected(true);
        }
        core.machine.on_qp_done(action, result);
    }

    /// Something has happened to the queue pair. `DISPATCH_LEVEL`, without a lock.
    pub fn on_qp_event(connector: &ObjectRef<Self>, event: QpEvent) {
        match event {
            QpEvent::Fatal => {
                connector.core.lock().machine.on_qp_failed();
                Self::run(connector);
            }
            QpEvent::CommEst => {
                let connection = connector.core.lock().connection;
                if let Some(connection) = connection {
                    connector.provider().on_first_packet(connection);
                }
            }
            // The queue pair tells that to its shared receive queue's owner.
            QpEvent::LastWqe => {}
        }
    }
}

fn failure(action: QpAction, error: CommandError) -> ndk_sys::NTSTATUS {
    let status = status::of_object_error(&error);
    if status == STATUS_INTERNAL_ERROR {
        wdk::println!("vrnic: MODIFY_QP ({action:?}) failed: {error:?}");
    }
    status
}
