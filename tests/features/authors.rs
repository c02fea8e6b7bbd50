use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::bench::{built_plugins, folkmoot, here, model_file, root, stderr, stdout};

fn plugin(folder: &Path, arguments: &[&str]) -> Output {
    folkmoot(folder)
        .arg("plugin")
        .args(arguments)
        .output()
        .unwrap()
}

/// The source of a plugin that adds a `step` to every scalar, and what else `body` does.
fn source(body: &str) -> String {
    format!(
        "use folkmoot_sdk::{{Algorithm, Params, Result, Round, State, Updates, export_algorithm}};
/// Adds a step.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {{
    /// The step.
    #[serde(default)]
    step: f32,
}}
export_algorithm!(Own);
impl Algorithm for Own {{
    fn aggregate(&self, round: &Round, global: &Params, updates: &Updates, state: &State) -> Result<Params> {{
        let _ = (round, updates, state);
        {body}
    }}
}}
"
    )
}

/// Every template builds, passes its own tests and the host's, is documented, and is time`d.
#[test]
fn a_new_plugin_of_every_kind_works_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["algorithm", "block-kernel", "partitioner", "metric"] {
        let name = format!("my-{kind}");
        let made = plugin(folder.path(), &["new", &name, "--kind", kind]);
        assert!(made.status.success(), "{}", stderr(&made));
        assert_eq!(stdout(&made), format!("{name}\n"));
        let tested = plugin(folder.path(), &["test", &name]);
        let said = stdout(&tested) + &stderr(&tested);
        assert!(
            tested.status.success() && !said.contains("BROKEN"),
            "{said}"
        );
        assert!(
            said.contains("1 passed") && said.contains("same input in another host"),
            "{said}"
        );
        let built = plugin(folder.path(), &["build", &name]);
        assert_eq!(
            stdout(&built).trim(),
            folder
                .path()
                .canonicalize()
                .unwrap()
                .join(&name)
                .join(format!("{name}.wasm"))
                .display()
                .to_string()
        );
        let said = stderr(&built);
        assert!(
            said.contains("sha256") && said.contains("speaks folkmoot:plugin@0.1.0, imports "),
            "{said}"
        );
    }
    let small = [
        "--rounds",
        "2",
        "--scalars",
        "10000",
        "--rows",
        "1000",
        "--count",
        "5",
    ];
    for kind in ["algorithm", "partitioner", "metric"] {
        let path = format!("my-{kind}/my-{kind}.wasm");
        let timed = plugin(folder.path(), &[&["bench", &path][..], &small].concat());
        let said = stdout(&timed);
        let expected = match kind {
            "algorithm" => ["aggregate", "fedavg"],
            "partitioner" => ["partition", "iid"],
            _ => ["observe", "exact-match"],
        };
        assert!(
            timed.status.success() && expected.iter().all(|own| said.contains(own)),
            "{said}{}",
            stderr(&timed)
        );
    }
    let again = plugin(folder.path(), &["new", "my-metric", "--kind", "metric"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("`my-metric` is there already and not empty"),
        "{}",
        stderr(&again)
    );
    let odd = plugin(folder.path(), &["new", "My Metric", "--kind", "metric"]);
    assert!(
        stderr(&odd).contains("hint: `my-metric`"),
        "{}",
        stderr(&odd)
    );
}

/// Shares of each of five classes among the six of ten clients that have it.
const DISTRIBUTION: &str = "distribution=[[1.0, 2.0, 1.0, 1.0, 1.0, 2.0], [2.0, 1.0, 1.0, 1.0, 3.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 3.0, 1.0, 1.0, 1.0, 2.0]]";

