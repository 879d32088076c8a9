//! Drives the NIC as a driver and a network would: by registers, bytes in memory, doorbells and frames.

mod cm;
mod cm_half_open;
mod commands;
mod doorbells;
mod ethernet;
mod events;
mod faults;
mod host;
mod link;
mod pci;
mod properties;
mod rdma;
mod registers;
mod rig;
mod tap;
