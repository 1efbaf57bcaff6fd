//! From a network in f32 to a file of integers: ranges, fused operators, int8 weights, memory plan, file.

mod agreement;
mod bits;
mod calibrate;
mod constants;
mod fake;
mod fit;
mod lower;
mod passes;
pub mod plan;
mod program;

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use attar_device::{Session, Step, Student};
use attar_shared::{
    Clamp, Definition, HeadDefinition, InputDefinition, KindDefinition, Quantization, Tensor, TestDefinition,
};
use rand::seq::SliceRandom;

use crate::data::Dataset;
use crate::heads::{Labels, Target};
use crate::net::lowering::Lowered;
use crate::net::{Hook, Net};
use crate::recipe;
use crate::student::engine;
use crate::support::progress::check_stopped;
use crate::support::random;
use crate::train::FakeQuantization;
pub use agreement::{Agreement, LayerAgreement};
pub use calibrate::Cut;
use calibrate::Ranges;
pub use fake::Fake;
pub use fit::{check_heads, check_inputs};
use program::{Constants, Operator, Program};

/// Returns the bytes of the `.attar` file of a trained network.
///
/// # Errors
///
/// As [`Quantizer::new`] and [`Quantizer::file`].
pub fn quantize(net: &Net, data: &Dataset, how: &recipe::Quantize, seed: u64) -> Result<Vec<u8>> {
    let net = net.folded()?;
    Quantizer::new(&net, data, how, None, seed)?.file(&net)
}

/// How a network becomes integers: its operators, the width of their weights, the samples that ranges are measured on.
#[derive(Debug)]
pub struct Quantizer<'a> {
    lowered: Lowered,
    data: &'a Dataset,
    how: &'a recipe::Quantize,
    samples: Vec<usize>,
    cut: Cut,
}

impl<'a> Quantizer<'a> {
    /// Returns the quantiser of a folded network; `flash` is what weights of automatic width have to fit.
    ///
    /// # Errors
    ///
    /// When the network does not fit the format, a layer is named that there is not, or nothing fits `flash`.
    pub fn new(net: &Net, data: &'a Dataset, how: &'a recipe::Quantize, flash: Option<u64>, seed: u64) -> Result<Self> {
        let lowered = lower::lower(&net.graph)?;
        let mut samples = data.splits.train.clone();
        samples.shuffle(&mut random::stream(seed, "calibration"));
        samples.truncate(how.calibration);
        let mut quantizer = Self { lowered, data, how, samples, cut: Cut::default() };
        bits::choose(&mut quantizer, net, flash)?;
        Ok(quantizer)
    }

    /// Leaves values out at each end of ranges.
    pub fn cut_ranges(&mut self, cut: Cut) {
        self.cut = cut;
    }

    /// Returns the network as the board will compute it, with the ranges that it carries or, if none, measured now.
    ///
    /// # Errors
    ///
    /// When the device fails, or a range is not to be measured.
    pub fn fake(&self, net: &Net) -> Result<Fake> {
        // From the program, which may have widened a scale to fit the format.
        let program = self.by_stage(net)?;
        Ok(Fake::new(&self.lowered, program.tensors.iter().map(|&(_, quantization)| quantization)))
    }

    /// Returns the bytes of the `.attar` file of a network with trained parameters.
    ///
    /// Ranges are measured on training samples; weights have a scale for each output channel. The file carries self-test
    /// vectors whose answers come from the engine.
    ///
    /// # Errors
    ///
    /// When the network does not fit the format: too large a shape, too many tensors, or names that are too long.
    pub fn file(&self, net: &Net) -> Result<Vec<u8>> {
        let mut program = Program::of(net, &self.lowered, &self.ranges(net)?)?;
        if self.how.fuse {
            program = passes::fuse_activations(program);
        }
        if self.how.drop_dead {
            program = passes::drop_dead_channels(program);
        }
        if self.how.fuse {
            program = passes::fuse_additions(program);
        }
        let file = File::new(program, self.data, self.how.overlap)?;
        let rows = rows_of_embeddings(net, &file.program)?;
        let plain = file.encode(self.data, &rows, &[])?;
        let splits = &self.data.splits;
        let tests: Vec<usize> = splits.test.iter().chain(&self.samples).copied().take(self.how.tests).collect();
        let vectors = answers(&plain, self.data, &tests)?;
        file.encode(self.data, &rows, &vectors)
    }

