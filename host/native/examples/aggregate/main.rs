//! Times one aggregation of N updates of D scalars: the plugin in its sandbox, the same source native,
//! hand-written loops, and what the memory could do. Started by `cargo xtask bench aggregate`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a benchmark"
)]
#![allow(dead_code, unreachable_pub, reason = "plugins' sources as they are")]

extern crate folkmoot_native as folkmoot_sdk;

#[path = "../../../../plugins/algorithms/fedadam/src/lib.rs"]
mod fedadam;
#[path = "../../../../plugins/algorithms/fedavg/src/lib.rs"]
mod fedavg;
#[path = "../../../../plugins/algorithms/krum/src/lib.rs"]
mod krum;
#[path = "../../../../plugins/algorithms/median/src/lib.rs"]
mod median;
#[path = "../../../../plugins/algorithms/median-by-block/src/lib.rs"]
mod median_by_block;
#[path = "../../../../plugins/algorithms/trimmed-mean/src/lib.rs"]
mod trimmed_mean;

mod by_block;
mod by_hand;
mod cohort;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use cohort::Cohort;
use folkmoot_native::native;
use folkmoot_params::{Evaluator, Params, Seed};
use folkmoot_plugin::{Algorithm, Kind, Library, Limits, Round, Sandbox, State};
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 10)]
    updates: usize,
    #[arg(long, default_value_t = 4_200_000)]
    size: usize,
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Folder of the built plugins
    #[arg(long)]
    plugins: PathBuf,
    /// Only this algorithm
    #[arg(long)]
    only: Option<String>,
}

/// What one side does in a round; gives something of the result, so that it is not optimised away.
type Side<'a> = (&'static str, Box<dyn FnMut() -> f32 + 'a>);

fn main() {
    let arguments = Arguments::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads);
    pool.build_global().unwrap();
    let cohort = Cohort::new(arguments.updates, arguments.size);
    let cache = std::env::temp_dir().join(format!("folkmoot-bench-{}", std::process::id()));
    let sandbox = Sandbox::new(Limits::default(), &cache, Arc::new(|_| {})).unwrap();
    let library = Library::new(vec![arguments.plugins.clone()], &[]);
    let drop = (arguments.updates / 5).to_string();
    let byzantine = (arguments.updates / 5).max(1).to_string();
    let settings = |name: &str| -> Value {
        let number = |text: &str| text.parse::<u32>().unwrap();
        match name {
            "trimmed-mean" => json!({ "drop": number(&drop) }),
            "krum" => json!({ "byzantine": number(&byzantine) }),
            _ => json!({}),
        }
    };
    let mut figures = serde_json::Map::new();
    // The sandboxed plugins alone, before any other side takes memory.
    let resident = resident_mib("VmRSS");
    for name in ["fedavg", "median", "krum"] {
        let plugin = library.load(&sandbox, name, Kind::Algorithm).unwrap();
        let algorithm = Algorithm::new(plugin, &settings(name)).unwrap();
        let updates = cohort.updates();
        let round = Round {
            number: 1,
            total: 9,
            clients: updates.len() as u32,
            seed: Seed(1),
        };
        let next = algorithm.aggregate(round, &cohort.global, &updates, &mut State::default());
        std::hint::black_box(next.unwrap());
    }
    let wasm_peak = resident_mib("VmHWM");
    for name in [
        "fedavg",
        "fedadam",
        "trimmed-mean",
        "median",
        "median-by-block",
        "krum",
    ] {
        if arguments.only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let plugin = library.load(&sandbox, name, Kind::Algorithm).unwrap();
        let algorithm = Algorithm::new(plugin, &settings(name)).unwrap();
        let (updates, native_updates, shares) =
            (cohort.updates(), cohort.native_updates(), cohort.shares());
        let mut state = State::default();
        let kept = native::state();
        let mut sides: Vec<Side> = vec![(
            "wasm",
            Box::new(|| {
                let round = Round {
                    number: 2,
                    total: 9,
                    clients: updates.len() as u32,
                    seed: Seed(1),
                };
                let next = algorithm
                    .aggregate(round, &cohort.global, &updates, &mut state)
                    .unwrap();
                next.values()[7]
            }),
        )];
        sides.push((
            "native",
            native_side(
                name,
                &settings(name),
                &cohort,
                &native_updates,
                &shares,
                &kept,
            ),
        ));
        sides.push(("by hand", by_hand::side(name, &cohort, &shares)));
        sides.push(("floor", floor(name, &cohort)));
        let mut times = vec![Vec::new(); sides.len()];
        // In turns, so that a noisy moment hits every side; the first turn warms up.
        for turn in 0..=arguments.repeats {
            // Each side follows each other: what one leaves in the caches is the next one's weather.
            for step in 0..sides.len() {
                let index = (step * if turn % 2 == 0 { 1 } else { sides.len() - 1 } + turn / 2)
                    % sides.len();
                let side = &mut sides[index].1;
                let started = Instant::now();
                std::hint::black_box(side());
                if turn > 0 {
                    times[index].push(started.elapsed().as_secs_f64());
                }
            }
        }
        let own: serde_json::Map<_, _> = sides
            .iter()
            .zip(times)
            .map(|((side, _), times)| ((*side).to_owned(), json!(times)))
            .collect();
        figures.insert(name.into(), own.into());
    }
    let _ = std::fs::remove_dir_all(&cache);
    println!(
        "{}",
        json!({ "figures": figures, "resident_mib": resident, "wasm_peak_mib": wasm_peak })
    );
}

