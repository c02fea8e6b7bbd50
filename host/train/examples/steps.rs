//! Times training steps: the folkmoot side of `cargo xtask bench train`. Prints one line of JSON.

#![allow(clippy::print_stdout, reason = "a program's own output")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use folkmoot_params::Seed;
use folkmoot_train::{
    Adapter, Base, Batch, Compute, Example, Form, Learner, Optimizer, OptimizerKind, Place,
    Quantize, Step, clip, hashed_ids,
};
use serde::Deserialize;

#[derive(Parser)]
struct Arguments {
    /// A `.gguf` file or a folder
    #[arg(long, required_unless_present = "random")]
    model: Option<PathBuf>,
    /// A published shape with weights from a hash instead
    #[arg(long)]
    random: Option<String>,
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Tokens of a row, all of them hashed
    #[arg(long, default_value_t = 256)]
    length: usize,
    /// Trained tokens at the end of each row
    #[arg(long, default_value_t = 255)]
    labelled: usize,
    /// Real rows instead: JSON with `ids` and `trained` of each, taken a batch at a time
    #[arg(long)]
    rows: Option<PathBuf>,
    #[arg(long, default_value_t = 3)]
    steps: usize,
    #[arg(long, default_value_t = 1)]
    warmup: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// `qv`, or `all` linear layers
    #[arg(long, default_value = "qv")]
    targets: String,
    /// `f32` or `bf16`
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// `q8_0`, `q4_k`, `nf4`, or `none`: f32 whatever the file holds
    #[arg(long, default_value = "none")]
    quantize: String,
    /// The weights as the file holds them
    #[arg(long)]
    as_stored: bool,
    #[arg(long)]
    recompute: bool,
    /// `cpu`, `cuda`, or `candle`: what a GPU runs, on the CPU
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Prints norms of the first gradient
    #[arg(long)]
    check: bool,
}

#[derive(Deserialize)]
struct Rows {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    ids: Vec<u32>,
    trained: Vec<bool>,
}

fn main() -> Result<()> {
    folkmoot_train::keep_freed_memory();
    let arguments = Arguments::parse();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads)
        .build()?;
    pool.install(|| run(&arguments))
}

fn run(arguments: &Arguments) -> Result<()> {
    let quantize: Quantize = serde_json::from_value(arguments.quantize.clone().into())
        .with_context(|| format!("--quantize {}", arguments.quantize))?;
    let form = Form {
        place: match arguments.device.as_str() {
            "cpu" => Place::Cpu,
            "cuda" => Place::Cuda(0),
            "candle" => Place::Candle,
            other => bail!("--device {other}: cpu, cuda or candle"),
        },
        quantize: (!arguments.as_stored).then_some(quantize),
        compute: match arguments.dtype.as_str() {
            "f32" => Compute::F32,
            "bf16" => Compute::Bf16,
            other => bail!("--dtype {other}: f32 or bf16"),
        },
    };
    let base = match (&arguments.model, &arguments.random) {
        (_, Some(name)) => Base::hashed(name, form)?,
        (Some(model), None) => Arc::new(Base::read(model, form)?),
        (None, None) => bail!("--model or --random is missing"),
    };
    let a = base.architecture();
    let adapter = Adapter {
        rank: arguments.rank,
        alpha: 2.0 * arguments.rank as f64,
        projections: match arguments.targets.as_str() {
            "qv" => vec!["q_proj".into(), "v_proj".into()],
            "all" => vec!["all".into()],
            other => bail!("--targets {other}: qv or all"),
        },
        ..Adapter::default()
    };
    let mut params = adapter.hashed(a)?;
    let all = arguments.warmup + arguments.steps;
    let rows = rows(arguments, a.vocabulary)?;
    ensure!(
        rows.len() >= arguments.batch * if arguments.rows.is_some() { all } else { 1 },
        "{} rows are too few",
        rows.len()
    );
    let loaded = peak_rss_mib();
    let learner = Learner::new(&base, &adapter, &params, arguments.recompute)?;
    let mut optimizer = Optimizer::new(OptimizerKind::default(), params.count(), 0.0);
    let frozen = vec![false; params.count()];
    let (mut seconds, mut losses, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut gradient_norm = None;
    for step in 0..all {
        let first = match arguments.rows {
            Some(_) => step * arguments.batch,
            None => 0,
        };
        let batch: Vec<&Example> = rows[first..first + arguments.batch].iter().collect();
        let batch = Batch::Examples(&batch);
        let started = Instant::now();
        let of = batch.count();
        let at = Step { of, seed: Seed(0) };
        let (loss, mut gradient) = learner.loss_and_gradient(&params, batch, at)?;
        let norm = clip(&mut gradient, 1.0);
        gradient_norm.get_or_insert(norm);
        let mut w = params.values().to_vec();
        optimizer.step(&mut w, &gradient, &frozen, 1e-3);
        params = params.with_values(w)?;
        // The first step touches fresh memory: it is not timed, on either side.
        if step >= arguments.warmup {
            seconds.push(started.elapsed().as_secs_f64());
        }
        losses.push(loss.mean);
        tokens.push(loss.tokens);
    }
    let figures = serde_json::json!({
        "seconds": seconds,
        "loss": losses,
        "tokens": tokens,
        "loaded_rss_mib": loaded,
        "peak_rss_mib": peak_rss_mib(),
        "base_mib": base.bytes() as f64 / f64::from(1 << 20),
        "gradient": gradient_norm.filter(|_| arguments.check),
        "notes": base.notes(),
    });
    println!("{figures}");
    Ok(())
}

fn rows(arguments: &Arguments, vocabulary: usize) -> Result<Vec<Example>> {
    if let Some(path) = &arguments.rows {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading `{}`", path.display()))?;
        let read: Rows = serde_json::from_str(&text).context("--rows")?;
        let example = |row: Row| Example {
            ids: row.ids,
            trained: row.trained,
        };
        return Ok(read.rows.into_iter().map(example).collect());
    }
    let (length, labelled) = (arguments.length, arguments.labelled);
    ensure!(
        labelled > 0 && labelled < length,
        "--labelled is from 1 to --length - 1"
    );
    let ids = hashed_ids(arguments.batch * length, vocabulary);
    let rows = ids.chunks(length).map(|ids| Example {
        ids: ids.to_vec(),
        trained: (0..length).map(|at| at >= length - labelled).collect(),
    });
    Ok(rows.collect())
}

/// The most memory this process had, from the kernel's accounts; 0 where there are none.
fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
