//! A training pass on the CPU that goes back by itself, node by node: each gradient is computed once, into memory that
//! nothing else holds, and a layer, its normalisation and its rectifier share their passes over memory.
//!
//! What has no pass of its own here goes through candle's, one node at a time. The gradients are those of
//! [`Net::forward`], which the tests hold against this.

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::graph::Op;
use super::ops::{self, BatchNorm, Convolution, Dense, Depthwise, Layer, MaxPool, vectorized, with_floats};
use super::{Mode, Net, kept};
use crate::domain::Activation;

/// What a training pass keeps for its way back.
pub struct Tape<'a> {
    net: &'a Net,
    batch: usize,
    /// The values of each node; none where the node after it took them over.
    values: Vec<Vec<f32>>,
    saved: Vec<Saved>,
}

/// What a node keeps beside its values.
enum Saved {
    Nothing,
    Norm(BatchNorm),
    Dropout(Vec<f32>),
    /// The node by itself, as candle computed it.
    Apart(Vec<Var>, Tensor),
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
        let mut tape = Self { net, batch, values: Vec::with_capacity(count), saved: Vec::with_capacity(count) };
        let (mut input, mut facts) = (Some(input), facts);
        for (index, node) in net.graph.nodes.iter().enumerate() {
            let (values, saved) = match &node.op {
                Op::Input => (input.take().context("a network has one input")?, Saved::Nothing),
                Op::Facts => (facts.take().context("the network takes facts and was given none")?, Saved::Nothing),
                _ => tape.node(index, random, watched)?,
            };
            let expected = batch * node.shape.iter().product::<usize>();
            ensure!(
                values.len() == expected || tape.is_taken_over(index, watched),
                "layer {:?} has {} values, expected {expected}",
                node.name,
                values.len()
            );
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
            let own = self.net.graph.parameter_count(index) > 0;
            trained.push(own || inputs.iter().any(|&input| trained[input]));
            trained
        });
        let mut of_parameters: Vec<Vec<Option<Tensor>>> = vec![Vec::new(); count];
        for index in (0..count).rev() {
            of_parameters[index] = vec![None; self.net.graph.parameter_count(index)];
            let gradient = std::mem::take(&mut gradients[index]);
            if gradient.is_empty() || !trained[index] {
                continue;
            }
            let wanted: Vec<bool> = self.net.graph.nodes[index].inputs.iter().map(|&input| trained[input]).collect();
            let back = self.back(index, gradient, &wanted)?;
            for (place, gradient) in back.of_parameters.into_iter().enumerate() {
                of_parameters[index][place] = gradient;
            }
            for (&input, gradient) in self.net.graph.nodes[index].inputs.iter().zip(back.of_inputs) {
                add(&mut gradients[input], gradient);
            }
        }
        Ok(of_parameters.into_iter().flatten().collect())
    }

    /// Returns the values of a node and what it keeps.
    fn node(&mut self, index: usize, random: &mut ChaCha8Rng, watched: &[usize]) -> Result<(Vec<f32>, Saved)> {
        let net = self.net;
        let node = &net.graph.nodes[index];
        let first = node.inputs[0];
        if let Op::Activation(Activation::Relu) = node.op {
            // A normalisation has done it; any other node hands its values over when it has no other reader.
            let taken = self.is_taken_over(first, watched);
            let mut values = if taken { std::mem::take(&mut self.values[first]) } else { self.values[first].clone() };
            if !(taken && net.graph.nodes[first].op == Op::Norm) {
                each_chunk(&mut values, |values| {
                    values.iter_mut().for_each(|x| *x = if *x <= 0.0 { 0.0 } else { *x });
                });
            }
            return Ok((values, Saved::Nothing));
        }
        let x = &self.values[first];
        let parameters: Vec<&Tensor> = net.parameters_of(index).iter().map(|(_, var)| var.as_tensor()).collect();
        Ok(match &node.op {
            Op::Dense { .. } | Op::Convolution { .. } | Op::Depthwise { .. } => {
                let layer = self.layer(index);
                let values = with_floats(parameters[0], |weight| match parameters.get(1) {
                    Some(bias) => with_floats(bias, |bias| Ok(layer.forward(x, weight, Some(bias)))),
                    None => Ok(layer.forward(x, weight, None)),
                })?;
                (values, Saved::Nothing)
            }
            Op::Norm => {
                let rectified = self.is_taken_over(index, watched);
                let norm = BatchNorm::measure(x, node.shape[2], rectified);
                net.follow_moments(index, norm.mean.clone(), norm.variance.clone(), x.len())?;
                let values = with_floats(parameters[0], |scale| {
                    with_floats(parameters[1], |shift| Ok(norm.forward(x, scale, shift)))
                })?;
                (values, Saved::Norm(norm))
            }
            Op::AveragePool { window } if window.out == [1, 1] && window.pad == [0, 0] => {
                let (image, channels) = (x.len() / self.batch, node.shape[2]);
                let mut values = vec![0.0; self.batch * channels];
                values.par_chunks_mut(channels).zip(x.par_chunks(image)).for_each(|(mean, x)| {
                    vectorized(|| {
                        x.chunks_exact(channels).for_each(|x| ops::accumulate(mean, x));
                        let share = channels as f32 / image as f32;
                        mean.iter_mut().for_each(|mean| *mean *= share);
                    });
                });
                (values, Saved::Nothing)
            }
            Op::MaxPool { window } => {
                let pool = MaxPool::new(*window, self.batch, net.graph.nodes[first].shape);
                (pool.forward(x), Saved::Nothing)
            }
            Op::Dropout { share } => {
                let kept = kept(x.len(), *share, random);
                (x.iter().zip(&kept).map(|(x, kept)| x * kept).collect(), Saved::Dropout(kept))
            }
            Op::Add if self.values[node.inputs[1]].len() == x.len() => {
                let mut values = x.clone();
                let other = &self.values[node.inputs[1]];
                values.par_chunks_mut(CHUNK).zip(other.par_chunks(CHUNK)).for_each(|(sum, other)| {
                    vectorized(|| ops::accumulate(sum, other));
                });
                (values, Saved::Nothing)
            }
            _ => {
                let inputs: Vec<Var> = node
                    .inputs
                    .iter()
                    .map(|&input| {
                        let [height, width, channels] = net.graph.nodes[input].shape;
                        let values = self.values[input].clone();
                        Ok(Var::from_vec(values, (self.batch, height, width, channels), &Device::Cpu)?)
                    })
                    .collect::<Result<_>>()?;
                let tensors: Vec<&Tensor> = inputs.iter().map(|var| var.as_tensor()).collect();
                let y = net.compute(index, &tensors, &mut Mode::Train(random), None)?.contiguous()?;
                (with_floats(&y, |y| Ok(y.to_vec()))?, Saved::Apart(inputs, y))
            }
        })
    }

    /// Returns the gradients of parameters and inputs of a node; of inputs as far as they are wanted.
    fn back(&mut self, index: usize, mut gradient: Vec<f32>, wanted: &[bool]) -> Result<Back> {
        let net = self.net;
        let node = &net.graph.nodes[index];
        let first = node.inputs[0];
        let tensors = |gradients: Vec<Vec<f32>>| -> Result<Vec<Option<Tensor>>> {
            let parameters = net.parameters_of(index).iter().zip(gradients);
            parameters
                .map(|((_, var), gradient)| Ok(Some(Tensor::from_vec(gradient, var.shape(), &Device::Cpu)?)))
                .collect()
        };
        match &node.op {
            Op::Activation(Activation::Relu) => {
                // The pass of a normalisation that took it over does this as well.
                if !matches!(self.saved[first], Saved::Norm(ref norm) if norm.is_rectified()) {
                    let y = &self.values[index];
                    gradient.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(gradient, y)| {
                        vectorized(|| {
                            let pairs = gradient.iter_mut().zip(y);
                            pairs.for_each(|(gradient, &y)| *gradient = if y <= 0.0 { 0.0 } else { *gradient });
                        });
                    });
                } else {
                    self.values[first] = std::mem::take(&mut self.values[index]);
                }
                Ok(Back::to_input(gradient))
            }
            Op::Dense { .. } | Op::Convolution { .. } | Op::Depthwise { .. } => {
                let (layer, x) = (self.layer(index), &self.values[first]);
                let weight = net.parameters_of(index)[0].1.as_tensor();
                let [dx, dweight, dbias] =
                    with_floats(weight, |weight| Ok(layer.backward(x, weight, &gradient, wanted[0])))?;
                Ok(Back { of_parameters: tensors(vec![dweight, dbias])?, of_inputs: vec![dx] })
            }
            Op::Norm => {
                let Saved::Norm(norm) = &self.saved[index] else { unreachable_state(&node.name)? };
                let (x, y) = (&self.values[first], &self.values[index]);
                let scale = net.parameters_of(index)[0].1.as_tensor();
                let [dx, dscale, dshift] = with_floats(scale, |scale| Ok(norm.backward(x, scale, y, gradient)))?;
                Ok(Back { of_parameters: tensors(vec![dscale, dshift])?, of_inputs: vec![dx] })
            }
            Op::AveragePool { window } if window.out == [1, 1] && window.pad == [0, 0] => {
                let channels = node.shape[2];
                let image = self.values[first].len() / self.batch;
                let share = channels as f32 / image as f32;
                let mut dx = vec![0.0; self.batch * image];
                dx.par_chunks_mut(image).zip(gradient.par_chunks(channels)).for_each(|(dx, gradient)| {
                    vectorized(|| {
                        for dx in dx.chunks_exact_mut(channels) {
                            dx.iter_mut().zip(gradient).for_each(|(dx, gradient)| *dx = gradient * share);
                        }
                    });
                });
                Ok(Back::to_input(dx))
            }
            Op::MaxPool { window } => {
                let pool = MaxPool::new(*window, self.batch, net.graph.nodes[first].shape);
                Ok(Back::to_input(pool.backward(&self.values[first], &self.values[index], &gradient)))
            }
            Op::Dropout { .. } => {
                let Saved::Dropout(kept) = &self.saved[index] else { unreachable_state(&node.name)? };
                gradient.iter_mut().zip(kept).for_each(|(gradient, kept)| *gradient *= kept);
                Ok(Back::to_input(gradient))
            }
            Op::Add if matches!(self.saved[index], Saved::Nothing) => {
                let other = if wanted[0] && wanted[1] { gradient.clone() } else { Vec::new() };
                let of_inputs = if wanted[0] { vec![gradient, other] } else { vec![other, gradient] };
                Ok(Back { of_parameters: Vec::new(), of_inputs })
            }
            _ => {
                let Saved::Apart(inputs, y) = &self.saved[index] else { unreachable_state(&node.name)? };
                let gradient = Tensor::from_vec(gradient, y.shape(), &Device::Cpu)?;
                let store = (y * gradient)?.sum_all()?.backward()?;
                let of_inputs = inputs
                    .iter()
                    .map(|var| match store.get(var) {
                        Some(gradient) => Ok(gradient.flatten_all()?.to_vec1::<f32>()?),
                        None => Ok(Vec::new()),
                    })
                    .collect::<Result<_>>()?;
                let of_parameters = net.parameters_of(index).iter().map(|(_, var)| store.get(var).cloned()).collect();
                Ok(Back { of_parameters, of_inputs })
            }
        }
    }

    /// Returns whether the rectifier after a node takes its values over: it is the only reader, and nobody else asks.
    fn is_taken_over(&self, index: usize, watched: &[usize]) -> bool {
        let graph = &self.net.graph;
        let mut readers = graph.readers(index);
        let rectifier = readers.next().is_some_and(|reader| reader.op == Op::Activation(Activation::Relu));
        // Its own values are what a pool goes back by.
        let own = !matches!(graph.nodes[index].op, Op::Input | Op::Facts | Op::Activation(_) | Op::MaxPool { .. });
        // What candle computed apart keeps its values in its own tensor.
        rectifier && own && readers.next().is_none() && !graph.heads.contains(&index) && !watched.contains(&index)
    }

    /// Returns the sizes of a layer with weights.
    fn layer(&self, index: usize) -> Box<dyn Layer> {
        let node = &self.net.graph.nodes[index];
        let [height, width, channels] = self.net.graph.nodes[node.inputs[0]].shape;
        let (batch, input) = (self.batch, [height, width]);
        match &node.op {
            Op::Convolution { outputs, window } => {
                Box::new(Convolution { window: *window, batch, input, channels, out: *outputs })
            }
            Op::Depthwise { window } => Box::new(Depthwise { window: *window, batch, input, channels }),
            _ => Box::new(Dense { batch, inputs: height * width * channels, outputs: node.shape[2] }),
        }
    }
}

/// The gradients that a node passes on; an empty one is none.
struct Back {
    of_parameters: Vec<Option<Tensor>>,
    of_inputs: Vec<Vec<f32>>,
}

impl Back {
    fn to_input(gradient: Vec<f32>) -> Self {
        Self { of_parameters: Vec::new(), of_inputs: vec![gradient] }
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

fn each_chunk(values: &mut [f32], change: impl Fn(&mut [f32]) + Sync) {
    values.par_chunks_mut(CHUNK).for_each(|values| vectorized(|| change(values)));
}

fn unreachable_state<T>(layer: &str) -> Result<T> {
    anyhow::bail!("layer {layer:?} kept nothing for its way back")
}

/// Values that a thread takes at a time.
const CHUNK: usize = 1 << 15;

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
            (
                "[8,6,2]",
                "arch='layers'\nlayers=[{kind='conv',channels=3},{kind='average-pool'},{kind='facts'},{kind='conv',channels=4}]",
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
