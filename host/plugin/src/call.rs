//! One call: a fresh store and instance, or a native library, and the one place that explains what went wrong.

use std::time::Instant;

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use crate::component::Code;
use crate::host::{Host, HostRefusal, plain};
use crate::limits::{PARAMETERS, Refusal};
use crate::sandbox::Said;
use crate::session::Session;
use crate::{Failure, Limits, Plugin, PluginError};

use folkmoot_params::Seed;

/// Bytes of what a plugin says of its failure.
const MESSAGE: usize = 4096;

/// An answer, and the host that still holds the resources the call worked on.
pub(crate) struct Called<T> {
    pub(crate) answer: T,
    pub(crate) host: Host,
}

/// Calls `plugin`, in an instance of its own if it is sandboxed. `seed` is what its randomness comes from.
pub(crate) fn called<T>(
    plugin: &Plugin,
    call: &'static str,
    seed: Seed,
    run: impl FnOnce(&mut Session) -> wasmtime::Result<T>,
) -> Result<Called<T>, PluginError> {
    let sandbox = &plugin.sandbox;
    let mut host = Host::new(sandbox, &plugin.name, call, seed);
    let (answer, host) = match &plugin.code {
        Code::Component { pre, indices } => {
            let mut store = sandbox.store(host);
            let started = Instant::now();
            let instance = pre.instantiate(&mut store);
            store.data_mut().usage.instantiating_seconds = started.elapsed().as_secs_f64();
            let answer = instance.and_then(|instance| {
                run(&mut Session::Sandboxed {
                    store: &mut store,
                    instance,
                    indices,
                })
            });
            (answer, store.into_data())
        }
        Code::Native(library) => {
            let answer = run(&mut Session::Native {
                library,
                host: &mut host,
            });
            (answer, host)
        }
    };
    match answer {
        Ok(answer) => Ok(Called { answer, host }),
        Err(error) => Err(plugin.failed(call, explain(&error, &host, &sandbox.limits))),
    }
}

/// A call whose answer may be the plugin's own refusal.
pub(crate) fn called_fallibly<T>(
    plugin: &Plugin,
    call: &'static str,
    seed: Seed,
    run: impl FnOnce(&mut Session) -> wasmtime::Result<Result<T, String>>,
) -> Result<Called<T>, PluginError> {
    let Called { answer, host } = called(plugin, call, seed, run)?;
    match answer {
        Ok(answer) => Ok(Called { answer, host }),
        Err(message) => Err(plugin.failed(call, refused(&message))),
    }
}

/// The plugin's own refusal, as it may be shown.
pub(crate) fn refused(message: &str) -> Failure {
    let message = plain(message, MESSAGE);
    Failure::Refused { message }
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
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Failure::OutOfHandles {
            limit: limits.handles,
        };
    }
    let host_refusal = error.downcast_ref::<HostRefusal>();
    // Where the host said no, that ended the call: an interpreter may have survived a refusal of memory before.
    let ended_it = |own: &Refusal| host_refusal.is_none() || own.of == PARAMETERS;
    if let Some(refusal) = host.limiter.refusal.filter(ended_it) {
        return Failure::OutOfMemory {
            of: refusal.of,
            asked: refusal.asked,
            limit: refusal.limit,
        };
    }
    if let Some(HostRefusal(cause)) = host_refusal {
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
