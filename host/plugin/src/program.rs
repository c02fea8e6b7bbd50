//! Runs generated Python programs in an interpreter that is WASM itself. A program gets a fresh instance with no
//! file, network, clock or environment, a deadline and a memory limit; nothing of it ever runs natively.
//!
//! The interpreter is CPython for WASI, preview 1, with its library in its own memory. Its main function returns
//! only after the last statement of a program did; `sys.exit`, `os._exit` and uncaught exceptions end it in
//! `proc_exit` instead. So success cannot be said by a program, only happen to it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Engine, InstancePre, Linker, Module, OptLevel, Store, Trap, UpdateDeadline,
};

use crate::code::{CodeCache, CodeError, start_clock, ticks};
use world::World;

mod error;
mod outcome;
mod stack;
mod system;
mod world;

pub use error::InterpreterError;

/// Bytes of stack of a running interpreter: CPython counts on 8 MiB, and stops recursion by itself below that.
const STACK: usize = 8 << 20;

/// Bytes of stack beside that, for the functions of the host.
const HOST_STACK: usize = 1 << 20;

/// What one program may use.
#[derive(Clone, Debug)]
pub struct ProgramLimits {
    /// Processor time, 10 s by default, of which the interpreter's start takes some 0.05 s; wall time where the
    /// system does not tell a thread's processor time. The interpreter takes about five times as long as a native one.
    pub time: Duration,
    /// Bytes of memory, 512 MiB by default, of which the interpreter itself takes 75 MiB, mostly stack.
    pub memory: usize,
    /// Bytes of what it writes to standard output and standard error together that are kept, 64 KiB by default.
    pub output: usize,
}

impl Default for ProgramLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            memory: 512 << 20,
            output: 64 << 10,
        }
    }
}

/// What became of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// Whether it came to its end: its last statement was left without an exception, and it did not exit. Tests in
    /// `source` run beside what they test, as HumanEval has it: this says nothing of code that tampers with them.
    pub succeeded: bool,
    /// What it wrote to standard output and standard error, in order; a last line says if it was cut.
    pub output: String,
    /// Why it did not succeed: the exception (`AssertionError: 1 is not 2`), `ran out of time (10 s)`,
    /// `ran out of memory (512 MiB)`, `exited with 3`, `exited with 0 before its end`, or a crash.
    pub failure: Option<String>,
}

/// An interpreter, compiled. It can be shared by threads, and runs one program per thread at a time.
pub struct Interpreter {
    engine: Engine,
    pre: InstancePre<World>,
}

impl Interpreter {
    /// Reads the interpreter at `path`: a program for WASI, preview 1, that is called like CPython and carries its
    /// library. Its code is compiled, which takes a while, unless the folder `cache`, of this user alone, has it.
    ///
    /// # Errors
    /// If the file cannot be read or is something else, or `cache` cannot be used.
    pub fn open(path: &Path, cache: &Path) -> Result<Self, InterpreterError> {
        let bytes = fs::read(path).map_err(|error| InterpreterError::Unreadable {
            path: path.to_owned(),
            cause: error.to_string(),
        })?;
        let bytes = stack::enlarged(&bytes).unwrap_or(bytes);
        let unusable = |cause: String| InterpreterError::NotAnInterpreter {
            path: path.to_owned(),
            cause,
        };
        let folder = |cause: String| InterpreterError::Cache {
            path: cache.to_owned(),
            cause,
        };
        let machine = |cause: String| InterpreterError::Machine { cause };
        let engine = Engine::new(&config()).map_err(|error| machine(format!("{error:#}")))?;
        start_clock(&engine).map_err(|error| machine(error.to_string()))?;
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let cache = CodeCache::new(cache).map_err(|error| folder(error.to_string()))?;
        let module: Module = cache
            .code(&engine, &digest, &bytes, |_| {})
            .map_err(|error| match error {
                CodeError::Bytes(cause) => unusable(cause),
                CodeError::Folder(cause) => folder(cause),
            })?;
        let mut linker = Linker::new(&engine);
        let linked = system::link(&mut linker, &module);
        if let Some(cause) = linked.map_err(|error| unusable(format!("{error:#}")))? {
            return Err(unusable(cause));
        }
        let pre = linker.instantiate_pre(&module);
        let pre = pre.map_err(|error| unusable(format!("{error:#}")))?;
        if module.get_export("_start").is_none() {
            return Err(unusable("it has no `_start`".into()));
        }
        Ok(Self { engine, pre })
    }

    /// Runs the program `source` as `python -c` does, in an instance of its own, on a thread of its own.
    ///
    /// Equal programs have equal outcomes, as far as they do not run out of time: the clock stands at the same time
    /// and moves by being looked at, sleep is over at once, random numbers and hashes have a fixed seed.
    ///
    /// # Errors
    /// If this machine has no thread or no memory for it; what is wrong with the program is an outcome.
    pub fn run(&self, source: &str, limits: &ProgramLimits) -> Result<Ran, InterpreterError> {
        if source.contains('\0') {
            // The command line would end there, and with it the program.
            return Ok(Ran {
                succeeded: false,
                output: String::new(),
                failure: Some("SyntaxError: source code string cannot contain null bytes".into()),
            });
        }
        let machine = |cause: String| InterpreterError::Machine { cause };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("program".into())
                .stack_size(STACK + HOST_STACK);
            let program = thread.spawn_scoped(scope, || self.run_here(source, limits));
            let program = program.map_err(|error| machine(error.to_string()))?;
            let outcome = program.join();
            outcome.unwrap_or_else(|_| Err(machine("the thread that runs it panicked".into())))
        })
    }

    fn run_here(&self, source: &str, limits: &ProgramLimits) -> Result<Ran, InterpreterError> {
        // Isolated: no variables, no user's packages. Without bytecode: there is nowhere to write it.
        let arguments = ["python", "-I", "-B", "-X", "utf8", "-c", source];
        let mut store = Store::new(&self.engine, World::new(&arguments, limits));
        store.limiter(|world| &mut world.limiter);
        store.set_epoch_deadline(ticks(limits.time));
        let (start, time) = (Instant::now(), limits.time);
        store.epoch_deadline_callback(move |_| match time.checked_sub(spent(start)) {
            Some(left) if !left.is_zero() => Ok(UpdateDeadline::Continue(ticks(left))),
            _ => Err(Trap::Interrupt.into()),
        });
        let instance = self.pre.instantiate(&mut store);
        let start = instance.and_then(|own| own.get_typed_func::<(), ()>(&mut store, "_start"));
        let end = match start {
            Ok(start) => start.call(&mut store, ()),
            // The limit is below what the interpreter begins with.
            Err(error) if store.data().limiter.refusal.is_some() => Err(error),
            Err(error) => {
                return Err(InterpreterError::Machine {
                    cause: format!("{error:#}"),
                });
            }
        };
        Ok(Ran::new(end, store.data(), limits))
    }
}

/// The processor time of this thread, which was started at `start`. A program neither waits nor reads, so this is
/// its time whatever else the machine does.
fn spent(start: Instant) -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|told| told.split(' ').next()?.parse().ok());
    told.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Deterministic code only, as for plugins. Unlike plugins, one module, and a stack as CPython has it.
fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // Not used, but wasmtime compares the two.
        .async_stack_size(STACK + HOST_STACK)
        // The library lies in the module's memory: mapped, a fresh instance copies only what it writes to.
        .memory_guaranteed_dense_image_size(64 << 20);
    config
}
