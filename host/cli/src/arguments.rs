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
    /// Ask benchmarks of a model and, if there is one, an adapter
    Eval(EvalArguments),
    /// Score a file of outputs that any stack made
    Score(ScoreArguments),
    /// List and show benchmarks
    #[command(subcommand)]
    Benchmark(BenchmarkCommand),
    /// Deal the rows of a data file out to clients, and show how unlike the clients are
    Partition(PartitionArguments),
    /// List data sets, show rows as the model gets them, find broken and repeated ones
    #[command(subcommand)]
    Data(DataCommand),
    /// Continue prompts with a model and, if there is one, an adapter
    Generate(GenerateArguments),
    /// What can be done with a model file
    #[command(subcommand)]
    Model(ModelCommand),
    /// Write, build, test, time, list and show plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// List the data sets of the catalogue
    List,
    /// Show what the catalogue says of a data set
    Info {
        /// Its name
        name: String,
    },
    /// Show a row as text with the trained part marked, and its tokens
    Preview(PreviewArguments),
    /// Read every row: count and show those that cannot be used
    Check(DataArguments),
    /// Find rows that occur more than once, exactly or nearly
    Duplicates(DuplicatesArguments),
}

/// Which data.
#[derive(Args, Clone)]
pub(crate) struct DataArguments {
    /// A name of the catalogue, hub:OWNER/NAME[@REVISION], a file or a folder; to `preview` also an experiment's
    /// TOML file, which then says everything
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

/// How it is read.
#[derive(Args, Clone)]
pub(crate) struct ReadingArguments {
    /// Of a folder or the hub: a glob over paths, of which the files are taken; may be given more than once
    #[arg(long, value_name = "GLOB")]
    pub(crate) files: Vec<String>,
    /// Of a folder or the hub: the split whose files are taken
    #[arg(long)]
    pub(crate) split: Option<String>,
    /// Another way of the catalogue's entry to make its columns
    #[arg(long)]
    pub(crate) variant: Option<String>,
    /// A column to make: NAME=COLUMN, or NAME={ expression = "..." }
    #[arg(long = "column", value_name = "NAME=FROM")]
    pub(crate) columns: Vec<String>,
    /// What a row is: instruction, chat, preference, classification, text [default: what its columns say]
    #[arg(long)]
    pub(crate) shape: Option<String>,
}

#[derive(Args)]
pub(crate) struct PreviewArguments {
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Rows to show, counted from 0; may be given more than once
    #[arg(long = "row", default_values_t = [0])]
    pub(crate) rows: Vec<usize>,
    /// Whose tokenizer: a name of the catalogue, hub:OWNER/NAME, a .gguf file or a folder
    /// [default: smollm2-135m-instruct]
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// plain, alpaca, vicuna, chatml, llama-2, llama-3, mistral, gemma, zephyr, model, or a minijinja file
    /// [default: the data set's, else the model's]
    #[arg(long)]
    pub(crate) template: Option<String>,
}

#[derive(Args)]
pub(crate) struct DuplicatesArguments {
    #[command(flatten)]
    pub(crate) data: DataArguments,
    /// Evaluation data, looked for in the first
    #[arg(long, value_name = "DATA")]
    pub(crate) against: Option<String>,
    /// Whose row is whose, as `folkmoot partition` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) shards: Option<PathBuf>,
    /// Words of a shingle
    #[arg(long, default_value_t = 5)]
    pub(crate) shingle: usize,
    /// Least Jaccard index of near duplicates
    #[arg(long, default_value_t = 0.8)]
    pub(crate) threshold: f64,
    /// Write the shards without duplicates: of each the first row stays
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct PartitionArguments {
    /// A name, or a path to a component
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) partitioner: String,
    /// A setting of the partitioner
    #[arg(long = "partitioner-arg", value_name = "KEY=VALUE")]
    pub(crate) partitioner_args: Vec<String>,
    /// A name of the catalogue, hub:OWNER/NAME[@REVISION], a file or a folder
    #[arg(long)]
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
    /// Number of clients; left out where the data or the settings say it
    #[arg(long)]
    pub(crate) clients: Option<u32>,
    /// Where randomness comes from
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where the rows of each client go, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Column that is counted in table and picture [default: the setting `column`]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Where the picture goes [default: beside --out, as .svg]
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Where the statistics go, as JSON [default: printed only]
    #[arg(long, value_name = "FILE")]
    pub(crate) statistics: Option<PathBuf>,
    /// Look for duplicates within and across clients however many rows there are
    #[arg(long)]
    pub(crate) duplicates: bool,
    #[command(flatten)]
    pub(crate) native: NativeArguments,
    /// Threads [default: all]; the result does not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Show what every plugin's calls cost: time, calls of the host, bytes, memory
    #[arg(long)]
    pub(crate) profile: bool,
}

#[derive(Args)]
pub(crate) struct ScoreArguments {
    /// A metric by name, by the name of one of its scores, or a path to a component; may be given more than once
    #[arg(long = "metric", value_name = "NAME|PATH", required = true)]
    pub(crate) metrics: Vec<String>,
    /// A setting of a metric; METRIC. may be left out where there is one
    #[arg(long = "metric-arg", value_name = "[METRIC.]KEY=VALUE")]
    pub(crate) metric_args: Vec<String>,
    /// Rows with `prediction` and `reference` (a text, or a list of texts): JSONL, JSON, CSV, TSV, Parquet, Arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: PathBuf,
    /// Where the scores go, as JSON [default: printed only]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Where the record of every row goes, as JSONL
    #[arg(long, value_name = "FILE")]
    pub(crate) records: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) helpers: HelperArguments,
    #[command(flatten)]
    pub(crate) native: NativeArguments,
    /// Threads [default: all]; the result does not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Show what every plugin's calls cost: time, calls of the host, bytes, memory
    #[arg(long)]
    pub(crate) profile: bool,
}

