//! The benchmarks and suites of this program, by name. What they say is in their files.

macro_rules! embedded {
    ($folder:literal: $($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../benchmarks/", $folder, $name, ".toml")))),*]
    };
}

pub(super) const BENCHMARKS: &[(&str, &str)] = embedded![
    "":
    "advbench",
    "bbh",
    "careqa",
    "conala",
    "concode",
    "crass",
    "drop",
    "ds-1000",
    "fiqa-sa",
    "fpb",
    "gsm8k",
    "harmbench",
    "hhh",
    "humaneval",
    "humanevalfix",
    "humanevalsynthesize",
    "math",
    "mbpp",
    "medmcqa",
    "medqa",
    "mmlu",
    "mmlu-medical",
    "mt-bench",
    "nwgi",
    "pubmedqa",
    "tfns",
    "vicuna-bench",
];

pub(super) const SUITES: &[(&str, &str)] = embedded![
    "suites/":
    "flowertune-code",
    "flowertune-finance",
    "flowertune-general-nlp",
    "flowertune-medical",
    "openfedllm",
    "openfedllm-legacy",
];
