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

/// Killed after any round and resumed, a run of an algorithm with states on both sides ends in the same
/// bytes as one that was not.
#[test]
fn resumed_runs_end_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let common = [
        "--set",
        "rounds=4",
        "--set",
        "checkpoint.every=1",
        "--set",
        "training.steps=1",
    ];
    for algorithm in ["scaffold", "feddyn", "ditto", "fedadam"] {
        let arguments = [&common[..], &["--algorithm", algorithm]].concat();
        let whole = format!("{algorithm}-whole");
        let expected = run(folder.path(), &whole, &arguments);
        for round in 1..4usize {
            let out = format!("{algorithm}-{round}");
            kill_after(folder.path(), &out, &arguments, round);
            let resumed = run(
                folder.path(),
                &out,
                &[&arguments[..], &["--resume"]].concat(),
            );
            assert_eq!(resumed, expected, "{algorithm}, killed after round {round}");
            let state = |run: &str| {
                let state = folder.path().join(run).join("state/round-0004");
                let mut files: Vec<_> = fs::read_dir(&state)
                    .unwrap()
                    .map(|file| file.unwrap().path())
                    .collect();
                files.sort();
                let parcels = files
                    .into_iter()
                    .filter(|file| file.file_name().unwrap() != "roster.json");
                parcels
                    .map(|file| {
                        (
                            file.file_name().unwrap().to_owned(),
                            fs::read(file).unwrap(),
                        )
                    })
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                state(&out),
                state(&whole),
                "{algorithm}, killed after round {round}"
            );
            let rounds = fs::read_to_string(folder.path().join(&out).join("rounds.jsonl")).unwrap();
            let rounds = rounds.lines().map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["round"]
                    .as_u64()
                    .unwrap()
            });
            assert_eq!(rounds.collect::<Vec<_>>(), [1, 2, 3, 4]);
        }
    }
}

/// Starts a run and kills it as soon as `round` rounds are recorded.
fn kill_after(folder: &Path, out: &str, arguments: &[&str], round: usize) {
    let mut command = folkmoot(folder);
    command
        .arg("run")
        .arg(here().join("data/reviews.toml"))
        .args(["--out", out])
        .args(arguments);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut running = command.spawn().unwrap();
    let record = folder.join(out).join("rounds.jsonl");
    loop {
        let done = fs::read_to_string(&record).map_or(0, |text| text.lines().count());
        if done >= round || running.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
}

/// A run is not resumed as another experiment.
#[test]
fn another_experiment_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "out", &["--set", "rounds=1"]);
    let mut command = folkmoot(folder.path());
    command.arg("run").arg(here().join("data/reviews.toml"));
    let output = command
        .args([
            "--out", "out", "--resume", "--set", "rounds=1", "--set", "seed=2",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("run folder `out` is of another experiment"),
        "{}",
        stderr(&output)
    );
}

/// Personal tensors stay at their clients, the rest is shared; frozen ones do not move.
#[test]
fn personal_tensors_stay_with_their_clients() {
    let folder = tempfile::tempdir().unwrap();
    let common = ["--set", "rounds=2", "--set", "training.cohort=3"];
    let adapter = |run: &str, name: &str| {
        Adapter::load(&folder.path().join(run).join("adapters").join(name))
            .unwrap()
            .1
    };
    let same = |a: &folkmoot_params::Params, b: &folkmoot_params::Params, glob: &str| {
        a.select(glob).unwrap().values() == b.select(glob).unwrap().values()
    };
    run(
        folder.path(),
        "fedsa",
        &[&common[..], &["--algorithm", "fedsa-lora"]].concat(),
    );
    let global = adapter("fedsa", "final");
    // B starts at zero and never reaches the server.
    assert_eq!(global.select("*lora_B*").unwrap().norm(), 0.0);
    let clients: Vec<_> = (0..3)
        .map(|client| adapter("fedsa", &format!("client-{client}")))
        .collect();
    for client in &clients {
        assert!(same(client, &global, "*lora_A*"));
        assert!(client.select("*lora_B*").unwrap().norm() > 0.0);
    }
    assert!(!same(&clients[0], &clients[1], "*lora_B*"));

    run(
        folder.path(),
        "ffa",
        &[&common[..], &["--algorithm", "ffa-lora"]].concat(),
    );
    let ffa = adapter("ffa", "final");
    run(folder.path(), "plain", &common);
    let plain = adapter("plain", "final");
    let initial = adapter("fedsa", "final");
    assert!(ffa.select("*lora_B*").unwrap().norm() > 0.0);
    assert!(!same(&ffa, &plain, "*lora_A*") && !same(&initial, &plain, "*lora_A*"));

    run(
        folder.path(),
        "ditto",
        &[&common[..], &["--algorithm", "ditto"]].concat(),
    );
    // The global model of Ditto is that of FedAvg.
    assert!(adapter("ditto", "final").values() == plain.values());
    assert!(adapter("ditto", "client-0").values() != plain.values());
    for algorithm in ["pfedme", "rolora", "qfedavg"] {
        run(
            folder.path(),
            algorithm,
            &[&common[..], &["--algorithm", algorithm]].concat(),
        );
        assert!(
            adapter(algorithm, "final").values() != plain.values(),
            "{algorithm}"
        );
    }
    run(
        folder.path(),
        "fedrep",
        &[
            &common[..],
            &[
                "--algorithm",
                "fedrep",
                "--algorithm-arg",
                "personal=['*lora_B*']",
            ],
        ]
        .concat(),
    );
    assert!(
        adapter("fedrep", "client-2")
            .select("*lora_B*")
            .unwrap()
            .norm()
            > 0.0
    );
}

/// A bad update stops the run or is left out, as the experiment says; the record says which.
#[test]
fn bad_updates_stop_the_run_or_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let attack = [
        "--set",
        "training.cohort=3",
        "--set",
        "attack.kind=non-finite",
        "--set",
        "attack.clients=[1]",
    ];
    let mut command = folkmoot(folder.path());
    command
        .arg("run")
        .arg(here().join("data/reviews.toml"))
        .args(["--out", "stop"])
        .args(attack);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("round 1, client 1\n  update of client 1: tensor `base_model"),
        "{said}"
    );
    assert!(said.contains("holds NaN at 0"), "{said}");

    run(
        folder.path(),
        "drop",
        &[&attack[..], &["--set", "training.bad_update=drop"]].concat(),
    );
    let rounds = fs::read_to_string(folder.path().join("drop/rounds.jsonl")).unwrap();
    for line in rounds.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["dropped"][0]["client"], 1);
        assert!(
            line["dropped"][0]["cause"]
                .as_str()
                .unwrap()
                .contains("holds NaN")
        );
    }
    let clients = fs::read_to_string(folder.path().join("drop/clients.jsonl")).unwrap();
    assert!(!clients.contains("\"client\":1,"));
    assert!(
        fs::read_to_string(folder.path().join("drop/log.txt"))
            .unwrap()
            .contains("client 1 is left out")
    );
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
    let made = folkmoot(folder.path())
        .args(["plugin", "new", "trimmed", "--kind", "algorithm"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
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
    let tested = folkmoot(folder.path())
        .args(["plugin", "test", "trimmed", "--arg", "drop=1"])
        .output()
        .unwrap();
    assert!(tested.status.success(), "{}", stdout(&tested));
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
