use std::sync::Arc;
use std::time::Duration;

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Failure, Kind, Library, Limits, Metric, Partitioner, Plugin, PluginError,
    Round, State, Update, View,
};
use serde_json::json;

use crate::bench::{built_plugins, here, plugin, sandbox};

pub(crate) struct Nothing;

impl View for Nothing {
    fn examples(&self) -> u32 {
        1
    }
    fn columns(&self) -> Vec<String> {
        Vec::new()
    }
    fn categories(&self, _: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        Err("none".into())
    }
    fn numbers(&self, _: &str) -> Result<Vec<f64>, String> {
        Err("none".into())
    }
    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok(Vec::new())
    }
    fn text(&self, _: u32) -> Option<String> {
        None
    }
}

fn limits() -> Limits {
    Limits {
        time: Duration::from_millis(300),
        memory: 4 << 20,
        ..Limits::default()
    }
}

fn component(file: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = std::fs::read_to_string(here().join("hostile").join(file)).unwrap();
    for (from, to) in changes {
        text = text.replace(from, to);
    }
    wat::parse_str(text).unwrap()
}

fn load(bytes: &[u8]) -> Result<Plugin, PluginError> {
    Plugin::load(&sandbox(limits()), "hostile", bytes)
}

/// The error of `partition` in a plugin that does `body`.
fn hostile(body: &str) -> PluginError {
    let bytes = component(
        "partitioner.wat",
        &[("BODY", body), ("EXPORT", "partitioner@0.1.0")],
    );
    let partitioner = Partitioner::new(load(&bytes).unwrap(), &json!({})).unwrap();
    partitioner
        .partition(Arc::new(Nothing), 1, Seed(0))
        .unwrap_err()
}

/// Each way to misbehave in a call has its own error, which names the plugin and the call.
#[test]
fn failures_of_a_call_are_told_apart() {
    let check = |body, expected: &str| {
        let error = hostile(body).to_string();
        let expected = format!("plugin `hostile`, call `partition`: {expected}");
        assert!(error.starts_with(&expected), "{error}");
    };
    check(
        "unreachable",
        "crashed: wasm trap: wasm `unreachable` instruction executed",
    );
    check(
        "(loop $forever br $forever)",
        "out of time: no answer within 0.3 s",
    );
    check(
        "(drop (memory.grow (i32.const 1000))) unreachable",
        "out of memory: asked for 63 MiB of memory, may have 4 MiB",
    );
    check(
        "(drop (i32.load (i32.const 0x7fffffff)))",
        "crashed: wasm trap: out of bounds memory access",
    );
    check(
        "(drop (call $partition (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
        "crashed: wasm trap: call stack exhausted",
    );
    assert!(matches!(
        hostile("unreachable"),
        PluginError::Call {
            failure: Failure::Trapped { .. },
            ..
        }
    ));
}

/// Arithmetic that an algorithm asks the host for has limits of its own: operations, time, memory.
#[test]
fn arithmetic_on_parameters_is_limited() {
    let library = Library::new(vec![built_plugins().to_owned()], &[]);
    let one = Params::from_tensors([("w".to_owned(), vec![1000], vec![0.5; 1000])]).unwrap();
    let aggregate = |limits: Limits| {
        let plugin = library.load(&sandbox(limits), "fedadam", Kind::Algorithm);
        let algorithm = Algorithm::new(plugin.unwrap(), &json!({})).unwrap();
        let update = Arc::new(Update {
            client: Client {
                examples: 1,
                ..Client::default()
            },
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
        let next = algorithm.aggregate(round, &one, &[update], &mut State::default());
        next.map_err(|error| error.to_string())
    };
    assert!(aggregate(Limits::default()).is_ok());
    let few = Limits {
        operations: 5,
        ..Limits::default()
    };
    let error = aggregate(few).unwrap_err();
    assert!(
        error.ends_with("out of operations: asked for more than 5 on parameters"),
        "{error}"
    );
    let fast = Limits {
        arithmetic: Duration::ZERO,
        ..Limits::default()
    };
    let error = aggregate(fast).unwrap_err();
    assert!(
        error.ends_with("out of time: no answer within 0 s"),
        "{error}"
    );
    let small = Limits {
        params: 1 << 12,
        ..Limits::default()
    };
    let error = aggregate(small).unwrap_err();
    assert!(
        error.contains("out of memory: asked for 1 MiB of parameters"),
        "{error}"
    );
}

/// What is wrong with a component is said before any call.
#[test]
fn components_that_do_not_fit_are_refused_on_load() {
    let check = |bytes: &[u8], expected: &str| {
        let error = load(bytes).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(b"hello", "plugin `hostile` is no WASM component");
    let module = wat::parse_str("(module (memory 1))").unwrap();
    check(&module, "plugin `hostile` is no WASM component");
    check(
        &wat::parse_str("(component)").unwrap(),
        "exports no interface of folkmoot:plugin",
    );
    let wants = |import| component("imports.wat", &[("IMPORT", import)]);
    check(
        &wants("wasi:cli/environment@0.2.0"),
        "imports `wasi:cli/environment@0.2.0`, which no plugin gets",
    );
    check(
        &wants("folkmoot:plugin/params@0.2.0"),
        "hint: upgrade folkmoot, or rebuild the plugin with an older SDK",
    );
    check(
        &wants("folkmoot:plugin/params@0.0.9"),
        "hint: rebuild the plugin with the SDK of this folkmoot",
    );
    let later = component(
        "partitioner.wat",
        &[("BODY", "nop"), ("EXPORT", "partitioner@0.2.0")],
    );
    check(
        &later,
        "speaks `folkmoot:plugin/partitioner@0.2.0`, this folkmoot speaks folkmoot:plugin@0.1.0",
    );
}

/// A plugin of another kind than asked for says which it is.
#[test]
fn a_wrong_kind_is_named() {
    let error = Metric::new(plugin("fedavg", Kind::Algorithm), &json!({}))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "plugin `fedavg` is an algorithm, not a metric"
    );
    let error = Algorithm::new(plugin("iid", Kind::Partitioner), &json!({}))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "plugin `iid` is a partitioner, not an algorithm"
    );
}

/// An unknown name lists those of the kind and the nearest.
#[test]
fn an_unknown_name_lists_the_known() {
    let library = Library::new(vec![built_plugins().to_owned()], &[]);
    let error = library
        .load(&sandbox(Limits::default()), "fedavgn", Kind::Algorithm)
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("no algorithm named `fedavgn`; known: bulyan, ")
            && text.contains(" fedavg, fedavgm,"),
        "{text}"
    );
    assert!(text.ends_with("hint: did you mean `fedavg`?"), "{text}");
}

/// Compiled code comes from the cache the second time, and a spoilt cache file is compiled again.
#[test]
fn the_cache_survives_spoiling() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(built_plugins().join("fedavg.wasm")).unwrap();
    let load = || {
        let sandbox =
            folkmoot_plugin::Sandbox::new(Limits::default(), cache.path(), Arc::new(|_| {}))
                .unwrap();
        Plugin::load(&sandbox, "fedavg", &bytes).unwrap().digest
    };
    let digest = load();
    let files = || {
        std::fs::read_dir(cache.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect::<Vec<_>>()
    };
    assert_eq!(files().len(), 1);
    std::fs::write(&files()[0], b"spoilt").unwrap();
    assert_eq!(load(), digest);
    assert!(std::fs::metadata(&files()[0]).unwrap().len() > 10_000);
}
