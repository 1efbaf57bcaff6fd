//! From weights in f32 to the constants of integer operators.

use anyhow::{Context, Result, bail};
use attar_shared::{Kind, Quantization};

use super::program::{Addition, Bag, Channels, Constants, Row};
use crate::domain::Activation;
use crate::net::Net;
use crate::net::lowering::{Lowered, Stage, Weighted};

/// Widens the scales of outputs for which the factor from accumulator to output would not fit the format, together with those
/// of the tensors that share them.
pub(super) fn widen(net: &Net, lowered: &Lowered, quantizations: &mut [Quantization]) -> Result<()> {
    let weighted: Vec<(usize, &Stage, Weights)> = lowered
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| matches!(stage.kind, Kind::Dense | Kind::Convolution | Kind::Depthwise))
        .map(|(index, stage)| {
            let output = lowered.sources + index;
            let weights = Weights::of(net, stage, lowered.shapes[output][2]);
            Ok((output, stage, weights.with_context(|| format!("layer {:?}", stage.name))?))
        })
        .collect::<Result<_>>()?;
    // What is widened may ask for more of what reads it: a pass carries it one operator further.
    for _ in 0..=lowered.stages.len() {
        let mut settled = true;
        for (output, stage, weights) in &weighted {
            let input = quantizations[usize::from(stage.inputs[0])];
            let widest =
                weights.quantized(input, stage.bits).iter().fold(0.0f64, |widest, (scale, _)| widest.max(*scale));
            let least = f64::from(input.scale) * widest * 4.0;
            if f64::from(quantizations[*output].scale) < least * 1.00005 {
                // A little more than that, so that rounding to f32 does not undo it.
                let scale = (least * 1.0001) as f32;
                lowered.sharing(*output).into_iter().for_each(|tensor| quantizations[tensor].scale = scale);
                settled = false;
            }
        }
        for (index, stage) in lowered.stages.iter().enumerate() {
            let output = lowered.sources + index;
            let least = match stage.kind {
                Kind::Multiply => {
                    let scales = stage.inputs.iter().map(|&input| f64::from(quantizations[usize::from(input)].scale));
                    4.0 * scales.product::<f64>()
                }
                Kind::Bag => row_scale(&rows_of_bag(net, stage)?, 8) / 64.0,
                _ => continue,
            };
            if f64::from(quantizations[output].scale) < least * 1.00005 {
                let scale = (least * 1.0001) as f32;
                lowered.sharing(output).into_iter().for_each(|tensor| quantizations[tensor].scale = scale);
                settled = false;
            }
        }
        if settled {
            return Ok(());
        }
    }
    bail!("the scales of tensors that depend on each other do not settle")
}

/// Returns the constants of an operator, whose scales [`widen`] has seen to.
pub(super) fn of(
    net: &Net,
    lowered: &Lowered,
    stage: &Stage,
    output: usize,
    quantizations: &[Quantization],
) -> Result<Constants> {
    let input = quantizations[usize::from(stage.inputs[0])];
    Ok(match stage.kind {
        Kind::Dense | Kind::Convolution | Kind::Depthwise => {
            let weights = Weights::of(net, stage, lowered.shapes[output][2])?;
            let rows = weights.quantized(input, stage.bits);
            let rows = weights.rows(rows, input, quantizations[output])?;
            let channels = Channels { rows, form: stage.form() };
            match stage.kind {
                Kind::Depthwise => Constants::Depthwise(channels),
                Kind::Dense => Constants::Dense(channels),
                _ => Constants::Convolution(channels),
            }
        }
        Kind::Add => {
            let other = quantizations[usize::from(stage.inputs[1])];
            Constants::Add(addition(input, other, quantizations[output], stage.subtracts))
        }
        Kind::Multiply => {
            let other = quantizations[usize::from(stage.inputs[1])];
            let scales = f64::from(input.scale) * f64::from(other.scale);
            let (multiplier, shift) = requantization(scales / f64::from(quantizations[output].scale))?;
            Constants::Multiply { multiplier, shift }
        }
        Kind::Delay => Constants::Delay,
        Kind::Bag => {
            let rows = rows_of_bag(net, stage)?;
            let scale = row_scale(&rows, 8).max(1e-30);
            let (multiplier, shift) = requantization(scale / (256.0 * f64::from(quantizations[output].scale)))?;
            let grams = stage.grams.context("a bag has n-grams")?;
            let integers = rows.iter().map(|&w| (f64::from(w) / scale).round().clamp(-127.0, 127.0) as i8);
            Constants::Bag(Bag { grams, multiplier, shift, rows: integers.collect() })
        }
        Kind::AveragePool => {
            let taps = stage.window.context("a pool has a window")?.taps();
            let factor = f64::from(input.scale) / (f64::from(quantizations[output].scale) * taps as f64 * 256.0);
            let (multiplier, shift) = requantization(factor)?;
            Constants::AveragePool { multiplier, shift }
        }
        Kind::Table => {
            let activation = stage.activation.context("a table has a function")?;
            let mut answers = Box::new([0; 256]);
            for (byte, answer) in (0..=255u8).zip(answers.iter_mut()) {
                let x = attar_device::dequantize(byte.cast_signed(), input);
                *answer = attar_device::quantize(function(activation, x), quantizations[output]);
            }
            Constants::Table(answers)
        }
        Kind::MaxPool => Constants::MaxPool,
        Kind::Concat => Constants::Concat,
        Kind::Upsample => Constants::Upsample,
        kind => bail!("{} has no lowering", kind.name()),
    })
}

