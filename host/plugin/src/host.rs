//! What a plugin finds on the host's side of the contract during one call.

#![allow(
    unreachable_pub,
    reason = "the generated bindings re-export these types"
)]

pub(crate) mod data;
pub(crate) mod evaluation;
pub(crate) mod params;
pub(crate) mod quota;
pub(crate) mod run;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use folkmoot_params::{Evaluator, Params, ParamsError, Seed};
use wasmtime::component::{Resource, ResourceTable};

use crate::limits::{Limiter, PARAMETERS, Refusal};
use crate::profile::{Copied, Profiler, Usage};
use crate::sandbox::{Listener, Note, Said, Sandbox, place};

/// Bytes that a tensor's name, shape and place take.
const TENSOR: usize = 256;

/// Longest log line, in bytes.
const LINE: usize = 1024;

/// The state of one call.
pub(crate) struct Host {
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) seed: Seed,
    pub(crate) said: Vec<Said>,
    /// Time that the host's arithmetic has taken since the plugin's own clock was last put right.
    pub(crate) spent: Duration,
    /// The arithmetic took longer than it may.
    pub(crate) late: bool,
    /// It asked for more operations than it may.
    pub(crate) exhausted: bool,
    /// What the call used so far, as far as it is not counted elsewhere here.
    pub(crate) usage: Usage,
    started: Instant,
    profiler: Arc<Profiler>,
    arithmetic: Duration,
    written: usize,
    /// Bytes of parameters that were there before and are kept under another name.
    kept: usize,
    params_limit: usize,
    retained_limit: usize,
    memory_limit: usize,
    operations: usize,
    operations_limit: usize,
    log_lines: usize,
    /// Bytes that it leaves beside parameters.
    retained: usize,
    /// Answers that it asked for.
    texts: usize,
    plugin: String,
    call: &'static str,
    place: Option<u64>,
    listener: Listener,
}

/// The host said no to a call of its interfaces; the message goes to the user as it is.
#[derive(Debug)]
pub(crate) struct HostRefusal(pub(crate) String);

impl fmt::Display for HostRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostRefusal {}

/// At most `most` bytes of a text, without characters that command a terminal.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let command = |c: char| c.is_control() && c != '\n' && c != '\t';
    let mut plain = text[..end].replace(command, "\u{fffd}");
    if end < text.len() {
        plain.push('…');
    }
    plain
}

/// The error that ends a call with this message.
pub(crate) fn refuse(message: impl Into<String>) -> wasmtime::Error {
    wasmtime::Error::new(HostRefusal(message.into()))
}

/// An error of an operation, which is not over time.
pub(crate) fn refuse_params(operation: &str) -> impl FnOnce(ParamsError) -> wasmtime::Error + '_ {
    move |error| refuse(format!("`params.{operation}`: {error}"))
}

impl Host {
    pub(crate) fn new(sandbox: &Sandbox, plugin: &str, call: &'static str, seed: Seed) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(sandbox.limits.handles);
        Self {
            table,
            limiter: sandbox.limiter(),
            seed,
            said: Vec::new(),
            spent: Duration::ZERO,
            late: false,
            exhausted: false,
            usage: Usage::default(),
            started: Instant::now(),
            profiler: sandbox.profiler.clone(),
            arithmetic: sandbox.limits.arithmetic,
            written: 0,
            kept: 0,
            params_limit: sandbox.limits.params,
            retained_limit: sandbox.limits.retained,
            memory_limit: sandbox.limits.memory,
            operations: 0,
            operations_limit: sandbox.limits.operations,
            log_lines: sandbox.limits.log_lines,
            retained: 0,
            texts: 0,
            plugin: plugin.to_owned(),
            call,
            place: place(),
            listener: sandbox.listener.clone(),
        }
    }

    /// Counts what is copied into the plugin.
    pub(crate) fn copied_in(&mut self, value: &(impl Copied + ?Sized)) {
        self.usage.bytes_in += value.bytes() as u64;
    }

    /// Counts what was copied out of the plugin.
    pub(crate) fn copied_out(&mut self, value: &(impl Copied + ?Sized)) {
        self.usage.bytes_out += value.bytes() as u64;
    }

    /// Answers a plugin's call with what is copied.
    pub(crate) fn answer<T: Copied>(&mut self, value: T) -> wasmtime::Result<T> {
        self.copied_in(&value);
        Ok(value)
    }

    /// Hands parameters to the plugin, evaluated or not.
    pub(crate) fn give(&mut self, params: Params) -> wasmtime::Result<Resource<Params>> {
        self.operate(1)?;
        Ok(self.table.push(params)?)
    }

    /// Counts operations; one over a list counts as many as the list has items, since each is recorded.
    pub(crate) fn operate(&mut self, operations: usize) -> wasmtime::Result<()> {
        self.operations = self.operations.saturating_add(operations);
        if self.operations > self.operations_limit {
            self.exhausted = true;
            return Err(refuse("quota of operations exceeded"));
        }
        Ok(())
    }

