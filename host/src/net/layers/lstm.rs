//! The long short-term memory (Hochreiter, Schmidhuber 1997; with forget gates Gers et al. 2000), unrolled over a series.
//!
//! With gates i, f and o, candidate g, cell c, and the sigmoid σ, as in PyTorch with its two biases added:
//!
//! ```text
//! i = σ(W_i x + b_i + U_i h)      g = tanh(W_g x + b_g + U_g h)      c' = f ∘ c + i ∘ g
//! f = σ(W_f x + b_f + U_f h)      o = σ(W_o x + b_o + U_o h)         h' = o ∘ tanh(c')
//! ```

use anyhow::Result;
use attar_shared::Kind;
use candle_core::{DType, Tensor};

use super::activation::sigmoid;
use super::{Build, Entry, Initial, MAX_UNITS, Operator, Parameter, Pass, Site, channels};
use crate::domain::Activation;
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};

/// A long short-term memory over a series; the rows of its weights are those of i, f, g and o, one after the other:
/// `weight` `[4 units, channels]`, `state` `[4 units, units]`, `bias` `[4 units]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lstm {
    /// Channels of the result.
    pub units: usize,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["channels"],
    is_activated: false,
    build: Build::Operator(|layer, place| {
        let units = channels(layer, MAX_UNITS)?;
        place.check_series()?;
        Ok(Lstm { units }.into())
    }),
};

/// The gates in the order of their rows: the names of their four operators on a board, and their functions.
const GATES: [([&str; 4], Activation); 4] = [
    (["inputin", "statein", "sumin", "in"], Activation::Sigmoid),
    (["inputforget", "stateforget", "sumforget", "forget"], Activation::Sigmoid),
    (["inputnew", "statenew", "sumnew", "new"], Activation::Tanh),
    (["inputout", "stateout", "sumout", "out"], Activation::Sigmoid),
];

