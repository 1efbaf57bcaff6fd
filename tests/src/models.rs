//! Models for tests: one with everything in it, and as many random ones as a test wants.

use attar::signal::Design;
use attar_shared::text::Grams;
use attar_shared::{
    Arithmetic, Clamp, FactDefinition, Form, HeadDefinition, HeadKind, InputDefinition, Kind, Quantization, Shape,
    TestDefinition, Window,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::build::{Builder, Coded, Frame};
use crate::facts::FactList;
use crate::parameters::{addition, average, bag, channels, channels4, joined_addition, rows};
use crate::reference;

mod layers;

pub use layers::{dense, three_by_three};

const DENSE_INT4: Coded = Coded(Kind::Dense, Form::Int4);
const DENSE_ROWS: Coded = Coded(Kind::Dense, Form::Int8Rows);
const CONVOLUTION_INT4: Coded = Coded(Kind::Convolution, Form::Int4);

/// Returns a model that holds every kind of operator, fact and head, and one self-test vector: the golden file.
pub fn everything() -> Vec<u8> {
    // Zero points near the middle keep its tensors from saturating.
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(2026), 20, false);
    let image = Shape { height: 5, width: 7, channels: 2 };
    let mut graph = Builder::new(
        (image, quantization(0.02, -7)),
        Some((FactList::everything().width(true), quantization(0.03, 3))),
    );
    let same = |kernel: u16| Window { kernel: [kernel; 2], stride: [1, 2], dilation: [1; 2], pad: [kernel / 2; 2] };
    let relu = Clamp { min: -100, max: 127 };
    let convolved = draw.channels(&mut graph, Kind::Convolution, 0, 6, Some(same(3)), [5, 4], relu);
    let depthwise = draw.channels(
        &mut graph,
        Kind::Depthwise,
        convolved,
        6,
        Some(Window { kernel: [3, 2], stride: [1; 2], dilation: [2, 1], pad: [2, 0] }),
        [5, 3],
        Clamp::ALL,
    );
    let curved = draw.table(&mut graph, depthwise);
    let pooled = draw.max_pool(&mut graph, curved, [2, 2], [2, 1], [2, 2]);
    let projected = draw.channels(&mut graph, Kind::Dense, 1, 6, None, [1, 1], Clamp::ALL);
    let across = Window { kernel: [2, 2], stride: [1; 2], dilation: [1; 2], pad: [1, 0] };
    let coarse = draw.channels(&mut graph, CONVOLUTION_INT4, pooled, 6, Some(across), [2, 2], Clamp::ALL);
    let added = draw.add(&mut graph, coarse, projected, Clamp::ALL);
    let joined = draw.concat(&mut graph, &[added, added]);
    let averaged = draw.average(&mut graph, joined, ([2, 2], [1, 1], [1, 1]), relu);
    let recent = draw.recent(&mut graph, projected, 3);
    let scaled = draw.multiply(&mut graph, recent, projected);
    let whole = Window { kernel: [1, 3], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
    let width = graph.shape(averaged).channels;
    let averaged =
        draw.weighted(&mut graph, Kind::Convolution, scaled, width, Some(whole), [1, 1], relu, Some(averaged));
    let fault = draw.channels(&mut graph, Kind::Dense, averaged, 3, None, [1, 1], Clamp::ALL);
    let alarm = draw.channels(&mut graph, Kind::Dense, averaged, 1, None, [1, 1], Clamp::ALL);
    let causes = draw.channels(&mut graph, DENSE_INT4, averaged, 2, None, [1, 1], Clamp::ALL);
    let wear = draw.channels(&mut graph, DENSE_ROWS, averaged, 2, None, [1, 1], Clamp::ALL);
    let head = |name, kind, tensor, labels| HeadDefinition { name, kind, tensor, labels, gains: &[], offsets: &[] };
    let heads = [
        head("fault", HeadKind::Class, fault, &["healthy", "inner", "outer"]),
        head("alarm", HeadKind::Binary, alarm, &["no", "yes"]),
        head("causes", HeadKind::Multilabel, causes, &[]),
        HeadDefinition {
            gains: &[2.5, 0.5],
            offsets: &[10.0, -1.0],
            ..head("wear", HeadKind::Regression, wear, &["mm", "K"])
        },
    ];
    let facts = FactList::everything();
    facts.with(|facts| finish_everything(graph, &mut draw, facts, &heads))
}

/// Returns a model that reads a text: an embedding bag, gazetteers, a rule about them, and one self-test vector: the second
/// golden file.
pub fn text() -> Vec<u8> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(7), 20, false);
    let shape = Shape { height: 1, width: 40, channels: 1 };
    let list = FactList::of_text();
    let facts = (list.width(true), quantization(0.01, -100));
    let mut graph = Builder::new((shape, quantization(1.0, 0)), Some(facts));
    let bag = draw.bag(&mut graph, Grams { buckets: 37, letters: [2, 4], words: 2 }, 18);
    let projected = draw.channels(&mut graph, Kind::Dense, 1, 18, None, [1, 1], Clamp::ALL);
    let joined = draw.add(&mut graph, bag, projected, Clamp::ALL);
    let intent = draw.channels(&mut graph, Kind::Dense, joined, 3, None, [1, 1], Clamp::ALL);
    let head = HeadDefinition {
        name: "intent",
        kind: HeadKind::Class,
        tensor: intent,
        labels: &["call", "map", "stop"],
        gains: &[],
        offsets: &[],
    };
    let input =
        InputDefinition { name: "text", is_text: true, signal: None, gains: &[1.0], offsets: &[0.0], channels: &[] };
    list.with(|facts| {
        let frame = Frame { input, facts, fact_mask: true, heads: &[head], tests: &[], revision: 0, overlaps: true };
        let plain = graph.finish(&frame).expect("the model is valid");
        let model = reference::Model::read(&plain).expect("the model is valid");
        let mut text = b"Show me NEW-YORK, d\xC3\xA9j\xC3\xA0 vu".to_vec();
        text.resize(40, 0);
        let text: Vec<i8> = text.into_iter().map(u8::cast_signed).collect();
        let raw: Vec<f32> = text.iter().map(|&byte| f32::from(byte)).collect();
        let facts = model.quantize_facts(&model.known_facts(&[None; 3], &raw));
        let tensors = model.run(&text, &facts);
        let outputs = tensors[usize::from(intent)].clone();
        let checksums: Vec<u32> = tensors[2..].iter().map(|values| checksum_of(values)).collect();
        let tests = [TestDefinition { input: &text, facts: &facts, outputs: &outputs, checksums: &checksums }];
        graph.finish(&Frame { tests: &tests, ..frame }).expect("the model is valid")
    })
}

