//! The loader on small files: what is asked, which rows are shots, and what every mistake is called.

use std::fs;
use std::path::Path;

use folkmoot_params::Seed;
use serde_json::json;

use super::{Benchmark, Benchmarks, Example};
use crate::catalogue::Catalogue;

const HEAD: &str = "summary = \"s\"\nlicence = \"l\"\ncitation = []\n";
const METRIC: &str = "[[metrics]]\nplugin = \"accuracy\"\n";

/// A benchmark over twelve rows `{ n, group, text }`, four of each group.
fn folder(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..12).map(|n| {
        let group = ["a", "b", "c"][n % 3];
        let row = json!({ "n": n, "group": group, "text": format!("t{n}") });
        format!("{row}\n")
    });
    fs::write(folder.path().join("rows.jsonl"), rows.collect::<String>()).unwrap();
    let others = (0..6).map(|n| format!("{}\n", json!({ "n": n, "other": n * n })));
    fs::write(
        folder.path().join("others.jsonl"),
        others.collect::<String>(),
    )
    .unwrap();
    fs::write(folder.path().join("own.toml"), format!("{HEAD}{rest}")).unwrap();
    folder
}

fn found(folder: &Path, variant: Option<&str>) -> anyhow::Result<Benchmark> {
    let path = folder.join("own.toml");
    Benchmarks::new(None)?.find(path.to_str().unwrap(), variant)
}

fn asked(
    folder: &Path,
    variant: Option<&str>,
    limit: Option<usize>,
) -> anyhow::Result<Vec<Example>> {
    let catalogue = Catalogue::new(None)?;
    let cache = folder.join("cache");
    found(folder, variant)?.rows(&catalogue, &cache, &mut |_| {}, limit, Seed(1))
}

