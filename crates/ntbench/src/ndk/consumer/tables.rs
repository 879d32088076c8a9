//! What a replaced `Dispatch` points to: one thunk for each function, all of which lead to [`calls::enter`](super::calls).

use super::super::kind::Kind;
use super::calls::enter;
use crate::cpu::irql::DISPATCH_LEVEL;
use crate::cpu::{irql::PASSIVE_LEVEL, thunk};
use crate::exports::{Binding, Export, at_most, exactly};
use ndk_sys::NDK_VERSION;
use parking_lot::Mutex;

/// The only function that is not callable up to `DISPATCH_LEVEL`.
const PASSIVE_ONLY: &str = "NdkQueryAdapterInfo";

/// The functions that have thunks. Thunks are never taken back, so these stay for as long as the process runs.
static FUNCTIONS: Mutex<Vec<&'static Export>> = Mutex::new(Vec::new());

/// The dispatch table for objects of that kind and version.
pub(in super::super) fn table(kind: Kind, version: NDK_VERSION) -> Box<[u64]> {
    let slots = kind.slots(version).iter();
    slots.map(|name| thunk(kind, name) as u64).collect()
}

fn thunk(kind: Kind, name: &'static str) -> usize {
    let mut functions = FUNCTIONS.lock();
    let known = functions
        .iter()
        .find(|export| export.module == kind.name() && export.name == name);
    let export = known.copied().unwrap_or_else(|| {
        let export: &'static Export = Box::leak(Box::new(Export {
            module: kind.name(),
            name,
            irql: if name == PASSIVE_ONLY {
                exactly(PASSIVE_LEVEL)
            } else {
                at_most(DISPATCH_LEVEL)
            },
            binding: Binding::Function(enter as *const ()),
        }));
        functions.push(export);
        export
    });
    thunk::address_of(export)
}

#[cfg(test)]
mod tests {
    use super::super::super::{VERSION_1_2, VERSION_2_0};
    use super::super::signature;
    use super::*;

    const KINDS: [Kind; 10] = [
        Kind::Adapter,
        Kind::Cq,
        Kind::Pd,
        Kind::Mr,
        Kind::Mw,
        Kind::Srq,
        Kind::Qp,
        Kind::Connector,
        Kind::Listener,
        Kind::SharedEndpoint,
    ];

    #[test]
    fn every_function_has_a_signature_and_one_thunk() {
        for kind in KINDS {
            for name in kind.slots(NDK_VERSION { Major: 2, Minor: 1 }) {
                assert!(signature::of(kind, name).is_some(), "{name} of {}", kind.name());
            }
            assert_eq!(
                table(kind, VERSION_1_2),
                table(kind, VERSION_2_0),
                "{}",
                kind.name()
            );
        }
        assert!(
            signature::of(Kind::Mr, "NdkSend").is_none(),
            "not one of its functions"
        );
    }
}
