use std::collections::BTreeMap;
use std::fs;

use folkmoot_data::benchmark::{Benchmark, Benchmarks, Example};
use folkmoot_data::{Catalogue, Progress};
use folkmoot_params::Seed;
use folkmoot_plugin::{Kind, Metric};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bench::{cache, fetched, golden, plugin, root};

/// The start of the SHA-256 of a text, as `golden/benchmark_prompts.py` writes it.
fn brief(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn rows(benchmark: &Benchmark) -> Vec<Example> {
    let catalogue = Catalogue::new(None).unwrap();
    let mut told = |progress| {
        if let Progress::Note(note) = progress {
            eprintln!("{note}");
        }
    };
    fetched_first(benchmark);
    let cache = cache().join("files");
    benchmark
        .rows(&catalogue, &cache, &mut told, None, Seed(0))
        .unwrap()
}

/// Brings the files of a benchmark, one test at a time.
fn fetched_first(benchmark: &Benchmark) {
    let shots = benchmark
        .shots
        .as_ref()
        .and_then(|shots| shots.data.as_ref());
    for data in [Some(&benchmark.data), shots].into_iter().flatten() {
        let joined = data.join.iter().map(|join| join.source.as_str());
        joined.chain([data.source.as_str()]).for_each(|name| {
            fetched(name);
        });
    }
}

fn text<'a>(row: &'a Example, column: &str) -> &'a str {
    row[column].as_str().unwrap()
}