/// Returns the rows of an embedding bag, which have one scale.
fn rows_of_bag(net: &Net, stage: &Stage) -> Result<Vec<f32>> {
    let weighted = stage.weighted.context("has no weights")?;
    part_of(net, stage, weighted, weighted.weight)
}

/// Returns the number of an operator's weights.
pub(super) fn weight_count(net: &Net, stage: &Stage) -> usize {
    let Some(weighted) = stage.weighted else { return 0 };
    let weight = net.parameters_of(stage.node).get(weighted.weight);
    weight.map_or(0, |(_, var)| var.elem_count() / weighted.parts)
}

/// Returns the part of a parameter that an operator has.
fn part_of(net: &Net, stage: &Stage, weighted: Weighted, place: usize) -> Result<Vec<f32>> {
    let (_, var) = net.parameters_of(stage.node).get(place).context("has too few parameters")?;
    let values = var.as_tensor().flatten_all()?.to_vec1::<f32>()?;
    let len = values.len() / weighted.parts;
    Ok(values[weighted.part * len..][..len].to_vec())
}

/// Weights in f32, a row for each output channel.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) rows: Vec<Vec<f32>>,
    pub(super) biases: Vec<f32>,
}

impl Weights {
    /// Reads the weights of a stage.
    pub(super) fn of(net: &Net, stage: &Stage, outputs: usize) -> Result<Self> {
        let weighted = stage.weighted.context("has no weights")?;
        let values = part_of(net, stage, weighted, weighted.weight)?;
        let biases = match weighted.bias {
            Some(bias) => part_of(net, stage, weighted, bias)?,
            None => vec![0.0; outputs],
        };
        let rows = if stage.kind == Kind::Depthwise {
            // Tap after tap, all channels of each.
            (0..outputs).map(|channel| values.iter().skip(channel).step_by(outputs).copied().collect()).collect()
        } else {
            values.chunks_exact(values.len() / outputs).map(<[f32]>::to_vec).collect()
        };
        Ok(Self { rows, biases })
    }

    /// Returns scale and integers of each row; the scale is as fine as its greatest weight, the bias and the bound of the
    /// accumulator allow.
    pub(super) fn quantized(&self, input: Quantization, bits: u32) -> Vec<(f64, Vec<i8>)> {
        let most = f64::from((1 << (bits - 1)) - 1);
        let integers = |row: &[f32], scale: f64| -> Vec<i8> {
            row.iter().map(|&w| (f64::from(w) / scale).round().clamp(-most, most) as i8).collect()
        };
        self.rows
            .iter()
            .zip(&self.biases)
            .map(|(row, &bias)| {
                // The bias has to fit as well: at most 2^29 steps of input scale times weight scale.
                let for_bias = f64::from(bias.abs()) / (f64::from(input.scale) * f64::from(1 << 29));
                let mut scale = row_scale(row, bits).max(for_bias).max(1e-30);
                loop {
                    let values = integers(row, scale);
                    let sum: u64 = values.iter().map(|w| u64::from(w.unsigned_abs())).sum();
                    let bias_bound = (f64::from(bias.abs()) / (f64::from(input.scale) * scale)) as u64 + 1;
                    // The zero point's share of the bias is bounded by another 128 for each weight.
                    if bias_bound + 256 * sum <= i32::MAX as u64 {
                        return (scale, values);
                    }
                    scale *= 2.0;
                }
            })
            .collect()
    }

    fn rows(&self, rows: Vec<(f64, Vec<i8>)>, input: Quantization, output: Quantization) -> Result<Vec<Row>> {
        rows.into_iter()
            .zip(&self.biases)
            .map(|((scale, weights), &bias)| {
                let step = f64::from(input.scale) * scale;
                let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
                let folded = (f64::from(bias) / step).round() as i64 - i64::from(input.zero_point) * sum;
                let bias = i32::try_from(folded).context("a bias does not fit 32 bits")?;
                let (multiplier, shift) = requantization(step / f64::from(output.scale))?;
                Ok(Row { bias, multiplier, shift, weights })
            })
            .collect()
    }
}

