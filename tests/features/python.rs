use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use folkmoot_build::python::{self, Toolchain};
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Kind, Limits, Metric, Observations, Partitioner, Plugin, Reply, Round,
    State, Training, Update,
};
use serde_json::{Value, json};

use crate::algorithms::params;
use crate::bench::{cache, golden, here, numbers, plugin, root, sandbox};

fn toolchain() -> Toolchain {
    static TOOLCHAIN: OnceLock<Toolchain> = OnceLock::new();
    let set_up = || python::set_up(&cache().join("python"), &mut |line| eprintln!("{line}"));
    TOOLCHAIN.get_or_init(|| set_up().unwrap()).clone()
}

/// The component built of a folder.
fn component(folder: &Path) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let built = python::build(
        &toolchain(),
        folder,
        scratch.path(),
        &scratch.path().join("out"),
    );
    std::fs::read(built.unwrap().path).unwrap()
}

/// A template as `plugin new` writes it.
fn template(kind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(root().join(format!("sdk/templates/python-{kind}"))).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace("{{name}}", "half-step")
            .replace("{{Name}}", "HalfStep");
        std::fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
    }
    folder
}

/// Every scalar of named parameters, as bits.
fn bits(params: &BTreeMap<String, Params>) -> BTreeMap<&str, Vec<u32>> {
    let each = params.iter();
    each.map(|(name, own)| (name.as_str(), own_bits(own)))
        .collect()
}

fn own_bits(params: &Params) -> Vec<u32> {
    params
        .values()
        .iter()
        .map(|value| value.to_bits())
        .collect()
}

/// An algorithm in one of two languages, with what it left behind.
pub(crate) struct Run {
    algorithm: Algorithm,
    server: State,
    homes: BTreeMap<u32, State>,
    global: Params,
}

impl Run {
    pub(crate) fn new(algorithm: Algorithm, golden: &Value) -> Self {
        let global = params(&golden["shapes"], &golden["global"]);
        let mut server = State::default();
        algorithm.start(Seed(0), &global, &mut server).unwrap();
        Self {
            algorithm,
            server,
            homes: BTreeMap::new(),
            global,
        }
    }

    /// One round; answers the bits of everything that its calls left behind.
    pub(crate) fn round(&mut self, golden: &Value, number: u32, cohort: &Value) -> Vec<String> {
        let examples = numbers(&golden["clients"]);
        let round = Round {
            number,
            total: 24,
            clients: examples.len() as u32,
            seed: Seed(1),
        };
        let (mut updates, mut left) = (Vec::new(), Vec::new());
        for given in cohort.as_array().unwrap() {
            let id = given["client"].as_u64().unwrap() as u32;
            let client = Client {
                id,
                examples: examples[id as usize] as u64,
                ..Client::default()
            };
            let home = self.homes.entry(id).or_default();
            let received = self
                .algorithm
                .configure(round, &client, &mut self.server)
                .unwrap();
            let objective = self.algorithm.begin(round, &self.global, &received, home);
            for correct in &objective.unwrap().correct {
                left.push(format!("correct {:?}", own_bits(correct)));
            }
            let delta = params(&golden["shapes"], &given["delta"]);
            let after = self.global.add(&delta).unwrap();
            let (steps, lr) = (
                given["steps"].as_u64().unwrap() as u32,
                golden["lr"].as_f64().unwrap(),
            );
            let training = Training {
                steps,
                lr,
                figures: BTreeMap::new(),
                before: self.global.clone(),
                after,
                personal: None,
            };
            let message = self
                .algorithm
                .finish(round, &training, &received, home)
                .unwrap();
            left.push(format!("received {:?}", bits(&received.params)));
            left.push(format!("sent {:?}", bits(&message.params)));
            left.push(format!("home {:?}", bits(&home.params)));
            updates.push(Arc::new(Update {
                client,
                steps,
                lr,
                staleness: 0,
                delta,
                message,
            }));
        }
        let next = self
            .algorithm
            .aggregate(round, &self.global, &updates, &mut self.server);
        self.global = next.unwrap();
        left.push(format!("server {:?}", bits(&self.server.params)));
        left.push(format!("global {:?}", own_bits(&self.global)));
        left
    }
}

