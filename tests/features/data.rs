use std::borrow::Cow;
use std::fs;
use std::path::Path;

use folkmoot_data::duplicates::{Settings, Signatures, banding, resemblance};
use folkmoot_data::heterogeneity::Heterogeneity;
use serde_json::{Value, json};

use crate::bench::{folkmoot, golden, numbers, stderr, stdout};

/// 600 rows with a text, a label and whose they are.
fn write_rows(folder: &Path) {
    let row = |i: usize| {
        let label = ["negative", "neutral", "positive"][(i * i + i / 7) % 3];
        let text = format!("{label} words, and row number {i} says more of them");
        json!({ "text": text, "label": label, "user": format!("u{}", i % 9), "score": i })
    };
    let lines: String = (0..600).map(|i| format!("{}\n", row(i))).collect();
    fs::write(folder.join("rows.jsonl"), lines).unwrap();
}

/// `folkmoot` with `arguments`, which has to succeed; what it prints.
#[track_caller]
fn fine(folder: &Path, arguments: &[&str]) -> String {
    let output = folkmoot(folder).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output)
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = folkmoot(folder).args(arguments).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "{arguments:?}: {}",
        stdout(&output)
    );
    stderr(&output)
}

fn shards(folder: &Path, name: &str) -> Vec<Vec<u32>> {
    let value: Value = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 1);
    serde_json::from_value(value["clients"].clone()).unwrap()
}

const DIRICHLET: [&str; 12] = [
    "partition",
    "--partitioner",
    "dirichlet",
    "--partitioner-arg",
    "alpha=0.3",
    "--partitioner-arg",
    "column=label",
    "--data",
    "rows.jsonl",
    "--clients",
    "10",
    "--out",
];

/// `partition` writes every row once, the same with any number of threads, and draws it.
#[test]
fn rows_are_dealt_out_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let said = fine(
        folder,
        &[
            &DIRICHLET[..],
            &["a.json", "--seed", "7", "--statistics", "s.json"],
        ]
        .concat(),
    );
    let dealt = shards(folder, "a.json");
    let mut rows = dealt.concat();
    rows.sort_unstable();
    assert_eq!((dealt.len(), rows), (10, (0..600).collect()));
    for part in [
        "600 of 600 rows over 10 clients",
        "entropy",
        "`label`",
        "a.svg",
        "duplicates: ",
    ] {
        assert!(said.contains(part), "{said}");
    }
    fine(
        folder,
        &[&DIRICHLET[..], &["b.json", "--seed", "7", "--threads", "1"]].concat(),
    );
    assert_eq!(shards(folder, "b.json"), dealt);
    fine(
        folder,
        &[&DIRICHLET[..], &["c.json", "--seed", "8"]].concat(),
    );
    assert_ne!(shards(folder, "c.json"), dealt);
    let svg = fs::read_to_string(folder.join("a.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("negative") && svg.trim_end().ends_with("</svg>")
    );
    let statistics: Value =
        serde_json::from_slice(&fs::read(folder.join("s.json")).unwrap()).unwrap();
    let clients = statistics["heterogeneity"]["clients"].as_array().unwrap();
    let sizes = clients
        .iter()
        .map(|client| client["size"].as_u64().unwrap() as usize);
    assert_eq!(
        sizes.collect::<Vec<_>>(),
        dealt.iter().map(Vec::len).collect::<Vec<_>>()
    );
}

