//! The contract as plain values in memory, for a plugin's unit tests outside of WASM.
//!
//! Written for clarity, not speed: a run always goes through the host's engine.
//!
//! ```
//! use folkmoot_sdk::native::{params, round, update, updates};
//!
//! let delta = |value| params(&[("w", &[1], &[value])]);
//! let updates = updates(vec![update(0, 3, delta(4.0)), update(1, 1, delta(0.0))]);
//! assert_eq!(updates.mean().unwrap().read(0, 1), [3.0]);
//! # let _ = round(1, 10);
//! ```

pub mod data;
pub mod evaluation;
pub mod params;
pub mod run;

pub use data::dataset;
pub use evaluation::{Reply, Score, answers, observations, questions, scores};
pub use params::params;
pub use run::{client, message, objective, round, state, training, update, updates};
