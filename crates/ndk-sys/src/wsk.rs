//! Winsock Kernel, the way by which a consumer reaches NDK (wsk.h, wskndk.h).

pub mod client;
pub mod provider;
