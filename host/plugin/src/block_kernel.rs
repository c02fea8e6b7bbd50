//! Algorithms in their second style: a pure function of a block, sharded over the cores.
//!
//! The coordinates are cut into ranges, which threads take as they are free; each range gets a fresh
//! instance (a native library has none) and passes through it block by block. Ranges and blocks depend on the sizes alone, so the
//! result does not depend on the number of threads.

use std::sync::Arc;

use folkmoot_params::{Params, Seed};
use rayon::prelude::*;
use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc};

use crate::call::{called, refused};
use crate::component::Indices;
use crate::host::Host;
use crate::native::abi::Hook;
use crate::native::datum::Datum;
use crate::sandbox::placed;
use crate::session::Found;
use crate::{Failure, Plugin, PluginError, Update};

/// Coordinates of a range: enough blocks to pay for an instance.
const RANGE: usize = 1 << 18;
/// Scalars of a block over all updates, and coordinates at most: what crosses the boundary at once should
/// stay in the processor's cache.
const BLOCK_SCALARS: usize = 1 << 18;
const BLOCK: usize = 1 << 14;

/// Settings, a block of each update, and their weights.
type Asked<'a> = (&'a str, &'a [&'a [f32]], &'a [f64]);
type Answered = Result<Vec<f32>, String>;

/// The kernel's function. Typed by hand: the generated call would copy every block once more.
struct Reduce(TypedFunc<Asked<'static>, (Answered,)>);

impl Found for Reduce {
    fn find(_: &Indices, store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Self> {
        let name = format!("folkmoot:plugin/block-kernel@{}", crate::bindings::CONTRACT);
        let interface = instance.get_export_index(&mut *store, None, &name);
        let function = instance.get_export_index(&mut *store, interface.as_ref(), "reduce");
        let function = function.and_then(|index| instance.get_func(&mut *store, index));
        let function = function.ok_or_else(|| wasmtime::Error::msg("no `reduce`"))?;
        Ok(Self(function.typed(&mut *store)?))
    }
}

/// global + the kernel's result over the updates; not yet checked.
pub(crate) fn aggregate(
    plugin: &Plugin,
    settings: &str,
    seed: Seed,
    global: &Params,
    updates: &[Arc<Update>],
) -> Result<Params, PluginError> {
    let bad = |cause: String| plugin.bad_output("reduce", cause);
    for update in updates {
        let same = global.check_same_structure(&update.delta);
        same.map_err(|error| bad(error.to_string()))?;
    }
    let deltas: Vec<&[f32]> = updates.iter().map(|update| update.delta.values()).collect();
    let total: f64 = updates
        .iter()
        .map(|update| update.client.examples as f64)
        .sum();
    let weights: Vec<f64> = updates
        .iter()
        .map(|update| update.client.examples as f64 / total)
        .collect();
    let block = (BLOCK_SCALARS / deltas.len().max(1)).clamp(1 << 10, BLOCK);
    let mut reduced = vec![0f32; global.count()];
    let ranges = reduced.par_chunks_mut(RANGE).enumerate();
    ranges.try_for_each(|(index, out)| {
        let kernel = Kernel {
            plugin,
            settings,
            seed,
            weights: &weights,
            block,
        };
        placed(index as u64, || kernel.range(&deltas, index * RANGE, out))
    })?;
    let reduced = global.with_values(reduced);
    let reduced = reduced.map_err(|error| bad(error.to_string()))?;
    global.add(&reduced).map_err(|error| bad(error.to_string()))
}

struct Kernel<'a> {
    plugin: &'a Plugin,
    settings: &'a str,
    seed: Seed,
    weights: &'a [f64],
    block: usize,
}

impl Kernel<'_> {
    /// Reduces the coordinates from `start` on, as many as `out` has, in one instance.
    fn range(&self, deltas: &[&[f32]], start: usize, out: &mut [f32]) -> Result<(), PluginError> {
        let plugin = self.plugin;
        let mut problem = None;
        let done = called(plugin, "reduce", self.seed, |session| {
            let kernel = session.exports::<Reduce>()?;
            for (index, out) in out.chunks_mut(self.block).enumerate() {
                let from = start + index * self.block;
                let blocks: Vec<&[f32]> = deltas
                    .iter()
                    .map(|delta| &delta[from..from + out.len()])
                    .collect();
                let host = session.host();
                host.copied_in(self.settings);
                host.copied_in(blocks.as_slice());
                host.copied_in(self.weights);
                let given = vec![
                    self.settings.into(),
                    Datum::List(blocks.iter().map(|&block| block.into()).collect()),
                    self.weights.into(),
                ];
                let answer: Answered =
                    session.call(&kernel, Hook::Reduce, given, |reduce, store| {
                        let asked: Asked = (self.settings, blocks.as_slice(), self.weights);
                        let (answer,) = reduce.0.call(store, asked)?;
                        Ok(answer)
                    })?;
                session.host().copied_out(&answer);
                match answer {
                    Ok(values) if values.len() == out.len() => out.copy_from_slice(&values),
                    Ok(values) => {
                        let cause =
                            format!("{} coordinates in a block of {}", values.len(), out.len());
                        problem = Some(Failure::BadOutput { cause });
                        break;
                    }
                    Err(message) => {
                        problem = Some(refused(&message));
                        break;
                    }
                }
            }
            Ok(())
        });
        done?;
        match problem {
            None => Ok(()),
            Some(failure) => Err(plugin.failed("reduce", failure)),
        }
    }
}
