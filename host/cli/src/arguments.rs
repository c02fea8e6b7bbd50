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
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    /// The run folder [default: runs/NAME-N, the first N that is free]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
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
