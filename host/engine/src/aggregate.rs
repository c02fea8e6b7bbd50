//! One round of an algorithm's server half on files, made by any stack.
//!
//! Beside an update `c0.safetensors` (or the folder `c0` of a PEFT adapter) lie its extras: tensors that
//! the client half sends in `c0.NAME.safetensors`, numbers in `c0.json` (`examples`, `steps`, `lr`,
//! `figures`, `scalars`). The state is a folder of such files, so that what the server half sends (SCAFFOLD's
//! control, say) can be read by the clients' stack.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_federation::write_whole;
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{Algorithm, Client, Message, Round, State, Update};
use serde::{Deserialize, Serialize};

use crate::updates::check_finite;

/// What is to be aggregated.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// A safetensors file or the folder of a PEFT adapter.
    pub global: PathBuf,
    pub updates: Vec<UpdateFile>,
    /// Whether the updates are the clients' parameters, not their changes.
    pub weights: bool,
    /// Where the algorithm's state lies; none: it starts anew and is forgotten.
    pub state: Option<PathBuf>,
    pub round: u32,
    /// Rounds in all; the present one where it is not said.
    pub total: Option<u32>,
    /// Clients of the federation; as many as updates where it is not said.
    pub clients: Option<u32>,
    pub seed: Seed,
    /// A safetensors file, or a folder where `global` is one.
    pub out: PathBuf,
}

/// One client's update on disk.
#[derive(Clone, PartialEq, Debug)]
pub struct UpdateFile {
    pub path: PathBuf,
    /// What was said of it: `client`, `examples`, `steps`, `lr`, or a figure.
    pub numbers: BTreeMap<String, f64>,
}

/// What came of it.
pub struct Aggregated {
    pub clients: usize,
    pub scalars: usize,
    /// L2 norm of the change of the global parameters.
    pub step_norm: f64,
}

/// `c0.json`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extras {
    client: Option<u32>,
    examples: Option<u64>,
    steps: Option<u32>,
    lr: Option<f64>,
    #[serde(default)]
    figures: BTreeMap<String, f64>,
    #[serde(default)]
    scalars: BTreeMap<String, f64>,
}

/// `state.json`: whose state it is, and as of which round.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    algorithm: String,
    sha256: String,
    settings: serde_json::Value,
    round: u32,
    params: Vec<String>,
    bytes: Vec<String>,
}

const STAMP: &str = "state.json";

impl UpdateFile {
    /// `PATH`, `PATH:KEY=NUMBER`, `PATH:KEY=NUMBER,KEY=NUMBER`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut path = text;
        let mut numbers = BTreeMap::new();
        // From the end, so that a path may hold colons.
        while let Some((before, after)) = path
            .rsplit_once(':')
            .filter(|(_, after)| after.contains('='))
        {
            for pair in after.split(',') {
                let (key, value) = pair
                    .split_once('=')
                    .with_context(|| format!("update `{text}`: `{pair}` is not KEY=NUMBER"))?;
                let number: f64 = value.trim().parse().ok().with_context(|| {
                    format!("update `{text}`: `{value}` of `{key}` is no number")
                })?;
                let twice = numbers.insert(key.trim().to_owned(), number);
                ensure!(twice.is_none(), "update `{text}`: `{key}` is given twice");
            }
            path = before;
        }
        Ok(Self {
            path: PathBuf::from(path),
            numbers,
        })
    }
}

