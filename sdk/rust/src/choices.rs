//! Choices that many algorithms offer, spelt the same in all of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What an update weighs in a mean.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Weighting {
    /// Its client's number of examples.
    #[default]
    Examples,
    /// As much as any other.
    Uniform,
}

impl fmt::Display for Weighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Examples => "examples",
            Self::Uniform => "uniform",
        })
    }
}

/// Whose arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Variant {
    /// The formula of the cited paper.
    #[default]
    Paper,
    /// What OpenFedLLM (Ye et al. 2024, https://arxiv.org/abs/2402.06954) computes, to repeat its runs.
    Openfedllm,
}

impl Variant {
    /// The weighting under this variant: the paper's is free (default examples), OpenFedLLM fixes its own.
    pub fn weighting(self, asked: Option<Weighting>, fixed: Weighting) -> Result<Weighting> {
        match (self, asked) {
            (Self::Paper, asked) => Ok(asked.unwrap_or_default()),
            (Self::Openfedllm, Some(asked)) if asked != fixed => Err(format!(
                "weighting is `{asked}`, but variant `openfedllm` fixes `{fixed}`"
            )),
            (Self::Openfedllm, _) => Ok(fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openfedllm_fixes_the_weighting() {
        let (examples, uniform) = (Weighting::Examples, Weighting::Uniform);
        assert_eq!(Variant::Paper.weighting(None, uniform), Ok(examples));
        assert_eq!(
            Variant::Paper.weighting(Some(uniform), examples),
            Ok(uniform)
        );
        assert_eq!(Variant::Openfedllm.weighting(None, uniform), Ok(uniform));
        let refused = Variant::Openfedllm.weighting(Some(examples), uniform);
        assert_eq!(
            refused.unwrap_err(),
            "weighting is `examples`, but variant `openfedllm` fixes `uniform`"
        );
    }
}
