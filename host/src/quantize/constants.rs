//! The parameters of each operator as they stand in the file.

use anyhow::{Context, Result, bail};
use attar_shared::{Kind, Quantization};

use super::lower::{Lowered, Stage};
use crate::net::Net;
use crate::recipe::Activation;

/// Returns the parameters of an operator.
///
/// The output's scale is widened where the factor from accumulator to output would not fit the format.
pub(super) fn encode(
    net: &Net,
    lowered: &Lowered,
    stage: &Stage,
    output: usize,
    quantizations: &mut [Quantization],
) -> Result<Vec<u8>> {
    let input = quantizations[usize::from(stage.inputs[0])];
    match stage.kind {
        Kind::Dense | Kind::Convolution | Kind::Depthwise => {
            let weights = weights_of(net, stage, lowered.shapes[output][2])?;
            let rows = weights.quantized(input);
            let widest = rows.iter().fold(0.0f64, |widest, row| widest.max(row.scale));
            let least_scale = f64::from(input.scale) * widest * 4.0 * 1.0001;
            if f64::from(quantizations[output].scale) < least_scale {
                if shares_scale(lowered, output) {
                    bail!("its output shares a scale that is too fine for its weights");
                }
                quantizations[output].scale = least_scale as f32;
            }
            weights.encode(&rows, input, quantizations[output])
        }
        Kind::Add => {
            let other = quantizations[usize::from(stage.inputs[1])];
            Ok(add_constants(input, other, quantizations[output]))
        }
        Kind::AveragePool => {
            let window = stage.window.context("a pool has a window")?;
            let factor = |output: Quantization| {
                f64::from(input.scale) / (f64::from(output.scale) * window.taps() as f64 * 256.0)
            };
            let (multiplier, shift) = requantization(factor(quantizations[output]))?;
            let mut bytes = multiplier.to_le_bytes().to_vec();
            bytes.extend([shift, 0, 0, 0]);
            Ok(bytes)
        }
        Kind::Table => {
            let activation = stage.activation.context("a table has a function")?;
            let output = quantizations[output];
            Ok((0..=255u8)
                .map(|byte| {
                    let x = attar_device::dequantize(byte.cast_signed(), input);
                    attar_device::quantize(function(activation, x), output).cast_unsigned()
                })
                .collect())
        }
        Kind::MaxPool | Kind::Concat => Ok(Vec::new()),
    }
}

/// Weights in f32, a row for each output channel.
struct Weights {
    rows: Vec<Vec<f32>>,
    biases: Vec<f32>,
    /// depthwise: the file holds tap after tap, all channels of each.
    by_tap: bool,
}

/// The weights of an output channel as integers.
struct Row {
    scale: f64,
    values: Vec<i8>,
}

fn weights_of(net: &Net, stage: &Stage, outputs: usize) -> Result<Weights> {
    let name = &net.graph.nodes[stage.node].name;
    let read = |part: &str| -> Result<Vec<f32>> {
        let full = format!("{name}.{part}");
        let (_, var) = net.parameters.iter().find(|(name, _)| *name == full).context("has no weights")?;
        Ok(var.as_tensor().flatten_all()?.to_vec1::<f32>()?)
    };
    let values = read("weight")?;
    let by_tap = stage.kind == Kind::Depthwise;
    let rows = if by_tap {
        (0..outputs).map(|channel| values.iter().skip(channel).step_by(outputs).copied().collect()).collect()
    } else {
        values.chunks_exact(values.len() / outputs).map(<[f32]>::to_vec).collect()
    };
    Ok(Weights { rows, biases: read("bias")?, by_tap })
}

impl Weights {
    /// Quantises each row by its own scale, which is as fine as its greatest weight and the bound of the accumulator
    /// allow.
    fn quantized(&self, input: Quantization) -> Vec<Row> {
        self.rows
            .iter()
            .zip(&self.biases)
            .map(|(row, &bias)| {
                let greatest = row.iter().fold(0.0f32, |a, w| a.max(w.abs()));
                // The bias has to fit as well: at most 2^29 steps of input scale times weight scale.
                let for_bias = f64::from(bias.abs()) / (f64::from(input.scale) * f64::from(1 << 29));
                let mut scale = (f64::from(greatest) / 127.0).max(for_bias).max(1e-30);
                loop {
                    let values: Vec<i8> =
                        row.iter().map(|&w| (f64::from(w) / scale).round().clamp(-127.0, 127.0) as i8).collect();
                    let sum: u64 = values.iter().map(|w| u64::from(w.unsigned_abs())).sum();
                    let bias_bound = (f64::from(bias.abs()) / (f64::from(input.scale) * scale)) as u64 + 1;
                    // The zero point's share of the bias is bounded by another 128 for each weight.
                    if bias_bound + 256 * sum <= i32::MAX as u64 {
                        return Row { scale, values };
                    }
                    scale *= 2.0;
                }
            })
            .collect()
    }

