use std::collections::BTreeMap;
use std::sync::Arc;

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{Algorithm, Client, Kind, Message, Round, State, Training, Update};
use serde_json::{Value, json};

use crate::bench::{golden, numbers, plugin};

pub(crate) fn params(shapes: &Value, values: &Value) -> Params {
    let tensors = shapes.as_object().unwrap().iter().map(|(name, shape)| {
        let shape = numbers(shape)
            .into_iter()
            .map(|size| size as usize)
            .collect();
        let values = numbers(&values[name])
            .into_iter()
            .map(|value| value as f32)
            .collect();
        (name.clone(), shape, values)
    });
    Params::from_tensors(tensors).unwrap()
}

/// ‖found - expected‖ / ‖expected‖ against the oracle's f64 values.
pub(crate) fn off(found: &Params, shapes: &Value, expected: &Value) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for name in shapes.as_object().unwrap().keys() {
        for (found, expected) in found
            .tensor(name)
            .unwrap()
            .iter()
            .zip(numbers(&expected[name]))
        {
            error += (f64::from(*found) - expected).powi(2);
            size += expected.powi(2);
        }
    }
    // Where nothing is expected, the error itself counts.
    (error / if size > 0.0 { size } else { 1.0 }).sqrt()
}

/// One case of the golden file: an algorithm with settings, driven as a run drives it.
struct Case<'a> {
    golden: &'a Value,
    case: &'a Value,
    algorithm: Algorithm,
    server: State,
    homes: BTreeMap<u32, State>,
    global: Params,
}

impl Case<'_> {
    fn name(&self) -> &str {
        self.case["name"].as_str().unwrap()
    }

    fn expected(&self, round: u32) -> Option<&Value> {
        let expected = self.case["expected"].as_array().unwrap();
        expected.iter().find(|expected| expected["round"] == round)
    }

    /// A round whose local trainings end where the golden file says.
    fn round(&mut self, number: u32, cohort: &Value) {
        let (golden, shapes) = (self.golden, &self.golden["shapes"]);
        let examples = numbers(&golden["clients"]);
        let round = Round {
            number,
            total: 24,
            clients: examples.len() as u32,
            seed: Seed(1),
        };
        let only = self.case["only"].as_u64();
        let mut updates = Vec::new();
        for given in cohort.as_array().unwrap() {
            let id = given["client"].as_u64().unwrap() as u32;
            if only.is_some_and(|only| only != u64::from(id)) {
                continue;
            }
            let client = Client {
                id,
                examples: examples[id as usize] as u64,
                ..Client::default()
            };
            let home = self.homes.entry(id).or_default();
            let algorithm = &self.algorithm;
            let message = algorithm
                .configure(round, &client, &mut self.server)
                .unwrap();
            let objective = algorithm
                .begin(round, &self.global, &message, home)
                .unwrap();
            let expected = self.case["expected"].as_array().unwrap();
            let expected = expected.iter().find(|expected| expected["round"] == number);
            let expected = expected.map(|expected| &expected["clients"][id.to_string()]);
            if let Some(expected) = expected.filter(|expected| expected.is_object()) {
                let tolerance = 1e-6;
                let terms = [
                    ("linear", &objective.linear),
                    ("correct", &objective.correct),
                ];
                for (name, terms) in terms {
                    let expected = expected[name].as_array().cloned().unwrap_or_default();
                    assert_eq!(
                        terms.len(),
                        expected.len(),
                        "{name} of {}",
                        self.case["name"]
                    );
                    for (term, expected) in terms.iter().zip(&expected) {
                        let off = off(term, shapes, expected);
                        assert!(
                            off <= tolerance,
                            "{name} of {}, round {number}: off by {off:.1e}",
                            self.case["name"]
                        );
                    }
                }
                let expected = expected["proximal"].as_array().cloned().unwrap_or_default();
                assert_eq!(objective.proximal.len(), expected.len());
                for ((mu, reference), expected) in objective.proximal.iter().zip(&expected) {
                    assert!((mu - expected[0].as_f64().unwrap()).abs() < 1e-7);
                    assert!(off(reference, shapes, &expected[1]) <= tolerance);
                }
            }
            let delta = params(shapes, &given["delta"]);
            let (steps, lr) = (
                given["steps"].as_u64().unwrap() as u32,
                golden["lr"].as_f64().unwrap(),
            );
            let figures = BTreeMap::from([(
                "initial-loss".to_owned(),
                given["initial_loss"].as_f64().unwrap(),
            )]);
            // Around zero, so that the difference is the given delta to the last bit.
            let training = Training {
                steps,
                lr,
                figures: figures.clone(),
                before: delta.filled(0.0),
                after: delta.clone(),
                personal: None,
            };
            let message: Message = algorithm.finish(round, &training, &message, home).unwrap();
            updates.push(Arc::new(Update {
                client: Client { figures, ..client },
                steps,
                lr,
                staleness: 0,
                delta,
                message,
            }));
        }
        self.global = self
            .algorithm
            .aggregate(round, &self.global, &updates, &mut self.server)
            .unwrap();
    }
}

