//! From what a model says to a program that tests it.

use folkmoot_sdk::{Example, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a program is made.
#[derive(Clone, Copy, PartialEq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Assembly {
    /// Column `prompt` (the function's head), the sample (its body), columns `test` and `entry_point`, as
    /// human-eval does.
    #[default]
    Humaneval,
    /// The sample and column `test_list`, else `tests`, a line each, as MBPP has it.
    Mbpp,
    /// The sample and whichever of `test`, `test_list` and `tests` there is; `check(entry_point)` where
    /// there is an entry point.
    Completion,
}

impl Assembly {
    /// What ends a sample in bigcode-evaluation-harness.
    pub(crate) fn stop(self) -> &'static [&'static str] {
        match self {
            Self::Mbpp => &[
                "\nclass", "\nassert", "\n\"\"\"", "\nprint", "\nif", "\n<|/", "\n```",
            ],
            _ => &[
                "\nclass",
                "\ndef",
                "\n#",
                "\n@",
                "\nprint",
                "\nif",
                "\n```",
                "<file_sep>",
            ],
        }
    }
}

/// The code of a sample: its first block, where that is wanted and there is one; else what comes before the
/// first of the stop texts.
pub(crate) fn cut<'t>(text: &'t str, stop: &[String], code_block: bool) -> &'t str {
    if code_block && let Some(block) = first_block(text) {
        return block;
    }
    let ends = stop.iter().filter_map(|stop| text.find(stop.as_str()));
    &text[..ends.min().unwrap_or(text.len())]
}

/// What stands between the first line that begins with three backticks and the next; to the end where none
/// follows, since the model may have run out of tokens.
fn first_block(text: &str) -> Option<&str> {
    let fence = "```";
    let start = match text.starts_with(fence) {
        true => 0,
        false => 1 + text.find("\n```")?,
    };
    let code = start + text[start..].find('\n')? + 1;
    let end = match text[code..].starts_with(fence) {
        true => code,
        false => text[code..]
            .find("\n```")
            .map_or(text.len(), |end| code + end + 1),
    };
    Some(&text[code..end])
}

/// The program, its setup first. `columns`: those of the prompt and of the setup.
pub(crate) fn assemble(
    assembly: Assembly,
    example: &Example,
    code: &str,
    columns: (&str, &str),
) -> Result<String> {
    let lines = |column: &str| Ok::<_, String>(example.texts(column)?.join("\n"));
    let there = |column: &str| example.get(column).is_some_and(|value| !value.is_null());
    let list = || {
        lines(if there("test_list") {
            "test_list"
        } else {
            "tests"
        })
    };
    let setup = match there(columns.1) {
        true => lines(columns.1)? + "\n",
        false => String::new(),
    };
    let check = || Ok::<_, String>(format!("\ncheck({})", example.text("entry_point")?));
    let program = match assembly {
        Assembly::Humaneval => {
            let (prompt, test) = (example.text(columns.0)?, example.text("test")?);
            format!("{prompt}{code}\n{test}{}", check()?)
        }
        Assembly::Mbpp => format!("{code}\n{}", list()?),
        Assembly::Completion => {
            let test = if there("test") {
                lines("test")?
            } else {
                list()?
            };
            let check = if there("entry_point") {
                check()?
            } else {
                String::new()
            };
            format!("{code}\n{test}{check}")
        }
    };
    Ok(setup + &program)
}
