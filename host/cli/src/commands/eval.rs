//! `folkmoot eval` and `folkmoot benchmark`.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use folkmoot_data::benchmark::{Average, Benchmark, Benchmarks, Suite};
use folkmoot_data::{Catalogue, Tokenizer};
use folkmoot_engine::{
    Compute, Event, Exam, Examined, Form, Model, Quantize, Seed, Subject, Template, Workers,
    scores_json,
};
use folkmoot_plugin::{Note, Said};
use serde_json::{Value, json};

use super::helpers::{Helpers, counted, remote};
use super::model::named;
use super::score::{lines, write};
use super::{Done, Failure};
use crate::arguments::{BenchmarkCommand, EvalArguments};
use crate::places::{benchmarks, cache, catalogue, library, place, sandbox, threads};
use crate::screen::{Screen, columns, count};

/// `NAME:VARIANT`.
fn find(known: &Benchmarks, name: &str) -> Result<Benchmark> {
    match name.rsplit_once(':') {
        Some((name, variant)) => known.find(name, Some(variant)),
        None => known.find(name, None),
    }
}

/// What is asked: its suite, if it is one, and the benchmarks.
fn asked(arguments: &EvalArguments) -> Result<(Option<Suite>, Vec<Benchmark>)> {
    let known = Benchmarks::new(benchmarks().as_deref())?;
    let mut all = Vec::new();
    let suite = match &arguments.suite {
        Some(name) => Some(known.suite(name)?),
        None => None,
    };
    for member in suite.iter().flat_map(|suite| &suite.benchmarks) {
        all.push(known.find(&member.name, member.variant.as_deref())?);
    }
    for name in &arguments.benchmarks {
        all.push(find(&known, name)?);
    }
    ensure!(arguments.limit != Some(0), "--limit is 0");
    Ok((suite, all))
}

/// As it is called on screen and in files.
fn title(benchmark: &Benchmark) -> String {
    match &benchmark.variant {
        Some(variant) => format!("{}:{variant}", benchmark.name),
        None => benchmark.name.clone(),
    }
}

pub(crate) fn eval(arguments: &EvalArguments) -> Done {
    let screen = Screen::new();
    let begun = || -> Result<_> {
        let (suite, benchmarks) = asked(arguments)?;
        let workers = Workers::new(threads(arguments.threads)?);
        let helpers = Helpers::open(&arguments.helpers, &screen)?;
        let exams = exams(arguments, benchmarks, &screen)?;
        let form = Form {
            place: place(&arguments.device)?,
            quantize: match &arguments.quantize {
                Some(name) => Some(named::<Quantize>("--quantize", name)?),
                None => None,
            },
            compute: named::<Compute>("--compute", &arguments.compute)?,
        };
        if let Some(out) = &arguments.out {
            let occupied =
                out.exists() && out.read_dir().map_or(true, |mut own| own.next().is_some());
            ensure!(
                !occupied,
                "`{}` is there already and not empty",
                out.display()
            );
        }
        Ok((suite, workers, helpers, exams, form))
    };
    let (suite, workers, helpers, exams, form) = begun().map_err(Failure::Usage)?;
    let (seed, files) = (
        Seed(arguments.seed),
        cache().map_err(Failure::Usage)?.join("files"),
    );
    let hold = |subject: &dyn Subject,
                template: Option<(&Template, &Tokenizer)>|
     -> Result<Vec<Examined>> {
        let hold = |exam: &Exam| {
            screen.line(&format!("asking {}", title(&exam.benchmark)));
            exam.hold(
                subject,
                template,
                helpers.judge(),
                helpers.programs(),
                workers,
            )
        };
        exams.iter().map(hold).collect()
    };
    let done = || -> Result<(Value, Vec<Examined>)> {
        if let (Some(url), Some(name)) = (&arguments.endpoint, &arguments.endpoint_model) {
            let remote = remote(url, name, &arguments.endpoint_set)?;
            let examined = hold(&remote, None)?;
            screen.line(&format!("endpoint: {}", counted(&remote)));
            return Ok((json!({ "endpoint": url, "model": name }), examined));
        }
        let name = arguments.model.as_deref().unwrap_or_default();
        let mut told = |progress| screen.event(&Event::Fetch(progress));
        let adapter = arguments.adapter.as_deref();
        let model = Model::find(name, adapter, catalogue().as_deref(), &files, &mut told)?;
        let template = template(&model, &arguments.template, &exams)?;
        let base = model.base(form, &|note| screen.line(note))?;
        let template = template.as_ref();
        let subject = model.subject(&base, template, arguments.batch, seed, workers)?;
        let examined = hold(&subject, template.map(|own| (own, model.tokenizer())))?;
        if subject.cuts() > 0 {
            screen.line(&format!(
                "{} prompts were too long for the model and lost their beginning",
                count(subject.cuts())
            ));
        }
        let who = json!({
            "model": name,
            "sha256": model.digest(&files)?,
            "adapter": adapter.map(|own| own.display().to_string()),
            "template": template.map(|own| own.name().to_owned()),
            "cut": subject.cuts(),
        });
        Ok((who, examined))
    };
    let (who, examined) = done().map_err(Failure::Run)?;
    helpers.told(&screen);
    if let Some(out) = &arguments.out {
        record(arguments, out, &who, &exams, &examined).map_err(Failure::Run)?;
    }
    println!("{}", table(&exams, &examined));
    if let Some(suite) = &suite {
        println!("\n{}", averages(suite, &examined));
    }
    Ok(())
}

