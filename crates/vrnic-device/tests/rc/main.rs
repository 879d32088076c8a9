//! The reliable connection transport: two queue pairs on a wire that loses, delays and repeats frames, in virtual time; and one queue pair
//! against packets made by hand, or by Linux.

mod completer;
mod errors;
mod flow;
mod hostile;
mod linux;
mod lone;
mod properties;
mod receives;
mod responder;
mod world;
