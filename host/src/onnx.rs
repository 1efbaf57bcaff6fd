//! Networks from ONNX files: a reader of the file, and an interpreter of its operators in 32-bit floats.
//!
//! A file is taken whole or refused: every operator, attribute, input and output has to be known, so that no network
//! silently computes something else. `operators` has the table of operators; a new one is a line there.
//!
//! Source of the operators' meaning: <https://onnx.ai/onnx/operators/>, opsets 7 to 28.

mod attributes;
mod operators;
mod proto;
mod tensor;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use prost::Message;

use attributes::Attributes;
use operators::{Inputs, Run, Work};
use tensor::{Data, Folder, Tensor};

/// A network from an ONNX file.
pub struct Network {
    /// The shape of the input; a size that the file leaves open is none.
    input: Vec<Option<usize>>,
    input_slot: usize,
    outputs: Vec<Output>,
    steps: Vec<Step>,
    /// The value of each slot that is known before a run.
    constants: Vec<Option<Tensor>>,
    parameters: usize,
    files: Vec<PathBuf>,
}

struct Output {
    name: String,
    slot: usize,
    /// What ends it, and the slot before, where that is a function of probabilities.
    ending: Option<(Ending, usize)>,
}

/// A last operator that makes probabilities of logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Of several classes.
    Softmax,
    /// Of each output for itself.
    Sigmoid,
}

/// Values of 32-bit floats that a network returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `[rows, ...]`.
    pub shape: Vec<usize>,
    /// The values, row by row.
    pub values: Vec<f32>,
}

struct Step {
    /// The node for messages: its name and its operator.
    title: String,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    run: Run,
    /// Slots that no later step reads.
    done: Vec<usize>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("input", &self.input).field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Network {
    /// Reads a network with one input of 32-bit floats.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no whole ONNX network, and when it has an operator, an attribute, an element
    /// type, an input or an output that is not supported; the message names the node.
    pub fn read(path: &Path) -> Result<Self> {
        Self::decode(path, &crate::support::files::read_at_most(path, MAX_BYTES)?)
    }

    /// As [`Network::read`], from bytes; weights in other files are beside `path`.
    ///
    /// # Errors
    ///
    /// As [`Network::read`].
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (at, len) = (path.display(), bytes.len());
        let broken = || format!("{at}: is no ONNX file, or a part of one ({len} bytes): export or copy it again");
        let model = proto::Model::decode(bytes).with_context(broken)?;
        let opset = opset_of(&model).with_context(|| format!("{at}: {PLAINER}"))?;
        let Some((graph, opset)) = model.graph.as_ref().filter(|graph| !graph.outputs.is_empty()).zip(opset) else {
            bail!(broken());
        };
        Self::build(path, graph, opset).with_context(|| format!("{at}: cannot be used: {PLAINER}"))
    }

