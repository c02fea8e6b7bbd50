//! A row as the model gets it.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use folkmoot_data::{Catalogue, Dataset, Learnt, Meaning, Progress, Shape, Template, Tokenizer};

use crate::experiment::Document;
use crate::resolve::{find_data, find_model, find_template, meaning, read_tokenizer};
use crate::source::{Choice, Source};

/// Data under a template and a tokenizer.
pub struct Preview {
    pub dataset: Dataset,
    pub template: Template,
    tokenizer: Tokenizer,
}

/// A row with one of its answers.
pub struct Shown {
    /// The column of the answer.
    pub answer: &'static str,
    pub text: String,
    /// The bytes of the text that are trained.
    pub trained: Vec<Range<usize>>,
    /// Each with its id, its spelling in the vocabulary, and whether it is trained.
    pub tokens: Vec<(u32, String, bool)>,
}

impl Preview {
    /// What an experiment says of its data.
    pub fn of_experiment(
        document: &Document,
        catalogue: Option<&Path>,
        cache: &Path,
        told: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let catalogue = Catalogue::new(catalogue)?;
        let base = &document.experiment.model.base;
        let base = find_model(base, &document.relative(base), &catalogue, cache, told)?;
        let tokenizer =
            read_tokenizer(&base.map_err(|unknown| document.error("model.base", &unknown))?)?;
        let source = find_data(document, &catalogue, cache, told)?;
        let template = find_template(document, &source, &tokenizer)?;
        let (table, meaning) = meaning(document, &source)?;
        let dataset = Dataset::new(table, &meaning);
        let dataset =
            dataset.with_context(|| format!("data `{}`", document.experiment.data.source))?;
        Ok(Self {
            dataset,
            template,
            tokenizer,
        })
    }

    /// A data set by its name, with a model and a template by theirs; `over` changes what its entry says of the rows.
    /// `places`: the user's entries of the catalogue, and the cache.
    pub fn of_source(
        (data, choice): (&str, &Choice),
        over: &dyn Fn(Meaning) -> Result<Meaning>,
        model: &str,
        template: Option<&str>,
        (catalogue, cache): (Option<&Path>, &Path),
        told: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let catalogue = Catalogue::new(catalogue)?;
        let source = Source::find(data, Path::new(data), choice, &catalogue, cache, told)?;
        let source = source.map_err(|unknown| anyhow!(unknown))?;
        let base = find_model(model, Path::new(model), &catalogue, cache, told)?;
        let tokenizer = read_tokenizer(&base.map_err(|unknown| anyhow!(unknown))?)?;
        let name = template.or(source.template.as_deref()).unwrap_or("model");
        let template = Template::find(name, Path::new(name), &tokenizer)?;
        let meaning = over(source.meaning)?;
        let dataset = Dataset::new(source.table, &meaning);
        let dataset = dataset.with_context(|| format!("data `{data}`"))?;
        Ok(Self {
            dataset,
            template,
            tokenizer,
        })
    }

    /// A row, once for each of its answers.
    pub fn row(&self, row: usize) -> Result<Vec<Shown>> {
        let example = self.dataset.example(row)?;
        let (shape, tokenizer) = (self.dataset.shape(), &self.tokenizer);
        let learnt = match shape {
            Shape::Chat => Learnt::Every,
            _ => Learnt::Last,
        };
        let shown = shape.answers().iter().map(|answer| {
            let turns = example.turns(answer)?;
            let at = || example.place();
            let (text, trained) = self
                .template
                .text(tokenizer, &turns, learnt)
                .with_context(at)?;
            let row = self
                .template
                .tokenize(tokenizer, &turns, learnt)
                .with_context(at)?;
            let tokens = row.ids.iter().zip(row.trained);
            let tokens = tokens.map(|(id, trained)| (*id, tokenizer.piece(*id), trained));
            let tokens = tokens.collect();
            Ok(Shown {
                answer,
                text,
                trained,
                tokens,
            })
        });
        shown.collect()
    }
}
