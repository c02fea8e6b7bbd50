use std::fs;
use std::path::Path;
use std::process::Output;

use folkmoot_params::Params;
use folkmoot_train::Adapter;
use serde_json::Value;

use crate::algorithms::{off, params};
use crate::bench::{folkmoot, golden, numbers, stderr, stdout};

/// `folkmoot aggregate` in `folder`.
fn aggregate(folder: &Path, arguments: &[&str]) -> Output {
    folkmoot(folder)
        .arg("aggregate")
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn fine(folder: &Path, arguments: &[&str]) {
    let output = aggregate(folder, arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("next"), "{}", stdout(&output));
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = aggregate(folder, arguments);
    assert!(!output.status.success());
    stderr(&output)
}

fn write(folder: &Path, name: &str, params: &Params) {
    fs::write(folder.join(name), params.to_safetensors().unwrap()).unwrap();
}

/// Writes a round of the golden file as one safetensors file per client, and gives their `--update`s.
fn write_round(
    folder: &Path,
    golden: &Value,
    cohort: &Value,
    from: Option<&Params>,
) -> Vec<String> {
    let examples = numbers(&golden["clients"]);
    let write_one = |given: &Value| {
        let id = given["client"].as_u64().unwrap();
        let delta = params(&golden["shapes"], &given["delta"]);
        let sent = from.map_or(delta.clone(), |global| global.add(&delta).unwrap());
        let file = format!("c{id}.safetensors");
        write(folder, &file, &sent);
        let (steps, loss) = (&given["steps"], &given["initial_loss"]);
        let examples = examples[id as usize];
        // Half of the numbers on the command line, half in a file beside the update.
        let extras = serde_json::json!({ "steps": steps, "lr": golden["lr"], "figures": { "initial-loss": loss } });
        fs::write(folder.join(format!("c{id}.json")), extras.to_string()).unwrap();
        format!("{file}:client={id},examples={examples}")
    };
    cohort.as_array().unwrap().iter().map(write_one).collect()
}

/// A sequence of calls with a state equals one run of the algorithm, beside numpy: deltas and weights.
#[test]
fn calls_in_sequence_equal_a_run() {
    let golden = golden("algorithms.json");
    for (plugin, is) in [
        ("fedadam", "delta"),
        ("fedyogi", "weights"),
        ("qfedavg", "delta"),
        ("fednova", "weights"),
    ] {
        let cases = golden["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["plugin"] == plugin).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut global = params(&golden["shapes"], &golden["global"]);
        let settings: Vec<String> = case["settings"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        for (number, cohort) in (1..=3).zip(golden["rounds"].as_array().unwrap()) {
            write(folder, "global.safetensors", &global);
            let updates = write_round(
                folder,
                &golden,
                cohort,
                (is == "weights").then_some(&global),
            );
            let round = number.to_string();
            let mut arguments = vec!["--algorithm", plugin, "--global", "global.safetensors"];
            arguments.extend([
                "--update-is",
                is,
                "--state",
                "state",
                "--round",
                &round,
                "--out",
                "next.safetensors",
            ]);
            settings
                .iter()
                .for_each(|setting| arguments.extend(["--algorithm-arg", setting]));
            updates
                .iter()
                .for_each(|update| arguments.extend(["--update", update]));
            fine(folder, &arguments);
            global = Params::from_safetensors(&fs::read(folder.join("next.safetensors")).unwrap())
                .unwrap();
            let expected = &case["expected"][number - 1]["global"];
            let off = off(&global, &golden["shapes"], expected);
            // Weights are rounded to f32 around the global ones before they are read.
            assert!(off <= 2e-6, "{plugin}, round {number}: off by {off:.1e}");
        }
        let again = refused(
            folder,
            &[
                "--algorithm",
                plugin,
                "--global",
                "global.safetensors",
                "--update",
                "c10.safetensors",
                "--state",
                "state",
                "--round",
                "3",
                "--out",
                "x.safetensors",
            ],
        );
        assert!(
            again.contains("it was made with the settings")
                || again.contains("as of round 3, so the next is round 4, not 3"),
            "{again}"
        );
    }
}

/// SCAFFOLD on files: what the client half sends lies beside the update, what the server half sends in the
/// state's folder.
#[test]
fn extras_travel_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let one = |value: f32| Params::from_tensors([("w".to_owned(), vec![1], vec![value])]).unwrap();
    write(folder, "global.safetensors", &one(1.0));
    for (name, value) in [
        ("c0", 1.5),
        ("c1", 0.5),
        ("c0.control-change", 4.0),
        ("c1.control-change", 2.0),
    ] {
        write(folder, &format!("{name}.safetensors"), &one(value));
    }
    let arguments = [
        "--algorithm",
        "scaffold",
        "--global",
        "global.safetensors",
        "--update",
        "c0.safetensors:examples=3",
        "--update",
        "c1.safetensors:examples=1",
        "--clients",
        "4",
        "--state",
        "state",
        "--out",
        "next.safetensors",
    ];
    fine(folder, &arguments);
    let read = |name: &str| Params::open(&folder.join(name)).unwrap().values()[0];
    // w + (3 · 0.5 - 1 · 0.5) / 4, c + (4 + 2) / 4.
    assert_eq!(read("next.safetensors"), 1.25);
    assert_eq!(read("state/control.safetensors"), 1.5);
    fs::remove_file(folder.join("c1.control-change.safetensors")).unwrap();
    let error = refused(folder, &[&arguments[..], &["--round", "2"]].concat());
    assert!(
        error.contains("client `1` sent no `control-change`"),
        "{error}"
    );
}

/// Adapters' folders, as PEFT and folkmoot write them, are taken and given.
#[test]
fn adapter_folders_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = serde_json::json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": ["q_proj"] });
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    for (adapter, value) in [("g", 0.0f32), ("c0", 1.0), ("c1", 2.0), ("c2", 9.0)] {
        let at = folder.join(adapter);
        fs::create_dir(&at).unwrap();
        fs::write(at.join("adapter_config.json"), config.to_string()).unwrap();
        let params = Params::from_tensors([(name.to_owned(), vec![1, 2], vec![value; 2])]).unwrap();
        write(&at, "adapter_model.safetensors", &params);
    }
    fine(
        folder,
        &[
            "--algorithm",
            "median",
            "--global",
            "g",
            "--update",
            "c0",
            "--update",
            "c1",
            "--update",
            "c2",
            "--out",
            "next",
        ],
    );
    let (adapter, params) = Adapter::load(&folder.join("next")).unwrap();
    assert_eq!((adapter.rank, params.values()), (1, &[2.0f32, 2.0][..]));
}

/// What people get wrong is said with its place, and nothing is written.
#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let one = |name: &str, value: f32| {
        Params::from_tensors([(name.to_owned(), vec![1], vec![value])]).unwrap()
    };
    write(folder, "g.safetensors", &one("w", 1.0));
    write(folder, "c.safetensors", &one("w", 2.0));
    write(folder, "nan.safetensors", &one("w", f32::NAN));
    write(folder, "other.safetensors", &one("v", 2.0));
    fs::write(folder.join("torn.safetensors"), [9, 0, 0]).unwrap();
    let say = |update: &str, out: &str| {
        refused(
            folder,
            &[
                "--algorithm",
                "fedavg",
                "--global",
                "g.safetensors",
                "--update",
                update,
                "--out",
                out,
            ],
        )
    };
    let check = |update: &str, out: &str, expected: &str| {
        let said = say(update, out);
        assert!(said.contains(expected), "{said}");
    };
    check(
        "nan.safetensors",
        "o.safetensors",
        "update `nan.safetensors`\n  update of client 0: tensor `w` holds NaN at 0",
    );
    check(
        "other.safetensors",
        "o.safetensors",
        "update `other.safetensors`\n  tensor `w` is missing",
    );
    check(
        "torn.safetensors",
        "o.safetensors",
        "not a readable safetensors file",
    );
    check("none.safetensors", "o.safetensors", "none.safetensors");
    check(
        "c.safetensors:examples=1.5",
        "o.safetensors",
        "`examples` is 1.5, not a count",
    );
    check(
        "c.safetensors:examples=0",
        "o.safetensors",
        "`examples` is 0",
    );
    check(
        "c.safetensors",
        "g.safetensors",
        "--out `g.safetensors` is an input",
    );
    check("c.safetensors", "o", "--out `o`: give a .safetensors file");
    assert!(!folder.join("o.safetensors").exists());
}
