//! Passes over a program in integers; each leaves the outputs of the heads as they were, bit for bit.

use std::collections::BTreeSet;

use attar_shared::{Clamp, Quantization, Requantization};

use super::program::{Addend, Addition, Channels, Constants, Operator, Program, Row, clamp_table};

/// Joins activations with the operator before them: a table that keeps values in a range becomes a clamp, a table after a
/// table becomes one.
pub(super) fn fuse_activations(mut program: Program) -> Program {
    let mut index = 0;
    while index < program.operators.len() {
        index = match fused_activation(&program, index) {
            Some((earlier, joined)) => {
                match joined {
                    Joined::Clamp(clamp) => program.operators[earlier].clamp = clamp,
                    Joined::Table(answers) => program.operators[earlier].constants = Constants::Table(answers),
                }
                program.tensors[program.sources + earlier] = program.tensors[program.sources + index];
                program.join(index, earlier);
                index
            }
            None => index + 1,
        };
    }
    program
}

/// What becomes of an operator that an activation joins.
enum Joined {
    Clamp(Clamp),
    Table(Box<[i8; 256]>),
}

/// Returns the operator that the table at an index can join, and as what.
fn fused_activation(program: &Program, index: usize) -> Option<(usize, Joined)> {
    let Constants::Table(answers) = &program.operators[index].constants else { return None };
    let input = usize::from(program.operators[index].inputs[0]);
    let earlier = input.checked_sub(program.sources).filter(|&earlier| earlier < index)?;
    if !program.is_inner(input) || program.readers(input).count() > 1 {
        return None;
    }
    let operator = &program.operators[earlier];
    match &operator.constants {
        Constants::Table(first) => {
            let answer = |q: i8| answers[usize::from(q.cast_unsigned())];
            Some((earlier, Joined::Table(Box::new(first.map(answer)))))
        }
        Constants::MaxPool | Constants::Concat | Constants::Delay | Constants::Upsample => None,
        _ => {
            let same = program.tensors[input].1 == program.tensors[program.output(index)].1;
            let clamp = Clamp { min: *answers.iter().min()?, max: *answers.iter().max()? };
            let inner = operator.clamp;
            let keep = |value: i8| value.max(clamp.min).min(clamp.max);
            let whole = Clamp { min: keep(inner.min), max: keep(inner.max) };
            (same && **answers == clamp_table(clamp)).then_some((earlier, Joined::Clamp(whole)))
        }
    }
}

/// Joins an addition with the dense layer or convolution that computes one of its inputs: the later of the two, when the
/// other is there by then.
pub(super) fn fuse_additions(mut program: Program) -> Program {
    let mut index = 0;
    while index < program.operators.len() {
        index = match fused_addition(&program, index) {
            Some((earlier, other, addend)) => {
                let clamp = program.operators[index].clamp;
                let output = program.tensors[program.output(index)];
                program.tensors[program.sources + earlier] = output;
                let operator = &mut program.operators[earlier];
                operator.inputs.push(other);
                (operator.clamp, operator.addend) = (clamp, Some(addend));
                program.join(index, earlier);
                index
            }
            None => index + 1,
        };
    }
    program
}

/// Returns the operator that the addition at an index can join, the tensor that it then adds, and how.
fn fused_addition(program: &Program, index: usize) -> Option<(usize, u16, Addend)> {
    let Constants::Add(addition) = program.operators[index].constants else { return None };
    let &[a, b] = program.operators[index].inputs.as_slice() else { return None };
    let output = program.output(index);
    if a == b || program.held.contains(&output) {
        return None;
    }
    let (result, other) = (usize::from(a.max(b)), a.min(b));
    let earlier = result.checked_sub(program.sources).filter(|&earlier| earlier < index)?;
    let operator = &program.operators[earlier];
    let joins = matches!(
        operator.constants,
        Constants::Dense(_) | Constants::Convolution(_) | Constants::Depthwise(_)
    ) && operator.addend.is_none()
        && program.is_inner(result)
        && program.readers(result).count() == 1
        // A vector that is added at every position stays an operand.
        && program.tensors[result].0 == program.tensors[output].0;
    let addition = if usize::from(a) == result {
        addition
    } else {
        Addition { factors: [addition.factors[1], addition.factors[0]], ..addition }
    };
    let zero_point = program.tensors[result].1.zero_point;
    joins.then_some((earlier, other, Addend { addition, zero_point, clamp: operator.clamp }))
}

/// Takes out channels whose value is the same for every input: weights that are all zero, or sums that a ReLU always cuts.
///
/// What such a channel gives to the operators that read it joins their biases.
pub(super) fn drop_dead_channels(mut program: Program) -> Program {
    loop {
        let ranges = Ranges::of(&program);
        let groups = groups(&program);
        // One group at a time: the ranges of others may change with it.
        let found = groups.into_iter().find_map(|group| {
            let dead = dead_channels(&program, &ranges, &group);
            (!dead.is_empty()).then_some((group, dead))
        });
        let Some((group, dead)) = found else { return program };
        remove(&mut program, &ranges, &group, &dead);
    }
}

