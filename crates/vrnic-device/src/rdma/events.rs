//! Events of objects: none of them is lost because its event queue is full.

use vrnic_abi::event::{Event, EventKind};

use crate::device::{Device, new_event};

/// An event that waits for room in its event queue.
pub(crate) struct OwedEvent {
    eqn: u32,
    event: Event,
}

impl Device {
    /// Tells the driver about an object, now or when its event queue has room. For events of which an object has few: each one
    /// that waits is kept.
    pub fn tell(&mut self, eqn: u32, kind: EventKind, number: u32, detail: u16) {
        let event = Event {
            number: number.into(),
            detail: detail.into(),
            ..new_event(kind)
        };
        let is_first = self.rdma.owed_events.is_empty();
        if !(is_first && self.event_queue_has_room(eqn) && self.post_event(eqn, event)) {
            self.rdma.owed_events.push_back(OwedEvent { eqn, event });
        }
    }

    /// Tells what there is room for now.
    pub fn post_owed_events(&mut self) {
        for _ in 0..self.rdma.owed_events.len() {
            let Some(owed) = self.rdma.owed_events.pop_front() else {
                return;
            };
            if !(self.event_queue_has_room(owed.eqn) && self.post_event(owed.eqn, owed.event)) {
                self.rdma.owed_events.push_back(owed);
            }
        }
    }

    /// Forgets what has not been told about an object that is gone: `kinds` say what sort of object.
    pub fn forget_events(&mut self, kinds: &[EventKind], number: u32) {
        self.rdma
            .owed_events
            .retain(|owed| owed.event.number.get() != number || !kinds.contains(&owed.event.kind.into()));
    }
}