    fn encode(&self, rows: &[Row], input: Quantization, output: Quantization) -> Result<Vec<u8>> {
        let (mut biases, mut multipliers, mut shifts) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &bias) in rows.iter().zip(&self.biases) {
            let step = f64::from(input.scale) * row.scale;
            let sum: i64 = row.values.iter().map(|&w| i64::from(w)).sum();
            let folded = (f64::from(bias) / step).round() as i64 - i64::from(input.zero_point) * sum;
            biases.extend(i32::try_from(folded).context("a bias does not fit 32 bits")?.to_le_bytes());
            let (multiplier, shift) = requantization(step / f64::from(output.scale))?;
            multipliers.extend(multiplier.to_le_bytes());
            shifts.push(shift);
        }
        pad(&mut shifts);
        let mut weights: Vec<u8> = if self.by_tap {
            let taps = rows.first().map_or(0, |row| row.values.len());
            (0..taps).flat_map(|tap| rows.iter().map(move |row| row.values[tap].cast_unsigned())).collect()
        } else {
            rows.iter().flat_map(|row| row.values.iter().map(|w| w.cast_unsigned())).collect()
        };
        pad(&mut weights);
        Ok([biases, multipliers, shifts, weights].concat())
    }
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

/// Returns multipliers, bias and shift of an addition, with as many bits as the bound of the accumulator allows.
fn add_constants(a: Quantization, b: Quantization, output: Quantization) -> Vec<u8> {
    let (factor_a, factor_b) =
        (f64::from(a.scale) / f64::from(output.scale), f64::from(b.scale) / f64::from(output.scale));
    let mut shift = 24u32;
    loop {
        let unit = f64::from(1u32 << shift);
        let (ma, mb) = ((factor_a * unit).round(), (factor_b * unit).round());
        let rounding = if shift == 0 { 0.0 } else { unit / 2.0 };
        let bias = rounding + f64::from(output.zero_point) * unit
            - ma * f64::from(a.zero_point)
            - mb * f64::from(b.zero_point);
        if (ma + mb) * 128.0 + bias.abs() <= f64::from(i32::MAX) || shift == 0 {
            let mut bytes: Vec<u8> = [ma, mb, bias].iter().flat_map(|&value| (value as i32).to_le_bytes()).collect();
            bytes.extend([shift as u8, 0, 0, 0]);
            return bytes;
        }
        shift -= 1;
    }
}

/// Returns whether other tensors must have the scale of this one.
fn shares_scale(lowered: &Lowered, tensor: usize) -> bool {
    lowered.stages.iter().any(|stage| {
        matches!(stage.kind, Kind::MaxPool | Kind::Concat)
            && stage.inputs.iter().any(|&input| usize::from(input) == tensor)
    })
}

fn function(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
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
        let bytes = add_constants(a, b, out);
        let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        for x in i8::MIN..=i8::MAX {
            for y in [-128i8, -3, 0, 7, 127] {
                let got = (i32::from(x) * word(0) + i32::from(y) * word(4) + word(8)) >> bytes[12];
                let exact = (f64::from(i32::from(x) + 128) * 0.05 + f64::from(i32::from(y) - 7) * 0.013) / 0.06 - 90.0;
                assert!((f64::from(got) - exact).abs() < 0.501, "{x} {y} {got} {exact}");
            }
        }
    }

    #[test]
    fn weights_that_are_all_zero_or_dwarfed_by_their_bias_still_fit() {
        let weights = Weights { rows: vec![vec![0.0; 4], vec![1e-9; 4]], biases: vec![3.0, -1000.0], by_tap: false };
        let input = Quantization { scale: 0.02, zero_point: -128 };
        let output = Quantization { scale: 10.0, zero_point: 0 };
        assert!(weights.encode(&weights.quantized(input), input, output).is_ok());
    }
}
