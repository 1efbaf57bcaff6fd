//! RNN, GRU and LSTM as the ONNX specification writes them, with each of their attributes.

use anyhow::{Context, Result, bail, ensure};

use super::elementwise::{sigmoid, softplus};
use super::{Inputs, Run, Work};
use crate::net::ops::gemm::{Matrix, product};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Tensor, count};

/// The kind of a cell, which fixes its gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Rnn,
    Gru { reset_after: bool },
    Lstm { coupled: bool },
}

type Function = Box<dyn Fn(f32) -> f32 + Send + Sync>;

/// A recurrent layer.
struct Layer {
    cell: Cell,
    hidden: Option<i64>,
    /// Whether each direction goes from the end to the start.
    reversed: Vec<bool>,
    /// Those of each direction, one after the other.
    functions: Vec<Function>,
    clip: Option<f32>,
    batch_first: bool,
}

pub(super) fn rnn(attributes: &mut Attributes) -> Result<Run> {
    layer(attributes, Cell::Rnn)
}

pub(super) fn gru(attributes: &mut Attributes) -> Result<Run> {
    let reset_after = attributes.flag("linear_before_reset", false)?;
    layer(attributes, Cell::Gru { reset_after })
}

pub(super) fn lstm(attributes: &mut Attributes) -> Result<Run> {
    let coupled = attributes.flag("input_forget", false)?;
    layer(attributes, Cell::Lstm { coupled })
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }

    fn functions(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Gru { .. } => &["Sigmoid", "Tanh"],
            Self::Lstm { .. } => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

fn layer(attributes: &mut Attributes, cell: Cell) -> Result<Run> {
    let reversed = match attributes.text("direction", "forward")?.as_str() {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => bail!("attribute \"direction\" is {other:?}, which is not known"),
    };
    let names = match attributes.texts("activations")? {
        Some(names) => names,
        None => reversed.iter().flat_map(|_| cell.functions()).map(|name| name.to_string()).collect(),
    };
    let expected = cell.functions().len() * reversed.len();
    ensure!(names.len() == expected, "has {} activations, expected {expected}", names.len());
    let alphas = attributes.floats("activation_alpha")?;
    let betas = attributes.floats("activation_beta")?;
    let layer = Layer {
        cell,
        hidden: attributes.optional_int("hidden_size")?,
        functions: functions(&names, alphas.as_deref(), betas.as_deref())?,
        reversed,
        clip: attributes.optional_float("clip")?,
        batch_first: attributes.flag("layout", false)?,
    };
    ensure!(layer.clip.is_none_or(|clip| clip > 0.0), "attribute \"clip\" is not above 0");
    let outputs = attributes.outputs;
    Ok(Box::new(move |inputs, work| {
        let mut all = layer.run(inputs, work)?;
        all.truncate(outputs.max(1));
        Ok(all)
    }))
}

/// Returns activations by their names. Parameters are consumed in the order of the functions that have them.
fn functions(names: &[String], alphas: Option<&[f32]>, betas: Option<&[f32]>) -> Result<Vec<Function>> {
    let defaults = |name: &str| -> Result<[Option<Option<f32>>; 2]> {
        Ok(match name {
            "relu" | "tanh" | "sigmoid" | "softsign" | "softplus" => [None, None],
            "affine" | "scaledtanh" => [Some(None), Some(None)],
            "leakyrelu" => [Some(Some(0.01)), None],
            "thresholdedrelu" | "elu" => [Some(Some(1.0)), None],
            "hardsigmoid" => [Some(Some(0.2)), Some(Some(0.5))],
            _ => bail!("activation {name:?} is not known"),
        })
    };
    let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let wanted = names.iter().map(|name| defaults(name)).collect::<Result<Vec<_>>>()?;
    let mut lists = [("activation_alpha", alphas), ("activation_beta", betas)].into_iter().enumerate().map(
        |(place, (attribute, given))| -> Result<Vec<Option<f32>>> {
            let users = wanted.iter().filter(|wanted| wanted[place].is_some()).count();
            if let Some(given) = given {
                ensure!(given.len() == users, "{attribute} has {} values for {users} functions", given.len());
            }
            let mut given = given.map(|given| given.iter());
            let value = |wanted: &[Option<Option<f32>>; 2]| {
                wanted[place].and_then(|other| given.as_mut().map_or(other, |given| given.next().copied()))
            };
            Ok(wanted.iter().map(value).collect())
        },
    );
    let (alphas, betas) = (lists.next().context("no alpha")??, lists.next().context("no beta")??);
    let function = |((name, alpha), beta): ((&String, &Option<f32>), &Option<f32>)| -> Result<Function> {
        let alpha = || alpha.with_context(|| format!("activation {name:?} needs activation_alpha"));
        let beta = || beta.with_context(|| format!("activation {name:?} needs activation_beta"));
        Ok(match name.as_str() {
            "relu" => Box::new(|x| x.max(0.0)),
            "tanh" => Box::new(f32::tanh),
            "sigmoid" => Box::new(sigmoid),
            "softsign" => Box::new(|x| x / (1.0 + x.abs())),
            "softplus" => Box::new(softplus),
            "affine" => {
                let (alpha, beta) = (alpha()?, beta()?);
                Box::new(move |x| alpha * x + beta)
            }
            "scaledtanh" => {
                let (alpha, beta) = (alpha()?, beta()?);
                Box::new(move |x| alpha * (beta * x).tanh())
            }
            "leakyrelu" => {
                let alpha = alpha()?;
                Box::new(move |x| if x < 0.0 { alpha * x } else { x })
            }
            "thresholdedrelu" => {
                let alpha = alpha()?;
                Box::new(move |x| if x > alpha { x } else { 0.0 })
            }
            "elu" => {
                let alpha = alpha()?;
                Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
            }
            _ => {
                let (alpha, beta) = (alpha()?, beta()?);
                Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
            }
        })
    };
    names.iter().zip(&alphas).zip(&betas).map(function).collect()
}

/// The weights of one direction.
struct Weights<'a> {
    input: &'a [f32],
    hidden: &'a [f32],
    /// Of the input and of the state, for each gate.
    bias: Option<&'a [f32]>,
    peephole: Option<&'a [f32]>,
    functions: &'a [Function],
}

