//! What each operator calculates, one loop an axis.

use super::{Channels, Kind, Operator, Tensor, Window};

impl Operator {
    /// The values of the output, from the shapes and the values of the tensors before it.
    pub(super) fn evaluate(&self, tensors: &[Tensor], values: &[Vec<i8>], output: &Tensor) -> Vec<i8> {
        let inputs: Vec<Operand<'_>> =
            self.inputs.iter().map(|input| Operand { tensor: &tensors[*input], values: &values[*input] }).collect();
        let first = inputs[0];
        // The operator alone has a zero point of its own where an addition follows it.
        let zero_point = i64::from(self.addend.map_or(output.zero_point, |addend| addend.zero_point));
        let mut result = Vec::new();
        for y in 0..output.height {
            for x in 0..output.width {
                for c in 0..output.channels {
                    let wide = match &self.kind {
                        Kind::Dense(channels) => dense(channels, first, zero_point, c),
                        Kind::Convolution(channels) => {
                            convolution(channels, &self.window, first, zero_point, [y, x, c])
                        }
                        Kind::Depthwise(channels) => {
                            depthwise(channels, &self.window, first, [output.channels, y, x, c], zero_point)
                        }
                        Kind::Add { a_multiplier, b_multiplier, bias, shift } => {
                            let a = first.at(y, x, c) * i64::from(*a_multiplier);
                            let b = inputs[1].broadcast(y, x, c) * i64::from(*b_multiplier);
                            (a + b + i64::from(*bias)).div_euclid(1 << shift)
                        }
                        Kind::AveragePool { multiplier, shift } => {
                            let zero_point = i64::from(first.tensor.zero_point);
                            let mut sum = 0;
                            for [y, x] in self.window.taps_inside(first.tensor, [y, x]) {
                                sum += first.at(y, x, c) - zero_point;
                            }
                            i64::from(output.zero_point) + requantize(256 * sum, *multiplier, *shift)
                        }
                        Kind::MaxPool => {
                            let taps = self.window.taps_inside(first.tensor, [y, x]);
                            taps.iter().map(|[y, x]| first.at(*y, *x, c)).max().expect("a tap inside the input")
                        }
                        Kind::Table(entries) => i64::from(entries[usize::from(first.at(y, x, c) as u8)]),
                        Kind::Upsample => {
                            let (rows, columns) =
                                (output.height / first.tensor.height, output.width / first.tensor.width);
                            first.at(y / rows, x / columns, c)
                        }
                        Kind::Concat => concat(&inputs, y, x, c),
                        Kind::Multiply { multiplier, shift } => {
                            let a = first.at(y, x, c) - i64::from(first.tensor.zero_point);
                            let b = inputs[1].broadcast(y, x, c) - i64::from(inputs[1].tensor.zero_point);
                            i64::from(output.zero_point) + requantize(a * b, *multiplier, *shift)
                        }
                        Kind::Bag(bag) => bag.mean(first.values, output)[c],
                        Kind::Delay => {
                            let new = inputs[1];
                            let kept = output.width - new.tensor.width;
                            if x < kept { first.at(y, x + new.tensor.width, c) } else { new.at(y, x - kept, c) }
                        }
                    };
                    let wide = match self.addend {
                        None => wide,
                        Some(addend) => {
                            let a = wide.clamp(i64::from(addend.least), i64::from(addend.greatest));
                            let a = a * i64::from(addend.a_multiplier);
                            let b = inputs[1].broadcast(y, x, c) * i64::from(addend.b_multiplier);
                            (a + b + i64::from(addend.bias)).div_euclid(1 << addend.shift)
                        }
                    };
                    result.push(wide.clamp(i64::from(self.least), i64::from(self.greatest)) as i8);
                }
            }
        }
        result
    }
}

impl Window {
    /// The position of tap `k` of output `o`, or `None` in the padding; axis 0 has the rows, axis 1 the columns.
    fn position(&self, axis: usize, o: usize, k: usize, len: usize) -> Option<usize> {
        let before_padding = o * self.stride[axis] + k * self.dilation[axis];
        let position = before_padding as i64 - self.padding[axis] as i64;
        if position >= 0 && position < len as i64 { Some(position as usize) } else { None }
    }

    fn taps_inside(&self, input: &Tensor, [oy, ox]: [usize; 2]) -> Vec<[usize; 2]> {
        let mut taps = Vec::new();
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                let y = self.position(0, oy, ky, input.height);
                let x = self.position(1, ox, kx, input.width);
                if let (Some(y), Some(x)) = (y, x) {
                    taps.push([y, x]);
                }
            }
        }
        taps
    }
}

/// A tensor that an operator reads.
#[derive(Clone, Copy)]
struct Operand<'a> {
    tensor: &'a Tensor,
    values: &'a [i8],
}

