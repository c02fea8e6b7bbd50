//! What a run needs to go on: the global parameters, the algorithm's states, and what the server knows of
//! its clients, as of the end of a round.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use folkmoot_federation::write_whole;
use folkmoot_params::Params;
use folkmoot_plugin::State;
use serde::{Deserialize, Serialize};

use crate::clients::Home;
use crate::parcel::{open_state, pack_state};
use crate::watch::Watch;

/// The end of a round.
pub(crate) struct Checkpoint {
    pub(crate) round: u32,
    pub(crate) global: Params,
    pub(crate) server: State,
    pub(crate) homes: BTreeMap<u32, Home>,
    pub(crate) roster: Vec<Seen>,
    pub(crate) watch: Watch,
}

/// What the server knows of a client.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The round in which it last took part.
    pub(crate) last: Option<u32>,
    /// What it reported then.
    pub(crate) figures: BTreeMap<String, f64>,
}

/// Written last: without it a checkpoint does not count.
const ROSTER: &str = "roster.json";

/// What was made of evaluations.
const WATCH: &str = "watch.json";

impl Checkpoint {
    /// Writes it under `folder`, and removes those before it.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let own = folder.join(name(self.round));
        let at = || format!("checkpoint `{}`", own.display());
        if own.exists() {
            fs::remove_dir_all(&own).with_context(at)?;
        }
        fs::create_dir_all(&own).with_context(at)?;
        write_whole(
            &own.join("global.safetensors"),
            &self.global.to_safetensors()?,
        )?;
        write_whole(&own.join("server.parcel"), &pack_state(&self.server)?)?;
        for (client, home) in &self.homes {
            let state = &home.state;
            if !(state.params.is_empty() && state.bytes.is_empty()) {
                write_whole(
                    &own.join(format!("client-{client}.parcel")),
                    &pack_state(state)?,
                )?;
            }
            if let Some(kept) = &home.kept {
                let file = own.join(format!("client-{client}.kept.safetensors"));
                write_whole(&file, &kept.to_safetensors()?)?;
            }
        }
        write_whole(&own.join(WATCH), &serde_json::to_vec_pretty(&self.watch)?)?;
        write_whole(&own.join(ROSTER), &serde_json::to_vec_pretty(&self.roster)?)?;
        for (round, _) in rounds(folder)?
            .into_iter()
            .filter(|(round, _)| *round < self.round)
        {
            let before = folder.join(name(round));
            // What was loaded from it stays mapped.
            fs::remove_dir_all(&before)
                .with_context(|| format!("removing `{}`", before.display()))?;
        }
        Ok(())
    }

    /// The latest whole checkpoint under `folder`, if there is one.
    pub(crate) fn latest(folder: &Path) -> Result<Option<Self>> {
        let whole = rounds(folder)?.into_iter().filter(|(_, whole)| *whole);
        let Some((round, _)) = whole.max_by_key(|(round, _)| *round) else {
            return Ok(None);
        };
        let own = folder.join(name(round));
        Self::load(&own, round)
            .with_context(|| format!("checkpoint `{}`", own.display()))
            .map(Some)
    }

    fn load(own: &Path, round: u32) -> Result<Self> {
        let roster: Vec<Seen> = serde_json::from_slice(&fs::read(own.join(ROSTER))?)?;
        let mut homes = BTreeMap::new();
        for client in 0..roster.len() as u32 {
            let state = own.join(format!("client-{client}.parcel"));
            let kept = own.join(format!("client-{client}.kept.safetensors"));
            let home = Home {
                state: match state.is_file() {
                    true => open_state(&state)?,
                    false => State::default(),
                },
                kept: match kept.is_file() {
                    true => Some(Params::open(&kept)?),
                    false => None,
                },
            };
            homes.insert(client, home);
        }
        Ok(Self {
            round,
            global: Params::open(&own.join("global.safetensors"))?,
            server: open_state(&own.join("server.parcel"))?,
            homes,
            roster,
            watch: serde_json::from_slice(&fs::read(own.join(WATCH))?)?,
        })
    }

    /// Refuses a checkpoint of another federation.
    pub(crate) fn check(&self, initial: &Params, clients: usize) -> Result<()> {
        initial
            .check_same_structure(&self.global)
            .context("global parameters of the checkpoint")?;
        ensure!(
            self.roster.len() == clients,
            "the checkpoint knows {} clients, the experiment has {clients}",
            self.roster.len()
        );
        Ok(())
    }
}

fn name(round: u32) -> String {
    format!("round-{round:04}")
}

/// Checkpoints under `folder`, and whether each is whole.
fn rounds(folder: &Path) -> Result<Vec<(u32, bool)>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries =
        fs::read_dir(folder).with_context(|| format!("reading `{}`", folder.display()))?;
    let mut rounds = Vec::new();
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(round) = file
            .strip_prefix("round-")
            .and_then(|digits| digits.parse().ok())
        {
            rounds.push((round, entry.path().join(ROSTER).is_file()));
        }
    }
    Ok(rounds)
}