    fn build(path: &Path, graph: &proto::Graph, opset: i64) -> Result<Self> {
        ensure!(graph.sparse_initializers.is_empty(), "has sparse weights, which are not supported");
        let folder = Folder { path: path.parent().map(Path::to_path_buf).unwrap_or_default() };
        let mut slots: BTreeMap<&str, usize> = BTreeMap::new();
        let mut constants: Vec<Option<Tensor>> = Vec::new();
        let mut parameters = 0;
        let mut files = BTreeSet::new();
        for constant in &graph.initializers {
            let name = constant.name.as_str();
            let tensor = Tensor::read(constant, &folder).with_context(|| format!("weights {name:?}"))?;
            if matches!(tensor.data, Data::Float(_)) {
                parameters += tensor.len();
            }
            if constant.location != 0 {
                files.insert(folder.place(constant)?);
            }
            ensure!(slots.insert(name, constants.len()).is_none(), "has the weights {name:?} twice");
            constants.push(Some(tensor));
        }
        // Files of IR version 3 list the weights among the inputs.
        let inputs: Vec<&proto::ValueInfo> =
            graph.inputs.iter().filter(|input| !slots.contains_key(input.name.as_str())).collect();
        let names = || inputs.iter().map(|input| input.name.as_str()).take(10).collect::<Vec<_>>().join(", ");
        ensure!(inputs.len() == 1, "has {} inputs ({}), expected the data alone", inputs.len(), names());
        let input_slot = constants.len();
        let input = shape_of(inputs[0])?;
        slots.insert(&inputs[0].name, input_slot);
        constants.push(None);

        let mut endings: BTreeMap<usize, (Ending, usize)> = BTreeMap::new();
        let mut steps = Vec::new();
        let work = Work::of_batch();
        for node in &graph.nodes {
            let title = title_of(node);
            let operator = (|| {
                ensure!(
                    STANDARD.contains(&node.domain.as_str()),
                    "an operator of {:?}, which is not known",
                    node.domain
                );
                ensure!(node.overload.is_empty(), "an overload {:?}, which is not known", node.overload);
                operators::find(&node.operator).context("an operator that is not supported")
            })()
            .with_context(|| title.clone())?;
            let step = || -> Result<Step> {
                let named = node.inputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
                let [least, most] = operator.inputs;
                ensure!((least..=most).contains(&named), "has {named} inputs, {least} to {most} are supported");
                let wanted = node.outputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
                ensure!(
                    (1..=operator.outputs).contains(&wanted),
                    "has {wanted} outputs, 1 to {} are supported",
                    operator.outputs
                );
                let slot = |name: &String| match name.as_str() {
                    "" => Ok(None),
                    name => {
                        slots.get(name).copied().map(Some).with_context(|| format!("no node before it gives {name}"))
                    }
                };
                let inputs = node.inputs[..named].iter().map(slot).collect::<Result<Vec<_>>>()?;
                let mut attributes = Attributes::of_node(node, opset, &folder)?;
                let run = (operator.build)(&mut attributes)?;
                attributes.finish()?;
                Ok(Step { title: title.clone(), inputs, outputs: Vec::new(), run, done: Vec::new() })
            };
            let mut step = step().with_context(|| title.clone())?;
            let known: Option<Vec<Option<Tensor>>> = step
                .inputs
                .iter()
                .map(|slot| slot.map_or(Some(None), |slot| constants[slot].clone().map(Some)))
                .collect();
            let mut values = match known {
                Some(inputs) => (step.run)(&Inputs(inputs), &work).with_context(|| title.clone())?.into_iter(),
                None => Vec::new().into_iter(),
            };
            let folded = values.len() > 0;
            for name in &node.outputs {
                let value = values.next();
                if name.is_empty() {
                    step.outputs.push(None);
                    continue;
                }
                ensure!(
                    slots.insert(name, constants.len()).is_none(),
                    "{title} gives {name:?}, which is there already"
                );
                step.outputs.push(Some(constants.len()));
                constants.push(value);
            }
            if folded {
                continue;
            }
            if let (&[Some(input)], Some(Some(output))) = (&step.inputs[..], step.outputs.first()) {
                let ending = match node.operator.as_str() {
                    "Softmax" => Some((Ending::Softmax, input)),
                    "Sigmoid" => Some((Ending::Sigmoid, input)),
                    "Identity" => endings.get(&input).copied(),
                    _ => None,
                };
                ending.into_iter().for_each(|ending| _ = endings.insert(*output, ending));
            }
            steps.push(step);
        }
        let mut outputs = Vec::new();
        for output in &graph.outputs {
            let name = &output.name;
            let slot = *slots.get(name.as_str()).with_context(|| format!("no node gives the output {name:?}"))?;
            outputs.push(Output { name: name.clone(), slot, ending: endings.get(&slot).copied() });
        }
        let files = [path.to_path_buf()].into_iter().chain(files).collect();
        let mut network = Self { input, input_slot, outputs, steps, constants, parameters, files };
        network.schedule();
        Ok(network)
    }

    /// Runs the network on a batch: `x` holds its values row by row, `shape` has the batch first.
    ///
    /// # Errors
    ///
    /// When an operator does not take its inputs, an output holds no floats, the batch asks for more memory or work than
    /// is allowed, or the program was asked to stop.
    pub fn run(&self, shape: &[usize], x: Vec<f32>) -> Result<Vec<Answer>> {
        let work = Work::of_batch();
        let mut values = self.constants.clone();
        let mut live = x.len();
        values[self.input_slot] = Some(Tensor::floats(shape.to_vec(), x)?);
        for step in &self.steps {
            let inputs = step.inputs.iter().map(|slot| slot.and_then(|slot| values[slot].clone())).collect();
            let outputs = (step.run)(&Inputs(inputs), &work).with_context(|| step.title.clone())?;
            for (slot, output) in step.outputs.iter().zip(outputs) {
                let Some(slot) = *slot else { continue };
                live += output.len();
                values[slot] = Some(output);
            }
            ensure!(live <= MAX_LIVE, "{}: more than {MAX_LIVE} values are in use", step.title);
            for &slot in &step.done {
                live -= values[slot].take().map_or(0, |value| value.len());
            }
        }
        self.outputs
            .iter()
            .map(|output| {
                let name = &output.name;
                let tensor = values[output.slot].as_ref().with_context(|| format!("nothing gives output {name:?}"))?;
                let floats = tensor.as_floats().with_context(|| format!("output {name:?}"))?;
                Ok(Answer { shape: tensor.shape.clone(), values: floats.to_vec() })
            })
            .collect()
    }

