//! Benchmarks: ratios to a named peer on the same work, measured in one run, side by side.

mod aggregate;
mod train;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::{root, start};

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Seconds of a LoRA training step beside PyTorch + transformers + PEFT, alternating
    Train(train::Arguments),
    /// Milliseconds of an aggregation: WASM, native, by hand, Flower's numpy, and what the memory allows
    Aggregate(aggregate::Arguments),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Train(arguments) => train::run(arguments),
        Bench::Aggregate(arguments) => aggregate::run(arguments),
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
    if !python.is_file() {
        eprintln!(
            "setting up {} in `{}`",
            packages.join(", "),
            folder.display()
        );
        start(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        start(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .args(packages),
        )?;
    }
    Ok(python)
}
