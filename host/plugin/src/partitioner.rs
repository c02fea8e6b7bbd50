//! A partitioner with its settings.

use std::sync::Arc;

use folkmoot_params::Seed;
use serde_json::Value;

use crate::bindings::exports::folkmoot::plugin::partitioner::Guest;
use crate::call::called_fallibly;
use crate::host::data::Drawable;
use crate::native::abi::Hook;
use crate::session::lent;
use crate::settings::check_settings;
use crate::{Failure, Kind, Plugin, PluginError, View};

/// A partitioner, ready to be asked.
pub struct Partitioner {
    plugin: Plugin,
    settings: String,
    given: Value,
}

impl Partitioner {
    /// `plugin` with `settings`, which are checked against its schema.
    pub fn new(plugin: Plugin, settings: &Value) -> Result<Self, PluginError> {
        let plugin = plugin.expect(Kind::Partitioner)?;
        check_settings(&plugin, settings)?;
        Ok(Self {
            plugin,
            settings: settings.to_string(),
            given: settings.clone(),
        })
    }

    /// The plugin behind it.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// The settings that were given.
    pub fn settings(&self) -> &Value {
        &self.given
    }

    /// Whether the number of clients comes from the data or the settings, and may be left out.
    pub fn clients_from_data(&self) -> bool {
        let said = self.plugin.description.traits.get("clients_from_data");
        said.and_then(Value::as_bool).unwrap_or(false)
    }

    /// The rows of each client: as many shards as clients (0: as many as the plugin says), every row at most once,
    /// no shard empty.
    pub fn partition(
        &self,
        data: Arc<dyn View>,
        clients: u32,
        seed: Seed,
    ) -> Result<Vec<Vec<u32>>, PluginError> {
        let rows = data.examples();
        if clients == 0 && !self.clients_from_data() {
            return Err(self.plugin.failed(
                "partition",
                Failure::Refused {
                    message: "it needs a number of clients".into(),
                },
            ));
        }
        if clients > rows {
            let message = format!("{clients} clients for {rows} rows");
            return Err(self
                .plugin
                .failed("partition", Failure::Refused { message }));
        }
        let seed = seed.derive(&format!("{}/partition", self.plugin.name), 0);
        let settings = self.settings.as_str();
        let done = called_fallibly(&self.plugin, "partition", seed, |session| {
            let guest = session.exports::<Guest>()?;
            let data = session.host().table.push(Drawable::new(data, seed))?;
            let given = vec![settings.into(), (&data).into(), clients.into()];
            session.host().copied_in(settings);
            let shards = session.call(&guest, Hook::Partition, given, |guest, store| {
                guest.call_partition(store, settings, lent(&data), clients)
            })?;
            session.host().copied_out(&shards);
            Ok(shards)
        })?;
        let bad = |cause| self.plugin.bad_output("partition", cause);
        check_shards(&done.answer, clients, rows).map_err(bad)?;
        Ok(done.answer)
    }
}

fn check_shards(shards: &[Vec<u32>], clients: u32, rows: u32) -> Result<(), String> {
    if clients == 0 && shards.is_empty() {
        return Err("no client".into());
    }
    if clients > 0 && shards.len() != clients as usize {
        return Err(format!("{} shards for {clients} clients", shards.len()));
    }
    let mut owner = vec![None; rows as usize];
    for (client, shard) in shards.iter().enumerate() {
        if shard.is_empty() {
            return Err(format!(
                "client {client} holds no example\n\nhint: fewer clients, or settings that skew less"
            ));
        }
        for &row in shard {
            match owner.get_mut(row as usize) {
                None => return Err(format!("client {client} holds row {row} of {rows}")),
                Some(Some(other)) => {
                    return Err(format!(
                        "row {row} is held by client {other} and by client {client}"
                    ));
                }
                Some(free) => *free = Some(client),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_shards;

    #[test]
    fn shards_that_make_no_sense_are_refused() {
        let check = |shards: &[&[u32]], expected: &str| {
            let shards: Vec<Vec<u32>> = shards.iter().map(|shard| shard.to_vec()).collect();
            let found = check_shards(&shards, 2, 3).err().unwrap_or_default();
            assert!(
                found.starts_with(expected) && found.is_empty() == expected.is_empty(),
                "{found}"
            );
        };
        check(&[&[0, 2], &[1]], "");
        let three = vec![vec![0], vec![1], vec![2]];
        assert!(check_shards(&three, 0, 3).is_ok() && check_shards(&[], 0, 3).is_err());
        check(&[&[0, 1, 2]], "1 shards for 2 clients");
        check(&[&[0, 1], &[]], "client 1 holds no example");
        check(&[&[0], &[3]], "client 1 holds row 3 of 3");
        check(
            &[&[0, 1], &[2, 1]],
            "row 1 is held by client 0 and by client 1",
        );
    }
}