impl Layer {
    fn run(&self, inputs: &Inputs, work: &Work) -> Result<Vec<Tensor>> {
        let (shape, x) = inputs.floats(0)?;
        let (w_shape, w) = inputs.floats(1)?;
        let (r_shape, r) = inputs.floats(2)?;
        ensure!(shape.len() == 3, "an input of shape {shape:?} is no series");
        let [steps, batch] = if self.batch_first { [shape[1], shape[0]] } else { [shape[0], shape[1]] };
        let (width, gates, directions) = (shape[2], self.cell.gates(), self.reversed.len());
        ensure!(r_shape.len() == 3, "weights of shape {r_shape:?} are not those of a recurrent layer");
        let hidden = r_shape[2];
        ensure!(self.hidden.is_none_or(|size| size == hidden as i64), "attribute \"hidden_size\" is not {hidden}");
        let rows = gates.checked_mul(hidden).context("has too many units")?;
        ensure!(
            w_shape == [directions, rows, width] && r_shape == [directions, rows, hidden],
            "weights of shapes {w_shape:?} and {r_shape:?} do not fit {directions} directions of {gates} gates"
        );
        let of = |place: usize, len: usize| -> Result<Option<&[f32]>> {
            if inputs.optional(place).is_none() {
                return Ok(None);
            }
            let (shape, values) = inputs.floats(place)?;
            ensure!(shape == [directions, len], "input {place} has shape {shape:?}, expected [{directions}, {len}]");
            Ok(Some(values))
        };
        let biases = of(3, 2 * rows)?;
        let is_lstm = matches!(self.cell, Cell::Lstm { .. });
        let peepholes = if is_lstm { of(7, 3 * hidden)? } else { None };
        let lens = match inputs.optional_ints(4)? {
            Some(lens) => {
                ensure!(lens.len() == batch, "has {} lengths for {batch} series", lens.len());
                let len = |&len: &i64| usize::try_from(len).ok().filter(|&len| len <= steps);
                let lens = lens.iter().map(|value| len(value).with_context(|| format!("a series has length {value}")));
                lens.collect::<Result<Vec<_>>>()?
            }
            None => vec![steps; batch],
        };
        let state = |place: usize| -> Result<Vec<f32>> {
            if inputs.optional(place).is_none() {
                return Ok(vec![0.0; count(&[directions, batch, hidden])?]);
            }
            let (shape, values) = inputs.floats(place)?;
            let expected = if self.batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
            ensure!(shape == expected, "input {place} has shape {shape:?}, expected {expected:?}");
            Ok(if self.batch_first { swapped(values, batch, directions, hidden) } else { values.to_vec() })
        };
        let mut h = state(5)?;
        let mut c = if is_lstm { state(6)? } else { vec![0.0; h.len()] };
        let total = count(&[steps, directions, batch, hidden])?;
        count(&[steps, batch, rows])?;
        work.spend(&[steps.max(1), batch.max(1), directions, rows.max(1), (width + hidden).max(1)])?;
        let mut y = vec![0.0; total];
        let each = self.cell.functions().len();
        for direction in 0..directions {
            let weights = Weights {
                input: &w[direction * rows * width..][..rows * width],
                hidden: &r[direction * rows * hidden..][..rows * hidden],
                bias: biases.map(|all| &all[direction * 2 * rows..][..2 * rows]),
                peephole: peepholes.map(|all| &all[direction * 3 * hidden..][..3 * hidden]),
                functions: &self.functions[direction * each..][..each],
            };
            // The input's part of all gates at once, in the order of the input.
            let mut given = vec![0.0; x.len() / width.max(1) * rows];
            let sizes = [x.len() / width.max(1), rows, width];
            product(&mut given, sizes, Matrix::rows(x, width), Matrix::transposed(weights.input, width), false, false);
            for (sample, &len) in lens.iter().enumerate() {
                let at = (direction * batch + sample) * hidden;
                let (h, c) = (&mut h[at..][..hidden], &mut c[at..][..hidden]);
                for step in 0..len {
                    let step = if self.reversed[direction] { len - 1 - step } else { step };
                    let row = if self.batch_first { sample * steps + step } else { step * batch + sample };
                    self.step(&weights, &given[row * rows..][..rows], h, c);
                    let to = if self.batch_first {
                        (sample * steps + step) * directions + direction
                    } else {
                        (step * directions + direction) * batch + sample
                    };
                    y[to * hidden..][..hidden].copy_from_slice(h);
                }
            }
        }
        let all = |values: Vec<f32>| {
            let shape = if self.batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
            let values = if self.batch_first { swapped(&values, directions, batch, hidden) } else { values };
            Tensor::floats(shape.to_vec(), values)
        };
        let shape =
            if self.batch_first { [batch, steps, directions, hidden] } else { [steps, directions, batch, hidden] };
        Ok(vec![Tensor::floats(shape.to_vec(), y)?, all(h)?, all(c)?])
    }

