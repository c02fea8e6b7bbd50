//! Optimizers and gradient clipping on flat buffers, step for step as PyTorch does them.

use serde::{Deserialize, Serialize};

/// `[training.optimizer]`
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerKind {
    /// Adam with decoupled decay (Loshchilov & Hutter 2019).
    AdamW {
        #[serde(default = "beta1")]
        beta1: f64,
        #[serde(default = "beta2")]
        beta2: f64,
        #[serde(default = "eps")]
        eps: f64,
    },
    /// b ← momentum·b + g, b = g at first; w ← w - lr·b. Decay is added to the gradient.
    Sgd {
        #[serde(default)]
        momentum: f64,
        /// w ← w - lr·(g + momentum·b) instead.
        #[serde(default)]
        nesterov: bool,
    },
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn eps() -> f64 {
    1e-8
}

impl Default for OptimizerKind {
    fn default() -> Self {
        Self::AdamW {
            beta1: beta1(),
            beta2: beta2(),
            eps: eps(),
        }
    }
}

impl OptimizerKind {
    /// What is wrong with the numbers, if anything is.
    pub fn fault(&self) -> Option<String> {
        let share = |name: &str, value: f64| {
            let wrong = !(0.0..1.0).contains(&value);
            wrong.then(|| format!("{name} is {value}, it must be from 0 to below 1"))
        };
        match *self {
            Self::AdamW { beta1, beta2, eps } => share("beta1", beta1)
                .or(share("beta2", beta2))
                .or((!(eps.is_finite() && eps > 0.0))
                    .then(|| format!("eps is {eps}, it must be above 0"))),
            Self::Sgd { momentum, nesterov } => share("momentum", momentum)
                .or((nesterov && momentum == 0.0)
                    .then(|| "nesterov needs a momentum above 0".to_owned())),
        }
    }
}

/// An optimizer with its state, which lives for one local training.
#[derive(Clone, Debug)]
pub struct Optimizer {
    kind: OptimizerKind,
    weight_decay: f64,
    step: i32,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl Optimizer {
    /// For `count` scalars.
    pub fn new(kind: OptimizerKind, count: usize, weight_decay: f64) -> Self {
        let (first, second) = match kind {
            OptimizerKind::AdamW { .. } => (count, count),
            OptimizerKind::Sgd { momentum, .. } => (if momentum > 0.0 { count } else { 0 }, 0),
        };
        Self {
            kind,
            weight_decay,
            step: 0,
            m: vec![0.0; first],
            v: vec![0.0; second],
        }
    }

    /// One step against `gradient`; scalars that are `frozen` stay, their decay included.
    pub fn step(&mut self, w: &mut [f32], gradient: &[f32], frozen: &[bool], lr: f64) {
        self.step += 1;
        match self.kind {
            OptimizerKind::AdamW { beta1, beta2, eps } => {
                self.adamw(w, gradient, frozen, lr, (beta1, beta2, eps));
            }
            OptimizerKind::Sgd { momentum, nesterov } => {
                self.sgd(w, gradient, frozen, lr, (momentum as f32, nesterov));
            }
        }
    }

    /// w ← w - lr·λ·w - lr · m̂ / (√v̂ + ε)
    fn adamw(
        &mut self,
        w: &mut [f32],
        gradient: &[f32],
        frozen: &[bool],
        lr: f64,
        (beta1, beta2, eps): (f64, f64, f64),
    ) {
        let step_size = (lr / (1.0 - beta1.powi(self.step))) as f32;
        let root = (1.0 - beta2.powi(self.step)).sqrt() as f32;
        let (decay, eps) = ((1.0 - lr * self.weight_decay) as f32, eps as f32);
        let (beta1, beta2) = (beta1 as f32, beta2 as f32);
        for index in 0..w.len() {
            if frozen[index] {
                continue;
            }
            let g = gradient[index];
            let m = beta1 * self.m[index] + (1.0 - beta1) * g;
            let v = beta2 * self.v[index] + (1.0 - beta2) * g * g;
            (self.m[index], self.v[index]) = (m, v);
            w[index] = w[index] * decay - step_size * m / (v.sqrt() / root + eps);
        }
    }

    fn sgd(
        &mut self,
        w: &mut [f32],
        gradient: &[f32],
        frozen: &[bool],
        lr: f64,
        (momentum, nesterov): (f32, bool),
    ) {
        let (lr, decay) = (lr as f32, self.weight_decay as f32);
        for index in 0..w.len() {
            if frozen[index] {
                continue;
            }
            let mut g = gradient[index] + decay * w[index];
            if momentum > 0.0 {
                let b = match self.step {
                    1 => g,
                    _ => momentum * self.m[index] + g,
                };
                self.m[index] = b;
                g = if nesterov { g + momentum * b } else { b };
            }
            w[index] -= lr * g;
        }
    }
}

/// Scales `gradient` down to L2 norm `max`, as `clip_grad_norm_` does; gives the norm before.
pub fn clip(gradient: &mut [f32], max: f64) -> f64 {
    let square = |block: &[f32]| block.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
    let norm = gradient.chunks(4096).map(square).sum::<f64>().sqrt();
    let factor = max / (norm + 1e-6);
    if factor < 1.0 {
        gradient.iter_mut().for_each(|g| *g *= factor as f32);
    }
    norm
}