/// Returns a model that hears two channels: every stage, every block of features, a running mean and detections, and a window of
/// three hops: the third golden file, in integers.
pub fn signal(arithmetic: Arithmetic) -> Vec<u8> {
    let design = crate::signal::everything(arithmetic);
    let features = design.features();
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(9), 20, false);
    let shape = Shape { height: 1, width: 3, channels: features as u16 };
    let mut graph = Builder::new((shape, quantization(0.5, 10)), None);
    let whole = Window { kernel: [1, 3], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
    let hidden = draw.channels(&mut graph, Kind::Convolution, 0, 6, Some(whole), [1, 1], Clamp::ALL);
    let fault = draw.channels(&mut graph, Kind::Dense, hidden, 3, None, [1, 1], Clamp::ALL);
    let labels = &["quiet", "knock", "hum"];
    let head = HeadDefinition { name: "fault", kind: HeadKind::Class, tensor: fault, labels, gains: &[], offsets: &[] };
    let record = design.record(shape.len()).expect("the front-end fits");
    let input = InputDefinition {
        name: "case",
        is_text: false,
        signal: Some(&record),
        gains: &[2.0],
        offsets: &[10.0],
        channels: &[],
    };
    let frame = Frame { input, facts: &[], fact_mask: false, heads: &[head], tests: &[], revision: 0, overlaps: true };
    let plain = graph.finish(&frame).expect("the model is valid");
    let model = reference::Model::read(&plain).expect("the model is valid");
    let input: Vec<i8> = (0..shape.len()).map(|_| draw.0.random()).collect();
    let tensors = model.run(&input, &[]);
    let outputs = tensors[usize::from(fault)].clone();
    let checksums: Vec<u32> = tensors[1..].iter().map(|values| checksum_of(values)).collect();
    let tests = [TestDefinition { input: &input, facts: &[], outputs: &outputs, checksums: &checksums }];
    graph.finish(&Frame { tests: &tests, ..frame }).expect("the model is valid")
}

