//! A model by itself: continuing texts, and merging an adapter into it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use anyhow::{Context, Result, anyhow, ensure};
use folkmoot_data::{Catalogue, Progress, Role, Template, Tokenizer, Turn, digest_of};
use folkmoot_federation::Digest;
use folkmoot_params::{Params, Seed};
use folkmoot_train::{Adapter, Base, DType, Decoding, Form, Inference, Sampling, merge};

use crate::evaluate::local::Local;
use crate::resolve::{find_model, read_tokenizer};
use crate::source::memory;
use crate::stops::{cut, ended};
use crate::workers::Workers;

/// A model with what it needs to read and write text.
pub struct Model {
    path: PathBuf,
    tokenizer: Tokenizer,
    adapter: Option<(Adapter, Params)>,
}

/// What is asked of a model.
pub struct Generation<'a> {
    pub prompts: &'a [String],
    /// How a prompt becomes text; none: it is text already.
    pub template: Option<&'a Template>,
    pub max_tokens: usize,
    /// Texts that end an answer and are cut off.
    pub stop: &'a [String],
    pub sampling: Option<Sampling>,
    /// Prompts that go through the model at once.
    pub batch: usize,
    pub form: Form,
    pub workers: Workers,
}

impl Model {
    /// Finds the model `name`, as an experiment would, and reads the adapter in a folder.
    pub fn find(
        name: &str,
        adapter: Option<&Path>,
        catalogue: Option<&Path>,
        cache: &Path,
        told: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let catalogue = Catalogue::new(catalogue)?;
        let path = find_model(name, Path::new(name), &catalogue, cache, told)?;
        let path = path.map_err(|unknown| anyhow!(unknown))?;
        let architecture = Base::peek(&path)?;
        let adapter = adapter
            .map(|folder| -> Result<_> {
                let (adapter, params) = Adapter::load(folder)?;
                adapter
                    .check(&architecture, &params)
                    .with_context(|| format!("`{}` does not fit the model", folder.display()))?;
                Ok((adapter, params))
            })
            .transpose()?;
        Ok(Self {
            tokenizer: read_tokenizer(&path)?,
            path,
            adapter,
        })
    }

    /// The template called `name`, or a minijinja file.
    pub fn template(&self, name: &str) -> Result<Template> {
        Template::find(name, Path::new(name), &self.tokenizer)
    }

    /// The answer to each prompt.
    pub fn generate(&self, how: &Generation, note: &dyn Fn(&str)) -> Result<Vec<String>> {
        if let Some(sampling) = &how.sampling {
            sampling.check()?;
        }
        let tokenizer = &self.tokenizer;
        let ends = self.ends(how.template)?;
        let prompts = how.prompts.iter().map(|prompt| -> Result<Vec<u32>> {
            ensure!(!prompt.is_empty(), "a prompt is empty");
            match how.template {
                Some(template) => {
                    template.prompt_ids(tokenizer, &[Turn::new(Role::User, prompt.as_str())])
                }
                None => {
                    let mut ids = tokenizer.encode(prompt)?;
                    if let Some(bos) = tokenizer.bos().filter(|bos| ids.first() != Some(bos)) {
                        ids.insert(0, bos);
                    }
                    Ok(ids)
                }
            }
        });
        let prompts = prompts.collect::<Result<Vec<_>>>()?;
        let base = self.base(how.form, note)?;
        let adapter = self.adapter.as_ref();
        let inference = Inference::new(&base, adapter.map(|(adapter, params)| (adapter, params)))?;
        let batches: Vec<&[Vec<u32>]> = prompts.chunks(how.batch.max(1)).collect();
        let answers = how.workers.map(batches.len(), |batch| {
            let stopped = |_: usize, ids: &[u32]| ended(tokenizer, how.stop, ids);
            let decoding = Decoding {
                // Each batch draws its own numbers.
                sampling: how.sampling.map(|own| Sampling {
                    seed: own.seed.derive("batch", batch as u64),
                    ..own
                }),
                stop: &stopped,
                ..Decoding::greedy(how.max_tokens, &ends)
            };
            inference.generate(batches[batch], &decoding)
        })?;
        let answers = answers.into_iter().flatten();
        let texts = answers.map(|answer| Ok(cut(tokenizer.decode(&answer.ids)?, how.stop)));
        texts.collect()
    }

