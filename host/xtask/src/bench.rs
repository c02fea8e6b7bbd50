//! Benchmarks: ratios to a named peer on the same work, measured in one run, side by side.

mod aggregate;
mod data;
mod eval;
mod plugin;
mod train;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use serde_json::Value;

use crate::{root, start};

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Seconds of a LoRA training step beside PyTorch + transformers + PEFT, alternating
    Train(train::Arguments),
    /// Milliseconds of an aggregation: WASM, native, by hand, Flower's numpy, and what the memory allows
    Aggregate(aggregate::Arguments),
    /// Seconds from files to tokens beside TRL and tokenizers, and from rows to clients beside Flower Datasets
    Data(data::Arguments),
    /// Multiple-choice questions per second beside transformers and lm-evaluation-harness
    Eval(eval::Arguments),
    /// What the sandbox costs: a plugin made ready, a call that does nothing, guarded code, a block kernel; beside Extism
    Plugin(plugin::Arguments),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Train(arguments) => train::run(arguments),
        Bench::Aggregate(arguments) => aggregate::run(arguments),
        Bench::Data(arguments) => data::run(arguments),
        Bench::Eval(arguments) => eval::run(arguments),
        Bench::Plugin(arguments) => plugin::run(arguments),
    }
}

/// Where cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A Python with these packages, in a folder of its own.
fn set_up_python(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    // Written last: what was interrupted, or had other versions, is set up again.
    let (complete, wanted) = (folder.join("packages.txt"), packages.join("\n"));
    if !std::fs::read_to_string(&complete).is_ok_and(|found| found == wanted) {
        eprintln!(
            "setting up {} in `{}`",
            packages.join(", "),
            folder.display()
        );
        start(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(folder),
        )?;
        start(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .args(packages),
        )?;
        std::fs::write(&complete, wanted)
            .with_context(|| format!("writing `{}`", complete.display()))?;
    }
    Ok(python)
}

/// The JSON line that a side prints last.
fn figures(command: &mut Command) -> Result<Value> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .rfind(|line| line.starts_with('{'))
        .context("no figures")?;
    Ok(serde_json::from_str(line)?)
}

/// The program's cache.
fn cache() -> Result<PathBuf> {
    match (
        std::env::var_os("FOLKMOOT_CACHE"),
        std::env::var_os("XDG_CACHE_HOME"),
        std::env::var_os("HOME"),
    ) {
        (Some(folder), _, _) => Ok(PathBuf::from(folder)),
        (None, Some(folder), _) => Ok(PathBuf::from(folder).join("folkmoot")),
        (None, None, Some(home)) => Ok(PathBuf::from(home).join(".cache/folkmoot")),
        _ => bail!("no cache folder is known; give --model"),
    }
}

/// Where the program keeps the quickstart's model.
fn cached_model(cache: &Path) -> Result<PathBuf> {
    let model = cache.join("files/SmolLM2-135M-Instruct.Q4_1.gguf");
    ensure!(
        model.is_file(),
        "`{}` is not there: run `cargo xtask quickstart` once, or give --model",
        model.display()
    );
    Ok(model)
}