fn prompts(folder: &Path, variant: Option<&str>) -> Vec<String> {
    let rows = asked(folder, variant, None).unwrap();
    rows.iter()
        .map(|row| row["prompt"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn refused(rest: &str, expected: &str) {
    let folder = folder(rest);
    let error = asked(folder.path(), None, None).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains(expected), "{error}");
}

/// Shots from the rows themselves, from other files, drawn, fixed, with a value to match: never the row itself.
#[test]
fn shots_are_never_the_row_itself() {
    let rest = r#"
[data]
source = "rows.jsonl"
[shots]
count = 2
match = "group"
[prompt]
before = "About {{ group }}.\n"
text = "Q: {{ text }}"
target = " A: {{ n }}"
between = "\n"
[[metrics]]
plugin = "accuracy"
[variants.random.shots]
choose = "random"
[variants.once.shots]
choose = "once"
set_aside = true
[variants.apart.shots]
count = 1
match = "text"
set_aside = true
[variants.aside.shots]
set_aside = true
[variants.none.shots]
count = 0
[variants.fixed.shots]
count = 1
fixed = [{ group = "a", text = "x", n = 1 }, { group = "b", text = "y", n = 2 }, { group = "c", text = "z", n = 3 }]
[variants.elsewhere]
shots = { data = { source = "rows.jsonl", filter = "n < 9" } }
"#;
    let folder = folder(rest);
    let folder = folder.path();
    let first = prompts(folder, None);
    assert_eq!(first[0], "About a.\nQ: t3 A: 3\nQ: t6 A: 6\nQ: t0");
    assert_eq!(first[10], "About b.\nQ: t1 A: 1\nQ: t4 A: 4\nQ: t10");
    assert_eq!(prompts(folder, Some("none"))[4], "About b.\nQ: t4");
    assert_eq!(
        prompts(folder, Some("fixed"))[2],
        "About c.\nQ: z A: 3\nQ: t2"
    );
    // The row is not shown to itself though the rows are another file's.
    assert_eq!(prompts(folder, Some("elsewhere")), first);
    let random = prompts(folder, Some("random"));
    assert_eq!(random, prompts(folder, Some("random")));
    assert_ne!(random, first);
    for (row, prompt) in random.iter().enumerate() {
        assert_eq!(
            prompt.matches(&format!("Q: t{row}")).count(),
            1 + usize::from(row == 1 && prompt.contains("Q: t10"))
        );
    }
    let aside = prompts(folder, Some("aside"));
    assert_eq!(aside.len(), 6);
    assert_eq!(aside[0], "About a.\nQ: t0 A: 0\nQ: t3 A: 3\nQ: t6");
    let once = prompts(folder, Some("once"));
    assert_eq!(once.len(), 6);
    let shown = |prompt: &str| prompt.rsplit_once('\n').unwrap().0.to_owned();
    assert_eq!(
        once.iter()
            .map(|prompt| shown(prompt))
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        3
    );
    let error = asked(folder, Some("apart"), None).unwrap_err();
    assert!(
        format!("{error:#}").contains("there are 1 rows where `text` is `t"),
        "{error:#}"
    );
}

/// Rows chosen by an expression, a share, a number of each value; columns of other files; limits.
#[test]
fn rows_are_chosen_joined_and_limited() {
    let rest = r#"
[data]
source = "rows.jsonl"
join = [{ source = "others.jsonl", on = "n", columns = ["other"] }]
[data.columns]
reference = { expression = "text|upper" }
[prompt]
text = "{{ reference }} {{ other }}"
[[metrics]]
plugin = "accuracy"
settings = { labels = ["a", "b"], nested = { x = 1 } }
[aggregate]
by = ["group"]
[variants.few.data]
filter = "n > 2"
sample = { rows = 2, by = "group" }
[variants.part.data]
test_part = { share = 0.25, seed = 42 }
"#;
    let folder = folder(rest);
    let folder = folder.path();
    let all = prompts(folder, None);
    assert_eq!((all[3].as_str(), all[7].as_str()), ("T3 9", "T7 None"));
    let benchmark = found(folder, None).unwrap();
    assert_eq!(benchmark.metrics[0].settings["nested"], json!({ "x": 1 }));
    assert_eq!(benchmark.variants, ["few", "part"]);
    let few = asked(folder, Some("few"), None).unwrap();
    let of = |group: &str| few.iter().filter(|row| row["group"] == group).count();
    assert_eq!((few.len(), of("a"), of("b"), of("c")), (6, 2, 2, 2));
    assert!(few.iter().all(|row| row["n"].as_u64() > Some(2)));
    // numpy.random.default_rng(42).permutation(12)[:3] is 9, 10, 11 in some order.
    let part = asked(folder, Some("part"), None).unwrap();
    assert_eq!(part.len(), 3);
    let limited = asked(folder, None, Some(5)).unwrap();
    assert_eq!(limited.len(), 5);
    assert_eq!(limited, asked(folder, None, Some(5)).unwrap());
    let groups: std::collections::BTreeSet<&str> = limited
        .iter()
        .filter_map(|row| row["group"].as_str())
        .collect();
    assert_eq!(groups.len(), 3);
    assert_eq!(asked(folder, None, Some(100)).unwrap().len(), 12);
}

#[test]
fn mistakes_say_file_key_and_cause() {
    let data = "[data]\nsource = \"rows.jsonl\"\n";
    let prompt = "[prompt]\ntext = \"{{ text }}\"\ntarget = \"{{ n }}\"\n";
    let all = |more: &str| format!("{data}{prompt}{METRIC}{more}");
    refused(
        &format!("{data}{METRIC}[promt]\ntext = \"x\"\n"),
        "did you mean `prompt`?",
    );
    refused(
        &format!("{data}{METRIC}[prompt]\ntext = \"{{{{ txet }}}}\"\n"),
        "own.toml",
    );
    refused(
        &format!("{data}{METRIC}[prompt]\ntext = \"{{{{ txet }}}}\"\n"),
        "`prompt.text`: no column `txet`, present are `group`, `n`, `text`, nearest is `text`",
    );
    refused(
        &format!("{data}{METRIC}[prompt]\ntext = \"a\\n{{% if %}}\"\n"),
        "`prompt.text`, line 2: syntax error",
    );
    refused(
        &format!("{data}{METRIC}[prompt]\ntext = \"{{{{ text.missing.more }}}}\"\n"),
        "rows.jsonl` line 1: `prompt.text`, line 1: undefined value",
    );
    refused(
        &format!("{data}{METRIC}"),
        "no `[prompt]`, and the rows have neither",
    );
    refused(
        &all("[shots]\ncount = 12\n"),
        "`shots.count` is 12, but there are 11 rows to show beside",
    );
    refused(
        &all("[shots]\ncount = 4\nmatch = \"group\"\n"),
        "there are 3 rows to show where `group` is `a` beside",
    );
    refused(
        &all("[shots]\ncount = 1\nmatch = \"gruop\"\n"),
        "`shots.match`: ",
    );
    refused(
        &all("[shots]\ncount = 1\nset_aside = true\nchoose = \"random\"\n"),
        "`shots.set_aside` is for",
    );
    refused(
        &format!("{data}[prompt]\ntext = \"x\"\n{METRIC}[shots]\ncount = 1\n"),
        "`[shots]` without `prompt.target`",
    );
    refused(
        &all("[shots]\ncount = 1\nfixed = [{ text = \"x\" }]\n"),
        "the rows that can be shots: `prompt.target`: no column `n`, present are `text`",
    );
    refused(&all("[aggregate]\nby = [\"grop\"]\n"), "`aggregate.by`: ");
    refused(
        &format!("[data]\nsource = \"rows.jsonl\"\nfilter = \"n > 99\"\n{prompt}{METRIC}"),
        "`data.filter`: of no row is `n > 99` true",
    );
    refused(
        &format!("[data]\nsource = \"humanevil\"\n{prompt}{METRIC}"),
        "`data.source`: unknown catalogue entry `humanevil`, nearest is `humaneval`",
    );
    refused(
        &format!("[data]\nsource = \"no.jsonl\"\n{prompt}{METRIC}"),
        "no.jsonl` is not there",
    );
    refused(
        &format!(
            "{data}[data.columns]\nreference = {{ expression = \"txt ~ 1\" }}\n{prompt}{METRIC}"
        ),
        "`data`: mapping of `reference`: no column `txt`",
    );
    refused(
        &format!("{data}{prompt}metrics = []\n"),
        "unknown field `metrics`",
    );
    let folder = folder(&all(""));
    let error = format!("{:#}", found(folder.path(), Some("packged")).unwrap_err());
    assert!(error.contains("no such variant"), "{error}");
    let known = Benchmarks::new(None).unwrap();
    let error = known.find("mmul", None).unwrap_err().to_string();
    assert!(
        error.contains("unknown benchmark `mmul`, nearest is `mmlu`"),
        "{error}"
    );
    let error = known.find("openfedllm", None).unwrap_err().to_string();
    assert!(error.contains("but a suite is called that"), "{error}");
}

/// The user's folder: benchmarks and suites beside ours, none of them in place of ours.
#[test]
fn a_folder_of_the_users_own_is_read() {
    let rest = format!("[data]\nsource = \"rows.jsonl\"\n[prompt]\ntext = \"x\"\n{METRIC}");
    let folder = folder(&rest);
    let suite = "summary = \"s\"\n[[benchmarks]]\nname = \"own\"\nscores = [\"accuracy\"]\n";
    fs::write(folder.path().join("mine.toml"), suite).unwrap();
    let known = Benchmarks::new(Some(folder.path())).unwrap();
    assert_eq!(known.find("own", None).unwrap().summary, "s");
    assert_eq!(known.suite("mine").unwrap().benchmarks[0].name, "own");
    let catalogue = Catalogue::new(None).unwrap();
    let rows = known.find("own", None).unwrap();
    let rows = rows.rows(&catalogue, folder.path(), &mut |_| {}, None, Seed(0));
    assert_eq!(rows.unwrap().len(), 12);
    fs::write(folder.path().join("mine.toml"), suite.replace("own", "on")).unwrap();
    let known = Benchmarks::new(Some(folder.path())).unwrap();
    let error = format!("{:#}", known.suite("mine").unwrap_err());
    assert!(
        error.contains("mine.toml") && error.contains("unknown benchmark `on`"),
        "{error}"
    );
    fs::write(folder.path().join("mmlu.toml"), suite).unwrap();
    let error = Benchmarks::new(Some(folder.path()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("is also one of this program"), "{error}");
}

/// Every file of ours in every variant, and every suite, with sources that the catalogue has.
#[test]
fn ours_parse_in_every_variant() {
    let (known, catalogue) = (
        Benchmarks::new(None).unwrap(),
        Catalogue::new(None).unwrap(),
    );
    let names: Vec<String> = known.names().map(str::to_owned).collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in &names {
        let plain = known.find(name, None).unwrap();
        let variants: Vec<Option<&str>> = std::iter::once(None)
            .chain(plain.variants.iter().map(|own| Some(own.as_str())))
            .collect();
        for variant in variants {
            let own = known.find(name, variant).unwrap();
            assert!(
                !own.summary.is_empty() && !own.citation.is_empty(),
                "{name}"
            );
            let shots = own.shots.as_ref().and_then(|shots| shots.data.as_ref());
            for data in [Some(&own.data), shots].into_iter().flatten() {
                let sources = data.join.iter().map(|join| &join.source);
                for source in sources.chain([&data.source]) {
                    assert!(catalogue.get(source).is_ok(), "{name}: {source}");
                }
            }
        }
    }
    for name in known.suites() {
        assert!(!known.suite(name).unwrap().benchmarks.is_empty());
    }
}
