//! What the sandbox costs: a cached plugin made ready, a call that does nothing, code that can be stopped and whose
//! NaN are canonical, a block kernel beside its own source native; and Extism on the same function.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use folkmoot_build::toolchain::{TARGET, Toolchain, set_up};
use serde_json::{Map, Value, json};

use super::{figures, median, target};
use crate::{cargo, root, start};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Updates of a round
    #[arg(long, default_value_t = 10)]
    updates: usize,
    /// Scalars of an update
    #[arg(long, default_value_t = 4_200_000)]
    size: usize,
    /// Turns of each side, after one that is thrown away
    #[arg(long, default_value_t = 15)]
    repeats: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Leave Extism out
    #[arg(long)]
    alone: bool,
}

/// Seconds from bytes to a plugin that can be called.
const READY: f64 = 2e-3;
/// Seconds of a call that does nothing, instance included.
const NOTHING: f64 = 60e-6;
/// What guarding may cost, as a ratio.
const GUARDED: f64 = 1.2;
/// What a block kernel may take, as a ratio to native code on as many threads.
const BLOCKS: f64 = 2.5;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let toolchain = set_up(&mut |line| eprintln!("{line}"))?;
    let mut folders = folkmoot_build::plugin_folders(&root().join("plugins"))?;
    folders.push(root().join("tests/bench/fedavg-by-read"));
    let plugins = target().join("plugins-out");
    folkmoot_build::build(&toolchain, &folders, &target().join("plugins"), &plugins)?;
    let build = ["build", "--release", "--workspace", "--example", "plugin"];
    start(cargo().args(build))?;
    let cache = target().join("bench-plugin-cache");
    let ours = |what: &str| -> Result<Value> {
        let mut command = Command::new(target().join("release/examples/plugin"));
        command.arg(what).arg("--plugins").arg(&plugins);
        command.arg("--cache").arg(&cache);
        let numbers = [
            ("--updates", arguments.updates),
            ("--size", arguments.size),
            ("--repeats", arguments.repeats),
            ("--threads", arguments.threads),
        ];
        for (flag, number) in numbers {
            command.args([flag, &number.to_string()]);
        }
        figures(&mut command)
    };
    let peer = match arguments.alone {
        true => None,
        false => Some(Extism::build(&toolchain)?),
    };
    // The first fills the cache.
    ours("first")?;
    let first = (0..arguments.repeats).map(|_| ours("first"));
    let first = first.collect::<Result<Vec<Value>>>()?;
    let calls = ours("calls")?;
    let theirs = match &peer {
        Some(peer) => peer.figures(arguments)?,
        None => Value::Null,
    };
    let aggregations = ours("aggregations")?;
    let mut table = Table::default();
    let firsts = |key: &str| first.iter().map(|own| own[key].clone()).collect();
    table.heading("milliseconds to a plugin that can be called, from cached code");
    table.time("engine, once in a process", &firsts("engine"), 1e3, None)?;
    table.time("engine and first plugin", &firsts("both"), 1e3, None)?;
    for (name, times) in members(&calls["ready"])? {
        table.time(&format!("further plugin: {name}"), times, 1e3, Some(READY))?;
    }
    if peer.is_some() {
        table.time("Extism: engine and plugin", &theirs["ready"], 1e3, None)?;
    }
    table.heading("microseconds of a call that does nothing");
    for (name, times) in members(&calls["nothing"])? {
        let name = format!("{name}, fresh instance");
        table.time(&name, times, 1e6, Some(NOTHING))?;
    }
    if peer.is_some() {
        for (name, times) in members(&theirs["nothing"])? {
            table.time(&format!("Extism: nothing, {name}"), times, 1e6, None)?;
        }
    }
    let (updates, millions) = (arguments.updates, arguments.size as f64 / 1e6);
    table.heading(&format!(
        "milliseconds of {updates} updates of {millions:.1} M scalars, {} threads",
        arguments.threads
    ));
    for (name, sides) in members(&aggregations)? {
        let wall = |side: &str| &sides[side]["wall"];
        table.time(name, wall("guarded"), 1e3, None)?;
        // Of processor time, which a busy machine changes less; what disturbs a turn only ever adds to it.
        let busy = |side: &str| least(&sides[side]["processor"]);
        let (with, without) = (busy("guarded")?, busy("unguarded")?);
        table.ratio("  deadline and canonical NaN", with / without, GUARDED);
        if sides["native"].is_object() {
            table.time("  its source native", wall("native"), 1e3, None)?;
            let ratio = least(wall("guarded"))? / least(wall("native"))?;
            table.ratio("  to native, wall time", ratio, BLOCKS);
        }
    }
    if peer.is_some() {
        for (name, times) in members(&theirs["fedavg"])? {
            table.time(&format!("Extism: fedavg, {name}"), times, 1e3, None)?;
        }
    }
    println!("{}", table.figures());
    Ok(())
}

