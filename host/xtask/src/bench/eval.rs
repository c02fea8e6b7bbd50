//! Multiple-choice questions per second beside transformers and lm-evaluation-harness.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::{cache, cached_model, figures, median, set_up_python, target};
use crate::{build_program, program, root};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The GGUF model; SmolLM2-135M-Instruct from the cache where it is not given
    #[arg(long)]
    model: Option<PathBuf>,
    /// A Python with torch, transformers, gguf and lm-eval; one is set up under target/ where it is not given
    #[arg(long)]
    python: Option<PathBuf>,
    /// Benchmarks that are asked by likelihood; more than one with commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "mmlu:packaged-1000,mmlu:packaged"
    )]
    benchmarks: Vec<String>,
    /// Questions of each
    #[arg(long, default_value_t = 40)]
    limit: usize,
    /// Turns of each side
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Rows that the others put through the model at once
    #[arg(long, default_value_t = 8)]
    batch: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.turns > 0, "a side needs a turn");
    build_program()?;
    let folder = target().join("bench-eval");
    fs::create_dir_all(&folder)?;
    let model = match &arguments.model {
        Some(model) => model.clone(),
        None => cached_model(&cache()?)?,
    };
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => set_up_python(
            &folder.join("python"),
            &["torch", "transformers", "gguf", "lm-eval", "accelerate"],
        )?,
    };
    println!(
        "Questions per second, medians of {} turns; {} threads, others {} rows at a time\n",
        arguments.turns, arguments.threads, arguments.batch
    );
    println!(
        "| benchmark | questions | folkmoot | lm-evaluation-harness | transformers | ratios | largest difference of \
         log-likelihoods |"
    );
    println!("|---|---|---|---|---|---|---|");
    for benchmark in &arguments.benchmarks {
        one(arguments, benchmark, &model, &python, &folder)?;
    }
    Ok(())
}

fn one(
    arguments: &Arguments,
    benchmark: &str,
    model: &Path,
    python: &Path,
    folder: &Path,
) -> Result<()> {
    let questions = folder.join("questions.jsonl");
    let (mut ours, mut seconds) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    let mut off: f64 = 0.0;
    for turn in 1..=arguments.turns {
        eprintln!("{benchmark}, turn {turn} of {}: folkmoot", arguments.turns);
        let out = folder.join("out");
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        let mut command = Command::new(program());
        command
            .args(["eval", "--benchmark", benchmark, "--model"])
            .arg(model)
            .args(["--limit", &arguments.limit.to_string()])
            .args(["--threads", &arguments.threads.to_string(), "--out"])
            .arg(&out);
        let output = command.output().context("starting folkmoot")?;
        ensure!(
            output.status.success(),
            "folkmoot eval: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let results: Value = serde_json::from_str(&fs::read_to_string(out.join("results.json"))?)?;
        let own = results
            .pointer("/results/0/seconds")
            .and_then(Value::as_f64);
        seconds[0].push(own.context("no seconds in results.json")?);
        ours = asked(
            &out.join(format!("{}.jsonl", benchmark.replace(':', "-"))),
            &questions,
        )?;
        for (side, name) in ["lm-eval", "transformers"].iter().enumerate() {
            eprintln!("{benchmark}, turn {turn} of {}: {name}", arguments.turns);
            let mut command = Command::new(python);
            command
                .arg(root().join("tests/golden/bench_eval.py"))
                .args(["--side", name, "--model"])
                .arg(model)
                .arg("--questions")
                .arg(&questions)
                .args(["--batch", &arguments.batch.to_string()])
                .args(["--threads", &arguments.threads.to_string()]);
            let theirs = figures(&mut command)?;
            let own = theirs["seconds"].as_f64().context("no seconds")?;
            seconds[side + 1].push(own);
            let sums = theirs["sums"].as_array().context("no sums")?;
            ensure!(
                sums.len() == ours.len(),
                "{} sums for {}",
                sums.len(),
                ours.len()
            );
            for (own, theirs) in ours.iter().zip(sums) {
                off = off.max((own - theirs.as_f64().unwrap_or(f64::NAN)).abs());
            }
        }
    }
    ensure!(
        off.is_finite() && !ours.is_empty(),
        "no log-likelihoods to compare"
    );
    let count = fs::read_to_string(&questions)?.lines().count();
    let [own, harness, transformers] = seconds.map(median);
    let rate = |seconds: f64| format!("{:.2}", count as f64 / seconds);
    println!(
        "| {benchmark} | {count} | {} | {} | {} | {:.1}x, {:.1}x | {off:.1e} |",
        rate(own),
        rate(harness),
        rate(transformers),
        harness / own,
        transformers / own
    );
    Ok(())
}

/// Writes the questions of a record for the others, and gives our log-likelihoods in their order.
fn asked(record: &Path, questions: &Path) -> Result<Vec<f64>> {
    let (mut sums, mut lines) = (Vec::new(), String::new());
    for line in fs::read_to_string(record)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        let answers = row["answers"].as_array().context("no answers")?;
        let own = answers.iter().map(|own| own["log_likelihood"].as_f64());
        sums.extend(
            own.collect::<Option<Vec<f64>>>()
                .context("no likelihoods")?,
        );
        let choices = row["row"]["choices"].as_array().context("no choices")?;
        let texts = match choices.len() == answers.len() {
            // By letter.
            true => (0..choices.len()).map(|at| format!(" {}", (b'A' + at as u8) as char)),
            false => anyhow::bail!("{} answers for {} choices", answers.len(), choices.len()),
        };
        let question = json!({
            "context": row["row"]["prompt"],
            "continuations": texts.collect::<Vec<_>>(),
        });
        lines.push_str(&format!("{question}\n"));
    }
    fs::write(questions, lines)?;
    Ok(sums)
}
