//! Holds nothing. Its manifest makes the root package `vrnic` a part of this workspace's graph, and the driver is
//! then built as what it is, with `cargo rustc -p vrnic --crate-type cdylib`: the same crate that Windows builds.
#![no_std]
