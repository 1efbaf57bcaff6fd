//! From a network in f32 to a file of integers: ranges, fused operators, int8 weights, memory plan, file.

mod calibrate;
mod constants;
mod lower;
mod plan;

use anyhow::{Context, Result, bail};
use attar_device::{Session, Step, Student};
use attar_shared::{
    Clamp, Definition, HeadDefinition, HeadKind, InputDefinition, OperatorDefinition, Quantization, Shape, Tensor,
    TestDefinition,
};
use rand::seq::SliceRandom;

use crate::data::{Dataset, Target};
use crate::engine;
use crate::net::Net;
use crate::random;
use crate::recipe;
use calibrate::Ranges;
use lower::{Lowered, Stage};

/// Returns the bytes of the `.attar` file of a trained network.
///
/// Ranges are measured on training samples; weights are int8 with a scale for each output channel. The file carries
/// self-test vectors whose answers come from the engine.
///
/// # Errors
///
/// When the network does not fit the format: too large a shape, too many tensors, or names that are too long.
pub fn quantize(net: &Net, data: &Dataset, how: &recipe::Quantize, seed: u64) -> Result<Vec<u8>> {
    let lowered = Lowered::new(&net.graph)?;
    let mut samples = data.splits.train.clone();
    samples.shuffle(&mut random::stream(seed, "calibration"));
    samples.truncate(how.calibration);
    let ranges = Ranges::measure(net, &lowered, data, &samples)?;
    let file = File::new(net, data, &lowered, &ranges)?;
    let plain = file.encode(data, &[])?;
    let tests: Vec<usize> = data.splits.test.iter().chain(&samples).copied().take(how.tests).collect();
    let vectors = answers(&plain, data, &tests)?;
    file.encode(data, &vectors)
}

/// What a file is made of, apart from the test vectors.
struct File<'a> {
    lowered: &'a Lowered,
    tensors: Vec<Tensor>,
    clamps: Vec<Clamp>,
    parameters: Vec<Vec<u8>>,
    macs: u32,
    gains: Vec<f32>,
    offsets: Vec<f32>,
    with_facts: bool,
}

/// A self-test vector.
struct Vector {
    input: Vec<i8>,
    facts: Vec<i8>,
    outputs: Vec<i8>,
}

impl<'a> File<'a> {
    fn new(net: &Net, data: &Dataset, lowered: &'a Lowered, ranges: &Ranges) -> Result<Self> {
        let mut quantizations: Vec<Quantization> = ranges.quantizations();
        let mut parameters = Vec::new();
        let mut clamps = Vec::new();
        let mut macs = 0u64;
        for (index, stage) in lowered.stages.iter().enumerate() {
            let output = lowered.sources + index;
            let encoded = constants::encode(net, lowered, stage, output, &mut quantizations)
                .with_context(|| format!("layer {:?}", stage.name))?;
            clamps.push(stage.clamp(quantizations[output]));
            macs += macs_of(lowered, stage, output);
            parameters.push(encoded);
        }
        let tensors = plan::place(lowered, &quantizations)?;
        // Normalisation, scale and zero point become one multiplication and one addition on the board.
        let source = quantizations[0];
        let pairs = data
            .normalization
            .gains
            .iter()
            .zip(&data.normalization.offsets)
            .map(|(gain, offset)| (gain / source.scale, offset / source.scale + f32::from(source.zero_point)));
        // A network of dense layers alone takes every value as a channel of its own.
        let count = if data.normalization.gains.len() == 1 { 1 } else { lowered.shapes[0][2] };
        let (gains, offsets) = pairs.cycle().take(count).unzip();
        let macs = u32::try_from(macs).context("the network has more than 2^32 multiply-accumulates")?;
        let with_facts = lowered.sources == 2;
        Ok(Self { lowered, tensors, clamps, parameters, macs, gains, offsets, with_facts })
    }

