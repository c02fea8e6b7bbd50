//! What passes between the server and its clients: tasks out, answers in, blobs by digest.
//!
//! Knows nothing of training or plugins: what a task means is the caller's. [`InProcess`] is the form
//! that needs nothing else; a form between machines implements the same trait.

mod blobs;
mod in_process;

pub use blobs::{Blobs, Digest, write_whole};
pub use in_process::InProcess;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Work for one client in one round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Task {
    pub round: u32,
    pub client: u32,
    /// Blobs it needs, by role.
    pub inputs: BTreeMap<String, Digest>,
}

/// A task that a worker holds for a while; after that it may be given to another.
#[derive(Clone, PartialEq, Debug)]
pub struct Lease {
    pub task: Task,
    /// How often it has been given out, this time included.
    pub attempt: u32,
}

/// What a client answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub round: u32,
    pub client: u32,
    /// Blobs it made, by role.
    pub outputs: BTreeMap<String, Digest>,
    /// Figures of its work.
    pub figures: BTreeMap<String, f64>,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Submission {
    Accepted,
    /// An answer to this task was there already; this one is dropped.
    Duplicate,
}

/// The exchange between a server and its clients. All methods may be called from any thread.
pub trait Federation: Send + Sync {
    /// Keeps bytes; equal bytes have one digest and are kept once.
    fn put(&self, bytes: &[u8]) -> Result<Digest>;
    /// Gives bytes back, checked against their digest.
    fn get(&self, digest: &Digest) -> Result<Vec<u8>>;
    /// A local file of those bytes, checked likewise, which stays as it is until it is removed: what is
    /// large is mapped, not read.
    fn file(&self, digest: &Digest) -> Result<PathBuf>;
    /// Offers a task of the present round to the clients.
    fn publish(&self, task: Task) -> Result<()>;
    /// The next open task, held under a lease; none if no task is open now.
    fn take(&self) -> Result<Option<Lease>>;
    /// Answers a task.
    fn submit(&self, answer: Answer) -> Result<Submission>;
    /// The answers of the present round so far, in ascending client id.
    fn answers(&self) -> Result<Vec<Answer>>;
    /// Closes round `from` and opens `to`: refused if the present round is not `from`.
    fn advance(&self, from: u32, to: u32) -> Result<()>;
}
