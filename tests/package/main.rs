//! The driver package that `./x package` makes: its INF, its catalog and its signatures.
//!
//! - [`bad_inf`]: INFs with one mistake each, which the checker must find
//! - [`keywords`]: the INF against the driver's table
//! - [`signatures`]: osslsigncode's verdict on a package, and on spoiled ones
//! - [`time_stamp`]: a server that confirms the time
//! - [`contents`]: the catalog and the image as tools read them that did not make them

mod bad_inf;
mod contents;
mod keywords;
mod made;
mod signatures;
mod time_stamp;