/// Returns a model that hears through a front-end, with so many causal layers of 32 channels that run a hop at a time.
pub fn hearing(design: &Design, layers: usize) -> Vec<u8> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(11), 20, false);
    let shape = Shape { height: 1, width: 1, channels: design.features() as u16 };
    let mut graph = Builder::new((shape, quantization(0.5, 10)), None);
    let mut trunk = 0;
    for _ in 0..layers {
        let recent = draw.recent(&mut graph, trunk, 3);
        let whole = Window { kernel: [1, 3], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
        trunk = draw.channels(&mut graph, Kind::Convolution, recent, 32, Some(whole), [1, 1], Clamp::ALL);
    }
    let last = draw.channels(&mut graph, Kind::Dense, trunk, 2, None, [1, 1], Clamp::ALL);
    let head =
        HeadDefinition { name: "state", kind: HeadKind::Class, tensor: last, labels: &[], gains: &[], offsets: &[] };
    let record = design.record(shape.len()).expect("the front-end fits");
    let input = InputDefinition {
        name: "sound",
        is_text: false,
        signal: Some(&record),
        gains: &[2.0],
        offsets: &[10.0],
        channels: &[],
    };
    let frame = Frame { input, facts: &[], fact_mask: false, heads: &[head], tests: &[], revision: 0, overlaps: true };
    graph.finish(&frame).expect("the model is valid")
}

/// Adds the self-test vector, whose answers come from the specification, not from the engine that they test.
fn finish_everything(
    graph: Builder,
    draw: &mut Draw,
    facts: &[FactDefinition<'_>],
    heads: &[HeadDefinition<'_>],
) -> Vec<u8> {
    let frame = Frame {
        input: InputDefinition {
            name: "acceleration",
            is_text: false,
            signal: None,
            gains: &[12.5, 7.25],
            offsets: &[-7.0, 3.5],
            channels: &["x", "y"],
        },
        facts,
        fact_mask: true,
        heads,
        tests: &[],
        revision: 3,
        overlaps: true,
    };
    let plain = graph.finish(&frame).expect("the model is valid");
    let model = reference::Model::read(&plain).expect("the model is valid");
    let input: Vec<i8> = (0..model.tensors[0].values()).map(|_| draw.0.random()).collect();
    let facts: Vec<i8> = (0..model.tensors[1].values()).map(|_| draw.0.random()).collect();
    let tensors = model.run(&input, &facts);
    let outputs: Vec<i8> = heads.iter().flat_map(|head| tensors[usize::from(head.tensor)].clone()).collect();
    let checksums: Vec<u32> = tensors[2..].iter().map(|values| checksum_of(values)).collect();
    let tests = [TestDefinition { input: &input, facts: &facts, outputs: &outputs, checksums: &checksums }];
    graph.finish(&Frame { tests: &tests, ..frame }).expect("the model is valid")
}

/// Returns the checksum of what an operator writes.
fn checksum_of(values: &[i8]) -> u32 {
    let bytes: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
    crate::crc32(&bytes)
}

/// Returns a model with random shapes, windows, branches and weights; every kind of operator comes up. One in eight reads a
/// text.
pub fn random(seed: u64) -> Vec<u8> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed), i8::MAX, true);
    if seed % 8 == 5 {
        return draw.text(seed);
    }
    let series = draw.0.random_bool(0.4);
    let shape = Shape {
        height: if series { 1 } else { draw.0.random_range(2..10) },
        width: draw.0.random_range(2..24),
        channels: draw.0.random_range(1..20),
    };
    let list = if draw.0.random_bool(0.5) { FactList::random(&mut draw.0, shape.len()) } else { FactList::default() };
    let (mask, with_facts) = (draw.0.random(), list.width(false) > 0);
    let facts = with_facts.then(|| (list.width(mask), draw.quantization()));
    let mut graph = Builder::new((shape, draw.quantization()), facts);
    let mut trunk = 0;
    for _ in 0..draw.0.random_range(1..7) {
        trunk = draw.layer(&mut graph, trunk);
    }
    let input =
        InputDefinition { name: "x", is_text: false, signal: None, gains: &[40.0], offsets: &[-3.0], channels: &[] };
    draw.finish(graph, trunk, input, (&list, mask), seed)
}

