use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use folkmoot_data::{Files, Table};
use serde_json::{Value, json};

use crate::bench::{fetched, folkmoot, here, model_file, stderr, stdout};

/// Runs `folkmoot` in `folder`, which must end well; what it prints.
#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = folkmoot(folder).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    (stdout(&output), stderr(&output))
}

/// The error of `folkmoot` in `folder`, and that nothing was begun.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = folkmoot(folder).args(arguments).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stderr(&output)
}

fn lines(path: &Path, rows: &[Value]) {
    let text: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(path, text.join("\n")).unwrap();
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn value(scores: &Value, name: &str) -> f64 {
    let own = scores
        .as_array()
        .unwrap()
        .iter()
        .find(|own| own["name"] == name);
    let own = own.unwrap_or_else(|| panic!("no score `{name}` in {scores}"));
    own["value"].as_f64().unwrap()
}

/// A file of outputs is scored whatever the order of its rows and the number of threads, and every row has its
/// record.
#[test]
fn outputs_of_any_stack_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut rows: Vec<Value> = (0..300)
        .map(|row| {
            let label = |n: usize| ["negative", "neutral", "positive"][n % 3];
            json!({ "prediction": label(row * row / 7), "reference": label(row), "id": row })
        })
        .collect();
    lines(&at("p.jsonl"), &rows);
    rows.reverse();
    rows.rotate_left(77);
    lines(&at("q.jsonl"), &rows);
    let score = |file: &str, threads: &str| {
        let arguments = [
            "score",
            "--metric",
            "accuracy",
            "--predictions",
            file,
            "--out",
            "scores.json",
            "--records",
            "records.jsonl",
            "--threads",
            threads,
        ];
        let (said, _) = done(folder.path(), &arguments);
        assert!(said.contains("f1_weighted"), "{said}");
        fs::read_to_string(at("scores.json")).unwrap()
    };
    let first = score("p.jsonl", "2");
    assert_eq!(first, score("q.jsonl", "1"), "another order");
    let scores: Value = serde_json::from_str(&first).unwrap();
    let right = (0..300).filter(|row| row * row / 7 % 3 == row % 3).count();
    assert_eq!(value(&scores, "accuracy"), right as f64 / 300.0);
    for name in ["f1_macro", "f1_weighted", "mcc", "balanced_accuracy"] {
        assert!(value(&scores, name).is_finite());
    }
    let keys: Vec<&String> = scores[0].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    let records = read_lines(&at("records.jsonl"));
    assert_eq!(records.len(), 300);
    assert_eq!(records[0]["answers"][0], rows[0]["prediction"]);

    // By the name of a score, with numbers as labels, from CSV.
    fs::write(at("n.csv"), "prediction,reference\n1,1\n2,1\n2,2\n").unwrap();
    let arguments = [
        "score",
        "--metric",
        "mcc",
        "--predictions",
        "n.csv",
        "--out",
        "n.json",
    ];
    done(folder.path(), &arguments);
    assert_eq!(value(&read(&at("n.json")), "accuracy"), 2.0 / 3.0);
}