impl Operand<'_> {
    fn at(&self, y: usize, x: usize, c: usize) -> i64 {
        i64::from(self.values[self.tensor.index(y, x, c)])
    }

    /// The value at a position, or that of the only position of a vector.
    fn broadcast(&self, y: usize, x: usize, c: usize) -> i64 {
        if self.tensor.is_vector() { self.at(0, 0, c) } else { self.at(y, x, c) }
    }
}

fn dense(channels: &Channels, input: Operand<'_>, zero_point: i64, o: usize) -> i64 {
    let count = input.values.len();
    let mut sum = 0;
    for (i, x) in input.values.iter().enumerate() {
        sum += i64::from(channels.weights[o * count + i]) * i64::from(*x);
    }
    channels.output(sum, zero_point, o)
}

fn convolution(
    channels: &Channels,
    window: &Window,
    input: Operand<'_>,
    zero_point: i64,
    [oy, ox, o]: [usize; 3],
) -> i64 {
    let [kernel_height, kernel_width] = window.kernel;
    let mut sum = 0;
    for ky in 0..kernel_height {
        for kx in 0..kernel_width {
            let y = window.position(0, oy, ky, input.tensor.height);
            let x = window.position(1, ox, kx, input.tensor.width);
            for c in 0..input.tensor.channels {
                let at = ((o * kernel_height + ky) * kernel_width + kx) * input.tensor.channels + c;
                let value = match (y, x) {
                    (Some(y), Some(x)) => input.at(y, x, c),
                    _ => i64::from(input.tensor.zero_point),
                };
                sum += i64::from(channels.weights[at]) * value;
            }
        }
    }
    channels.output(sum, zero_point, o)
}

fn depthwise(
    channels: &Channels,
    window: &Window,
    input: Operand<'_>,
    [depth, oy, ox, c]: [usize; 4],
    zero_point: i64,
) -> i64 {
    let [kernel_height, kernel_width] = window.kernel;
    let mut sum = 0;
    for ky in 0..kernel_height {
        for kx in 0..kernel_width {
            let y = window.position(0, oy, ky, input.tensor.height);
            let x = window.position(1, ox, kx, input.tensor.width);
            let at = (ky * kernel_width + kx) * depth + c;
            let value = match (y, x) {
                (Some(y), Some(x)) => input.at(y, x, c),
                _ => i64::from(input.tensor.zero_point),
            };
            sum += i64::from(channels.weights[at]) * value;
        }
    }
    channels.output(sum, zero_point, c)
}

