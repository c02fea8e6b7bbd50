//! `hostile/algorithm`, hook by hook: whatever it does ends in time, within its memory, in an error of its own that
//! names plugin and call, and leaves the state as it was.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use folkmoot_build::toolchain::Toolchain;
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Failure, Limits, Message, Note, Plugin, PluginError, Round, Said, Sandbox,
    State, Training, Update,
};
use serde_json::json;

use crate::bench::{here, target};

/// The hostile algorithm as a component, built as any author builds one.
pub(crate) fn component() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let crate_folder = here().join("hostile/algorithm");
        let scratch = target().parent().unwrap().join("hostile");
        let out = target().join("test-hostile");
        let toolchain = Toolchain::find().unwrap();
        let built = folkmoot_build::build(&toolchain, &[crate_folder], &scratch, &out).unwrap();
        built[0].path.clone()
    })
}

/// Little time for what never ends, enough for the rest on a machine with much else to do.
fn limits(deed: &str) -> Limits {
    Limits {
        time: Duration::from_secs(if deed == "loop" { 1 } else { 30 }),
        arithmetic: Duration::from_secs(30),
        memory: 64 << 20,
        state: 1 << 20,
        ..Limits::default()
    }
}

/// Beyond the limits of time: compiling, and a machine with much else to do.
const SLACK: Duration = Duration::from_secs(60);

type Notes = Arc<Mutex<Vec<Note>>>;

fn sandbox(deed: &str, notes: &Notes) -> Sandbox {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    let notes = notes.clone();
    let listener = Arc::new(move |note| notes.lock().unwrap().push(note));
    Sandbox::new(limits(deed), cache.path(), listener).unwrap()
}

fn algorithm(deed: &str, hook: &str, notes: &Notes) -> Algorithm {
    let bytes = std::fs::read(component()).unwrap();
    let plugin = Plugin::load(&sandbox(deed, notes), "hostile", &bytes).unwrap();
    let settings = json!({ "deed": deed, "hook": hook, "round": 1 });
    Algorithm::new(plugin, &settings).unwrap()
}

/// Tensors enough that a million choices of them differ.
fn global() -> Params {
    let tensors = (0..64).map(|layer| {
        let matrix = if layer % 2 == 0 { 'A' } else { 'B' };
        let name = format!("layer.{layer:02}.lora_{matrix}");
        (name, vec![16], vec![0.5; 16])
    });
    Params::from_tensors(tensors).unwrap()
}

/// A state that was there before.
fn before() -> State {
    State {
        params: BTreeMap::from([("momentum".to_owned(), global())]),
        bytes: BTreeMap::from([("kept".to_owned(), vec![1, 2, 3])]),
    }
}

/// Calls `hook` of an algorithm that does `deed` there.
fn call(deed: &str, hook: &str, notes: &Notes) -> Result<(), PluginError> {
    let algorithm = algorithm(deed, hook, notes);
    let (global, mut state) = (global(), before());
    let clients: Vec<Client> = (0..4)
        .map(|id| Client {
            id,
            examples: 1,
            ..Client::default()
        })
        .collect();
    let round = Round {
        number: 1,
        total: 4,
        clients: 4,
        seed: Seed(1),
    };
    let message = Message::default();
    let started = Instant::now();
    let done = match hook {
        "start" => algorithm.start(Seed(0), &global, &mut state),
        "sample" => algorithm.sample(round, &clients, 2, &mut state).map(drop),
        "configure" => algorithm
            .configure(round, &clients[0], &mut state)
            .map(drop),
        "begin" => algorithm
            .begin(round, &global, &message, &mut state)
            .map(drop),
        "finish" => {
            let training = Training {
                steps: 1,
                lr: 0.1,
                figures: BTreeMap::new(),
                before: global.clone(),
                after: global.clone(),
                personal: None,
            };
            algorithm
                .finish(round, &training, &message, &mut state)
                .map(drop)
        }
        "aggregate" => {
            let update = Update {
                client: clients[0].clone(),
                steps: 1,
                lr: 0.1,
                staleness: 0,
                delta: global.clone(),
                message,
            };
            let next = algorithm.aggregate(round, &global, &[Arc::new(update)], &mut state);
            next.map(drop)
        }
        other => panic!("no hook `{other}`"),
    };
    let (taken, most) = (
        started.elapsed(),
        limits(deed).time + limits(deed).arithmetic + SLACK,
    );
    assert!(taken < most, "`{deed}` in `{hook}` took {taken:?}");
    if done.is_err() {
        assert_eq!(
            state.bytes,
            before().bytes,
            "`{deed}` in `{hook}` left a trace"
        );
        let names: Vec<&String> = state.params.keys().collect();
        assert_eq!(names, ["momentum"], "`{deed}` in `{hook}` left a trace");
        assert_eq!(state.params["momentum"].values(), global.values());
    }
    done
}

/// The failure of `deed` in `hook`, whose text ends like this.
#[track_caller]
fn check(deed: &str, hook: &'static str, fits: fn(&Failure) -> bool, expected: &str) {
    let error = call(deed, hook, &Notes::default()).unwrap_err();
    let text = error.to_string();
    let PluginError::Call {
        plugin,
        call,
        failure,
    } = &error
    else {
        panic!("{text}");
    };
    assert_eq!((plugin.as_str(), *call), ("hostile", hook), "{text}");
    assert!(fits(failure), "{text}");
    assert!(text.contains(expected), "`{deed}` in `{hook}`: {text}");
    assert!(text.len() < 8192, "{} bytes", text.len());
    assert!(
        !text.contains('\u{1b}'),
        "it commands the terminal: {text:?}"
    );
}

