//! Functions that drivers import: as foreign functions on Windows, and everywhere as prototypes (`PFN_` and the
//! function's name).

pub mod ndis;
pub mod netio;
