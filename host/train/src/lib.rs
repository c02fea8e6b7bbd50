//! Local training and generation: decoders that differentiate, LoRA on a frozen base or all weights,
//! instruction tuning and preference optimisation.
//!
//! Knows no plugin, no file of the user's data and no round: it gets token ids, parameters and an
//! objective, and gives parameters and figures back. Results do not depend on the number of threads.

mod adapter;
mod architecture;
mod base;
mod decoder;
mod dropout;
mod forest;
mod head;
mod infer;
mod kernels;
mod layer;
mod memory;
mod merge;
mod nf4;
mod objective;
mod ops;
mod optimizer;
mod plain;
mod preference;
mod sampling;
mod schedule;
mod trainer;
mod weight;

pub use candle_core::DType;

pub use adapter::{Adapter, Learning, Projection};
pub use architecture::{Activation, Architecture, Family, Rope, Scaling};
pub use base::{Base, Compute, Form, Place, hashed_ids};
pub use decoder::{Batch, Learner, Loss, Step};
pub use infer::{Continuation, Decoding, Inference, Likelihood};
pub use memory::keep_freed_memory;
pub use merge::merge;
pub use optimizer::{Optimizer, OptimizerKind, clip};
pub use preference::{Pair, PairLoss, Preference};
pub use sampling::Sampling;
pub use schedule::{Decay, Schedule};
pub use trainer::{
    Accumulation, Drawn, Example, Rewards, Shard, Trained, Training, rewards, train,
};
pub use weight::Quantize;