fn concat(inputs: &[Operand<'_>], y: usize, x: usize, c: usize) -> i64 {
    let mut channel = c;
    for input in inputs {
        if channel < input.tensor.channels {
            return input.broadcast(y, x, channel);
        }
        channel -= input.tensor.channels;
    }
    panic!("channel {c} is in no input");
}

impl Channels {
    /// The output of channel `o` before the clamp, from the sum of weights times inputs.
    fn output(&self, sum: i64, zero_point: i64, o: usize) -> i64 {
        let accumulator = i64::from(self.biases[o]) + sum;
        zero_point + requantize(accumulator, self.multipliers[o], self.shifts[o])
    }
}

/// `floor((a · m + 2^(31 + s)) / 2^(32 + s))`.
pub(super) fn requantize(a: i64, m: i32, s: u8) -> i64 {
    let numerator = i128::from(a) * i128::from(m) + (1_i128 << (31 + s));
    numerator.div_euclid(1_i128 << (32 + s)) as i64
}

#[cfg(test)]
mod tests {
    use super::super::Addend;
    use super::*;

    #[test]
    fn requantize_rounds_halves_up() {
        // m = 2^30, s = 1 is a factor of 1/8
        for (a, expected) in [(0, 0), (3, 0), (4, 1), (5, 1), (11, 1), (12, 2), (-3, 0), (-4, 0), (-5, -1), (-12, -1)] {
            assert_eq!(requantize(a, 1 << 30, 1), expected, "{a} / 8");
        }
        assert_eq!(requantize(-13, 1 << 30, 1), -2);
        // the greatest products are a little above 2^29 - 1/2 in size, which the half lifts and the floor sinks
        assert_eq!(requantize(i64::from(i32::MAX), i32::MAX, 1), 1 << 29);
        assert_eq!(requantize(-i64::from(i32::MAX), i32::MAX, 1), -(1 << 29));
        assert_eq!(requantize(i64::from(i32::MAX), i32::MAX, 31), 0);
        // -1/4, then a little above -1/2
        assert_eq!(requantize(-(1 << 31), 1 << 30, 31), 0);
        assert_eq!(requantize(-(1 << 31), i32::MAX, 31), 0);
    }

    #[test]
    fn requantize_equals_the_high_multiply() {
        for a in (-2_147_483_647..2_147_483_647_i64).step_by(9_876_543) {
            for m in [1 << 30, (1 << 30) + 12_345, i32::MAX] {
                for s in [1, 2, 15, 31] {
                    let high = (a * i64::from(m)) >> 32;
                    assert_eq!(requantize(a, m, s), (high + (1 << (s - 1))) >> s, "{a} {m} {s}");
                }
            }
        }
    }

    #[test]
    fn dense_adds_bias_and_zero_point_and_clamps() {
        let kind = Kind::Dense(eighths(vec![1, -4], vec![1, 2, 3, -8, 0, 0]));
        let input = (tensor([1, 1, 3], 99), vec![5, -6, 10]);
        // 1 + 5 - 12 + 30 = 24 is 3; -4 - 40 = -44 is -5.5, so -5
        assert_eq!(evaluate(operator(kind.clone()), std::slice::from_ref(&input), tensor([1, 1, 2], 10)), [13, 5]);
        let clamped = Operator { least: 6, greatest: 12, ..operator(kind) };
        assert_eq!(evaluate(clamped, &[input], tensor([1, 1, 2], 10)), [12, 6]);
    }

    #[test]
    fn convolution_reads_the_zero_point_in_the_padding() {
        // one row; taps at o·2 + k·3 - 3; 8 · (x0 - x1 + 2 x2) / 8, second channel 8 · x1 / 8
        let weights = vec![8, -8, 16, 0, 8, 0];
        let operator = Operator {
            window: Window { kernel: [1, 3], stride: [1, 2], dilation: [1, 3], padding: [0, 3] },
            ..operator(Kind::Convolution(eighths(vec![0, 8], weights)))
        };
        let input = (tensor([1, 5, 1], 7), vec![1, 2, 3, 4, 5]);
        // outputs 0, 1, 2 read (-3, 0, 3), (-1, 2, 5), (1, 4, 7)
        let expected = [7 - 1 + 8, 1 + 1, 7 - 3 + 14, 3 + 1, 2 - 5 + 14, 5 + 1];
        assert_eq!(evaluate(operator, &[input], tensor([1, 3, 2], 0)), expected);
    }

    #[test]
    fn convolution_weights_are_output_row_column_channel() {
        let operator = Operator {
            window: Window { kernel: [2, 2], stride: [1, 1], dilation: [1, 1], padding: [0, 0] },
            ..operator(Kind::Convolution(eighths(vec![0], vec![8, 0, 0, 16, 24, 0, 0, 32])))
        };
        let input = (tensor([2, 3, 2], 0), vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let expected = [1 + 2 * 4 + 3 * 7 + 4 * 10, 3 + 2 * 6 + 3 * 9 + 4 * 12];
        assert_eq!(evaluate(operator, &[input], tensor([1, 2, 1], 0)), expected);
    }

    #[test]
    fn depthwise_keeps_channels_apart() {
        let operator = Operator {
            window: Window { kernel: [2, 1], stride: [1, 1], dilation: [1, 1], padding: [1, 0] },
            ..operator(Kind::Depthwise(eighths(vec![0, 0], vec![8, 16, 24, -8])))
        };
        let input = (tensor([2, 1, 2], -1), vec![3, 4, 5, 6]);
        // channel 0: above + 3 · here; channel 1: 2 · above - here
        let expected = [-1 + 9, -2 - 4, 3 + 15, 8 - 6, 5 - 3, 12 + 1];
        assert_eq!(evaluate(operator, &[input], tensor([3, 1, 2], 0)), expected);
    }

    #[test]
    fn average_pool_counts_the_padding_as_zero() {
        // 2^30 / 2^(32 + 8) · 256 = 1/4, for 2 · 2 taps of equal scales
        let operator = Operator {
            window: Window { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], padding: [1, 1] },
            ..operator(Kind::AveragePool { multiplier: 1 << 30, shift: 8 })
        };
        let input = (tensor([2, 2, 1], 10), vec![12, 13, 10, 2]);
        // (12 - 10) / 4 is 0.5, so 1; 3 / 4 is 1; 0; -8 / 4 is -2
        assert_eq!(evaluate(operator.clone(), &[input], tensor([2, 2, 1], -5)), [-4, -4, -5, -7]);
        let below = (tensor([2, 2, 1], 10), vec![8, 4, 9, 10]);
        // -0.5 is 0, -1.5 is -1, -0.25 is 0
        assert_eq!(evaluate(operator, &[below], tensor([2, 2, 1], -5)), [-5, -6, -5, -5]);
    }

    #[test]
    fn max_pool_leaves_out_the_padding() {
        let operator = Operator {
            window: Window { kernel: [1, 3], stride: [1, 2], dilation: [1, 1], padding: [0, 1] },
            ..operator(Kind::MaxPool)
        };
        let input = (tensor([1, 4, 2], 100), vec![-9, 1, -7, 2, -8, 5, -20, 4]);
        assert_eq!(evaluate(operator, &[input], tensor([1, 2, 2], 100)), [-7, 2, -7, 5]);
    }

    #[test]
    fn add_floors_and_repeats_a_vector() {
        let kind = Kind::Add { a_multiplier: 3, b_multiplier: -2, bias: 1, shift: 2 };
        let a = (tensor([1, 2, 2], 0), vec![1, -1, 10, -128]);
        let b = (tensor([1, 1, 2], 0), vec![3, 5]);
        // -2 / 4, -12 / 4, 25 / 4, -393 / 4
        assert_eq!(evaluate(operator(kind.clone()), &[a.clone(), b], tensor([1, 2, 2], 50)), [-1, -3, 6, -99]);
        let whole = (tensor([1, 2, 2], 0), vec![3, 5, 0, 1]);
        let clamped = Operator { least: -2, greatest: 7, ..operator(kind) };
        assert_eq!(evaluate(clamped, &[a, whole], tensor([1, 2, 2], 50)), [-1, -2, 7, -2]);
    }

    #[test]
    fn addend_follows_the_result_with_its_own_zero_point() {
        // 8 x / 8 around 3, kept below 20; then (2 y - b + 1) >> 1, kept above -4
        let addend =
            Addend { a_multiplier: 2, b_multiplier: -1, bias: 1, shift: 1, zero_point: 3, least: -128, greatest: 20 };
        let operator =
            Operator { addend: Some(addend), least: -4, ..operator(Kind::Depthwise(eighths(vec![0], vec![8]))) };
        let operator = Operator {
            window: Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] },
            ..operator
        };
        let input = (tensor([1, 3, 1], 0), vec![4, 50, -6]);
        let other = (tensor([1, 3, 1], 0), vec![10, 5, 9]);
        // y is 7, 20, -3
        assert_eq!(evaluate(operator, &[input, other], tensor([1, 3, 1], 77)), [2, 18, -4]);
    }

    #[test]
    fn table_is_indexed_by_the_unsigned_byte() {
        let entries = (0..=255_u8).map(|index| (index ^ 0x55) as i8).collect();
        let input = (tensor([2, 1, 2], 0), vec![0, 127, -128, -1]);
        assert_eq!(
            evaluate(operator(Kind::Table(entries)), &[input], tensor([2, 1, 2], 0)),
            [0x55, 0x2A, 0xD5_u8 as i8, 0xAA_u8 as i8]
        );
    }

    #[test]
    fn concat_repeats_a_vector_at_every_position() {
        let inputs = [
            (tensor([1, 2, 1], 0), vec![1, 2]),
            (tensor([1, 1, 2], 0), vec![8, 9]),
            (tensor([1, 2, 2], 0), vec![3, 4, 5, 6]),
        ];
        let expected = [1, 8, 9, 3, 4, 2, 8, 9, 5, 6];
        assert_eq!(evaluate(operator(Kind::Concat), &inputs, tensor([1, 2, 5], 0)), expected);
    }

    #[test]
    fn upsample_repeats_pixels() {
        let inputs = [(tensor([1, 2, 1], 0), vec![3, 4])];
        assert_eq!(evaluate(operator(Kind::Upsample), &inputs, tensor([2, 4, 1], 0)), [3, 3, 4, 4, 3, 3, 4, 4]);
    }

    fn evaluate(mut operator: Operator, inputs: &[(Tensor, Vec<i8>)], output: Tensor) -> Vec<i8> {
        operator.inputs = (0..inputs.len()).collect();
        let (tensors, values): (Vec<Tensor>, Vec<Vec<i8>>) = inputs.iter().cloned().unzip();
        operator.evaluate(&tensors, &values, &output)
    }

    fn operator(kind: Kind) -> Operator {
        Operator { kind, inputs: Vec::new(), least: -128, greatest: 127, addend: None, window: Window::default() }
    }

    fn tensor([height, width, channels]: [usize; 3], zero_point: i8) -> Tensor {
        Tensor { height, width, channels, zero_point, scale: 1.0, arena_offset: 0, last_use: 0, held: false }
    }

    /// Every channel with a factor of 1/8.
    fn eighths(biases: Vec<i32>, weights: Vec<i8>) -> Channels {
        let n = biases.len();
        Channels { biases, multipliers: vec![1 << 30; n], shifts: vec![1; n], weights }
    }
}