    /// Takes one step of one series.
    fn step(&self, weights: &Weights<'_>, given: &[f32], h: &mut [f32], c: &mut [f32]) {
        let hidden = h.len();
        let rows = given.len();
        let by_state = |state: &[f32], first: usize, end: usize| {
            let mut sums = vec![0.0; end - first];
            let matrix = Matrix::transposed(&weights.hidden[first * hidden..end * hidden], hidden);
            product(&mut sums, [1, end - first, hidden], Matrix::rows(state, hidden), matrix, false, false);
            sums
        };
        let bias = |at: usize| weights.bias.map_or([0.0; 2], |bias| [bias[at], bias[rows + at]]);
        let clip = |x: f32| self.clip.map_or(x, |clip| x.clamp(-clip, clip));
        let f = |function: usize, x: f32| (weights.functions[function])(clip(x));
        match self.cell {
            Cell::Rnn => {
                let sums = by_state(h, 0, rows);
                for at in 0..hidden {
                    let [own, of_state] = bias(at);
                    h[at] = f(0, given[at] + sums[at] + own + of_state);
                }
            }
            Cell::Gru { reset_after } => {
                let sums = by_state(h, 0, 2 * hidden);
                let gate = |at: usize| {
                    let [own, of_state] = bias(at);
                    f(0, given[at] + sums[at] + own + of_state)
                };
                let update: Vec<f32> = (0..hidden).map(gate).collect();
                let reset: Vec<f32> = (hidden..2 * hidden).map(gate).collect();
                let state = if reset_after {
                    by_state(h, 2 * hidden, rows)
                } else {
                    let left: Vec<f32> = h.iter().zip(&reset).map(|(h, reset)| h * reset).collect();
                    by_state(&left, 2 * hidden, rows)
                };
                for at in 0..hidden {
                    let [own, of_state] = bias(2 * hidden + at);
                    let state = if reset_after { reset[at] * (state[at] + of_state) } else { state[at] + of_state };
                    let new = f(1, given[2 * hidden + at] + state + own);
                    h[at] = (1.0 - update[at]) * new + update[at] * h[at];
                }
            }
            Cell::Lstm { coupled } => {
                let sums = by_state(h, 0, rows);
                // In the order of the file: input, output, forget, cell; peepholes are of the first three.
                let sum = |gate: usize, at: usize| {
                    let place = gate * hidden + at;
                    let [own, of_state] = bias(place);
                    given[place] + sums[place] + own + of_state
                };
                let peep = |gate: usize, at: usize| weights.peephole.map_or(0.0, |p| p[gate * hidden + at]);
                for at in 0..hidden {
                    let input = f(0, sum(0, at) + peep(0, at) * c[at]);
                    let forget = if coupled { 1.0 - input } else { f(0, sum(2, at) + peep(2, at) * c[at]) };
                    let new = f(1, sum(3, at));
                    c[at] = forget * c[at] + input * new;
                    let output = f(0, sum(1, at) + peep(1, at) * c[at]);
                    h[at] = output * (weights.functions[2])(c[at]);
                }
            }
        }
    }
}

/// Swaps the first two axes of three.
fn swapped(values: &[f32], first: usize, second: usize, len: usize) -> Vec<f32> {
    let places = (0..second).flat_map(|b| (0..first).map(move |a| a * second + b));
    places.flat_map(|row| values[row * len..(row + 1) * len].iter().copied()).collect()
}
