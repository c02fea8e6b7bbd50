//! Any description with any schema, and any settings for it: read, shown and checked without a panic, in bounded
//! time. The bytes are a description, a zero byte, and settings; both are JSON.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use folkmoot_plugin::{Description, Limits, Partitioner, Plugin, PluginError, Sandbox};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What no description of at most a few kilobytes may take, built for fuzzing.
const MOST: Duration = Duration::from_secs(10);

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (description, settings) = bytes.split_at(cut);
    let settings = settings.get(1..).unwrap_or_default();
    let Ok(description) = serde_json::from_slice::<Description>(description) else {
        return;
    };
    let settings = match serde_json::from_slice::<Value>(settings) {
        Ok(settings) => settings,
        Err(_) => Value::Object(serde_json::Map::new()),
    };
    let started = Instant::now();
    let mut plugin = partitioner();
    plugin.description = description;
    let _ = (
        plugin.settings(),
        plugin.scores(),
        plugin.gives("a"),
        plugin.asks("judge"),
    );
    match Partitioner::new(plugin, &settings) {
        Ok(partitioner) => {
            let _ = partitioner.clients_from_data();
        }
        Err(error) => {
            let expected = matches!(
                error,
                PluginError::BadDescription { .. } | PluginError::Settings { .. }
            );
            assert!(expected, "{error:?}");
            let _ = error.to_string();
        }
    }
    assert!(started.elapsed() < MOST);
});

/// A partitioner that does nothing, whose description is replaced.
fn partitioner() -> Plugin {
    static READY: OnceLock<(tempfile::TempDir, Sandbox, Vec<u8>)> = OnceLock::new();
    let (_, sandbox, bytes) = READY.get_or_init(|| {
        let text = include_str!("../../hostile/partitioner.wat");
        let text = text
            .replace("BODY", "nop")
            .replace("EXPORT", "partitioner@0.1.0");
        let cache = tempfile::tempdir().expect("a folder");
        let sandbox = Sandbox::new(Limits::default(), cache.path(), Arc::new(|_| {}));
        (
            cache,
            sandbox.expect("a sandbox"),
            wat::parse_str(text).expect("it is valid"),
        )
    });
    Plugin::load(sandbox, "fuzzed", bytes).expect("it is a partitioner")
}
