//! `evaluation` by handles.

use super::resource;

resource! {
    /// What a metric wants to know of the model.
    Questions, QuestionsDrop;
    generate(prompt: &str, options: &str) -> () = QuestionsGenerate;
    chat(messages: &str, options: &str) -> () = QuestionsChat;
    likelihood(context: &str, continuation: &str) -> () = QuestionsLikelihood;
    perplexity(text: &str) -> () = QuestionsPerplexity;
    judge(messages: &str, options: &str) -> () = QuestionsJudge;
    execute(language: &str, source: &str, timeout_ms: u32) -> () = QuestionsExecute;
}

resource! {
    /// Answers in the order of the questions.
    Answers, AnswersDrop;
    count() -> u32 = AnswersCount;
    texts(index: u32) -> Vec<String> = AnswersTexts;
    log_likelihood(index: u32) -> f64 = AnswersLogLikelihood;
    tokens(index: u32) -> u32 = AnswersTokens;
    greedy(index: u32) -> bool = AnswersGreedy;
    succeeded(index: u32) -> bool = AnswersSucceeded;
    output(index: u32) -> String = AnswersOutput;
    failure(index: u32) -> String = AnswersFailure;
}

resource! {
    /// Quantities that add over examples.
    Observations, ObservationsDrop;
    add(name: &str, sum: f64, weight: f64) -> () = ObservationsAdd;
    label(name: &str, expected: &str, predicted: &str) -> () = ObservationsLabel;
    note(name: &str, text: &str) -> () = ObservationsNote;
    names() -> Vec<String> = ObservationsNames;
    values(name: &str) -> Vec<(f64, f64)> = ObservationsValues;
    labels(name: &str) -> Vec<(String, String)> = ObservationsLabels;
}

resource! {
    /// What a metric scores.
    Scores, ScoresDrop;
    add(name: &str, value: f64, higher_is_better: bool, standard_error: Option<f64>) -> () = ScoresAdd;
}
