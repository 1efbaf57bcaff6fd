//! The parameters of operators, byte by byte as the specification has them.

use attar_shared::text::Grams;

/// Returns the parameters of dense and convolution as they stand in a file, from rows of weights.
pub fn rows(biases: &[i32], multipliers: &[i32], shifts: &[u8], weights: &[i8]) -> Vec<u8> {
    let taps = weights.len() / biases.len();
    let order = attar_shared::internal::order(biases.len(), taps);
    let laid: Vec<i8> =
        order.map(|from| from.convert(weights[from.row * taps + from.tap].cast_unsigned()).cast_signed()).collect();
    channels(biases, multipliers, shifts, &laid)
}

/// Returns the parameters of dense, convolution and depthwise, from weights as they stand in a file.
pub fn channels(biases: &[i32], multipliers: &[i32], shifts: &[u8], weights: &[i8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = biases.iter().chain(multipliers).flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(shifts);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(weights.iter().map(|w| w.cast_unsigned()));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns the parameters of dense and convolution with weights of 4 bits, in rows of `len`.
pub fn channels4(biases: &[i32], multipliers: &[i32], shifts: &[u8], weights: &[i8], len: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    for row in weights.chunks(len) {
        for pair in row.chunks(2) {
            let high = pair.get(1).map_or(0, |w| w.cast_unsigned() << 4);
            packed.push((pair[0].cast_unsigned() & 15 | high).cast_signed());
        }
    }
    channels(biases, multipliers, shifts, &packed)
}

/// Returns the parameters of an average pool.
pub fn average(multiplier: i32, shift: u8) -> Vec<u8> {
    [multiplier.to_le_bytes(), [shift, 0, 0, 0]].concat()
}

/// Returns the parameters of an addition.
pub fn addition(a: i32, b: i32, bias: i32, shift: u8) -> Vec<u8> {
    joined_addition(a, b, bias, shift, [0; 3])
}

/// Returns the parameters of an addition that joined the operator before it, whose results have a zero point, a least and a
/// greatest value of their own.
pub fn joined_addition(a: i32, b: i32, bias: i32, shift: u8, [zero_point, least, greatest]: [i8; 3]) -> Vec<u8> {
    let own = [zero_point, least, greatest].map(i8::cast_unsigned);
    [a.to_le_bytes(), b.to_le_bytes(), bias.to_le_bytes(), [shift, own[0], own[1], own[2]]].concat()
}

/// Returns the parameters of an embedding bag.
pub fn bag(grams: Grams, multiplier: i32, shift: u8, rows: &[i8]) -> Vec<u8> {
    let [least, greatest] = grams.letters;
    let mut bytes = grams.buckets.to_le_bytes().to_vec();
    bytes.extend([least, greatest, grams.words, 0]);
    bytes.extend(average(multiplier, shift));
    bytes.extend(rows.iter().map(|row| row.cast_unsigned()));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
