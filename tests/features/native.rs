use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Kind, Library, Limits, Message, Metric, Observations, Partitioner, Plugin,
    PluginError, Reply, Round, State, Training, Update, View,
};
use serde_json::{Value, json};

use crate::bench::{folkmoot, here, model_file, plugin, root, sandbox, stderr, stdout, target};

#[path = "../../sdk/rust/src/foreign/abi.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the SDK's file, of which its numbers are compared"
)]
mod abi;

/// Where plugins of this tree lie as native libraries.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let names = [
            "algorithms/fedadam",
            "algorithms/krum",
            "algorithms/median-by-block",
            "algorithms/scaffold",
            "metrics/accuracy",
            "partitioners/dirichlet",
        ];
        let folders = names.map(|name| root().join("plugins").join(name));
        let out = target().join("test-native");
        folkmoot_build::build_native(&folders, &scratch(), &out).unwrap();
        out
    })
}

fn scratch() -> PathBuf {
    target().parent().unwrap().join("native")
}

/// `name` with this system's ending.
fn library(name: &str) -> String {
    format!("{name}{}", std::env::consts::DLL_SUFFIX)
}

fn load(path: &Path, kind: Kind) -> Result<Plugin, PluginError> {
    let library = Library::new(Vec::new(), &[]).allowing(&[path.to_owned()])?;
    library.load(&sandbox(Limits::default()), path.to_str().unwrap(), kind)
}

fn native(name: &str, kind: Kind) -> Plugin {
    load(&built().join(library(name)), kind).unwrap()
}

const CLIENTS: u32 = 5;

/// Of a size that a block kernel needs three instances for.
fn random(seed: u64) -> Params {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |count: usize| -> Vec<f32> {
        let scalar = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(scalar).collect()
    };
    let tensors = [
        ("a".to_owned(), vec![700, 900], draw(700 * 900)),
        ("b".to_owned(), vec![5], draw(5)),
    ];
    Params::from_tensors(tensors).unwrap()
}

/// Everything that an algorithm says in three rounds, server and clients, to the bit.
fn rounds(plugin: Plugin, settings: &Value) -> Vec<String> {
    let algorithm = Algorithm::new(plugin, settings).unwrap();
    let mut said = Vec::new();
    let note = |said: &mut Vec<String>, what: String, params: &Params| {
        let bits = params.values().iter().fold(0u64, |hash, value| {
            hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(value.to_bits())
        });
        said.push(format!("{what} {bits:x}"));
    };
    let message = |said: &mut Vec<String>, what: &str, message: &Message| {
        for (name, params) in &message.params {
            note(said, format!("{what} {name}"), params);
        }
        said.push(format!("{what} {:?} {:?}", message.scalars, message.bytes));
    };
    let mut global = random(0);
    let mut server = State::default();
    let mut clients = vec![State::default(); CLIENTS as usize];
    algorithm.start(Seed(0), &global, &mut server).unwrap();
    for number in 1..=3 {
        let (total, seed) = (3, Seed(7));
        let round = Round {
            number,
            total,
            clients: CLIENTS,
            seed,
        };
        let known: Vec<Client> = (0..CLIENTS)
            .map(|id| Client {
                id,
                examples: u64::from(10 + id),
                ..Client::default()
            })
            .collect();
        let sampled = algorithm.sample(round, &known, 3, &mut server).unwrap();
        said.push(format!("{sampled:?}"));
        let mut updates = Vec::new();
        for client in &known {
            let state = &mut clients[client.id as usize];
            let received = algorithm.configure(round, client, &mut server).unwrap();
            message(&mut said, "configured", &received);
            let objective = algorithm.begin(round, &global, &received, state).unwrap();
            for correct in &objective.correct {
                note(&mut said, "correct".into(), correct);
            }
            let delta = random(u64::from(100 * number + client.id)).scale(0.01);
            let training = Training {
                steps: 4,
                lr: 0.1,
                figures: Default::default(),
                before: global.clone(),
                after: global.add(&delta).unwrap(),
                personal: None,
            };
            let sent = algorithm
                .finish(round, &training, &received, state)
                .unwrap();
            message(&mut said, "sent", &sent);
            for (name, params) in &state.params {
                note(&mut said, format!("client {} {name}", client.id), params);
            }
            updates.push(Arc::new(Update {
                client: client.clone(),
                steps: 4,
                lr: 0.1,
                staleness: 0,
                delta,
                message: sent,
            }));
        }
        global = algorithm
            .aggregate(round, &global, &updates, &mut server)
            .unwrap();
        note(&mut said, format!("round {number}"), &global);
        for (name, params) in &server.params {
            note(&mut said, format!("server {name}"), params);
        }
        said.push(format!("{:?}", server.bytes));
    }
    said
}

