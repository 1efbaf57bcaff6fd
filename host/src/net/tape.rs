//! A training pass on the CPU that goes back by itself, node by node: each gradient is computed once, into memory that
//! nothing else holds, and a layer, its normalisation and its rectifier share their passes over memory.
//!
//! What has no pass of its own here goes through candle's, one node at a time. The gradients are those of
//! [`Net::forward`], which the tests hold against this.

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::layers::{Back, Backward, Gradients, Op, Trained, Training, mask, rectify};
use super::ops::{self, CHUNK, vectorized, with_floats};
use super::{Mode, Net};
use crate::domain::Activation;

/// What a training pass keeps for its way back.
pub struct Tape<'a> {
    net: &'a Net,
    batch: usize,
    /// The values of each node; none where the node after it took them over.
    values: Vec<Vec<f32>>,
    /// Whether the rectifier after a node took its values over.
    taken_over: Vec<bool>,
    /// What each node keeps for its way back; nothing for sources, and for rectifiers, whose values are enough.
    saved: Vec<Option<Box<dyn Backward>>>,
}

impl<'a> Tape<'a> {
    /// Runs a network on a batch as in training; the values of nodes in `watched` can be asked for afterwards.
    ///
    /// # Shape
    ///
    /// `input` is `[batch, height, width, channels]`, `facts` `[batch, values]`, row by row.
    ///
    /// # Errors
    ///
    /// When the shapes do not fit, or the network is not on the CPU.
    pub fn forward(
        net: &'a Net,
        batch: usize,
        input: Vec<f32>,
        facts: Option<Vec<f32>>,
        random: &mut ChaCha8Rng,
        watched: &[usize],
    ) -> Result<Self> {
        ensure!(net.device.is_cpu(), "the network is on {:?}, expected the CPU", net.device.location());
        let count = net.graph.nodes.len();
        let taken_over = (0..count).map(|index| is_taken_over(net, index, watched)).collect();
        let (values, saved) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut tape = Self { net, batch, values, taken_over, saved };
        let (mut input, mut facts) = (Some(input), facts);
        for (index, node) in net.graph.nodes.iter().enumerate() {
            let (values, saved) = match &node.op {
                Op::Input(_) => (input.take().context("a network has one input")?, None),
                Op::Facts(_) => (facts.take().context("the network takes facts and was given none")?, None),
                Op::Activation(Activation::Relu) => (tape.rectified(node.inputs[0]), None),
                _ => {
                    let Trained { values, back } = tape.node(index, random)?;
                    (values, Some(back))
                }
            };
            let expected = batch * node.shape.iter().product::<usize>();
            ensure!(values.len() == expected, "layer {:?} has {} values, expected {expected}", node.name, values.len());
            tape.values.push(values);
            tape.saved.push(saved);
        }
        Ok(tape)
    }

    /// Returns the values of a head or of a watched node, `[batch, height, width, channels]` row by row.
    pub fn values(&self, node: usize) -> &[f32] {
        &self.values[node]
    }

    /// Returns the gradients of all parameters in their order, for gradients of the values of some nodes; none where there
    /// is no way from a parameter to them.
    ///
    /// # Errors
    ///
    /// When a gradient has another length than the values of its node.
    pub fn backward(mut self, of_values: Vec<(usize, Vec<f32>)>) -> Result<Vec<Option<Tensor>>> {
        let count = self.net.graph.nodes.len();
        let mut gradients: Vec<Vec<f32>> = vec![Vec::new(); count];
        for (node, gradient) in of_values {
            ensure!(gradient.len() == self.values[node].len(), "a gradient has another length than its values");
            add(&mut gradients[node], gradient);
        }
        let trained: Vec<bool> = (0..count).fold(Vec::new(), |mut trained, index| {
            let inputs = &self.net.graph.nodes[index].inputs;
            let own = !self.net.graph.nodes[index].parameters.is_empty();
            trained.push(own || inputs.iter().any(|&input| trained[input]));
            trained
        });
        let mut of_parameters = vec![None; self.net.graph.parameter_count()];
        for index in (0..count).rev() {
            let gradient = std::mem::take(&mut gradients[index]);
            if gradient.is_empty() || !trained[index] {
                continue;
            }
            let node = &self.net.graph.nodes[index];
            let wanted: Vec<bool> = node.inputs.iter().map(|&input| trained[input]).collect();
            let back = self.back(index, gradient, &wanted)?;
            for (place, gradient) in node.parameters.clone().zip(back.of_parameters) {
                of_parameters[place] = gradient;
            }
            for (&input, gradient) in node.inputs.iter().zip(back.of_inputs) {
                add(&mut gradients[input], gradient);
            }
        }
        Ok(of_parameters)
    }

