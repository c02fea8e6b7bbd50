//! The trait of an algorithm in its second style.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::Result;

/// Coordinate-wise mathematics that no operation of [`crate::Params`] covers: a pure function of one
/// block. The host shards the coordinates over its cores and adds the result to the global parameters.
/// The struct is its settings. Reading a block costs a copy into the sandbox: where an operation exists,
/// an [`crate::Algorithm`] that uses it is two to three times as fast.
pub trait BlockKernel: DeserializeOwned + JsonSchema {
    /// Papers and other sources, as `Authors year, title, address`.
    const REFERENCES: &'static [&'static str] = &[];

    /// One slice per update in ascending client id, the same coordinates of each delta; and the clients'
    /// shares of the examples, which sum to 1. Answers the aggregated delta of these coordinates.
    fn reduce(&self, deltas: &[Vec<f32>], weights: &[f64]) -> Result<Vec<f32>>;
}

/// Makes `$plugin` the block kernel of this component.
#[macro_export]
macro_rules! export_block_kernel {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::BlockKernelExport<$plugin>;
            $crate::wasm::block_kernel::export_block_kernel_world!(Exported with_types_in $crate::wasm::block_kernel);
        };
        $crate::export_native!(BlockKernelExport, $plugin);
    };
}
