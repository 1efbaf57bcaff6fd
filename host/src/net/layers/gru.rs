//! The gated recurrent layer (Cho et al. 2014), unrolled over a series.
//!
//! With gates z and r, candidate n, and the sigmoid σ:
//!
//! ```text
//! z = σ(W_z x + b_z + U_z h)      n = tanh(W_n x + b_n + U_n (r ∘ h))
//! r = σ(W_r x + b_r + U_r h)      h' = n + z ∘ (h - n)
//! ```

use anyhow::Result;
use attar_shared::Kind;
use candle_core::{DType, Tensor};

use super::activation::sigmoid;
use super::{Build, Entry, Initial, MAX_UNITS, Operator, Parameter, Pass, Site, channels};
use crate::domain::Activation;
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};

/// A gated recurrent layer over a series; the rows of its weights are those of the gates z, r and n, one after the other:
/// `weight` `[3 units, channels]`, `state` `[3 units, units]`, `bias` `[3 units]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gru {
    /// Channels of the result.
    pub units: usize,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["channels"],
    is_activated: false,
    build: Build::Operator(|layer, place| {
        let units = channels(layer, MAX_UNITS)?;
        place.check_series()?;
        Ok(Gru { units }.into())
    }),
};

/// Gates.
const GATES: usize = 3;

/// Operators of a step on a board.
const STEP: u16 = 16;

impl Operator for Gru {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, inputs[0][1], self.units])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let (units, channels) = (self.units, inputs[0][2]);
        let glorot = |fan_in| Initial::Glorot { fan_in, fan_out: units };
        vec![
            Parameter::new("weight", [GATES * units, channels], glorot(channels)),
            Parameter::new("state", [GATES * units, units], glorot(units)),
            Parameter::new("bias", [GATES * units], Initial::Zeros),
        ]
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let (x, units) = (pass.input(0)?, self.units);
        let (weight, state, bias) = (pass.weight(0)?, pass.weight(1)?, pass.parameter(2)?);
        let (batch, _, steps, channels) = x.dims4()?;
        let rows = x.contiguous()?.reshape((batch * steps, channels))?;
        let projected = rows.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape((batch, steps, GATES, units))?;
        let state = |gate: usize| state.narrow(0, gate * units, units)?.t()?.contiguous();
        let [update, reset, new] = [state(0)?, state(1)?, state(2)?];
        let mut h = Tensor::zeros((batch, units), DType::F32, x.device())?;
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let input = projected.narrow(1, step, 1)?.squeeze(1)?;
            let gate = |gate: usize| input.narrow(1, gate, 1)?.squeeze(1)?.contiguous();
            let xz = pass.part("inputupdate", gate(0)?)?;
            let hz = pass.part("stateupdate", h.matmul(&update)?)?;
            let sum = pass.part("sumupdate", (xz + hz)?)?;
            let z = pass.part("update", sigmoid(&sum)?)?;
            let xr = pass.part("inputreset", gate(1)?)?;
            let hr = pass.part("statereset", h.matmul(&reset)?)?;
            let sum = pass.part("sumreset", (xr + hr)?)?;
            let r = pass.part("reset", sigmoid(&sum)?)?;
            let kept = pass.part("kept", (&r * &h)?)?;
            let xn = pass.part("inputnew", gate(2)?)?;
            let hn = pass.part("statenew", kept.matmul(&new)?)?;
            let sum = pass.part("sumnew", (xn + hn)?)?;
            let n = pass.part("new", sum.tanh()?)?;
            let difference = pass.part("difference", (&h - &n)?)?;
            let mixed = pass.part("mixed", (z * difference)?)?;
            h = pass.result((n + mixed)?)?;
            states.push(h.clone());
        }
        Ok(Tensor::stack(&states, 1)?.reshape((batch, 1, steps, units))?)
    }

    /// The state is the result of the step before, which the last operator writes.
    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let (x, units) = (site.inputs[0], self.units);
        let state = lowered.next() + STEP - 1;
        let stage = |kind, inputs: &[u16]| Stage { inputs: inputs.to_vec(), ..Stage::new(site, kind) };
        let mut part = |name, stage| lowered.push_part(site, name, stage, units);
        let of_input = |gate| Weighted { weight: 0, bias: Some(2), part: gate, parts: GATES };
        let of_state = |gate| Weighted { weight: 1, bias: None, part: gate, parts: GATES };
        let dense = |weighted, input| Stage { weighted: Some(weighted), ..stage(Kind::Dense, &[input]) };
        let table = |activation, input| Stage { activation: Some(activation), ..stage(Kind::Table, &[input]) };
        let input = part("inputupdate", dense(of_input(0), x));
        let own = part("stateupdate", dense(of_state(0), state));
        let sum = part("sumupdate", stage(Kind::Add, &[input, own]));
        let z = part("update", table(Activation::Sigmoid, sum));
        let input = part("inputreset", dense(of_input(1), x));
        let own = part("statereset", dense(of_state(1), state));
        let sum = part("sumreset", stage(Kind::Add, &[input, own]));
        let r = part("reset", table(Activation::Sigmoid, sum));
        let kept = part("kept", stage(Kind::Multiply, &[r, state]));
        let input = part("inputnew", dense(of_input(2), x));
        let own = part("statenew", dense(of_state(2), kept));
        let sum = part("sumnew", stage(Kind::Add, &[input, own]));
        let n = part("new", table(Activation::Tanh, sum));
        let difference = part("difference", Stage { subtracts: true, ..stage(Kind::Add, &[state, n]) });
        let mixed = part("mixed", stage(Kind::Multiply, &[z, difference]));
        let result = Stage { name: format!("{}.result", site.name), ..stage(Kind::Add, &[n, mixed]) };
        let result = lowered.push(site, result);
        lowered.hold(site, state, result)
    }

    fn is_streamed(&self) -> bool {
        true
    }
}
