//! The cases of an algorithm.

use std::time::Instant;

use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{Algorithm, PluginError};

use super::federation::{Learnt, Reload, Scenario, lora, zeros};
use super::recorded;
use super::transcript::Transcript;
use super::{Candidate, Finding, Host, Tell, Verdict};

/// Eight clients, all of them in every round, LoRA on two layers.
fn usual() -> Result<Scenario, PluginError> {
    let seed = Seed(2402);
    let global = zeros(&lora(2, 64, 4))?;
    Ok(Scenario {
        rounds: 3,
        examples: (1..=8).map(|k| 50 * k).collect(),
        cohort: 8,
        global: global.gaussian(seed.derive("global", 0)).scale(0.02),
        learnt: Learnt::Normal(1e-3),
        through_files: false,
        seed,
    })
}

pub(super) fn transcript(algorithm: &Algorithm) -> Result<Transcript, PluginError> {
    usual()?.play(algorithm)
}

/// Name, and what is otherwise than usual.
fn cases() -> Result<Vec<(&'static str, Scenario)>, PluginError> {
    let usual = usual()?;
    let of = |shapes: &[(String, Vec<usize>)]| -> Result<Params, PluginError> {
        Ok(zeros(&shapes.to_vec())?.gaussian(Seed(1)).scale(0.02))
    };
    let (recorded_global, recordings) = recorded::updates()?;
    let many: Vec<(String, Vec<usize>)> = (0..500)
        .map(|k| {
            let half = ["A", "B"][k % 2];
            (
                format!("layers.{}.lora_{half}.weight", k / 2),
                vec![1 + k % 7],
            )
        })
        .collect();
    Ok(vec![
        ("eight clients", usual.clone()),
        (
            "one client",
            Scenario {
                examples: vec![10],
                cohort: 1,
                ..usual.clone()
            },
        ),
        (
            "two clients",
            Scenario {
                examples: vec![10, 30],
                cohort: 2,
                ..usual.clone()
            },
        ),
        (
            "a hundred clients",
            Scenario {
                rounds: 2,
                examples: vec![10; 100],
                cohort: 100,
                ..usual.clone()
            },
        ),
        (
            "five of twelve each round",
            Scenario {
                rounds: 6,
                examples: vec![20; 12],
                cohort: 5,
                ..usual.clone()
            },
        ),
        (
            "one example beside a million",
            Scenario {
                examples: vec![1, 1_000_000, 1, 1, 1, 1, 1, 1],
                ..usual.clone()
            },
        ),
        (
            "updates of zeros",
            Scenario {
                learnt: Learnt::Same(0.0),
                ..usual.clone()
            },
        ),
        (
            "equal updates",
            Scenario {
                learnt: Learnt::Same(0.125),
                ..usual.clone()
            },
        ),
        (
            "huge updates (1e12)",
            Scenario {
                learnt: Learnt::Normal(1e12),
                ..usual.clone()
            },
        ),
        (
            "tiny updates (1e-30)",
            Scenario {
                learnt: Learnt::Normal(1e-30),
                ..usual.clone()
            },
        ),
        (
            "a single scalar",
            Scenario {
                global: of(&[("layers.0.lora_B.weight".to_owned(), vec![1])])?,
                ..usual.clone()
            },
        ),
        (
            "five hundred tensors",
            Scenario {
                global: of(&many)?,
                ..usual.clone()
            },
        ),
        (
            "recorded updates of a fine-tune",
            Scenario {
                global: recorded_global,
                learnt: Learnt::Recorded(recordings),
                ..usual
            },
        ),
    ])
}

fn load(candidate: &Candidate) -> Result<Algorithm, PluginError> {
    Algorithm::new((candidate.load)(Host::Reused)?, &candidate.settings)
}

pub(super) fn conform(candidate: &Candidate, tell: Tell) -> Result<Vec<Finding>, PluginError> {
    let algorithm = load(candidate)?;
    let mut findings = Vec::new();
    let mut found = |case: &str, verdict: Verdict| {
        let finding = Finding::new(case, verdict);
        tell(&finding);
        findings.push(finding);
    };
    for (case, scenario) in cases()? {
        let started = Instant::now();
        let played = scenario.play(&algorithm).map(|transcript| {
            let milliseconds = started.elapsed().as_secs_f64() * 1e3;
            format!(
                "{} rounds, {} answers, {milliseconds:.0} ms",
                scenario.rounds,
                transcript.len()
            )
        });
        found(case, Verdict::of(played));
    }
    // Some clients each round: their states lie and wait, too.
    for (case, scenario) in cases()?
        .into_iter()
        .filter(|(case, _)| ["eight clients", "five of twelve each round"].contains(case))
    {
        let name = format!("killed and resumed after every round, {case}");
        let verdict = resumed(&scenario, &algorithm, &|| load(candidate));
        found(&name, verdict);
    }
    Ok(findings)
}

/// Whether `scenario` goes in parts as it goes undisturbed.
fn resumed(scenario: &Scenario, algorithm: &Algorithm, reload: Reload) -> Verdict {
    let whole = match scenario.play(algorithm) {
        Ok(whole) => whole,
        Err(error) => return Verdict::of(Err(error)),
    };
    match scenario.play_resumed(algorithm, reload) {
        Ok(parts) => match whole.difference(&parts) {
            None => Verdict::Held(format!("{} answers, bit for bit", whole.len())),
            Some(place) => Verdict::Broken(format!("{place} answers otherwise than undisturbed")),
        },
        Err(error) => Verdict::Broken(format!("undisturbed it answered, and resumed: {error}")),
    }
}