/// The template; one that the model lacks is missed only where a benchmark needs it.
fn template(model: &Model, name: &str, exams: &[Exam]) -> Result<Option<Template>> {
    match model.template(name) {
        Ok(template) => Ok(Some(template)),
        Err(error) if exams.iter().any(|exam| exam.benchmark.chat) || name != "model" => Err(error),
        Err(_) => Ok(None),
    }
}

/// The benchmarks with their rows and metrics.
fn exams(
    arguments: &EvalArguments,
    benchmarks: Vec<Benchmark>,
    screen: &Screen,
) -> Result<Vec<Exam>> {
    let listener = Arc::new(|note: Note| match note.said {
        Said::Log { level, message } => eprintln!("{level}: {}: {message}", note.plugin),
        Said::Report { name, value } => eprintln!("{}: {name} = {value}", note.plugin),
    });
    let (library, sandbox) = (library(), sandbox(listener)?);
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let files = cache()?.join("files");
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let exam = |benchmark: Benchmark| {
        let seed = Seed(arguments.seed);
        let rows = benchmark.rows(&catalogue, &files, &mut told, arguments.limit, seed)?;
        Exam::new(benchmark, rows, &library, &sandbox)
    };
    benchmarks.into_iter().map(exam).collect()
}

fn record(
    arguments: &EvalArguments,
    out: &Path,
    who: &Value,
    exams: &[Exam],
    examined: &[Examined],
) -> Result<()> {
    let mut results = Vec::new();
    for (exam, own) in exams.iter().zip(examined) {
        let benchmark = &exam.benchmark;
        let file = title(benchmark).replace(':', "-");
        write(&out.join(format!("{file}.jsonl")), &lines(&own.records)?)?;
        let groups = own.groups.iter().map(|group| {
            json!({
                "column": group.column,
                "value": group.value,
                "rows": group.rows,
                "scores": scores_json(&group.scores),
            })
        });
        results.push(json!({
            "benchmark": benchmark.name,
            "variant": benchmark.variant,
            "definition": benchmark.text,
            "rows": own.rows,
            "seconds": own.seconds,
            "scores": scores_json(&own.scores),
            "groups": groups.collect::<Vec<_>>(),
        }));
    }
    let all = json!({
        "folkmoot": env!("CARGO_PKG_VERSION"),
        "subject": who,
        "seed": arguments.seed,
        "limit": arguments.limit,
        "results": results,
    });
    write(
        &out.join("results.json"),
        &format!("{}\n", serde_json::to_string_pretty(&all)?),
    )
}

