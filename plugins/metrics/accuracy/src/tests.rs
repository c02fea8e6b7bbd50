use folkmoot_sdk::native::evaluation::{Reply, answers, observations, questions, scores};
use serde_json::{Value, json};

use super::*;

fn metric(settings: Value) -> Accuracy {
    serde_json::from_value(settings).unwrap()
}
