//! Components that Rust does not make: what is wrong with them is found on load, or in the call that does it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Failure, Limits, Message, Partitioner, Plugin, PluginError, Round, Sandbox,
    State, Update, View,
};
use serde_json::json;

use crate::bench::{here, sandbox};
use crate::hostile::component;

struct Rows;

impl View for Rows {
    fn examples(&self) -> u32 {
        2
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

/// Longer than any refusal takes on a machine with much else to do.
const SLACK: Duration = Duration::from_secs(60);

fn text(file: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = std::fs::read_to_string(here().join("hostile").join(file)).unwrap();
    for (from, to) in changes {
        text = text.replace(from, to);
    }
    wat::parse_str(text).unwrap()
}

fn load(bytes: &[u8]) -> Result<Plugin, PluginError> {
    let started = Instant::now();
    let plugin = Plugin::load(&sandbox(limits()), "hostile", bytes);
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    plugin
}

/// A partitioner around a core module.
fn around(module: &str) -> Vec<u8> {
    let fields = module
        .strip_prefix("(module")
        .and_then(|own| own.strip_suffix(')'));
    text("around.wat", &[("MODULE", fields.unwrap())])
}

/// The error of loading `bytes`, which says this.
#[track_caller]
fn refused(bytes: &[u8], expected: &str) -> PluginError {
    let error = load(bytes).err().expect("it should be refused");
    let said = error.to_string();
    assert!(
        said.starts_with("plugin `hostile`") && said.contains(expected),
        "{said}"
    );
    assert!(said.len() < 8192, "{} bytes", said.len());
    error
}

/// What core modules do while they are instantiated happens in the first call.
#[test]
fn modules_that_misbehave_when_instantiated_fail_the_call() {
    let check = |module: &str, expected: &str| {
        let error = refused(&around(module), expected);
        let PluginError::Call { call, failure, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(call, "describe");
        failure
    };
    let failure = check(
        "(module (func $f (loop $l br $l)) (start $f))",
        "no answer within 0.3 s",
    );
    assert!(matches!(failure, Failure::OutOfTime { .. }));
    check(
        "(module (func $f unreachable) (start $f))",
        "`unreachable` instruction executed",
    );
    check(
        "(module (func $f (call $f)) (start $f))",
        "call stack exhausted",
    );
    for module in [
        "(module (memory 65536))",
        "(module (memory 60) (memory 60))",
        "(module (memory 1) (func $f (drop (memory.grow (i32.const 100))) unreachable) (start $f))",
    ] {
        let failure = check(module, "out of memory: asked for");
        assert!(matches!(failure, Failure::OutOfMemory { of: "memory", .. }));
    }
    check(
        &format!("(module {})", "(memory 0)".repeat(65)),
        "memory count too high",
    );
    check("(module (table 1000000 funcref))", "crashed: ");
    check(
        r#"(module (memory 1) (data (i32.const 65530) "beyond the end"))"#,
        "out of bounds memory access",
    );
    check(
        r#"(module (memory 1) (data (i32.const 0xfffffff0) "x"))"#,
        "out of bounds memory access",
    );
}

/// What would take long or much to compile is not compiled; what is only large is.
#[test]
fn modules_that_are_too_large_are_not_compiled() {
    let many = |count: usize| format!("(module {})", "(func)".repeat(count));
    load(&around(&many(20_000))).unwrap();
    refused(&around(&many(100_001)), "it has more than 100000 functions");
    let long = format!("(module (func {}))", "nop ".repeat(1 << 20));
    refused(
        &around(&long),
        "it has more than 1048576 bytes in one function",
    );
    let locals = format!("(module (func (local {})))", "i32 ".repeat(20_001));
    refused(&around(&locals), "has 20001 variables");
    let parts = format!("(component {})", "(core module)".repeat(257));
    refused(
        &wat::parse_str(parts).unwrap(),
        "it has more than 256 modules and components",
    );
    let types = format!("(component {})", "(type u8)".repeat(100_001));
    refused(&wat::parse_str(types).unwrap(), "more than 100000 types");
    let small = Limits {
        component: 1 << 20,
        ..limits()
    };
    let large = vec![0; (1 << 20) + 1];
    let error = Plugin::load(&sandbox(small), "hostile", &large)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("more than the 1 MiB that a component may have"),
        "{error}"
    );
}

/// A few bytes of a module must not be many of its images, nor a few components many instances: they are made when
/// it is compiled.
#[test]
fn what_unfolds_when_compiled_is_bounded() {
    let ends = (250 << 16) - 1;
    let sparse =
        format!(r#"(module (memory 250) (data (i32.const 0) "a") (data (i32.const {ends}) "z"))"#);
    let cache = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(Limits::default(), cache.path(), Arc::new(|_| {})).unwrap();
    Plugin::load(&sandbox, "hostile", &around(&sparse)).unwrap();
    let files = std::fs::read_dir(cache.path()).unwrap();
    let written: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(written < 1 << 20, "{written} bytes of code");

    refused(
        &around("(module (table 600000 funcref) (table 600000 funcref))"),
        "it has more than 1048576 elements in tables",
    );
    let memories = format!("(core module {})", "(memory 0)".repeat(100));
    let memories = format!("(component {})", memories.repeat(3));
    refused(
        &wat::parse_str(memories).unwrap(),
        "it has more than 256 memories",
    );
    // Each has two of the one within it, the innermost what is given; two to the power of `levels`.
    let nested = |levels: usize, innermost: &str| {
        let inner = (0..levels).fold(format!("(component $c {innermost})"), |inner, _| {
            format!(
                "(component $c {inner} (instance (instantiate $c)) (instance (instantiate $c)))"
            )
        });
        wat::parse_str(format!("(component {inner} (instance (instantiate $c)))")).unwrap()
    };
    refused(&nested(8, ""), "exports no interface of folkmoot:plugin");
    refused(
        &nested(10, ""),
        "it has more than 1000 instances of components",
    );
    refused(
        &nested(8, &"(type u8)".repeat(5000)),
        "it has more than 1000000 types, imports, exports, aliases and instances in its instances",
    );
    // The same by other names of one component.
    let mut aliased = "(component $c0)".to_owned();
    for level in 1..=10 {
        let before = level - 1;
        aliased.push_str(&format!(
            "(component $c{level} (alias outer 1 {before} (component $c)) \
             (instance (instantiate $c)) (instance (instantiate $c)))"
        ));
    }
    refused(
        &wat::parse_str(format!("(component {aliased})")).unwrap(),
        "it has more than 1000 instances of components",
    );
    // What is handed on could be anything.
    let given = r#"(component
        (component $c)
        (component $d (import "c" (component $c)) (instance (instantiate $c)))
        (instance (instantiate $d (with "c" (component $c)))))"#;
    refused(
        &wat::parse_str(given).unwrap(),
        "it imports, exports or hands on components",
    );
}

/// As much to compile as may be: many variables that live in many blocks.
#[test]
fn what_may_be_compiled_is_compiled_in_bounded_time() {
    let locals = 1000;
    let mut body = format!("(local {})", "i32 ".repeat(locals));
    for step in 0..8000 {
        let (a, b) = (step % locals, (step * 7 + 1) % locals);
        body.push_str(&format!(
            "(if (local.get {a}) (then (local.set {b} (i32.add (local.get {a}) (local.get {b})))))"
        ));
    }
    load(&around(&format!("(module (func {body}))"))).unwrap();
}

#[test]
fn features_that_are_off_are_refused() {
    for module in [
        "(module (memory i64 1))",
        "(module (memory 1 1 shared))",
        "(module (import \"env\" \"f\" (func)))",
        "(module (func (result v128) (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0))))",
    ] {
        refused(&around(module), "is no WASM component");
    }
}

/// A description is a text of bounded size, JSON of bounded depth, and a schema that ends.
#[test]
fn descriptions_that_go_too_far_are_refused() {
    let describe = |said: &str, length: usize, pointer: &str| {
        let escaped = said.replace('\\', "\\\\").replace('"', "\\\"");
        let length = length.to_string();
        text(
            "describe.wat",
            &[
                ("TEXT", &escaped),
                ("LENGTH", &length),
                ("POINTER", pointer),
            ],
        )
    };
    let says = |said: &str| describe(said, said.len(), "1024");
    let schema = |schema: serde_json::Value| {
        says(&json!({ "summary": "x", "settings": schema }).to_string())
    };
    load(&schema(json!({ "type": "object" }))).unwrap();
    refused(&says("hello"), "describes itself wrongly");
    refused(
        &says("{}"),
        "describes itself wrongly: missing field `summary`",
    );
    let deep = format!(r#"{{"summary":"x","settings":{}"#, "[".repeat(200_000));
    refused(
        &says(&deep),
        "describes itself wrongly: recursion limit exceeded",
    );
    refused(
        &says(&" ".repeat((256 << 10) + 1)),
        "it has 262145 bytes, more than 256 KiB",
    );
    refused(
        &says(r#"{"summary":"\u001b[2J","settings":{}}"#),
        "control characters",
    );
    // People read names and help of settings and scores as well.
    let strange = "\u{1b}[2J";
    for told in [
        json!({ "summary": "x", "settings": { "properties": { strange: {} } } }),
        json!({ "summary": "x", "settings": { "properties": { "a": { "description": strange } } } }),
        json!({ "summary": "x", "settings": {}, "traits": { "scores": [{ "meaning": strange }] } }),
    ] {
        refused(&says(&told.to_string()), "it holds control characters");
    }
    for (length, pointer) in [
        (100, "0xffffff00"),
        (1 << 30, "1024"),
        (0xffff_ffff_usize, "0"),
    ] {
        let bytes = describe("", length, pointer);
        let error = refused(&bytes, "plugin `hostile`, call `describe`: crashed: ");
        assert!(matches!(
            error,
            PluginError::Call {
                failure: Failure::Trapped { .. },
                ..
            }
        ));
    }
    let mut parts = serde_json::Map::new();
    for step in 0..30 {
        let next = json!({ "$ref": format!("#/$defs/{}", step + 1) });
        parts.insert(step.to_string(), json!({ "anyOf": [next, next] }));
    }
    parts.insert("30".into(), json!({}));
    refused(
        &schema(json!({ "$ref": "#/$defs/0", "$defs": parts })),
        "unfolds to more than 20000 parts",
    );
    refused(&schema(json!({ "$ref": "#" })), "refers to itself");
    refused(
        &schema(json!({ "$ref": "https://localhost/schema.json" })),
        "which is no part of it",
    );
    refused(
        &schema(json!({ "properties": { "a": { "pattern": "x".repeat(1000) } } })),
        "256 bytes",
    );
}

/// Handles that are made up, of another kind, used after they were dropped, or never dropped; pointers that lie.
#[test]
fn handles_and_pointers_that_lie_end_the_call() {
    let check = |body: &str, realloc: &str, expected: &str| {
        let bytes = text("handles.wat", &[("BODY", body), ("REALLOC", realloc)]);
        let plugin = load(&bytes).unwrap();
        let partitioner = Partitioner::new(plugin, &json!({})).unwrap();
        let started = Instant::now();
        let error = partitioner
            .partition(Arc::new(Rows), 1, Seed(0))
            .unwrap_err();
        assert!(started.elapsed() < limits().time + SLACK);
        let said = error.to_string();
        let start = "plugin `hostile`, call `partition`: ";
        assert!(
            said.starts_with(start) && said.contains(expected),
            "{body}: {said}"
        );
    };
    let fine = "4096";
    check(
        "(drop (call $examples (i32.const 12345)))",
        fine,
        "unknown handle index 12345",
    );
    check(
        "(drop (call $examples (i32.const 0)))",
        fine,
        "unknown handle index 0",
    );
    check(
        "(drop (call $examples (i32.const -1)))",
        fine,
        "unknown handle index",
    );
    // A message where a data set is wanted, and a resource of its own.
    check("(drop (call $examples (call $new)))", fine, "handle index");
    check(
        "(drop (call $examples (call $make (i32.const 7))))",
        fine,
        "handle index",
    );
    check(
        "(call $drop_message (local.get $data))",
        fine,
        "handle index",
    );
    check(
        "(call $drop_data (local.get $data)) (drop (call $examples (local.get $data)))",
        fine,
        "unknown handle index",
    );
    check(
        "(call $drop_data (local.get $data)) (call $drop_data (local.get $data))",
        fine,
        "unknown handle index",
    );
    let dropped = "(local.set $handle (call $new)) (call $drop_message (local.get $handle))";
    check(
        &format!("{dropped} (call $drop_message (local.get $handle))"),
        fine,
        "unknown handle index",
    );
    let used = "(call $put (local.get $handle) (i32.const 256) (i32.const 5) (f64.const 1))";
    check(&format!("{dropped} {used}"), fine, "unknown handle index");
    check("(loop $l (drop (call $new)) br $l)", fine, "out of handles");
    check(
        "(loop $l (drop (call $make (i32.const 1))) br $l)",
        fine,
        "handle limit exceeded",
    );
    // More memory than may be is refused, and survived: what ends the call is something else.
    check(
        "(drop (memory.grow (i32.const 1000))) (call $log (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0))",
        fine,
        "crashed: `log`: level `` is none of",
    );
    check(
        "(drop (memory.grow (i32.const 1000))) (loop $l (drop (call $new)) br $l)",
        fine,
        "out of handles",
    );
    // A borrowed handle that is not given back.
    check(
        "nop",
        fine,
        "borrow handles still remain at the end of the call",
    );
    let give = "(call $drop_data (local.get $data))";
    // Strings and lists that lie elsewhere, or are longer than everything.
    check(
        "(call $log (i32.const 0xffffff00) (i32.const 5) (i32.const 0) (i32.const 0))",
        fine,
        "out of bounds",
    );
    check(
        "(call $log (i32.const 256) (i32.const 0x7fffffff) (i32.const 0) (i32.const 0))",
        fine,
        "crashed: ",
    );
    check(
        "(call $log (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0))",
        fine,
        "level `` is none of",
    );
    let answer = |pointer: &str, length: &str| {
        format!(
            "{give} (i32.store (i32.const 36) (i32.const {pointer})) (i32.store (i32.const 40) (i32.const {length}))"
        )
    };
    check(&answer("0xfffffff0", "1"), fine, "crashed: ");
    check(&answer("1024", "0x10000000"), fine, "crashed: ");
    check(&answer("1024", "0x7fffffff"), fine, "crashed: ");
    check(&answer("1025", "1"), fine, "crashed: ");
    check(
        &answer("1024", "300"),
        fine,
        "bad answer: 300 shards for 1 clients",
    );
    check(
        &format!("{give} (local.set $at (i32.const 0xffffff0))"),
        fine,
        "crashed: ",
    );
    check(
        &format!("{give} (local.set $at (i32.const 33))"),
        fine,
        "crashed: ",
    );
    // Neither an answer nor an error.
    check(
        &format!("{give} (i32.store (i32.const 32) (i32.const 7))"),
        fine,
        "crashed: ",
    );
    // Where the host is to put the settings.
    for realloc in ["0x7ffffff0", "-1", "65535"] {
        check("nop", realloc, "crashed: ");
    }
}

/// What a block kernel says of its refusal is cut as what any plugin says.
#[test]
fn refusals_of_a_block_kernel_are_cut() {
    let algorithm = Algorithm::new(load(&text("block.wat", &[])).unwrap(), &json!({})).unwrap();
    let global = Params::from_tensors([("w".to_owned(), vec![4], vec![0.0; 4])]).unwrap();
    let update = Update {
        client: Client {
            examples: 1,
            ..Client::default()
        },
        steps: 1,
        lr: 0.1,
        staleness: 0,
        delta: global.clone(),
        message: Message::default(),
    };
    let round = Round {
        number: 1,
        total: 1,
        clients: 1,
        seed: Seed(1),
    };
    let next = algorithm.aggregate(round, &global, &[Arc::new(update)], &mut State::default());
    let said = next.unwrap_err().to_string();
    let expected = "plugin `hostile`, call `reduce`: refused: \u{fffd}xxx";
    assert!(said.starts_with(expected), "{said:?}");
    assert!(!said.contains('\u{1b}') && said.len() < 8192, "{said:?}");
}

/// What fits no version of the contract is told from what fits a later one.
#[test]
fn interfaces_of_another_shape_are_refused() {
    let shapes = [
        // An export that is no interface, one that lacks functions, a function of another type.
        r#"(component (component $c) (export "folkmoot:plugin/algorithm@0.1.0" (component $c)))"#,
        r#"(component (instance $i) (export "folkmoot:plugin/algorithm@0.1.0" (instance $i)))"#,
        r#"(component
            (core module $m (func (export "describe") (param i32)))
            (core instance $i (instantiate $m))
            (func $describe (param "a" u32) (canon lift (core func $i "describe")))
            (instance $p (export "describe" (func $describe)))
            (export "folkmoot:plugin/metric@0.1.0" (instance $p)))"#,
        r#"(component (import "folkmoot:plugin/params@0.1.0" (func)) (instance $i)
            (export "folkmoot:plugin/partitioner@0.1.0" (instance $i)))"#,
        r#"(component (import "folkmoot:plugin/run@0.1.0" (instance (export "shutdown" (func)))) (instance $i)
            (export "folkmoot:plugin/partitioner@0.1.0" (instance $i)))"#,
    ];
    for shape in shapes {
        let error = refused(&wat::parse_str(shape).unwrap(), "");
        let known = [
            matches!(error, PluginError::ContractVersion { .. }),
            matches!(error, PluginError::NotAComponent { .. }),
        ];
        assert!(known.contains(&true), "{error}");
    }
}

/// Bytes that are random, a component that is cut anywhere, and one in which bytes are changed: each is refused, or
/// is a plugin.
#[test]
fn random_bytes_are_refused() {
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for length in 0..300 {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend((0..length).map(|_| draw(256) as u8));
        let kept = if length % 3 == 0 { 0 } else { 8 };
        assert!(load(&bytes[8 - kept..]).is_err());
    }
    let whole = std::fs::read(component()).unwrap();
    for _ in 0..100 {
        let cut = draw(whole.len());
        assert!(load(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let clients = [Client::default()];
    let round = Round {
        number: 1,
        total: 1,
        clients: 1,
        seed: Seed(1),
    };
    for _ in 0..40 {
        let mut bytes = whole.clone();
        for _ in 0..=draw(3) {
            let place = draw(bytes.len());
            bytes[place] = draw(256) as u8;
        }
        // A changed byte may be one of a name.
        if let Ok(plugin) = load(&bytes)
            && let Ok(algorithm) = Algorithm::new(plugin, &json!({}))
        {
            let _ = algorithm.sample(round, &clients, 1, &mut State::default());
        }
    }
}
