//! Times the way from a file to token ids: the folkmoot side of `cargo xtask bench data`. Prints one line of JSON.
//!
//! - `instructions CACHE COUNT FILE` writes COUNT instructions with their responses to FILE, as JSON lines: GSM8K's
//!   test part and VADER's sentiment in turn. GSM8K is gone through again and again, every other time with another
//!   row's worked answer in front of the question.
//! - `tokens MODEL TEMPLATE MAX_LENGTH FILE` prepares them twice, first with an empty cache, then with what the first
//!   time left there. The file's digest is in the times; the tokenizer and the template are not.
//! - `column NAME FILE` reads one column of a table.

#![allow(clippy::print_stdout, reason = "a program's own output")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_data::{
    Catalogue, Dataset, HeldOut, Meaning, OnBroken, OnTooLong, Origin, Plan, Shape, Table,
    Template, Tokenizer, digest_of,
};
use folkmoot_params::Seed;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let figures = match words[..] {
        ["instructions", cache, count, file] => {
            instructions(Path::new(cache), count.parse()?, Path::new(file))?
        }
        ["tokens", model, template, max_length, file] => tokens(
            Path::new(model),
            template,
            max_length.parse()?,
            Path::new(file),
        )?,
        ["column", name, file] => column(name, Path::new(file))?,
        _ => bail!(
            "instructions CACHE COUNT FILE | tokens MODEL TEMPLATE MAX_LENGTH FILE | column NAME FILE"
        ),
    };
    println!("{figures}");
    Ok(())
}

fn instructions(cache: &Path, count: usize, file: &Path) -> Result<Value> {
    let catalogue = Catalogue::new(None)?;
    let of = |name: &str| -> Result<Vec<(String, String)>> {
        let entry = catalogue.get(name)?;
        let table = entry.table(&entry.data(cache, &mut |_| {})?)?;
        let dataset = Dataset::new(table, &entry.meaning(None)?)?;
        let examples = dataset.examples()?;
        let texts = examples.iter().map(|example| {
            let (instruction, response) = (example.text("instruction")?, example.text("response")?);
            Ok((instruction.to_owned(), response.to_owned()))
        });
        texts.collect()
    };
    let (questions, sentiments) = (of("gsm8k-test")?, of("vader-sentiment")?);
    let mut out = BufWriter::new(File::create(file)?);
    for row in 0..count {
        let own = row / 2;
        let (instruction, response) = if row % 2 == 1 {
            sentiments[own % sentiments.len()].clone()
        } else {
            let (pass, at) = (own / questions.len(), own % questions.len());
            let (question, answer) = questions[at].clone();
            let (shown, worked) = &questions[(at + pass) % questions.len()];
            match pass % 2 {
                0 => (question, answer),
                _ => (format!("{shown}\n{worked}\n\n{question}"), answer),
            }
        };
        let line = json!({ "instruction": instruction, "response": response });
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(json!({ "rows": count }))
}

fn tokens(model: &Path, template: &str, max_length: usize, file: &Path) -> Result<Value> {
    let tokenizer = Tokenizer::from_gguf(model)?;
    let template = Template::find(template, Path::new(""), &tokenizer)?;
    let plan = Plan {
        meaning: Meaning {
            shape: Some(Shape::Instruction),
            ..Meaning::default()
        },
        broken: OnBroken::Stop,
        held_out: HeldOut {
            rows: 0,
            group: None,
            balance: None,
        },
        sample: None,
        max_length,
        max_prompt: max_length,
        too_long: OnTooLong::Cut,
        seed: Seed(0),
    };
    let cache = tempfile::tempdir()?;
    let turn = || {
        let started = Instant::now();
        let digest = digest_of(file, &cache.path().join("digests"))?;
        let prepared = plan.prepare(
            Table::open(file)?,
            &Origin {
                digests: &[digest],
                check_unchanged: &|| Ok(()),
                cache: &cache.path().join("tokens"),
            },
            &tokenizer,
            &template,
            &mut |_| {},
        )?;
        anyhow::Ok((started.elapsed().as_secs_f64(), prepared))
    };
    let (cold, first) = turn()?;
    let (warm, second) = turn()?;
    ensure!(
        !first.cached && second.cached,
        "the first turn was not cold, or the second not warm"
    );
    let tokens = &second.tokens;
    let trained = (0..tokens.len()).map(|row| {
        let (_, trained) = tokens.row(row);
        trained.iter().filter(|trained| **trained).count()
    });
    Ok(json!({
        "cold": cold,
        "warm": warm,
        "rows": tokens.len(),
        "tokens": tokens.lengths().sum::<usize>(),
        "trained": trained.sum::<usize>(),
    }))
}

fn column(name: &str, file: &Path) -> Result<Value> {
    let started = Instant::now();
    let dataset = Dataset::new(Table::open(file)?, &Meaning::default())?;
    let (rows, names) = dataset.categories(name)?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(rows.len() == dataset.len(), "a row has no category");
    let kib = resident_kib().context("no accounts of this process's memory")?;
    Ok(json!({
        "seconds": seconds,
        "rows": rows.len(),
        "categories": names.len(),
        "peak_rss_mib": kib / 1024.0,
    }))
}

/// The most memory that this process had, from the kernel's accounts.
fn resident_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
