//! Features, tested through public doors: the program's command line, and the crates' public types
//! where numbers are compared with what others computed (`golden/`, made by the scripts beside it).
//!
//! A real model and a real data set are fetched once into the user's cache, as the program does it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that panics has failed"
)]

/// What tests share: the program, the model, golden files, plugins.
#[path = "features/bench.rs"]
mod bench;

/// Loss, gradients, logits, steps, generation beside PyTorch, transformers and PEFT.
#[path = "features/training.rs"]
mod training;

/// Every family of decoders, preference losses, full fine-tuning, quantised bases, beside PyTorch.
#[path = "features/architectures.rs"]
mod architectures;

/// `generate` and `model merge`, settings of training, preferences, PEFT's adapters.
#[path = "features/models.rs"]
mod models;

/// Token ids beside Hugging Face's tokenizers and llama.cpp.
#[path = "features/tokenizer.rs"]
mod tokenizer;

/// Token ids and masks of every template beside transformers and TRL.
#[path = "features/templates.rs"]
mod templates;

/// Data on the command line: dealt out, shown, checked, deduplicated; broken rows; the cache of tokens.
#[path = "features/data.rs"]
mod data;

/// Benchmarks: prompts beside lm-evaluation-harness, and what packages hold of their data.
#[path = "features/benchmarks.rs"]
mod benchmarks;

/// Plugins in the sandbox beside numpy, Flower and scikit-learn.
#[path = "features/plugins.rs"]
mod plugins;

/// Every partitioner beside Flower Datasets.
#[path = "features/partitioners.rs"]
mod partitioners;

/// Every algorithm beside numpy and Flower, and what must hold of each.
#[path = "features/algorithms.rs"]
mod algorithms;

/// Plugins written in Python beside the Rust ones; what goes wrong in them.
#[path = "features/python.rs"]
mod python;

/// A plugin written in C beside the Rust one.
#[path = "features/c.rs"]
mod c;

/// Aggregation of files made by any stack.
#[path = "features/aggregate.rs"]
mod aggregate;

/// Hostile and broken plugins: each failure has its own error.
#[path = "features/sandbox.rs"]
mod sandbox;

/// What every plugin's calls cost: counted, shown, recorded.
#[path = "features/profile.rs"]
mod profile;

/// Native plugins beside their components; libraries and calls that are refused; the C header.
#[path = "features/native.rs"]
mod native;

/// An algorithm that misbehaves in any hook: bounded, typed, without a trace.
#[path = "features/hostile.rs"]
mod hostile;

/// The same bytes on an old processor and on a new one.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[path = "features/processors.rs"]
mod processors;

/// Components that no compiler makes: modules, descriptions, handles, pointers that lie.
#[path = "features/hostile_components.rs"]
mod hostile_components;

/// Runs whose algorithm fails: what was recorded stays, memory is bounded, and they can go on.
#[path = "features/hostile_runs.rs"]
mod hostile_runs;

/// What fuzzing found, again.
#[path = "features/fuzzed.rs"]
mod fuzzed;

/// Files of outputs, benchmarks, judges, and evaluation in runs.
#[path = "features/evaluation.rs"]
mod evaluation;
/// Generated programs in the interpreter: HumanEval's solutions, wrong ones, hostile ones.
#[path = "features/programs.rs"]
mod programs;

/// The plugin author's guide, followed to the letter.
#[path = "features/guide.rs"]
mod guide;

/// Writing, building, checking, testing and timing plugins; replacing one while it runs.
#[path = "features/authors.rs"]
mod authors;

/// Messages for the mistakes that people make.
#[path = "features/messages.rs"]
mod messages;

/// Whole runs on the real model: same bytes, whatever the threads; plugins from outside the tree.
#[path = "features/runs.rs"]
mod runs;

/// The README's map and its plugin are true.
#[path = "features/readme.rs"]
mod readme;
