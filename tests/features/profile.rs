use std::fs;
use std::sync::Arc;

use folkmoot_build::toolchain::Toolchain;
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Calls, Client, HostCalls, Kind, Library, Limits, Metric, Reply, Round, Sandbox,
    State, Update, Usage,
};
use serde_json::{Value, json};

use crate::bench::{built_plugins, folkmoot, here, model_file, plugin, root, sandbox, stderr};

/// Scalars of every tensor of these tests.
const SIZE: usize = 1000;

fn params(value: f32) -> Params {
    Params::from_tensors([("w".to_owned(), vec![SIZE], vec![value; SIZE])]).unwrap()
}

/// Three clients with 1, 2 and 3 examples.
fn updates() -> Vec<Arc<Update>> {
    let one = |id: u32| {
        Arc::new(Update {
            client: Client {
                id,
                examples: u64::from(id) + 1,
                ..Client::default()
            },
            steps: 1,
            lr: 1.0,
            staleness: 0,
            delta: params(id as f32),
            message: Default::default(),
        })
    };
    (0..3).map(one).collect()
}

fn aggregate(algorithm: &Algorithm) -> Params {
    let round = Round {
        number: 1,
        total: 1,
        clients: 3,
        seed: Seed(1),
    };
    let next = algorithm.aggregate(round, &params(1.0), &updates(), &mut State::default());
    next.unwrap()
}

#[track_caller]
fn calls(sandbox: &Sandbox, call: &str) -> Calls {
    let found = sandbox.profile().calls.into_iter();
    found.into_iter().find(|own| own.call == call).unwrap()
}

/// What is the same whatever the machine.
fn counted(usage: Usage) -> Usage {
    Usage {
        seconds: 0.0,
        instantiating_seconds: 0.0,
        arithmetic_seconds: 0.0,
        peak_memory: 0,
        ..usage
    }
}

/// FedAvg over three updates: its calls of the host are known, and the sums over calls are those of one, times
/// their number.
#[test]
fn calls_of_the_host_are_counted() {
    let algorithm = Algorithm::new(plugin("fedavg", Kind::Algorithm), &json!({})).unwrap();
    let sandbox = algorithm.plugin().sandbox().clone();
    aggregate(&algorithm);
    let once = calls(&sandbox, "aggregate");
    // Of each update once for its share and once for its delta: the update and giving it back, its examples or its
    // delta; and how many there are, twice. Of parameters: the sum, what is added to it, and giving back three
    // deltas and the sum.
    let expected = Usage {
        host_calls: HostCalls {
            run: 2 * (1 + 3 * 3),
            params: 2 + 4,
            ..HostCalls::default()
        },
        // The global parameters, three deltas, the sum and its three items, the next global ones.
        operations: 9,
        evaluations: 1,
        // The settings, `{}`.
        bytes_in: 2,
        // The next global parameters.
        bytes_written: 4 * SIZE as u64,
        ..Usage::default()
    };
    assert_eq!(counted(once.usage), expected);
    assert_eq!(once.count, 1);
    let usage = once.usage;
    assert!(usage.instantiating_seconds > 0.0 && usage.arithmetic_seconds > 0.0);
    assert!(usage.seconds > usage.instantiating_seconds + usage.arithmetic_seconds);
    assert!(once.slowest_seconds == usage.seconds && usage.seconds < 60.0);
    for _ in 0..4 {
        aggregate(&algorithm);
    }
    let all = calls(&sandbox, "aggregate");
    assert_eq!(all.count, 5);
    assert_eq!(all.usage.host_calls.run, 5 * expected.host_calls.run);
    assert_eq!(all.usage.bytes_in, 10);
    assert_eq!(
        all.usage.peak_memory, usage.peak_memory,
        "the most, not the sum"
    );
    assert!(all.usage.seconds > all.slowest_seconds && all.slowest_seconds >= usage.seconds);
    // Clones share what they count; describing itself is a call, too.
    assert_eq!(
        calls(&sandbox.with_limits(Limits::default()), "describe").count,
        1
    );
}

