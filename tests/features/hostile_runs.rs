//! Whole runs of `hostile/algorithm`: the round that fails is named, what was recorded before stays as it was, memory
//! is bounded, and the run can go on to the end it would have had.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::bench::{folkmoot, here, model_file};
use crate::hostile::component;

/// A run that ended, one way or another.
struct Ended {
    code: Option<i32>,
    said: String,
    /// Most memory that the process had, in MiB; none where the system does not tell.
    peak: Option<u64>,
}

fn run(folder: &Path, out: &str, arguments: &[&str]) -> Ended {
    model_file();
    let said = folder.join(format!("{out}.said"));
    let mut command = folkmoot(folder);
    command
        .arg("run")
        .arg(here().join("data/reviews.toml"))
        .args(["--out", out, "--algorithm"])
        .arg(component())
        .args([
            "--set",
            "rounds=4",
            "--set",
            "checkpoint.every=1",
            "--set",
            "training.steps=1",
        ])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(fs::File::create(&said).unwrap());
    let mut running = command.spawn().unwrap();
    let mut peak = None;
    let code = loop {
        peak = high_water(running.id()).or(peak);
        if let Some(status) = running.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let said = fs::read_to_string(said).unwrap();
    Ended { code, said, peak }
}

/// VmHWM of a process in MiB.
fn high_water(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib >> 10)
}

/// `rounds.jsonl` without what a clock says.
fn rounds(folder: &Path, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(out).join("rounds.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds");
        line
    });
    lines.collect()
}

fn adapter(folder: &Path, out: &str, name: &str) -> Vec<u8> {
    let file = folder.join(out).join("adapters").join(name);
    fs::read(file.join("adapter_model.safetensors")).unwrap()
}

/// More than a run without misdeeds takes: the memory of a call, what the host may hold for it, and the rest.
const MORE: u64 = 700;

#[test]
fn a_failed_round_leaves_the_rounds_before_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = run(folder, "whole", &[]);
    assert_eq!(whole.code, Some(0), "{}", whole.said);
    let expected = rounds(folder, "whole");
    let misdeeds = [
        (
            "aggregate",
            "trap",
            "round 3\n  plugin `hostile`, call `aggregate`: crashed: ",
        ),
        (
            "aggregate",
            "nan",
            "call `aggregate`: bad answer: next global parameters: tensor",
        ),
        ("aggregate", "handles", "call `aggregate`: out of handles"),
        (
            "sample",
            "twice",
            "round 3\n  plugin `hostile`, call `sample`: bad answer: it chose client 1 twice",
        ),
        (
            "configure",
            "state-bytes",
            "call `configure`: crashed: a call may leave 64 MiB",
        ),
        (
            "begin",
            "memory",
            "call `begin`: out of memory: asked for 257 MiB of memory, may have 256 MiB",
        ),
        (
            "finish",
            "message-nan",
            "call `finish`: bad answer: message `control`: tensor",
        ),
    ];
    for (hook, deed, said) in misdeeds {
        // In quotes: `nan` alone is a number.
        let (hook_set, deed_set) = (format!("hook={hook}"), format!("deed='{deed}'"));
        let arguments = [
            "--algorithm-arg",
            hook_set.as_str(),
            "--algorithm-arg",
            deed_set.as_str(),
        ];
        let out = format!("{hook}-{deed}");
        let ended = run(folder, &out, &arguments);
        assert_eq!(ended.code, Some(1), "{out}: {}", ended.said);
        assert!(
            ended.said.contains("round 3") && ended.said.contains(said),
            "{out}: {}",
            ended.said
        );
        assert_eq!(rounds(folder, &out), expected[..2], "{out}");
        for name in ["round-0001", "round-0002"] {
            assert!(
                adapter(folder, &out, name) == adapter(folder, "whole", name),
                "{out}, {name}"
            );
        }
        let log = fs::read_to_string(folder.join(&out).join("log.txt")).unwrap();
        assert!(log.contains("failed: round 3"), "{log}");
        if let (Some(peak), Some(usual)) = (ended.peak, whole.peak) {
            assert!(peak < usual + MORE, "{out}: {peak} MiB, usually {usual}");
        }
    }

    // Other settings are another algorithm: it takes a word to go on with them.
    for out in ["aggregate-nan", "configure-state-bytes"] {
        let ended = run(folder, out, &["--resume"]);
        assert_eq!(ended.code, Some(2), "{out}: {}", ended.said);
        assert!(ended.said.contains("hint: its own is in"), "{}", ended.said);
        let ended = run(folder, out, &["--resume", "--renew-algorithm"]);
        assert_eq!(ended.code, Some(0), "{out}: {}", ended.said);
        let renewals = fs::read_to_string(folder.join(out).join("renewals.jsonl")).unwrap();
        let lines: Vec<Value> = renewals
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let began: Vec<&Value> = lines.iter().map(|line| &line["round"]).collect();
        assert_eq!(began, [1, 3], "{renewals}");
        assert_eq!(lines[0]["settings"]["hook"], out.split_once('-').unwrap().0);
        // Once it has ended there is nothing to renew.
        let hook = format!("hook={}", out.split_once('-').unwrap().0);
        let ended = run(
            folder,
            out,
            &["--resume", "--renew-algorithm", "--algorithm-arg", &hook],
        );
        assert_eq!(ended.code, Some(2), "{}", ended.said);
        assert!(ended.said.contains("has ended"), "{}", ended.said);
        assert_eq!(rounds(folder, out), expected, "{out}");
        assert!(
            adapter(folder, out, "final") == adapter(folder, "whole", "final"),
            "{out}"
        );
    }
}

/// A plugin that fails before there is any round, or in every call of a client.
#[test]
fn what_fails_at_once_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let deed = ["--algorithm-arg", "deed=trap", "--algorithm-arg", "round=0"];
    let hook = ["--algorithm-arg", "hook=start"];
    let ended = run(folder.path(), "start", &[&deed[..], &hook].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(
        ended
            .said
            .contains("plugin `hostile`, call `start`: crashed: "),
        "{}",
        ended.said
    );
    let hook = [
        "--algorithm-arg",
        "hook=finish",
        "--set",
        "training.bad_update=drop",
    ];
    let ended = run(folder.path(), "finish", &[&deed[..], &hook].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let said = "round 1: every update was left out, the first, of client ";
    assert!(
        ended.said.contains(said) && ended.said.contains("call `finish`: crashed: "),
        "{}",
        ended.said
    );
}