/// A plugin's source, built natively, says to the bit what its component says: rounds with state and messages on both
/// sides, a block kernel over several ranges, and what it says of itself.
#[test]
fn native_algorithms_give_the_bytes_of_their_components() {
    for (name, settings) in [
        ("fedadam", json!({ "tau": 0.01 })),
        ("scaffold", json!({})),
        ("krum", json!({ "byzantine": 1 })),
        ("median-by-block", json!({})),
    ] {
        let (component, library) = (plugin(name, Kind::Algorithm), native(name, Kind::Algorithm));
        assert!(component.is_sandboxed() && !library.is_sandboxed());
        let (a, b) = (&component.description, &library.description);
        assert_eq!(
            (&a.summary, &a.references),
            (&b.summary, &b.references),
            "{name}"
        );
        assert_eq!((&a.traits, &a.settings), (&b.traits, &b.settings), "{name}");
        let (expected, found) = (rounds(component, &settings), rounds(library, &settings));
        assert!(expected.len() > 30, "{name}: {}", expected.len());
        assert_eq!(expected, found, "{name}");
    }
}

/// Six classes in turn.
struct Classes;

impl View for Classes {
    fn examples(&self) -> u32 {
        600
    }
    fn columns(&self) -> Vec<String> {
        vec!["label".into()]
    }
    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        match column {
            "label" => Ok((
                (0..600).map(|row| row % 6).collect(),
                (b'a'..=b'f').map(|c| (c as char).to_string()).collect(),
            )),
            other => Err(format!("no column `{other}`")),
        }
    }
    fn numbers(&self, _: &str) -> Result<Vec<f64>, String> {
        Err("no numbers".into())
    }
    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok(vec![1; 600])
    }
    fn text(&self, _: u32) -> Option<String> {
        None
    }
}

/// The same rows to the same clients, and the same refusals.
#[test]
fn native_partitioners_deal_as_their_components() {
    for alpha in [0.1, 0.5, 10.0] {
        let settings = json!({ "column": "label", "alpha": alpha });
        let partitioner = |plugin| Partitioner::new(plugin, &settings).unwrap();
        let component = partitioner(plugin("dirichlet", Kind::Partitioner));
        let library = partitioner(native("dirichlet", Kind::Partitioner));
        for seed in 0..20 {
            let split = |own: &Partitioner| own.partition(Arc::new(Classes), 4, Seed(seed));
            let told = |shards: Result<_, PluginError>| shards.map_err(|error| error.to_string());
            let (expected, found) = (told(split(&component)), told(split(&library)));
            assert_eq!(expected, found, "alpha {alpha}, seed {seed}");
        }
    }
    let settings = json!({ "column": "colour", "alpha": 1.0 });
    let library = Partitioner::new(native("dirichlet", Kind::Partitioner), &settings).unwrap();
    let error = library
        .partition(Arc::new(Classes), 4, Seed(0))
        .unwrap_err();
    let expected = "plugin `dirichlet`, call `partition`: refused: no column `colour`";
    assert!(error.to_string().starts_with(expected), "{error}");
}

