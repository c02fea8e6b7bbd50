//! Benchmarks that are run together, and what their scores are averaged to.

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::file::explained;

/// Benchmarks that are run together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The name of its file without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// The text of that file.
    #[serde(skip)]
    pub text: String,
    /// One line for a listing.
    pub summary: String,
    /// What to cite.
    #[serde(default)]
    pub citation: Vec<String>,
    /// Over what the mean is taken.
    #[serde(default)]
    pub average: Average,
    /// What is run.
    pub benchmarks: Vec<Member>,
}

/// One of a suite.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The benchmark.
    pub name: String,
    /// Its variant.
    #[serde(default)]
    pub variant: Option<String>,
    /// The scores that the suite shows of it. Averages are of the first.
    pub scores: Vec<String>,
    /// What it belongs to.
    #[serde(default)]
    pub group: Option<String>,
}

/// Over what a suite's mean is taken.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// All of its benchmarks alike.
    #[default]
    All,
    /// Those of each group; there is none over all, since their scores are on different scales.
    Groups,
}

impl Suite {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut suite: Self = toml::from_str(text).map_err(|error| explained(&error))?;
        name.clone_into(&mut suite.name);
        text.clone_into(&mut suite.text);
        ensure!(!suite.benchmarks.is_empty(), "no `[[benchmarks]]`");
        for (index, member) in suite.benchmarks.iter().enumerate() {
            let (name, variant) = (&member.name, &member.variant);
            ensure!(!member.scores.is_empty(), "`{name}`: no `scores`");
            ensure!(
                suite.average == Average::All || member.group.is_some(),
                "`{name}`: no `group`, over which `average = \"groups\"` goes"
            );
            let earlier = &suite.benchmarks[..index];
            ensure!(
                !earlier
                    .iter()
                    .any(|own| (&own.name, &own.variant) == (name, variant)),
                "`{name}` is there twice"
            );
        }
        Ok(suite)
    }
}