/// A plugin that reads and writes chunks of a known size moves so many bytes; its memory is what it took.
#[test]
fn bytes_and_memory_are_counted() {
    let out = built_plugins().with_file_name("test-bench-plugins");
    let folder = root().join("tests/bench/fedavg-by-read");
    let scratch = out.parent().unwrap().parent().unwrap().join("plugins");
    folkmoot_build::build(&Toolchain::find().unwrap(), &[folder], &scratch, &out).unwrap();
    let library = Library::new(vec![out], &[]);
    let run = |settings: Value| {
        let sandbox = sandbox(Limits::default());
        let plugin = library.load(&sandbox, "fedavg-by-read", Kind::Algorithm);
        let algorithm = Algorithm::new(plugin.unwrap(), &settings).unwrap();
        let next = aggregate(&algorithm);
        // 1 + (0 · 1 + 1 · 2 + 2 · 3) / 6.
        assert!(
            next.values()
                .iter()
                .all(|value| (value - 7.0 / 3.0).abs() < 1e-6)
        );
        calls(&sandbox, "aggregate").usage
    };
    let (whole, chunks) = (run(json!({ "chunk": 1000 })), run(json!({ "chunk": 256 })));
    let scalars = (SIZE * 4) as u64;
    let settings = |text: &str| text.len() as u64;
    assert_eq!(whole.bytes_in, 4 * scalars + settings(r#"{"chunk":1000}"#));
    assert_eq!(chunks.bytes_in, 4 * scalars + settings(r#"{"chunk":256}"#));
    assert_eq!((whole.bytes_out, chunks.bytes_out), (scalars, scalars));
    // What it writes; the rest is evaluated already.
    assert_eq!(whole.bytes_written, scalars);
    // Three chunks more, of four reads and one `put` each.
    assert_eq!(chunks.host_calls.params, whole.host_calls.params + 3 * 5);
    assert_eq!(whole.peak_memory % 65536, 0);
    assert!((65536..4 << 20).contains(&whole.peak_memory));
}

/// A memory that a plugin declares is its peak, to the byte; a call that fails is counted as well.
#[test]
fn failures_are_counted() {
    let text = fs::read_to_string(here().join("hostile/partitioner.wat")).unwrap();
    let text = text.replace(
        "(memory (export \"memory\") 1)",
        "(memory (export \"memory\") 3)",
    );
    let body = "(drop (memory.grow (i32.const 4))) unreachable";
    let text = text
        .replace("BODY", body)
        .replace("EXPORT", "partitioner@0.1.0");
    let sandbox = sandbox(Limits::default());
    let bytes = wat::parse_str(text).unwrap();
    let plugin = folkmoot_plugin::Plugin::load(&sandbox, "hostile", &bytes).unwrap();
    let partitioner = folkmoot_plugin::Partitioner::new(plugin, &json!({})).unwrap();
    for _ in 0..2 {
        let failed = partitioner.partition(Arc::new(crate::sandbox::Nothing), 1, Seed(0));
        assert!(failed.is_err());
    }
    let found = calls(&sandbox, "partition");
    assert_eq!((found.count, found.plugin.as_str()), (2, "hostile"));
    assert_eq!(found.usage.peak_memory, 7 * 65536);
    assert_eq!(calls(&sandbox, "describe").usage.peak_memory, 3 * 65536);
    // Two times `{}`; the description is 50 bytes.
    assert_eq!(found.usage.bytes_in, 4);
    assert_eq!(calls(&sandbox, "describe").usage.bytes_out, 50);
}

/// Questions, texts and observations of a metric are counted.
#[test]
fn questions_are_counted() {
    let metric = Metric::new(plugin("perplexity", Kind::Metric), &json!({})).unwrap();
    let sandbox = metric.plugin().sandbox().clone();
    let example =
        json!({ "prompt": "one", "reference": " two", "continuation": " two" }).to_string();
    let asked = metric.ask(&example, &[]).unwrap();
    let usage = calls(&sandbox, "ask").usage;
    assert_eq!((usage.questions, asked.len()), (1, 1));
    assert_eq!(usage.bytes_in, 2 + example.len() as u64);
    assert_eq!(usage.bytes_out, "one two".len() as u64);
    metric
        .observe(
            &example,
            &[Reply {
                tokens: 1,
                ..Reply::default()
            }],
        )
        .unwrap();
    assert!(calls(&sandbox, "observe").usage.host_calls.evaluation > 0);
}

/// `--profile` shows a table on stderr; the record has it in any case, a session more for each time that the run is
/// resumed; what is compared by bytes has none of it.
#[test]
fn runs_show_and_record_what_plugins_cost() {
    model_file();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = folkmoot(folder.path());
        command.arg("run").arg(here().join("data/reviews.toml"));
        let output = command
            .args(["--set", "rounds=1", "--out", "out"])
            .args(arguments);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let recorded = || -> Vec<Value> {
        let text = fs::read_to_string(folder.path().join("out/profile.json")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        value["sessions"].as_array().unwrap().clone()
    };
    let quiet = run(&[]);
    assert!(!quiet.contains("peak memory"), "{quiet}");
    let sessions = recorded();
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        (&sessions[0]["after_round"], &sessions[0]["rounds"]),
        (&json!(0), &json!(1))
    );
    let count = |call: &str| {
        let calls = sessions[0]["calls"].as_array().unwrap();
        let own = calls.iter().find(|own| own["call"] == call).unwrap();
        own["count"].as_u64().unwrap()
    };
    // A round with a cohort of two; three held-out rows.
    let found = [
        "start",
        "sample",
        "configure",
        "begin",
        "finish",
        "aggregate",
        "partition",
    ]
    .map(count);
    assert_eq!(found, [1, 1, 2, 2, 2, 1, 1]);
    assert_eq!((count("observe"), count("summarize")), (3, 1));
    let rounds = fs::read(folder.path().join("out/rounds.jsonl")).unwrap();
    let shown = run(&["--resume", "--profile"]);
    let head = shown
        .lines()
        .find(|line| line.starts_with("plugin "))
        .unwrap();
    for column in [
        "calls",
        "mean µs",
        "share",
        "host calls",
        "operations",
        "moved",
        "peak memory",
    ] {
        assert!(head.contains(column), "{head}");
    }
    assert!(
        shown
            .lines()
            .any(|line| line.starts_with("perplexity ") && line.contains(" observe "))
    );
    let sessions = recorded();
    assert_eq!(
        (sessions.len(), &sessions[1]["after_round"]),
        (2, &json!(1))
    );
    assert_eq!(
        rounds,
        fs::read(folder.path().join("out/rounds.jsonl")).unwrap()
    );
}