/// The same questions, observations and scores.
#[test]
fn native_metrics_score_as_their_components() {
    let score = |plugin: Plugin| {
        let metric = Metric::new(plugin, &json!({ "labels": ["yes", "no"] })).unwrap();
        let mut said = String::new();
        let mut observed = Vec::new();
        for row in 0..40 {
            let expected = if row % 3 == 0 { "yes" } else { "no" };
            let generated = if row % 4 == 0 {
                "yes, naïvely"
            } else {
                " no."
            };
            let example =
                json!({ "response": expected, "reference": expected, "prompt": "?" }).to_string();
            let reply = Reply {
                texts: vec![generated.to_owned()],
                ..Reply::default()
            };
            writeln!(said, "{:?}", metric.ask(&example, &[]).unwrap()).unwrap();
            observed.push(metric.observe(&example, &[reply]).unwrap());
        }
        writeln!(said, "{observed:?}").unwrap();
        let scores = metric
            .summarize(&Observations::from_iter(observed))
            .unwrap();
        assert!(scores.len() > 1);
        (said, scores)
    };
    let expected = score(plugin("accuracy", Kind::Metric));
    assert_eq!(expected, score(native("accuracy", Kind::Metric)));
}

/// The hostile algorithm in C, compiled with these definitions.
fn compiled(folder: &Path, name: &str, definitions: &[&str]) -> PathBuf {
    compiled_from("plugin.c", folder, name, definitions)
}

fn compiled_from(source: &str, folder: &Path, name: &str, definitions: &[&str]) -> PathBuf {
    let out = folder.join(library(name));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I"]);
    cc.arg(root().join("sdk/native"));
    cc.args(definitions.iter().map(|own| format!("-D{own}")));
    cc.arg(here().join("hostile/native").join(source))
        .arg("-o")
        .arg(&out);
    assert!(cc.status().unwrap().success());
    out
}

/// Every library that cannot be used has an error of its own, which says what to do.
#[test]
fn bad_libraries_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, expected: &str, hint: &str| {
        let error = load(path, Kind::Algorithm).and_then(|plugin| plugin.expect(Kind::Algorithm));
        let error = error.err().unwrap().to_string();
        assert!(
            error.starts_with(expected) && error.contains(hint),
            "{error}"
        );
        assert!(
            !error.contains("native-"),
            "names its private copy: {error}"
        );
    };
    let text = folder.path().join(library("text"));
    fs::write(&text, "no library").unwrap();
    let expected = "plugin `text` is no library that this machine can load: ";
    check(
        &text,
        expected,
        "\n\nhint: `folkmoot plugin build FOLDER --native` builds",
    );
    let bad = |name: &str, definition: &str, expected: &str, hint: &str| {
        check(
            &compiled(folder.path(), name, &[definition]),
            expected,
            hint,
        );
    };
    bad(
        "symbol",
        "WITHOUT_FREE",
        "plugin `symbol` is no native plugin: it has no function `folkmoot_free`\n",
        "\n\nhint: `folkmoot plugin build FOLDER --native` builds",
    );
    bad(
        "later",
        "ABI=2",
        "plugin `later` speaks version 2 of the native ABI, this folkmoot speaks version 1\n",
        "\n\nhint: upgrade folkmoot",
    );
    bad(
        "earlier",
        "ABI=0",
        "plugin `earlier` speaks version 0 of the native ABI, this folkmoot speaks version 1\n",
        "\n\nhint: rebuild the plugin",
    );
    bad(
        "contract",
        "CONTRACT=\"0.2.0\"",
        "plugin `contract` speaks `folkmoot:plugin@0.2.0`, this folkmoot speaks folkmoot:plugin@0.1.0\n",
        "\n\nhint: upgrade folkmoot",
    );
    bad(
        "interface",
        "KIND=9",
        "plugin `interface` exports interface 9, which this folkmoot does not know\n",
        "\n\nhint: upgrade folkmoot",
    );
    bad(
        "metric",
        "KIND=FOLKMOOT_INTERFACE_METRIC",
        "plugin `metric` is a metric, not an algorithm",
        "",
    );
    let missing = folder.path().join(library("missing"));
    let error = load(&missing, Kind::Algorithm).err().unwrap();
    assert!(matches!(error, PluginError::Unreadable { .. }), "{error}");
}

fn one(value: f32) -> Params {
    Params::from_tensors([("w".to_owned(), vec![1], vec![value])]).unwrap()
}