/// One line per score.
fn table(exams: &[Exam], examined: &[Examined]) -> String {
    let mut rows = vec![
        ["benchmark", "rows", "score", "value", "better"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (exam, own) in exams.iter().zip(examined) {
        rows.extend(own.scores.iter().map(|score| {
            vec![
                title(&exam.benchmark),
                count(own.rows),
                score.name.clone(),
                match score.standard_error {
                    Some(error) => format!("{:.4} ± {error:.4}", score.value),
                    None => format!("{:.4}", score.value),
                },
                if score.higher_is_better {
                    "higher"
                } else {
                    "lower"
                }
                .to_owned(),
            ]
        }));
    }
    columns(&rows)
}

/// The means of a suite over the first score of each benchmark.
fn averages(suite: &Suite, examined: &[Examined]) -> String {
    let mut rows = vec![["suite", "benchmarks", "mean"].map(str::to_owned).to_vec()];
    let mut groups: Vec<(String, Vec<f64>)> = Vec::new();
    for (member, own) in suite.benchmarks.iter().zip(examined) {
        let name = match suite.average {
            Average::All => suite.name.clone(),
            Average::Groups => member.group.clone().unwrap_or_default(),
        };
        let first = member.scores.first();
        let value = first.and_then(|first| own.scores.iter().find(|score| score.name == *first));
        let Some(value) = value else { continue };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.value),
            None => groups.push((name, vec![value.value])),
        }
    }
    rows.extend(groups.into_iter().map(|(name, values)| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        vec![name, values.len().to_string(), format!("{mean:.4}")]
    }));
    columns(&rows)
}

pub(crate) fn benchmark(command: &BenchmarkCommand) -> Done {
    let screen = Screen::new();
    match command {
        BenchmarkCommand::List => list().map_err(Failure::Usage),
        BenchmarkCommand::Info { name } => info(name, &screen).map_err(Failure::Usage),
    }
}

fn list() -> Result<()> {
    let known = Benchmarks::new(benchmarks().as_deref())?;
    let mut rows = vec![
        ["benchmark", "metrics", "variants", "summary"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for name in known.names() {
        let own = known.find(name, None)?;
        let metrics: Vec<&str> = own
            .metrics
            .iter()
            .map(|metric| metric.plugin.as_str())
            .collect();
        rows.push(vec![
            name.to_owned(),
            metrics.join(", "),
            own.variants.join(", "),
            own.summary,
        ]);
    }
    println!("{}\n", columns(&rows));
    let mut rows = vec![
        ["suite", "benchmarks", "summary"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for name in known.suites() {
        let own = known.suite(name)?;
        rows.push(vec![
            name.to_owned(),
            own.benchmarks.len().to_string(),
            own.summary,
        ]);
    }
    println!("{}", columns(&rows));
    Ok(())
}

fn info(name: &str, screen: &Screen) -> Result<()> {
    let known = Benchmarks::new(benchmarks().as_deref())?;
    let own = find(&known, name)?;
    println!("{}\n{}\n", title(&own), own.summary);
    println!("licence {}", own.licence);
    for citation in &own.citation {
        println!("cite {citation}");
    }
    if !own.variants.is_empty() {
        println!("variants {}", own.variants.join(", "));
    }
    for metric in &own.metrics {
        println!("metric {} {}", metric.plugin, json!(metric.settings));
    }
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let rows = own.rows(
        &catalogue,
        &cache()?.join("files"),
        &mut told,
        None,
        Seed(0),
    )?;
    let Some(first) = rows.first() else {
        bail!("benchmark `{name}` has no row");
    };
    println!("{} rows; the first:\n", count(rows.len()));
    match first.get("prompt").and_then(Value::as_str) {
        Some(prompt) => println!("{prompt}"),
        None => println!("{}", serde_json::to_string_pretty(first)?),
    }
    Ok(())
}
