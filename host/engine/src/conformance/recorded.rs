//! Updates of a real fine-tune, so that a plugin sees what training makes: few large tensors of small values,
//! matrices of zeros in the first round, clients that differ.
//!
//! One round of SmolLM2-135M-Instruct on the quickstart's data: four of its clients, LoRA of rank 4, of which
//! the first two layers are kept, as f16.

use folkmoot_params::Params;
use folkmoot_plugin::{Failure, PluginError};

static GLOBAL: &[u8] = include_bytes!("recorded/global.safetensors");
static UPDATES: [&[u8]; 4] = [
    include_bytes!("recorded/update-0.safetensors"),
    include_bytes!("recorded/update-1.safetensors"),
    include_bytes!("recorded/update-2.safetensors"),
    include_bytes!("recorded/update-3.safetensors"),
];

/// The global parameters before the round, and what clients changed.
pub(super) fn updates() -> Result<(Params, Vec<Params>), PluginError> {
    let read = |bytes: &[u8]| {
        Params::from_safetensors(bytes).map_err(|error| PluginError::Call {
            plugin: "trial".into(),
            call: "set-up",
            failure: Failure::Trapped {
                cause: format!("recorded updates: {error}"),
            },
        })
    };
    let updates: Result<Vec<Params>, PluginError> = UPDATES.map(read).into_iter().collect();
    Ok((read(GLOBAL)?, updates?))
}
