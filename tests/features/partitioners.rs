use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use folkmoot_params::Seed;
use folkmoot_plugin::{Kind, Partitioner, PluginError, View};
use serde_json::Value;

use crate::bench::{golden, numbers, plugin};

type Shards = Vec<Vec<u32>>;

/// A table of the golden file.
struct Table(BTreeMap<String, Vec<Value>>);

impl Table {
    fn new(columns: &Value) -> Self {
        let columns = columns.as_object().unwrap().iter();
        Self(
            columns
                .map(|(name, spec)| (name.clone(), unfold(spec)))
                .collect(),
        )
    }

    fn column(&self, column: &str) -> Result<&Vec<Value>, String> {
        let found = self.0.get(column);
        found.ok_or_else(|| format!("no column `{column}`"))
    }
}

/// The values of a column, from their short form.
fn unfold(spec: &Value) -> Vec<Value> {
    let values: Vec<Value> = if let Some(runs) = spec["runs"].as_array() {
        let run = |run: &Value| vec![run[0].clone(); run[1].as_u64().unwrap() as usize];
        runs.iter().flat_map(run).collect()
    } else if let Some(count) = spec["squares"].as_u64() {
        (0..count).map(|root| Value::from(root * root)).collect()
    } else {
        spec["values"].as_array().unwrap().clone()
    };
    let stride = spec["stride"].as_u64().unwrap_or(1) as usize;
    let at = |row: usize| values[row * stride % values.len()].clone();
    (0..values.len()).map(at).collect()
}

fn name(value: &Value) -> String {
    match value.as_str() {
        Some(name) => name.to_owned(),
        None => value.to_string(),
    }
}

impl View for Table {
    fn examples(&self) -> u32 {
        self.0.values().next().unwrap().len() as u32
    }
    fn columns(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        let values: Vec<String> = self.column(column)?.iter().map(name).collect();
        let names: BTreeSet<String> = values.iter().cloned().collect();
        let names: Vec<String> = names.into_iter().collect();
        let number = |value| names.binary_search(value).unwrap() as u32;
        Ok((values.iter().map(number).collect(), names))
    }
    fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        Ok(self.column(column)?.iter().map(number).collect())
    }
    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok(vec![1; self.examples() as usize])
    }
    fn text(&self, _: u32) -> Option<String> {
        None
    }
}

/// A case of the golden file: a plugin with settings, and the table that it splits.
struct Case<'a> {
    case: &'a Value,
    partitioner: Partitioner,
    table: Arc<Table>,
    /// The label of each row, and their number.
    labels: Vec<usize>,
    kinds: usize,
}

impl<'a> Case<'a> {
    fn new(case: &'a Value) -> Self {
        let count = case["count"].as_str().unwrap();
        let runs = case["columns"][count]["runs"].as_array().unwrap();
        let values: Vec<&Value> = runs.iter().map(|run| &run[0]).collect();
        let table = Table::new(&case["columns"]);
        let label = |value: &Value| values.iter().position(|other| *other == value).unwrap();
        Self {
            case,
            partitioner: partitioner(case).unwrap(),
            labels: table.column(count).unwrap().iter().map(label).collect(),
            kinds: values.len(),
            table: Arc::new(table),
        }
    }

    fn name(&self) -> &str {
        self.case["name"].as_str().unwrap()
    }

    fn split(&self, seed: u64) -> Result<Shards, PluginError> {
        let clients = self.case["clients"].as_u64().unwrap() as u32;
        self.partitioner
            .partition(self.table.clone(), clients, Seed(seed))
    }

    /// Examples by client and label.
    fn counts(&self, shards: &Shards) -> Vec<Vec<f64>> {
        let of = |shard: &Vec<u32>| {
            let mut counts = vec![0.0; self.kinds];
            for &row in shard {
                counts[self.labels[row as usize]] += 1.0;
            }
            counts
        };
        shards.iter().map(of).collect()
    }

    /// A statistic of one split, as the golden file names it.
    fn statistic(&self, name: &str, shards: &Shards) -> f64 {
        let counts = self.counts(shards);
        let mean = |of: &dyn Fn(&[f64]) -> f64| {
            let share = |counts: &Vec<f64>| of(&shares(counts));
            counts.iter().map(share).sum::<f64>() / counts.len() as f64
        };
        let whole = shares(&self.counts(&vec![(0..self.labels.len() as u32).collect()])[0]);
        let mut sizes: Vec<usize> = shards.iter().map(Vec::len).collect();
        match name.split_once(' ') {
            Some(("client", client)) => sizes[client.parse::<usize>().unwrap()] as f64,
            Some(("size", rank)) => {
                sizes.sort_unstable();
                sizes[rank.parse::<usize>().unwrap()] as f64
            }
            _ => match name {
                "rows" => sizes.iter().sum::<usize>() as f64,
                "entropy" => {
                    mean(&|shares| -shares.iter().map(|share| share * log(*share)).sum::<f64>())
                }
                "distance" => mean(&|shares| distance(shares, &whole)),
                "labels" => {
                    mean(&|shares| shares.iter().filter(|share| **share > 0.0).count() as f64)
                }
                "largest" => mean(&|shares| shares.iter().copied().fold(0.0, f64::max)),
                other => panic!("no statistic `{other}`"),
            },
        }
    }
}