/// Returns the scale of a row of weights: its greatest weight becomes the greatest integer, or with 4 bits, whose steps
/// are coarse, what gives the least squared error.
pub(super) fn row_scale(row: &[f32], bits: u32) -> f64 {
    let most = f64::from((1 << (bits - 1)) - 1);
    let greatest = f64::from(row.iter().fold(0.0f32, |a, w| a.max(w.abs())));
    if bits > 4 {
        return greatest / most;
    }
    let error = |scale: f64| -> f64 {
        row.iter()
            .map(|&w| {
                let w = f64::from(w);
                ((w / scale).round().clamp(-most, most) * scale - w).powi(2)
            })
            .sum()
    };
    let scales = (0..32).map(|step| (1.0 - f64::from(step) / 64.0) * greatest / most).filter(|&scale| scale > 0.0);
    scales.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(0.0)
}

/// Returns multiplier and shift with `multiplier / 2^(32 + shift)` next to a factor below 1/4.
///
/// Factors below 2^-33 answer 0 for any accumulator; they get the least that the format can say.
fn requantization(factor: f64) -> Result<(i32, u8)> {
    if !(factor > 0.0 && factor < 0.25) {
        bail!("the factor from accumulator to output is {factor}, expected between 0 and 1/4");
    }
    let mut shift = 1;
    while shift < 31 && factor * f64::from(1u32 << shift) * 4_294_967_296.0 < f64::from(1 << 30) {
        shift += 1;
    }
    let multiplier = (factor * f64::from(1u32 << shift) * 4_294_967_296.0).round();
    Ok((multiplier.clamp(f64::from(1 << 30), f64::from(i32::MAX)) as i32, shift))
}

/// Returns factors, bias and shift of an addition or a subtraction, with as many bits as the bound of the accumulator allows.
fn addition(a: Quantization, b: Quantization, output: Quantization, subtracts: bool) -> Addition {
    let (factor_a, factor_b) =
        (f64::from(a.scale) / f64::from(output.scale), f64::from(b.scale) / f64::from(output.scale));
    let mut shift = 24u32;
    loop {
        let unit = f64::from(1u32 << shift);
        let (ma, mb) = ((factor_a * unit).round(), (factor_b * unit).round() * if subtracts { -1.0 } else { 1.0 });
        let rounding = if shift == 0 { 0.0 } else { unit / 2.0 };
        let bias = rounding + f64::from(output.zero_point) * unit
            - ma * f64::from(a.zero_point)
            - mb * f64::from(b.zero_point);
        if (ma + mb.abs()) * 128.0 + bias.abs() <= f64::from(i32::MAX) || shift == 0 {
            return Addition { factors: [ma as i32, mb as i32], bias: bias as i32, shift: shift as u8 };
        }
        shift -= 1;
    }
}

fn function(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::None => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requantization_is_within_a_billionth_of_its_factor() {
        for factor in [0.2499, 0.25 - 1e-12, 0.1, 1.0 / 3.0 / 8.0, 1e-3, 1e-6, 2e-10] {
            let (multiplier, shift) = requantization(factor).unwrap();
            assert!(multiplier >= 1 << 30 && (1..=31).contains(&shift));
            let got = f64::from(multiplier) / 2f64.powi(32 + i32::from(shift));
            assert!((got / factor - 1.0).abs() < 1e-9, "{factor} became {got}");
        }
        assert!(requantization(0.25).is_err() && requantization(0.0).is_err() && requantization(f64::NAN).is_err());
        assert_eq!(requantization(1e-15).unwrap(), (1 << 30, 31));
    }

    #[test]
    fn addition_is_the_nearest_int8_to_the_exact_sum() {
        let a = Quantization { scale: 0.05, zero_point: -128 };
        let b = Quantization { scale: 0.013, zero_point: 7 };
        let out = Quantization { scale: 0.06, zero_point: -90 };
        let Addition { factors, bias, shift } = addition(a, b, out, false);
        for x in i8::MIN..=i8::MAX {
            for y in [-128i8, -3, 0, 7, 127] {
                let got = (i32::from(x) * factors[0] + i32::from(y) * factors[1] + bias) >> shift;
                let exact = (f64::from(i32::from(x) + 128) * 0.05 + f64::from(i32::from(y) - 7) * 0.013) / 0.06 - 90.0;
                assert!((f64::from(got) - exact).abs() < 0.501, "{x} {y} {got} {exact}");
            }
        }
    }

    #[test]
    fn weights_that_are_all_zero_or_dwarfed_by_their_bias_still_fit() {
        let weights = Weights { rows: vec![vec![0.0; 4], vec![1e-9; 4]], biases: vec![3.0, -1000.0] };
        let input = Quantization { scale: 0.02, zero_point: -128 };
        let output = Quantization { scale: 10.0, zero_point: 0 };
        assert!(weights.rows(weights.quantized(input, 8), input, output).is_ok());
        assert!(weights.rows(weights.quantized(input, 4), input, output).is_ok());
    }
}
