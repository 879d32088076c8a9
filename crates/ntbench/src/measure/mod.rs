//! What benchmarks and tests of a provider's speed share.
//!
//! Verified calls cost more than what they call, so everything here calls the provider's functions directly.
//!
//! | module | what |
//! |---|---|
//! | [`bring_up`] | how long a reset takes |
//! | `cabled` | a machine with two adapters and nothing between them but a cable |
//! | `direct` | calls of a provider's functions without checks, and data that they are about |
//! | `ethernet` | what frames cost between two adapters, and how fast they are |
//! | `fast_path` | what posting and polling cost, in instructions and nanoseconds |
//! | `registers` | what accesses of doorbells and registers cost |
//! | `resources` | what a connection of SMB Direct takes |

pub mod bring_up;
mod cabled;
mod direct;
mod ethernet;
mod fast_path;
mod registers;
mod resources;

pub use cabled::{Cabled, Still};
pub use direct::{DirectCq, DirectQp, Region, SgeList};
pub use ethernet::{EthernetLink, EthernetPair, FrameWork, Load, Rate, slow};
pub use fast_path::{Cost, FastPath};
pub use registers::{AccessCosts, access_costs};
pub use resources::Resources;
