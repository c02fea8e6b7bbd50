//! The one place where the host binds the contract.

#![allow(
    clippy::all,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]

/// The version of the contract that this host speaks.
pub(crate) const CONTRACT: &str = "0.1.0";

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "host",
    imports: { default: trappable },
    with: {
        "folkmoot:plugin/params.params": folkmoot_params::Params,
        "folkmoot:plugin/params.writer": crate::host::params::Writing,
        "folkmoot:plugin/run.round": crate::host::run::Drawing,
        "folkmoot:plugin/run.client": crate::host::run::Client,
        "folkmoot:plugin/run.message": crate::host::quota::Letter,
        "folkmoot:plugin/run.state": crate::host::run::State,
        "folkmoot:plugin/run.update": crate::host::run::Answered,
        "folkmoot:plugin/run.updates": crate::host::run::Cohort,
        "folkmoot:plugin/run.objective": crate::host::run::Stated,
        "folkmoot:plugin/run.training": crate::host::run::Training,
        "folkmoot:plugin/data.dataset": crate::host::data::Drawable,
        "folkmoot:plugin/evaluation.questions": crate::host::evaluation::Asked,
        "folkmoot:plugin/evaluation.answers": crate::host::evaluation::Answers,
        "folkmoot:plugin/evaluation.observations": crate::host::evaluation::Observed,
        "folkmoot:plugin/evaluation.scores": crate::host::evaluation::Scored,
    },
});