    /// Reads the weights.
    pub fn base(&self, form: Form, note: &dyn Fn(&str)) -> Result<Base> {
        let base = Base::read(&self.path, form)?;
        base.notes().iter().for_each(|text| note(text));
        Ok(base)
    }

    /// The model as one that metrics ask, `base` being its weights. `rendered`: prompts come out of the template.
    /// Prompts that are too long lose their beginning.
    pub fn subject<'a>(
        &'a self,
        base: &'a Base,
        (template, rendered): (Option<&'a Template>, bool),
        batch: usize,
        seed: Seed,
        workers: Workers,
    ) -> Result<Local<'a>> {
        let adapter = self.adapter.as_ref();
        Ok(Local {
            inference: Inference::new(base, adapter.map(|(adapter, params)| (adapter, params)))?,
            tokenizer: &self.tokenizer,
            template,
            rendered,
            ends: self.ends(template)?,
            positions: base.positions(),
            cuts: AtomicUsize::new(0),
            batch,
            seed,
            workers,
        })
    }

    /// Tokens that end an answer.
    fn ends(&self, template: Option<&Template>) -> Result<Vec<u32>> {
        let mut ends = vec![self.tokenizer.eos()];
        if let Some(template) = template {
            ends.push(template.end_of_response(&self.tokenizer)?);
        }
        Ok(ends)
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// SHA-256 over the adapter's tensors and what they are, if there is one.
    pub fn adapter_digest(&self) -> Result<Option<String>> {
        let Some((adapter, params)) = &self.adapter else {
            return Ok(None);
        };
        let mut bytes = serde_json::to_vec(adapter)?;
        bytes.extend(params.to_safetensors()?);
        Ok(Some(Digest::of(&bytes).to_string()))
    }

    /// SHA-256 of its file, remembered in `cache`.
    pub fn digest(&self, cache: &Path) -> Result<String> {
        digest_of(&self.path, &memory(cache))
    }

    /// Writes the model with its adapter merged into it to the folder `out`; gives the files.
    pub fn merge(&self, out: &Path, dtype: DType) -> Result<Vec<PathBuf>> {
        ensure_empty(out)?;
        let adapter = self.adapter.as_ref();
        let mut files = merge(
            &self.path,
            adapter.map(|(adapter, params)| (adapter, params)),
            out,
            dtype,
        )?;
        if !self.path.is_dir() {
            self.tokenizer.save(out)?;
            files.extend(["tokenizer.json", "tokenizer_config.json"].map(|name| out.join(name)));
            return Ok(files);
        }
        const TEXT: [&str; 9] = [
            "tokenizer.json",
            "tokenizer_config.json",
            "tokenizer.model",
            "special_tokens_map.json",
            "added_tokens.json",
            "generation_config.json",
            "chat_template.jinja",
            "vocab.json",
            "merges.txt",
        ];
        for name in TEXT {
            let from = self.path.join(name);
            if from.is_file() {
                std::fs::copy(&from, out.join(name))
                    .with_context(|| format!("copying `{}`", from.display()))?;
                files.push(out.join(name));
            }
        }
        Ok(files)
    }
}

/// Refuses a folder that holds something; it need not be there.
pub fn ensure_empty(folder: &Path) -> Result<()> {
    let occupied = folder.exists()
        && folder
            .read_dir()
            .map_or(true, |mut files| files.next().is_some());
    ensure!(
        !occupied,
        "`{}` is there already and not empty",
        folder.display()
    );
    Ok(())
}
