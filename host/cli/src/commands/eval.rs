//! `folkmoot eval`.

use anyhow::{Context, Result, ensure};
use folkmoot_data::benchmark::{Average as Over, Benchmark, Benchmarks, Suite};
use folkmoot_data::{Catalogue, Tokenizer};
use folkmoot_engine::{
    Api, Event, Exam, Examined, Model, Remote, Seed, Subject, Template, Workers, ensure_empty,
    scores_json,
};
use folkmoot_plugin::{Plugin, Sandbox};
use serde::Serialize;
use serde_json::{Value, json};

use super::helpers::{Helpers, counted, remote};
use super::model::form;
use super::score::{lines, writable, write};
use super::{Done, Failure};
use crate::arguments::EvalArguments;
use crate::places::{benchmarks, cache, catalogue, library, sandbox, threads};
use crate::profile;
use crate::screen::{Screen, columns, count, said};

/// `NAME:VARIANT`.
pub(super) fn find(known: &Benchmarks, name: &str) -> Result<Benchmark> {
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
    for (index, own) in all.iter().enumerate() {
        let twice = all[..index].iter().any(|other| file(other) == file(own));
        ensure!(!twice, "benchmark `{}` is asked for twice", title(own));
    }
    Ok((suite, all))
}

/// As it is called on screen and in files.
pub(super) fn title(benchmark: &Benchmark) -> String {
    match &benchmark.variant {
        Some(variant) => format!("{}:{variant}", benchmark.name),
        None => benchmark.name.clone(),
    }
}

/// Who is asked.
enum Who {
    Remote(Remote),
    Model(Box<Model>, Option<Template>),
}

impl Who {
    fn open(arguments: &EvalArguments, exams: &[Exam], screen: &Screen) -> Result<Self> {
        if let (Some(url), Some(name)) = (&arguments.endpoint, &arguments.endpoint_model) {
            return Ok(Self::Remote(remote(url, name, &arguments.endpoint_set)?));
        }
        let files = cache()?.join("files");
        let name = arguments.model.as_deref().unwrap_or_default();
        let mut told = |progress| screen.event(&Event::Fetch(progress));
        let adapter = arguments.adapter.as_deref();
        let model = Model::find(name, adapter, catalogue().as_deref(), &files, &mut told)?;
        let template = template(&model, &arguments.template, exams)?;
        Ok(Self::Model(Box::new(model), template))
    }
}

/// Of its record, without the extension.
fn file(benchmark: &Benchmark) -> String {
    title(benchmark).replace(':', "-")
}

pub(crate) fn eval(arguments: &EvalArguments) -> Done {
    let screen = Screen::new();
    let begun = || -> Result<_> {
        let (suite, benchmarks) = asked(arguments)?;
        let workers = Workers::new(threads(arguments.threads)?);
        let helpers = Helpers::open(&arguments.helpers, &screen)?;
        let sandbox = sandbox(said())?;
        let exams = exams(arguments, benchmarks, &helpers, &sandbox, &screen)?;
        let form = form(
            &arguments.device,
            arguments.quantize.as_deref(),
            &arguments.compute,
        )?;
        ensure!(arguments.batch > 0, "--batch is 0");
        if let Some(out) = &arguments.out {
            ensure_empty(out)?;
            writable(&out.join("results.json"))?;
        }
        for (member, exam) in suite.iter().flat_map(|own| &own.benchmarks).zip(&exams) {
            let wrong = member.scores.iter().find(|score| !exam.gives(score));
            ensure!(
                wrong.is_none(),
                "suite: benchmark `{}` has no score `{}`",
                member.name,
                wrong.map_or("", String::as_str)
            );
        }
        let who = Who::open(arguments, &exams, &screen)?;
        Ok((suite, workers, helpers, sandbox, exams, form, who))
    };
    let (suite, workers, helpers, sandbox, exams, form, who) = begun().map_err(Failure::Usage)?;
    let mut record = Record {
        arguments,
        who: Value::Null,
        judge: helpers.identity(),
        results: Vec::new(),
        suite: None,
    };
    let mut all: Vec<Examined> = Vec::new();
    let mut take = |who: &Value, exam: &Exam, own: Examined| -> Result<()> {
        record.who = who.clone();
        record.add(exam, &own)?;
        all.push(own);
        Ok(())
    };
    let hold = |exam: &Exam, subject: &dyn Subject, template: Option<(&Template, &Tokenizer)>| {
        screen.line(&format!("asking {}", title(&exam.benchmark)));
        let (judge, programs) = (helpers.judge(), helpers.programs());
        exam.hold(subject, template, judge, programs, workers)
    };
    let mut ask = || -> Result<()> {
        if let Who::Remote(remote) = &who {
            let who = json!({ "endpoint": remote.endpoint() });
            for exam in &exams {
                if !exam.benchmark.chat && remote.endpoint().api == Api::Chat {
                    screen.line(&format!(
                        "{}: its prompts are texts to go on with; this endpoint gets them as what a user says \
                         (`--endpoint-set api=completions` for one that goes on)",
                        title(&exam.benchmark)
                    ));
                }
                take(&who, exam, hold(exam, remote, None)?)?;
            }
            screen.line(&format!("endpoint: {}", counted(remote)));
            return Ok(());
        }
        let Who::Model(model, template) = &who else {
            return Ok(());
        };
        let template = template.as_ref();
        let adapter = arguments.adapter.as_deref();
        let base = model.base(form, &|note| screen.line(note))?;
        let who = json!({
            "model": arguments.model,
            "sha256": model.digest(&cache()?.join("files"))?,
            "adapter": adapter.map(|own| own.display().to_string()),
            "adapter_sha256": model.adapter_digest()?,
            "quantize": arguments.quantize,
            "compute": arguments.compute,
            "device": arguments.device,
            "batch": arguments.batch,
            "template": template.map(Template::name),
        });
        for exam in &exams {
            let rendered = (template, exam.benchmark.chat);
            let subject = model.subject(
                &base,
                rendered,
                arguments.batch,
                Seed(arguments.seed),
                workers,
            )?;
            let around = template.map(|own| (own, model.tokenizer()));
            let own = hold(exam, &subject, around)?;
            if subject.cuts() > 0 {
                screen.line(&format!(
                    "{}: {} prompts are longer than the model takes, and lost their beginning",
                    title(&exam.benchmark),
                    count(subject.cuts())
                ));
            }
            take(&who, exam, own)?;
        }
        Ok(())
    };
    let asked = ask();
    helpers.told(&screen);
    if arguments.profile {
        screen.line(&profile::table(&sandbox.profile()));
    }
    // What was asked before a failure is not lost.
    if !all.is_empty() {
        println!("{}", table(&exams, &all));
    }
    asked.map_err(Failure::Run)?;
    if let Some(suite) = &suite {
        let means = averages(suite, &all).map_err(Failure::Run)?;
        record.suite = Some(json!({ "name": suite.name, "means": means }));
        record.write().map_err(Failure::Run)?;
        let mut rows = vec![["suite", "benchmarks", "mean"].map(str::to_owned).to_vec()];
        rows.extend(means.iter().map(|own| {
            vec![
                own.name.clone(),
                own.benchmarks.to_string(),
                format!("{:.4}", own.mean),
            ]
        }));
        println!("\n{}", columns(&rows));
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
    helpers: &Helpers,
    sandbox: &Sandbox,
    screen: &Screen,
) -> Result<Vec<Exam>> {
    let library = library(&arguments.native.allow_native)?;
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let files = cache()?.join("files");
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let exam = |benchmark: Benchmark| {
        let seed = Seed(arguments.seed);
        let rows = benchmark.rows(&catalogue, &files, &mut told, arguments.limit, seed)?;
        let there = (helpers.judge().is_some(), helpers.programs().is_some());
        Exam::new(benchmark, rows, &library, sandbox, there)
    };
    benchmarks.into_iter().map(exam).collect()
}

/// What `--out` gets: after every benchmark, so that a failure loses none before it.
struct Record<'a> {
    arguments: &'a EvalArguments,
    who: Value,
    judge: Value,
    results: Vec<Value>,
    suite: Option<Value>,
}