fn case<'a>(golden: &'a Value, case: &'a Value) -> Case<'a> {
    let algorithm = plugin(case["plugin"].as_str().unwrap(), Kind::Algorithm);
    let algorithm = Algorithm::new(algorithm, &case["settings"]).unwrap();
    let global = params(&golden["shapes"], &golden["global"]);
    let mut server = State::default();
    algorithm.start(Seed(0), &global, &mut server).unwrap();
    Case {
        golden,
        case,
        algorithm,
        server,
        homes: BTreeMap::new(),
        global,
    }
}

/// Every algorithm over 24 rounds beside numpy, which is held against Flower wherever it has the same one:
/// states, both halves, the median of both styles.
#[test]
fn algorithms_agree_with_numpy_and_flower() {
    let golden = golden("algorithms.json");
    let mut cases = golden["cases"].as_array().unwrap().clone();
    // The median in its second style has the same results.
    let median = cases
        .iter()
        .find(|case| case["plugin"] == "median")
        .unwrap();
    let mut by_block = median.clone();
    by_block["plugin"] = json!("median-by-block");
    by_block["name"] = json!("median by block");
    cases.push(by_block);
    assert!(cases.len() > 30);
    for given in &cases {
        let mut case = case(&golden, given);
        let mut checked = 0;
        for (number, cohort) in (1..).zip(golden["rounds"].as_array().unwrap()) {
            case.round(number, cohort);
            if let Some(expected) = case.expected(number) {
                let off = off(&case.global, &golden["shapes"], &expected["global"]);
                assert!(
                    off <= 1e-6,
                    "{} {}, round {number}: off by {off:.1e}",
                    case.name(),
                    given["settings"]
                );
                checked += 1;
            }
        }
        assert_eq!(checked, 6, "{}", case.name());
    }
}

/// The rounds that were worked out by hand from OpenFedLLM's source.
#[test]
fn openfedllm_is_repeated() {
    let golden = golden("algorithms.json");
    let vectors = &golden["openfedllm_vectors"];
    let one =
        |value: f64| Params::from_tensors([("w".to_owned(), vec![1], vec![value as f32])]).unwrap();
    let (examples, steps) = (
        numbers(&vectors["examples"]),
        vectors["steps"].as_u64().unwrap() as u32,
    );
    let lr = vectors["lr"].as_f64().unwrap();
    for own in vectors["algorithms"].as_array().unwrap() {
        let name = own["plugin"].as_str().unwrap();
        let algorithm = Algorithm::new(plugin(name, Kind::Algorithm), &own["settings"]).unwrap();
        let (mut server, mut homes) = (State::default(), [State::default(), State::default()]);
        let mut global = one(vectors["w"].as_f64().unwrap());
        for (index, expected) in numbers(&own["w"]).into_iter().enumerate() {
            let round = Round {
                number: index as u32 + 1,
                total: 3,
                clients: vectors["clients"].as_u64().unwrap() as u32,
                seed: Seed(1),
            };
            let offsets = numbers(&vectors["offsets"][index]);
            let updates = (0..2).map(|id| {
                let client = Client {
                    id: id as u32,
                    examples: examples[id] as u64,
                    ..Client::default()
                };
                let message = algorithm.configure(round, &client, &mut server).unwrap();
                algorithm
                    .begin(round, &global, &message, &mut homes[id])
                    .unwrap();
                let delta = one(offsets[id]);
                let training = Training {
                    steps,
                    lr,
                    figures: BTreeMap::new(),
                    before: one(0.0),
                    after: delta.clone(),
                    personal: None,
                };
                let message = algorithm
                    .finish(round, &training, &message, &mut homes[id])
                    .unwrap();
                Arc::new(Update {
                    client,
                    steps,
                    lr,
                    staleness: 0,
                    delta,
                    message,
                })
            });
            let updates: Vec<_> = updates.collect();
            global = algorithm
                .aggregate(round, &global, &updates, &mut server)
                .unwrap();
            let found = f64::from(global.values()[0]);
            assert!(
                (found / expected - 1.0).abs() <= 1e-6,
                "{name}, round {}: {found}, not {expected}",
                index + 1
            );
        }
    }
}

