//! NDKPI: the functions and objects through which a consumer uses an RDMA adapter (ndkpi.h), by object.

pub mod adapter;
pub mod common;
pub mod connector;
pub mod cq;
pub mod mr;
pub mod pd;
pub mod qp;
pub mod srq;
