//! The SDK's traits and types over the host's engine: a plugin's own source, compiled as it is, runs
//! natively on the same arithmetic that the sandbox offers it by handles.
//!
//! Benchmarks include a plugin's source with this crate in the SDK's place; nothing else uses it.

#![allow(
    dead_code,
    missing_docs,
    reason = "the SDK's files, of which a benchmark needs some"
)]

#[path = "../../../sdk/rust/src/algorithm.rs"]
mod algorithm;
#[path = "../../../sdk/rust/src/block_kernel.rs"]
mod block_kernel;
#[path = "../../../sdk/rust/src/choices.rs"]
mod choices;
#[path = "../../../sdk/rust/src/params.rs"]
mod params;
#[path = "../../../sdk/rust/src/run.rs"]
mod run;

/// The contract's types as values.
pub mod native {
    pub mod params;
    #[path = "../../../../sdk/rust/src/native/run.rs"]
    pub mod run;

    pub use run::{client, message, objective, round, state, training, update, updates};
}

pub use algorithm::Algorithm;
pub use block_kernel::BlockKernel;
pub use choices::{Variant, Weighting};
pub use native::params::{
    Params, distances, gaussian, mean_near_median, median, pairwise_distances, trimmed_mean,
    weighted_sum,
};
pub use native::run::{
    Client, Message, Objective, Round, State, Training, Update, Updates, log, report,
};

/// Nothing is exported here.
#[macro_export]
macro_rules! export_native {
    ($export:ident, $plugin:ty) => {};
}

/// A client's number, from 0.
pub type ClientId = u32;

/// What a plugin refuses, it refuses in words.
pub type Result<T, E = String> = std::result::Result<T, E>;
