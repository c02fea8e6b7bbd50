//! Real rows in tokens, for benchmarks: the first rows of a catalogue's data set under a model's tokenizer, as
//! JSON with `ids` and `trained` of each.

#![allow(clippy::print_stdout, reason = "a program's own output")]

use std::path::Path;

use anyhow::{Context, Result};
use folkmoot_data::{Catalogue, Dataset, Learnt, Template, Tokenizer};
use serde_json::json;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().with_context(|| format!("{what} is missing"));
    let (model, cache) = (next("the model's file")?, next("the cache folder")?);
    let (name, count) = (next("the data set")?, next("the number of rows")?);
    let count: usize = count.parse().context("the number of rows")?;
    let tokenizer = Tokenizer::from_gguf(Path::new(&model))?;
    let catalogue = Catalogue::new(None)?;
    let entry = catalogue.get(&name)?;
    let table = entry.table(&entry.data(Path::new(&cache), &mut |_| {})?)?;
    let dataset = Dataset::new(table, &entry.meaning(None)?)?;
    let plain = Template::find("plain", Path::new(""), &tokenizer)?;
    // Spread over the file, whose parts are of different domains.
    let step = (dataset.len() / count).max(1);
    let rows = (0..dataset.len()).step_by(step).take(count).map(|row| {
        let turns = dataset.example(row)?.turns("response")?;
        let mut row = plain.tokenize(&tokenizer, &turns, Learnt::Last)?;
        row.cut(512);
        Ok(json!({ "ids": row.ids, "trained": row.trained }))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    println!("{}", json!({ "rows": rows }));
    Ok(())
}