/// A cohort of random updates, of any size and shape.
fn cohort(clients: u32, seed: u64, scale: f32) -> Vec<Arc<Update>> {
    let shape = |name: &str, count: usize| (name.to_owned(), vec![count], vec![0.0; count]);
    let like = Params::from_tensors([
        shape("a.lora_A", 37),
        shape("a.lora_B", 5),
        shape("b.lora_B", 130),
    ])
    .unwrap();
    (0..clients)
        .map(|id| {
            let delta = like
                .gaussian(Seed(seed).derive("delta", u64::from(id)))
                .scale(scale);
            Arc::new(Update {
                client: Client {
                    id,
                    examples: 10 + 7 * u64::from(id),
                    figures: BTreeMap::from([("initial-loss".to_owned(), 1.5)]),
                    ..Client::default()
                },
                steps: 5,
                lr: 0.01,
                staleness: 0,
                delta,
                message: Message::default(),
            })
        })
        .collect()
}

fn next(algorithm: &Algorithm, global: &Params, updates: &[Arc<Update>]) -> Result<Params, String> {
    let round = Round {
        number: 1,
        total: 1,
        clients: 11,
        seed: Seed(1),
    };
    let updates: Vec<Arc<Update>> = updates
        .iter()
        .map(|update| {
            // What SCAFFOLD's client half would send.
            let message = Message {
                params: BTreeMap::from([("control-change".to_owned(), update.delta.scale(0.1))]),
                ..Message::default()
            };
            Arc::new(Update {
                message,
                ..Update::clone(update)
            })
        })
        .collect();
    let next = algorithm.aggregate(round, global, &updates, &mut State::default());
    next.map_err(|error| error.to_string())
}

/// Every algorithm with the settings it needs to start.
fn all() -> Vec<Algorithm> {
    let names = [
        "bulyan",
        "ditto",
        "fedadagrad",
        "fedadam",
        "fedavg",
        "fedavgm",
        "feddyn",
        "fednova",
        "fedper",
        "fedprox",
        "fedrep",
        "fedsa-lora",
        "fedyogi",
        "ffa-lora",
        "krum",
        "local",
        "median",
        "median-by-block",
        "multikrum",
        "norm-bounded",
        "pfedme",
        "qfedavg",
        "rfa",
        "rolora",
        "scaffold",
        "trimmed-mean",
    ];
    let folder = std::fs::read_dir(crate::bench::root().join("plugins/algorithms")).unwrap();
    assert_eq!(
        folder.count(),
        names.len(),
        "a new algorithm is tested here too"
    );
    let of = |name: &str| {
        let settings = match name {
            "fedper" | "fedrep" => json!({ "personal": ["*lora_B*"] }),
            _ => json!({}),
        };
        Algorithm::new(plugin(name, Kind::Algorithm), &settings).unwrap()
    };
    names.into_iter().map(of).collect()
}

fn name(algorithm: &Algorithm) -> &str {
    &algorithm.plugin().name
}

/// ‖a - b‖ as a share of ‖b‖.
fn apart(a: &Params, b: &Params) -> f64 {
    a.sub(b).unwrap().norm() / b.norm().max(1e-30)
}

/// Identical clients: their update, or a step in its direction (adaptive servers), and nothing else.
#[test]
fn identical_clients_are_one_client() {
    let one = cohort(1, 5, 0.1).remove(0);
    let global = one.delta.filled(1.0);
    let same: Vec<Arc<Update>> = (0..11)
        .map(|id| {
            Arc::new(Update {
                client: Client {
                    id,
                    ..one.client.clone()
                },
                ..Update::clone(&one)
            })
        })
        .collect();
    for algorithm in all() {
        let found = next(&algorithm, &global, &same)
            .unwrap()
            .sub(&global)
            .unwrap();
        match name(&algorithm) {
            // η Δ / (√v + τ) or a server step of its own: the sign is the update's.
            "fedadagrad" | "fedadam" | "fedyogi" => {
                let agree = found.mul(&one.delta).unwrap();
                assert!(
                    agree.values().iter().all(|product| *product >= 0.0),
                    "{}",
                    name(&algorithm)
                );
            }
            "feddyn" | "qfedavg" => {
                let along = found
                    .mul(&one.delta)
                    .unwrap()
                    .values()
                    .iter()
                    .filter(|p| **p < 0.0)
                    .count();
                assert_eq!(along, 0, "{}", name(&algorithm));
            }
            name => assert!(
                apart(&found, &one.delta) < 1e-5,
                "{name}: {}",
                apart(&found, &one.delta)
            ),
        }
    }
}

/// Zero deltas leave the global parameters as they are, whatever the algorithm.
#[test]
fn zero_deltas_change_nothing() {
    let zero = cohort(11, 5, 0.0);
    let global = zero[0].delta.gaussian(Seed(9));
    for algorithm in all() {
        let found = next(&algorithm, &global, &zero).unwrap();
        assert_eq!(found.values(), global.values(), "{}", name(&algorithm));
    }
}

