//! The reliable connection transport: two queue pairs on a wire that loses, delays and repeats frames, in virtual time; and one queue pair
//! against packets made by hand.

mod flow;
mod properties;
mod world;