    /// Returns what the layers take, for a budget: name, bytes of flash, bytes of the output, multiply-accumulates.
    ///
    /// # Errors
    ///
    /// As [`Quantizer::file`].
    pub fn layers(&self, net: &Net) -> Result<Vec<(String, usize, usize, u64)>> {
        let program = self.by_stage(net)?;
        let bytes = program.parameters();
        let layers = program.operators.iter().enumerate().map(|(index, operator)| {
            let output = program.tensors[program.output(index)].0.len();
            (operator.name.clone(), bytes[index].len(), output, program.macs_of(index))
        });
        Ok(layers.collect())
    }

    /// Returns the widest and the narrowest weights among the layers whose width may be chosen, in bits.
    pub fn widths(&self) -> [u32; 2] {
        let widths = self.lowered.stages.iter().filter(|stage| stage.has_free_width()).map(|stage| stage.bits);
        widths.fold([4, 8], |[widest, narrowest], bits| [widest.max(bits), narrowest.min(bits)])
    }

    /// Returns the integers with an operator for each stage, before passes that mingle stages.
    fn by_stage(&self, net: &Net) -> Result<Program> {
        Ok(passes::fuse_activations(Program::of(net, &self.lowered, &self.ranges(net)?)?))
    }

    fn ranges(&self, net: &Net) -> Result<Ranges> {
        match Ranges::carried(net, &self.lowered)? {
            Some(ranges) => Ok(ranges),
            None => Ranges::measure(net, &self.lowered, self.data, &self.samples, self.cut),
        }
    }
}

impl FakeQuantization for Quantizer<'_> {
    fn hook(&self, net: &Net) -> Result<Box<dyn Hook>> {
        Ok(Box::new(self.fake(net)?))
    }

    /// The first ranges are those measured; later ones are the mean of the stored and the measured ranges, so that no range
    /// jumps with the weights of one step.
    fn update_ranges(&self, net: &mut Net) -> Result<()> {
        Ranges::measure(net, &self.lowered, self.data, &self.samples, self.cut)?.carry(net)
    }
}

/// What a file is made of, apart from the test vectors.
struct File {
    program: Program,
    tensors: Vec<Tensor>,
    gains: Vec<f32>,
    offsets: Vec<f32>,
}

/// A self-test vector.
struct Vector {
    input: Vec<i8>,
    facts: Vec<i8>,
    outputs: Vec<i8>,
    checksums: Vec<u32>,
}

