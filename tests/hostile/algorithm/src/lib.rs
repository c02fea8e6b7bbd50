//! FedAvg with momentum, m ← 0.9 m + Σ pᵢ Δᵢ, w ← w + m, that does in one hook of one round what no plugin should.

use std::hint::black_box;

use folkmoot_sdk::{
    Algorithm, Client, Message, Objective, Params, Result, Round, State, Training, Updates,
    distances, export_algorithm, log, median, pairwise_distances, report, weighted_sum,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg with momentum that misbehaves where its settings say so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hostile {
    /// What it does; nothing by default.
    #[serde(default)]
    deed: Deed,
    /// Where it does it; `aggregate` by default.
    #[serde(default)]
    hook: Hook,
    /// In which round, from 1; 3 by default, 0: in every one.
    #[serde(default = "third")]
    round: u32,
}
export_algorithm!(Hostile);

fn third() -> u32 {
    3
}

#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Default)]
#[serde(rename_all = "kebab-case")]
enum Hook {
    Start,
    Sample,
    Configure,
    Begin,
    Finish,
    #[default]
    Aggregate,
    /// Wherever it is called.
    Any,
}

#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Default)]
#[serde(rename_all = "kebab-case")]
enum Deed {
    #[default]
    Nothing,
    Trap,
    Refuse,
    Loop,
    Recursion,
    Memory,
    /// Parameters, recorded and never let go of.
    Handles,
    /// Messages that nobody gets.
    Messages,
    /// Sums of a quarter of a million items.
    Lists,
    /// The median of a quarter of a million.
    Columns,
    /// Distances of a quarter of a million to each other.
    Pairs,
    /// Distances of a quarter of a million from one.
    Distances,
    /// An expression of which everything is needed at once.
    Wide,
    /// A chain of operations as long as may be, which is used.
    Chain,
    /// A chain of selections, which every link of another chain needs.
    Reselected,
    /// Selections, each of names of its own.
    Selections,
    Glob,
    Log,
    /// A level that is a novel.
    Level,
    Report,
    /// Bytes, names, parameters in the state.
    StateBytes,
    StateNames,
    StateParams,
    MessageBytes,
    MessageNan,
    MessageScalar,
    Shapes,
    Nan,
    /// Looks at the bits of NaN, which differ between processors where nothing is done about it.
    NanBits,
    Terms,
    Strangers,
    Twice,
    Nobody,
}

/// What a hook has at hand for its deed.
#[derive(Default)]
struct Around<'a> {
    params: Option<&'a Params>,
    state: Option<&'a State>,
    message: Option<&'a Message>,
}

impl Hostile {
    fn is_due(&self, hook: Hook, round: u32) -> bool {
        let here = self.hook == hook || self.hook == Hook::Any;
        here && (self.round == round || self.round == 0)
    }