/// Every partitioner by its setting names; those that know the number of clients take none.
#[test]
fn every_partitioner_deals() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let cases: [(&str, &[&str], Option<&str>, usize); 17] = [
        ("iid", &[], Some("4"), 600),
        (
            "dirichlet",
            &[
                "column=label",
                "alpha=0.5",
                "min_size=5",
                "self_balancing=true",
            ],
            Some("4"),
            600,
        ),
        (
            "inner-dirichlet",
            &["column=label", "alpha=0.5", "sizes=[50, 70]"],
            None,
            120,
        ),
        (
            "distribution",
            &[
                "column=label",
                "distribution=[[1, 2], [2, 1], [1, 1]]",
                "classes_per_client=1",
            ],
            Some("6"),
            600,
        ),
        (
            "pathological",
            &["column=label", "classes_per_client=2"],
            Some("6"),
            600,
        ),
        (
            "shard",
            &["column=label", "shards_per_client=2"],
            Some("5"),
            600,
        ),
        ("natural-id", &["column=user"], None, 600),
        (
            "grouped-natural-id",
            &["column=user", "group_size=3"],
            None,
            600,
        ),
        ("size", &["sizes=100,200"], None, 300),
        ("linear", &[], Some("4"), 600),
        ("square", &[], Some("4"), 600),
        ("exponential", &[], Some("4"), 600),
        (
            "continuous",
            &["column=score", "strictness=0.9"],
            Some("4"),
            600,
        ),
        (
            "domain-mix",
            &["column=label", "ratios=[[1, 1, 0], [0, 1, 1]]"],
            Some("2"),
            0,
        ),
        ("quantity-dirichlet", &["alpha=1"], Some("4"), 600),
        ("length-skew", &["strictness=0.5"], Some("4"), 0),
        ("tfidf-cluster", &["clusters=3", "alpha=1"], Some("4"), 600),
    ];
    for (name, settings, clients, expected) in cases {
        let mut arguments = vec![
            "partition",
            "--partitioner",
            name,
            "--data",
            "rows.jsonl",
            "--out",
            "s.json",
        ];
        settings
            .iter()
            .for_each(|setting| arguments.extend(["--partitioner-arg", setting]));
        clients
            .iter()
            .for_each(|clients| arguments.extend(["--clients", clients]));
        if name == "length-skew" {
            // Lengths are all the same here, and that is said.
            let error = refused(folder, &arguments);
            assert!(
                error.contains("length is the same in all examples"),
                "{error}"
            );
            continue;
        }
        fine(folder, &arguments);
        let rows = shards(folder, "s.json").concat();
        assert!(
            expected == 0 || rows.len() == expected,
            "{name}: {} rows",
            rows.len()
        );
    }
}

/// What people get wrong with `partition` is said with its cause and a hint.
#[test]
fn mistakes_of_partitioning_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let ask = |partitioner: &str, more: &[&str]| {
        let start = [
            "partition",
            "--partitioner",
            partitioner,
            "--data",
            "rows.jsonl",
            "--out",
            "s.json",
        ];
        refused(folder, &[&start[..], more].concat())
    };
    let check = |said: String, parts: &[&str]| {
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    check(
        ask("dirichlet", &["--partitioner-arg", "column=label"]),
        &["needs a number of clients", "--clients"],
    );
    check(
        ask(
            "dirichlet",
            &["--partitioner-arg", "column=lable", "--clients", "3"],
        ),
        &["no column `lable`", "nearest is `label`"],
    );
    check(
        ask(
            "dirichlet",
            &["--partitioner-arg", "colum=label", "--clients", "3"],
        ),
        &["colum"],
    );
    check(
        ask(
            "natural-id",
            &["--partitioner-arg", "column=user", "--clients", "4"],
        ),
        &["9", "4"],
    );
    check(
        ask(
            "pathological",
            &[
                "--partitioner-arg",
                "column=label",
                "--partitioner-arg",
                "classes_per_client=4",
                "--clients",
                "3",
            ],
        ),
        &["4", "3"],
    );
    check(
        ask("iid", &["--clients", "601"]),
        &["601 clients for 600 rows"],
    );
    check(
        ask("dirichlett", &["--clients", "3"]),
        &["did you mean `dirichlet`"],
    );
    assert!(!folder.join("s.json").exists());
}

const EXPERIMENT: &str = r#"
name = "broken"
seed = 1
rounds = 1
[model]
base = "smollm2-135m-instruct"
[adapter]
rank = 4
alpha = 8.0
[data]
source = "rows.jsonl"
template = "plain"
max_length = 16
held_out = { rows = 2 }
[partition]
plugin = "iid"
clients = 2
[training]
cohort = 2
steps = 1
batch = 1
lr = 1e-3
[algorithm]
plugin = "fedavg"
[evaluation]
metrics = [{ plugin = "perplexity" }]
"#;

