//! What a plugin finds on the host's side of the contract during one call.

#![allow(
    unreachable_pub,
    reason = "the generated bindings re-export these types"
)]

pub(crate) mod data;
pub(crate) mod evaluation;
pub(crate) mod params;
pub(crate) mod run;

use std::fmt;

use folkmoot_params::{Params, ParamsError, Seed};
use wasmtime::component::{Resource, ResourceTable};

use crate::limits::{Limiter, Refusal};
use crate::sandbox::{Listener, Note, Said, Sandbox};

/// Longest log line, in bytes.
const LINE: usize = 1024;

/// The state of one call.
pub(crate) struct Host {
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) seed: Seed,
    pub(crate) said: Vec<Said>,
    params_bytes: usize,
    params_limit: usize,
    log_lines: usize,
    plugin: String,
    call: &'static str,
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

/// The error that ends a call with this message.
pub(crate) fn refuse(message: impl Into<String>) -> wasmtime::Error {
    wasmtime::Error::new(HostRefusal(message.into()))
}

pub(crate) fn refuse_params(operation: &str) -> impl FnOnce(ParamsError) -> wasmtime::Error + '_ {
    move |error| refuse(format!("`params.{operation}`: {error}"))
}

impl Host {
    pub(crate) fn new(sandbox: &Sandbox, plugin: &str, call: &'static str, seed: Seed) -> Self {
        Self {
            table: ResourceTable::new(),
            limiter: sandbox.limiter(),
            seed,
            said: Vec::new(),
            params_bytes: 0,
            params_limit: sandbox.limits.params,
            log_lines: sandbox.limits.log_lines,
            plugin: plugin.to_owned(),
            call,
            listener: sandbox.listener.clone(),
        }
    }

    /// Hands parameters to the plugin, against its quota.
    pub(crate) fn give(&mut self, params: Params) -> wasmtime::Result<Resource<Params>> {
        self.reserve(params.count() * 4)?;
        Ok(self.table.push(params)?)
    }

    pub(crate) fn reserve(&mut self, bytes: usize) -> wasmtime::Result<()> {
        let asked = self.params_bytes + bytes;
        if asked > self.params_limit {
            let (of, limit) = ("parameters", self.params_limit);
            self.limiter.refusal = Some(Refusal { of, asked, limit });
            return Err(refuse("quota of parameters exceeded"));
        }
        self.params_bytes = asked;
        Ok(())
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.params_bytes = self.params_bytes.saturating_sub(bytes);
    }

    /// Takes a note, within the limits of its length and their number.
    pub(crate) fn note(&mut self, said: Said) {
        let said = match said {
            Said::Log { level, mut message } => {
                let mut end = LINE.min(message.len());
                while !message.is_char_boundary(end) {
                    end -= 1;
                }
                message.truncate(end);
                Said::Log { level, message }
            }
            report => report,
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
            said: said.clone(),
        });
        self.said.push(said);
    }
}