/// The order in which clients are numbered does not matter, beyond rounding.
#[test]
fn a_permutation_of_the_clients_changes_nothing() {
    let updates = cohort(11, 5, 0.1);
    let global = updates[0].delta.filled(0.5);
    for algorithm in all() {
        // `local` is about one client's number. The last picks of Bulyan's Krum are exact ties between
        // nearest neighbours, and the lower number wins.
        if ["local", "bulyan"].contains(&name(&algorithm)) {
            continue;
        }
        let mut other: Vec<Arc<Update>> = updates.iter().rev().cloned().collect();
        let before = next(&algorithm, &global, &updates).unwrap();
        for (id, update) in other.iter_mut().enumerate() {
            let client = Client {
                id: id as u32,
                ..update.client.clone()
            };
            *update = Arc::new(Update {
                client,
                ..Update::clone(update)
            });
        }
        let after = next(&algorithm, &global, &other).unwrap();
        let apart = apart(&after, &before);
        assert!(apart < 1e-6, "{}: {apart:.1e}", name(&algorithm));
    }
}

/// Updates k times as large make a step k times as large, where the algorithm has no scale of its own.
#[test]
fn the_step_scales_with_the_updates() {
    let (updates, larger) = (cohort(11, 5, 0.1), cohort(11, 5, 0.4));
    let global = updates[0].delta.filled(0.0);
    for algorithm in all() {
        let free = ["fedadagrad", "fedadam", "fedyogi", "qfedavg"];
        if free.contains(&name(&algorithm)) {
            continue;
        }
        let before = next(&algorithm, &global, &updates).unwrap().scale(4.0);
        let after = next(&algorithm, &global, &larger).unwrap();
        assert!(apart(&after, &before) < 1e-5, "{}", name(&algorithm));
    }
}

/// What says that it is linear may run on the sum of the updates alone: the result on two cohorts of the
/// same clients whose means agree is the same.
#[test]
fn what_is_declared_linear_sees_only_the_weighted_sum() {
    let even = |update: &Arc<Update>| {
        let client = Client {
            examples: 10,
            ..update.client.clone()
        };
        Arc::new(Update {
            client,
            ..Update::clone(update)
        })
    };
    let updates: Vec<_> = cohort(8, 5, 0.1).iter().map(even).collect();
    let global = updates[0].delta.filled(0.5);
    // Shifting two clients of equal weight against each other leaves every mean alone.
    let shift = global.gaussian(Seed(77)).scale(0.05);
    let shifted = |index: usize, by: f32| {
        let update = &updates[index];
        Arc::new(Update {
            delta: update.delta.add_scaled(by, &shift).unwrap(),
            ..Update::clone(update)
        })
    };
    let mut other = updates.clone();
    (other[2], other[6]) = (shifted(2, 1.0), shifted(6, -1.0));
    let (mut linear, mut free) = (0, 0);
    for algorithm in all() {
        let declared = algorithm.plugin().description.traits["linear"] == json!(true);
        let moved = apart(
            &next(&algorithm, &global, &other).unwrap(),
            &next(&algorithm, &global, &updates).unwrap(),
        );
        match declared {
            true => assert!(moved < 1e-6, "{}: {moved:.1e}", name(&algorithm)),
            false => free += usize::from(moved > 1e-6),
        }
        linear += usize::from(declared);
    }
    assert!(
        linear >= 14 && free >= 7,
        "{linear} linear, {free} others that see more"
    );
}

/// Extreme magnitudes: an answer that is finite, or an error that says where it is not.
#[test]
fn extreme_magnitudes_end_well() {
    for scale in [1e-38f32, 1e-20, 1e18, 3e37] {
        let updates = cohort(11, 5, scale);
        let global = updates[0].delta.filled(1.0);
        for algorithm in all() {
            match next(&algorithm, &global, &updates) {
                Ok(found) => assert_eq!(found.first_non_finite(), None),
                Err(error) => assert!(
                    error.contains("holds") || error.contains("refused"),
                    "{error}"
                ),
            }
        }
    }
}

/// One client alone: every algorithm that does not need a crowd takes it; the others say how many they need.
#[test]
fn one_client_is_enough_or_refused() {
    let updates = cohort(1, 5, 0.1);
    let global = updates[0].delta.filled(1.0);
    for algorithm in all() {
        match next(&algorithm, &global, &updates) {
            Ok(_) => {}
            Err(error) => {
                let crowd = ["bulyan", "krum", "multikrum", "trimmed-mean"];
                assert!(
                    crowd.contains(&name(&algorithm)),
                    "{}: {error}",
                    name(&algorithm)
                );
                assert!(
                    error.contains("needs") || error.contains("leave"),
                    "{error}"
                );
            }
        }
    }
}