/// Which native libraries may run.
#[derive(Args, Clone)]
pub(crate) struct NativeArguments {
    /// Let this native plugin run, without a sandbox and with all your rights; may be given more than once
    #[arg(long, value_name = "PATH")]
    pub(crate) allow_native: Vec<PathBuf>,
}

/// Whom metrics may ask beside the model.
#[derive(Args)]
pub(crate) struct HelperArguments {
    /// Let metrics run generated programs, in a sandbox without files, network or clock
    #[arg(long)]
    pub(crate) execute: bool,
    /// An OpenAI-compatible endpoint that judges answers, e.g. https://api.openai.com/v1
    #[arg(long, value_name = "URL", requires = "judge_model")]
    pub(crate) judge: Option<String>,
    /// The judge's name there
    #[arg(long, value_name = "NAME", requires = "judge")]
    pub(crate) judge_model: Option<String>,
    /// A setting of the judge's endpoint: key_env, requests_per_minute, parallel, retries, timeout, extra.seed, ...
    #[arg(long = "judge-set", value_name = "KEY=VALUE", requires = "judge")]
    pub(crate) judge_set: Vec<String>,
}

#[derive(Args)]
pub(crate) struct EvalArguments {
    /// A benchmark by name, NAME:VARIANT, or a TOML file; may be given more than once
    #[arg(
        long = "benchmark",
        value_name = "NAME[:VARIANT]|FILE",
        required_unless_present = "suite"
    )]
    pub(crate) benchmarks: Vec<String>,
    /// All benchmarks of a suite
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) suite: Option<String>,
    /// A name of the catalogue, hub:OWNER/NAME, a .gguf file or a folder
    #[arg(long, required_unless_present = "endpoint")]
    pub(crate) model: Option<String>,
    /// A folder that folkmoot or PEFT wrote
    #[arg(long, value_name = "DIR", conflicts_with = "endpoint")]
    pub(crate) adapter: Option<PathBuf>,
    /// Ask a model behind an OpenAI-compatible endpoint instead
    #[arg(
        long,
        value_name = "URL",
        requires = "endpoint_model",
        conflicts_with = "model"
    )]
    pub(crate) endpoint: Option<String>,
    /// The model's name there
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) endpoint_model: Option<String>,
    /// A setting of the endpoint: api, key_env, requests_per_minute, parallel, retries, timeout, extra.seed, ...
    #[arg(long = "endpoint-set", value_name = "KEY=VALUE", requires = "endpoint")]
    pub(crate) endpoint_set: Vec<String>,
    /// What goes around prompts of benchmarks that are asked as a chat: plain, alpaca, vicuna, chatml, llama-2, llama-3,
    /// mistral, gemma, zephyr, model (its own), or a minijinja file
    #[arg(long, default_value = "model", conflicts_with = "endpoint")]
    pub(crate) template: String,
    /// Ask at most so many rows of each benchmark, drawn in proportion from its groups
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// Where randomness comes from: of --limit, and of answers that are drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// A folder for results.json and the record of every question, as JSONL
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) helpers: HelperArguments,
    /// Hold the weights in this form: q8_0, q4_k, nf4, none
    #[arg(long, conflicts_with = "endpoint")]
    pub(crate) quantize: Option<String>,
    /// Compute in f32 or bf16
    #[arg(long, default_value = "f32", conflicts_with = "endpoint")]
    pub(crate) compute: String,
    /// Where the model runs: cpu, cuda, or cuda:N
    #[arg(long, default_value = "cpu", conflicts_with = "endpoint")]
    pub(crate) device: String,
    /// Questions that go through the model at once, as far as their tokens allow it; scores may differ by the rounding
    /// of sums
    #[arg(long, default_value_t = 64, conflicts_with = "endpoint")]
    pub(crate) batch: usize,
    #[command(flatten)]
    pub(crate) native: NativeArguments,
    /// Threads [default: all]; the result does not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Show what every plugin's calls cost: time, calls of the host, bytes, memory
    #[arg(long)]
    pub(crate) profile: bool,
}