    /// Counts bytes that the host keeps of this call beside parameters.
    pub(crate) fn retain(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.retained = self.retained.saturating_add(bytes.saturating_add(64));
        if self.retained > self.retained_limit {
            return Err(refuse(format!(
                "a call may leave {} MiB with the host beside parameters, and this one leaves more",
                self.retained_limit >> 20
            )));
        }
        Ok(())
    }

    /// Counts the names of a structure that no other parameters have.
    pub(crate) fn retain_structure(&mut self, params: &Params) -> wasmtime::Result<()> {
        let structure = params.structure();
        match Arc::strong_count(structure) {
            1 => self.retain(structure.tensors().len() * TENSOR),
            _ => Ok(()),
        }
    }

    /// Counts parameters that the host will have to write for this call.
    pub(crate) fn reserve(&mut self, params: &Params) -> wasmtime::Result<()> {
        let bytes = params.count().saturating_mul(4);
        self.written = self.written.saturating_add(bytes);
        self.check_reserved()
    }

    /// Counts parameters that the plugin puts under a name. Those that are there already are not written now, but with
    /// every message and checkpoint that they are part of.
    pub(crate) fn reserve_kept(&mut self, params: &Params) -> wasmtime::Result<()> {
        if !params.is_evaluated() {
            return self.reserve(params);
        }
        let bytes = params.count().saturating_mul(4);
        self.kept = self.kept.saturating_add(bytes);
        self.check_reserved()
    }

    fn check_reserved(&mut self) -> wasmtime::Result<()> {
        let (of, limit) = (PARAMETERS, self.params_limit);
        let asked = self.written.saturating_add(self.kept);
        if asked > limit {
            self.limiter.refusal = Some(Refusal { of, asked, limit });
            return Err(refuse("quota of parameters exceeded"));
        }
        Ok(())
    }

    /// The same, for what is written only if it is not there yet.
    pub(crate) fn reserve_if_recorded(&mut self, params: &Params) -> wasmtime::Result<()> {
        match params.is_evaluated() {
            true => Ok(()),
            false => self.reserve(params),
        }
    }

    /// Refuses an answer that the plugin's memory has no room for, before it is made.
    pub(crate) fn has_room(&self, call: &str, bytes: u64) -> wasmtime::Result<()> {
        let most = self.memory_limit;
        match bytes <= most as u64 {
            true => Ok(()),
            false => Err(refuse(format!(
                "`{call}`: {bytes} bytes, where a plugin's memory may have {most}"
            ))),
        }
    }

    /// Does arithmetic on parameters, within its own limit of time.
    pub(crate) fn evaluate<T>(
        &mut self,
        operation: &str,
        work: impl FnOnce(&Evaluator) -> Result<T, ParamsError>,
    ) -> wasmtime::Result<T> {
        let started = Instant::now();
        let done = work(&Evaluator::until(started + self.arithmetic));
        let taken = started.elapsed();
        self.spent += taken;
        self.usage.arithmetic_seconds += taken.as_secs_f64();
        self.usage.evaluations += 1;
        self.arithmetic = self.arithmetic.saturating_sub(taken);
        self.late |= done.as_ref().err() == Some(&ParamsError::OutOfTime);
        done.map_err(refuse_params(operation))
    }

    /// Takes a note, within the limits of its length and their number.
    pub(crate) fn note(&mut self, said: Said) {
        let said = match said {
            Said::Log { level, message } => Said::Log {
                level,
                message: plain(&message, LINE),
            },
            Said::Report { name, value } => Said::Report {
                name: plain(&name, LINE),
                value,
            },
        };
        let said = match self.said.len().cmp(&self.log_lines) {
            std::cmp::Ordering::Less => said,
            std::cmp::Ordering::Equal => Said::Log {
                level: "warn".into(),
                message: format!(
                    "more than {} lines in one call: the rest is dropped",
                    self.log_lines
                ),
            },
            std::cmp::Ordering::Greater => return,
        };
        (self.listener)(Note {
            plugin: self.plugin.clone(),
            call: self.call,
            place: self.place,
            said: said.clone(),
        });
        self.said.push(said);
    }
}

/// A call is over when its store goes, whatever came of it.
impl Drop for Host {
    fn drop(&mut self) {
        let usage = Usage {
            seconds: self.started.elapsed().as_secs_f64(),
            operations: self.operations as u64,
            bytes_written: self.usage.bytes_written + self.written as u64,
            peak_memory: self.limiter.peak() as u64,
            notes: self.said.len() as u64,
            ..self.usage
        };
        let plugin = std::mem::take(&mut self.plugin);
        self.profiler.add(plugin, self.call, usage);
    }
}
