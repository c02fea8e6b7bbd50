//! Any bytes as a plugin, and any core module inside of a partitioner that fits the contract: loading and calling
//! it gives a plugin or a typed error, within its limits.
#![no_main]

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use folkmoot_params::Seed;
use folkmoot_plugin::{Limits, Partitioner, Plugin, Sandbox, View};
use libfuzzer_sys::fuzz_target;
use wasm_smith::{Config, Module};

/// The calls' deadline, and how much longer all of an input may take. A build for fuzzing compiles slowly.
const TIME: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_secs(15);

struct Rows;

impl View for Rows {
    fn examples(&self) -> u32 {
        3
    }
    fn columns(&self) -> Vec<String> {
        vec!["label".into()]
    }
    fn categories(&self, _: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        Ok((vec![0, 1, 0], vec!["a".into(), "b".into()]))
    }
    fn numbers(&self, _: &str) -> Result<Vec<f64>, String> {
        Ok(vec![0.0, 1.0, 2.0])
    }
    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok(vec![1, 2, 3])
    }
    fn text(&self, _: u32) -> Option<String> {
        Some("text".into())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let started = Instant::now();
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    match first % 4 {
        // Mutated by the fuzzer: seeds are real components.
        0 => attempt(rest),
        1 => {
            if let Ok(text) = std::str::from_utf8(rest)
                && let Ok(bytes) = wat::parse_str(text)
            {
                attempt(&bytes);
            }
        }
        // A module that validates, in a component that validates.
        _ => {
            if let Some(bytes) = around(rest) {
                attempt(&bytes);
            }
        }
    }
    let taken = started.elapsed();
    assert!(taken < 4 * TIME + SLACK, "{taken:?}");
});

/// A partitioner whose core module also has what `bytes` say.
fn around(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut u = Unstructured::new(bytes);
    let shared = Config {
        bulk_memory_enabled: true,
        simd_enabled: true,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        memory64_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        tail_call_enabled: true,
        reference_types_enabled: true,
        max_imports: 0,
        max_memories: 4,
        max_tables: 4,
        max_memory32_bytes: 1 << 32,
        allow_start_export: true,
        min_funcs: 1,
        max_funcs: 20,
        ..Config::default()
    };
    let module = Module::new(shared, &mut u).ok()?;
    let module = wasmprinter::print_bytes(module.to_bytes()).expect("it is valid");
    let fields = module.trim().strip_prefix("(module")?.strip_suffix(')')?;
    // Its own name would be taken for a field.
    let fields = fields
        .trim_start()
        .trim_start_matches(|c: char| !c.is_whitespace() && c != '(');
    wat::parse_str(include_str!("../../hostile/around.wat").replace("MODULE", fields)).ok()
}

fn attempt(bytes: &[u8]) {
    let plugin = Plugin::load(sandbox(), "fuzzed", bytes);
    clear(cache());
    let Ok(plugin) = plugin else {
        return;
    };
    let _ = plugin.settings();
    if let Ok(partitioner) = Partitioner::new(plugin, &serde_json::json!({}))
        && let Ok(shards) = partitioner.partition(Arc::new(Rows), 2, Seed(1))
    {
        assert_eq!(shards.len(), 2);
    }
}

fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE
        .get_or_init(|| tempfile::tempdir().expect("a folder"))
        .path()
}

/// Every input is another component: none is needed twice.
fn clear(cache: &Path) {
    for file in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(file.path());
    }
}

fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let limits = Limits {
            time: TIME,
            arithmetic: TIME,
            memory: 16 << 20,
            ..Limits::default()
        };
        Sandbox::new(limits, cache(), Arc::new(|_| {})).expect("a sandbox")
    })
}