/// Rows that cannot be used are counted, shown with file and line, and treated as the experiment says.
#[test]
fn broken_rows_are_treated_as_the_experiment_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = |i: usize| {
        format!("{{\"instruction\": \"Question {i}?\", \"response\": \"Yes.\"}}\n").into_bytes()
    };
    let mut text: Vec<u8> = (0..8).flat_map(good).collect();
    text.extend(b"{\"instruction\": \"\xff\", \"response\": \"a\"}\n");
    text.extend(b"{\"instruction\": \"no answer\"}\n");
    text.extend(b"{\"instruction\": \"a number\", \"response\": 3}\n");
    text.extend(b"{\"instruction\": \"empty\", \"response\": \"\"}\n");
    text.extend(
        format!(
            "{{\"instruction\": \"{}\", \"response\": \"a\"}}\n",
            "long ".repeat(40)
        )
        .bytes(),
    );
    text.extend(
        format!(
            "{{\"instruction\": \"b\", \"response\": \"{}\"}}\n",
            "long ".repeat(40)
        )
        .bytes(),
    );
    fs::write(folder.join("rows.jsonl"), text).unwrap();
    fs::write(folder.join("x.toml"), EXPERIMENT).unwrap();
    let said = refused(folder, &["check", "x.toml"]);
    for part in [
        "4 of 14 rows cannot be used",
        "`rows.jsonl` line 9: not UTF-8",
        "`rows.jsonl` line 10: no field `response`",
        "`rows.jsonl` line 11: `response` is a number",
        "`rows.jsonl` line 12: empty `response`",
        "hint: `data.broken = \"skip\"`",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // What is left: 10 rows, one of them without a token of its response within 16, one cut.
    let said = fine(folder, &["check", "x.toml", "--set", "data.broken=skip"]);
    assert!(
        said.contains("5 unusable") && said.contains("(1 cut at 16 tokens)"),
        "{said}"
    );
    let arguments = [
        "check",
        "x.toml",
        "--set",
        "data.broken=skip",
        "--set",
        "data.too_long=skip",
    ];
    let said = fine(folder, &arguments);
    assert!(
        said.contains("6 unusable") && said.contains("(0 cut at 16 tokens)"),
        "{said}"
    );
    let arguments = [
        "check",
        "x.toml",
        "--set",
        "data.broken=skip",
        "--set",
        "data.too_long=stop",
    ];
    let said = refused(folder, &arguments);
    assert!(
        said.contains("too long") && said.contains("line 14: ") && said.contains("16 are the most"),
        "{said}"
    );
    let output = folkmoot(folder)
        .args(["data", "check", "rows.jsonl"])
        .output()
        .unwrap();
    assert!(
        !output.status.success() && stderr(&output).contains("4 of 14 rows"),
        "{}",
        stderr(&output)
    );
}

/// What was tokenised is found again by the digest of all that it depends on.
#[test]
fn a_second_start_tokenises_nothing() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let model = crate::bench::model_file();
    let rows: String = (0..40)
        .map(|i| format!("{{\"instruction\": \"Q {i}\", \"response\": \"A {i}\"}}\n"))
        .collect();
    fs::write(folder.join("rows.jsonl"), &rows).unwrap();
    fs::write(
        folder.join("x.toml"),
        EXPERIMENT.replace("smollm2-135m-instruct", model.to_str().unwrap()),
    )
    .unwrap();
    let check = |arguments: &[&str]| {
        let mut command = folkmoot(folder);
        command
            .env("FOLKMOOT_CACHE", cache.path())
            .args(["check", "x.toml"])
            .args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        (stdout(&output), stderr(&output).contains("tokenising"))
    };
    let (first, tokenised) = check(&[]);
    assert!(tokenised);
    assert_eq!(check(&[]), (first.clone(), false));
    // Another template, length or seed, or another file, is another thing.
    for change in ["data.template=chatml", "data.max_length=12", "seed=2"] {
        assert!(check(&["--set", change]).1, "{change}");
    }
    assert_eq!(check(&[]), (first.clone(), false));
    fs::write(folder.join("rows.jsonl"), rows.replace("A 7", "B 7")).unwrap();
    assert!(check(&[]).1);
}

/// Equal and nearly equal rows are found, told, and removed where the experiment wants it.
#[test]
fn duplicates_are_found_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = |i: usize| {
        (0..30)
            .map(|w| format!("w{}", (i * 31 + w * 7) % 997))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let row = |text: String| format!("{}\n", json!({ "instruction": text, "response": "Yes." }));
    let mut rows: Vec<String> = (0..30).map(|i| row(words(i))).collect();
    rows.extend((0..5).map(|i| row(words(i))));
    rows.extend((5..8).map(|i| row(format!("{} more", words(i)))));
    fs::write(folder.join("rows.jsonl"), rows.concat()).unwrap();
    let experiment = EXPERIMENT.replace("max_length = 16", "max_length = 256");
    fs::write(folder.join("x.toml"), &experiment).unwrap();
    let said = fine(
        folder,
        &["data", "duplicates", "rows.jsonl", "--out", "kept.json"],
    );
    assert!(
        said.contains("10 rows repeated at the same client, 6 more nearly so"),
        "{said}"
    );
    assert!(
        said.contains("`rows.jsonl` line 1 and `rows.jsonl` line 31"),
        "{said}"
    );
    assert_eq!(shards(folder, "kept.json")[0], (0..30).collect::<Vec<_>>());
    let removed =
        ["within", "across", "held_out"].map(|what| format!("data.duplicates.{what}=remove"));
    let mut arguments = vec!["check", "x.toml"];
    removed
        .iter()
        .for_each(|change| arguments.extend(["--set", change]));
    let output = folkmoot(folder).args(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("duplicates removed"),
        "{}",
        stderr(&output)
    );
}

