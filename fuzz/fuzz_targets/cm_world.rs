//! Two connection managers, their consumers and a third party that means no good, on a bad wire: the model world of the driver's
//! tests, which says what must not happen.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vrnic::cm;

#[path = "../../src/cm/tests/world/mod.rs"]
mod world;

fuzz_target!(|input: &[u8]| world::run(input));