fn quantization(scale: f32, zero_point: i8) -> Quantization {
    Quantization { scale, zero_point }
}

/// Draws the parts of random models, with zero points up to a greatest, and with or without weights that are all extremes.
struct Draw(ChaCha8Rng, i8, bool);

impl Draw {
    /// Returns a model that reads a random text.
    fn text(&mut self, seed: u64) -> Vec<u8> {
        let shape = Shape { height: 1, width: self.0.random_range(1..60), channels: 1 };
        let list = if self.0.random_bool(0.7) { FactList::random(&mut self.0, 0) } else { FactList::default() };
        let mask = self.0.random();
        let facts = (list.width(false) > 0).then(|| (list.width(mask), self.quantization()));
        let mut graph = Builder::new((shape, quantization(1.0, 0)), facts);
        let least = self.0.random_range(0..4);
        let letters = if least == 0 { [0, 0] } else { [least, self.0.random_range(least..=6)] };
        let words = self.0.random_range(u8::from(least == 0)..=4);
        let grams = Grams { buckets: self.0.random_range(1..300), letters, words };
        let channels = self.0.random_range(1..40);
        let mut trunk = self.bag(&mut graph, grams, channels);
        for _ in 0..self.0.random_range(0..3) {
            trunk = self.layer(&mut graph, trunk);
        }
        let input =
            InputDefinition { name: "x", is_text: true, signal: None, gains: &[1.0], offsets: &[0.0], channels: &[] };
        self.finish(graph, trunk, input, (&list, mask), seed)
    }

    /// Adds an embedding bag over the text.
    fn bag(&mut self, graph: &mut Builder, grams: Grams, channels: u16) -> u16 {
        let count = grams.buckets as usize * usize::from(channels);
        let rows: Vec<i8> = (0..count).map(|_| self.0.random()).collect();
        let parameters = bag(grams, self.0.random_range(1 << 30..=i32::MAX), self.0.random_range(3..8), &rows);
        let output = (Shape::vector(channels), self.quantization());
        graph.push(Kind::Bag, &[0], output, Clamp::ALL, None, (parameters, 0))
    }

    /// Ends a random graph: facts join it, and a head answers.
    fn finish(
        &mut self,
        mut graph: Builder,
        mut trunk: u16,
        input: InputDefinition<'_>,
        (list, mask): (&FactList, bool),
        seed: u64,
    ) -> Vec<u8> {
        let with_facts = list.width(false) > 0;
        if with_facts {
            let width = graph.shape(trunk).channels;
            let projected = self.channels(&mut graph, Kind::Dense, 1, width, None, [1, 1], Clamp::ALL);
            trunk = self.add(&mut graph, trunk, projected, Clamp::ALL);
        }
        let outputs = self.0.random_range(2..9);
        let kind = self.dense();
        let mut logits = self.channels(&mut graph, kind, trunk, outputs, None, [1, 1], Clamp::ALL);
        if self.0.random_bool(0.3) {
            logits = self.weighted(&mut graph, kind, trunk, outputs, None, [1, 1], Clamp::ALL, Some(logits));
        }
        let head =
            HeadDefinition { name: "y", kind: HeadKind::Class, tensor: logits, labels: &[], gains: &[], offsets: &[] };
        list.with(|facts| {
            let frame = Frame {
                input,
                facts: if with_facts { facts } else { &[] },
                fact_mask: mask,
                heads: &[head],
                tests: &[],
                revision: seed as u32,
                overlaps: !seed.is_multiple_of(4),
            };
            graph.finish(&frame).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        })
    }

    fn dense(&mut self) -> Coded {
        match self.0.random_range(0..10) {
            0..3 => DENSE_INT4,
            3..6 => DENSE_ROWS,
            _ => Kind::Dense.into(),
        }
    }

