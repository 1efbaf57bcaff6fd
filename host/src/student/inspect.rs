//! A model in figures: its operators, and what of the arena holds something when.

use attar_shared::{Arithmetic, Block, Clamp, Form, Model, Operator, Parameters, Shape, Signal, Stage, Tensor};

/// An operator in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its place.
    pub index: usize,
    /// What it is.
    pub kind: String,
    /// Its window and stride, or nothing.
    pub window: String,
    /// The shape of its output.
    pub output: String,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Steps: multiply-accumulates, taps of pools, values of other operators.
    pub work: u64,
    /// Bytes of its weights and what goes with them.
    pub weight_bytes: usize,
    /// The width of its weights, if it has any.
    pub bits: Option<u32>,
    /// Bytes of the arena that hold something while it runs; those that an output shares with its input count once.
    pub alive: usize,
    /// Where its output begins in the arena.
    pub offset: u32,
}

/// Returns the operators of a model.
pub fn layers(model: &Model<'_>) -> Vec<Layer> {
    let tensors: Vec<Tensor> = model.tensors().collect();
    let sources = usize::from(model.header().source_count());
    model
        .operators()
        .enumerate()
        .map(|(index, operator)| {
            let output = tensors[usize::from(operator.output)];
            let input = tensors[usize::from(operator.inputs()[0])];
            let alive = tensors.iter().enumerate().filter(|(tensor, other)| {
                if other.held {
                    return true;
                }
                tensor.saturating_sub(sources) <= index
                    && usize::from(other.last_use) >= index
                    && (*tensor < sources || tensor - sources <= index)
            });
            Layer {
                index,
                kind: describe_kind(&operator),
                window: describe_window(&operator),
                output: shape(output.shape),
                macs: operator.macs(input.shape, output.shape),
                work: operator.work(input.shape, output.shape),
                weight_bytes: operator.parameters_range().1 as usize,
                bits: bits(&operator),
                alive: covered(alive.map(|(_, tensor)| tensor)),
                offset: output.offset,
            }
        })
        .collect()
}

/// Returns what samples of a front-end go through, and what becomes of each window, in words.
pub fn stages_and_features(signal: &Signal<'_>) -> (Vec<String>, Vec<String>) {
    let constant = |bits: u32| match signal.arithmetic {
        Arithmetic::Fixed => f64::from(bits.cast_signed()) / 2f64.powi(29),
        Arithmetic::Float => f64::from(f32::from_bits(bits)),
    };
    let stages = signal.stages().map(|stage| match stage {
        Stage::Biquad(bits) => {
            let constants = bits.map(|bits| format!("{:.4}", constant(bits)));
            format!("filter {}", constants.join(" "))
        }
        Stage::Absolute => "absolute value".into(),
        Stage::Decimate(factor) => format!("one of {factor}"),
    });
    let line = f64::from(signal.rate) / signal.decimation() as f64 / f64::from(signal.transform.max(1));
    let names = ["mean", "rms", "peak", "crest", "skewness", "kurtosis", "crossings"];
    let features = signal.blocks().map(|block| match block {
        Block::Samples { count } => format!("{count} samples"),
        Block::Statistics(statistics) => {
            let set = names.iter().enumerate().filter(|(bit, _)| statistics.set >> bit & 1 == 1);
            set.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
        }
        Block::Spectrum { decibels, first, count, .. } => {
            let unit = if decibels { "dB" } else { "amplitudes" };
            let last = f64::from(first + count - 1) * line;
            format!("spectrum of {count} lines from {:.0} to {last:.0} Hz in {unit}", f64::from(first) * line)
        }
        Block::Mel(mel) => {
            let (first, last) = (mel.edges().next().unwrap_or(0), mel.edges().last().unwrap_or(0));
            let [from, to] = [first, last].map(|edge| f64::from(edge) * line);
            let bands = format!("{} mel bands from {from:.0} to {to:.0} Hz", mel.bands);
            if mel.coefficients > 0 { format!("{} coefficients of {bands}", mel.coefficients) } else { bands }
        }
    });
    (stages.collect(), features.collect())
}

/// A tensor in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The operator that writes it; nothing for the input and the facts.
    pub written_by: Option<usize>,
    /// The last operator that reads it.
    pub last_read_by: usize,
    /// Its first byte.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
    /// Whether it stays from one run to the next.
    pub is_held: bool,
}

/// Returns the tensors of a model in the arena, sources first.
pub fn spans(model: &Model<'_>) -> Vec<Span> {
    let sources = usize::from(model.header().source_count());
    let operators = usize::from(model.header().operator_count);
    let span = |(index, tensor): (usize, Tensor)| Span {
        written_by: index.checked_sub(sources),
        last_read_by: usize::from(tensor.last_use).min(operators.saturating_sub(1)),
        offset: tensor.offset as usize,
        len: tensor.shape.len(),
        is_held: tensor.held,
    };
    model.tensors().enumerate().map(span).collect()
}

fn describe_kind(operator: &Operator<'_>) -> String {
    let order = if operator.form() == Form::Int8Rows { " in rows" } else { "" };
    let name = operator.kind().name();
    let sum = if operator.addend.is_some() { " + add" } else { "" };
    let clamped = operator.clamp != Clamp::ALL;
    let relu = if clamped { " + relu" } else { "" };
    format!("{name}{order}{sum}{relu}")
}

fn describe_window(operator: &Operator<'_>) -> String {
    let Some(window) = operator.window() else { return String::new() };
    let [height, width] = window.kernel;
    let stride = match window.stride {
        [1, 1] => String::new(),
        [a, b] if a == b => format!(" / {a}"),
        [a, b] => format!(" / {a}x{b}"),
    };
    format!("{height}x{width}{stride}")
}

fn bits(operator: &Operator<'_>) -> Option<u32> {
    match operator.parameters {
        Parameters::Bag(_) => Some(8),
        _ => operator.kind().has_channels().then(|| operator.channels.weights.bits()),
    }
}

/// Returns the number of bytes that tensors cover together.
fn covered<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> usize {
    let mut spans: Vec<(usize, usize)> =
        tensors.map(|tensor| (tensor.offset as usize, tensor.offset as usize + tensor.shape.len())).collect();
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (start, end) in spans {
        total += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    total
}

/// Returns a shape as people write it.
pub fn shape(shape: Shape) -> String {
    match shape {
        Shape { height: 1, width: 1, channels } => format!("{channels}"),
        Shape { height: 1, width, channels } => format!("{width} x {channels}"),
        Shape { height, width, channels } => format!("{height} x {width} x {channels}"),
    }
}
