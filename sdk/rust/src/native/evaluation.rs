//! `evaluation` in memory.

use std::cell::RefCell;

/// What the model answered to one question.
#[derive(Clone, Default)]
pub struct Reply {
    /// Generated texts.
    pub texts: Vec<String>,
    /// Summed natural-log likelihood.
    pub log_likelihood: f64,
    /// Tokens it was summed over.
    pub tokens: u32,
    /// Whether greedy decoding gives it.
    pub greedy: bool,
    /// Of a program: whether it ran to its end.
    pub succeeded: bool,
    /// Of a program: what it printed.
    pub output: String,
    /// Of a program: why it failed.
    pub failure: String,
}

impl Reply {
    /// Generated or judged texts.
    pub fn texts(texts: &[&str]) -> Self {
        Self {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// A log-likelihood over so many tokens.
    pub fn likelihood(log_likelihood: f64, tokens: u32) -> Self {
        Self {
            log_likelihood,
            tokens,
            ..Self::default()
        }
    }
}

/// What a metric asked.
#[derive(Default)]
pub struct Questions {
    /// Every question so far, in words.
    pub asked: RefCell<Vec<String>>,
}

/// No question yet.
pub fn questions() -> Questions {
    Questions::default()
}

/// Answers in the order of the questions.
pub struct Answers(Vec<Reply>);

/// These answers.
pub fn answers(replies: Vec<Reply>) -> Answers {
    Answers(replies)
}

/// Quantities that add over examples.
#[derive(Default)]
pub struct Observations {
    values: RefCell<Vec<(String, f64, f64)>>,
    labels: RefCell<Vec<(String, String, String)>>,
    /// What was noted for the reader.
    pub notes: RefCell<Vec<(String, String)>>,
}

/// Nothing observed yet.
pub fn observations() -> Observations {
    Observations::default()
}

/// One score of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Standard error, where the metric gives one.
    pub standard_error: Option<f64>,
}

/// What a metric scored.
#[derive(Default)]
pub struct Scores {
    /// In the order added.
    pub added: RefCell<Vec<Score>>,
}

/// No score yet.
pub fn scores() -> Scores {
    Scores::default()
}

#[allow(missing_docs, reason = "documented once, in wit/metric.wit")]
impl Questions {
    pub fn generate(&self, prompt: &str, options: &str) {
        self.note(format!("generate {prompt} {options}"));
    }

    pub fn likelihood(&self, context: &str, continuation: &str) {
        self.note(format!("likelihood {context}|{continuation}"));
    }

    pub fn perplexity(&self, text: &str) {
        self.note(format!("perplexity {text}"));
    }

    pub fn chat(&self, messages: &str, options: &str) {
        self.note(format!("chat {messages} {options}"));
    }

    pub fn judge(&self, messages: &str, options: &str) {
        self.note(format!("judge {messages} {options}"));
    }

    pub fn execute(&self, language: &str, source: &str, timeout_ms: u32) {
        self.note(format!("execute {language} {timeout_ms} {source}"));
    }

    fn note(&self, question: String) {
        self.asked.borrow_mut().push(question);
    }
}

#[allow(missing_docs, reason = "documented once, in wit/metric.wit")]
impl Answers {
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn texts(&self, index: u32) -> Vec<String> {
        self.0[index as usize].texts.clone()
    }

    pub fn log_likelihood(&self, index: u32) -> f64 {
        self.0[index as usize].log_likelihood
    }

    pub fn tokens(&self, index: u32) -> u32 {
        self.0[index as usize].tokens
    }

    pub fn greedy(&self, index: u32) -> bool {
        self.0[index as usize].greedy
    }

    pub fn succeeded(&self, index: u32) -> bool {
        self.0[index as usize].succeeded
    }

    pub fn output(&self, index: u32) -> String {
        self.0[index as usize].output.clone()
    }

    pub fn failure(&self, index: u32) -> String {
        self.0[index as usize].failure.clone()
    }
}

#[allow(missing_docs, reason = "documented once, in wit/metric.wit")]
impl Observations {
    pub fn add(&self, name: &str, sum: f64, weight: f64) {
        self.values.borrow_mut().push((name.into(), sum, weight));
    }

    pub fn label(&self, name: &str, expected: &str, predicted: &str) {
        let row = (name.into(), expected.into(), predicted.into());
        self.labels.borrow_mut().push(row);
    }

    pub fn note(&self, name: &str, text: &str) {
        self.notes.borrow_mut().push((name.into(), text.into()));
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .values
            .borrow()
            .iter()
            .map(|row| row.0.clone())
            .collect();
        names.extend(self.labels.borrow().iter().map(|row| row.0.clone()));
        names.sort();
        names.dedup();
        names
    }

    pub fn values(&self, name: &str) -> Vec<(f64, f64)> {
        let rows = self.values.borrow();
        rows.iter()
            .filter(|row| row.0 == name)
            .map(|row| (row.1, row.2))
            .collect()
    }

    pub fn labels(&self, name: &str) -> Vec<(String, String)> {
        let rows = self.labels.borrow();
        let own = rows.iter().filter(|row| row.0 == name);
        own.map(|row| (row.1.clone(), row.2.clone())).collect()
    }
}

#[allow(missing_docs, reason = "documented once, in wit/metric.wit")]
impl Scores {
    pub fn add(&self, name: &str, value: f64, higher_is_better: bool, standard_error: Option<f64>) {
        self.added.borrow_mut().push(Score {
            name: name.into(),
            value,
            higher_is_better,
            standard_error,
        });
    }
}
