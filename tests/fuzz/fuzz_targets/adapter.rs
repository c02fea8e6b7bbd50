//! Any bytes as a folder of PEFT's: what is read is written and read again as it was, and the rest is an error. The
//! bytes are adapter_config.json, a zero byte, and adapter_model.safetensors; after a first byte of 1, all of them are
//! model.safetensors, of a model that trains whole.
#![no_main]

use std::fs;
use std::path::Path;

use folkmoot_train::Adapter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), bytes);
    let Ok((adapter, params)) = Adapter::load(folder.path()) else {
        return;
    };
    let again = folder.path().join("again");
    adapter
        .save(&params, "base", &again)
        .expect("what was read can be written");
    let (_, same) = Adapter::load(&again).expect("what was written can be read");
    assert_eq!(same.structure(), params.structure());
    let bits = |own: &[f32]| own.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(same.values()), bits(params.values()));
});

fn write(folder: &Path, bytes: &[u8]) {
    let file = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file");
    if let Some((1, whole)) = bytes.split_first() {
        return file("model.safetensors", whole);
    }
    let cut = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (config, tensors) = bytes.split_at(cut);
    file("adapter_config.json", config);
    file(
        "adapter_model.safetensors",
        tensors.get(1..).unwrap_or_default(),
    );
}