/// One aggregation of 1 and an update of 0.5.
fn aggregate(path: &Path, settings: &Value) -> Result<f32, String> {
    let plugin = load(path, Kind::Algorithm).unwrap();
    let algorithm = Algorithm::new(plugin, settings).unwrap();
    let update = Arc::new(Update {
        client: Client {
            examples: 1,
            ..Client::default()
        },
        steps: 1,
        lr: 1.0,
        staleness: 0,
        delta: one(0.5),
        message: Message::default(),
    });
    let round = Round {
        number: 1,
        total: 1,
        clients: 1,
        seed: Seed(1),
    };
    let next = algorithm.aggregate(round, &one(1.0), &[update], &mut State::default());
    next.map(|next| next.values()[0])
        .map_err(|error| error.to_string())
}

/// A plugin in C over the header alone works, and what it does wrongly in a call is an error of that call.
#[test]
fn calls_of_a_plugin_in_c_work_or_say_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = compiled(folder.path(), "c", &[]);
    assert_eq!(aggregate(&path, &json!({})), Ok(1.5));
    for (does, expected) in [
        ("refuse", "refused: not today"),
        ("fail", "crashed: the tank is empty"),
        (
            "code",
            "crashed: it returned 77, which is no code of the ABI",
        ),
        (
            "nothing",
            "crashed: its answer: a handle is wanted where Nothing is given",
        ),
        (
            "lent-answer",
            "crashed: its answer: handle 2 is not its own",
        ),
        (
            "lent-drop",
            "crashed: ParamsDrop: handle 2 is not the plugin's own",
        ),
        ("other-handle", "crashed: resource is of another type"),
        (
            "function",
            "crashed: function 0x7fff is not of this folkmoot",
        ),
        (
            "arguments",
            "crashed: ParamsAdd: 1 arguments where there are 2",
        ),
        ("tag", "crashed: ParamsAdd: no value has the tag 99"),
        (
            "null",
            "crashed: ParamsShape: 1 items lie at 0x0, which cannot be",
        ),
        (
            "unheeded",
            "crashed: `updates.get`: there is no update 1000 of 1",
        ),
    ] {
        let error = aggregate(&path, &json!({ "does": does })).unwrap_err();
        let expected = format!("plugin `c`, call `aggregate`: {expected}");
        assert!(error.starts_with(&expected), "{does}: {error}");
    }
}

/// What a library keeps between calls is found, which no component could keep.
#[test]
fn a_trial_finds_what_a_library_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let algorithm = compiled(folder.path(), "c", &[]);
    let metric = compiled_from("metric.c", folder.path(), "metric", &[]);
    for (path, command, does, expected) in [
        (
            &algorithm,
            "check",
            "count",
            "same input twice: `aggregate` in round 1 answers otherwise\n",
        ),
        (
            &algorithm,
            "check",
            "tire",
            "same input twice: it answered once, and then: plugin `c`, call `aggregate`: refused: enough\n",
        ),
        (
            &algorithm,
            "test",
            "remember",
            "killed and resumed after every round, eight clients: undisturbed it answered, and resumed: \
             plugin `c`, call `aggregate`: refused: nobody started\n",
        ),
        (
            &metric,
            "check",
            "vary",
            "same input twice: `ask` about example 0 answers otherwise\n",
        ),
        (
            &metric,
            "test",
            "recall",
            "examples in another order: other observations of example 0\n",
        ),
    ] {
        let (path, does) = (path.to_str().unwrap(), format!("does={does}"));
        let mut trial = folkmoot(folder.path());
        trial.args(["plugin", command, path, "--allow-native", path]);
        trial.arg("--arg").arg(does);
        let output = trial.output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let expected = format!("BROKEN     {expected}");
        assert!(said.contains(&expected), "`{expected}` is not in:\n{said}");
    }
}

const CLUMSY: &str = r#"
use folkmoot_sdk::{Algorithm, Params, Result, Round, State, Updates, export_algorithm};
use schemars::JsonSchema;
use serde::Deserialize;

/// Panics, or asks for what is not there.
#[derive(Deserialize, JsonSchema)]
struct Clumsy {
    panics: bool,
}
export_algorithm!(Clumsy);

impl Algorithm for Clumsy {
    fn aggregate(&self, _: &Round, global: &Params, updates: &Updates, _: &State) -> Result<Params> {
        let twice = global + global;
        if self.panics {
            let deltas = updates.deltas();
            return Ok(&deltas[7] + &twice);
        }
        Ok(updates.get(7).delta() + twice)
    }
}
"#;

