//! AdamW and gradient clipping on flat buffers, step for step as PyTorch does them.

/// AdamW with decoupled decay (Loshchilov & Hutter 2019). Its state lives for one local training.
#[derive(Clone, Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    step: i32,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl AdamW {
    /// For `count` scalars: β = (0.9, 0.999), ε = 1e-8.
    pub fn new(count: usize, weight_decay: f64) -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay,
            step: 0,
            m: vec![0.0; count],
            v: vec![0.0; count],
        }
    }

    /// w ← w - lr·λ·w - lr · m̂ / (√v̂ + ε); scalars that are `frozen` stay, their decay included.
    pub fn step(&mut self, w: &mut [f32], gradient: &[f32], frozen: &[bool], lr: f64) {
        self.step += 1;
        let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
        let step_size = (lr / (1.0 - self.beta1.powi(self.step))) as f32;
        let root = (1.0 - self.beta2.powi(self.step)).sqrt() as f32;
        let (decay, eps) = ((1.0 - lr * self.weight_decay) as f32, self.eps as f32);
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
