//! Local training and generation: a decoder that differentiates, LoRA on a frozen base, AdamW.
//!
//! Knows no plugin, no file of the user's data and no round: it gets token ids, parameters and an
//! objective, and gives parameters and figures back. Results do not depend on the number of threads.

mod adapter;
mod base;
mod config;
mod decoder;
mod infer;
mod kernels;
mod layer;
mod objective;
mod ops;
mod optimizer;
mod schedule;
mod trainer;

pub use adapter::{Adapter, Projection};
pub use base::Base;
pub use config::Architecture;
pub use decoder::{Loss, loss, loss_and_gradient};
pub use infer::{Continuation, Inference, Likelihood};
pub use optimizer::{AdamW, clip};
pub use schedule::cosine;
pub use trainer::{Example, Trained, Training, train};