    fn quantization(&mut self) -> Quantization {
        quantization(self.0.random_range(0.001..0.1), self.0.random_range(-self.1 - 1..=self.1))
    }

    /// Adds a layer of any kind that the shape allows.
    fn layer(&mut self, graph: &mut Builder, input: u16) -> u16 {
        let shape = graph.shape(input);
        match self.0.random_range(0..12) {
            0 | 1 => {
                let (window, out) = self.window(shape);
                let outputs = self.0.random_range(1..20);
                let clamp = self.clamp();
                let kind = if self.0.random_bool(0.3) { CONVOLUTION_INT4 } else { Kind::Convolution.into() };
                self.channels(graph, kind, input, outputs, Some(window), out, clamp)
            }
            2 => {
                let (window, out) = self.window(shape);
                let clamp = self.clamp();
                self.channels(graph, Kind::Depthwise, input, shape.channels, Some(window), out, clamp)
            }
            3 => self.table(graph, input),
            4 => {
                let curved = self.table(graph, input);
                let clamp = self.clamp();
                let sum = self.add(graph, input, curved, clamp);
                if self.0.random_bool(0.5) { self.concat(graph, &[sum, sum, sum]) } else { sum }
            }
            7 => {
                let curved = self.table(graph, input);
                self.multiply(graph, input, curved)
            }
            8 if shape.height == 1 => self.delay(graph, input),
            9 => {
                // Two branches of one shape, the second of which takes the first in.
                let (window, out) = self.window(shape);
                let outputs = self.0.random_range(1..20);
                let kind = if self.0.random_bool(0.3) { CONVOLUTION_INT4 } else { Kind::Convolution.into() };
                let branch = if self.0.random_bool(0.3) {
                    let dense = self.dense();
                    self.channels(graph, dense, input, outputs, None, [1, 1], Clamp::ALL)
                } else {
                    self.channels(graph, kind, input, outputs, Some(window), out, Clamp::ALL)
                };
                let clamp = self.clamp();
                self.weighted(graph, kind, input, outputs, Some(window), out, clamp, Some(branch))
            }
            10 => {
                let (window, out) = self.window(shape);
                let same = [shape.height, shape.width] == out;
                let branch = if same && self.0.random_bool(0.5) {
                    input
                } else {
                    self.channels(graph, Kind::Depthwise, input, shape.channels, Some(window), out, Clamp::ALL)
                };
                let clamp = self.clamp();
                self.weighted(graph, Kind::Depthwise, input, shape.channels, Some(window), out, clamp, Some(branch))
            }
            11 => {
                let times = [shape.height, shape.width].map(|len| self.0.random_range(1..=(12 / len).clamp(1, 3)));
                self.upsample(graph, input, times)
            }
            5 => {
                let (window, out) = self.window(shape);
                self.max_pool(graph, input, window.kernel, window.stride, out)
            }
            _ => {
                let (window, out) = self.window(shape);
                let clamp = self.clamp();
                self.average(graph, input, (window.kernel, window.stride, out), clamp)
            }
        }
    }

    fn clamp(&mut self) -> Clamp {
        let (a, b): (i8, i8) = (self.0.random(), self.0.random());
        if self.0.random_bool(0.5) { Clamp::ALL } else { Clamp { min: a.min(b), max: a.max(b) } }
    }

    /// Returns a window that fits, with any stride, dilation and padding that the format allows, and its output's size.
    fn window(&mut self, shape: Shape) -> (Window, [u16; 2]) {
        let mut window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
        let mut out = [1; 2];
        for (axis, len) in [(0, shape.height), (1, shape.width)] {
            let kernel = self.0.random_range(1..=len.min(5));
            let dilation = if kernel > 1 && self.0.random_bool(0.3) { 2 } else { 1 };
            let pad = self.0.random_range(0..=(kernel - 1) * dilation);
            let stride = self.0.random_range(1..=3);
            let most = (len - 1 + pad) / stride + 1;
            out[axis] = self.0.random_range(1..=most);
            (window.kernel[axis], window.dilation[axis]) = (kernel, dilation);
            (window.pad[axis], window.stride[axis]) = (pad, stride);
        }
        (window, out)
    }

