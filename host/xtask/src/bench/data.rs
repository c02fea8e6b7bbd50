//! From a file to tokens beside TRL and `tokenizers`, and from rows to clients beside Flower Datasets.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;

use super::{cache, cached_model, figures, median, set_up_python, target};
use crate::{build_program, cargo, program, root, start};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The GGUF model; SmolLM2-135M-Instruct from the cache where it is not given
    #[arg(long)]
    model: Option<PathBuf>,
    /// A Python with trl, transformers and gguf; one is set up under target/ where it is not given
    #[arg(long)]
    python: Option<PathBuf>,
    /// A Python with flwr-datasets, which takes older `datasets`; also set up under target/
    #[arg(long)]
    flower_python: Option<PathBuf>,
    /// Only this: `tokens` or `clients`
    #[arg(long, value_parser = ["tokens", "clients"])]
    only: Option<String>,
    /// Instructions to tokenise
    #[arg(long, default_value_t = 50_000)]
    rows: usize,
    /// Turns of each side that tokenises
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Rows to deal out
    #[arg(long, default_value_t = 1_000_000)]
    labels: usize,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// Turns of each side that deals rows out
    #[arg(long, default_value_t = 3)]
    partition_turns: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

const MAX_LENGTH: &str = "512";

/// What is run, and the figures of its turns.
struct Side {
    name: String,
    command: Command,
    turns: Vec<Value>,
}

impl Side {
    fn new(name: impl Into<String>, command: Command) -> Self {
        Self {
            name: name.into(),
            command,
            turns: Vec::new(),
        }
    }

    /// The median of the figure at this JSON pointer; not a number where there is none.
    fn median(&self, pointer: &str) -> f64 {
        let values = self.turns.iter();
        let values = values.filter_map(|turn| turn.pointer(pointer)?.as_f64());
        median(values.collect())
    }
}

/// Turns of all sides, one after another, which come to the same figures at the pointers `same`.
fn alternate(sides: &mut [Side], turns: usize, same: &[&str]) -> Result<()> {
    let mut expected: Option<Vec<u64>> = None;
    for turn in 1..=turns {
        for side in &mut *sides {
            eprintln!("turn {turn} of {turns}: {}", side.name);
            let found = figures(&mut side.command)?;
            let number = |pointer: &&str| found.pointer(pointer).and_then(Value::as_u64);
            let own: Vec<u64> = same.iter().filter_map(number).collect();
            ensure!(
                own.len() == same.len(),
                "{}: not all of {same:?} are in {found}",
                side.name
            );
            let expected = expected.get_or_insert_with(|| own.clone());
            ensure!(
                own == *expected,
                "{}: {same:?} are {own:?}, while others have {expected:?}",
                side.name
            );
            side.turns.push(found);
        }
    }
    Ok(())
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.turns > 0 && arguments.partition_turns > 0,
        "a side needs a turn"
    );
    start(cargo().args(["build", "--release", "--workspace", "--example", "prepare"]))?;
    let folder = target().join("bench-data");
    std::fs::create_dir_all(&folder)?;
    let only = arguments.only.as_deref();
    if only != Some("clients") {
        tokens(arguments, &folder)?;
    }
    if only.is_none() {
        println!();
    }
    if only != Some("tokens") {
        clients(arguments, &folder)?;
    }
    Ok(())
}

/// A command that uses as many threads as were asked for.
fn threaded(command: impl AsRef<std::ffi::OsStr>, arguments: &Arguments) -> Command {
    let mut command = Command::new(command);
    command.env("RAYON_NUM_THREADS", arguments.threads.to_string());
    command
}

fn example() -> PathBuf {
    target().join("release/examples/prepare")
}

fn script() -> PathBuf {
    root().join("tests/golden/bench_data.py")
}

fn tokens(arguments: &Arguments, folder: &Path) -> Result<()> {
    let cache = cache()?;
    let model = match &arguments.model {
        Some(model) => model.clone(),
        None => cached_model(&cache)?,
    };
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => set_up_python(
            &target().join("bench-trl"),
            &[
                "trl==1.16.0",
                "transformers==5.23.0",
                "tokenizers==0.23.3",
                "datasets==5.2.0",
                "torch==2.15.0",
                "jinja2==3.1.6",
                "gguf==0.19.0",
            ],
        )?,
    };
    let rows = folder.join("instructions.jsonl");
    let mut write = Command::new(example());
    write.arg("instructions").arg(cache.join("files"));
    figures(write.arg(arguments.rows.to_string()).arg(&rows))?;

    println!(
        "From a file of {} instructions to token ids and masks under SmolLM2's tokenizer, at most {MAX_LENGTH} \
         tokens a row, {} threads; medians of {} turns of each side, alternating. Reading the file is counted, \
         imports, the tokenizer and the template are not; `tokenizers` keeps its rows in memory, the others write \
         them.\n",
        arguments.rows, arguments.threads, arguments.turns,
    );
    println!("| | s | M tokens/s | folkmoot's speed |");
    println!("|---|---|---|---|");
    for template in ["chatml", "alpaca"] {
        let mut ours = threaded(example(), arguments);
        ours.arg("tokens").arg(&model).args([template, MAX_LENGTH]);
        ours.arg(&rows);
        let theirs = |task: &str, more: &[&str]| {
            let mut command = threaded(&python, arguments);
            command.arg(script()).arg(task).arg(&rows);
            command.arg("--model").arg(&model);
            command.args(["--template", template, "--max-length", MAX_LENGTH]);
            command.args(more);
            command
        };
        let by_hand = |mask: &str| {
            let mut command = theirs("batch", &["--mask", mask]);
            command.env("TOKENIZERS_PARALLELISM", "true");
            command
        };
        let processes = arguments.threads.to_string();
        let mut sides = [
            Side::new("folkmoot", ours),
            Side::new(
                "`tokenizers` and jinja2, whole texts in batches, masks by offsets",
                by_hand("offsets"),
            ),
            Side::new(
                "`tokenizers` and jinja2, prompts and whole texts in batches",
                by_hand("prefix"),
            ),
            Side::new("TRL", theirs("trl", &[])),
            Side::new(
                format!("TRL, `dataset_num_proc={processes}`"),
                theirs("trl", &["--processes", &processes]),
            ),
        ];
        alternate(
            &mut sides,
            arguments.turns,
            &["/rows", "/tokens", "/trained"],
        )?;
        let tokens = sides[0].median("/tokens");
        println!(
            "| **{template}**: {} rows, {:.2} M tokens, {:.2} M of them trained | | | |",
            sides[0].median("/rows"),
            tokens / 1e6,
            sides[0].median("/trained") / 1e6,
        );
        for (figure, when) in [("/cold", ""), ("/warm", ", kept from before")] {
            let own = sides[0].median(figure);
            for (at, side) in sides.iter().enumerate() {
                let seconds = side.median(figure);
                // What is made by hand keeps nothing.
                if seconds.is_nan() {
                    continue;
                }
                let speed = match at {
                    0 => String::new(),
                    _ => format!("{:.1}x", seconds / own),
                };
                println!(
                    "| {}{when} | {seconds:.3} | {:.2} | {speed} |",
                    side.name,
                    tokens / seconds / 1e6,
                );
            }
        }
    }
    Ok(())
}