/// The plugin's own source on the engine, and the end of the call as the sandbox has it.
fn native_side<'a>(
    name: &str,
    settings: &Value,
    cohort: &'a Cohort,
    updates: &'a native::run::Updates,
    shares: &'a [f64],
    kept: &'a native::run::State,
) -> Box<dyn FnMut() -> f32 + 'a> {
    fn run<'a, A: folkmoot_native::Algorithm + 'a>(
        settings: &Value,
        cohort: &'a Cohort,
        updates: &'a native::run::Updates,
        state: &'a native::run::State,
    ) -> Box<dyn FnMut() -> f32 + 'a> {
        let plugin: A = serde_json::from_value(settings.clone()).unwrap();
        Box::new(move || {
            let global = native::params::Params(cohort.global.clone());
            let round = native::round(2, 9);
            let next = plugin.aggregate(&round, &global, updates, state).unwrap();
            let names = ["momentum", "variance"];
            let states = names
                .iter()
                .filter_map(|name| state.params(name))
                .map(|params| params.0);
            let wanted: Vec<Params> = std::iter::once(next.0.clone()).chain(states).collect();
            assert!(Evaluator::default().commit_finite(&wanted).unwrap());
            next.0.values()[7]
        })
    }
    match name {
        "fedavg" => run::<fedavg::FedAvg>(settings, cohort, updates, kept),
        "fedadam" => run::<fedadam::FedAdam>(settings, cohort, updates, kept),
        "trimmed-mean" => run::<trimmed_mean::TrimmedMean>(settings, cohort, updates, kept),
        "median" => run::<median::Median>(settings, cohort, updates, kept),
        "krum" => run::<krum::Krum>(settings, cohort, updates, kept),
        _ => by_block::side(cohort, shares),
    }
}

/// Reads every input and writes every output once, with as good as no arithmetic.
fn floor<'a>(name: &str, cohort: &'a Cohort) -> Box<dyn FnMut() -> f32 + 'a> {
    let kept = if name == "fedadam" { 2 } else { 0 };
    let mut outputs = vec![vec![0f32; cohort.global.count()]; 1 + kept];
    let extra: Vec<Vec<f32>> = vec![vec![0.5; cohort.global.count()]; kept];
    Box::new(move || by_hand::floor(cohort, &extra, &mut outputs))
}

fn resident_mib(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0.0);
    kib / 1024.0
}