impl Operator for Lstm {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, inputs[0][1], self.units])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let (units, channels, rows) = (self.units, inputs[0][2], GATES.len() * self.units);
        let glorot = |fan_in| Initial::Glorot { fan_in, fan_out: units };
        vec![
            Parameter::new("weight", [rows, channels], glorot(channels)),
            Parameter::new("state", [rows, units], glorot(units)),
            Parameter::new("bias", [rows], Initial::Zeros),
        ]
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let (x, units) = (pass.input(0)?, self.units);
        let (weight, state, bias) = (pass.weight(0)?, pass.weight(1)?, pass.parameter(2)?);
        let (batch, _, steps, channels) = x.dims4()?;
        let rows = x.contiguous()?.reshape((batch * steps, channels))?;
        let projected = rows.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape((batch, steps, GATES.len(), units))?;
        let state = |gate: usize| state.narrow(0, gate * units, units)?.t()?.contiguous();
        let states = [state(0)?, state(1)?, state(2)?, state(3)?];
        let mut h = Tensor::zeros((batch, units), DType::F32, x.device())?;
        let mut cell = h.clone();
        let mut results = Vec::with_capacity(steps);
        for step in 0..steps {
            let input = projected.narrow(1, step, 1)?.squeeze(1)?;
            let gate = |gate: usize| -> Result<Tensor> {
                let ([of_input, of_state, of_sum, name], activation) = GATES[gate];
                let own = pass.part(of_input, input.narrow(1, gate, 1)?.squeeze(1)?.contiguous()?)?;
                let other = pass.part(of_state, h.matmul(&states[gate])?)?;
                let sum = pass.part(of_sum, (own + other)?)?;
                let result = if activation == Activation::Tanh { sum.tanh()? } else { sigmoid(&sum)? };
                Ok(pass.part(name, result)?)
            };
            let [i, f, g, o] = [gate(0)?, gate(1)?, gate(2)?, gate(3)?];
            let kept = pass.part("kept", (f * &cell)?)?;
            let added = pass.part("added", (i * g)?)?;
            cell = pass.part("cell", (kept + added)?)?;
            let squashed = pass.part("squashed", cell.tanh()?)?;
            h = pass.result((o * squashed)?)?;
            results.push(h.clone());
        }
        Ok(Tensor::stack(&results, 1)?.reshape((batch, 1, steps, units))?)
    }

    /// Cell and result stay for the next step, whose gates read them before they are written.
    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let (x, units) = (site.inputs[0], self.units);
        let cell = lowered.next() + 4 * GATES.len() as u16 + 2;
        let state = cell + 2;
        let stage = |kind, inputs: &[u16]| Stage { inputs: inputs.to_vec(), ..Stage::new(site, kind) };
        let table = |activation, input| Stage { activation: Some(activation), ..stage(Kind::Table, &[input]) };
        let mut part = |name, stage| lowered.push_part(site, name, stage, units);
        let mut gate = |gate: usize| {
            let ([of_input, of_state, of_sum, name], activation) = GATES[gate];
            let dense = |weight, bias, input| {
                let weighted = Some(Weighted { weight, bias, part: gate, parts: GATES.len() });
                Stage { weighted, ..stage(Kind::Dense, &[input]) }
            };
            let own = part(of_input, dense(0, Some(2), x));
            let other = part(of_state, dense(1, None, state));
            let sum = part(of_sum, stage(Kind::Add, &[own, other]));
            part(name, table(activation, sum))
        };
        let [i, f, g, o] = [gate(0), gate(1), gate(2), gate(3)];
        let kept = part("kept", stage(Kind::Multiply, &[f, cell]));
        let added = part("added", stage(Kind::Multiply, &[i, g]));
        let written = part("cell", stage(Kind::Add, &[kept, added]));
        let squashed = part("squashed", table(Activation::Tanh, written));
        let result = Stage { name: format!("{}.result", site.name), ..stage(Kind::Multiply, &[o, squashed]) };
        lowered.hold(site, cell, written)?;
        let result = lowered.push(site, result);
        lowered.hold(site, state, result)
    }

    fn is_streamed(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::net::layers::Input;
    use crate::net::{Graph, Net};
    use crate::support::random;

    /// The formulas of `torch.nn.LSTM`, in double precision and without any tensor.
    #[test]
    fn values_are_those_of_the_published_formulas() {
        let (batch, steps, channels, units) = (2, 5, 3, 4);
        let mut graph = Graph::default();
        let input = graph.push_source("input", Input.into(), [1, steps, channels]);
        let lstm = graph.push("lstm", Lstm { units }.into(), &[input]).unwrap();
        graph.heads = vec![lstm];
        let net = Net::new(graph, &mut random::stream(5, "lstm"), &Device::Cpu).unwrap();
        let bias: Vec<f32> = (0..4 * units).map(|n| 0.3 - 0.05 * n as f32).collect();
        net.parameters[2].1.set(&Tensor::new(bias, &Device::Cpu).unwrap()).unwrap();
        let values = |tensor: &Tensor| -> Vec<f64> {
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
        };
        let [w, u, b] = [0, 1, 2].map(|place| values(net.parameters[place].1.as_tensor()));
        let x = Tensor::rand(-1f32, 1f32, (batch, 1, steps, channels), &Device::Cpu).unwrap();
        let got = values(&net.forward(&x, None, Mode::Evaluate, None).unwrap()[lstm]);
        let x = values(&x);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for sample in 0..batch {
            let (mut h, mut c) = (vec![0.0; units], vec![0.0; units]);
            for step in 0..steps {
                let x = &x[(sample * steps + step) * channels..][..channels];
                let sum = |gate: usize, unit: usize| -> f64 {
                    let row = gate * units + unit;
                    let of_input: f64 = (0..channels).map(|k| w[row * channels + k] * x[k]).sum();
                    let of_state: f64 = (0..units).map(|k| u[row * units + k] * h[k]).sum();
                    of_input + of_state + b[row]
                };
                let next: Vec<[f64; 2]> = (0..units)
                    .map(|unit| {
                        let (i, f) = (sigmoid(sum(0, unit)), sigmoid(sum(1, unit)));
                        let (g, o) = (sum(2, unit).tanh(), sigmoid(sum(3, unit)));
                        let cell = f * c[unit] + i * g;
                        [o * cell.tanh(), cell]
                    })
                    .collect();
                h = next.iter().map(|[h, _]| *h).collect();
                c = next.iter().map(|[_, c]| *c).collect();
                for (unit, expected) in h.iter().enumerate() {
                    let got = got[(sample * steps + step) * units + unit];
                    assert!((got - expected).abs() < 1e-5, "sample {sample}, step {step}: {got}, expected {expected}");
                }
            }
        }
    }
}