/// The peer, built.
struct Extism {
    program: PathBuf,
    guest: PathBuf,
    cache: PathBuf,
}

impl Extism {
    /// Builds the project beside this workspace, which has a lock of its own.
    fn build(toolchain: &Toolchain) -> Result<Self> {
        let folder = root().join("tests/bench/extism");
        let out = target().join("bench-extism");
        let build = |mut cargo: Command| -> Command {
            cargo.current_dir(&folder);
            cargo.args(["build", "--release", "--locked", "--target-dir"]);
            cargo.arg(&out);
            cargo
        };
        start(&mut build(cargo()))?;
        let mut guest = build(toolchain.cargo());
        guest.args(["--package", "bench-extism-guest", "--target", TARGET]);
        // The code generation that our plugins get.
        for setting in ["lto=true", "codegen-units=1", "panic=\"abort\""] {
            guest.args(["--config", &format!("profile.release.{setting}")]);
        }
        let simd = format!("target.{TARGET}.rustflags=[\"-Ctarget-feature=+simd128\"]");
        start(guest.args(["--config", &simd]))?;
        Ok(Self {
            program: out.join("release/bench-extism"),
            guest: out.join(TARGET).join("release/bench_extism_guest.wasm"),
            cache: out.join("compiled"),
        })
    }

    fn figures(&self, arguments: &Arguments) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args([&self.guest, &self.cache]);
        let numbers = [arguments.updates, arguments.size, arguments.repeats];
        command.args(numbers.map(|number| number.to_string()));
        figures(&mut command)
    }
}

/// What is printed, and the same as figures.
#[derive(Default)]
struct Table {
    section: String,
    figures: Map<String, Value>,
}

impl Table {
    fn heading(&mut self, text: &str) {
        println!(
            "\n{text}\n{:<44} {:>9} {:>9} {:>9}",
            "", "median", "least", "target"
        );
        self.section = text.to_owned();
    }

    /// A line of times in seconds, shown as `unit` parts of one.
    fn time(&mut self, name: &str, times: &Value, unit: f64, target: Option<f64>) -> Result<()> {
        let (middle, least) = (median(numbers(times)?), least(times)?);
        println!(
            "{name:<44} {:>9.2} {:>9.2} {:>9}",
            middle * unit,
            least * unit,
            target.map_or_else(String::new, |own| format!("{:.0}", own * unit))
        );
        self.add(
            name,
            json!({ "median": middle, "least": least, "target": target }),
        );
        Ok(())
    }

    fn ratio(&mut self, name: &str, ratio: f64, target: f64) {
        println!("{name:<44} {ratio:>8.2}x {:>9} {target:>8.1}x", "");
        self.add(name, json!({ "ratio": ratio, "target": target }));
    }

    fn add(&mut self, name: &str, figure: Value) {
        let section = self.figures.entry(&self.section);
        let section = section.or_insert_with(|| Map::new().into());
        // A line that is set in belongs to the one before it.
        let before = section
            .as_object()
            .and_then(|all| all.keys().rfind(|key| !key.contains(':')));
        let name = match (name.strip_prefix("  "), before) {
            (Some(own), Some(before)) => format!("{before}: {own}"),
            _ => name.to_owned(),
        };
        section[name] = figure;
    }

    fn figures(&self) -> Value {
        self.figures.clone().into()
    }
}

fn members(value: &Value) -> Result<impl Iterator<Item = (&String, &Value)>> {
    Ok(value.as_object().context("no figures")?.iter())
}

fn numbers(value: &Value) -> Result<Vec<f64>> {
    let all = value.as_array().context("no figures")?.iter();
    Ok(all.filter_map(Value::as_f64).collect())
}

fn least(times: &Value) -> Result<f64> {
    Ok(numbers(times)?.into_iter().fold(f64::INFINITY, f64::min))
}
