//! Finds, loads and calls plugins. A plugin runs in a sandbox that has no file system, network, clock
//! or environment; every call gets a fresh instance, a deadline and a memory limit.
//!
//! A native library ([`Library::allowing`]) has no sandbox; it is called through the same doors.
//!
//! This is the only crate that names wasmtime and libloading. Callers hold [`Algorithm`], [`Partitioner`] and
//! [`Metric`], hand over plain values and get plain values or a [`PluginError`] back.

mod algorithm;
mod anatomy;
mod bindings;
mod block_kernel;
mod call;
mod code;
mod component;
mod error;
mod host;
mod library;
mod limits;
mod metric;
mod native;
mod partitioner;
mod profile;
mod program;
mod sandbox;
mod schema;
mod session;
mod settings;

pub use algorithm::Algorithm;
pub use component::{Description, Kind, Plugin, ScoreInfo};
pub use error::{Failure, PluginError};
pub use host::data::View;
pub use host::evaluation::{ChatMessage, Generation, Observed, Prompt, Question, Reply, Score};
pub use host::run::{Client, Message, Round, State, Training, Update};
pub use library::{Embedded, Library};
pub use limits::Limits;
pub use metric::{Metric, Observations};
pub use native::NativeProblem;
pub use partitioner::Partitioner;
pub use profile::{Calls, HostCalls, Profile, Usage};
pub use program::{Interpreter, InterpreterError, ProgramLimits, Ran};
pub use sandbox::{Listener, Note, Said, Sandbox, placed};
pub use settings::Setting;