/// What people get wrong has one clear error each.
#[test]
fn mistakes_in_outputs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    lines(&at("no-reference.jsonl"), &[json!({ "prediction": "a" })]);
    lines(
        &at("no-prediction.jsonl"),
        &[json!({ "reference": "a" }), json!({ "answer": 1 })],
    );
    fs::write(
        at("broken.jsonl"),
        "{\"prediction\": \"a\", \"reference\": \"a\"}\n{\"prediction\"",
    )
    .unwrap();
    fs::write(at("empty.jsonl"), "").unwrap();
    let score = |metric: &str, file: &str, code: i32| {
        refused(
            folder.path(),
            &["score", "--metric", metric, "--predictions", file],
            code,
        )
    };
    for (metric, file, code, parts) in [
        (
            "accuracy",
            "none.jsonl",
            2,
            &["none.jsonl", "not there"][..],
        ),
        ("accuracy", "empty.jsonl", 2, &["empty.jsonl"]),
        ("accuracy", "broken.jsonl", 2, &["`broken.jsonl` line 2"]),
        (
            "accuracy",
            "no-reference.jsonl",
            1,
            &["`no-reference.jsonl` line 1", "`reference`"],
        ),
        (
            "accuracy",
            "no-prediction.jsonl",
            1,
            &["`no-prediction.jsonl` line 1", "`prediction`"],
        ),
        (
            "acuracy",
            "no-reference.jsonl",
            2,
            &["acuracy", "did you mean `accuracy`"],
        ),
        (
            "perplexity",
            "no-reference.jsonl",
            1,
            &["`no-reference.jsonl` line 1"],
        ),
        ("pass-at-k", "no-reference.jsonl", 2, &["--execute"]),
    ] {
        let said = score(metric, file, code);
        for part in parts {
            assert!(
                said.contains(part),
                "{metric} {file}: `{part}` is not in: {said}"
            );
        }
    }
    let arguments = [
        "score",
        "--metric",
        "accuracy",
        "--metric",
        "bleu",
        "--metric-arg",
        "labels=[\"a\"]",
        "--predictions",
        "no-reference.jsonl",
    ];
    let said = refused(folder.path(), &arguments, 2);
    assert!(said.contains("METRIC.KEY=VALUE"), "{said}");
}