    /// Returns the rectified values of a node.
    fn rectified(&mut self, input: usize) -> Vec<f32> {
        let taken = self.taken_over[input];
        let mut values = if taken { std::mem::take(&mut self.values[input]) } else { self.values[input].clone() };
        if !(taken && self.net.graph.nodes[input].op.rectifies()) {
            rectify(&mut values);
        }
        values
    }

    /// Returns the values of a node and its way back.
    fn node(&self, index: usize, random: &mut ChaCha8Rng) -> Result<Trained> {
        let net = self.net;
        let node = &net.graph.nodes[index];
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|&input| self.values[input].as_slice()).collect();
        let shapes = net.graph.shapes(&node.inputs);
        let trained = node.op.train(&mut Training {
            batch: self.batch,
            inputs: &inputs,
            shapes: &shapes,
            shape: node.shape,
            parameters: net.parameters_of(index),
            statistics: net.statistics_of(index),
            random,
            rectified: self.taken_over[index] && node.op.rectifies(),
        })?;
        if let Some(trained) = trained {
            return Ok(trained);
        }
        let vars: Vec<Var> = inputs
            .iter()
            .zip(shapes)
            .map(|(values, [height, width, channels])| {
                Ok(Var::from_vec(values.to_vec(), (self.batch, height, width, channels), &Device::Cpu)?)
            })
            .collect::<Result<_>>()?;
        let tensors: Vec<&Tensor> = vars.iter().map(|var| var.as_tensor()).collect();
        let y = net.compute(index, &tensors, &mut Mode::Train(random), None)?.contiguous()?;
        Ok(Trained { values: with_floats(&y, |y| Ok(y.to_vec()))?, back: Box::new(Apart(vars, y)) })
    }

    /// Returns the gradients of parameters and inputs of a node; of inputs as far as they are wanted.
    fn back(&mut self, index: usize, mut gradient: Vec<f32>, wanted: &[bool]) -> Result<Gradients> {
        let net = self.net;
        let node = &net.graph.nodes[index];
        if let Op::Activation(Activation::Relu) = node.op {
            let first = node.inputs[0];
            if self.taken_over[first] && net.graph.nodes[first].op.rectifies() {
                // The way back of the node before does it, by its values.
                self.values[first] = std::mem::take(&mut self.values[index]);
            } else {
                mask(&mut gradient, &self.values[index]);
            }
            return Ok(Gradients::of_input(gradient));
        }
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|&input| self.values[input].as_slice()).collect();
        let saved = self.saved[index].as_ref();
        let saved = saved.with_context(|| format!("layer {:?} kept nothing for its way back", node.name))?;
        let (result, parameters) = (self.values[index].as_slice(), net.parameters_of(index));
        saved.backward(Back { inputs: &inputs, result, parameters, gradient, wanted })
    }
}

/// Returns whether the rectifier after a node takes its values over: it is the only reader, and nobody else asks.
fn is_taken_over(net: &Net, index: usize, watched: &[usize]) -> bool {
    let graph = &net.graph;
    let mut readers = graph.readers(index);
    let rectifier = readers.next().is_some_and(|reader| reader.op == Op::Activation(Activation::Relu));
    let asked = graph.heads.contains(&index) || watched.contains(&index);
    rectifier && readers.next().is_none() && !asked && graph.nodes[index].op.yields_result()
}

