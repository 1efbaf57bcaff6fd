//! The gated recurrent layer (Cho et al. 2014), unrolled over a series.
//!
//! With gates z and r, candidate n, and the sigmoid σ:
//!
//! ```text
//! z = σ(W_z x + b_z + U_z h)      n = tanh(W_n x + b_n + U_n (r ∘ h))
//! r = σ(W_r x + b_r + U_r h)      h' = n + z ∘ (h - n)
//! ```

use candle_core::{DType, Result, Tensor};

/// What a step computes on its way, in the order in which a board computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Part {
    /// `W_z x + b_z`
    InputUpdate,
    /// `U_z h`
    StateUpdate,
    /// Their sum.
    SumUpdate,
    /// z
    Update,
    /// `W_r x + b_r`
    InputReset,
    /// `U_r h`
    StateReset,
    /// Their sum.
    SumReset,
    /// r
    Reset,
    /// `r ∘ h`
    Kept,
    /// `W_n x + b_n`
    InputNew,
    /// `U_n (r ∘ h)`
    StateNew,
    /// Their sum.
    SumNew,
    /// n
    New,
    /// `h - n`
    Difference,
    /// `z ∘ (h - n)`
    Mixed,
    /// h'
    Result,
}

/// How many parts a step has.
pub const PARTS: usize = Part::Result as usize + 1;

/// The weights of the three gates, z, r and n, one after the other in their rows.
#[derive(Debug, Clone)]
pub struct Weights {
    /// `[3 units, channels]`
    pub input: Tensor,
    /// `[3 units, units]`
    pub state: Tensor,
    /// `[3 units]`
    pub bias: Tensor,
}

/// Returns the states after each step; `each` gives every part of every step as it is to be used.
///
/// # Shape
///
/// `x` is `[batch, 1, steps, channels]`, the result `[batch, 1, steps, units]`, a part `[batch, units]`.
///
/// # Errors
///
/// When the shapes do not fit each other or the device fails.
pub fn forward(x: &Tensor, weights: &Weights, mut each: impl FnMut(Part, Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (batch, _, steps, channels) = x.dims4()?;
    let units = weights.bias.elem_count() / 3;
    let rows = x.contiguous()?.reshape((batch * steps, channels))?;
    let projected =
        rows.matmul(&weights.input.t()?)?.broadcast_add(&weights.bias)?.reshape((batch, steps, 3, units))?;
    let state = |gate: usize| weights.state.narrow(0, gate * units, units)?.t()?.contiguous();
    let [update, reset, new] = [state(0)?, state(1)?, state(2)?];
    let mut h = Tensor::zeros((batch, units), DType::F32, x.device())?;
    let mut states = Vec::with_capacity(steps);
    for step in 0..steps {
        let input = projected.narrow(1, step, 1)?.squeeze(1)?;
        let gate = |gate: usize| input.narrow(1, gate, 1)?.squeeze(1)?.contiguous();
        let xz = each(Part::InputUpdate, gate(0)?)?;
        let hz = each(Part::StateUpdate, h.matmul(&update)?)?;
        let sum = each(Part::SumUpdate, (xz + hz)?)?;
        let z = each(Part::Update, sigmoid(&sum)?)?;
        let xr = each(Part::InputReset, gate(1)?)?;
        let hr = each(Part::StateReset, h.matmul(&reset)?)?;
        let sum = each(Part::SumReset, (xr + hr)?)?;
        let r = each(Part::Reset, sigmoid(&sum)?)?;
        let kept = each(Part::Kept, (&r * &h)?)?;
        let xn = each(Part::InputNew, gate(2)?)?;
        let hn = each(Part::StateNew, kept.matmul(&new)?)?;
        let sum = each(Part::SumNew, (xn + hn)?)?;
        let n = each(Part::New, sum.tanh()?)?;
        let difference = each(Part::Difference, (&h - &n)?)?;
        let mixed = each(Part::Mixed, (z * difference)?)?;
        h = each(Part::Result, (n + mixed)?)?;
        states.push(h.clone());
    }
    Tensor::stack(&states, 1)?.reshape((batch, 1, steps, units))
}

/// The logistic function by the hyperbolic tangent, which does not overflow.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    ((x * 0.5)?.tanh()? + 1.0)? * 0.5
}