/// Every shipped plugin holds to what the host asks: nothing is broken, and no algorithm refuses everything.
#[test]
fn shipped_plugins_conform() {
    let settings = |name: &str| -> &[&str] {
        match name {
            "fedper" | "fedrep" => &["personal=[\"*lora_B*\"]"],
            "krum" | "multikrum" | "bulyan" => &["byzantine=1"],
            "trimmed-mean" => &["fraction=0.2"],
            "norm-bounded" => &["bound=1.0"],
            "dirichlet" => &["column=label"],
            "shard" => &["column=label", "shards_per_client=2"],
            "pathological" => &["column=label", "classes_per_client=2"],
            "natural-id" => &["column=source"],
            "grouped-natural-id" => &["column=source", "group_size=3"],
            "continuous" => &["column=number", "strictness=0.5"],
            "domain-mix" => &["column=label"],
            "distribution" => &["column=label", "classes_per_client=3", DISTRIBUTION],
            "size" => &["sizes=[100, 100, 100, 100, 100, 50, 20, 15, 10, 5]"],
            "inner-dirichlet" => &[
                "column=label",
                "sizes=[100, 100, 100, 100, 100, 50, 20, 15, 10, 5]",
            ],
            _ => &[],
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    for kind in ["algorithms", "partitioners", "metrics"] {
        for entry in fs::read_dir(root().join("plugins").join(kind)).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            let path = built_plugins().join(format!("{name}.wasm"));
            let mut command = folkmoot(folder.path());
            command.args(["plugin", "test"]).arg(&path);
            for own in settings(&name) {
                command.args(["--arg", own]);
            }
            let output = command.output().unwrap();
            if !output.status.success() {
                failed.push(format!("{name}: {}{}", stdout(&output), stderr(&output)));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A partitioner that refuses everything.
const NEVER: &str = "use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner};
/// Deals nothing.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Never {}
export_partitioner!(Never);
impl Partitioner for Never {
    fn partition(&self, _: &Dataset, _: u32) -> Result<Vec<Vec<u32>>> {
        Err(\"never\".into())
    }
}
";

/// What a plugin does wrong is found, and said by case.
#[test]
fn a_trial_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let made = plugin(folder.path(), &["new", "own", "--kind", "algorithm"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let lib = folder.path().join("own/src/lib.rs");
    let expect = |body: &str, expected: &str| {
        fs::write(&lib, source(body)).unwrap();
        let output = plugin(folder.path(), &["test", "own"]);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "`{expected}` is not in:\n{said}");
    };
    expect(
        "Ok(global / &global.zeros())",
        "BROKEN     eight clients: plugin `own`, call `aggregate`: bad answer",
    );
    expect(
        "if updates.count() > 50 { panic!(\"too many\") } Ok(global + updates.mean()?)",
        "BROKEN     a hundred clients: plugin `own`, call `aggregate`: crashed: panicked at",
    );
    expect("Err(\"never\".into())", "the plugin refused everything");
    // A function that does not compile.
    expect("global", "the tests of `own` failed");
    let made = plugin(folder.path(), &["new", "never", "--kind", "partitioner"]);
    assert!(made.status.success(), "{}", stderr(&made));
    fs::write(folder.path().join("never/src/lib.rs"), NEVER).unwrap();
    for command in ["check", "test"] {
        let output = plugin(folder.path(), &[command, "never"]);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("refused    same input twice: "), "{said}");
        assert!(said.contains("the plugin refused everything\n"), "{said}");
    }
    let output = plugin(folder.path(), &["check", "fedavgm", "--arg", "beta1=7"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("`beta1` is 7, it must be 0 to 1")
            && said.contains("hint: give settings with --arg"),
        "{said}"
    );
    let output = plugin(folder.path(), &["build", "."]);
    assert!(
        stderr(&output).contains("hint: `folkmoot plugin new NAME --kind algorithm` writes one"),
        "{}",
        stderr(&output)
    );
}

/// A plugin that is changed while it runs takes over with the next round; one that does not compile does not. The
/// record says so, and the run goes on.
#[test]
fn a_watched_plugin_is_replaced_between_rounds() {
    model_file();
    let folder = tempfile::tempdir().unwrap();
    let made = plugin(folder.path(), &["new", "own", "--kind", "algorithm"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let lib = folder.path().join("own/src/lib.rs");
    fs::write(&lib, source("Ok(global + updates.mean()?)")).unwrap();
    let mut run = folkmoot(folder.path())
        .arg("run")
        .arg(here().join("data/reviews.toml"))
        .args(["--out", "out", "--watch", "own", "--set", "rounds=400"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let mut until = |what: &str| {
        for line in lines.by_ref() {
            let line = line.unwrap();
            said += &format!("{line}\n");
            if line.contains(what) {
                return;
            }
        }
        panic!("`{what}` is not in:\n{said}");
    };
    until("round 1: ");
    fs::write(&lib, "this is no Rust").unwrap();
    until("not built, the run goes on as it was");
    fs::write(&lib, source("Ok(global + 0.5 * updates.mean()?)")).unwrap();
    until("built: the next round begins with it");
    until("begins with");
    run.kill().unwrap();
    run.wait().unwrap();
    let text = fs::read_to_string(folder.path().join("out/renewals.jsonl")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["round"], 1, "{text}");
    let line = &lines[1];
    let digests = fs::read_to_string(folder.path().join("out/digests.json")).unwrap();
    assert!(
        digests.contains(line["sha256"].as_str().unwrap()),
        "{text}{digests}"
    );
    assert!(line["round"].as_u64().unwrap() > 1);
}

/// Plugins share what they have in common, and no more: neither another plugin of the same name nor what cargo made
/// before passes for one's own.
#[test]
fn plugins_of_one_name_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (own, step) in [("a", 0.25), ("b", 0.125)] {
        fs::create_dir(at(own)).unwrap();
        let made = plugin(&at(own), &["new", "own", "--kind", "algorithm"]);
        assert!(made.status.success(), "{}", stderr(&made));
        let body = format!("Ok(global + {step} * updates.mean()?)");
        fs::write(at(own).join("own/src/lib.rs"), source(&body)).unwrap();
    }
    let built = |own: &str| {
        let built = plugin(&at(own), &["build", "own"]);
        assert!(built.status.success(), "{}", stderr(&built));
        fs::read(at(own).join("own/own.wasm")).unwrap()
    };
    let (first, second) = (built("a"), built("b"));
    assert!(first != second);
    assert!(built("a") == first);

    // A component that was never compiled is timed as any other.
    let lib = at("a").join("own/src/lib.rs");
    fs::write(&lib, source("Ok(global + 0.0625 * updates.mean()?)")).unwrap();
    let small = ["--scalars", "100", "--rounds", "1"];
    let timed = plugin(&at("a"), &[&["bench", "own"], &small[..]].concat());
    assert!(timed.status.success(), "{}", stderr(&timed));

    let manifest = at("a").join("own/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"cdylib\", ", "")).unwrap();
    for command in [&["build", "own"][..], &["build", "own", "--native"]] {
        let refused = plugin(&at("a"), command);
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("it needs `crate-type = ["), "{said}");
    }
    let renamed = text.replace("[lib]", "[lib]\nname = \"other\"");
    fs::write(&manifest, renamed).unwrap();
    assert!(built("a") != first);
}

/// What belongs to somebody else is not touched, and traps are named before one walks into them.
#[test]
fn a_plugins_folder_is_looked_at_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let nested = plugin(folder.path(), &["new", "sub/own", "--kind", "algorithm"]);
    assert_eq!(nested.status.code(), Some(2));
    assert!(
        stderr(&nested).contains("hint: --path"),
        "{}",
        stderr(&nested)
    );
    fs::write(
        folder.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"*\"]\n",
    )
    .unwrap();
    let made = plugin(folder.path(), &["new", "own", "--kind", "algorithm"]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(
        stderr(&made).contains("is a workspace"),
        "{}",
        stderr(&made)
    );

    let own = folder.path().join("own");
    let sdk = own.join("folkmoot/sdk/rust/src/lib.rs");
    let text = fs::read_to_string(&sdk).unwrap();
    fs::write(&sdk, "an older one").unwrap();
    let updated = plugin(&own, &["update"]);
    assert!(updated.status.success(), "{}", stderr(&updated));
    assert_eq!(fs::read_to_string(&sdk).unwrap(), text);
    // A clone of the repository has an SDK too.
    fs::create_dir(own.join("folkmoot/.git")).unwrap();
    let refused = plugin(&own, &["update"]);
    assert!(!refused.status.success());
    assert!(sdk.is_file(), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("is left as it is"),
        "{}",
        stderr(&refused)
    );
    let manifest = own.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("folkmoot/sdk", "elsewhere/sdk")).unwrap();
    let refused = plugin(&own, &["update"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("nothing to renew"),
        "{}",
        stderr(&refused)
    );
}
