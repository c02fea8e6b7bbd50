//! A LoRA step beside PyTorch, transformers and PEFT.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::{median, set_up_python, target};
use crate::{cargo, root, start};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The GGUF model; SmolLM2-135M-Instruct from the cache where it is not given
    #[arg(long)]
    pub(super) model: Option<PathBuf>,
    /// A Python with torch, transformers, peft and gguf; one is set up under target/ where it is not given
    #[arg(long)]
    pub(super) python: Option<PathBuf>,
    /// Rows of a step
    #[arg(long, default_value_t = 4)]
    pub(super) batch: usize,
    /// Tokens of a row
    #[arg(long, default_value_t = 256)]
    pub(super) length: usize,
    /// Trained tokens at the end of each row
    #[arg(long, default_value_t = 154)]
    pub(super) labelled: usize,
    /// Steps of a turn, one more being thrown away
    #[arg(long, default_value_t = 3)]
    pub(super) steps: usize,
    /// Turns of each side
    #[arg(long, default_value_t = 3)]
    pub(super) turns: usize,
    #[arg(long, default_value_t = 2)]
    pub(super) threads: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments {
        model,
        python,
        batch,
        length,
        labelled,
        steps,
        turns,
        threads,
    } = arguments;
    start(cargo().args(["build", "--release", "--workspace", "--example", "steps"]))?;
    let target = target();
    let model = match model {
        Some(model) => model.clone(),
        None => cached_model()?,
    };
    let python = match python {
        Some(python) => python.clone(),
        None => set_up_python(
            &target.join("bench-python"),
            &[
                "torch==2.15.0",
                "transformers==5.23.0",
                "peft==0.21.2",
                "gguf",
                "numpy",
            ],
        )?,
    };
    let work = [
        ("--batch", *batch),
        ("--length", *length),
        ("--labelled", *labelled),
        ("--steps", *steps),
        ("--threads", *threads),
    ];
    let work: Vec<String> = work
        .iter()
        .flat_map(|(flag, value)| [(*flag).to_owned(), value.to_string()])
        .collect();
    let script = root().join("tests/golden/bench_train.py");
    let sides: [(&str, Side); 3] = [
        (
            "folkmoot",
            Box::new(|| Command::new(target.join("release/examples/steps"))),
        ),
        (
            "peft, head at labelled positions",
            Box::new(|| torch(&python, &script, "labelled")),
        ),
        (
            "peft, head everywhere (its default)",
            Box::new(|| torch(&python, &script, "all")),
        ),
    ];
    let mut seconds = vec![Vec::new(); sides.len()];
    let mut memory = vec![0f64; sides.len()];
    for turn in 0..*turns {
        for (index, (name, command)) in sides.iter().enumerate() {
            let mut command = command();
            command.arg("--model").arg(&model).args(&work);
            let output = command
                .output()
                .with_context(|| format!("starting {command:?}"))?;
            ensure!(
                output.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8_lossy(&output.stdout);
            let line = text
                .lines()
                .rfind(|line| line.starts_with('{'))
                .context("no figures")?;
            let figures: Value = serde_json::from_str(line)?;
            let own = figures["seconds"].as_array().context("no seconds")?;
            let own: Vec<f64> = own.iter().filter_map(Value::as_f64).collect();
            eprintln!("turn {}, {name}: {own:.2?} s", turn + 1);
            memory[index] = memory[index].max(figures["peak_rss_mib"].as_f64().unwrap_or_default());
            seconds[index].extend(own);
        }
    }
    let medians: Vec<f64> = seconds.into_iter().map(median).collect();
    println!(
        "one LoRA step (r 8, q_proj and v_proj, AdamW, f32), {batch} rows of {length} tokens, {labelled} trained each, {threads} threads"
    );
    for (((name, _), median), memory) in sides.iter().zip(&medians).zip(&memory) {
        println!(
            "{name:<36} {median:>7.3} s/step {:>7.0} tokens/s {:>6.2}x folkmoot's time, peak {memory:.0} MiB",
            (batch * length) as f64 / median,
            median / medians[0]
        );
    }
    Ok(())
}

/// Makes the command of one side.
type Side<'a> = Box<dyn Fn() -> Command + 'a>;

fn torch(python: &PathBuf, script: &PathBuf, head: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(script).args(["--head", head]);
    command
}

/// Where the program keeps the quickstart's model.
fn cached_model() -> Result<PathBuf> {
    let cache = match (
        std::env::var_os("FOLKMOOT_CACHE"),
        std::env::var_os("XDG_CACHE_HOME"),
        std::env::var_os("HOME"),
    ) {
        (Some(folder), _, _) => PathBuf::from(folder),
        (None, Some(folder), _) => PathBuf::from(folder).join("folkmoot"),
        (None, None, Some(home)) => PathBuf::from(home).join(".cache/folkmoot"),
        _ => anyhow::bail!("no cache folder is known; give --model"),
    };
    let model = cache.join("files/SmolLM2-135M-Instruct.Q4_1.gguf");
    ensure!(
        model.is_file(),
        "`{}` is not there: run `cargo xtask quickstart` once, or give --model",
        model.display()
    );
    Ok(model)
}
