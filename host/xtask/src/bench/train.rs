//! LoRA steps beside PyTorch, transformers and PEFT.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::{cache, cached_model, figures, median, set_up_python, target};
use crate::{cargo, root, start};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The GGUF model; SmolLM2-135M-Instruct from the cache where it is not given
    #[arg(long)]
    pub(super) model: Option<PathBuf>,
    /// A Python with torch, transformers, peft and gguf; one is set up under target/ where it is not given
    #[arg(long)]
    pub(super) python: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long)]
    pub(super) case: Option<String>,
    /// Steps of a turn, one more being thrown away
    #[arg(long, default_value_t = 2)]
    pub(super) steps: usize,
    /// Turns of each side
    #[arg(long, default_value_t = 2)]
    pub(super) turns: usize,
    #[arg(long, default_value_t = 2)]
    pub(super) threads: usize,
    /// `cpu`, or `cuda` for both sides: other cases, of published shapes with made-up weights
    #[arg(long, default_value = "cpu")]
    pub(super) device: String,
}

/// The same work on both sides.
struct Case {
    name: &'static str,
    /// What both get.
    both: &'static str,
    /// What folkmoot gets besides.
    ours: &'static str,
    /// What PyTorch gets besides; none: nothing of PyTorch's is like it, and the case before is its peer.
    theirs: Option<&'static str>,
}

const CASES: [Case; 12] = [
    Case {
        name: "equal work: 4 x 512, all labelled, f32",
        both: "--batch 4 --length 512 --labelled 511",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "equal work: 4 x 512, all labelled, bf16",
        both: "--batch 4 --length 512 --labelled 511 --dtype bf16",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "equal work: 4 x 512, all labelled, r 32 on all, f32",
        both: "--batch 4 --length 512 --labelled 511 --rank 32 --targets all",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "equal work: 4 x 512, all labelled, recomputed, f32",
        both: "--batch 4 --length 512 --labelled 511 --recompute",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "completion only: 4 x 512, 128 labelled, f32",
        both: "--batch 4 --length 512 --labelled 128",
        ours: "",
        theirs: Some("--head all"),
    },
    Case {
        name: "completion only: 4 x 512, 128 labelled, bf16",
        both: "--batch 4 --length 512 --labelled 128 --dtype bf16",
        ours: "",
        theirs: Some("--head all"),
    },
    Case {
        name: "completion only: 16 x 512, 128 labelled, f32",
        both: "--batch 16 --length 512 --labelled 128",
        ours: "",
        theirs: Some("--head all"),
    },
    Case {
        name: "ragged: 16 real rows, f32",
        both: "--batch 16 --rows ROWS",
        ours: "",
        theirs: Some("--head all"),
    },
    Case {
        name: "ragged: 16 real rows, bf16",
        both: "--batch 16 --rows ROWS --dtype bf16",
        ours: "",
        theirs: Some("--head all"),
    },
    Case {
        name: "ragged: 4 real rows, r 32 on all, f32",
        both: "--batch 4 --rows ROWS --rank 32 --targets all",
        ours: "",
        theirs: Some("--head all"),
    },
    Case {
        name: "quantised: 4 x 512, base in f32",
        both: "--batch 4 --length 512 --labelled 128",
        ours: "",
        theirs: None,
    },
    Case {
        name: "quantised: 4 x 512, base in the file's 4 and 8 bits",
        both: "--batch 4 --length 512 --labelled 128",
        ours: "--as-stored",
        theirs: None,
    },
];

/// On a GPU: no file is needed.
const CUDA_CASES: [Case; 5] = [
    Case {
        name: "smollm2-135m: 16 x 512, all labelled, f32",
        both: "--random smollm2-135m --batch 16 --length 512 --labelled 511",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "smollm2-135m: 16 x 512, all labelled, bf16",
        both: "--random smollm2-135m --batch 16 --length 512 --labelled 511 --dtype bf16",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "llama-3.2-1b: 8 x 512, 128 labelled, bf16",
        both: "--random llama-3.2-1b --batch 8 --length 512 --labelled 128 --dtype bf16",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "llama-2-7b: 4 x 512, 128 labelled, bf16",
        both: "--random llama-2-7b --batch 4 --length 512 --labelled 128 --dtype bf16",
        ours: "",
        theirs: Some("--head labelled"),
    },
    Case {
        name: "llama-2-7b: 4 x 512, 128 labelled, recomputed, bf16",
        both: "--random llama-2-7b --batch 4 --length 512 --labelled 128 --dtype bf16 --recompute",
        ours: "",
        theirs: Some("--head labelled"),
    },
];

