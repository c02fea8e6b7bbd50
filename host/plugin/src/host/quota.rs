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
                64 * own.names() + own.retained()
            }
        }
    }
}

impl Message {
    /// Refuses a message of more than may be sent.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Failure> {
        let (names, retained) = (self.names(), self.retained());
        check("a message", names, retained, &self.params, limits)
    }

    fn names(&self) -> usize {
        self.params.len() + self.scalars.len() + self.bytes.len()
    }

    /// Bytes beside parameters.
    fn retained(&self) -> usize {
        lengths(self.params.keys()) + lengths(self.scalars.keys()) + contents(&self.bytes)
    }
}

impl State {
    /// Refuses a state of more than may be kept, whichever calls it comes from.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Failure> {
        let names = self.params.len() + self.bytes.len();
        let retained = lengths(self.params.keys()) + contents(&self.bytes);
        check("a state", names, retained, &self.params, limits)
    }
}

fn lengths<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(String::len).sum()
}

/// Names included.
fn contents(bytes: &BTreeMap<String, Vec<u8>>) -> usize {
    lengths(bytes.keys()) + bytes.values().map(Vec::len).sum::<usize>()
}

fn check(
    what: &'static str,
    names: usize,
    retained: usize,
    params: &BTreeMap<String, Params>,
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
    out_of(retained, limits.retained)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    fn params() -> Params {
        Params::from_tensors([("w".to_owned(), vec![1], vec![0.0])]).unwrap()
    }

    /// Names are kept as well, whatever they name.
    #[test]
    fn names_are_counted() {
        let limits = Limits {
            retained: 100,
            ..Limits::default()
        };
        let long = |length: usize| "n".repeat(length);
        let checked = |own: Result<(), Failure>| own.map_err(|failure| failure.to_string());
        let out = |of: &str| {
            Err(format!(
                "out of memory: asked for 1 MiB of {of}, may have 0 MiB"
            ))
        };
        let state = |name: String, bytes: usize| State {
            params: BTreeMap::from([(name, params())]),
            bytes: BTreeMap::from([("b".to_owned(), vec![0; bytes])]),
        };
        assert_eq!(checked(state(long(59), 40).check(&limits)), Ok(()));
        assert_eq!(checked(state(long(60), 40).check(&limits)), out("a state"));
        let message = |params_name: usize, scalar: usize| Message {
            params: BTreeMap::from([(long(params_name), params())]),
            scalars: BTreeMap::from([(long(scalar), 0.0)]),
            ..Message::default()
        };
        assert_eq!(checked(message(50, 50).check(&limits)), Ok(()));
        assert_eq!(checked(message(51, 50).check(&limits)), out("a message"));
        assert_eq!(checked(message(50, 51).check(&limits)), out("a message"));
        let shared = |message: Message| {
            let update = Update {
                client: Client::default(),
                steps: 1,
                lr: 0.1,
                staleness: 0,
                delta: params(),
                message,
            };
            Letter::Of(Arc::new(update)).copied()
        };
        assert_eq!(shared(message(50, 51)), 2 * 64 + 101);
        let bytes = Message {
            bytes: BTreeMap::from([(long(7), vec![0; 3])]),
            ..Message::default()
        };
        assert_eq!(shared(bytes), 64 + 10);
    }
}