/// The shipped algorithms in Python describe themselves as the Rust ones do, and leave the same bits behind: global
/// parameters, states, messages, objectives, over ten rounds.
#[test]
fn python_equals_rust_to_the_last_bit() {
    let golden = golden("algorithms.json");
    let of_fedadam = [
        json!({}),
        json!({ "eta": 0.3, "tau": 1e-8, "beta1": 0.37, "beta2": 0.71, "weighting": "uniform" }),
        json!({ "variant": "openfedllm" }),
    ];
    let of_scaffold = [json!({}), json!({ "eta": 0.7, "weighting": "uniform" })];
    for (name, settings) in [("fedadam", &of_fedadam[..]), ("scaffold", &of_scaffold[..])] {
        let bytes = component(&root().join("sdk/python/examples").join(name));
        let load = || Plugin::load(&sandbox(Limits::default()), name, &bytes).unwrap();
        let (rust, python) = (plugin(name, Kind::Algorithm), load());
        assert_eq!(python.settings(), rust.settings());
        assert_eq!(python.description.summary, rust.description.summary);
        assert_eq!(python.description.references, rust.description.references);
        assert_eq!(python.description.traits, rust.description.traits);
        for settings in settings {
            let run = |plugin| Run::new(Algorithm::new(plugin, settings).unwrap(), &golden);
            let (mut rust, mut python) = (run(plugin(name, Kind::Algorithm)), run(load()));
            for (number, cohort) in (1..=10).zip(golden["rounds"].as_array().unwrap()) {
                let expected = rust.round(&golden, number, cohort);
                assert!(expected.len() > 10);
                let found = python.round(&golden, number, cohort);
                assert_eq!(found, expected, "{name} {settings}, round {number}");
            }
        }
    }
}

/// Each way to go wrong in Python has its own words, and what is of no harm is none.
#[test]
fn what_goes_wrong_in_python_is_told_apart() {
    let bytes = component(&here().join("hostile/python"));
    let limits = Limits {
        time: Duration::from_secs(5),
        ..Limits::default()
    };
    let sandbox = sandbox(limits);
    let one = Params::from_tensors([("w".to_owned(), vec![2], vec![0.5, -0.0])]).unwrap();
    let call = |how: &str, state: &mut State| {
        let odd = Plugin::load(&sandbox, "odd", &bytes).unwrap();
        let odd = Algorithm::new(odd, &json!({ "how": how })).unwrap();
        let update = Arc::new(Update {
            client: Client::default(),
            steps: 1,
            lr: 1.0,
            staleness: 0,
            delta: one.clone(),
            message: Default::default(),
        });
        let round = Round {
            number: 1,
            total: 1,
            clients: 1,
            seed: Seed(1),
        };
        let next = odd.aggregate(round, &one, &[update], state);
        next.map_err(|error| error.to_string())
    };
    let file = std::fs::read_to_string(here().join("hostile/python/plugin.py")).unwrap();
    let line = |text: &str| 1 + file.lines().position(|line| line.trim() == text).unwrap();
    let crash = line("return [][0]");
    let late = line("import wave");
    for (how, expected) in [
        ("refuse", "refused: no `2` today".to_owned()),
        (
            "crash",
            format!("crashed: IndexError: list index out of range (plugin.py, line {crash}, in `crash`)"),
        ),
        (
            "answer",
            "crashed: TypeError: `aggregate` answered a `int`, not `Params`".into(),
        ),
        (
            "lose",
            "crashed: AttributeError: `self.momentum` would be lost: every call gets a fresh instance, and what must last goes through `state`".into(),
        ),
        (
            "late",
            format!("crashed: ModuleNotFoundError: module `wave` is not in the component: import it at the top of the file (plugin.py, line {late}, in `late`)"),
        ),
        ("leave", "crashed: SystemExit: 0".into()),
        ("recur", "crashed: wasm trap: call stack exhausted".into()),
        ("entropy", "crashed: ".into()),
        ("clock", "crashed: ".into()),
        ("file", "crashed: ".into()),
        ("loop", "out of time: no answer within 5 s".into()),
        ("memory", "out of memory: asked for ".into()),
        ("nothing", "crashed: AttributeError: 'Odd' object has no attribute 'nothing' (plugin.py, ".into()),
    ] {
        let error = call(how, &mut State::default()).unwrap_err();
        eprintln!("{how}: {error}");
        let expected = format!("plugin `odd`, call `aggregate`: {expected}");
        assert!(error.starts_with(&expected), "{how}: {error}");
    }
    for how in ["lend", "keep"] {
        let next = call(how, &mut State::default()).unwrap();
        assert_eq!(own_bits(&next), own_bits(&one), "{how}");
    }
    let touched = call("touch", &mut State::default()).unwrap();
    assert_eq!(touched.values(), [1.0, -0.0]);
    let said = |how: &str, name: &str| {
        let mut state = State::default();
        call(how, &mut state).unwrap();
        String::from_utf8(state.bytes[name].clone()).unwrap()
    };
    assert_eq!(said("environment", "environment"), "{}");
    assert_eq!(said("draw", "drawn"), said("draw", "drawn"));
}