/// The least and the greatest value of each channel of each tensor.
struct Ranges(Vec<Vec<[i64; 2]>>);

impl Ranges {
    fn of(program: &Program) -> Self {
        let mut ranges: Vec<Vec<[i64; 2]>> = Vec::new();
        for (index, (shape, quantization)) in program.tensors.iter().enumerate() {
            let channels = usize::from(shape.channels);
            let Some(operator) = index.checked_sub(program.sources).map(|index| &program.operators[index]) else {
                ranges.push(vec![[-128, 127]; channels]);
                continue;
            };
            let first = usize::from(operator.inputs[0]);
            let read = program.tensors[first];
            // What is held from run to run may be read before it is written.
            let unknown = vec![[-128, 127]; usize::from(read.0.channels)];
            let input = ranges.get(first).filter(|_| !program.held.contains(&first)).unwrap_or(&unknown);
            let clamp = [i64::from(operator.clamp.min), i64::from(operator.clamp.max)];
            if operator.addend.is_some() {
                // Not looked into, as an addition by itself.
                ranges.push(vec![clamp; channels]);
                continue;
            }
            let zero = i64::from(read.1.zero_point);
            let of_rows = |rows: &Channels, channel_of: &dyn Fn(usize, usize) -> usize, padded: bool| {
                rows.rows
                    .iter()
                    .enumerate()
                    .map(|(o, row)| row.range(o, input, channel_of, padded.then_some(zero), *quantization, clamp))
                    .collect::<Vec<[i64; 2]>>()
            };
            let depth = usize::from(read.0.channels);
            ranges.push(match &operator.constants {
                Constants::Dense(rows) => of_rows(rows, &|_, place| place % depth, false),
                Constants::Convolution(rows) => {
                    of_rows(rows, &|_, place| place % depth, pads(program, operator, index))
                }
                Constants::Depthwise(rows) => of_rows(rows, &|o, _| o, pads(program, operator, index)),
                Constants::MaxPool => input.clone(),
                Constants::Table(answers) => input
                    .iter()
                    .map(|&[least, most]| {
                        let all = (least..=most).map(|q| i64::from(answers[(q & 255) as usize]));
                        all.fold([127, -128], |[a, b], answer| [a.min(answer), b.max(answer)])
                    })
                    .collect(),
                Constants::AveragePool { multiplier, shift } => {
                    let taps = operator.window.map_or(1, |window| window.taps()) as i64;
                    let factor = Requantization { multiplier: *multiplier, shift: *shift };
                    let padded = pads(program, operator, index);
                    let end = |q: i64, keep: fn(i64, i64) -> i64| {
                        // A window that reaches into the padding has fewer taps: its sum lies nearer to 0.
                        let sum = 256 * taps * (q - zero);
                        let sum = if padded { keep(sum, 0) } else { sum };
                        let value = i64::from(factor.apply(sum as i32)) + i64::from(quantization.zero_point);
                        value.max(clamp[0]).min(clamp[1])
                    };
                    input.iter().map(|&[least, most]| [end(least, i64::min), end(most, i64::max)]).collect()
                }
                // Not looked into: their channels may take any value that the clamp allows.
                Constants::Add(_)
                | Constants::Concat
                | Constants::Upsample
                | Constants::Multiply { .. }
                | Constants::Delay
                | Constants::Bag(_) => {
                    vec![clamp; channels]
                }
            });
        }
        Self(ranges)
    }

    /// Returns the value of a channel that has only one.
    fn constant(&self, tensor: usize, channel: usize) -> Option<i64> {
        let [least, most] = self.0[tensor][channel];
        (least == most).then_some(least)
    }
}

impl Row {
    /// Returns the least and the greatest output; a tap in the padding reads `zero`.
    fn range(
        &self,
        output: usize,
        input: &[[i64; 2]],
        channel_of: &dyn Fn(usize, usize) -> usize,
        zero: Option<i64>,
        quantization: Quantization,
        clamp: [i64; 2],
    ) -> [i64; 2] {
        let mut sums = [i64::from(self.bias); 2];
        for (place, &weight) in self.weights.iter().enumerate() {
            let [least, most] = input[channel_of(output, place)];
            let [least, most] = zero.map_or([least, most], |zero| [least.min(zero), most.max(zero)]);
            let ends = [i64::from(weight) * least, i64::from(weight) * most];
            sums[0] += ends[0].min(ends[1]);
            sums[1] += ends[0].max(ends[1]);
        }
        let requantization = Requantization { multiplier: self.multiplier, shift: self.shift };
        // The writer has proved that no accumulator leaves 32 bits; the factor is positive, so the order stays.
        sums.map(|sum| {
            let value = i64::from(requantization.apply(sum as i32)) + i64::from(quantization.zero_point);
            value.max(clamp[0]).min(clamp[1])
        })
    }
}

