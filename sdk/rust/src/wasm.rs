//! The one place where the contract is bound for WASM. Wrappers forward, and only forward.

#![allow(
    missing_docs,
    reason = "generated; the public face is documented in wit/"
)]
#![allow(unreachable_pub, reason = "the export macros of other crates reach in")]

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::describe::kinds;
use crate::{Algorithm, BlockKernel, Example, Metric, Partitioner, Result};

#[allow(clippy::all, unsafe_code, unused_qualifications, reason = "generated")]
pub mod sdk {
    wit_bindgen::generate!({ path: "../../wit", world: "sdk" });
}

#[allow(clippy::all, unsafe_code, unused_qualifications, reason = "generated")]
pub mod algorithm {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "algorithm-plugin",
        pub_export_macro: true,
        export_macro_name: "export_algorithm_world",
        default_bindings_module: "folkmoot_sdk::wasm::algorithm",
        with: {
            "folkmoot:plugin/params@0.1.0": crate::wasm::sdk::folkmoot::plugin::params,
            "folkmoot:plugin/run@0.1.0": crate::wasm::sdk::folkmoot::plugin::run,
        },
    });
}

#[allow(clippy::all, unsafe_code, unused_qualifications, reason = "generated")]
pub mod block_kernel {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "block-kernel-plugin",
        pub_export_macro: true,
        export_macro_name: "export_block_kernel_world",
        default_bindings_module: "folkmoot_sdk::wasm::block_kernel",
        with: {
            "folkmoot:plugin/params@0.1.0": crate::wasm::sdk::folkmoot::plugin::params,
            "folkmoot:plugin/run@0.1.0": crate::wasm::sdk::folkmoot::plugin::run,
        },
    });
}

#[allow(clippy::all, unsafe_code, unused_qualifications, reason = "generated")]
pub mod partitioner {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "partitioner-plugin",
        pub_export_macro: true,
        export_macro_name: "export_partitioner_world",
        default_bindings_module: "folkmoot_sdk::wasm::partitioner",
        with: {
            "folkmoot:plugin/params@0.1.0": crate::wasm::sdk::folkmoot::plugin::params,
            "folkmoot:plugin/run@0.1.0": crate::wasm::sdk::folkmoot::plugin::run,
            "folkmoot:plugin/data@0.1.0": crate::wasm::sdk::folkmoot::plugin::data,
        },
    });
}

#[allow(clippy::all, unsafe_code, unused_qualifications, reason = "generated")]
pub mod metric {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "metric-plugin",
        pub_export_macro: true,
        export_macro_name: "export_metric_world",
        default_bindings_module: "folkmoot_sdk::wasm::metric",
        with: {
            "folkmoot:plugin/params@0.1.0": crate::wasm::sdk::folkmoot::plugin::params,
            "folkmoot:plugin/run@0.1.0": crate::wasm::sdk::folkmoot::plugin::run,
            "folkmoot:plugin/evaluation@0.1.0": crate::wasm::sdk::folkmoot::plugin::evaluation,
        },
    });
}

pub struct AlgorithmExport<T>(PhantomData<T>);
pub struct BlockKernelExport<T>(PhantomData<T>);
pub struct PartitionerExport<T>(PhantomData<T>);
pub struct MetricExport<T>(PhantomData<T>);

/// The plugin, made of its settings; also sees to it that a panic's message reaches the host.
fn plugin<T: DeserializeOwned>(settings: &str) -> Result<T> {
    std::panic::set_hook(Box::new(|info| crate::log("error", &info.to_string())));
    serde_json::from_str(settings).map_err(|error| format!("settings: {error}"))
}

use algorithm::exports::folkmoot::plugin::algorithm as algorithm_wit;
use block_kernel::exports::folkmoot::plugin::block_kernel as block_kernel_wit;
use metric::exports::folkmoot::plugin::metric as metric_wit;
use partitioner::exports::folkmoot::plugin::partitioner as partitioner_wit;
use sdk::folkmoot::plugin::{data, evaluation, params, run};

impl<T: Algorithm> algorithm_wit::Guest for AlgorithmExport<T> {
    fn describe() -> String {
        kinds::algorithm::<T>()
    }

    fn start(settings: String, global: &params::Params, state: &run::State) -> Result<()> {
        plugin::<T>(&settings)?.start(global, state)
    }

    fn sample(
        settings: String,
        round: &run::Round,
        clients: Vec<run::Client>,
        count: u32,
        state: &run::State,
    ) -> Result<Option<Vec<u32>>> {
        plugin::<T>(&settings)?.sample(round, &clients, count, state)
    }

    fn configure(
        settings: String,
        round: &run::Round,
        client: &run::Client,
        state: &run::State,
        to: &run::Message,
    ) -> Result<()> {
        plugin::<T>(&settings)?.configure(round, client, state, to)
    }

    fn begin(
        settings: String,
        round: &run::Round,
        global: &params::Params,
        received: &run::Message,
        state: &run::State,
        objective: &run::Objective,
    ) -> Result<()> {
        plugin::<T>(&settings)?.begin(round, global, received, state, objective)
    }

    fn finish(
        settings: String,
        round: &run::Round,
        training: &run::Training,
        received: &run::Message,
        state: &run::State,
        to: &run::Message,
    ) -> Result<()> {
        plugin::<T>(&settings)?.finish(round, training, received, state, to)
    }

    fn aggregate(
        settings: String,
        round: &run::Round,
        global: &params::Params,
        updates: &run::Updates,
        state: &run::State,
    ) -> Result<params::Params> {
        plugin::<T>(&settings)?.aggregate(round, global, updates, state)
    }
}

impl<T: BlockKernel> block_kernel_wit::Guest for BlockKernelExport<T> {
    fn describe() -> String {
        kinds::block_kernel::<T>()
    }

    fn reduce(settings: String, deltas: Vec<Vec<f32>>, weights: Vec<f64>) -> Result<Vec<f32>> {
        plugin::<T>(&settings)?.reduce(&deltas, &weights)
    }
}

impl<T: Partitioner> partitioner_wit::Guest for PartitionerExport<T> {
    fn describe() -> String {
        kinds::partitioner::<T>()
    }

    fn partition(settings: String, data: &data::Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        plugin::<T>(&settings)?.partition(data, clients)
    }
}

impl<T: Metric> metric_wit::Guest for MetricExport<T> {
    fn describe() -> String {
        kinds::metric::<T>()
    }

    fn ask(
        settings: String,
        example: String,
        so_far: &evaluation::Answers,
        questions: &evaluation::Questions,
    ) -> Result<()> {
        plugin::<T>(&settings)?.ask(&Example::from_json(&example)?, so_far, questions)
    }

    fn observe(
        settings: String,
        example: String,
        answers: &evaluation::Answers,
        observations: &evaluation::Observations,
    ) -> Result<()> {
        plugin::<T>(&settings)?.observe(&Example::from_json(&example)?, answers, observations)
    }

    fn summarize(
        settings: String,
        observations: &evaluation::Observations,
        scores: &evaluation::Scores,
    ) -> Result<()> {
        plugin::<T>(&settings)?.summarize(observations, scores)
    }
}
