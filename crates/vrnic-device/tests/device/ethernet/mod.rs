//! Ethernet queues.

mod checksums;
mod commands;
mod errors;
mod fairness;
mod filters;
mod frames;
mod large_sends;
mod life;
mod moderation;
mod port;
mod properties;

mod receiving;
mod rss;
mod sending;
mod wireshark;