/// A panic ends the call, not the program, and so does what the host refuses; both are told as in the sandbox.
#[test]
fn a_native_panic_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let sdk = root().join("sdk/rust");
    let manifest = format!(
        "[package]\nname = \"clumsy\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\nfolkmoot-sdk = {{ path = {sdk:?} }}\nschemars = \"1\"\nserde = {{ version = \"1\", features = \
         [\"derive\"] }}\n\n[workspace]\n"
    );
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), CLUMSY).unwrap();
    let folders = [folder.path().to_owned()];
    let built = folkmoot_build::build_native(&folders, &scratch(), folder.path()).unwrap();
    let path = &built[0].path;
    for _ in 0..2 {
        let error = aggregate(path, &json!({ "panics": true })).unwrap_err();
        let expected = "plugin `clumsy`, call `aggregate`: crashed: panicked at src/lib.rs:18:";
        assert!(error.starts_with(expected), "{error}");
        assert!(
            error.ends_with("index out of bounds: the len is 1 but the index is 7"),
            "{error}"
        );
    }
    let error = aggregate(path, &json!({ "panics": false })).unwrap_err();
    let expected =
        "plugin `clumsy`, call `aggregate`: crashed: `updates.get`: there is no update 7 of 1";
    assert_eq!(error, expected);
}

/// Without `--allow-native` no library runs, and the error says what to add; with it, everything says that there was
/// no sandbox. A name never means a library.
#[test]
fn native_plugins_need_to_be_allowed_and_are_recorded() {
    let path = built().join(library("fedadam"));
    let path = path.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let told = |arguments: &[&str]| folkmoot(folder.path()).args(arguments).output().unwrap();
    let refusal = format!(
        "error: plugin `fedadam` is a native library, which runs without a sandbox, with all rights of the user\n\n\
         hint: if you trust it, add `--allow-native {path}`\n"
    );
    let caution = "a native library: it runs without a sandbox, with all rights of the user";
    let refused = told(&["plugin", "info", path]);
    assert_eq!(
        (refused.status.code(), stderr(&refused)),
        (Some(2), refusal.clone())
    );
    let other = built().join(library("krum"));
    let refused = told(&[
        "plugin",
        "info",
        path,
        "--allow-native",
        other.to_str().unwrap(),
    ]);
    assert_eq!(
        (refused.status.code(), stderr(&refused)),
        (Some(2), refusal)
    );
    let refused = told(&["plugin", "info", path, "--allow-native", "nowhere.so"]);
    assert!(
        stderr(&refused).starts_with("error: --allow-native\n"),
        "{}",
        stderr(&refused)
    );
    // The file is meant, however it is spelt.
    let link = folder.path().join(library("fedadam"));
    std::os::unix::fs::symlink(path, &link).unwrap();
    let info = told(&[
        "plugin",
        "info",
        &library("fedadam"),
        "--allow-native",
        path,
    ]);
    assert!(info.status.success(), "{}", stderr(&info));
    assert!(stdout(&info).contains(caution), "{}", stdout(&info));
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::rename(&link, folder.path().join("plugins").join(library("adam"))).unwrap();
    let unknown = told(&["plugin", "info", "adam", "--allow-native", path]);
    assert!(
        stderr(&unknown).starts_with("error: no plugin named `adam`"),
        "{}",
        stderr(&unknown)
    );

    model_file();
    let experiment = here().join("data/reviews.toml");
    let arguments = |algorithm: &'static str, out: &'static str| {
        let mut arguments = vec!["run", experiment.to_str().unwrap(), "--out", out];
        arguments.extend(["--set", "rounds=1", "--set", "training.steps=1"]);
        arguments.extend([
            "--algorithm",
            if algorithm.is_empty() {
                path
            } else {
                algorithm
            },
        ]);
        arguments
    };
    let sandboxed = told(&arguments("fedadam", "sandboxed"));
    assert!(sandboxed.status.success(), "{}", stderr(&sandboxed));
    let run = [&arguments("", "native")[..], &["--allow-native", path]].concat();
    let ran = told(&run);
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert!(stderr(&ran).contains(caution), "{}", stderr(&ran));
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let adapter = "adapters/final/adapter_model.safetensors";
    assert!(read(&format!("native/{adapter}")) == read(&format!("sandboxed/{adapter}")));
    let plugins = |run: &str| -> Vec<Value> {
        let digests: Value = serde_json::from_slice(&read(&format!("{run}/digests.json"))).unwrap();
        digests["plugins"].as_array().unwrap().clone()
    };
    let unsandboxed = |plugin: &&Value| plugin["sandboxed"] == json!(false);
    assert_eq!(plugins("sandboxed").iter().filter(unsandboxed).count(), 0);
    let plugins = plugins("native");
    let unsandboxed: Vec<&Value> = plugins.iter().filter(unsandboxed).collect();
    assert_eq!(
        (unsandboxed.len(), &unsandboxed[0]["name"]),
        (1, &json!("fedadam"))
    );
    let log = String::from_utf8(read("native/log.txt")).unwrap();
    assert!(log.contains(caution), "{log}");
    let check = [&["check"], &run[1..2], &run[4..]].concat();
    let checked = told(&check);
    assert!(
        stdout(&checked).contains(", native, without a sandbox)"),
        "{}{}",
        stdout(&checked),
        stderr(&checked)
    );
}

