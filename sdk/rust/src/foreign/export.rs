//! What a native plugin exports: the hooks of each trait by their numbers. Wrappers forward, and only forward.

use std::borrow::Cow;
use std::ffi::CStr;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::abi::{Hook, Host, Interface, Value};
use super::datum::{Datum, Taken};
use crate::describe::kinds;
use crate::{
    Algorithm, Answers, BlockKernel, Client, Dataset, Example, Message, Metric, Objective,
    Observations, Params, Partitioner, Questions, Result, Round, Scores, State, Training, Updates,
};

/// The version of the contract.
pub const CONTRACT: &CStr = c"0.1.0";

/// A plugin behind the C ABI.
pub trait Exported {
    const INTERFACE: Interface;

    /// Does `hook`; none: this interface has no such hook.
    fn hook(hook: Hook, given: &mut Given) -> Option<Result<Datum<'static>>>;
}

/// `folkmoot_call` of a plugin.
///
/// # Safety
/// As the header says.
#[allow(unsafe_code, reason = "the C ABI")]
pub unsafe fn call<E: Exported>(
    host: *const Host,
    hook: u32,
    arguments: (*const Value, usize),
    result: *mut Value,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe {
        super::answer(host, arguments, result, |data| {
            let done = Hook::of(hook).and_then(|hook| {
                let arguments = data.into_iter();
                E::hook(hook, &mut Given { hook, arguments })
            });
            done.unwrap_or_else(|| panic!("{:?} has no hook {hook}", E::INTERFACE))
        })
    }
}

/// The arguments of a hook, in order.
pub struct Given<'a> {
    hook: Hook,
    arguments: std::vec::IntoIter<Datum<'a>>,
}

impl<'a> Given<'a> {
    fn next<T>(&mut self, read: impl FnOnce(Datum<'a>) -> Result<T>) -> T {
        let argument = self
            .arguments
            .next()
            .ok_or_else(|| "an argument is missing".to_owned());
        match argument.and_then(read) {
            Ok(argument) => argument,
            Err(cause) => panic!("{:?}: {cause}", self.hook),
        }
    }

    fn text(&mut self) -> Cow<'a, str> {
        self.next(|datum| match datum {
            Datum::Text(text) => Ok(text),
            other => Err(format!("a text is wanted where {:?} is given", other.tag())),
        })
    }

    /// The plugin, made of its settings.
    fn plugin<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_str(&self.text()).map_err(|error| format!("settings: {error}"))
    }
}

/// What a hook answers as a value.
fn datum<T: Into<Datum<'static>>>(answer: T) -> Datum<'static> {
    answer.into()
}

pub struct AlgorithmExport<T>(PhantomData<T>);
pub struct BlockKernelExport<T>(PhantomData<T>);
pub struct PartitionerExport<T>(PhantomData<T>);
pub struct MetricExport<T>(PhantomData<T>);

impl<T: Algorithm> AlgorithmExport<T> {
    fn answer(hook: Hook, given: &mut Given) -> Result<Datum<'static>> {
        let plugin: T = given.plugin()?;
        if hook == Hook::Start {
            let (global, state) = (given.next(Params::lent), given.next(State::lent));
            return plugin.start(&global, &state).map(datum);
        }
        let round = given.next(Round::lent);
        match hook {
            Hook::Sample => {
                let clients: Vec<Client> = given.next(Taken::taken);
                let count = given.next(u32::taken);
                let state = given.next(State::lent);
                plugin.sample(&round, &clients, count, &state).map(datum)
            }
            Hook::Configure => {
                let (client, state) = (given.next(Client::lent), given.next(State::lent));
                let to = given.next(Message::lent);
                plugin.configure(&round, &client, &state, &to).map(datum)
            }
            Hook::Begin => {
                let (global, received) = (given.next(Params::lent), given.next(Message::lent));
                let (state, objective) = (given.next(State::lent), given.next(Objective::lent));
                let begun = plugin.begin(&round, &global, &received, &state, &objective);
                begun.map(datum)
            }
            Hook::Finish => {
                let (training, received) = (given.next(Training::lent), given.next(Message::lent));
                let (state, to) = (given.next(State::lent), given.next(Message::lent));
                let finished = plugin.finish(&round, &training, &received, &state, &to);
                finished.map(datum)
            }
            _ => {
                let (global, updates) = (given.next(Params::lent), given.next(Updates::lent));
                let state = given.next(State::lent);
                plugin
                    .aggregate(&round, &global, &updates, &state)
                    .map(datum)
            }
        }
    }
}

impl<T: Algorithm> Exported for AlgorithmExport<T> {
    const INTERFACE: Interface = Interface::Algorithm;

    fn hook(hook: Hook, given: &mut Given) -> Option<Result<Datum<'static>>> {
        match hook {
            Hook::Describe => Some(Ok(kinds::algorithm::<T>().into())),
            Hook::Start
            | Hook::Sample
            | Hook::Configure
            | Hook::Begin
            | Hook::Finish
            | Hook::Aggregate => Some(Self::answer(hook, given)),
            _ => None,
        }
    }
}

impl<T: BlockKernel> Exported for BlockKernelExport<T> {
    const INTERFACE: Interface = Interface::BlockKernel;

    fn hook(hook: Hook, given: &mut Given) -> Option<Result<Datum<'static>>> {
        match hook {
            Hook::Describe => Some(Ok(kinds::block_kernel::<T>().into())),
            Hook::Reduce => Some(given.plugin::<T>().and_then(|plugin| {
                let deltas: Vec<Vec<f32>> = given.next(Taken::taken);
                let weights: Vec<f64> = given.next(Taken::taken);
                plugin.reduce(&deltas, &weights).map(datum)
            })),
            _ => None,
        }
    }
}

impl<T: Partitioner> Exported for PartitionerExport<T> {
    const INTERFACE: Interface = Interface::Partitioner;

    fn hook(hook: Hook, given: &mut Given) -> Option<Result<Datum<'static>>> {
        match hook {
            Hook::Describe => Some(Ok(kinds::partitioner::<T>().into())),
            Hook::Partition => Some(given.plugin::<T>().and_then(|plugin| {
                let (data, clients) = (given.next(Dataset::lent), given.next(u32::taken));
                plugin.partition(&data, clients).map(datum)
            })),
            _ => None,
        }
    }
}

impl<T: Metric> MetricExport<T> {
    fn answer(hook: Hook, given: &mut Given) -> Result<Datum<'static>> {
        let plugin: T = given.plugin()?;
        if hook == Hook::Summarize {
            let observations = given.next(Observations::lent);
            let scores = given.next(Scores::lent);
            return plugin.summarize(&observations, &scores).map(datum);
        }
        let example = Example::from_json(&given.text())?;
        let answers = given.next(Answers::lent);
        match hook {
            Hook::Ask => {
                let questions = given.next(Questions::lent);
                plugin.ask(&example, &answers, &questions).map(datum)
            }
            _ => {
                let observations = given.next(Observations::lent);
                plugin.observe(&example, &answers, &observations).map(datum)
            }
        }
    }
}

impl<T: Metric> Exported for MetricExport<T> {
    const INTERFACE: Interface = Interface::Metric;

    fn hook(hook: Hook, given: &mut Given) -> Option<Result<Datum<'static>>> {
        match hook {
            Hook::Describe => Some(Ok(kinds::metric::<T>().into())),
            Hook::Ask | Hook::Observe | Hook::Summarize => Some(Self::answer(hook, given)),
            _ => None,
        }
    }
}