struct Rows;

impl folkmoot_plugin::View for Rows {
    fn examples(&self) -> u32 {
        11
    }
    fn columns(&self) -> Vec<String> {
        vec!["text".into()]
    }
    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        Err(format!("column `{column}` is missing"))
    }
    fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        Err(format!("column `{column}` is missing"))
    }
    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok(vec![1; 11])
    }
    fn text(&self, _: u32) -> Option<String> {
        None
    }
}

/// The templates' own tests pass, and so do those of the SDK and of the shipped algorithms; none needs WASM.
#[test]
fn unit_tests_run_without_wasm() {
    let scratch = tempfile::tempdir().unwrap();
    let sdk = root().join("sdk/python");
    for folder in ["tests", "examples/fedadam", "examples/scaffold"] {
        python::test(&sdk.join(folder), scratch.path()).unwrap();
    }
    for kind in ["algorithm", "partitioner", "metric"] {
        let folder = template(kind);
        python::test(folder.path(), scratch.path()).unwrap();
        let file = folder.path().join("test_plugin.py");
        let broken = std::fs::read_to_string(&file)
            .unwrap()
            .replace("self.assertEqual(", "self.assertNotEqual(");
        std::fs::write(&file, broken).unwrap();
        let error = python::test(folder.path(), scratch.path()).unwrap_err();
        assert!(error.to_string().contains("failed"), "{error}");
    }
}

/// A partitioner and a metric, as the templates have them, in the sandbox.
#[test]
fn templates_in_python_run_in_the_sandbox() {
    let folder = template("partitioner");
    let bytes = component(folder.path());
    let load = || Plugin::load(&sandbox(Limits::default()), "half-step", &bytes).unwrap();
    let deal = |seed| {
        let partitioner = Partitioner::new(load(), &json!({})).unwrap();
        partitioner
            .partition(Arc::new(Rows), 3, Seed(seed))
            .unwrap()
    };
    let sizes: Vec<usize> = deal(1).iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 4, 3]);
    assert_eq!(deal(1), deal(1));
    assert_ne!(deal(1), deal(2));
    let greedy = Partitioner::new(load(), &json!({ "least": 4 })).unwrap();
    let error = greedy.partition(Arc::new(Rows), 3, Seed(1)).unwrap_err();
    let expected = "plugin `half-step`, call `partition`: refused: `11` examples are too few for `3` clients with `4` each";
    assert_eq!(error.to_string(), expected);

    let folder = template("metric");
    let bytes = component(folder.path());
    let metric = Plugin::load(&sandbox(Limits::default()), "half-step", &bytes).unwrap();
    assert!(metric.gives("prefix_match"));
    let metric = Metric::new(metric, &json!({})).unwrap();
    let example = json!({ "prompt": "Capital?", "reference": "Paris" }).to_string();
    assert_eq!(metric.ask(&example, &[]).unwrap().len(), 1);
    let observed = ["Paris.", "Rome", "paris", "PARIS"].map(|text| {
        let reply = Reply {
            texts: vec![text.to_owned()],
            ..Reply::default()
        };
        assert_eq!(
            metric
                .ask(&example, std::slice::from_ref(&reply))
                .unwrap()
                .len(),
            0
        );
        metric.observe(&example, &[reply]).unwrap()
    });
    let scores = metric
        .summarize(&Observations::from_iter(observed))
        .unwrap();
    assert_eq!(
        (scores[0].name.as_str(), scores[0].value),
        ("prefix_match", 0.75)
    );
}

/// What is wrong with a file is said in Python's words, before anything is built.
#[test]
fn files_that_are_no_plugins_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("no-plugin");
    std::fs::create_dir(&folder).unwrap();
    let refused = |text: &str| {
        std::fs::write(folder.join("plugin.py"), text).unwrap();
        let built = python::build(&toolchain(), &folder, scratch.path(), scratch.path());
        built.err().unwrap().to_string()
    };
    let check = |text, expected: &str| {
        let error = refused(text);
        assert!(error.contains("plugin.py` is no plugin: "), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    check("def x(:\n", "SyntaxError: ");
    check("x = 1\n", "`plugin` defines none");
    check(
        "import numpy_of_another\n",
        "No module named 'numpy_of_another'",
    );
    let two = "from folkmoot import Metric\nclass A(Metric): pass\nclass B(Metric): pass\n";
    check(two, "`plugin` defines `A`, `B`");
    let untyped =
        "from folkmoot import Metric, setting\nclass A(Metric):\n    eta = setting(1.0)\n";
    check(
        untyped,
        "setting `eta` of `A` has no type: write `eta: f32 = setting(...)`",
    );
}
