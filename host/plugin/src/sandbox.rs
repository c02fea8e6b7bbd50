//! The engine that runs every plugin, the clock that stops them, and the cache of compiled components.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, OptLevel, Store, Trap, UpdateDeadline};

use crate::bindings::Host_ as Contract;
use crate::host::Host;
use crate::limits::Limiter;
use crate::{Limits, PluginError};

/// How often the clock ticks: the precision of a deadline.
const TICK: Duration = Duration::from_millis(10);

/// Something a plugin said, or that is said of it.
#[derive(Clone, Debug)]
pub struct Note {
    pub plugin: String,
    pub call: &'static str,
    pub said: Said,
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
    cache: PathBuf,
}

impl Sandbox {
    /// A sandbox whose compiled components lie in `cache`, a folder of this user alone.
    pub fn new(limits: Limits, cache: &Path, listener: Listener) -> Result<Self, PluginError> {
        let engine = Engine::new(&config()).map_err(|error| cache_error(cache, &error))?;
        let mut linker = Linker::new(&engine);
        Contract::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)
            .map_err(|error| cache_error(cache, &error))?;
        private_folder(cache).map_err(|error| cache_error(cache, &error))?;
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || {
                // Ends with the engine.
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| cache_error(cache, &error))?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            limits,
            listener,
            cache: cache.to_owned(),
        })
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
        let ticks = self.limits.time.as_millis() / TICK.as_millis();
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2) + 1);
        // The host's arithmetic has a limit of its own: its time is given back to the plugin.
        store.epoch_deadline_callback(|mut store| {
            let spent = std::mem::take(&mut store.data_mut().spent);
            match (spent.as_millis() / TICK.as_millis()) as u64 {
                0 => Err(Trap::Interrupt.into()),
                ticks => Ok(UpdateDeadline::Continue(ticks)),
            }
        });
        store.set_hostcall_fuel(self.limits.transfer);
        store
    }

    pub(crate) fn limiter(&self) -> Limiter {
        Limiter::new(self.limits.memory)
    }

    /// Compiles `bytes`, or takes what an earlier run of the same engine compiled of the same bytes.
    pub(crate) fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Component, CompileError> {
        let mut hasher = DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        let path = self
            .cache
            .join(format!("{digest}-{:016x}.cwasm", hasher.finish()));
        if path.is_file() {
            // SAFETY: the file lies in a folder that only this user can write to, and was written by
            // the branch below, through a rename, from a component with this very digest. Files of
            // another engine or configuration have another name, and wasmtime refuses them too.
            #[allow(unsafe_code, reason = "the only way to load compiled code")]
            match unsafe { Component::deserialize_file(&self.engine, &path) } {
                Ok(component) => return Ok(component),
                Err(error) => (self.listener)(Note {
                    plugin: digest.into(),
                    call: "load",
                    said: Said::Log {
                        level: "warn".into(),
                        message: format!(
                            "compiling again, `{}` is unusable: {error}",
                            path.display()
                        ),
                    },
                }),
            }
        }
        let compiled = self.engine.precompile_component(bytes);
        let compiled = compiled.map_err(|error| CompileError::Component(format!("{error:#}")))?;
        let write = || -> std::io::Result<()> {
            let mut part = tempfile::NamedTempFile::new_in(&self.cache)?;
            part.write_all(&compiled)?;
            part.persist(&path)?;
            Ok(())
        };
        write().map_err(|error| CompileError::Cache(cache_error(&self.cache, &error)))?;
        // SAFETY: these bytes were made by `precompile_component` of this engine a moment ago.
        #[allow(unsafe_code, reason = "the only way to load compiled code")]
        let component = unsafe { Component::deserialize(&self.engine, &compiled) };
        component.map_err(|error| CompileError::Component(format!("{error:#}")))
    }
}

pub(crate) enum CompileError {
    Component(String),
    Cache(PluginError),
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
        .max_wasm_stack(1 << 20);
    config
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn cache_error(path: &Path, cause: &dyn std::fmt::Display) -> PluginError {
    PluginError::Cache {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}
