//! The client against a server on this machine.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod answers;
mod cache;
mod failures;
mod key;
mod likelihood;
mod server;
