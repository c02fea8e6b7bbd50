//! From an experiment to a run and its record: resolve everything, then rounds.

mod aggregate;
mod checkpoint;
mod clients;
mod estimate;
mod evaluate;
mod experiment;
mod model;
mod overrides;
mod parcel;
mod record;
mod resolve;
mod rows;
mod run;
mod source;
mod updates;
mod view;
mod workers;

pub use aggregate::{Aggregated, Aggregation, UpdateFile, aggregate};
pub use estimate::Estimate;
pub use evaluate::{Evaluator, Scores};
pub use experiment::{Attack, BadUpdate, Document, Experiment};
pub use folkmoot_data::{Progress, Template};
pub use folkmoot_params::Seed;
pub use folkmoot_train::{Compute, DType, Form, Place, Quantize, Sampling, keep_freed_memory};
pub use model::{Generation, Model};
pub use overrides::{Overrides, settings};
pub use record::{Record, Row};
pub use resolve::{Places, Setup, resolve};
pub use rows::Rows;
pub use run::{Event, Notes, Outcome, run};
pub use source::{Choice, Source};
pub use workers::Workers;
