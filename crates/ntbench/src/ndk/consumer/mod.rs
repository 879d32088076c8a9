//! Consumers that are drivers. They call the provider through the `Dispatch` of each object, which leads here: the call is
//! checked and recorded like one of the bench's own consumer, and goes on to the provider; so do the provider's callbacks
//! on their way back.
//!
//! | module | what |
//! |---|---|
//! | `tables` | what a replaced `Dispatch` points to |
//! | `signature` | which argument of which function is a callback or an out parameter |
//! | `calls` | consumer to provider |
//! | `events` | provider to consumer: events; completions are in `calls`, beside what they complete |
//! | `turns` | calls that must not overlap |
//! | `adapter` | opening and closing |

pub mod adapter;
mod calls;
mod events;
mod signature;
mod tables;
mod turns;

pub(super) use tables::table;

use super::objects::Fixed;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// The objects that consumer drivers have, by address.
static OBJECTS: RwLock<Option<HashMap<usize, Arc<Fixed>>>> = RwLock::new(None);

/// A consumer driver has got an object.
pub(super) fn add(fixed: &Arc<Fixed>) {
    let mut objects = OBJECTS.write();
    objects
        .get_or_insert_default()
        .insert(fixed.address, Arc::clone(fixed));
}

/// An object is closed.
pub(super) fn remove(fixed: &Fixed) {
    if let Some(objects) = OBJECTS.write().as_mut() {
        // The provider may have used the memory for another object already.
        if objects
            .get(&fixed.address)
            .is_some_and(|object| object.id == fixed.id)
        {
            objects.remove(&fixed.address);
        }
    }
}

/// The object at an address.
fn find(address: usize) -> Option<Arc<Fixed>> {
    OBJECTS.read().as_ref()?.get(&address).cloned()
}
