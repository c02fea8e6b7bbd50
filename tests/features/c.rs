use std::process::Command;

use folkmoot_plugin::{Algorithm, Kind, Limits, Plugin};
use serde_json::json;

use crate::bench::{golden, plugin, root, sandbox};
use crate::python::Run;

/// FedAvg in C leaves the bits of the Rust one behind, over ten rounds.
#[test]
fn c_equals_rust_to_the_last_bit() {
    let (sdk, out) = (root().join("sdk/c"), tempfile::tempdir().unwrap());
    let mut build = Command::new("cargo");
    for inherited in ["CARGO_TARGET_DIR", "RUSTFLAGS", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        build.env_remove(inherited);
    }
    build
        .current_dir(sdk.join("build"))
        .args(["run", "--release", "--quiet"]);
    build
        .arg("--target-dir")
        .arg(root().join("target/c"))
        .arg("--");
    build.arg(sdk.join("fedavg")).arg("--out").arg(out.path());
    assert!(build.status().unwrap().success(), "{build:?} failed");
    let bytes = std::fs::read(out.path().join("fedavg.wasm")).unwrap();
    let written = Plugin::load(&sandbox(Limits::default()), "fedavg", &bytes).unwrap();
    let golden = golden("algorithms.json");
    let run = |plugin| Run::new(Algorithm::new(plugin, &json!({})).unwrap(), &golden);
    let (mut rust, mut c) = (run(plugin("fedavg", Kind::Algorithm)), run(written));
    for (number, cohort) in (1..=10).zip(golden["rounds"].as_array().unwrap()) {
        let expected = rust.round(&golden, number, cohort);
        assert_eq!(c.round(&golden, number, cohort), expected, "round {number}");
    }
}
