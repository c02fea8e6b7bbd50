//! Multiple choice, by the likelihood of each choice, of its letter, or by what is generated.

mod question;

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

use question::Question;

/// Share of questions whose right choice the model takes. A row has `choices` (a list of texts; an object
/// of letter and text; or `text` and `label` as ARC has them) and `answer` (the choice's place, letter or
/// text, or a list of them of which any is right). The prompt has to show the lettered choices itself where
/// letters are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultipleChoice {
    /// What the choice is told by.
    #[serde(default)]
    by: By,
    /// Column with the choices.
    #[serde(default = "choices")]
    choices: String,
    /// Column with the right one.
    #[serde(default = "answer")]
    answer: String,
    /// The place that the first choice has where `answer` is a number.
    #[serde(default)]
    first_index: u64,
    /// Text between prompt and choice.
    #[serde(default = "target_delimiter")]
    target_delimiter: String,
    /// Also ask for each choice without the prompt, and give `acc_mutual_info`; twice the questions.
    #[serde(default)]
    mutual_info: bool,
    /// With `by = "generation"`: how the letter is read.
    #[serde(default)]
    read: Read,
    /// With `by = "generation"`: tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 8192))]
    max_tokens: u32,
    /// With `by = "generation"`: texts that end it and are cut off.
    #[serde(default)]
    stop: Vec<String>,
}
export_metric!(MultipleChoice);

/// What a choice is told by.
#[derive(Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum By {
    /// Which choice is likeliest as the continuation of the prompt (lm-eval's `multiple_choice`).
    #[default]
    Likelihood,
    /// Which letter is likeliest as the continuation of the prompt (MMLU, Hendrycks et al. 2021).
    Letter,
    /// Which letter the generated text gives.
    Generation,
}

/// How a letter is read from a generated text.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Read {
    /// The first character that is an ASCII letter or digit, in any case; after a line that begins with `##`
    /// only what follows on that line counts (FlowerTune's rule, which is Meditron's).
    #[default]
    FirstCharacter,
    /// The text starts with the letter, in the same case (instruct-eval's rule for CRASS and MMLU).
    StartsWith,
}

fn choices() -> String {
    "choices".into()
}

fn answer() -> String {
    "answer".into()
}

fn target_delimiter() -> String {
    " ".into()
}

fn max_tokens() -> u32 {
    8
}

const NAMES: [&str; 4] = ["acc", "acc_norm", "acc_bytes", "acc_mutual_info"];

impl Metric for MultipleChoice {
    const REFERENCES: &'static [&'static str] = &[
        "lm-evaluation-harness 0.4.13, output type `multiple_choice`",
        "Hendrycks et al. 2021, arXiv:2009.03300",
        "FlowerTune LLM leaderboard, medical and general NLP evaluation",
        "instruct-eval, `crass.py`",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: NAMES[0],
            meaning: "share of questions whose likeliest choice is right, or whose said letter is",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[1],
            meaning: "the same by log-likelihood over the choice's characters",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[2],
            meaning: "the same by log-likelihood over the choice's UTF-8 bytes",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[3],
            meaning: "the same by log-likelihood less that without the prompt; with `mutual_info`",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if so_far.count() > 0 {
            return Ok(());
        }
        let prompt = example.prompt()?;
        let question = self.question(example)?;
        let texts = match self.by {
            By::Likelihood => &question.choices,
            By::Letter => &question.letters,
            By::Generation => {
                let options = Generation::greedy(self.max_tokens, &self.stop);
                questions.generate(prompt, &options.to_json());
                return Ok(());
            }
        };
        // One after the other with the same prompt, so that the host reads it once.
        for context in [Some(prompt), self.mutual_info.then_some("")] {
            for text in texts.iter().filter(|_| context.is_some()) {
                let continuation = format!("{}{text}", self.target_delimiter);
                questions.likelihood(context.unwrap_or_default(), &continuation);
            }
        }
        Ok(())
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let question = self.question(example)?;
        let observe = |name: &str, said: Option<usize>| {
            let right = said.is_some_and(|said| question.right.contains(&said));
            observations.add(name, f64::from(u8::from(right)), 1.0);
        };
        let label = |said: Option<usize>| {
            let letter = |index: Option<usize>| index.map_or("", |index| &question.letters[index]);
            let expected = question.right.first().copied();
            observations.label("choice", letter(expected), letter(said));
        };
        if self.by == By::Generation {
            let texts = answers.texts(0);
            let text = texts.first().ok_or("there is no generated text")?;
            let said = self.read(text, &question.letters);
            observe(NAMES[0], said);
            label(said);
            return Ok(());
        }
        let n = question.choices.len();
        let asked = if self.mutual_info { 2 * n } else { n };
        if answers.count() as usize != asked {
            return Err(format!(
                "{asked} likelihoods were asked for, {} came",
                answers.count()
            ));
        }
        let all: Vec<f64> = (0..asked as u32)
            .map(|index| answers.log_likelihood(index))
            .collect();
        let (given, free) = all.split_at(n);
        let over = |size: fn(&str) -> usize| {
            let sizes = question.choices.iter().map(|choice| size(choice) as f64);
            let rates = given.iter().zip(sizes).map(|(value, size)| value / size);
            argmax(rates)
        };
        let best = argmax(given.iter().copied());
        observe(NAMES[0], best);
        label(best);
        if self.by == By::Likelihood {
            observe(NAMES[1], over(|choice| choice.chars().count()));
            observe(NAMES[2], over(str::len));
        }
        if self.mutual_info {
            let gains = given.iter().zip(free).map(|(given, free)| given - free);
            observe(NAMES[3], argmax(gains));
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let observed = observations.names();
        for name in NAMES {
            if observed.iter().any(|there| there == name) {
                let (mean, error) = observations.mean_of(name);
                scores.add(name, mean, true, error);
            }
        }
        Ok(())
    }
}

impl MultipleChoice {
    fn question(&self, example: &Example) -> Result<Question> {
        Question::read(example, &self.choices, &self.answer, self.first_index)
    }

    /// The choice whose letter the text gives.
    fn read(&self, text: &str, letters: &[String]) -> Option<usize> {
        match self.read {
            Read::FirstCharacter => {
                // As there: the lower case of a letter outside of ASCII may begin with one inside.
                let text = text.to_lowercase();
                let text = match text.split("\n##").nth(1) {
                    Some(after) => after.split('\n').next().unwrap_or_default(),
                    None => &text,
                };
                let first = text.chars().find(char::is_ascii_alphanumeric)?;
                let is = |letter: &String| letter.eq_ignore_ascii_case(first.encode_utf8(&mut [0]));
                letters.iter().position(is)
            }
            Read::StartsWith => {
                let text = folkmoot_sdk::extract::strip(text);
                letters
                    .iter()
                    .position(|letter| text.starts_with(letter.as_str()))
            }
        }
    }
}

/// The place of the largest value, of equal ones the first; as numpy has it, a NaN is the largest.
fn argmax(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        let better = |best: f64| value > best || (value.is_nan() && !best.is_nan());
        if best.is_none_or(|(_, best)| better(best)) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