/// What one side came to.
#[derive(Default)]
struct Figures {
    seconds: Vec<f64>,
    tokens: Vec<f64>,
    peak: f64,
    base: f64,
    losses: Vec<f64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let cuda = match arguments.device.as_str() {
        "cpu" => false,
        "cuda" => true,
        other => bail!("--device {other}: cpu or cuda"),
    };
    let examples = target().join("release/examples");
    if cuda {
        const CUDA: [&str; 7] = [
            "build",
            "--release",
            "--package",
            "folkmoot-train",
            "--features",
            "cuda",
            "--example",
        ];
        start(cargo().args(CUDA).arg("steps"))?;
    } else {
        for example in ["steps", "rows"] {
            start(cargo().args(["build", "--release", "--workspace", "--example", example]))?;
        }
    }
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => set_up_python(
            &target().join("bench-python"),
            &[
                "torch==2.15.0",
                "transformers==5.23.0",
                "peft==0.21.2",
                "gguf",
                "numpy",
            ],
        )?,
    };
    let rows = target().join("bench-rows.json");
    let model = match cuda {
        true => None,
        false => Some(prepare(arguments, &examples, &rows)?),
    };
    let script = root().join("tests/golden/bench_train.py");
    let wanted = |case: &&Case| {
        arguments
            .case
            .as_ref()
            .is_none_or(|own| case.name.contains(own.as_str()))
    };
    let all: &[Case] = if cuda { &CUDA_CASES } else { &CASES };
    let cases: Vec<&Case> = all.iter().filter(wanted).collect();
    ensure!(!cases.is_empty(), "no case has that in its name");
    println!(
        "LoRA steps{}, r 8 on q_proj and v_proj where nothing else is said, AdamW, {} threads, {}; medians of {} steps in {} turns of each side, alternating",
        model
            .iter()
            .filter_map(|model| model.file_name())
            .map(|name| format!(" of `{}`", name.to_string_lossy()))
            .collect::<String>(),
        arguments.threads,
        arguments.device,
        arguments.steps * arguments.turns,
        arguments.turns,
    );
    println!(
        "| | folkmoot s/step | PEFT s/step | speed | folkmoot tokens/s | folkmoot MiB | PEFT MiB | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases {
        let (mut ours, mut theirs) = (Figures::default(), Figures::default());
        for _ in 0..arguments.turns {
            let mut command = Command::new(examples.join("steps"));
            add(&mut command, &[case.both, case.ours], &rows);
            measure(command, model.as_deref(), arguments, &mut ours)?;
            if let Some(own) = case.theirs {
                let mut command = Command::new(&python);
                command.arg(&script);
                add(&mut command, &[case.both, own], &rows);
                measure(command, model.as_deref(), arguments, &mut theirs)?;
            }
        }
        check(case, &ours, &theirs)?;
        println!("{}", line(case, ours, theirs));
    }
    Ok(())
}

/// The model's file, after writing real rows in its tokens to `rows`.
fn prepare(arguments: &Arguments, examples: &Path, rows: &Path) -> Result<PathBuf> {
    let cache = cache()?;
    let model = match &arguments.model {
        Some(model) => model.clone(),
        None => cached_model(&cache)?,
    };
    let output = Command::new(examples.join("rows"))
        .args([&model, &cache.join("files")])
        .args(["vader-sentiment", &(16 * (arguments.steps + 1)).to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rows: {said}");
    std::fs::write(rows, output.stdout)?;
    Ok(model)
}

fn add(command: &mut Command, words: &[&str], rows: &Path) {
    for word in words.iter().flat_map(|words| words.split_whitespace()) {
        match word {
            "ROWS" => command.arg(rows),
            word => command.arg(word),
        };
    }
}

fn measure(
    mut command: Command,
    model: Option<&Path>,
    arguments: &Arguments,
    side: &mut Figures,
) -> Result<()> {
    if let Some(model) = model {
        command.arg("--model").arg(model);
    }
    command.args(["--device", &arguments.device]);
    command.args(["--steps", &arguments.steps.to_string()]);
    command.args(["--threads", &arguments.threads.to_string()]);
    let found = figures(&mut command)?;
    let list = |key: &str| -> Vec<f64> {
        let values = found[key].as_array().into_iter().flatten();
        values.filter_map(Value::as_f64).collect()
    };
    side.seconds.extend(list("seconds"));
    side.tokens = list("tokens");
    side.losses = list("loss");
    let peak = ["peak_device_mib", "peak_rss_mib"];
    let peak = peak.into_iter().find_map(|key| found[key].as_f64());
    side.peak = side.peak.max(peak.unwrap_or_default());
    side.base = found["base_mib"].as_f64().unwrap_or_default();
    Ok(())
}

/// Both sides did the same work: their losses agree. In bf16 the first ones do; what is rounded differently
/// makes other steps of it.
fn check(case: &Case, ours: &Figures, theirs: &Figures) -> Result<()> {
    let (bound, steps) = match case.both.contains("bf16") {
        true => (1e-2, 1),
        false => (1e-3, usize::MAX),
    };
    for (own, their) in ours.losses.iter().zip(&theirs.losses).take(steps) {
        if (own / their - 1.0).abs() > bound {
            bail!(
                "{}: losses {:?} and {:?}",
                case.name,
                ours.losses,
                theirs.losses
            );
        }
    }
    Ok(())
}

fn line(case: &Case, ours: Figures, theirs: Figures) -> String {
    let tokens = ours.tokens.iter().skip(1).sum::<f64>() / (ours.tokens.len() - 1).max(1) as f64;
    let own = median(ours.seconds);
    let (peer, speed, their_peak, memory) = match case.theirs {
        None => (
            "".into(),
            "".into(),
            format!("base {:.0}", ours.base),
            "".into(),
        ),
        Some(_) => {
            let their = median(theirs.seconds);
            (
                format!("{their:.2}"),
                format!("{:.2}x", their / own),
                format!("{:.0}", theirs.peak),
                format!("{:.2}x", ours.peak / theirs.peak),
            )
        }
    };
    format!(
        "| {} | {own:.2} | {peer} | {speed} | {:.0} | {:.0} | {their_peak} | {memory} |",
        case.name,
        tokens / own,
        ours.peak,
    )
}
