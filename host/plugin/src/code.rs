//! What every engine needs: a clock that makes deadlines pass, and a cache of the code it compiled.

use std::fmt::Display;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// How often the clock ticks: the precision of a deadline.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks until a deadline that lies `time` ahead, at least one.
pub(crate) fn ticks(time: Duration) -> u64 {
    let ticks = time.as_millis() / TICK.as_millis();
    u64::try_from(ticks).unwrap_or(u64::MAX / 2) + 1
}

/// Starts the clock of `engine`, which ends with it.
pub(crate) fn start_clock(engine: &Engine) -> io::Result<()> {
    let weak = engine.weak();
    let clock = std::thread::Builder::new().name("plugin-clock".into());
    clock.spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}

/// A kind of code: a component, or a module.
pub(crate) trait Code: Sized {
    /// Compiles `bytes` for `engine`.
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>>;

    /// Maps what [`Code::compile`] made.
    ///
    /// # Safety
    /// The file was written by this program with what [`Code::compile`] made, and nobody else can change it.
    #[allow(unsafe_code, reason = "the only way to load compiled code")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self>;
}

impl Code for Component {
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_component(bytes)
    }

    #[allow(unsafe_code, reason = "the only way to load compiled code")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise is what wasmtime asks for.
        unsafe { Self::deserialize_file(engine, path) }
    }
}

impl Code for Module {
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_module(bytes)
    }

    #[allow(unsafe_code, reason = "the only way to load compiled code")]
    unsafe fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise is what wasmtime asks for.
        unsafe { Self::deserialize_file(engine, path) }
    }
}

/// What went wrong between bytes and code.
pub(crate) enum CodeError {
    /// The bytes are not what was asked for.
    Bytes(String),
    /// The folder cannot be used.
    Folder(String),
}

/// A folder of this user alone, with the code that was compiled.
#[derive(Clone)]
pub(crate) struct CodeCache {
    pub(crate) folder: PathBuf,
}

impl CodeCache {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Compiles `bytes`, or takes what an earlier run of the same engine compiled of the same bytes. `unusable`
    /// is told why an earlier run's code is not taken.
    pub(crate) fn code<T: Code>(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
        unusable: impl FnOnce(String),
    ) -> Result<T, CodeError> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name = format!("{digest}-{:016x}.cwasm", hasher.finish());
        let path = self.folder.join(name);
        if path.is_file() {
            // SAFETY: the file lies in a folder that only this user can write to, and was written below,
            // through a rename, from bytes with this very digest. Files of another engine or configuration
            // have another name, and wasmtime refuses them too.
            #[allow(unsafe_code, reason = "the only way to load compiled code")]
            match unsafe { T::map(engine, &path) } {
                Ok(code) => return Ok(code),
                Err(error) => unusable(format!(
                    "compiling again, `{}` is unusable: {error}",
                    path.display()
                )),
            }
        }
        let compiled = T::compile(engine, bytes);
        let compiled = compiled.map_err(|error| CodeError::Bytes(format!("{error:#}")))?;
        let write = || -> io::Result<()> {
            let mut part = tempfile::NamedTempFile::new_in(&self.folder)?;
            part.write_all(&compiled)?;
            part.persist(&path)?;
            Ok(())
        };
        let folder = |error: &dyn Display| CodeError::Folder(error.to_string());
        write().map_err(|error| folder(&error))?;
        // SAFETY: the file was written a moment ago with what this engine compiled.
        #[allow(unsafe_code, reason = "the only way to load compiled code")]
        let code = unsafe { T::map(engine, &path) };
        code.map_err(|error| folder(&error))
    }
}
