//! NETIO: interfaces, addresses, routes and neighbours (netioapi.h).

pub mod address;
pub mod interface;
pub mod route;
