use std::fs;
use std::path::Path;

use folkmoot_train::Adapter;
use serde_json::Value;

use crate::bench::{folkmoot, here, model_file, root, stderr, stdout};

/// Runs the reviews experiment into `out` and gives the bytes of its final adapter.
#[track_caller]
fn run(folder: &Path, out: &str, arguments: &[&str]) -> Vec<u8> {
    model_file();
    let experiment = here().join("data/reviews.toml");
    let mut command = folkmoot(folder);
    command
        .arg("run")
        .arg(experiment)
        .args(["--out", out])
        .args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("perplexity"),
        "{}",
        stdout(&output)
    );
    fs::read(
        folder
            .join(out)
            .join("adapters/final/adapter_model.safetensors"),
    )
    .unwrap()
}

/// The same experiment gives the same bytes, twice and with another number of threads; another seed
/// gives others. The run folder says what the run was made of.
#[test]
fn same_experiment_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), "first", &["--threads", "2"]);
    assert_eq!(
        first,
        run(folder.path(), "second", &["--threads", "2"]),
        "the same run twice"
    );
    assert_eq!(
        first,
        run(folder.path(), "third", &["--threads", "1"]),
        "one thread instead of two"
    );
    assert_ne!(first, run(folder.path(), "fourth", &["--set", "seed=2"]));

    let run = folder.path().join("first");
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(run.join(name)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let rounds = lines("rounds.jsonl");
    assert_eq!(
        rounds
            .iter()
            .map(|line| line["round"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        rounds
            .iter()
            .all(|line| line["step_norm"].as_f64().unwrap() > 0.0)
    );
    assert_eq!(lines("clients.jsonl").len(), 4);
    let digests: Value =
        serde_json::from_str(&fs::read_to_string(run.join("digests.json")).unwrap()).unwrap();
    let model = &digests["files"][0]["sha256"];
    assert_eq!(
        model,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    );
    assert_eq!(digests["plugins"].as_array().unwrap().len(), 3);
    let (adapter, params) = Adapter::load(&run.join("adapters/round-0002")).unwrap();
    assert_eq!((adapter.rank, params.to_safetensors().unwrap()), (4, first));
    let torn = fs::read_dir(&run).unwrap().filter(|file| {
        file.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".part")
    });
    assert_eq!(torn.count(), 0);

    // The resolved experiment, run again, is the same run.
    let mut command = folkmoot(folder.path());
    let text = fs::read_to_string(run.join("experiment.toml")).unwrap();
    fs::copy(
        here().join("data/reviews.csv"),
        folder.path().join("reviews.csv"),
    )
    .unwrap();
    fs::write(folder.path().join("again.toml"), text).unwrap();
    let output = command
        .args(["run", "again.toml", "--out", "again"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let again = fs::read(
        folder
            .path()
            .join("again/adapters/final/adapter_model.safetensors"),
    )
    .unwrap();
    assert_eq!(again, first_bytes(&run));
}

fn first_bytes(run: &Path) -> Vec<u8> {
    fs::read(run.join("adapters/final/adapter_model.safetensors")).unwrap()
}

/// A run folder that holds something is left alone.
#[test]
fn a_run_folder_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/precious.txt"), "mine").unwrap();
    model_file();
    let mut command = folkmoot(folder.path());
    let output = command
        .arg("run")
        .arg(here().join("data/reviews.toml"))
        .args(["--out", "out"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("run folder `out` is not empty"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
}

/// The README's plugin, written to a folder outside of the tree as the README says, builds with the
/// README's command, runs by its path, and changes the result.
#[test]
fn the_readmes_plugin_runs_from_outside_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let block = |mark: &str| -> String {
        let from = readme
            .find(mark)
            .unwrap_or_else(|| panic!("README has no `{mark}`"));
        let code = &readme[from..];
        let start = code.find("```").unwrap() + 3;
        let start = start + code[start..].find('\n').unwrap() + 1;
        let end = start + code[start..].find("```").unwrap();
        code[start..end].to_owned()
    };
    let plugin = folder.path().join("trimmed");
    fs::create_dir_all(plugin.join("src")).unwrap();
    let manifest =
        block("`trimmed/Cargo.toml`").replace("path/to/folkmoot", &root().display().to_string());
    fs::write(plugin.join("Cargo.toml"), manifest).unwrap();
    let source = block("`trimmed/src/lib.rs`");
    let lines = source
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    assert!(
        (10..=30).contains(&lines),
        "the README's plugin has {lines} lines"
    );
    fs::write(plugin.join("src/lib.rs"), source).unwrap();
    let built = folkmoot(folder.path())
        .args(["plugin", "build", "trimmed"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    let arguments = ["--set", "training.cohort=3"];
    let plain = run(folder.path(), "plain", &arguments);
    let arguments = [
        &arguments[..],
        &[
            "--algorithm",
            "./trimmed/trimmed.wasm",
            "--algorithm-arg",
            "drop=1",
        ],
    ]
    .concat();
    let other = run(folder.path(), "other", &arguments);
    assert_ne!(plain, other);
}
