//! Times training steps: the folkmoot side of `cargo xtask bench train`. Prints one line of JSON.

#![allow(clippy::print_stdout, reason = "a program's own output")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use folkmoot_params::Seed;
use folkmoot_train::{AdamW, Adapter, Base, Example, Projection, clip, loss_and_gradient};
use rand::RngExt;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let word = |flag: &str| {
        words
            .iter()
            .position(|word| word == flag)
            .and_then(|at| words.get(at + 1))
    };
    let number = |flag: &str| -> Result<usize> {
        word(flag)
            .with_context(|| format!("{flag} is missing"))?
            .parse()
            .with_context(|| flag.to_owned())
    };
    let (rows, length, labelled) = (
        number("--batch")?,
        number("--length")?,
        number("--labelled")?,
    );
    let (steps, threads) = (number("--steps")?, number("--threads")?);
    let base = Arc::new(Base::read(Path::new(
        word("--model").context("--model is missing")?,
    ))?);
    let adapter = Adapter {
        rank: 8,
        alpha: 16.0,
        projections: vec![Projection::QProj, Projection::VProj],
    };
    let mut params = adapter.init(base.architecture(), Seed(0))?;
    let mut rng = Seed(1).rng();
    let mut batch = Vec::new();
    for _ in 0..rows {
        batch.push(Example {
            ids: (0..length)
                .map(|_| rng.random_range(0..base.architecture().vocabulary as u32))
                .collect(),
            trained: (0..length).map(|at| at >= length - labelled).collect(),
        });
    }
    let batch: Vec<&Example> = batch.iter().collect();
    let mut optimizer = AdamW::new(params.count(), 0.0);
    let frozen = vec![false; params.count()];
    let (mut seconds, mut losses) = (Vec::new(), Vec::new());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    pool.install(|| -> Result<()> {
        for step in 0..=steps {
            let started = Instant::now();
            let (loss, mut gradient) = loss_and_gradient(&base, &adapter, &params, &batch)?;
            clip(&mut gradient, 1.0);
            let mut w = params.values().to_vec();
            optimizer.step(&mut w, &gradient, &frozen, 1e-3);
            params = params.with_values(w)?;
            // The first step touches fresh memory: it is not timed, on either side.
            if step > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
            losses.push(loss.mean);
        }
        Ok(())
    })?;
    let figures =
        serde_json::json!({ "seconds": seconds, "loss": losses, "peak_rss_mib": peak_rss_mib() });
    println!("{figures}");
    Ok(())
}

/// The most memory this process had, from the kernel's accounts; 0 where there are none.
fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