/// Rows, the trained part in brackets, and their tokens.
#[test]
fn a_row_is_shown_as_the_model_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let arguments = [
        "data",
        "preview",
        "rows.jsonl",
        "--column",
        "instruction=text",
        "--column",
        "response=label",
    ];
    let said = fine(
        folder,
        &[&arguments[..], &["--template", "chatml", "--row", "1"]].concat(),
    );
    assert!(
        said.contains("<|im_start|>assistant\n⟦neutral<|im_end|>⟧"),
        "{said}"
    );
    assert!(
        said.contains("`rows.jsonl` line 2") && said.contains("⟦2 <|im_end|>⟧"),
        "{said}"
    );
    let said = fine(folder, &["data", "list"]);
    assert!(
        said.contains("hh-rlhf") && said.contains("ultrafeedback"),
        "{said}"
    );
    assert!(fine(folder, &["data", "info", "hh-rlhf"]).contains("Anthropic/hh-rlhf at 09be8c5b"));
    let error = refused(
        folder,
        &[
            "data",
            "preview",
            "rows.jsonl",
            "--row",
            "600",
            "--template",
            "plain",
        ],
    );
    assert!(error.contains("rows 0 to 599"), "{error}");
}

/// Jaccard indices by Python's sets, the choice of bands by datasketch.
#[test]
fn duplicates_agree_with_datasketch() {
    let golden = golden("duplicates.json");
    let list = |value: &Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect::<Vec<_>>()
    };
    let settings = Settings {
        shingle: golden["shingle"].as_u64().unwrap() as usize,
        threshold: golden["threshold"].as_f64().unwrap(),
    };
    let texts: Vec<&str> = golden["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own.as_str().unwrap())
        .collect();
    for pair in list(&golden["pairs"]) {
        let (a, b) = (texts[pair[0] as usize], texts[pair[1] as usize]);
        assert_eq!(resemblance(a, b, settings.shingle), pair[2]);
    }
    let text = |i: usize| Cow::Borrowed(texts[i]);
    let signatures = Signatures::of(texts.len(), text, settings).unwrap();
    let clusters = signatures.clusters(text);
    let near = |pair: &Vec<f64>| clusters.near[pair[0] as usize] == clusters.near[pair[1] as usize];
    assert!(list(&golden["together"]).iter().all(near));
    assert!(!list(&golden["apart"]).iter().any(near));
    for row in list(&golden["banding"]) {
        assert_eq!(banding(row[0], row[1]), (row[2] as usize, row[3] as usize));
    }
}

/// Entropies and distances by scipy.
#[test]
fn heterogeneity_agrees_with_scipy() {
    for case in golden("heterogeneity.json").as_array().unwrap() {
        let counts: Vec<Vec<u64>> = serde_json::from_value(case["counts"].clone()).unwrap();
        let own = serde_json::to_value(Heterogeneity::of(&counts)).unwrap();
        for key in [
            "clients",
            "sizes",
            "mean_distance",
            "weighted_distance",
            "largest_distance",
        ] {
            same(&case[key], &own[key], &format!("{} {key}", case["name"]));
        }
    }
}

/// Whether `own` says what is expected, number by number.
fn same(expected: &Value, own: &Value, at: &str) {
    match expected {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| same(value, &own[key], &format!("{at}.{key}"))),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, value)| same(value, &own[i], &format!("{at}[{i}]"))),
        Value::Number(number) => {
            let (expected, own) = (number.as_f64().unwrap(), own.as_f64().unwrap());
            // Distances are roots, which turn a rounding error of 1e-16 into 1e-8.
            let off = (own - expected).abs() / expected.abs().max(1.0);
            assert!(
                off <= if at.contains("distance") { 2e-8 } else { 1e-12 },
                "{at}: {own} where {expected} is expected"
            );
        }
        other => assert_eq!(other, own, "{at}"),
    }
}

