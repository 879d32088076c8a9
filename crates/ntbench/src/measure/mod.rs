//! What benchmarks and tests of a provider's speed share.
//!
//! Verified calls cost more than what they call, so everything here calls the provider's functions directly.
//!
//! | module | what |
//! |---|---|
//! | `cabled` | a machine with two adapters and nothing between them but a cable |
//! | `direct` | calls of a provider's functions without checks, and data that they are about |
//! | `fast_path` | what posting and polling cost, in instructions and nanoseconds |
//! | `resources` | what a connection of SMB Direct takes |

mod cabled;
mod direct;
mod fast_path;
mod resources;

pub use cabled::{Cabled, Still};
pub use direct::{DirectCq, DirectQp, Region, SgeList};
pub use fast_path::{Cost, FastPath};
pub use resources::Resources;
