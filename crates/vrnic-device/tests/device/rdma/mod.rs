//! The objects of reliable connections.

mod completions;
mod flush;
mod keys;
mod objects;
mod pair;
mod side;
