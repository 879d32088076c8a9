//! The objects of reliable connections.

mod completions;
mod engine;
mod flush;
mod keys;
mod objects;
mod pair;
mod properties;
mod shared;
pub mod side;
