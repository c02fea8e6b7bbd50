//! What one call of a plugin may use. A refusal is remembered, so that the crash it leads to can be
//! told from others.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one call.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall time of the plugin itself.
    pub time: Duration,
    /// Wall time of the arithmetic on parameters that it asks the host for.
    pub arithmetic: Duration,
    /// Bytes of WASM memory, summed over all memories of the instance.
    pub memory: usize,
    /// Bytes of parameters that the call makes the host write, or puts into states and messages, written before or
    /// not.
    pub params: usize,
    /// Handles of parameters that the call is given, and items of the lists that it hands over: what is recorded.
    /// Sums, norms, distances and the like are held by `arithmetic` beside that.
    pub operations: usize,
    /// Bytes of texts and lists that the plugin hands over in one call of the host, or answers with. What the host
    /// answers must fit into the plugin's own memory.
    pub transfer: usize,
    /// Log lines; later ones are dropped with one line that says so.
    pub log_lines: usize,
    /// Handles that live at once: parameters, clients, updates, messages. A federation's clients are handed over
    /// as one handle each.
    pub handles: usize,
    /// Bytes that the call leaves with the host beside parameters: what it puts into messages and states, names
    /// included, questions, observations, scores, the names of tensors that it selects, and copies that it makes of
    /// messages and of clients' figures; 64 more for each. Also what a state or a message may hold of them in all.
    pub retained: usize,
    /// Names in a state or a message.
    pub entries: usize,
    /// Bytes of parameters that a state or a message may hold: a state is written at every checkpoint.
    pub state: usize,
    /// Bytes of a component. One of Rust has 100 KiB, one with an interpreter up to 30 MiB.
    pub component: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            arithmetic: Duration::from_secs(600),
            memory: 256 << 20,
            params: 8 << 30,
            operations: 1 << 20,
            transfer: 16 << 20,
            log_lines: 1000,
            handles: 1 << 18,
            retained: 64 << 20,
            entries: 1 << 14,
            state: 16 << 30,
            component: 64 << 20,
        }
    }
}

/// Elements over all tables: enough for any program, too few to hurt.
const TABLE_ELEMENTS: usize = 100_000;

/// Core instances, tables and memories of one store: an interpreter has tens of the first.
const INSTANCES: usize = 512;
const TABLES: usize = 512;
const MEMORIES: usize = 64;

/// What [`Refusal::of`] says of parameters: only the host's own count refuses those.
pub(crate) const PARAMETERS: &str = "parameters";

/// A request that was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) of: &'static str,
    pub(crate) asked: usize,
    pub(crate) limit: usize,
}

/// Counts the memory of one store.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: usize,
    tables: usize,
    limit: usize,
    pub(crate) refusal: Option<Refusal>,
}

impl Limiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            memory: 0,
            tables: 0,
            limit,
            refusal: None,
        }
    }
}

impl Limiter {
    /// The most bytes of memory that there were: WASM memory never shrinks.
    pub(crate) fn peak(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.memory.saturating_add(desired.saturating_sub(current));
        if asked > self.limit {
            self.refusal = Some(Refusal {
                of: "memory",
                asked,
                limit: self.limit,
            });
            return Ok(false);
        }
        self.memory = asked;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.tables.saturating_add(desired.saturating_sub(current));
        if asked > TABLE_ELEMENTS {
            return Ok(false);
        }
        self.tables = asked;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed_and_the_refusal_is_remembered() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        let refusal = limiter.refusal.unwrap();
        assert_eq!((refusal.asked, refusal.limit), (101, 100));
        assert!(limiter.memory_growing(60, 100, None).unwrap());
    }
}
