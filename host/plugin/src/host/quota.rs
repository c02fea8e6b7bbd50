//! What a call may leave in states and messages, and in what it states of an objective.

use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_params::{Objective, Params};
use wasmtime::Result;

use super::run::{Message, State, Update};
use super::{Host, refuse};
use crate::{Failure, Limits};

/// Bytes of a glob: tensors have names of about 80.
const GLOB: usize = 1024;
/// Terms of an objective: each costs a pass over the parameters in every step.
const TERMS: usize = 64;
/// Globs of an objective.
const GLOBS: usize = 1 << 12;

/// A message that a plugin finds or makes. That of an update is shared with it until it is changed.
pub enum Letter {
    Own(Message),
    Of(Arc<Update>),
}

impl Letter {
    pub(crate) fn read(&self) -> &Message {
        match self {
            Self::Own(message) => message,
            Self::Of(update) => &update.message,
        }
    }

    /// The message, as one of its own.
    pub(crate) fn write(&mut self) -> &mut Message {
        if let Self::Of(update) = self {
            *self = Self::Own(update.message.clone());
        }
        match self {
            Self::Own(message) => message,
            Self::Of(_) => unreachable!("it was made one of its own"),
        }
    }

    pub(crate) fn into_message(self) -> Message {
        match self {
            Self::Own(message) => message,
            Self::Of(update) => update.message.clone(),
        }
    }

    /// Bytes that a change would copy.
    pub(crate) fn copied(&self) -> usize {
        match self {
            Self::Own(_) => 0,
            Self::Of(update) => {
                let own = &update.message;
                let names = own.params.len() + own.scalars.len() + own.bytes.len();
                64 * names + own.bytes.values().map(Vec::len).sum::<usize>()
            }
        }
    }
}

impl Message {
    /// Refuses a message of more than may be sent.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Failure> {
        let names = self.params.len() + self.scalars.len() + self.bytes.len();
        check("a message", names, &self.params, &self.bytes, limits)
    }
}

impl State {
    /// Refuses a state of more than may be kept, whichever calls it comes from.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Failure> {
        let names = self.params.len() + self.bytes.len();
        check("a state", names, &self.params, &self.bytes, limits)
    }
}

fn check(
    what: &'static str,
    names: usize,
    params: &BTreeMap<String, Params>,
    bytes: &BTreeMap<String, Vec<u8>>,
    limits: &Limits,
) -> Result<(), Failure> {
    if names > limits.entries {
        let most = limits.entries;
        return Err(Failure::BadOutput {
            cause: format!("{what} of {names} names, where there may be {most}"),
        });
    }
    let out_of = |asked, limit| match asked > limit {
        true => Err(Failure::OutOfMemory {
            of: what,
            asked,
            limit,
        }),
        false => Ok(()),
    };
    let own = bytes.iter().map(|(name, own)| name.len() + own.len());
    out_of(own.sum(), limits.retained)?;
    let counts = params.values().map(|own| own.count().saturating_mul(4));
    out_of(counts.fold(0, usize::saturating_add), limits.state)
}

/// Refuses a glob that no name of a tensor needs.
pub(crate) fn check_glob(method: &str, glob: &str) -> Result<()> {
    match glob.len() <= GLOB {
        true => Ok(()),
        false => Err(refuse(format!(
            "`{method}`: a glob of {} bytes, where there may be {GLOB}",
            glob.len()
        ))),
    }
}

/// Refuses an objective of more terms or globs than a training may have.
pub(crate) fn check_objective(objective: &Objective) -> Result<()> {
    let terms = objective.proximal.len() + objective.linear.len() + objective.correct.len();
    let globs = objective.freeze.len() + objective.freeze_during.len() + objective.keep.len();
    match (terms <= TERMS, globs <= GLOBS) {
        (true, true) => Ok(()),
        (false, _) => Err(refuse(format!("`objective`: more than {TERMS} terms"))),
        (_, false) => Err(refuse(format!("`objective`: more than {GLOBS} globs"))),
    }
}

impl Host {
    /// Refuses numbers of an objective that are no quantities.
    pub(crate) fn quantity(method: &str, name: &str, value: f64) -> Result<()> {
        match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(refuse(format!("`objective.{method}`: `{name}` is {value}"))),
        }
    }
}
