//! What tests of metric plugins share: the crates include this file, since none may depend on another.

#![allow(dead_code, reason = "a test needs some of it")]

use serde_json::Value;

/// A JSON file of this folder.
pub(crate) fn golden(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden");
    let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Within 1e-9 of what the reference gives.
#[track_caller]
pub(crate) fn near(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    assert!(
        (ours - theirs).abs() < 1e-9,
        "{what}: {ours} is not {theirs}"
    );
}
