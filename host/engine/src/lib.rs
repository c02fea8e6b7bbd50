//! From an experiment to a run and its record: resolve everything, then rounds.

mod clients;
mod estimate;
mod evaluate;
mod experiment;
mod parcel;
mod record;
mod resolve;
mod run;
mod view;
mod workers;

pub use estimate::Estimate;
pub use evaluate::{Evaluator, Scores};
pub use experiment::{Document, Experiment, Overrides};
pub use record::{Record, Row};
pub use resolve::{Places, Setup, resolve};
pub use run::{Event, Notes, Outcome, run};
pub use workers::Workers;