    /// The deed, if this is the place for it; which deeds are answers is left to the hook.
    fn act(&self, hook: Hook, round: u32, around: &Around) -> Result<()> {
        if !self.is_due(hook, round) {
            return Ok(());
        }
        match self.deed {
            Deed::Trap => panic!("on purpose"),
            Deed::Refuse => return Err(format!("\u{1b}[2Jno {}", "x".repeat(1 << 20))),
            Deed::Loop => loop {
                black_box(0);
            },
            Deed::Recursion => drop(black_box(deep(1))),
            Deed::Memory => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1u8; 1 << 20]);
                    black_box(&all);
                }
            }
            Deed::Messages => {
                let mut all = Vec::new();
                loop {
                    all.push(Message::new());
                }
            }
            Deed::Log => (0..20_000).for_each(|_| log("info", &"flood ".repeat(1000))),
            Deed::Level => log(&"x".repeat(1 << 20), "a level of a megabyte"),
            Deed::Report => (0..20_000).for_each(|_| report(&"y".repeat(10_000), 1.0)),
            _ => {}
        }
        if let Some(params) = around.params {
            self.act_on(params);
        }
        if let Some(state) = around.state {
            self.flood(state, around.params);
        }
        if let Some(message) = around.message {
            let chunk = vec![7u8; 1 << 20];
            match self.deed {
                Deed::MessageBytes => {
                    (0..1000).for_each(|name: u32| message.put_bytes(&name.to_string(), &chunk))
                }
                Deed::MessageScalar => message.put_scalar("loss", f64::NAN),
                Deed::MessageNan => {
                    let params = around.params.ok_or("no parameters here")?;
                    message.put_params("control", &params.filled(f32::NAN));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn act_on(&self, params: &Params) {
        let many = |count: usize| vec![params; count];
        match self.deed {
            Deed::Handles => {
                let mut all = Vec::new();
                loop {
                    all.push(params.scale(2.0));
                }
            }
            Deed::Lists => {
                let items: Vec<(&Params, f64)> =
                    many(1 << 18).into_iter().map(|item| (item, 1.0)).collect();
                loop {
                    std::mem::forget(weighted_sum(&items));
                }
            }
            Deed::Columns => drop(median(&many(1 << 18))),
            Deed::Pairs => drop(pairwise_distances(&many(1 << 18))),
            Deed::Distances => drop(distances(&many(1 << 18), params)),
            Deed::Wide => {
                let parts: Vec<Params> = (0..20_000u16)
                    .map(|part| params.offset(f32::from(part)))
                    .collect();
                let forth = parts
                    .iter()
                    .fold(params.scale(1.0), |all, part| all.maximum(part));
                let back = parts
                    .iter()
                    .rev()
                    .fold(forth, |all, part| all.minimum(part));
                black_box(back.norm());
            }
            Deed::Chain => {
                let chain = (0..500_000).fold(params.scale(1.0), |all, _| all.offset(0.0));
                black_box(chain.norm());
            }
            Deed::Reselected => {
                let chosen = (0..50_000).fold(params.scale(1.0), |all, _| all.select("*"));
                let all = (0..50_000).fold(params.scale(1.0), |all, _| all.maximum(&chosen));
                black_box(all.norm());
            }
            Deed::Selections => {
                let names = params.names();
                let mut all = Vec::new();
                for choice in 1u64.. {
                    let chosen = names.iter().enumerate();
                    let chosen = chosen.filter(|(place, _)| choice >> (place % 60) & 1 == 1);
                    let chosen: Vec<&str> = chosen.map(|(_, name)| name.as_str()).collect();
                    let part = chosen
                        .iter()
                        .skip(1)
                        .fold(params.select(chosen[0]), |part, name| {
                            part.merge(&params.select(name))
                        });
                    all.push(part);
                }
            }
            Deed::Glob => drop(params.select(&"*a".repeat(1 << 20))),
            _ => {}
        }
    }

    fn flood(&self, state: &State, params: Option<&Params>) {
        let chunk = vec![7u8; 1 << 20];
        match self.deed {
            Deed::StateBytes => {
                (0..1000).for_each(|name: u32| state.put_bytes(&name.to_string(), &chunk))
            }
            Deed::StateNames => {
                (0..20_000).for_each(|name: u32| state.put_bytes(&name.to_string(), &[]));
            }
            Deed::StateParams => {
                if let Some(params) = params {
                    (0..1000).for_each(|name: u32| state.put_params(&name.to_string(), params));
                }
            }
            _ => {}
        }
    }
}

#[inline(never)]
fn deep(depth: u64) -> u64 {
    match black_box(depth) {
        0 => 0,
        depth => deep(depth + 1) + black_box(1),
    }
}

impl Algorithm for Hostile {
    fn start(&self, global: &Params, state: &State) -> Result<()> {
        let around = Around {
            params: Some(global),
            state: Some(state),
            ..Around::default()
        };
        // There is no round yet.
        self.act(Hook::Start, self.round, &around)
    }

    fn sample(
        &self,
        round: &Round,
        clients: &[Client],
        count: u32,
        state: &State,
    ) -> Result<Option<Vec<u32>>> {
        let around = Around {
            state: Some(state),
            ..Around::default()
        };
        self.act(Hook::Sample, round.number(), &around)?;
        if self.is_due(Hook::Sample, round.number()) {
            match self.deed {
                Deed::Strangers => return Ok(Some(vec![0, 1_000_000])),
                Deed::Twice => return Ok(Some(vec![1, 1])),
                Deed::Nobody => return Ok(Some(Vec::new())),
                Deed::Lists => return Ok(Some(vec![0; 1 << 21])),
                _ => {}
            }
        }
        let ids = clients.iter().map(Client::id);
        Ok(Some(ids.take(count as usize).collect()))
    }

    fn configure(&self, round: &Round, _: &Client, state: &State, to: &Message) -> Result<()> {
        let momentum = state.params("momentum");
        let around = Around {
            params: momentum.as_ref(),
            state: Some(state),
            message: Some(to),
        };
        self.act(Hook::Configure, round.number(), &around)
    }

    fn begin(
        &self,
        round: &Round,
        global: &Params,
        received: &Message,
        state: &State,
        objective: &Objective,
    ) -> Result<()> {
        let around = Around {
            params: Some(global),
            state: Some(state),
            message: Some(received),
        };
        self.act(Hook::Begin, round.number(), &around)?;
        if self.is_due(Hook::Begin, round.number()) {
            match self.deed {
                Deed::Terms => loop {
                    objective.proximal(0.1, global);
                },
                Deed::Shapes => objective.linear(&global.select("*lora_A*")),
                Deed::Nan => objective.correct(&global.filled(f32::NAN)),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(
        &self,
        round: &Round,
        training: &Training,
        _: &Message,
        state: &State,
        to: &Message,
    ) -> Result<()> {
        let after = training.after();
        let around = Around {
            params: Some(&after),
            state: Some(state),
            message: Some(to),
        };
        self.act(Hook::Finish, round.number(), &around)
    }

    fn aggregate(
        &self,
        round: &Round,
        global: &Params,
        updates: &Updates,
        state: &State,
    ) -> Result<Params> {
        let around = Around {
            params: Some(global),
            state: Some(state),
            ..Around::default()
        };
        let mean = updates.mean()?;
        let momentum = match state.params("momentum") {
            Some(before) => mean.add_scaled(0.9, &before),
            None => mean,
        };
        state.put_params("momentum", &momentum);
        self.act(Hook::Aggregate, round.number(), &around)?;
        if self.is_due(Hook::Aggregate, round.number()) {
            match self.deed {
                Deed::Shapes => return Ok(global.select("*lora_A*")),
                Deed::Nan => return Ok(global.scale(f32::NAN)),
                Deed::NanBits => return nan_bits().map(|top| global.filled(top)),
                _ => {}
            }
        }
        Ok(global + momentum)
    }
}

/// The upper 24 bits of NaN, if each operation makes the same and the lower 8 are 0.
fn nan_bits() -> Result<f32> {
    let (zero, endless) = (black_box(0.0f32), black_box(f32::INFINITY));
    // With a sign and a payload; the last is one that signals.
    let odd = [0xffc1_2345, 0x7fc0_0001, 0x7f81_2345].map(|bits| black_box(f32::from_bits(bits)));
    let mut made = vec![
        zero / zero,
        endless - endless,
        endless * zero,
        black_box(-1.0f32).sqrt(),
    ];
    for nan in odd {
        made.extend([
            nan + 1.0,
            1.0 - nan,
            nan * 3.0,
            nan / 2.0,
            (f64::from(nan) * 2.0) as f32,
        ]);
    }
    // Many at once, which a compiler makes a vector of.
    let many: [f32; 16] = std::array::from_fn(|own| black_box(odd[own % 3]));
    made.extend(many.map(|nan| nan * 2.0 + 1.0));
    let bits: Vec<u32> = made.into_iter().map(f32::to_bits).collect();
    match bits.iter().all(|own| *own == bits[0]) && bits[0] & 0xff == 0 {
        true => Ok((bits[0] >> 8) as f32),
        false => Err(format!("NaN differ: {bits:x?}")),
    }
}
