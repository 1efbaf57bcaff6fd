//! From numbers to int8 and back, in f32 arithmetic that is the same on every target.

use attar_shared::Quantization;

/// Returns the int8 that stands for `value`: `round(value / scale) + zero_point`, saturated.
pub fn quantize(value: f32, quantization: Quantization) -> i8 {
    round_to_i8(value / quantization.scale + f32::from(quantization.zero_point))
}

/// Returns what an int8 stands for: `(q - zero_point) * scale`.
pub fn dequantize(q: i8, quantization: Quantization) -> f32 {
    (f32::from(q) - f32::from(quantization.zero_point)) * quantization.scale
}

/// Returns `value` rounded to the nearest int8, halves away from zero, saturated; NaN gives 0.
pub fn round_to_i8(value: f32) -> i8 {
    let kept = value.clamp(-128.0, 127.0);
    // The cast truncates, and saturates what the half pushed past the end.
    (if kept < 0.0 { kept - 0.5 } else { kept + 0.5 }) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_away_from_zero_and_extremes_saturate() {
        let cases = [(0.5, 1), (-0.5, -1), (0.4, 0), (-127.6, -128), (-1e9, -128), (126.5, 127), (1e9, 127)];
        for (value, expected) in cases {
            assert_eq!(round_to_i8(value), expected, "{value}");
        }
        assert_eq!(round_to_i8(f32::NAN), 0);
    }

    #[test]
    fn every_int8_survives_the_way_to_a_number_and_back() {
        let quantization = Quantization { scale: 0.037, zero_point: -11 };
        for q in i8::MIN..=i8::MAX {
            assert_eq!(quantize(dequantize(q, quantization), quantization), q);
        }
    }
}