impl Program {
    /// Returns the integers of a network whose ranges are known, an operator for each step of its computation: an
    /// activation that a clamp can take over stands as a table after its operator, and [`passes`] join the two.
    fn of(net: &Net, lowered: &Lowered, ranges: &Ranges) -> Result<Self> {
        let mut quantizations: Vec<Quantization> = ranges.quantizations(lowered);
        constants::widen(net, lowered, &mut quantizations)?;
        let constants = lowered
            .stages
            .iter()
            .enumerate()
            .map(|(index, stage)| {
                constants::of(net, lowered, stage, lowered.sources + index, &quantizations)
                    .with_context(|| format!("layer {:?}", stage.name))
            })
            .collect::<Result<Vec<_>>>()?;
        // A stage with such an activation writes two tensors, of which the second is the stage's.
        let mut place: Vec<usize> = (0..lowered.sources).collect();
        for stage in &lowered.stages {
            let before = place.last().map_or(0, |last| last + 1);
            place.push(before + usize::from(stage.has_joined()));
        }
        let inputs = |tensors: &[u16]| tensors.iter().map(|&tensor| place[usize::from(tensor)] as u16).collect();
        let mut program = Self {
            sources: lowered.sources,
            tensors: Vec::new(),
            operators: Vec::new(),
            heads: inputs(&lowered.heads),
            held: lowered.held.iter().map(|&tensor| place[tensor]).collect(),
        };
        let mut push_tensor = |tensor: usize, count: usize| -> Result<()> {
            let shape = program::format_shape(lowered.shapes[tensor])?;
            program.tensors.extend(vec![(shape, quantizations[tensor]); count]);
            Ok(())
        };
        for source in 0..lowered.sources {
            push_tensor(source, 1)?;
        }
        for ((index, stage), constants) in lowered.stages.iter().enumerate().zip(constants) {
            let output = lowered.sources + index;
            push_tensor(output, 1 + usize::from(stage.has_joined()))?;
            let operator = |inputs, window, constants| Operator {
                name: stage.name.clone(),
                inputs,
                clamp: Clamp::ALL,
                window,
                constants,
                addend: None,
            };
            program.operators.push(operator(inputs(&stage.inputs), stage.window, constants));
            if stage.has_joined() {
                let clamp = stage.clamp(quantizations[output]);
                let table = Constants::Table(Box::new(program::clamp_table(clamp)));
                program.operators.push(operator(vec![place[output] as u16 - 1], None, table));
            }
        }
        Ok(program)
    }
}

impl File {
    fn new(program: Program, data: &Dataset, overlaps: bool) -> Result<Self> {
        let tensors = program.placed(overlaps)?;
        // Normalisation, scale and zero point become one multiplication and one addition on the board.
        let (shape, source) = program.tensors[0];
        let pairs = data
            .normalization
            .gains
            .iter()
            .zip(&data.normalization.offsets)
            .map(|(gain, offset)| (gain / source.scale, offset / source.scale + f32::from(source.zero_point)));
        // A network of dense layers alone takes every value as a channel of its own.
        let count = if data.normalization.gains.len() == 1 { 1 } else { usize::from(shape.channels) };
        let (gains, offsets) = pairs.cycle().take(count).unzip();
        Ok(Self { program, tensors, gains, offsets })
    }

    /// `rows` are those of each embedding among the facts.
    fn encode(&self, data: &Dataset, rows: &[Vec<u8>], vectors: &[Vector]) -> Result<Vec<u8>> {
        let program = &self.program;
        let parameters = program.parameters();
        let operators = program.definitions(&parameters);
        let macs = u32::try_from(program.macs()).context("the network has more than 2^32 multiply-accumulates")?;
        let labels: Vec<Vec<&str>> =
            data.targets.iter().map(|target| target.labels.iter().map(String::as_str).collect()).collect();
        let rescales: Vec<[Vec<f32>; 2]> = data.targets.iter().map(rescale).collect();
        let heads: Vec<HeadDefinition<'_>> = data
            .targets
            .iter()
            .zip(&program.heads)
            .zip(labels.iter().zip(&rescales))
            .map(|((target, &tensor), (labels, [gains, offsets]))| HeadDefinition {
                name: &target.name,
                kind: target.kind.format(),
                tensor,
                labels,
                gains,
                offsets,
            })
            .collect();
        let tests: Vec<TestDefinition<'_>> = vectors
            .iter()
            .map(|vector| TestDefinition {
                input: &vector.input,
                facts: &vector.facts,
                outputs: &vector.outputs,
                checksums: &vector.checksums,
            })
            .collect();
        // Names belong to channels as the data have them.
        let named = data.channels.len() == usize::from(program.tensors[0].0.channels);
        let channels: Vec<&str> = data.channels.iter().filter(|_| named).map(String::as_str).collect();
        names_differ("the input", &channels)?;
        for head in &heads {
            names_differ(&format!("head {:?}", head.name), head.labels)?;
        }
        let record = match &data.signal {
            Some((design, _)) => Some(design.record(program.tensors[0].0.len())?),
            None => None,
        };
        data.facts.with_definitions(rows, |facts| {
            for fact in facts {
                match fact.kind {
                    KindDefinition::Category { values: names, .. }
                    | KindDefinition::Gazetteer { features: names, .. } => {
                        names_differ(&format!("fact {:?}", fact.name), names)?;
                    }
                    KindDefinition::Number { .. } | KindDefinition::Flag => {}
                }
            }
            let definition = Definition {
                input: InputDefinition {
                    name: &data.input_name,
                    is_text: data.is_text,
                    gains: &self.gains,
                    offsets: &self.offsets,
                    channels: &channels,
                    signal: record.as_deref(),
                },
                facts: if program.sources == 2 { facts } else { &[] },
                fact_mask: data.facts.mask,
                heads: &heads,
                operators: &operators,
                tensors: &self.tensors,
                tests: &tests,
                macs,
                revision: 0,
            };
            let mut bytes = vec![0; definition.encoded_len()?];
            definition.write(&mut bytes)?;
            Ok(bytes)
        })
    }
}

