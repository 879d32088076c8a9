//! The objects of reliable connections.

mod completions;
mod engine;
mod flush;
mod keys;
mod objects;
pub mod pair;
mod properties;
mod shared;
pub mod side;
