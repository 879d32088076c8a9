//! `ntbench` loads the `.sys` that Windows would load into a Linux process, gives it a kernel to live in, and checks every rule
//! that Driver Verifier and the documents state.
//!
//! `pe` loads images, `cpu` runs them, `nt` is ntoskrnl.exe, `verifier` checks, `symbols` names what went wrong, `kernel` ties them together.

pub mod apps;
pub mod check;
pub mod cpu;
pub mod demo;
pub mod exports;
pub mod iperf3;
pub mod kernel;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod ndis;
pub mod ndk;
pub mod netio;
pub mod nt;
pub mod pci;
pub mod pe;
pub mod run;
pub mod symbols;
pub mod verifier;
pub mod wire;
pub mod wsk;

pub use kernel::{Config, Kernel};
pub use nt::driver::Driver;
