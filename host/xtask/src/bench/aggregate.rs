//! One aggregation of N updates: the plugin in its sandbox, the same source native, loops written by hand,
//! Flower's numpy, and the bytes that must move over the bandwidth that the same run measures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use folkmoot_build::toolchain::set_up;
use serde_json::Value;

use super::{figures, median, set_up_python, target};
use crate::{cargo, root, start};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A Python with flwr and numpy; one is set up under target/ where it is not given
    #[arg(long)]
    python: Option<PathBuf>,
    /// Updates of a round
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    updates: Vec<usize>,
    /// Scalars of an update
    #[arg(long, value_delimiter = ',', default_value = "4200000,16800000")]
    sizes: Vec<usize>,
    /// Turns of each side, after one that is thrown away
    #[arg(long, default_value_t = 9)]
    repeats: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What Flower calls what we call.
const PEERS: [(&str, &[&str]); 5] = [
    ("fedavg", &["fedavg (aggregate)", "fedavg (arrayrecords)"]),
    ("fedadam", &["fedadam"]),
    (
        "trimmed-mean",
        &["trimmed mean", "trimmed_mean", "trimmed-mean"],
    ),
    ("median", &["median"]),
    ("krum", &["krum"]),
];

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = set_up(&mut |line| eprintln!("{line}"))?;
    let folders = folkmoot_build::plugin_folders(&root().join("plugins"))?;
    let plugins = target().join("plugins-out");
    folkmoot_build::build(&toolchain, &folders, &target().join("plugins"), &plugins)?;
    start(cargo().args([
        "build",
        "--release",
        "--workspace",
        "--example",
        "aggregate",
    ]))?;
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => set_up_python(&target().join("bench-flower"), &["flwr==1.41.0", "numpy"])?,
    };
    println!(
        "milliseconds, medians of {} turns, {} threads; in brackets: times WASM's",
        arguments.repeats, arguments.threads
    );
    for size in &arguments.sizes {
        for updates in &arguments.updates {
            case(arguments, &plugins, &python, *updates, *size)?;
        }
    }
    Ok(())
}

fn case(
    arguments: &Arguments,
    plugins: &Path,
    python: &Path,
    updates: usize,
    size: usize,
) -> Result<()> {
    println!("\n{updates} updates of {:.1} M scalars", size as f64 / 1e6);
    let mut ours = Command::new(target().join("release/examples/aggregate"));
    ours.args([
        "--updates",
        &updates.to_string(),
        "--size",
        &size.to_string(),
    ]);
    ours.args([
        "--repeats",
        &arguments.repeats.to_string(),
        "--threads",
        &arguments.threads.to_string(),
    ]);
    let ours = figures(ours.arg("--plugins").arg(plugins))?;
    // numpy stacks the updates and partitions a copy.
    let needed = 3 * updates * size * 4;
    let theirs = match available_memory().is_none_or(|free| free > needed) {
        true => {
            let script = root().join("tests/golden/bench_aggregate.py");
            let mut theirs = Command::new(python);
            theirs.arg(script).args([
                "--updates",
                &updates.to_string(),
                "--size",
                &size.to_string(),
            ]);
            theirs.args(["--repeats", "3"]);
            Some(figures(&mut theirs)?)
        }
        false => {
            println!(
                "Flower is left out: it would need about {} GiB",
                needed >> 30
            );
            None
        }
    };
    let milliseconds = |seconds: &Value| -> Option<f64> {
        let seconds: Vec<f64> = seconds
            .as_array()?
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        Some(median(seconds) * 1e3)
    };
    println!(
        "{:<16} {:>9} {:>17} {:>17} {:>17} {:>18}",
        "", "WASM", "native", "by hand", "memory's floor", "Flower"
    );
    let all = ours["figures"].as_object().context("no figures")?;
    for (name, sides) in all {
        let side = |side: &str| milliseconds(&sides[side]).unwrap_or(f64::NAN);
        let wasm = side("wasm");
        let own = |value: f64| format!("{value:.2} ({:.2})", value / wasm);
        let peers = PEERS
            .iter()
            .find(|(ours, _)| ours == name)
            .map_or(&[][..], |(_, peers)| peers);
        let peer = |peer: &&str| milliseconds(&theirs.as_ref()?["figures"][peer]);
        let peers: Vec<String> = peers
            .iter()
            .filter_map(peer)
            .map(|value| format!("{value:.1} ({:.1})", value / wasm))
            .collect();
        println!(
            "{name:<16} {wasm:>9.2} {:>17} {:>17} {:>17} {:>18}",
            own(side("native")),
            own(side("by hand")),
            own(side("floor")),
            peers.join(", ")
        );
    }
    let mib = |key: &str| ours[key].as_f64().unwrap_or(f64::NAN);
    println!(
        "one update is {:.0} MiB; over the inputs WASM's FedAvg, median and Krum wrote at most {:.0} MiB",
        (size * 4) as f64 / f64::from(1 << 20),
        mib("wasm_peak_mib") - mib("resident_mib")
    );
    Ok(())
}

fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
