//! The trait of an algorithm in its second style.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::Result;

/// Coordinate-wise mathematics that no operation of [`crate::Params`] covers: a pure function of one
/// block. The host shards the coordinates over its cores and adds the result to the global parameters.
/// The struct is its settings. Reading a block costs a copy into the sandbox: where an operation exists,
/// an [`crate::Algorithm`] that uses it is two to three times as fast.
///
/// ```
/// use folkmoot_sdk::{BlockKernel, Result, export_block_kernel};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Where the signs of the updates agree, their mean; elsewhere nothing.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Unanimous {}
/// export_block_kernel!(Unanimous);
///
/// impl BlockKernel for Unanimous {
///     fn reduce(&self, deltas: &[Vec<f32>], weights: &[f64]) -> Result<Vec<f32>> {
///         let coordinate = |index: usize| {
///             let values = || deltas.iter().map(|delta| delta[index]);
///             let agreed = values().all(|value| value > 0.0) || values().all(|value| value < 0.0);
///             let mean: f64 = values().zip(weights).map(|(value, p)| f64::from(value) * p).sum();
///             if agreed { mean as f32 } else { 0.0 }
///         };
///         Ok((0..deltas.first().map_or(0, Vec::len)).map(coordinate).collect())
///     }
/// }
///
/// let reduced = Unanimous {}.reduce(&[vec![1.0, -1.0], vec![3.0, 1.0]], &[0.5, 0.5]);
/// assert_eq!(reduced, Ok(vec![2.0, 0.0]));
/// ```
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