    /// Takes what makes probabilities of logits from the end of an output.
    pub fn without_ending(&mut self, output: usize) {
        if let Some((_, slot)) = self.outputs[output].ending.take() {
            self.outputs[output].slot = slot;
            self.schedule();
        }
    }

    /// Returns what ends an output.
    pub fn ending(&self, output: usize) -> Option<Ending> {
        self.outputs[output].ending.map(|(ending, _)| ending)
    }

    /// Returns the shape of the input; a size that the file leaves open is none.
    pub fn input(&self) -> &[Option<usize>] {
        &self.input
    }

    /// Returns the names of the outputs, in the order of the file.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|output| output.name.as_str())
    }

    /// Returns the number of floats among the weights.
    pub fn parameter_count(&self) -> usize {
        self.parameters
    }

    /// Returns the file and those beside it that hold weights.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Finds out after which step each value is of no more use.
    fn schedule(&mut self) {
        let kept: BTreeSet<usize> = self.outputs.iter().map(|output| output.slot).collect();
        let mut seen: BTreeSet<usize> = kept.clone();
        for step in self.steps.iter_mut().rev() {
            let slots = step.inputs.iter().chain(&step.outputs).flatten().copied();
            step.done = slots.filter(|&slot| self.constants[slot].is_none() && seen.insert(slot)).collect();
        }
    }
}

/// Returns the version of the standard operators; none where the file does not say.
fn opset_of(model: &proto::Model) -> Result<Option<i64>> {
    ensure!(model.ir_version <= MAX_IR, "is of IR version {}, at most {MAX_IR} is known", model.ir_version);
    let mut versions = model.opsets.iter().filter(|set| STANDARD.contains(&set.domain.as_str())).map(|set| set.version);
    let Some(version) = versions.next() else { return Ok(None) };
    ensure!(versions.all(|other| other == version), "is of several opsets");
    let [first, last] = OPSETS;
    ensure!((first..=last).contains(&version), "is of opset {version}, {first} to {last} are known");
    Ok(Some(version))
}

/// Returns the shape of an input, without the sizes that are left open.
fn shape_of(input: &proto::ValueInfo) -> Result<Vec<Option<usize>>> {
    let name = &input.name;
    let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let tensor = tensor.with_context(|| format!("input {name:?} is no tensor"))?;
    let kind = tensor.element;
    ensure!(kind == 1, "input {name:?} is of the ONNX type {kind}, not 32-bit floats (1)");
    let shape = tensor.shape.as_ref().filter(|shape| shape.dims.len() > 1);
    let shape = shape.with_context(|| format!("input {name:?} has no shape with a batch"))?;
    Ok(shape.dims.iter().map(|dim| usize::try_from(dim.value).ok().filter(|&size| size > 0)).collect())
}

/// Returns how messages call a node.
fn title_of(node: &proto::Node) -> String {
    let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
    let short: String = name.into_iter().flat_map(|name| name.chars()).take(80).collect();
    format!("node {short:?} ({})", node.operator.chars().take(40).collect::<String>())
}

/// The largest file that is read.
const MAX_BYTES: u64 = 2 << 30;
/// The largest number of values that a run may hold at a time.
const MAX_LIVE: usize = if cfg!(fuzzing) { 1 << 22 } else { 1 << 28 };
/// The newest version of the file format that is known.
const MAX_IR: i64 = 14;
/// The versions of the standard operators whose meaning is known.
const OPSETS: [i64; 2] = [7, 28];
/// The names of the standard operators' domain.
const STANDARD: [&str; 2] = ["", "ai.onnx"];
/// What helps against a network that cannot be read.
const PLAINER: &str = "export it in a plainer form (PyTorch: `torch.onnx.export(..., opset_version=17)` in evaluation \
                       mode), or save its logits as npy and use `arch = \"saved\"`";