/// Aggregates, writes the next global parameters, then the state.
pub fn aggregate(
    algorithm: &Algorithm,
    settings: &serde_json::Value,
    asked: &Aggregation,
) -> Result<Aggregated> {
    ensure!(!asked.updates.is_empty(), "no update is given");
    ensure!(asked.round > 0, "rounds are counted from 1");
    let global =
        open(&asked.global).with_context(|| format!("global `{}`", asked.global.display()))?;
    if let Some((tensor, index, value)) = global.first_non_finite() {
        bail!(
            "global `{}`: tensor `{tensor}` holds {value} at {index}",
            asked.global.display()
        );
    }
    check_out(asked)?;
    let mut updates = Vec::new();
    for (index, file) in asked.updates.iter().enumerate() {
        let update = read_update(file, index, &global, asked);
        updates.push(update.with_context(|| format!("update `{}`", file.path.display()))?);
    }
    updates.sort_by_key(|update| update.client.id);
    if let Some(pair) = updates
        .windows(2)
        .find(|pair| pair[0].client.id == pair[1].client.id)
    {
        bail!("client {} is given twice", pair[0].client.id);
    }
    let clients = asked.clients.unwrap_or(updates.len() as u32);
    let most = updates.len() as u32;
    ensure!(clients >= most, "{most} updates of {clients} clients");
    let plugin = algorithm.plugin();
    let stamp = |round, state: &State| Stamp {
        algorithm: plugin.name.clone(),
        sha256: plugin.digest.clone(),
        settings: settings.clone(),
        round,
        params: state.params.keys().cloned().collect(),
        bytes: state.bytes.keys().cloned().collect(),
    };
    let kept = match &asked.state {
        Some(folder) if folder.join(STAMP).is_file() => {
            let read = || read_state(folder, &stamp(asked.round - 1, &State::default()));
            Some(read().with_context(|| format!("state `{}`", folder.display()))?)
        }
        _ => None,
    };
    let round = Round {
        number: asked.round,
        total: asked.total.unwrap_or(asked.round),
        clients,
        seed: asked.seed.derive("plugins", 0),
    };
    let mut state = match kept {
        Some(state) => state,
        None => {
            let mut state = State::default();
            algorithm.start(round.seed, &global, &mut state)?;
            state
        }
    };
    let next = algorithm.aggregate(round, &global, &updates, &mut state)?;
    let done = Aggregated {
        clients: updates.len(),
        scalars: next.count(),
        step_norm: next.sub(&global)?.norm(),
    };
    write_params(&next, asked)?;
    if let Some(folder) = &asked.state {
        write_state(folder, &state, &stamp(asked.round, &state))
            .with_context(|| format!("state `{}`", folder.display()))?;
    }
    Ok(done)
}

/// A safetensors file, or the one in the folder of a PEFT adapter. Mapped: it must not change meanwhile.
fn open(path: &Path) -> Result<Params> {
    let file = match path.is_dir() {
        true => path.join("adapter_model.safetensors"),
        false => path.to_owned(),
    };
    Ok(Params::open(&file)?)
}

fn read_update(
    file: &UpdateFile,
    index: usize,
    global: &Params,
    asked: &Aggregation,
) -> Result<Arc<Update>> {
    let mut numbers = file.numbers.clone();
    let extras = beside(&file.path, "json");
    let extras: Extras = match extras.is_file() {
        true => {
            let text = fs::read_to_string(&extras)?;
            let parsed = serde_json::from_str(&text);
            parsed.with_context(|| format!("`{}`", extras.display()))?
        }
        false => Extras::default(),
    };
    let mut whole = |name: &str, own: Option<f64>, otherwise: f64| -> Result<f64> {
        let value = numbers.remove(name).or(own).unwrap_or(otherwise);
        let fits = value.fract() == 0.0 && value >= 0.0 && value <= f64::from(u32::MAX);
        ensure!(fits, "`{name}` is {value}, not a count");
        Ok(value)
    };
    let id = whole("client", extras.client.map(f64::from), index as f64)?;
    let examples = whole("examples", extras.examples.map(|count| count as f64), 1.0)?;
    ensure!(examples > 0.0, "`examples` is 0");
    let steps = whole("steps", extras.steps.map(f64::from), 1.0)?;
    let lr = numbers.remove("lr").or(extras.lr).unwrap_or(1.0);
    ensure!(
        lr.is_finite() && lr > 0.0,
        "`lr` is {lr}, not a learning rate"
    );
    let mut figures = extras.figures;
    figures.extend(numbers);
    for (name, value) in figures.iter().chain(&extras.scalars) {
        ensure!(value.is_finite(), "`{name}` is {value}");
    }
    let sent = open(&file.path)?;
    global.check_same_structure(&sent)?;
    check_finite(id as u32, "update", &sent)?;
    let delta = match asked.weights {
        true => sent.sub(global)?,
        false => sent,
    };
    let mut message = Message {
        scalars: extras.scalars,
        ..Message::default()
    };
    for (name, path) in tensors_beside(&file.path)? {
        let params = Params::open(&path)?;
        check_finite(id as u32, &format!("extra `{name}`"), &params)?;
        message.params.insert(name, params);
    }
    Ok(Arc::new(Update {
        client: Client {
            id: id as u32,
            examples: examples as u64,
            idle: None,
            figures,
        },
        steps: steps as u32,
        lr,
        staleness: 0,
        delta,
        message,
    }))
}

/// The update's path without `.safetensors`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".safetensors")
        .unwrap_or(&name)
        .to_owned()
}

/// `c0.END` beside `c0.safetensors`.
fn beside(path: &Path, end: &str) -> PathBuf {
    path.with_file_name(format!("{}.{end}", stem(path)))
}

/// Names and files of `c0.NAME.safetensors` beside `c0.safetensors`.
fn tensors_beside(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let start = format!("{}.", stem(path));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let middle = name
            .strip_prefix(&start)
            .and_then(|rest| rest.strip_suffix(".safetensors"));
        if let Some(middle) = middle {
            found.insert(middle.to_owned(), file.clone());
        }
    }
    Ok(found)
}