    #[allow(clippy::too_many_arguments)]
    fn channels(
        &mut self,
        graph: &mut Builder,
        kind: impl Into<Coded>,
        input: u16,
        outputs: u16,
        window: Option<Window>,
        [height, width]: [u16; 2],
        clamp: Clamp,
    ) -> u16 {
        self.weighted(graph, kind, input, outputs, window, [height, width], clamp, None)
    }

    /// Adds dense, a convolution or a depthwise one, and to its results another tensor if there is one.
    #[allow(clippy::too_many_arguments)]
    fn weighted(
        &mut self,
        graph: &mut Builder,
        kind: impl Into<Coded>,
        input: u16,
        outputs: u16,
        window: Option<Window>,
        [height, width]: [u16; 2],
        clamp: Clamp,
        addend: Option<u16>,
    ) -> u16 {
        let shape = graph.shape(input);
        let taps = window.map_or(1, |window| window.taps());
        let coded = kind.into();
        let per_output = match coded.0 {
            Kind::Dense => shape.len(),
            Kind::Depthwise => taps,
            _ => taps * usize::from(shape.channels),
        };
        let count = usize::from(outputs);
        let four = coded.1 == Form::Int4;
        let most = if four { 7 } else { 127 };
        let mut weights: Vec<i8> = (0..count * per_output).map(|_| self.0.random_range(-most..=most)).collect();
        // Of 4 bits the least integer is allowed as well, whatever a quantiser makes of it.
        let least = if four { -8 } else { -127 };
        weights[0] = least;
        if self.2 && self.0.random_bool(0.1) {
            // Nothing but extremes.
            weights.fill_with(|| if self.0.random() { most } else { least });
        }
        let bias = if four { 2_500 } else { 40_000 };
        let biases: Vec<i32> = (0..count).map(|_| self.0.random_range(-bias..bias)).collect();
        let multipliers: Vec<i32> = (0..count).map(|_| self.0.random_range(1 << 30..=i32::MAX)).collect();
        // The sum's deviation is some 70 * 70 * sqrt(n): this brings it to about 60, so that few outputs saturate.
        let spread = if four { 5.0 } else { 80.0 } * (per_output as f64).sqrt();
        let shift = (spread.log2().round() as u8).saturating_sub(1).clamp(1, 31);
        let output = self.quantization();
        let mut parameters = if four {
            channels4(&biases, &multipliers, &vec![shift; count], &weights, per_output)
        } else if coded.0 == Kind::Depthwise || coded.1 == Form::Int8Rows {
            channels(&biases, &multipliers, &vec![shift; count], &weights)
        } else {
            rows(&biases, &multipliers, &vec![shift; count], &weights)
        };
        let mut inputs = vec![input];
        if let Some(addend) = addend {
            let own = self.clamp();
            let zero_point = self.quantization().zero_point;
            let mut factor = || self.0.random_range(-(1 << 20)..1 << 20);
            let (a, b, bias) = (factor(), factor(), factor());
            parameters.extend(joined_addition(a, b, bias, 20, [zero_point, own.min, own.max]));
            inputs.push(addend);
        }
        let shape = Shape { height, width, channels: outputs };
        graph.push(coded, &inputs, (shape, output), clamp, window, (parameters, weights.len()))
    }

    fn table(&mut self, graph: &mut Builder, input: u16) -> u16 {
        let entries: Vec<u8> = (0..256).map(|_| self.0.random()).collect();
        let output = (graph.shape(input), self.quantization());
        graph.push(Kind::Table, &[input], output, Clamp::ALL, None, (entries, 0))
    }

    fn max_pool(&mut self, graph: &mut Builder, input: u16, kernel: [u16; 2], stride: [u16; 2], out: [u16; 2]) -> u16 {
        let (window, shape) = pool_window(graph.shape(input), kernel, stride, out);
        let output = (shape, graph.quantization(input));
        graph.push(Kind::MaxPool, &[input], output, Clamp::ALL, Some(window), (Vec::new(), 0))
    }

