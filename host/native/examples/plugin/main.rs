//! What the sandbox costs: making a plugin ready, a call that does nothing, guarding code, and a block kernel
//! beside its own source native. Started by `cargo xtask bench plugin`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that panics has failed"
)]
#![allow(dead_code, unreachable_pub, reason = "plugins' sources as they are")]

extern crate folkmoot_native as folkmoot_sdk;

#[path = "../../../../plugins/algorithms/median-by-block/src/lib.rs"]
mod median_by_block;

#[path = "../aggregate/by_block.rs"]
mod by_block;
#[path = "../aggregate/cohort.rs"]
mod cohort;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use cohort::Cohort;
use folkmoot_params::Seed;
use folkmoot_plugin::{Algorithm, Client, Kind, Library, Limits, Plugin, Round, Sandbox, State};
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    /// What is measured
    what: What,
    /// Folder of the built plugins
    #[arg(long)]
    plugins: PathBuf,
    /// Folder of compiled code
    #[arg(long)]
    cache: PathBuf,
    #[arg(long, default_value_t = 10)]
    updates: usize,
    #[arg(long, default_value_t = 4_200_000)]
    size: usize,
    #[arg(long, default_value_t = 9)]
    repeats: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// The first plugin of a process
    First,
    /// Further plugins, and calls
    Calls,
    /// Aggregations
    Aggregations,
}

fn main() {
    let arguments = Arguments::parse();
    let figures = match arguments.what {
        What::First => first(&arguments),
        What::Calls => calls(&arguments),
        What::Aggregations => aggregations(&arguments),
    };
    println!("{figures}");
}

fn sandbox(cache: &Path) -> Sandbox {
    Sandbox::new(Limits::default(), cache, Arc::new(|_| {})).unwrap()
}

fn bytes(arguments: &Arguments, name: &str) -> Vec<u8> {
    std::fs::read(arguments.plugins.join(format!("{name}.wasm"))).unwrap()
}

/// Seconds of making the engine, and of its first plugin.
fn first(arguments: &Arguments) -> Value {
    let bytes = bytes(arguments, "fedavg");
    let started = Instant::now();
    let sandbox = sandbox(&arguments.cache);
    let engine = started.elapsed().as_secs_f64();
    let plugin = Plugin::load(&sandbox, "fedavg", &bytes).unwrap();
    let both = started.elapsed().as_secs_f64();
    assert_eq!(plugin.kind, Kind::Algorithm);
    json!({ "engine": engine, "both": both })
}

/// Seconds of every plugin from bytes to ready, and of calls that do nothing.
fn calls(arguments: &Arguments) -> Value {
    let sandbox = sandbox(&arguments.cache);
    let ready = |name: &str| -> Value {
        let bytes = bytes(arguments, name);
        times(1 + arguments.repeats * 10, || {
            drop(Plugin::load(&sandbox, name, &bytes).unwrap());
        })
    };
    let library = Library::new(vec![arguments.plugins.clone()], &[]);
    let algorithm = |name: &str| {
        let plugin = library.load(&sandbox, name, Kind::Algorithm).unwrap();
        Algorithm::new(plugin, &json!({})).unwrap()
    };
    let (median, fedprox) = (algorithm("median"), algorithm("fedprox"));
    let cohort = Cohort::new(1, 1000);
    let many = 1 + arguments.repeats * 200;
    let mut state = State::default();
    let start = times(many, || {
        median.start(Seed(0), &cohort.global, &mut state).unwrap()
    });
    let client = Client::default();
    let configure = times(many, || {
        fedprox.configure(round(), &client, &mut state).unwrap();
    });
    // The largest and a small one, a plugin of every kind.
    json!({
        "ready": {
            "fedavg": ready("fedavg"),
            "dirichlet": ready("dirichlet"),
            "math-equivalence": ready("math-equivalence"),
        },
        "nothing": { "median.start": start, "fedprox.configure": configure },
    })
}

/// Seconds of each turn but the first.
fn times(turns: usize, mut turn: impl FnMut()) -> Value {
    let times = (0..turns).map(|_| {
        let started = Instant::now();
        turn();
        started.elapsed().as_secs_f64()
    });
    json!(times.skip(1).collect::<Vec<f64>>())
}

fn round() -> Round {
    Round {
        number: 2,
        total: 9,
        clients: 10,
        seed: Seed(1),
    }
}

/// What one side does in a turn; gives something of the result, so that it is not optimised away.
type Side<'a> = (&'static str, Box<dyn FnMut() -> f32 + 'a>);

/// Wall and processor seconds of every turn: guarded, unguarded, and a block kernel native.
fn aggregations(arguments: &Arguments) -> Value {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads);
    pool.build_global().unwrap();
    let cohort = Cohort::new(arguments.updates, arguments.size);
    let (updates, shares) = (cohort.updates(), cohort.shares());
    let library = Library::new(vec![arguments.plugins.clone()], &[]);
    let guarded = sandbox(&arguments.cache);
    let unguarded = Sandbox::unguarded(Limits::default(), &arguments.cache, Arc::new(|_| {}));
    let unguarded = unguarded.unwrap();
    let mut figures = serde_json::Map::new();
    for name in [
        "fedavg",
        "fedadam",
        "trimmed-mean",
        "median-by-block",
        "fedavg-by-read",
    ] {
        let settings = match name {
            "trimmed-mean" => json!({ "drop": arguments.updates / 5 }),
            _ => json!({}),
        };
        let side = |sandbox: &Sandbox| -> Box<dyn FnMut() -> f32> {
            let plugin = library.load(sandbox, name, Kind::Algorithm).unwrap();
            let algorithm = Algorithm::new(plugin, &settings).unwrap();
            let (mut state, global, updates) =
                (State::default(), cohort.global.clone(), updates.clone());
            Box::new(move || {
                let next = algorithm.aggregate(round(), &global, &updates, &mut state);
                next.unwrap().values()[7]
            })
        };
        let mut sides: Vec<Side> =
            vec![("guarded", side(&guarded)), ("unguarded", side(&unguarded))];
        if name == "median-by-block" {
            sides.push(("native", by_block::side(&cohort, &shares)));
        }
        let mut times = vec![(Vec::new(), Vec::new()); sides.len()];
        // In turns, each side after each other, so that a noisy moment hits every side; the first warms up.
        for turn in 0..=arguments.repeats {
            for step in 0..sides.len() {
                let index = (step + turn) % sides.len();
                let (started, busy) = (Instant::now(), processor_seconds());
                std::hint::black_box(sides[index].1());
                if turn > 0 {
                    times[index].0.push(started.elapsed().as_secs_f64());
                    times[index].1.push(processor_seconds() - busy);
                }
            }
        }
        let own = sides.iter().zip(times).map(|((side, _), (wall, busy))| {
            (
                (*side).to_owned(),
                json!({ "wall": wall, "processor": busy }),
            )
        });
        let own: serde_json::Map<_, _> = own.collect();
        figures.insert(name.into(), own.into());
    }
    figures.into()
}

/// Processor time of all threads of this process, which other processes change less than they change wall time.
fn processor_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = threads.map(|thread| -> f64 {
        let told = std::fs::read_to_string(thread.unwrap().path().join("schedstat"));
        let told = told.unwrap();
        told.split(' ').next().unwrap().parse().unwrap()
    });
    spent.sum::<f64>() / 1e9
}