#[derive(Subcommand)]
pub(crate) enum BenchmarkCommand {
    /// List benchmarks and suites
    List,
    /// Show what a benchmark is made of, and its first question as the model gets it
    Info {
        /// A name, NAME:VARIANT, or a TOML file
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// List the plugins that can be named
    List,
    /// Show what a plugin says of itself: settings, types, defaults, ranges, references
    Info {
        /// A name, or a path to a component
        plugin: String,
        #[command(flatten)]
        native: NativeArguments,
    },
    /// Write a folder with a plugin that builds and passes its tests, for you to change
    New(NewArguments),
    /// Build a plugin's folder to a component, or to a native library; print its size and what it imports
    Build {
        /// The plugin's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where to put NAME.wasm [default: the plugin's folder]
        #[arg(long)]
        out: Option<PathBuf>,
        /// Build NAME.so (or .dylib, .dll) for this machine instead, which runs without a sandbox
        #[arg(long)]
        native: bool,
    },
    /// Load a plugin and ask it the same twice: contract, settings, determinism
    Check(TrialArguments),
    /// Run a plugin's own tests, then what the host asks of every plugin
    Test(TrialArguments),
    /// Time a plugin's calls beside those of FedAvg, iid or exact-match
    Bench(BenchArguments),
    /// Put the SDK of this program into a plugin's folder, in place of the one that is there
    Update {
        /// The plugin's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct NewArguments {
    /// Its name: lower-case words joined by hyphens
    pub(crate) name: String,
    /// What it is
    #[arg(long, value_enum)]
    pub(crate) kind: NewKind,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = NewLanguage::Rust)]
    pub(crate) lang: NewLanguage,
    /// Where to write it [default: a folder of its name]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum NewKind {
    /// Combines the updates of a round, on handles
    Algorithm,
    /// An algorithm in its second style: a pure function of a block of coordinates
    BlockKernel,
    /// Splits a data set over simulated clients
    Partitioner,
    /// Asks the model and scores its answers
    Metric,
}

impl std::fmt::Display for NewKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "algorithm",
            Self::BlockKernel => "block kernel",
            Self::Partitioner => "partitioner",
            Self::Metric => "metric",
        })
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum NewLanguage {
    Rust,
    Python,
}

#[derive(Args)]
pub(crate) struct TrialArguments {
    /// A plugin's folder, which is built, a path to a component, or a name
    #[arg(default_value = ".")]
    pub(crate) plugin: String,
    /// A setting of the plugin
    #[arg(long = "arg", value_name = "KEY=VALUE")]
    pub(crate) args: Vec<String>,
    /// To a metric: rows to ask it about, as JSON lines [default: made-up ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) examples: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) native: NativeArguments,
}

#[derive(Args)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    pub(crate) trial: TrialArguments,
    /// Passes, of which the medians are shown
    #[arg(long, default_value_t = 11)]
    pub(crate) rounds: u32,
    /// Of an algorithm: scalars of each update
    #[arg(long, default_value_t = 4_200_000)]
    pub(crate) scalars: usize,
    /// Of an algorithm: updates
    #[arg(long, default_value_t = 10)]
    pub(crate) clients: u32,
    /// Of a partitioner: rows
    #[arg(long, default_value_t = 100_000)]
    pub(crate) rows: u32,
    /// Of a metric: examples
    #[arg(long = "count", default_value_t = 200)]
    pub(crate) examples_count: u64,
    /// Threads [default: all]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(Subcommand)]
