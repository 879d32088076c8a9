//! The CM service: management datagrams to and from queue pair 1, and the connections that are half open.

mod half_open;
mod service;

pub(crate) use service::CmService;