/// Files that no model could learn from are dealt out too, and no output overwrites an input.
#[test]
fn any_rows_are_dealt_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("plain")).unwrap();
    let rows: String = (0..20)
        .map(|i| {
            format!(
                "{}\n",
                json!({ "prompt": format!("p {}", i / 2), "grade": i % 12 })
            )
        })
        .collect();
    fs::write(folder.join("plain/a.jsonl"), &rows).unwrap();
    let start = [
        "partition",
        "--partitioner",
        "iid",
        "--clients",
        "4",
        "--data",
    ];
    // A folder beside is found without a slash in its name.
    let said = fine(
        folder,
        &[
            &start[..],
            &["plain", "--out", "a.json", "--label", "grade"],
        ]
        .concat(),
    );
    assert!(said.contains("duplicates: 100.0 % of the rows"), "{said}");
    // Labels that are numbers are in the order of numbers.
    let svg = fs::read_to_string(folder.join("a.svg")).unwrap();
    let at = |label: &str| svg.find(&format!(">{label}<")).unwrap();
    assert!(at("9") < at("10") && at("10") < at("11"));
    let data = "plain/a.jsonl";
    let wrong: [(&[&str], &str); 4] = [
        (
            &[data, "--out", data],
            "--out `plain/a.jsonl` is what --data names",
        ),
        (
            &[data, "--out", "b.svg"],
            "--svg `b.svg` is what --out names",
        ),
        (&[data, "--out", "no/b.json"], "there is no folder"),
        (&[data, "--out", "plain"], "--out `plain` is a folder"),
    ];
    for (arguments, expected) in wrong {
        let error = refused(folder, &[&start[..], arguments].concat());
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(fs::read_to_string(folder.join(data)).unwrap(), rows);
    let error = refused(
        folder,
        &[&start[..], &["plain", "--out", "b.json", "--split", "dev"]].concat(),
    );
    assert!(error.contains("no file of split `dev`"), "{error}");
    let error = refused(
        folder,
        &[&start[..], &[data, "--out", "b.json", "--split", "train"]].concat(),
    );
    assert!(error.contains("is one file"), "{error}");
    let error = refused(folder, &["data", "info", "alpca"]);
    assert!(
        error.contains("nearest is `alpaca`") && error.len() < 300,
        "{error}"
    );
}

/// Odd files and templates say what is wrong with them.
#[test]
fn odd_data_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let cases: [(&str, &str, &str); 6] = [
        ("empty.jsonl", "", "there are no rows"),
        ("header.csv", "instruction,response\n", "there are no rows"),
        (
            "twice.csv",
            "text,text\na,b\n",
            "column `text` is there twice",
        ),
        ("list.json", "[\"a\", \"b\"]", "expected a JSON object"),
        ("bad.parquet", "PAR1", "not a readable Parquet file"),
        (
            "bad.arrow",
            "ARROW1 and then nothing of it",
            "not a readable Arrow file",
        ),
    ];
    for (name, text, expected) in cases {
        fs::write(folder.join(name), text).unwrap();
        let error = refused(folder, &["data", "check", name]);
        assert!(error.contains(expected), "{name}: {error}");
    }
    // Pairs are known by their columns, and learnt with `[preference]` only.
    let pair = json!({ "instruction": "a", "chosen": [{ "role": "assistant", "content": "b" }], "rejected": "c" });
    fs::write(folder.join("rows.jsonl"), format!("{pair}\n").repeat(6)).unwrap();
    let said = fine(
        folder,
        &["data", "preview", "rows.jsonl", "--template", "plain"],
    );
    assert!(
        said.contains("shape preference") && said.contains("a⟦ b<|im_end|>⟧"),
        "{said}"
    );
    fs::write(folder.join("x.toml"), EXPERIMENT).unwrap();
    let error = refused(folder, &["check", "x.toml"]);
    assert!(error.contains("learnt with `[preference]` only"), "{error}");
    let error = refused(
        folder,
        &["data", "preview", "x.toml", "--template", "alpaca"],
    );
    assert!(error.contains("only --row goes with it"), "{error}");
    fs::write(
        folder.join("rows.jsonl"),
        "{\"instruction\": \"a\", \"response\": \"b\"}\n".repeat(6),
    )
    .unwrap();
    let template = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        refused(
            folder,
            &[
                "check",
                "x.toml",
                "--set",
                &format!("data.template=\"./{name}\""),
            ],
        )
    };
    let error = template(
        "misspelt.jinja",
        "{{ messages[0].contnt }}{{ trained(messages[1].content ~ eos_token) }}",
    );
    assert!(
        error.contains("misspelt.jinja") && error.contains("undefined"),
        "{error}"
    );
    let error = template("silent.jinja", "{{ messages[0].content }}");
    assert!(error.contains("hint: `{{ trained("), "{error}");
    let error = template("torn.jinja", "{% if messages %}{%}");
    assert!(error.contains("torn.jinja"), "{error}");
}
