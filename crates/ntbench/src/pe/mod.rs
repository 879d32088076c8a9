//! Loading x86-64 kernel images: `file` checks and reads the PE, `arena` is the address space that all images and thunks
//! share, `cfg` knows the valid targets of indirect calls, `image` maps, relocates, binds and protects.

pub mod arena;
pub mod cfg;
pub mod file;
pub mod image;