fn clients(arguments: &Arguments, folder: &Path) -> Result<()> {
    build_program()?;
    let python = match &arguments.flower_python {
        Some(python) => python.clone(),
        None => set_up_python(
            &target().join("bench-flower-datasets"),
            &["flwr-datasets==0.6.1", "datasets==4.8.5"],
        )?,
    };
    let mut write = Command::new(&python);
    write.arg(script()).arg("labels").arg(folder);
    figures(write.args(["--rows", &arguments.labels.to_string()]))?;

    println!(
        "{} rows with one of ten labels to {} clients by Dirichlet(0.5); medians of {} turns of each side, \
         alternating. Whole processes with all that they do, from start to end, where nothing else is said; MiB is \
         the most they had, mapped files included.\n",
        arguments.labels, arguments.clients, arguments.partition_turns,
    );
    println!("| | s | MiB | folkmoot's speed | folkmoot's memory |");
    println!("|---|---|---|---|---|");
    for (name, file) in [
        ("JSON lines", "labels.jsonl"),
        ("Parquet", "labels.parquet"),
    ] {
        let file = folder.join(file);
        let shards = folder.join("shards.json");
        // wait4 is Python's: in Rust it would take unsafe code.
        let measured = |own: &Path| {
            let mut command = threaded(&python, arguments);
            command.arg(script()).arg("measure").arg(own);
            command
        };
        let clients = arguments.clients.to_string();
        let mut ours = measured(&program());
        ours.args(["partition", "--partitioner", "dirichlet"]);
        ours.args(["--partitioner-arg", "alpha=0.5"]);
        ours.args(["--partitioner-arg", "column=label"]);
        ours.arg("--data").arg(&file).args(["--clients", &clients]);
        ours.args(["--seed", "7", "--out"]).arg(&shards);
        let mut column = measured(&example());
        column.args(["column", "label"]).arg(&file);
        let mut theirs = measured(&python);
        theirs.arg(script()).arg("flower").arg(&file);
        theirs.args(["--clients", &clients, "--alpha", "0.5", "--seed", "7"]);
        let mut sides = [
            Side::new("folkmoot partition", ours),
            Side::new("reading the label column, nothing else", column),
            Side::new("Flower Datasets", theirs),
        ];
        // A file of an earlier run would hide that none is written.
        if shards.is_file() {
            std::fs::remove_file(&shards)?;
        }
        alternate(&mut sides, arguments.partition_turns, &[])?;
        let written = std::fs::metadata(&shards).is_ok_and(|file| file.len() > 0);
        ensure!(written, "`{}` was not written", shards.display());
        let size = std::fs::metadata(&file)?.len() as f64 / f64::from(1 << 20);
        println!("| **{name}**, {size:.0} MiB | | | | |");
        let [ours, column, theirs] = &sides;
        let (seconds, mib) = (ours.median("/seconds"), ours.median("/peak_rss_mib"));
        println!("| `folkmoot partition` | {seconds:.2} | {mib:.0} | | |");
        let alone = column.median("/peak_rss_mib");
        println!(
            "| {} | {:.2} | {alone:.0}; folkmoot has {:.0} more | | |",
            column.name,
            column.median("/seconds"),
            mib - alone,
        );
        // Its own clock stops before it makes data sets of the rows and writes their numbers.
        for (what, time, memory) in [
            (
                "imports not counted, up to all clients' row numbers, none written",
                "/figures/seconds",
                "/figures/peak_rss_mib",
            ),
            (
                "the whole process, row numbers written",
                "/seconds",
                "/peak_rss_mib",
            ),
        ] {
            let (own, most) = (theirs.median(time), theirs.median(memory));
            println!(
                "| {}, {what} | {own:.2} | {most:.0} | {:.1}x | {:.2}x |",
                theirs.name,
                own / seconds,
                mib / most,
            );
        }
        println!(
            "| its imports alone | | {:.0} | | |",
            theirs.median("/figures/imported_rss_mib"),
        );
    }
    Ok(())
}