/// Refuses an output that would overwrite an input, before anything is computed.
fn check_out(asked: &Aggregation) -> Result<()> {
    let out = fs::canonicalize(&asked.out);
    let inputs =
        std::iter::once(&asked.global).chain(asked.updates.iter().map(|update| &update.path));
    for input in inputs {
        let same = out
            .as_ref()
            .ok()
            .is_some_and(|out| fs::canonicalize(input).is_ok_and(|input| input == *out));
        ensure!(!same, "--out `{}` is an input", asked.out.display());
    }
    let folder = asked.global.is_dir();
    let file = asked
        .out
        .extension()
        .is_some_and(|end| end == "safetensors");
    ensure!(
        folder || file,
        "--out `{}`: give a .safetensors file{}",
        asked.out.display(),
        "; a folder is written where --global is the folder of an adapter"
    );
    Ok(())
}

fn write_params(next: &Params, asked: &Aggregation) -> Result<()> {
    let bytes = next.to_safetensors()?;
    if asked
        .out
        .extension()
        .is_some_and(|end| end == "safetensors")
    {
        return write_whole(&asked.out, &bytes);
    }
    let config = "adapter_config.json";
    let text = fs::read(asked.global.join(config));
    let text = text.with_context(|| format!("global `{}`: {config}", asked.global.display()))?;
    fs::create_dir_all(&asked.out)
        .with_context(|| format!("creating `{}`", asked.out.display()))?;
    write_whole(&asked.out.join(config), &text)?;
    write_whole(&asked.out.join("adapter_model.safetensors"), &bytes)
}

/// The state in `folder`, which must be that of this algorithm as of the round before.
fn read_state(folder: &Path, expected: &Stamp) -> Result<State> {
    let text = fs::read_to_string(folder.join(STAMP))?;
    let stamp: Stamp = serde_json::from_str(&text).context(STAMP)?;
    ensure!(
        stamp.algorithm == expected.algorithm && stamp.sha256 == expected.sha256,
        "it is of algorithm `{}` ({:.12}), not of `{}` ({:.12})",
        stamp.algorithm,
        stamp.sha256,
        expected.algorithm,
        expected.sha256
    );
    ensure!(
        stamp.settings == expected.settings,
        "it was made with the settings {}, not {}",
        stamp.settings,
        expected.settings
    );
    ensure!(
        stamp.round == expected.round,
        "it is as of round {}, so the next is round {}, not {}",
        stamp.round,
        stamp.round + 1,
        expected.round + 1
    );
    let mut state = State::default();
    for name in stamp.params {
        // Read, not mapped: the files are about to be written again.
        let file = folder.join(format!("{name}.safetensors"));
        let bytes = fs::read(&file).with_context(|| format!("reading `{}`", file.display()))?;
        state.params.insert(name, Params::from_safetensors(&bytes)?);
    }
    for name in stamp.bytes {
        let file = folder.join(format!("{name}.bytes"));
        let bytes = fs::read(&file).with_context(|| format!("reading `{}`", file.display()))?;
        state.bytes.insert(name, bytes);
    }
    Ok(state)
}

/// The stamp is written last: it vouches for the files.
fn write_state(folder: &Path, state: &State, stamp: &Stamp) -> Result<()> {
    for name in state.params.keys().chain(state.bytes.keys()) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        ensure!(
            !name.is_empty() && name.chars().all(fits),
            "the algorithm's `{name}` cannot be the name of a file"
        );
    }
    fs::create_dir_all(folder)?;
    let old = folder.join(STAMP);
    if old.is_file() {
        fs::remove_file(&old)?;
    }
    for (name, params) in &state.params {
        write_whole(
            &folder.join(format!("{name}.safetensors")),
            &params.to_safetensors()?,
        )?;
    }
    for (name, bytes) in &state.bytes {
        write_whole(&folder.join(format!("{name}.bytes")), bytes)?;
    }
    write_whole(&old, &serde_json::to_vec_pretty(stamp)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_a_path_with_numbers() {
        let parse = |text| UpdateFile::parse(text).unwrap();
        assert_eq!(
            parse("a/c0.safetensors").path,
            Path::new("a/c0.safetensors")
        );
        let one = parse("C:/c0.safetensors:examples=300,steps=7");
        assert_eq!(one.path, Path::new("C:/c0.safetensors"));
        assert_eq!(
            (one.numbers["examples"], one.numbers["steps"]),
            (300.0, 7.0)
        );
        assert_eq!(one, parse("C:/c0.safetensors:examples=300:steps=7"));
        let error = UpdateFile::parse("c0:examples=many")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "update `c0:examples=many`: `many` of `examples` is no number"
        );
    }
}
