//! What `describe` answers, by kind: the traits that each has.

use serde_json::json;

use super::describe;
use crate::{Algorithm, BlockKernel, Metric, Partitioner};

/// What `describe` of an algorithm answers.
pub(crate) fn algorithm<T: Algorithm>() -> String {
    describe::<T>(T::REFERENCES, &json!({ "linear": T::LINEAR })).to_string()
}

/// What `describe` of a block kernel answers.
pub(crate) fn block_kernel<T: BlockKernel>() -> String {
    describe::<T>(T::REFERENCES, &json!({ "linear": false })).to_string()
}

/// What `describe` of a partitioner answers.
pub(crate) fn partitioner<T: Partitioner>() -> String {
    let traits = json!({ "clients_from_data": T::CLIENTS_FROM_DATA });
    describe::<T>(T::REFERENCES, &traits).to_string()
}

/// What `describe` of a metric answers.
pub(crate) fn metric<T: Metric>() -> String {
    let traits = json!({ "scores": T::SCORES, "asks": T::ASKS });
    describe::<T>(T::REFERENCES, &traits).to_string()
}