/// Prompts and references beside lm-evaluation-harness, on the rows that packages hold.
#[test]
fn prompts_are_those_of_the_harness() {
    let golden = golden("benchmark_prompts.json");
    let known = Benchmarks::new(None).unwrap();
    let mut compared = 0;
    for (name, expected) in golden["benchmarks"].as_object().unwrap() {
        let (name, variant) = match name.split_once(' ') {
            Some((name, variant)) => (name, Some(variant)),
            None => (name.as_str(), None),
        };
        let asked = rows(&known.find(name, variant).unwrap());
        let list = |key: &str| {
            expected[key]
                .as_str()
                .unwrap()
                .split(' ')
                .collect::<Vec<_>>()
        };
        let (prompts, references) = (list("prompts"), list("references"));
        assert!(asked.len() >= prompts.len(), "{name}: {}", asked.len());
        for (index, row) in asked.iter().take(prompts.len()).enumerate() {
            let prompt = text(row, "prompt");
            assert_eq!(brief(prompt), prompts[index], "{name} {index}:\n{prompt}");
            let reference = match &row["reference"] {
                Value::String(reference) => reference,
                list => list[0].as_str().unwrap(),
            };
            assert_eq!(
                brief(reference),
                references[index],
                "{name} {index}: {reference}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 4000, "{compared}");
}

/// BIG-Bench Hard's tasks as BIG-bench has them: direct and with reasoning, beside lm-evaluation-harness.
#[test]
fn hard_tasks_are_asked_as_the_harness_asks_them() {
    let golden = golden("benchmark_prompts.json");
    let folder = tempfile::tempdir().unwrap();
    let own = fs::read_to_string(root().join("host/data/benchmarks/bbh.toml")).unwrap();
    // All rows, since the golden ones are the first of each task.
    let sampled = "sample = { rows = 250, by = \"task\" }\n";
    assert!(own.contains(sampled));
    let own = own.replace(sampled, "");
    let (plain, cot) = own.split_once("[variants.cot]\n").unwrap();
    let (packaged, _) = own.split_once("# Reasoning before the answer").unwrap();
    let packaged = &packaged[packaged.find("[variants.packaged.data]").unwrap()..];
    let both = packaged.replace("variants.packaged", "variants.both");
    let cot = cot.replace("[variants.cot.", "[variants.both.");
    let file = folder.path().join("all.toml");
    fs::write(&file, format!("{plain}[variants.both]\n{cot}\n{both}")).unwrap();
    let known = Benchmarks::new(None).unwrap();
    for (variant, kind) in [("packaged", "direct"), ("both", "cot")] {
        let asked = rows(&known.find(file.to_str().unwrap(), Some(variant)).unwrap());
        let mut of: BTreeMap<&str, Vec<&Example>> = BTreeMap::new();
        for row in &asked {
            of.entry(text(row, "task")).or_default().push(row);
        }
        let expected = golden["bbh"].as_object().unwrap();
        assert_eq!((of.len(), expected.len()), (24, 24));
        for (task, expected) in expected {
            let list = |key: &str| {
                let words = expected[key].as_str().unwrap().split(' ');
                words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
            };
            let (prompts, options) = (list(kind), list("options"));
            let targets = expected["targets"].as_array().unwrap();
            assert!(prompts.len() >= 60, "{task}");
            let numbers = expected["rows"].as_array().unwrap();
            for (index, (number, target)) in numbers.iter().zip(targets).enumerate() {
                let row = of[task.as_str()][number.as_u64().unwrap() as usize];
                let (prompt, target) = (text(row, "prompt"), target.as_str().unwrap());
                let Some(options) = options.get(index) else {
                    assert_eq!(brief(prompt), prompts[index], "{task} {index}:\n{prompt}");
                    assert_eq!(text(row, "reference"), target, "{task} {index}");
                    continue;
                };
                let (stem, listed) = prompt.rsplit_once("\nOptions:\n").unwrap();
                assert_eq!(brief(stem), prompts[index], "{task} {index}:\n{stem}");
                let said = listed.split("\nA:").next().unwrap();
                let said: Vec<&str> = said.split('\n').collect();
                let mut sorted: Vec<&str> = said.iter().map(|own| &own[4..]).collect();
                sorted.sort_unstable();
                assert_eq!(
                    &brief(&sorted.join("\n")),
                    options,
                    "{task} {index}: {said:?}"
                );
                let right = format!("{} {target}", text(row, "reference"));
                assert!(
                    said.contains(&right.as_str()),
                    "{task} {index}: {right} in {said:?}"
                );
            }
        }
    }
}

/// Benchmarks whose data packages hold, in every variant that they hold, ask all of their rows.
#[test]
fn what_packages_hold_is_asked() {
    let known = Benchmarks::new(None).unwrap();
    let find = |name: &str, variant| rows(&known.find(name, variant).unwrap());
    for (name, variant, count) in [
        ("mmlu-medical", Some("packaged"), 12),
        ("bbh", Some("packaged"), 5770),
        ("crass", None, 44),
        ("crass", Some("openfedllm"), 44),
        ("humaneval", Some("openfedllm"), 164),
        ("humaneval", Some("flowertune"), 164),
        ("gsm8k", Some("zero-shot"), 1319),
        ("mt-bench", None, 80),
        ("harmbench", None, 200),
        ("hhh", None, 221),
    ] {
        let asked = find(name, variant);
        assert_eq!(asked.len(), count, "{name} {variant:?}");
        for row in asked.iter().filter(|_| name != "mt-bench") {
            assert!(!text(row, "prompt").is_empty());
        }
    }
    let questions = find("mt-bench", None);
    let graded = |row: &&Example| row["reference"].is_array();
    let graded: Vec<&str> = questions
        .iter()
        .filter(graded)
        .map(|row| text(row, "category"))
        .collect();
    let of = |category: &str| graded.iter().filter(|own| **own == category).count();
    assert_eq!(
        (graded.len(), of("math"), of("reasoning"), of("coding")),
        (30, 10, 10, 10)
    );
    for (name, variant, options) in [
        ("hhh", None, 2..3),
        ("crass", None, 4..5),
        ("mmlu", Some("packaged"), 4..5),
        ("medmcqa", Some("packaged"), 4..5),
    ] {
        let asked = find(name, variant);
        let mut places = [0; 4];
        for row in &asked {
            let (choices, answer) = (row["choices"].as_array().unwrap(), row["answer"].as_u64());
            assert!(options.contains(&choices.len()), "{name}: {choices:?}");
            places[answer.unwrap() as usize] += 1;
        }
        // No place is right much more often than others.
        let most = *places.iter().max().unwrap() as f64 / asked.len() as f64;
        assert!(most < 1.8 / (options.start as f64), "{name}: {places:?}");
    }
}

/// The test parts that Hugging Face's `datasets` draws, and DROP's answers, beside their own code.
#[test]
fn parts_and_answers_are_those_of_the_libraries() {
    let golden = golden("benchmark_prompts.json");
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(None).unwrap();
    let run = |data: &str, rows: String| {
        fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
        let head =
            "summary = \"s\"\nlicence = \"l\"\ncitation = []\n[[metrics]]\nplugin = \"accuracy\"\n";
        let file = folder.path().join("own.toml");
        let own = format!("{head}[prompt]\ntext = \"x\"\n[data]\nsource = \"rows.jsonl\"\n{data}");
        fs::write(&file, own).unwrap();
        let own = Benchmarks::new(None)
            .unwrap()
            .find(file.to_str().unwrap(), None)
            .unwrap();
        own.rows(&catalogue, folder.path(), &mut |_| {}, None, Seed(0))
            .unwrap()
    };
    for case in golden["permutation"].as_array().unwrap() {
        let (rows, share, seed) = (
            case["rows"].as_u64().unwrap(),
            &case["share"],
            &case["seed"],
        );
        let lines = (0..rows).map(|row| format!("{{\"row\":{row}}}\n"));
        let part = run(
            &format!("test_part = {{ share = {share}, seed = {seed} }}\n"),
            lines.collect(),
        );
        let drawn: Vec<Value> = part.iter().map(|row| row["row"].clone()).collect();
        match &case["drawn"] {
            Value::String(digest) => {
                let numbers: Vec<String> = drawn.iter().map(Value::to_string).collect();
                assert_eq!(
                    &brief(&format!("[{}]", numbers.join(", "))),
                    digest,
                    "{case}"
                );
            }
            expected => assert_eq!(&json!(drawn), expected),
        }
    }
    let cases = golden["drop"].as_array().unwrap();
    let lines = cases.iter().map(|case| {
        json!({ "answer": case["answer"], "validated_answers": case["validated_answers"] })
            .to_string()
            + "\n"
    });
    let columns =
        "[data.columns]\nanswers = { expression = \"drop_answers(answer, validated_answers)\" }\n";
    let made = run(columns, lines.collect());
    assert_eq!(made.len(), cases.len());
    for (row, case) in made.iter().zip(cases) {
        assert_eq!(row["answers"], case["answers"], "{case}");
    }
}

/// Every benchmark in every variant names metrics that there are, with settings that they know, and suites show scores
/// that these give.
#[test]
fn metrics_know_their_settings() {
    let known = Benchmarks::new(None).unwrap();
    let mut scores: BTreeMap<(String, Option<String>), Vec<String>> = BTreeMap::new();
    for name in known.names() {
        let plain = known.find(name, None).unwrap();
        let variants = plain.variants.iter().cloned().map(Some);
        for variant in std::iter::once(None).chain(variants) {
            let own = known.find(name, variant.as_deref()).unwrap();
            let mut given = Vec::new();
            for metric in &own.metrics {
                let settings = Value::Object(metric.settings.clone());
                let built = Metric::new(plugin(&metric.plugin, Kind::Metric), &settings);
                let built = built.unwrap_or_else(|error| panic!("{name} {variant:?}: {error}"));
                let told = built.plugin().description.traits["scores"]
                    .as_array()
                    .unwrap();
                let told = told
                    .iter()
                    .map(|score| score["name"].as_str().unwrap().to_owned());
                given.extend(told);
            }
            scores.insert((name.to_owned(), variant), given);
        }
    }
    for name in known.suites() {
        for member in known.suite(name).unwrap().benchmarks {
            let given = &scores[&(member.name.clone(), member.variant.clone())];
            for score in &member.scores {
                let gives = |own: &String| {
                    own == score
                        || own
                            .strip_suffix('*')
                            .is_some_and(|head| score.starts_with(head))
                };
                assert!(
                    given.iter().any(gives),
                    "{name}: {}: {score} of {given:?}",
                    member.name
                );
            }
        }
    }
}
