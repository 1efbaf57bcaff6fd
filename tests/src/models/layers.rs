//! Random models of one kind of layer, for what a core does to it alone.

use attar_shared::{InputDefinition, Kind, Shape, Window};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Builder, Draw, FactList};

/// Returns a model of depthwise convolutions with windows of three by three over small images, with any stride, dilation and
/// padding, of channels that make fours.
pub fn three_by_three(seed: u64) -> Vec<u8> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed), i8::MAX, true);
    let shape = Shape {
        height: draw.0.random_range(1..9),
        width: draw.0.random_range(1..12),
        channels: 4 * draw.0.random_range(1..4),
    };
    let mut graph = Builder::new((shape, draw.quantization()), None);
    let mut trunk = 0;
    for _ in 0..draw.0.random_range(2..7) {
        let shape = graph.shape(trunk);
        let mut window = Window { kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
        let mut out = [1; 2];
        for (axis, len) in [(0, shape.height), (1, shape.width)] {
            let dilation = if draw.0.random_bool(0.2) { 2 } else { 1 };
            let stride = if draw.0.random_bool(0.7) { 1 } else { draw.0.random_range(2..=3) };
            let pad = draw.0.random_range(0..=2 * dilation);
            out[axis] =
                if draw.0.random_bool(0.7) { (len - 1 + pad) / stride + 1 } else { draw.0.random_range(1..=len) };
            out[axis] = out[axis].min((len - 1 + pad) / stride + 1);
            (window.dilation[axis], window.stride[axis], window.pad[axis]) = (dilation, stride, pad);
        }
        let clamp = draw.clamp();
        trunk = draw.channels(&mut graph, Kind::Depthwise, trunk, shape.channels, Some(window), out, clamp);
    }
    let input =
        InputDefinition { name: "x", is_text: false, signal: None, gains: &[40.0], offsets: &[-3.0], channels: &[] };
    draw.finish(graph, trunk, input, (&FactList::default(), false), seed)
}

/// Returns a model of dense layers one after the other, whose weights stand in every order, some joined by an addition.
pub fn dense(seed: u64) -> Vec<u8> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed), i8::MAX, true);
    let shape = Shape::vector(draw.0.random_range(1..200));
    let mut graph = Builder::new((shape, draw.quantization()), None);
    let mut trunk = 0;
    for layer in 0..draw.0.random_range(3..8) {
        let clamp = draw.clamp();
        let kind = if layer == 0 { super::DENSE_ROWS } else { draw.dense() };
        let shape = graph.shape(trunk);
        if draw.0.random_bool(0.3) {
            trunk = draw.weighted(&mut graph, kind, trunk, shape.channels, None, [1, 1], clamp, Some(trunk));
        } else {
            let outputs =
                if draw.0.random_bool(0.5) { 4 * draw.0.random_range(1..24) } else { draw.0.random_range(1..70) };
            trunk = draw.channels(&mut graph, kind, trunk, outputs, None, [1, 1], clamp);
        }
    }
    let input =
        InputDefinition { name: "x", is_text: false, signal: None, gains: &[40.0], offsets: &[-3.0], channels: &[] };
    draw.finish(graph, trunk, input, (&FactList::default(), false), seed)
}