pub(crate) enum ModelCommand {
    /// Merge an adapter into its base: a folder in Hugging Face's layout
    Merge(MergeArguments),
}

#[derive(Args)]
pub(crate) struct MergeArguments {
    /// A name of the catalogue, hub:OWNER/NAME, a .gguf file or a folder
    #[arg(long)]
    pub(crate) model: String,
    /// A folder that folkmoot or PEFT wrote; without it the base is converted
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Where the model goes: a folder that is not there yet, or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What its weights are stored as
    #[arg(long, value_enum, default_value_t = StoredAs::F32)]
    pub(crate) dtype: StoredAs,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum StoredAs {
    F32,
    Bf16,
    F16,
}

#[derive(Args)]
pub(crate) struct GenerateArguments {
    /// A name of the catalogue, hub:OWNER/NAME, a .gguf file or a folder
    #[arg(long)]
    pub(crate) model: String,
    /// A folder that folkmoot or PEFT wrote
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// What to answer; may be given more than once
    #[arg(
        long = "prompt",
        value_name = "TEXT",
        required_unless_present = "prompts"
    )]
    pub(crate) prompt: Vec<String>,
    /// A file with a prompt in each line
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,
    /// How a prompt becomes text: plain, alpaca, vicuna, chatml, llama-2, llama-3, mistral, gemma, zephyr, model (its
    /// own), a minijinja file, or raw (as it is)
    #[arg(long, default_value = "model")]
    pub(crate) template: String,
    /// Tokens of an answer at most
    #[arg(long, default_value_t = 128)]
    pub(crate) max_tokens: usize,
    /// 0: always the likeliest token
    #[arg(long, default_value_t = 0.0)]
    pub(crate) temperature: f64,
    /// Draw from the fewest tokens that make up this probability
    #[arg(long)]
    pub(crate) top_p: Option<f64>,
    /// Draw from so many of the likeliest tokens
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Divides the logits of tokens that are there already
    #[arg(long, default_value_t = 1.0)]
    pub(crate) repetition_penalty: f32,
    /// A text that ends an answer; may be given more than once
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Where randomness comes from
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Hold the weights in this form: q8_0, q4_k, nf4, none
    #[arg(long)]
    pub(crate) quantize: Option<String>,
    /// Compute in f32 or bf16
    #[arg(long, default_value = "f32")]
    pub(crate) compute: String,
    /// Where the model runs: cpu, cuda, or cuda:N
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Prompts that go through the model at once
    #[arg(long, default_value_t = 8)]
    pub(crate) batch: usize,
    /// Threads [default: all]; the result does not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
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
    #[command(flatten)]
    pub(crate) native: NativeArguments,
    /// Threads [default: all processors]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Show what every plugin's calls cost: time, calls of the host, bytes, memory
    #[arg(long)]
    pub(crate) profile: bool,
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
    /// With --resume: go on with another algorithm than before, a mended plugin or other settings; the record says
    /// from which round on
    #[arg(long, requires = "resume")]
    pub(crate) renew_algorithm: bool,
    /// A plugin's folder: it is built and used as the algorithm, and whenever its source changes it is built
    /// again and takes over with the next round
    #[arg(long, value_name = "DIR", conflicts_with = "algorithm")]
    pub(crate) watch: Option<PathBuf>,
    /// Show what every plugin's calls cost: time, calls of the host, bytes, memory
    #[arg(long)]
    pub(crate) profile: bool,
}

#[derive(Args, Clone)]
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
    /// Hold the base in this form: q8_0, q4_k, nf4, none
    #[arg(long, value_name = "FORM")]
    pub(crate) quantize: Option<String>,
    /// Where training runs: cpu, cuda, or cuda:N
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    #[command(flatten)]
    pub(crate) native: NativeArguments,
    /// Threads [default: all]; the result does not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

impl ExperimentArguments {
    pub(crate) fn overrides(&self) -> Overrides {
        let quantize = self
            .quantize
            .iter()
            .map(|form| format!("model.quantize=\"{form}\""));
        Overrides {
            set: self.set.iter().cloned().chain(quantize).collect(),
            algorithm: self.algorithm.clone(),
            algorithm_args: self.algorithm_args.clone(),
            partitioner: self.partitioner.clone(),
            partitioner_args: self.partitioner_args.clone(),
            metrics: self.metrics.clone(),
            metric_args: self.metric_args.clone(),
        }
    }
}
