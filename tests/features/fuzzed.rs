//! Inputs of `fuzz/regressions`, which fuzzing or its authors found: none crashes or hangs again.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use folkmoot_plugin::{Limits, Partitioner, Plugin, PluginError};
use folkmoot_train::Adapter;

use crate::bench::{here, sandbox};

/// Longer than any of them takes on a machine with much else to do.
const MOST: Duration = Duration::from_secs(30);

/// Reads every file of a target, which must not be without any.
fn replay(target: &str, read: impl Fn(&[u8])) {
    let folder = here().join("fuzz/regressions").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target}");
    for file in files {
        let started = Instant::now();
        read(&fs::read(&file).unwrap());
        assert!(started.elapsed() < MOST, "{}", file.display());
    }
}

/// Before the first zero byte, and after it.
fn two(bytes: &[u8]) -> (&[u8], &[u8]) {
    let cut = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default())
}

#[test]
fn settings_that_fuzzing_found() {
    let text = fs::read_to_string(here().join("hostile/partitioner.wat")).unwrap();
    let text = text
        .replace("BODY", "nop")
        .replace("EXPORT", "partitioner@0.1.0");
    let component = wat::parse_str(text).unwrap();
    let sandbox = sandbox(Limits::default());
    replay("settings", |bytes| {
        let (description, settings) = two(bytes);
        let mut plugin = Plugin::load(&sandbox, "fuzzed", &component).unwrap();
        plugin.description = serde_json::from_slice(description).unwrap();
        let _ = (plugin.settings(), plugin.scores());
        let settings = serde_json::from_slice(settings).unwrap_or_else(|_| serde_json::json!({}));
        let error = Partitioner::new(plugin, &settings).err();
        let typed = matches!(
            error,
            None | Some(PluginError::BadDescription { .. } | PluginError::Settings { .. })
        );
        assert!(typed, "{error:?}");
    });
}

#[test]
fn adapters_that_fuzzing_found() {
    replay("adapter", |bytes| {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        match bytes.split_first() {
            Some((1, whole)) => file("model.safetensors", whole),
            _ => {
                let (config, tensors) = two(bytes);
                file("adapter_config.json", config);
                file("adapter_model.safetensors", tensors);
            }
        }
        if let Ok((adapter, params)) = Adapter::load(folder.path()) {
            let again = folder.path().join("again");
            adapter.save(&params, "base", &again).unwrap();
            let (_, same) = Adapter::load(&again).unwrap();
            assert_eq!(
                same.to_safetensors().unwrap(),
                params.to_safetensors().unwrap()
            );
        }
    });
}
