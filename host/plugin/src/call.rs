//! One call: a fresh store and instance, and the one place that explains what went wrong.

use wasmtime::component::{Instance, ResourceTableError};
use wasmtime::{Store, Trap};

use crate::host::{Host, HostRefusal, plain};
use crate::sandbox::Said;
use crate::{Failure, Limits, Plugin, PluginError};

use folkmoot_params::Seed;

/// Bytes of what a plugin says of its failure.
const MESSAGE: usize = 4096;

/// An answer, and the store that still holds the resources the call worked on.
pub(crate) struct Called<T> {
    pub(crate) answer: T,
    pub(crate) store: Store<Host>,
}

/// Calls `plugin` in an instance of its own. `seed` is what its randomness comes from.
pub(crate) fn called<T>(
    plugin: &Plugin,
    call: &'static str,
    seed: Seed,
    run: impl FnOnce(&mut Store<Host>, &Instance) -> wasmtime::Result<T>,
) -> Result<Called<T>, PluginError> {
    let sandbox = &plugin.sandbox;
    let mut store = sandbox.store(Host::new(sandbox, &plugin.name, call, seed));
    let answer = plugin
        .pre
        .instantiate(&mut store)
        .and_then(|instance| run(&mut store, &instance));
    match answer {
        Ok(answer) => Ok(Called { answer, store }),
        Err(error) => Err(plugin.failed(call, explain(&error, store.data(), &sandbox.limits))),
    }
}

/// A call whose answer may be the plugin's own refusal.
pub(crate) fn called_fallibly<T>(
    plugin: &Plugin,
    call: &'static str,
    seed: Seed,
    run: impl FnOnce(&mut Store<Host>, &Instance) -> wasmtime::Result<Result<T, String>>,
) -> Result<Called<T>, PluginError> {
    let Called { answer, store } = called(plugin, call, seed, run)?;
    match answer {
        Ok(answer) => Ok(Called { answer, store }),
        Err(message) => {
            let message = plain(&message, MESSAGE);
            Err(plugin.failed(call, Failure::Refused { message }))
        }
    }
}

pub(crate) fn explain(error: &wasmtime::Error, host: &Host, limits: &Limits) -> Failure {
    let (seconds, arithmetic) = (limits.time.as_secs_f64(), limits.arithmetic.as_secs_f64());
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return Failure::OutOfTime { seconds };
    }
    if host.late {
        return Failure::OutOfTime {
            seconds: arithmetic,
        };
    }
    if host.exhausted {
        return Failure::OutOfOperations {
            limit: limits.operations,
        };
    }
    if let Some(refusal) = host.limiter.refusal {
        return Failure::OutOfMemory {
            of: refusal.of,
            asked: refusal.asked,
            limit: refusal.limit,
        };
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Failure::OutOfHandles {
            limit: limits.handles,
        };
    }
    if let Some(HostRefusal(cause)) = error.downcast_ref::<HostRefusal>() {
        return Failure::Trapped {
            cause: plain(cause, MESSAGE),
        };
    }
    let panicked = host.said.iter().rev().find_map(|said| match said {
        Said::Log { level, message } if level == "error" => Some(message.clone()),
        _ => None,
    });
    let cause = match panicked {
        Some(message) => message,
        None => match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        },
    };
    Failure::Trapped { cause }
}