impl Record<'_> {
    fn add(&mut self, exam: &Exam, own: &Examined) -> Result<()> {
        let benchmark = &exam.benchmark;
        let groups = own.groups.iter().map(|group| {
            json!({
                "column": group.column,
                "value": group.value,
                "rows": group.rows,
                "scores": scores_json(&group.scores),
            })
        });
        let plugins = exam.plugins();
        let plugins = plugins.map(Plugin::identity);
        let file = format!("{}.jsonl", file(benchmark));
        self.results.push(json!({
            "benchmark": benchmark.name,
            "variant": benchmark.variant,
            "definition": benchmark.text,
            "plugins": plugins.collect::<Vec<_>>(),
            "rows": own.rows,
            "seconds": own.seconds,
            "scores": scores_json(&own.scores),
            "groups": groups.collect::<Vec<_>>(),
            "records": file,
        }));
        if let Some(out) = &self.arguments.out {
            write(&out.join(file), &lines(&own.records)?)?;
        }
        self.write()
    }

    fn write(&self) -> Result<()> {
        let Some(out) = &self.arguments.out else {
            return Ok(());
        };
        let all = json!({
            "folkmoot": env!("CARGO_PKG_VERSION"),
            "subject": self.who,
            "judge": self.judge,
            "execute": self.arguments.helpers.execute,
            "seed": self.arguments.seed,
            "limit": self.arguments.limit,
            "results": self.results,
            "suite": self.suite,
        });
        let text = serde_json::to_string_pretty(&all)?;
        write(&out.join("results.json"), &format!("{text}\n"))
    }
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

/// A mean of a suite.
#[derive(Serialize)]
struct Average {
    name: String,
    benchmarks: usize,
    mean: f64,
}

/// The means of a suite over the first score of each benchmark.
fn averages(suite: &Suite, examined: &[Examined]) -> Result<Vec<Average>> {
    let mut means: Vec<Average> = Vec::new();
    for (member, own) in suite.benchmarks.iter().zip(examined) {
        let name = match suite.average {
            Over::All => suite.name.clone(),
            Over::Groups => member.group.clone().unwrap_or_default(),
        };
        let first = member.scores.first().map_or("", String::as_str);
        let value = own.scores.iter().find(|score| score.name == first);
        let value = value.with_context(|| {
            format!(
                "suite `{}`: benchmark `{}` gave no score `{first}`",
                suite.name, member.name
            )
        })?;
        let place = means.iter().position(|own| own.name == name);
        let place = place.unwrap_or_else(|| {
            means.push(Average {
                name,
                benchmarks: 0,
                mean: 0.0,
            });
            means.len() - 1
        });
        let own = &mut means[place];
        own.benchmarks += 1;
        own.mean += (value.value - own.mean) / own.benchmarks as f64;
    }
    Ok(means)
}
