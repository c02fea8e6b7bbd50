//! What plugins cost: time, calls of the host, bytes and memory, by plugin and call.
//!
//! Always on: a call counts in its own [`Usage`], which is added up under one lock when the call is over.
//! A block kernel's call is one range of coordinates, so that its times are those of threads.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// What plugins cost since their sandbox was made.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Profile {
    /// Wall time since then.
    pub seconds: f64,
    /// In order of plugin and call.
    pub calls: Vec<Calls>,
}

/// All calls of one kind to one plugin.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Calls {
    pub plugin: String,
    /// As the contract names it.
    pub call: &'static str,
    /// How often it was called, in vain or not.
    pub count: u64,
    /// Wall time of the longest.
    pub slowest_seconds: f64,
    #[serde(flatten)]
    pub usage: Usage,
}

/// What one call used, or several together.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize)]
pub struct Usage {
    /// Wall time, from before the instance is made until the host has taken what the call left.
    pub seconds: f64,
    /// Of that: making the instance.
    pub instantiating_seconds: f64,
    /// Of that: the host's arithmetic on parameters.
    pub arithmetic_seconds: f64,
    pub host_calls: HostCalls,
    /// Handles of parameters given to the plugin, evaluated or recorded, and items of the lists that it hands over:
    /// what the limit of operations counts.
    pub operations: u64,
    /// Times that recorded operations were evaluated.
    pub evaluations: u64,
    /// Bytes of texts and lists that were copied into the plugin, and out of it.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Bytes of parameters that the host had to write.
    pub bytes_written: u64,
    /// Bytes of WASM memory, over all memories of the instance; of several calls the most.
    pub peak_memory: u64,
    /// Log lines and reports.
    pub notes: u64,
    /// What a metric asked.
    pub questions: u64,
}

/// Calls of the host by interface of the contract; giving a handle back is one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct HostCalls {
    pub params: u64,
    pub run: u64,
    pub data: u64,
    pub evaluation: u64,
}

impl HostCalls {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.params + self.run + self.data + self.evaluation
    }
}

impl Usage {
    /// Bytes copied over the boundary, in either direction.
    pub fn bytes_moved(&self) -> u64 {
        self.bytes_in + self.bytes_out
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.instantiating_seconds += other.instantiating_seconds;
        self.arithmetic_seconds += other.arithmetic_seconds;
        self.host_calls.params += other.host_calls.params;
        self.host_calls.run += other.host_calls.run;
        self.host_calls.data += other.host_calls.data;
        self.host_calls.evaluation += other.host_calls.evaluation;
        self.operations += other.operations;
        self.evaluations += other.evaluations;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.bytes_written += other.bytes_written;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.notes += other.notes;
        self.questions += other.questions;
    }
}

/// Adds up what calls used, of all clones of a sandbox.
pub(crate) struct Profiler {
    began: Instant,
    calls: Mutex<BTreeMap<(String, &'static str), Calls>>,
}

impl Profiler {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            calls: Mutex::default(),
        }
    }

    /// Takes note of one call that is over.
    pub(crate) fn add(&self, plugin: String, call: &'static str, usage: Usage) {
        // What a panicking thread leaves are sums that lack its call.
        let mut all = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry((plugin, call)).or_insert_with_key(|key| Calls {
            plugin: key.0.clone(),
            call,
            count: 0,
            slowest_seconds: 0.0,
            usage: Usage::default(),
        });
        own.count += 1;
        own.slowest_seconds = own.slowest_seconds.max(usage.seconds);
        own.usage += usage;
    }

    pub(crate) fn profile(&self) -> Profile {
        let all = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        Profile {
            seconds: self.began.elapsed().as_secs_f64(),
            calls: all.values().cloned().collect(),
        }
    }
}

/// What is copied over the boundary: the bytes of texts and of lists' elements.
pub(crate) trait Copied {
    fn bytes(&self) -> usize;
}

macro_rules! of_fixed_size {
    ($($kind:ty)*) => {
        $(impl Copied for $kind {
            fn bytes(&self) -> usize {
                size_of::<Self>()
            }
        })*
    };
}
of_fixed_size!(u8 u32 f32 f64);

impl Copied for str {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Copied for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl<T: Copied> Copied for [T] {
    fn bytes(&self) -> usize {
        self.iter().map(Copied::bytes).sum()
    }
}

impl<T: Copied> Copied for Vec<T> {
    fn bytes(&self) -> usize {
        self.as_slice().bytes()
    }
}

impl<T: Copied + ?Sized> Copied for &T {
    fn bytes(&self) -> usize {
        (**self).bytes()
    }
}

impl<A: Copied, B: Copied> Copied for (A, B) {
    fn bytes(&self) -> usize {
        self.0.bytes() + self.1.bytes()
    }
}

impl<T: Copied> Copied for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Copied::bytes)
    }
}

impl<T: Copied, E: Copied> Copied for Result<T, E> {
    fn bytes(&self) -> usize {
        match self {
            Ok(value) => value.bytes(),
            Err(error) => error.bytes(),
        }
    }
}
