//! The engine that runs every plugin, and the limits of its calls.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, OptLevel, Store, Trap, UpdateDeadline};

use crate::anatomy;
use crate::bindings::folkmoot::plugin::{data, evaluation, params, run};
use crate::code::{CodeCache, CodeError, TICK, start_clock, ticks};
use crate::host::Host;
use crate::limits::Limiter;
use crate::profile::{Profile, Profiler};
use crate::{Limits, PluginError};

/// Something a plugin said, or that is said of it.
#[derive(Clone, Debug)]
pub struct Note {
    pub plugin: String,
    pub call: &'static str,
    /// Which of the calls that run side by side says it ([`placed`]: a client, an example; else a block kernel's
    /// range); none where nothing runs beside it.
    pub place: Option<u64>,
    pub said: Said,
}

thread_local! {
    static PLACE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Does `work` for `place`: what plugins say meanwhile, on this thread, is marked with it.
pub fn placed<T>(place: u64, work: impl FnOnce() -> T) -> T {
    /// Put back whatever becomes of the work.
    struct Before(Option<u64>);

    impl Drop for Before {
        fn drop(&mut self) {
            PLACE.set(self.0);
        }
    }

    let _before = Before(PLACE.replace(Some(place)));
    work()
}

/// The place of what happens now on this thread.
pub(crate) fn place() -> Option<u64> {
    PLACE.get()
}

/// A line for the log, or a scalar for the record.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    Log { level: String, message: String },
    Report { name: String, value: f64 },
}

/// Where notes go.
pub type Listener = Arc<dyn Fn(Note) + Send + Sync>;

/// Runs plugins. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Arc<Linker<Host>>,
    pub(crate) limits: Limits,
    pub(crate) listener: Listener,
    pub(crate) profiler: Arc<Profiler>,
    cache: CodeCache,
}

impl Sandbox {
    /// A sandbox whose compiled components lie in `cache`, a folder of this user alone.
    pub fn new(limits: Limits, cache: &Path, listener: Listener) -> Result<Self, PluginError> {
        Self::on(&config(), limits, cache, listener)
    }

    /// A sandbox that holds nothing back: no deadline, and NaN with whatever bits. Only to measure what these cost.
    #[doc(hidden)]
    pub fn unguarded(
        limits: Limits,
        cache: &Path,
        listener: Listener,
    ) -> Result<Self, PluginError> {
        let mut config = config();
        config
            .epoch_interruption(false)
            .cranelift_nan_canonicalization(false);
        Self::on(&config, limits, cache, listener)
    }

    fn on(
        config: &Config,
        limits: Limits,
        cache: &Path,
        listener: Listener,
    ) -> Result<Self, PluginError> {
        let engine = Engine::new(config).map_err(|error| cache_error(cache, &error))?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|error| cache_error(cache, &error))?;
        let code = CodeCache::new(cache).map_err(|error| cache_error(cache, &error))?;
        start_clock(&engine).map_err(|error| cache_error(cache, &error))?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            limits,
            listener,
            profiler: Arc::new(Profiler::new()),
            cache: code,
        })
    }

    /// What plugins cost so far, in this sandbox and its clones.
    pub fn profile(&self) -> Profile {
        self.profiler.profile()
    }

    /// The same sandbox with other limits.
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    pub(crate) fn store(&self, host: Host) -> Store<Host> {
        let mut store = Store::new(&self.engine, host);
        store.limiter(|host| &mut host.limiter);
        store.set_epoch_deadline(ticks(self.limits.time));
        // The host's arithmetic has a limit of its own: its time is given back to the plugin.
        store.epoch_deadline_callback(|mut store| {
            let spent = std::mem::take(&mut store.data_mut().spent);
            match (spent.as_millis() / TICK.as_millis()) as u64 {
                0 => Err(Trap::Interrupt.into()),
                ticks => Ok(UpdateDeadline::Continue(ticks)),
            }
        });
        store.set_hostcall_fuel(self.limits.transfer);
        // Those of the host are counted by its own table, and the plugin may define resources of its own.
        store.set_max_component_handles(self.limits.handles.saturating_mul(2));
        store
    }

    /// A folder of this user alone.
    pub(crate) fn folder(&self) -> &Path {
        &self.cache.folder
    }

    pub(crate) fn limiter(&self) -> Limiter {
        Limiter::new(self.limits.memory)
    }

    /// Compiles `bytes`, or takes what an earlier run of the same engine compiled of the same bytes.
    pub(crate) fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Component, CompileError> {
        anatomy::check(bytes, &self.limits).map_err(CompileError::Component)?;
        let unusable = |message| {
            (self.listener)(Note {
                plugin: digest.into(),
                call: "load",
                place: place(),
                said: Said::Log {
                    level: "warn".into(),
                    message,
                },
            });
        };
        let code = self.cache.code(&self.engine, digest, bytes, unusable);
        code.map_err(|error| match error {
            CodeError::Bytes(cause) => CompileError::Component(cause),
            CodeError::Folder(cause) => {
                CompileError::Cache(cache_error(&self.cache.folder, &cause))
            }
        })
    }
}

pub(crate) enum CompileError {
    Component(String),
    Cache(PluginError),
}

/// What plugins may import. A call of the host looks its state up, which is where it is counted.
fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    params::add_to_linker::<_, HasSelf<_>>(linker, |host: &mut Host| {
        host.usage.host_calls.params += 1;
        host
    })?;
    run::add_to_linker::<_, HasSelf<_>>(linker, |host: &mut Host| {
        host.usage.host_calls.run += 1;
        host
    })?;
    data::add_to_linker::<_, HasSelf<_>>(linker, |host: &mut Host| {
        host.usage.host_calls.data += 1;
        host
    })?;
    evaluation::add_to_linker::<_, HasSelf<_>>(linker, |host: &mut Host| {
        host.usage.host_calls.evaluation += 1;
        host
    })
}

/// Deterministic code only: NaN is canonical, relaxed SIMD is refused.
fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(1 << 20)
        // Else a memory with a byte at each end has an image of all that lies between.
        .memory_guaranteed_dense_image_size(0);
    config
}

fn cache_error(path: &Path, cause: &dyn std::fmt::Display) -> PluginError {
    PluginError::Cache {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_ends_with_its_work() {
        assert_eq!(place(), None);
        placed(1, || {
            assert_eq!(placed(2, place), Some(2));
            assert_eq!(place(), Some(1));
        });
        assert_eq!(place(), None);
    }
}
