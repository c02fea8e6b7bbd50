use std::sync::Arc;

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{
    Algorithm, Client, Kind, Metric, Observations, Partitioner, Reply, Round, State, Update, View,
};
use serde_json::json;

use crate::bench::{close, golden, plugin};

/// Global parameters that are not finite are refused by tensor, and a call that fails leaves the
/// algorithm's state as it was.
#[test]
fn a_bad_aggregate_is_refused_and_forgotten() {
    let algorithm = Algorithm::new(plugin("fedavgm", Kind::Algorithm), &json!({})).unwrap();
    let one = |value: f32| Params::from_tensors([("w".to_owned(), vec![1], vec![value])]).unwrap();
    let update = |delta| {
        let client = Client {
            examples: 1,
            ..Client::default()
        };
        let (steps, lr, staleness, message) = (1, 1.0, 0, Default::default());
        Arc::new(Update {
            client,
            steps,
            lr,
            staleness,
            delta,
            message,
        })
    };
    let round = Round {
        number: 1,
        total: 1,
        clients: 1,
        seed: Seed(1),
    };
    let mut state = State::default();
    let aggregate =
        |delta, state: &mut State| algorithm.aggregate(round, &one(1.0), &[update(delta)], state);
    let error = aggregate(one(f32::INFINITY), &mut state)
        .unwrap_err()
        .to_string();
    let expected = "plugin `fedavgm`, call `aggregate`: bad answer: next global parameters: tensor `w` holds inf at 0";
    assert_eq!(error, expected);
    let other = Params::from_tensors([("v".to_owned(), vec![1], vec![0.0])]).unwrap();
    let error = aggregate(other, &mut state).unwrap_err().to_string();
    assert!(
        error.ends_with("crashed: `params.add`: tensor `w` is missing"),
        "{error}"
    );
    assert_eq!(aggregate(one(0.5), &mut state).unwrap().values(), [1.5]);
}

fn score(scores: &[folkmoot_plugin::Score], name: &str) -> f64 {
    scores
        .iter()
        .find(|score| score.name == name)
        .unwrap()
        .value
}

/// Accuracy, its standard error and macro F1 beside scikit-learn; perplexity beside its formula.
#[test]
fn metrics_agree_with_scikit_learn() {
    let golden = golden("metrics.json");
    let cases = &golden["classification"];
    let metric = plugin("accuracy", Kind::Metric);
    let metric = Metric::new(metric, &json!({ "labels": cases["labels"] })).unwrap();
    let mut observations = Vec::new();
    for pair in cases["pairs"].as_array().unwrap() {
        let example =
            json!({ "response": pair["expected"], "reference": pair["expected"], "prompt": "?" })
                .to_string();
        let reply = Reply {
            texts: vec![pair["generated"].as_str().unwrap().to_owned()],
            ..Reply::default()
        };
        assert_eq!(metric.ask(&example, &[]).unwrap().len(), 1);
        assert_eq!(
            metric
                .ask(&example, std::slice::from_ref(&reply))
                .unwrap()
                .len(),
            0
        );
        observations.push(metric.observe(&example, &[reply]).unwrap());
    }
    let scores = metric
        .summarize(&Observations::from_iter(observations))
        .unwrap();
    close(
        "accuracy",
        score(&scores, "accuracy"),
        cases["accuracy"].as_f64().unwrap(),
        1e-12,
    );
    close(
        "macro F1",
        score(&scores, "f1_macro"),
        cases["macro_f1"].as_f64().unwrap(),
        1e-12,
    );
    let error = scores[0].standard_error.unwrap();
    close(
        "standard error",
        error,
        cases["standard_error"].as_f64().unwrap(),
        1e-12,
    );

    let cases = &golden["perplexity"];
    let metric = Metric::new(plugin("perplexity", Kind::Metric), &json!({})).unwrap();
    let example = r#"{ "prompt": "?", "continuation": " said" }"#;
    let mut observations = Vec::new();
    for pair in cases["pairs"].as_array().unwrap() {
        let reply = Reply {
            log_likelihood: pair["log_likelihood"].as_f64().unwrap(),
            tokens: pair["tokens"].as_u64().unwrap() as u32,
            ..Reply::default()
        };
        observations.push(metric.observe(example, &[reply]).unwrap());
    }
    let scores = metric
        .summarize(&Observations::from_iter(observations))
        .unwrap();
    close(
        "perplexity",
        score(&scores, "perplexity"),
        cases["value"].as_f64().unwrap(),
        1e-9,
    );
}

/// Six classes in turn.
struct Classes(u32);

impl View for Classes {
    fn examples(&self) -> u32 {
        self.0
    }
    fn columns(&self) -> Vec<String> {
        vec!["label".into()]
    }
    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        match column {
            "label" => Ok((
                (0..self.0).map(|row| row % 6).collect(),
                (b'a'..=b'f').map(|c| (c as char).to_string()).collect(),
            )),
            other => Err(format!("no column `{other}`")),
        }
    }
    fn numbers(&self, _: &str) -> Result<Vec<f64>, String> {
        Err("no numbers".into())
    }
    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok(vec![1; self.0 as usize])
    }
    fn text(&self, _: u32) -> Option<String> {
        None
    }
}

/// Partitioners hand out every row once, the same in every run, another way for another seed.
#[test]
fn partitioners_are_seeded_and_complete() {
    for (name, settings) in [
        ("iid", json!({})),
        ("dirichlet", json!({ "column": "label", "alpha": 0.3 })),
    ] {
        let partitioner = Partitioner::new(plugin(name, Kind::Partitioner), &settings).unwrap();
        let split = |seed| {
            partitioner
                .partition(Arc::new(Classes(600)), 5, Seed(seed))
                .unwrap()
        };
        let shards = split(1);
        let mut rows = shards.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..600).collect::<Vec<_>>(), "{name}");
        assert_eq!(shards, split(1), "{name}");
        assert_ne!(shards, split(2), "{name}");
    }
}

/// What `describe` says: summary from the doc comment, settings with types, defaults and ranges.
#[test]
fn settings_are_documented_by_the_struct() {
    let plugin = plugin("fedavgm", Kind::Algorithm);
    assert_eq!(plugin.description.summary, "FedAvg with server momentum.");
    assert!(plugin.description.references[0].contains("arxiv.org/abs/1909.06335"));
    let settings = plugin.settings();
    let told = settings.iter().map(|setting| {
        let default = setting.default.as_ref().map(ToString::to_string);
        let range = setting.range.clone().unwrap_or_default();
        [
            setting.name.clone(),
            setting.kind.clone(),
            default.unwrap_or_default(),
            range,
        ]
    });
    let expected = [
        ["eta", "number", "1.0", "at least 0"],
        ["beta1", "number", "0.9", "0 to 1"],
        [
            "variant",
            "choice",
            "\"paper\"",
            "\"paper\" or \"openfedllm\"",
        ],
        ["weighting", "choice", "", "\"examples\" or \"uniform\""],
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert!(settings.iter().all(|setting| !setting.required));
    let error = Algorithm::new(plugin, &json!({ "beta1": 1.5 }))
        .err()
        .unwrap()
        .to_string();
    assert_eq!(
        error,
        "settings of plugin `fedavgm`: `beta1` is 1.5, it must be 0 to 1"
    );
}