fn partitioner(case: &Value) -> Result<Partitioner, PluginError> {
    let plugin = plugin(case["plugin"].as_str().unwrap(), Kind::Partitioner);
    Partitioner::new(plugin, &case["settings"])
}

fn shares(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    counts.iter().map(|count| count / total).collect()
}

/// The logarithm, 0 of 0, for it is multiplied by it.
fn log(share: f64) -> f64 {
    if share > 0.0 { share.ln() } else { 0.0 }
}

/// Jensen-Shannon distance to base 2.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let term = |(one, other): (&f64, &f64)| {
        let middle = log((one + other) / 2.0);
        one * (log(*one) - middle) + other * (log(*other) - middle)
    };
    let divergence = one.iter().zip(other).map(term).sum::<f64>() / 2.0;
    (divergence.max(0.0) / std::f64::consts::LN_2).sqrt()
}

/// Mean and its standard error.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

/// Over 100 seeds, every partitioner of Flower Datasets: exactly where nothing is random, else means
/// within four standard errors.
#[test]
fn partitioners_agree_with_flower() {
    let golden = golden("partitioners.json");
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let case = Case::new(case);
        let (name, expected) = (case.name(), case.case);
        let seeds = if expected["random"] == true { 100 } else { 3 };
        let splits: Vec<_> = (0..seeds).map(|seed| case.split(seed)).collect();
        let mut tell = |what: &str, found: String, expected: String| {
            wrong.push(format!("{name}, {what}: {found}, Flower: {expected}"));
        };
        // We may draw again where Flower leaves a client empty, not refuse where it does not.
        let refused = splits.iter().filter(|split| split.is_err()).count() as f64 / seeds as f64;
        let share = expected["refused"].as_f64().unwrap();
        let error = |share: f64, seeds: f64| (share * (1.0 - share) / seeds).sqrt();
        let slack = match expected["plugin"] == "dirichlet" {
            true => 4.0 * error(share, 100.0).hypot(error(refused, seeds as f64)),
            false => 0.0,
        };
        if refused - share > slack {
            let first = splits
                .iter()
                .find_map(|split| split.as_ref().err())
                .unwrap();
            tell("refused", format!("{refused} ({first})"), share.to_string());
        }
        if refused == 1.0 {
            continue;
        }
        let splits: Vec<Shards> = splits.into_iter().flatten().collect();
        for shards in &splits {
            let mut rows = shards.concat();
            if expected["consecutive"] == true {
                assert!(
                    rows.iter().copied().eq(0..rows.len() as u32),
                    "{name}: not in order"
                );
            }
            let all = rows.len();
            rows.sort_unstable();
            rows.dedup();
            assert_eq!(rows.len(), all, "{name}: rows are given twice");
            let sizes: Vec<f64> = shards.iter().map(|shard| shard.len() as f64).collect();
            if !expected["sizes"].is_null() && sizes != numbers(&expected["sizes"]) {
                tell("sizes", format!("{sizes:?}"), expected["sizes"].to_string());
                break;
            }
            let counts = case.counts(shards);
            let table = expected["table"]
                .as_array()
                .map(|table| table.iter().map(numbers));
            if table.is_some_and(|table| !table.eq(counts.iter().cloned())) {
                tell(
                    "table",
                    format!("{counts:?}"),
                    expected["table"].to_string(),
                );
                break;
            }
        }
        for (what, figure) in expected["stats"].as_object().into_iter().flatten() {
            let found: Vec<f64> = splits
                .iter()
                .map(|split| case.statistic(what, split))
                .collect();
            let (mean, error) = moments(&found);
            let [theirs, their_error] = numbers(figure)[..] else {
                panic!("{name}, {what}: not a mean and an error");
            };
            let off = (mean - theirs).abs();
            if off.is_nan() || off > 4.0 * error.hypot(their_error) + 1e-9 {
                let figure = |mean, error| format!("{mean} ± {error:.2e}");
                tell(what, figure(mean, error), figure(theirs, their_error));
            }
        }
        if let Ok(shards) = case.split(0) {
            assert_eq!(
                Some(&shards),
                splits.first(),
                "{name}: same seed, other shards"
            );
        }
        if expected["random"] == true {
            let differ = splits.windows(2).any(|pair| pair[0] != pair[1]);
            assert!(differ, "{name}: other seeds, same shards");
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What Flower refuses is refused, and not by a crash.
#[test]
fn partitioners_refuse_what_flower_refuses() {
    let mut wrong = Vec::new();
    for case in golden("partitioners.json")["refused"].as_array().unwrap() {
        let clients = case["clients"].as_u64().unwrap() as u32;
        let table = Arc::new(Table::new(&case["columns"]));
        let split = partitioner(case)
            .and_then(|partitioner| partitioner.partition(table, clients, Seed(0)));
        let found = match split {
            Ok(shards) => format!("{} shards", shards.len()),
            Err(error) => error.to_string(),
        };
        if found.ends_with(" shards") || found.contains("crashed") {
            let (plugin, settings, flower) = (&case["plugin"], &case["settings"], &case["flower"]);
            wrong.push(format!(
                "{plugin} {settings}, {clients} clients: {found}, Flower: {flower}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