/// A node by itself, as candle computed it: its inputs and its result.
struct Apart(Vec<Var>, Tensor);

impl Backward for Apart {
    fn backward(&self, back: Back<'_>) -> Result<Gradients> {
        let Self(inputs, y) = self;
        let gradient = Tensor::from_vec(back.gradient, y.shape(), &Device::Cpu)?;
        let store = (y * gradient)?.sum_all()?.backward()?;
        let of_inputs = inputs
            .iter()
            .map(|var| match store.get(var) {
                Some(gradient) => Ok(gradient.flatten_all()?.to_vec1::<f32>()?),
                None => Ok(Vec::new()),
            })
            .collect::<Result<_>>()?;
        let of_parameters = back.parameters.iter().map(|(_, var)| store.get(var).cloned()).collect();
        Ok(Gradients { of_parameters, of_inputs })
    }
}

/// Adds a gradient to what has come from other readers.
fn add(sum: &mut Vec<f32>, gradient: Vec<f32>) {
    if sum.is_empty() {
        *sum = gradient;
    } else if !gradient.is_empty() {
        sum.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).for_each(|(sum, gradient)| {
            vectorized(|| ops::accumulate(sum, gradient));
        });
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::facts::Audience;
    use crate::net;
    use crate::recipe::Recipe;
    use crate::support::random;

    /// Every family, with facts, dropout, pools and watched layers: values, gradients and moments are candle's.
    #[test]
    fn gradients_are_those_of_the_pass_through_candle() {
        let nets = [
            ("[9]", "arch='mlp'\nhidden=[7,5]\ndropout=0.3"),
            ("[9]", "arch='mlp'\nhidden=[7]\nactivation='tanh'\nfusion='add'"),
            ("[9]", "arch='mlp'\nhidden=[7]\nfusion='prior'"),
            ("[8,6,2]", "arch='cnn'\nchannels=[4,4,6]\npool=[2,1,1]\nresidual=true\nhidden=[5]"),
            (
                "[8,6,2]",
                "arch='cnn'\nchannels=[4,6]\nseparable=true\nnorm=true\nactivation='relu6'\ngather='flatten'\nfusion='add'",
            ),
            ("[12,10,1]", "arch='dscnn'\nwidth=5\ndepth=2"),
            ("[9,8,3]", "arch='resnet'\nwidth=4"),
            ("[16,16,3]", "arch='mobilenet-v1'\nwidth=2\ndepth=1"),
            ("[20]", "arch='autoencoder'\nwidth=6\ndepth=2"),
            ("[1,9,3]", "arch='tcn'\nwidth=4\ndepth=2"),
            ("[1,6,3]", "arch='gru'\nwidth=4"),
            ("[1,6,3]", "arch='lstm'\nwidth=4\ndepth=2"),
            (
                "[8,6,2]",
                "arch='layers'\nlayers=[{kind='conv',channels=3},{kind='average-pool'},{kind='facts'},{kind='conv',channels=4}]",
            ),
            (
                "[4,6,2]",
                "arch='layers'\nlayers=[{kind='conv',channels=3},{kind='facts'},{kind='upsample',kernel=[2,3]},{kind='conv',channels=4}]",
            ),
        ];
        for (shape, student) in nets {
            let text = format!(
                "[data]\nformat='random'\nsamples=30\n[input]\nshape={shape}\n[[facts]]\nname='f'\nkind='number'\n\
                 [[heads]]\nname='y'\nkind='regression'\noutputs=3\n[student]\n{student}\n[distill]\nmethod='none'\n"
            );
            let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
            let data = crate::data::load(&recipe, "".as_ref()).unwrap();
            let graph =
                net::build(&recipe.student, data.input_shape, data.facts.input(Audience::Board), &[("y".into(), 3)])
                    .unwrap();
            let make = || Net::new(graph.clone(), &mut random::stream(4, "tape"), &Device::Cpu).unwrap();
            let (ours, candles) = (make(), make());
            let samples: Vec<usize> = (0..6).collect();
            let facts = || data.fact_rows(&samples, crate::data::dataset::FactUse::AsKnown(Audience::Board));
            let watched = [graph.nodes.len() / 2];
            let mut draw = random::stream(7, "upstream");
            let head = graph.heads[0];
            let upstream = |node: usize, draw: &mut ChaCha8Rng| -> Vec<f32> {
                let count = 6 * graph.nodes[node].shape.iter().product::<usize>();
                (0..count).map(|_| draw.random_range(-1.0..1.0)).collect()
            };
            let given = [(head, upstream(head, &mut draw)), (watched[0], upstream(watched[0], &mut draw))];

            let mut random = random::stream(9, "dropout");
            let tape = Tape::forward(&ours, 6, data.rows(&samples), facts(), &mut random, &watched).unwrap();
            let values = tape.values(head).to_vec();
            let got = tape.backward(given.to_vec()).unwrap();

            let batch = data.tensors(6, data.rows(&samples), facts(), &Device::Cpu).unwrap();
            let mut random = random::stream(9, "dropout");
            let results = candles.forward(&batch.input, batch.facts.as_ref(), Mode::Train(&mut random), None).unwrap();
            close(&values, &results[head].flatten_all().unwrap().to_vec1::<f32>().unwrap(), student);
            let score = |(node, weights): &(usize, Vec<f32>)| -> Tensor {
                let weights = Tensor::from_slice(weights, results[*node].shape(), &Device::Cpu).unwrap();
                (&results[*node] * weights).unwrap().sum_all().unwrap()
            };
            let store = (score(&given[0]) + score(&given[1])).unwrap().backward().unwrap();
            for (((name, var), got), (_, own)) in candles.parameters.iter().zip(&got).zip(&ours.parameters) {
                let expected = store.get(var).map(|gradient| gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                let got = got.as_ref().map(|gradient| {
                    assert_eq!(gradient.shape(), own.shape(), "{student} {name}");
                    gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap()
                });
                match (got, expected) {
                    (Some(got), Some(expected)) => close(&got, &expected, &format!("{student} {name}")),
                    (None, None) => {}
                    // A gradient of zeros and none at all are the same.
                    (got, expected) => {
                        let some = got.or(expected).unwrap();
                        assert!(some.iter().all(|x| *x == 0.0), "{student} {name}");
                    }
                }
            }
            for ((name, a), (_, b)) in ours.statistics.iter().zip(&candles.statistics) {
                close(&a.to_vec1::<f32>().unwrap(), &b.to_vec1::<f32>().unwrap(), &format!("{student} {name}"));
            }
        }
    }

    fn close(got: &[f32], expected: &[f32], what: &str) {
        assert_eq!(got.len(), expected.len(), "{what}");
        let scale = expected.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 2e-4 * scale, "{what}: {got}, expected {expected}");
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_threads() {
        let text = "[data]\nformat='random'\nsamples=40\n[input]\nshape=[12,12,3]\n[[heads]]\nname='y'\nkind='regression'\n\
                    outputs=3\n[student]\narch='resnet'\nwidth=8\n[distill]\nmethod='none'\n";
        let recipe = Recipe::parse(text, "r.toml", "r", &[]).unwrap();
        let data = crate::data::load(&recipe, "".as_ref()).unwrap();
        let graph = net::build(&recipe.student, data.input_shape, None, &[("y".into(), 3)]).unwrap();
        let samples: Vec<usize> = (0..37).collect();
        let run = |threads: usize| -> Vec<u32> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let net = Net::new(graph.clone(), &mut random::stream(4, "tape"), &Device::Cpu).unwrap();
                let mut random = random::stream(9, "dropout");
                let tape = Tape::forward(&net, 37, data.rows(&samples), None, &mut random, &[]).unwrap();
                let gradients = tape.backward(vec![(graph.heads[0], vec![0.5; 37 * 3])]).unwrap();
                let all = gradients.iter().flatten().map(|g| g.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                all.flatten().map(f32::to_bits).collect()
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }
}
