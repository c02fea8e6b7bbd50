//! The trait of a partitioner.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Dataset, Result};

/// Splits a data set over simulated clients. The struct is its settings.
///
/// ```
/// use folkmoot_sdk::native::dataset;
/// use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Equal shards of shuffled rows, a part of each left out.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Thinned {
///     /// Share of its rows that a client holds.
///     #[schemars(range(min = 0.1, max = 1.0))]
///     share: f64,
/// }
/// export_partitioner!(Thinned);
///
/// impl Partitioner for Thinned {
///     fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
///         let rows = data.rows(true);
///         let mut shards = split::cut(&rows, &split::even(rows.len(), clients as usize));
///         for shard in &mut shards {
///             shard.truncate((shard.len() as f64 * self.share).ceil() as usize);
///         }
///         Ok(shards)
///     }
/// }
///
/// let data = dataset(&[("text", &["a", "b", "c", "d", "e", "f", "g", "h"])], 7);
/// let shards = Thinned { share: 0.5 }.partition(&data, 2)?;
/// assert_eq!(shards.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
/// # Ok::<(), String>(())
/// ```
pub trait Partitioner: DeserializeOwned + JsonSchema {
    /// Papers and other sources.
    const REFERENCES: &'static [&'static str] = &[];
    /// The number of clients comes from the data or the settings. The host then allows leaving it out,
    /// and passes `clients = 0` where it is.
    const CLIENTS_FROM_DATA: bool = false;

    /// For each client the examples it holds, as row numbers. `clients` is never 0 unless
    /// `CLIENTS_FROM_DATA`.
    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>>;
}

impl Dataset {
    /// A generator seeded from the experiment and this plugin: the same in every run.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.random())
    }
}

/// Makes `$plugin` the partitioner of this component.
#[macro_export]
macro_rules! export_partitioner {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::PartitionerExport<$plugin>;
            $crate::wasm::partitioner::export_partitioner_world!(Exported with_types_in $crate::wasm::partitioner);
        };
        $crate::export_native!(PartitionerExport, $plugin);
    };
}