/// Returns whether a window reads beyond its input.
fn pads(program: &Program, operator: &Operator, output: usize) -> bool {
    let Some(window) = operator.window else { return false };
    let (input, out) = (program.tensors[usize::from(operator.inputs[0])].0, program.tensors[output].0);
    [(0, input.height, out.height), (1, input.width, out.width)].into_iter().any(|(axis, len, count)| {
        let reach = (u32::from(window.kernel[axis]) - 1) * u32::from(window.dilation[axis]);
        let end = (u32::from(count) - 1) * u32::from(window.stride[axis]) + reach;
        window.pad[axis] > 0 || end > u32::from(len) - 1 + u32::from(window.pad[axis])
    })
}

/// Returns tensors that have to lose their channels together: each begins with one that dense or a convolution writes, and
/// goes on over operators that work channel by channel.
fn groups(program: &Program) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, operator) in program.operators.iter().enumerate() {
        let output = program.output(index);
        if operator.addend.is_some() {
            continue;
        }
        match &operator.constants {
            Constants::Dense(_) | Constants::Convolution(_) => groups.push(vec![output]),
            Constants::Depthwise(_) | Constants::MaxPool | Constants::AveragePool { .. } | Constants::Table(_) => {
                let input = usize::from(operator.inputs[0]);
                if let Some(group) = groups.iter_mut().find(|group| group.contains(&input)) {
                    group.push(output);
                }
            }
            Constants::Add(_)
            | Constants::Concat
            | Constants::Upsample
            | Constants::Multiply { .. }
            | Constants::Delay
            | Constants::Bag(_) => {}
        }
    }
    groups
}

/// Returns the channels that a group can do without.
fn dead_channels(program: &Program, ranges: &Ranges, group: &[usize]) -> BTreeSet<usize> {
    let channels = usize::from(program.tensors[group[0]].0.channels);
    let kept =
        |tensor: usize| program.heads.iter().any(|&head| usize::from(head) == tensor) || program.held.contains(&tensor);
    if group.iter().any(|&tensor| kept(tensor)) {
        return BTreeSet::new();
    }
    let absorbs = |channel: usize| {
        program.operators.iter().enumerate().all(|(index, operator)| {
            let output = program.output(index);
            operator.inputs.iter().map(|&input| usize::from(input)).filter(|input| group.contains(input)).all(|input| {
                let value = ranges.constant(input, channel);
                if operator.inputs.iter().skip(1).any(|&other| usize::from(other) == input) {
                    return false;
                }
                match &operator.constants {
                    // Padding reads as zero: another constant would be missing at the edges.
                    Constants::Convolution(_) => value.is_some_and(|value| {
                        value == i64::from(program.tensors[input].1.zero_point) || !pads(program, operator, output)
                    }),
                    Constants::Dense(_) => value.is_some(),
                    Constants::Add(_)
                    | Constants::Concat
                    | Constants::Upsample
                    | Constants::Multiply { .. }
                    | Constants::Delay
                    | Constants::Bag(_) => false,
                    // Part of the group itself.
                    _ => value.is_some() && group.contains(&output),
                }
            })
        })
    };
    let mut dead: BTreeSet<usize> = (0..channels).filter(|&channel| absorbs(channel)).collect();
    // A tensor keeps at least one channel.
    if dead.len() == channels {
        dead.pop_first();
    }
    dead
}

fn remove(program: &mut Program, ranges: &Ranges, group: &[usize], dead: &BTreeSet<usize>) {
    for index in 0..program.operators.len() {
        let output = program.sources + index;
        let input = usize::from(program.operators[index].inputs[0]);
        let depth = usize::from(program.tensors[input].0.channels);
        let operator = &mut program.operators[index];
        if group.contains(&input)
            && let Constants::Dense(channels) | Constants::Convolution(channels) = &mut operator.constants
        {
            for row in &mut channels.rows {
                row.absorb(depth, |channel| {
                    dead.contains(&channel).then(|| ranges.constant(input, channel).unwrap_or_default())
                });
            }
        }
        if group.contains(&output)
            && let Constants::Dense(channels) | Constants::Convolution(channels) | Constants::Depthwise(channels) =
                &mut operator.constants
        {
            let mut place = 0..;
            channels.rows.retain(|_| place.next().is_none_or(|channel| !dead.contains(&channel)));
        }
    }
    for &tensor in group {
        program.tensors[tensor].0.channels -= dead.len() as u16;
    }
}

impl Row {
    /// Takes out the weights of some input channels; what they add to every sum joins the bias.
    fn absorb(&mut self, depth: usize, value: impl Fn(usize) -> Option<i64>) {
        let mut bias = i64::from(self.bias);
        let mut kept = Vec::new();
        for (place, &weight) in self.weights.iter().enumerate() {
            match value(place % depth) {
                Some(value) => bias += i64::from(weight) * value,
                None => kept.push(weight),
            }
        }
        // |bias| + 128 sum |w| does not grow, so it stays within 32 bits.
        self.bias = bias as i32;
        self.weights = kept;
    }
}
