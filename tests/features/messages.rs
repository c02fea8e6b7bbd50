use std::fs;
use std::path::Path;

use crate::bench::{folkmoot, here, model_file, stderr};

/// Runs `folkmoot check` on the reviews experiment with `change` made to it in a scratch folder, and
/// compares what it says with `golden/messages/NAME.txt` (written anew where UPDATE_GOLDEN is set).
#[track_caller]
fn check(name: &str, change: impl FnOnce(&Path), arguments: &[&str]) {
    model_file();
    let folder = tempfile::tempdir().unwrap();
    for file in ["reviews.toml", "reviews.csv"] {
        fs::copy(here().join("data").join(file), folder.path().join(file)).unwrap();
    }
    change(folder.path());
    let mut command = folkmoot(folder.path());
    command.args(["check", "reviews.toml"]).args(arguments);
    if folder.path().join("cache").exists() {
        command.env("FOLKMOOT_CACHE", folder.path().join("cache"));
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    let said = &said[said.find("error: ").unwrap_or(0)..];
    let said = said.replace(&folder.path().display().to_string(), "FOLDER");
    let golden = here().join("golden/messages").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &said).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(said, expected, "differs from `{}`", golden.display());
}

/// Replaces text of a file, which must be there.
fn edit(file: &str, from: &str, to: &str) -> impl FnOnce(&Path) {
    let (file, from, to) = (file.to_owned(), from.to_owned(), to.to_owned());
    move |folder| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(&from),
            "`{from}` is not in `{}`",
            path.display()
        );
        fs::write(&path, text.replacen(&from, &to, 1)).unwrap();
    }
}

#[test]
fn unknown_key() {
    check(
        "unknown-key",
        edit("reviews.toml", "rounds = 2", "round = 2"),
        &[],
    );
}

#[test]
fn unknown_plugin() {
    check(
        "unknown-plugin",
        edit("reviews.toml", "\"fedavg\"", "\"fedavgn\""),
        &[],
    );
}

#[test]
fn unknown_setting() {
    let change = edit(
        "reviews.toml",
        "plugin = \"fedavg\"",
        "plugin = \"fedavgm\"\nsettings = { bta = 0.9 }",
    );
    check("unknown-setting", change, &[]);
}

#[test]
fn setting_out_of_range() {
    let change = edit(
        "reviews.toml",
        "plugin = \"fedavg\"",
        "plugin = \"fedavgm\"\nsettings = { beta1 = 1.5 }",
    );
    check("setting-out-of-range", change, &[]);
}

#[test]
fn setting_out_of_range_on_the_command_line() {
    check(
        "argument-out-of-range",
        |_| (),
        &["--algorithm", "fedavgm", "--algorithm-arg", "beta1=-1"],
    );
}

#[test]
fn missing_column() {
    check(
        "missing-column",
        edit(
            "reviews.toml",
            "response = \"label\"",
            "response = \"lable\"",
        ),
        &[],
    );
}

#[test]
fn empty_shard() {
    let plugin =
        "plugin = \"dirichlet\"\nsettings = { column = \"label\", alpha = 0.001, min_size = 0 }";
    check(
        "empty-shard",
        edit("reviews.toml", "plugin = \"iid\"", plugin),
        &[],
    );
}

#[test]
fn label_outside_the_set() {
    check(
        "label-outside-the-set",
        edit("reviews.csv", "week,negative", "week,negativ"),
        &[],
    );
}

#[test]
fn cohort_larger_than_clients() {
    check(
        "cohort-larger-than-clients",
        edit("reviews.toml", "cohort = 2", "cohort = 4"),
        &[],
    );
}

#[test]
fn cohort_larger_than_clients_on_the_command_line() {
    check(
        "cohort-on-the-command-line",
        |_| (),
        &["--set", "training.cohort=9"],
    );
}

#[test]
fn truncated_model_file() {
    let change = |folder: &Path| {
        let bytes = fs::read(model_file()).unwrap();
        fs::write(folder.join("cut.gguf"), &bytes[..bytes.len() / 2]).unwrap();
    };
    check("truncated-model", change, &["--set", "model.base=cut.gguf"]);
}

#[test]
fn wrong_digest() {
    let change = |folder: &Path| {
        fs::create_dir_all(folder.join("cache/files")).unwrap();
        let mut bytes = fs::read(model_file()).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(
            folder.join("cache/files/SmolLM2-135M-Instruct.Q4_1.gguf"),
            bytes,
        )
        .unwrap();
    };
    check("wrong-digest", change, &[]);
}

#[test]
fn ragged_csv_row() {
    check(
        "ragged-row",
        edit(
            "reviews.csv",
            "Never again,negative,north",
            "Never again,negative",
        ),
        &[],
    );
}

#[test]
fn no_such_file() {
    check(
        "no-such-data",
        edit("reviews.toml", "reviews.csv", "review.csv"),
        &[],
    );
}