    fn encode(&self, data: &Dataset, vectors: &[Vector]) -> Result<Vec<u8>> {
        let operators: Vec<OperatorDefinition<'_>> = self
            .lowered
            .stages
            .iter()
            .zip(self.clamps.iter().zip(&self.parameters))
            .map(|(stage, (&clamp, parameters))| OperatorDefinition {
                kind: stage.kind,
                inputs: &stage.inputs,
                clamp,
                window: stage.window,
                parameters,
            })
            .collect();
        let labels: Vec<Vec<&str>> =
            data.targets.iter().map(|target| target.labels.iter().map(String::as_str).collect()).collect();
        let rescales: Vec<[Vec<f32>; 2]> = data.targets.iter().map(rescale).collect();
        let heads: Vec<HeadDefinition<'_>> = data
            .targets
            .iter()
            .zip(&self.lowered.heads)
            .zip(labels.iter().zip(&rescales))
            .map(|((target, &tensor), (labels, [gains, offsets]))| HeadDefinition {
                name: &target.name,
                kind: head_kind(target.kind),
                tensor,
                labels,
                gains,
                offsets,
            })
            .collect();
        let tests: Vec<TestDefinition<'_>> = vectors
            .iter()
            .map(|vector| TestDefinition { input: &vector.input, facts: &vector.facts, outputs: &vector.outputs })
            .collect();
        // Names belong to channels as the data have them.
        let named = data.channels.len() == self.lowered.shapes[0][2];
        let channels: Vec<&str> = data.channels.iter().filter(|_| named).map(String::as_str).collect();
        data.facts.with_definitions(|facts| {
            let definition = Definition {
                input: InputDefinition {
                    name: &data.input_name,
                    gains: &self.gains,
                    offsets: &self.offsets,
                    channels: &channels,
                },
                facts: if self.with_facts { facts } else { &[] },
                fact_mask: data.facts.mask,
                heads: &heads,
                operators: &operators,
                tensors: &self.tensors,
                tests: &tests,
                macs: self.macs,
            };
            let mut bytes = vec![0; definition.encoded_len()?];
            definition.write(&mut bytes)?;
            Ok(bytes)
        })
    }
}

/// Runs the engine on some samples, for the self-test vectors.
fn answers(bytes: &[u8], data: &Dataset, samples: &[usize]) -> Result<Vec<Vector>> {
    let student = Student::parse(bytes)?;
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena)?;
    let mut vectors = Vec::new();
    for &sample in samples {
        let facts = engine::facts_of(&student, data, sample)?;
        session.load(data.input(sample), &facts)?;
        let source = |tensor: u16| session.values(tensor).map(<[i8]>::to_vec).unwrap_or_default();
        let input = source(attar_shared::INPUT_TENSOR);
        let with_facts = student.model().header().fact_count > 0;
        let facts = if with_facts { source(attar_shared::FACTS_TENSOR) } else { Vec::new() };
        while session.step() == Step::More {}
        let outputs = session.outputs()?.heads().flat_map(|head| head.quantized().to_vec()).collect();
        vectors.push(Vector { input, facts, outputs });
    }
    Ok(vectors)
}

fn macs_of(lowered: &Lowered, stage: &Stage, output: usize) -> u64 {
    let [height, width, _] = lowered.shapes[output];
    let weights = stage.weight_count as u64;
    if stage.window.is_some() { (height * width) as u64 * weights } else { weights }
}

fn rescale(target: &Target) -> [Vec<f32>; 2] {
    if target.kind != recipe::HeadKind::Regression {
        return [Vec::new(), Vec::new()];
    }
    [
        target.scaling.iter().map(|scaling| scaling[1]).collect(),
        target.scaling.iter().map(|scaling| scaling[0]).collect(),
    ]
}

fn head_kind(kind: recipe::HeadKind) -> HeadKind {
    match kind {
        recipe::HeadKind::Class => HeadKind::Class,
        recipe::HeadKind::Binary => HeadKind::Binary,
        recipe::HeadKind::Multilabel => HeadKind::Multilabel,
        recipe::HeadKind::Regression => HeadKind::Regression,
    }
}

/// Returns a shape as the format holds it.
fn format_shape(shape: [usize; 3]) -> Result<Shape> {
    let [height, width, channels] = shape.map(u16::try_from);
    match (height, width, channels) {
        (Ok(height), Ok(width), Ok(channels)) => Ok(Shape { height, width, channels }),
        _ => bail!("shape {shape:?}: no side may exceed 65535"),
    }
}