/// `AddScaled` in capitals.
fn capitals(name: &str) -> String {
    let mut text = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            text.push('_');
        }
        text.extend(c.to_uppercase());
    }
    text
}

/// The header is C and C++, and says the numbers and layouts that the Rust side has.
#[test]
fn the_header_says_what_rust_says() {
    let header = fs::read_to_string(root().join("sdk/native/folkmoot_plugin.h")).unwrap();
    let mut numbers = Vec::new();
    macro_rules! all {
        ($($prefix:literal = $choice:ident,)*) => {$(
            for &(name, own) in abi::$choice::ALL {
                assert_eq!(abi::$choice::of(own.number()), Some(own));
                numbers.push((format!("FOLKMOOT_{}{}", $prefix, capitals(name)), own.number()));
            }
        )*};
    }
    all! {
        "TAG_" = Tag,
        "CODE_" = Code,
        "INTERFACE_" = Interface,
        "HOOK_" = Hook,
        "" = Function,
    }
    let named = header
        .lines()
        .filter(|line| line.trim_start().starts_with("FOLKMOOT_") && line.contains(" = "));
    assert_eq!(named.count(), numbers.len());
    let mut program = "#include \"folkmoot_plugin.h\"\n#ifdef __cplusplus\n#define SAME(a) static_assert(a, #a)\n#else\n\
                       #define SAME(a) _Static_assert(a, #a)\n#endif\n"
        .to_owned();
    let mut same =
        |what: &str, number: usize| writeln!(program, "SAME({what} == {number});").unwrap();
    for (name, number) in &numbers {
        same(name, *number as usize);
    }
    same("FOLKMOOT_ABI", abi::ABI as usize);
    same("sizeof(folkmoot_value)", size_of::<abi::Value>());
    same(
        "offsetof(folkmoot_value, payload)",
        std::mem::offset_of!(abi::Value, payload),
    );
    same(
        "offsetof(folkmoot_value, length)",
        std::mem::offset_of!(abi::Value, length),
    );
    same("sizeof(folkmoot_host)", size_of::<abi::Host>());
    same(
        "offsetof(folkmoot_host, context)",
        std::mem::offset_of!(abi::Host, context),
    );
    same(
        "offsetof(folkmoot_host, call)",
        std::mem::offset_of!(abi::Host, call),
    );
    assert!(header.contains("#define FOLKMOOT_CONTRACT \"0.1.0\"\n"));
    let folder = tempfile::tempdir().unwrap();
    for (compiler, file, standard) in [("cc", "same.c", "c11"), ("c++", "same.cpp", "c++11")] {
        let path = folder.path().join(file);
        fs::write(&path, &program).unwrap();
        let compiled = Command::new(compiler)
            .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic"])
            .arg(format!("-std={standard}"))
            .arg("-I")
            .arg(root().join("sdk/native"))
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "{compiler}: {}",
            stderr(&compiled)
        );
    }
}
