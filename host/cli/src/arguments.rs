//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use folkmoot_engine::Overrides;

/// Federated fine-tuning of large language models; algorithms, partitioners and metrics are sandboxed
/// WASM plugins.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run an experiment
    Run(RunArguments),
    /// Resolve an experiment and print what would run, without training
    Check(ExperimentArguments),
    /// Run one round of an algorithm's server half on files made by any stack
    Aggregate(AggregateArguments),
    /// List, show and build plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// List the plugins that can be named
    List,
    /// Show what a plugin says of itself: settings, types, defaults, ranges, references
    Info {
        /// A name, or a path to a component
        plugin: String,
    },
    /// Build a plugin crate to a component
    Build {
        /// The crate's folder
        folder: PathBuf,
        /// Where to put NAME.wasm [default: the crate's folder]
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct AggregateArguments {
    /// A name, or a path to a component
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) algorithm: String,
    /// A setting of the algorithm
    #[arg(long = "algorithm-arg", value_name = "KEY=VALUE")]
    pub(crate) algorithm_args: Vec<String>,
    /// The global parameters that the updates started from: a safetensors file or an adapter's folder
    #[arg(long, value_name = "PATH")]
    pub(crate) global: PathBuf,
    /// A client's update, with what is known of it: examples, steps, lr, client, or a figure. Beside
    /// c0.safetensors, c0.NAME.safetensors holds tensors sent with it and c0.json its numbers
    #[arg(long = "update", value_name = "PATH[:KEY=NUMBER,...]", required = true)]
    pub(crate) updates: Vec<String>,
    /// What an update is: the client's parameters, or its change of the global ones
    #[arg(long, value_name = "KIND", default_value = "weights")]
    pub(crate) update_is: UpdateIs,
    /// Where the algorithm's state is kept between rounds
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The round, from 1
    #[arg(long, default_value_t = 1)]
    pub(crate) round: u32,
    /// Rounds in all [default: the present one]
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Clients of the federation [default: as many as updates]
    #[arg(long)]
    pub(crate) clients: Option<u32>,
    /// Where the algorithm's randomness comes from
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where the next global parameters go
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// Threads [default: all processors]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum UpdateIs {
    Weights,
    Delta,
}

#[derive(Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    /// The run folder [default: runs/NAME-N, the first N that is free]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out after its last checkpoint
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
}

#[derive(Args)]
pub(crate) struct ExperimentArguments {
    /// The experiment's TOML file
    pub(crate) experiment: PathBuf,
    /// Change a value of the experiment, e.g. --set training.lr=1e-4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Use another algorithm: a name, or a path to a component
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) algorithm: Option<String>,
    /// A setting of the algorithm
    #[arg(long = "algorithm-arg", value_name = "KEY=VALUE")]
    pub(crate) algorithm_args: Vec<String>,
    /// Use another partitioner
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) partitioner: Option<String>,
    /// A setting of the partitioner
    #[arg(long = "partitioner-arg", value_name = "KEY=VALUE")]
    pub(crate) partitioner_args: Vec<String>,
    /// Use these metrics instead
    #[arg(long = "metric", value_name = "NAME|PATH")]
    pub(crate) metrics: Vec<String>,
    /// A setting of a metric; METRIC. may be left out where there is one
    #[arg(long = "metric-arg", value_name = "[METRIC.]KEY=VALUE")]
    pub(crate) metric_args: Vec<String>,
    /// Where tensors live
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub(crate) device: Device,
    /// Threads [default: all]; the result does not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Device {
    Cpu,
}

impl ExperimentArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            set: self.set.clone(),
            algorithm: self.algorithm.clone(),
            algorithm_args: self.algorithm_args.clone(),
            partitioner: self.partitioner.clone(),
            partitioner_args: self.partitioner_args.clone(),
            metrics: self.metrics.clone(),
            metric_args: self.metric_args.clone(),
        }
    }
}