    fn average(
        &mut self,
        graph: &mut Builder,
        input: u16,
        (kernel, stride, out): ([u16; 2], [u16; 2], [u16; 2]),
        clamp: Clamp,
    ) -> u16 {
        let (window, shape) = pool_window(graph.shape(input), kernel, stride, out);
        // 256 times the sum, divided by the taps: the shift goes with their number.
        let shift = 7 + (window.taps() as f64).log2().round() as u8;
        let parameters = average(self.0.random_range(1 << 30..=i32::MAX), shift.min(31));
        let output = (shape, self.quantization());
        graph.push(Kind::AveragePool, &[input], output, clamp, Some(window), (parameters, 0))
    }

    fn add(&mut self, graph: &mut Builder, a: u16, b: u16, clamp: Clamp) -> u16 {
        let mut factor = || self.0.random_range(-(1 << 20)..1 << 20);
        let parameters = addition(factor(), factor(), factor(), 20);
        let output = (graph.shape(a), self.quantization());
        graph.push(Kind::Add, &[a, b], output, clamp, None, (parameters, 0))
    }

    fn multiply(&mut self, graph: &mut Builder, a: u16, b: u16) -> u16 {
        let output = (graph.shape(a), self.quantization());
        // Products reach 2^16: this brings most of them into an int8.
        let parameters = average(self.0.random_range(1 << 30..=i32::MAX), self.0.random_range(4..8));
        let clamp = self.clamp();
        graph.push(Kind::Multiply, &[a, b], output, clamp, None, (parameters, 0))
    }

    /// Adds a series of the last inputs, with what reads it before it is written and after.
    fn delay(&mut self, graph: &mut Builder, input: u16) -> u16 {
        let shape = graph.shape(input);
        let width = shape.width + self.0.random_range(0..5);
        let quantization = graph.quantization(input);
        let series = graph.count() + 1;
        // A table that reads the state of the run before.
        let entries: Vec<u8> = (0..256).map(|_| self.0.random()).collect();
        let longer = Shape { width, ..shape };
        let before = graph.push(Kind::Table, &[series], (longer, self.quantization()), Clamp::ALL, None, (entries, 0));
        let state =
            graph.push(Kind::Delay, &[series, input], (longer, quantization), Clamp::ALL, None, (Vec::new(), 0));
        graph.hold(state);
        let clamp = self.clamp();
        self.add(graph, before, state, clamp)
    }

    /// Adds the last vectors of a series, as many as are asked for.
    fn recent(&mut self, graph: &mut Builder, input: u16, width: u16) -> u16 {
        let (shape, quantization) = (Shape { width, ..graph.shape(input) }, graph.quantization(input));
        let inputs = [graph.count(), input];
        let state = graph.push(Kind::Delay, &inputs, (shape, quantization), Clamp::ALL, None, (Vec::new(), 0));
        graph.hold(state);
        state
    }

    fn upsample(&mut self, graph: &mut Builder, input: u16, [rows, columns]: [u16; 2]) -> u16 {
        let shape = graph.shape(input);
        let larger = Shape { height: shape.height * rows, width: shape.width * columns, ..shape };
        let output = (larger, graph.quantization(input));
        graph.push(Kind::Upsample, &[input], output, Clamp::ALL, None, (Vec::new(), 0))
    }

    fn concat(&mut self, graph: &mut Builder, inputs: &[u16]) -> u16 {
        let first = graph.shape(inputs[0]);
        let channels = inputs.iter().map(|&input| graph.shape(input).channels).sum();
        let output = (Shape { channels, ..first }, graph.quantization(inputs[0]));
        graph.push(Kind::Concat, inputs, output, Clamp::ALL, None, (Vec::new(), 0))
    }
}

/// Returns the window of a pool that writes at most `out` positions, with as little padding before as that needs.
fn pool_window(shape: Shape, kernel: [u16; 2], stride: [u16; 2], out: [u16; 2]) -> (Window, Shape) {
    let axis = |at: usize, len: u16| {
        let pad = (kernel[at] - 1) / 2;
        (pad, out[at].min((len - 1 + pad) / stride[at] + 1))
    };
    let ((top, height), (left, width)) = (axis(0, shape.height), axis(1, shape.width));
    let window = Window { kernel, stride, dilation: [1; 2], pad: [top, left] };
    (window, Shape { height, width, channels: shape.channels })
}