/// Refuses names of one list that are equal. The format allows them, and a board takes the first; nobody could say which of
/// them an answer means.
fn names_differ(of: &str, names: &[&str]) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        ensure!(seen.insert(name), "{of} has two values named {name:?}: give each a name of its own");
    }
    Ok(())
}

/// Returns the rows of each embedding in the integers of the facts tensor.
fn rows_of_embeddings(net: &Net, program: &Program) -> Result<Vec<Vec<u8>>> {
    let Some(&(_, quantization)) = program.tensors.get(usize::from(attar_shared::FACTS_TENSOR)) else {
        return Ok(Vec::new());
    };
    let rows = net.embedding_rows().map(|rows| {
        let rows = rows.flatten_all()?.to_vec1::<f32>()?;
        Ok(rows.iter().map(|&value| attar_device::quantize(value, quantization).cast_unsigned()).collect())
    });
    rows.collect()
}

/// Runs the engine on some samples, for the self-test vectors.
fn answers(bytes: &[u8], data: &Dataset, samples: &[usize]) -> Result<Vec<Vector>> {
    let student = Student::parse(bytes)?;
    let mut arena = engine::arena(&student)?;
    let mut session = Session::new(*student.model(), &mut arena)?;
    let mut vectors = Vec::new();
    let len = student.model().input_shape().len();
    for &sample in samples {
        check_stopped()?;
        let facts = engine::facts_of(&student, data, sample)?;
        session.reset();
        // Of a series the first step.
        session.load(&data.input(sample)[..len], &facts)?;
        let source = |tensor: u16| session.values(tensor).map(<[i8]>::to_vec).unwrap_or_default();
        let input = source(attar_shared::INPUT_TENSOR);
        let with_facts = student.model().header().fact_count > 0;
        let facts = if with_facts { source(attar_shared::FACTS_TENSOR) } else { Vec::new() };
        let mut checksums = Vec::new();
        loop {
            let step = session.step();
            checksums.extend(session.last_checksum());
            if step == Step::Done {
                break;
            }
        }
        let outputs = session.outputs()?.heads().flat_map(|head| head.quantized().to_vec()).collect();
        vectors.push(Vector { input, facts, outputs, checksums });
    }
    Ok(vectors)
}

fn rescale(target: &Target) -> [Vec<f32>; 2] {
    if !matches!(target.values, Labels::Numbers(_)) {
        return [Vec::new(), Vec::new()];
    }
    [
        target.scaling.iter().map(|scaling| scaling[1]).collect(),
        target.scaling.iter().map(|scaling| scaling[0]).collect(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_of_a_list_are_refused_by_name() {
        assert!(names_differ("head \"state\"", &["ok", "worn", "OK"]).is_ok());
        let error = names_differ("head \"state\"", &["ok", "worn", "ok"]).unwrap_err().to_string();
        assert_eq!(error, "head \"state\" has two values named \"ok\": give each a name of its own");
    }
}