const HOOKS: [&str; 6] = [
    "start",
    "sample",
    "configure",
    "begin",
    "finish",
    "aggregate",
];

fn trapped(failure: &Failure) -> bool {
    matches!(failure, Failure::Trapped { .. })
}

fn bad(failure: &Failure) -> bool {
    matches!(failure, Failure::BadOutput { .. })
}

/// The most common ends of a call, in every hook.
#[test]
fn every_hook_is_guarded() {
    for hook in HOOKS {
        check("trap", hook, trapped, "on purpose");
        check(
            "refuse",
            hook,
            |own| matches!(own, Failure::Refused { .. }),
            "no xxx",
        );
        check("recursion", hook, trapped, "crashed: ");
        let memory = |own: &Failure| matches!(own, Failure::OutOfMemory { of: "memory", .. });
        check("memory", hook, memory, "may have 64 MiB");
        let handles = |own: &Failure| matches!(own, Failure::OutOfHandles { .. });
        check(
            "messages",
            hook,
            handles,
            "out of handles: asked for more than 262144 at once",
        );
        check(
            "level",
            hook,
            trapped,
            "is none of debug, info, warn, error",
        );
    }
    let late = |own: &Failure| matches!(own, Failure::OutOfTime { .. });
    check("loop", "sample", late, "out of time: no answer within 1 s");
    check(
        "loop",
        "aggregate",
        late,
        "out of time: no answer within 1 s",
    );
}

/// What is put into states, messages and objectives is bounded, and must be numbers.
#[test]
fn what_a_call_leaves_is_bounded() {
    let left = "a call may leave 64 MiB with the host beside parameters, and this one leaves more";
    for hook in HOOKS {
        check("state-bytes", hook, trapped, left);
        check(
            "state-names",
            hook,
            bad,
            "a state of 20002 names, where there may be 16384",
        );
    }
    let state = |own: &Failure| matches!(own, Failure::OutOfMemory { of: "a state", .. });
    for hook in ["start", "configure", "begin", "finish", "aggregate"] {
        check(
            "state-params",
            hook,
            state,
            "asked for 4 MiB of a state, may have 1 MiB",
        );
    }
    for hook in ["configure", "begin", "finish"] {
        check("message-bytes", hook, trapped, left);
        check(
            "message-scalar",
            hook,
            trapped,
            "`message.put-scalar`: `loss` is NaN",
        );
    }
    for hook in ["configure", "finish"] {
        check(
            "message-nan",
            hook,
            bad,
            "message `control`: tensor `layer.00.lora_A` holds NaN at 0",
        );
    }
    check("terms", "begin", trapped, "`objective`: more than 64 terms");
    check(
        "shapes",
        "begin",
        bad,
        "a term of the objective: tensor `layer.01.lora_B` is missing",
    );
    check(
        "nan",
        "begin",
        bad,
        "a term of the objective: tensor `layer.00.lora_A` holds NaN at 0",
    );
    check(
        "shapes",
        "aggregate",
        bad,
        "next global parameters: tensor `layer.01.lora_B` is missing",
    );
    check(
        "nan",
        "aggregate",
        bad,
        "next global parameters: tensor `layer.00.lora_A` holds NaN at 0",
    );
    check("strangers", "sample", bad, "it chose client 1000000 of 4");
    check("twice", "sample", bad, "it chose client 1 twice");
    check("nobody", "sample", bad, "it chose no client");
    check("lists", "sample", bad, "it chose client 0 twice");
}

/// What the host is asked to do with parameters is bounded.
#[test]
fn what_the_host_does_for_a_call_is_bounded() {
    for hook in ["start", "begin", "finish", "aggregate"] {
        let handles = |own: &Failure| matches!(own, Failure::OutOfHandles { .. });
        check("handles", hook, handles, "out of handles");
        let operations = |own: &Failure| matches!(own, Failure::OutOfOperations { .. });
        check(
            "lists",
            hook,
            operations,
            "out of operations: asked for more than 1048576",
        );
        check(
            "columns",
            hook,
            trapped,
            "median takes at most 16384 items, got 262144",
        );
        check(
            "pairs",
            hook,
            trapped,
            "takes at most 2048 items, got 262144",
        );
        check(
            "distances",
            hook,
            trapped,
            "distances takes at most 16384 items, got 262144",
        );
        check(
            "wide",
            hook,
            trapped,
            "the expression needs more than 16384 results at once",
        );
        check("selections", hook, trapped, "a call may leave 64 MiB");
        check(
            "glob",
            hook,
            trapped,
            "`params.select`: a glob of 2097152 bytes",
        );
        // Long, but no crime: neither evaluating nor dropping it recurses.
        call("chain", hook, &Notes::default()).unwrap();
        call("reselected", hook, &Notes::default()).unwrap();
    }
}

/// A flood of lines and reports is cut, and what is kept is short.
#[test]
fn what_a_plugin_says_is_cut() {
    for deed in ["log", "report"] {
        let notes = Notes::default();
        call(deed, "aggregate", &notes).unwrap();
        let notes = notes.lock().unwrap();
        assert_eq!(notes.len(), limits(deed).log_lines + 1);
        for note in notes.iter() {
            let (Said::Log { message: text, .. } | Said::Report { name: text, .. }) = &note.said;
            assert!(text.len() <= 1024 + '…'.len_utf8());
        }
        let last = format!("{:?}", notes.last().unwrap().said);
        assert!(last.contains("the rest is dropped"), "{last}");
    }
}
