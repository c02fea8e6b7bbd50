//! What the author of a Folkmoot plugin imports.
//!
//! A plugin is a struct that is its own settings (serde reads them, schemars documents them), one
//! trait and one macro:
//!
//! ```
//! use folkmoot_sdk::{Algorithm, Params, Result, Round, State, Updates, export_algorithm};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// Half a step towards the mean of the clients.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct HalfStep {}
//! export_algorithm!(HalfStep);
//!
//! impl Algorithm for HalfStep {
//!     fn aggregate(&self, _: &Round, global: &Params, updates: &Updates, _: &State) -> Result<Params> {
//!         Ok(global.add_scaled(0.5, &updates.mean()?))
//!     }
//! }
//! ```
//!
//! Every call gets a fresh instance: what must last goes through [`State`]. A plugin sees no file, no
//! network, no clock and no environment. Outside of WASM the same types are plain values in memory
//! (`native`), so a plugin's unit tests run with `cargo test` and need no sandbox. With the feature `native` they are
//! handles over the C ABI of `sdk/native/folkmoot_plugin.h`, and the same source becomes a shared library.

#![warn(missing_docs)]

mod algorithm;
mod block_kernel;
mod choices;
mod describe;
#[cfg(feature = "extract")]
pub mod extract;
pub mod judge;
mod metric;
mod params;
mod partitioner;
mod run;
pub mod split;
pub mod statistics;
pub mod text;

#[cfg(all(not(target_family = "wasm"), feature = "native"))]
#[doc(hidden)]
pub mod foreign;
#[cfg(all(not(target_family = "wasm"), not(feature = "native")))]
pub mod native;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wasm;

#[cfg(all(not(target_family = "wasm"), feature = "native"))]
use foreign as backend;
#[cfg(all(not(target_family = "wasm"), not(feature = "native")))]
use native as backend;
#[cfg(target_family = "wasm")]
use wasm::sdk::folkmoot::plugin as backend;

pub use algorithm::Algorithm;
pub use backend::data::Dataset;
pub use backend::evaluation::{Answers, Observations, Questions, Scores};
pub use backend::params::{
    Params, Writer, distances, gaussian, mean_near_median, median, pairwise_distances,
    trimmed_mean, weighted_sum,
};
pub use backend::run::{
    Client, Message, Objective, Round, State, Training, Update, Updates, log, report,
};
pub use block_kernel::BlockKernel;
pub use choices::{Variant, Weighting};
pub use describe::describe;

/// Nothing is exported where the types are values in memory.
#[cfg(not(all(not(target_family = "wasm"), feature = "native")))]
#[doc(hidden)]
#[macro_export]
macro_rules! export_native {
    ($export:ident, $plugin:ty) => {};
}

pub use metric::{ErrorOf, Example, Generation, Helper, Metric, ScoreInfo};
pub use partitioner::Partitioner;
/// The crate `rand`, in the version whose traits fit the generators of [`Round::rng`] and [`Dataset::rng`].
///
/// ```
/// use folkmoot_sdk::native::round;
/// use folkmoot_sdk::rand::RngExt;
///
/// let mut rng = round(1, 10).rng();
/// assert!(rng.random_range(0..6) < 6);
/// ```
pub use rand;
pub use rand_chacha::ChaCha8Rng;

/// A client's number, from 0.
pub type ClientId = u32;

/// What a plugin refuses, it refuses in words: lower case, no full stop, values in backticks.
pub type Result<T, E = String> = std::result::Result<T, E>;