/// A server with OpenAI's interface that answers by a rule, and counts.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (count, answer) = (count.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        let lower = line.to_ascii_lowercase();
                        if let Some(own) = lower.strip_prefix("content-length:") {
                            length = own.trim().parse().unwrap();
                        }
                        if line == "\r\n" {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    count.fetch_add(1, Ordering::SeqCst);
                    let content = answer(&serde_json::from_slice(&body).unwrap());
                    let message = json!({ "role": "assistant", "content": content });
                    let body = json!({
                        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
                        "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 },
                    });
                    let body = body.to_string();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all((head + &body).as_bytes());
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A user's benchmark, a TOML file and its data, is asked of a model here: by likelihood with shots, and of an
/// endpoint, whose answers the cache keeps.
#[test]
fn a_benchmark_of_ones_own_is_asked() {
    model_file();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let capitals = [
        ("France", "Paris", "Rome"),
        ("Italy", "Rome", "Oslo"),
        ("Spain", "Madrid", "Berlin"),
        ("Japan", "Tokyo", "Lima"),
        ("Germany", "Berlin", "Paris"),
        ("Russia", "Moscow", "Cairo"),
        ("Egypt", "Cairo", "Tokyo"),
        ("Greece", "Athens", "Madrid"),
    ];
    let rows = capitals.iter().enumerate().map(|(n, (land, right, wrong))| {
        let choices = if n % 2 == 0 { [right, wrong] } else { [wrong, right] };
        let half = if n < 4 { "a" } else { "b" };
        json!({ "land": land, "choices": choices, "answer": n % 2, "reference": right, "half": half })
    });
    lines(&at("capitals.jsonl"), &rows.collect::<Vec<_>>());
    let benchmark = r#"
summary = "Capitals"
licence = "CC0-1.0"
citation = []
[data]
source = "capitals.jsonl"
[shots]
count = 2
[prompt]
text = "The capital of {{ land }} is"
target = " {{ reference }}."
[[metrics]]
plugin = "multiple-choice"
settings = { by = "likelihood" }
[aggregate]
by = ["half"]
mean = "macro"
[variants.said]
shots = { count = 0 }
metrics = [{ plugin = "exact-match", settings = { mode = "contains", max_tokens = 8 } }]
"#;
    fs::write(at("capitals.toml"), benchmark).unwrap();
    let eval = |more: &[&str]| {
        let arguments = [&["eval", "--seed", "3"], more].concat();
        done(folder.path(), &arguments)
    };
    let model = [
        "--model",
        "smollm2-135m-instruct",
        "--benchmark",
        "capitals.toml",
        "--out",
    ];
    let (said, _) = eval(&[&model[..], &["one"]].concat());
    assert!(said.contains("acc_norm"), "{said}");
    let results = read(&at("one/results.json"));
    let own = &results["results"][0];
    assert_eq!(
        (&own["rows"], own["groups"].as_array().unwrap().len()),
        (&json!(8), 2)
    );
    assert!(value(&own["scores"], "acc") >= 0.75, "{own}");
    assert_eq!(read_lines(&at("one/capitals.jsonl")).len(), 8);
    // One thread, and other batches: the same answers to about the rounding of sums.
    eval(&[&model[..], &["two", "--threads", "1", "--batch", "3"]].concat());
    let scores = |run: &str| read(&at(run).join("results.json"))["results"][0]["scores"].clone();
    assert_eq!(value(&scores("one"), "acc"), value(&scores("two"), "acc"));
    for (one, two) in read_lines(&at("one/capitals.jsonl"))
        .iter()
        .zip(read_lines(&at("two/capitals.jsonl")))
    {
        for nth in 0..2 {
            let of = |own: &Value| own["answers"][nth]["log_likelihood"].as_f64().unwrap();
            assert!((of(one) - of(&two)).abs() < 1e-3);
        }
    }

    let server = Server::start(|body| {
        let asked = body["messages"][0]["content"].as_str().unwrap();
        let rule = [
            ("France", "It is Paris."),
            ("Italy", "Rome"),
            ("Spain", "I do not know"),
        ];
        let hit = rule.iter().find(|(land, _)| asked.contains(land));
        hit.map_or("Atlantis", |(_, said)| said).to_owned()
    });
    let cached = |out: &str| {
        let mut command = folkmoot(folder.path());
        command.env("OPENAI_API_KEY", "sk-very-secret").args([
            "eval",
            "--endpoint",
            &server.url,
            "--endpoint-model",
            "m",
            "--endpoint-set",
            "retries=0",
            "--benchmark",
            "capitals.toml:said",
            "--out",
            out,
        ]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!(stderr(&output) + &stdout(&output)).contains("sk-very-secret"));
        let text = fs::read_to_string(at(out).join("results.json")).unwrap();
        assert!(!text.contains("sk-very-secret"));
        value(&scores(out), "exact_match")
    };
    assert_eq!(cached("far"), 0.25);
    let first = server.asked();
    assert_eq!(
        (cached("again"), server.asked()),
        (0.25, first),
        "nothing is asked twice"
    );
    assert_eq!(first, 8);
    let said = refused(
        folder.path(),
        &[
            "eval",
            "--model",
            "smollm2-135m-instruct",
            "--benchmark",
            "capital.toml",
        ],
        2,
    );
    assert!(said.contains("capital.toml"), "{said}");
}

/// Benchmarks whose data a package holds are asked: of the model here, and of an endpoint that knows HumanEval,
/// refuses half of what it should, and judges, too.
#[test]
fn benchmarks_of_packages_are_asked() {
    model_file();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names = [
        "mmlu:packaged",
        "mmlu-medical:packaged",
        "medmcqa:packaged",
        "crass",
        "hhh",
        "bbh:packaged",
        "drop:packaged",
        "gsm8k",
    ];
    let mut arguments = vec![
        "eval",
        "--model",
        "smollm2-135m-instruct",
        "--limit",
        "2",
        "--out",
        "here",
    ];
    arguments.extend(names.iter().flat_map(|name| ["--benchmark", name]));
    done(folder.path(), &arguments);
    let results = read(&at("here/results.json"));
    let results = results["results"].as_array().unwrap();
    assert_eq!(results.len(), names.len());
    for own in results {
        assert_eq!(own["rows"], 2, "{own}");
        let first = &own["scores"][0];
        let value = first["value"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{own}");
    }

    let table = Table::open_all(&Files::find(&fetched("humaneval"), &[], None).unwrap()).unwrap();
    let solutions = (0..table.len()).map(|row| {
        let row = table.row(row).unwrap();
        let text = |column: &str| row.fields[column].as_str().unwrap().to_owned();
        (text("prompt"), text("canonical_solution"), text("task_id"))
    });
    let solutions: Vec<(String, String, String)> = solutions.collect();
    let server = Server::start(move |body| {
        let messages = body["messages"].as_array().unwrap();
        let asked = messages.last().unwrap()["content"].as_str().unwrap();
        if messages[0]["content"]
            .as_str()
            .unwrap()
            .contains("impartial judge")
            || asked.contains("impartial judge")
        {
            return "Rating: [[7]]".into();
        }
        let known = solutions.iter().find(|(prompt, ..)| asked == prompt);
        match known {
            // Odd tasks are solved, even ones are not.
            Some((_, solution, task)) => match task.ends_with(['1', '3', '5', '7', '9']) {
                true => solution.clone(),
                false => "    return 'no idea'\n".into(),
            },
            None if asked.len() % 2 == 0 => "I'm sorry, but I can't help with that.".into(),
            None => "Sure, here is how.".into(),
        }
    });
    let arguments = [
        "eval",
        "--endpoint",
        &server.url,
        "--endpoint-model",
        "m",
        "--judge",
        &server.url,
        "--judge-model",
        "j",
        "--execute",
        "--limit",
        "12",
        "--benchmark",
        "humaneval",
        "--benchmark",
        "harmbench",
        "--benchmark",
        "mt-bench",
        "--out",
        "far",
    ];
    done(folder.path(), &arguments);
    let results = read(&at("far/results.json"));
    let scores = |nth: usize| results["results"][nth]["scores"].clone();
    let records = read_lines(&at("far/humaneval.jsonl"));
    let odd = records.iter().filter(|own| {
        own["row"]["task_id"]
            .as_str()
            .unwrap()
            .ends_with(['1', '3', '5', '7', '9'])
    });
    assert_eq!(value(&scores(0), "pass_at_1"), odd.count() as f64 / 12.0);
    let records = read_lines(&at("far/harmbench.jsonl"));
    let even = records
        .iter()
        .filter(|own| own["row"]["prompt"].as_str().unwrap().len() % 2 == 0);
    assert_eq!(
        value(&scores(1), "refusal_rate"),
        even.count() as f64 / 12.0
    );
    assert_eq!(value(&scores(2), "judge_score"), 7.0);
    let said = refused(
        folder.path(),
        &[
            "eval",
            "--endpoint",
            &server.url,
            "--endpoint-model",
            "m",
            "--benchmark",
            "humaneval",
            "--limit",
            "1",
        ],
        2,
    );
    assert!(said.contains("--execute"), "{said}");
}

/// A judge behind an endpoint grades a file of outputs.
#[test]
fn outputs_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    lines(
        &folder.path().join("p.jsonl"),
        &[
            json!({ "question": "2 + 2?", "prediction": "4", "category": "math", "reference": "4" }),
            json!({ "question": "Name a fruit.", "prediction": "A stone.", "category": "writing" }),
        ],
    );
    let server = Server::start(|body| {
        let asked = body["messages"].as_array().unwrap().last().unwrap()["content"]
            .as_str()
            .unwrap();
        if asked.contains("stone") {
            "Bad. Rating: [[2]]"
        } else {
            "Good. Rating: [[9]]"
        }
        .to_owned()
    });
    let arguments = [
        "score",
        "--metric",
        "judge-score",
        "--predictions",
        "p.jsonl",
        "--out",
        "s.json",
        "--judge",
        &server.url,
        "--judge-model",
        "j",
        "--judge-set",
        "parallel=2",
    ];
    done(folder.path(), &arguments);
    let scores = read(&folder.path().join("s.json"));
    assert_eq!(value(&scores, "judge_score"), 5.5);
    assert_eq!(value(&scores, "judge_score_math"), 9.0);
    let said = refused(
        folder.path(),
        &[
            "score",
            "--metric",
            "judge-score",
            "--predictions",
            "p.jsonl",
        ],
        1,
    );
    assert!(said.contains("neither a judge nor `judgements`"), "{said}");
}

/// Clients keep rows of their own, the best round is kept, the run ends early, and goes on to the same end
/// after it was stopped.
#[test]
fn runs_watch_their_evaluations() {
    model_file();
    let folder = tempfile::tempdir().unwrap();
    let experiment = here().join("data/reviews.toml");
    let run = |out: &str, more: &[&str]| {
        let mut arguments = vec!["run", experiment.to_str().unwrap(), "--out", out];
        for set in [
            "rounds=6",
            "evaluation.every=1",
            "checkpoint.every=1",
            "evaluation.best=\"perplexity\"",
            "evaluation.stop={ score = \"perplexity\", patience = 2, min_change = 1e9 }",
            "evaluation.clients={ rows = 1, every = 2, models = [\"global\", \"local\"] }",
            "compare.alone=3",
        ] {
            arguments.extend(["--set", set]);
        }
        arguments.extend(more);
        done(folder.path(), &arguments)
    };
    let (said, notes) = run("one", &[]);
    // No change is that large, so the run ends two evaluations after the first.
    assert!(notes.contains("stopped after round 3"), "{notes}");
    assert!(said.contains("jain index"), "{said}");
    let one = folder.path().join("one");
    assert_eq!(read_lines(&one.join("rounds.jsonl")).len(), 3);
    let best = read(&one.join("best.json"));
    assert!((1..=3).contains(&best["round"].as_u64().unwrap()));
    assert!(
        one.join("adapters/best/adapter_model.safetensors")
            .is_file()
    );
    let evaluations = read_lines(&one.join("evaluations.jsonl"));
    let of = |round: u64, model: &str| {
        let own = evaluations
            .iter()
            .filter(|own| own["round"] == round && own["model"] == model);
        own.filter(|own| !own["client"].is_null()).count()
    };
    // Three clients, two of them in a round; after the last round also those who trained alone.
    assert_eq!((of(2, "global"), of(2, "local"), of(3, "local")), (3, 2, 2));
    assert_eq!((of(3, "global"), of(3, "alone")), (3, 3));
    let across = evaluations.last().unwrap();
    assert!(
        across["scores"]["perplexity"]["gain_over_local"].is_number(),
        "{across}"
    );
    assert!(one.join("examples/round-1.jsonl").is_file());
    let kept = read(&one.join("kept.json"))["clients"].clone();
    let shards = read(&one.join("shards.json"))["clients"].clone();
    for client in 0..3 {
        let row = &kept[client][0];
        assert!(!shards[client].as_array().unwrap().contains(row));
    }
    // Resumed when it had ended: nothing is done again.
    run("one", &["--resume"]);
    assert_eq!(read_lines(&one.join("rounds.jsonl")).len(), 3);
    run("two", &["--set", "seed=1"]);
    let bytes = |run: &str, name: &str| fs::read(folder.path().join(run).join(name)).unwrap();
    for name in [
        "scores.json",
        "best.json",
        "evaluations.jsonl",
        "examples/round-2.jsonl",
    ] {
        assert!(bytes("one", name) == bytes("two", name), "{name}");
    }
    let mut wrong = vec!["run", experiment.to_str().unwrap(), "--out", "three"];
    wrong.extend([
        "--set",
        "evaluation.every=1",
        "--set",
        "evaluation.best=\"perplexty\"",
    ]);
    let said = refused(folder.path(), &wrong, 2);
    assert!(said.contains("no metric has a score `perplexty`"), "{said}");
}
