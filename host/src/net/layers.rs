//! What layers compute; each is a file of its own that holds all that follows from it: shape, parameters, passes forward and
//! back, how a normalisation joins it, and the integer operators that it becomes.

mod activation;
mod add;
mod average_pool;
mod bag;
mod concat;
mod convolution;
mod dense;
mod depthwise;
mod dropout;
mod embedding;
mod facts;
mod gru;
mod input;
mod last;
mod lstm;
mod max_pool;
mod multiply;
mod norm;
mod prior;
mod upsample;
mod weighted;
mod window;

use std::borrow::Cow;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;

pub use add::Add;
pub use average_pool::AveragePool;
pub use bag::Bag;
pub use concat::Concat;
pub use convolution::Convolution;
pub use dense::Dense;
pub use depthwise::Depthwise;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use facts::Facts;
pub use gru::Gru;
pub use input::Input;
pub use last::Last;
pub use lstm::Lstm;
pub use max_pool::MaxPool;
pub use multiply::Multiply;
pub use norm::Norm;
pub use prior::Prior;
pub use upsample::Upsample;

pub(super) use activation::{mask, rectify};
pub(super) use norm::Affine;

use super::lowering::{Lowered, Site};
use super::{Hook, Mode};
use crate::domain::Activation;
use crate::recipe::{Layer, LayerKind};

/// Defines the enumeration of all layers, each by the type that holds its sizes.
macro_rules! layers {
    ($($(#[$doc:meta])* $layer:ident($type:ty),)*) => {
        /// What a layer computes.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $layer($type),)*
        }

        $(impl From<$type> for Op {
            fn from(layer: $type) -> Self {
                Self::$layer(layer)
            }
        })*

        impl std::ops::Deref for Op {
            type Target = dyn Operator;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$layer(layer) => layer,)*
                }
            }
        }
    };
}

layers! {
    /// The normalised input.
    Input(Input),
    /// The encoded facts.
    Facts(Facts),
    /// The encoded facts, categories by their learned rows.
    Embedding(Embedding),
    /// A matrix product of the flattened input.
    Dense(Dense),
    /// A convolution.
    Convolution(Convolution),
    /// A convolution channel by channel.
    Depthwise(Depthwise),
    /// The mean over a window.
    AveragePool(AveragePool),
    /// The greatest value in a window.
    MaxPool(MaxPool),
    /// Each position repeated along both axes.
    Upsample(Upsample),
    /// A batch normalisation.
    Norm(Norm),
    /// A function of each value.
    Activation(Activation),
    /// Values dropped while training.
    Dropout(Dropout),
    /// The sum of two.
    Add(Add),
    /// The product of two.
    Multiply(Multiply),
    /// The channels of all inputs one after the other.
    Concat(Concat),
    /// A gated recurrent layer over a series.
    Gru(Gru),
    /// A long short-term memory over a series.
    Lstm(Lstm),
    /// What the facts say of a head by themselves.
    Prior(Prior),
    /// The last step of a series.
    Last(Last),
    /// The mean of the rows that a text's n-grams choose.
    Bag(Bag),
}

/// Returns what an entry of `layers` of a kind becomes.
pub(super) fn entry(kind: LayerKind) -> &'static Entry {
    match kind {
        LayerKind::Conv => &convolution::ENTRY,
        LayerKind::Depthwise => &depthwise::ENTRY,
        LayerKind::Dense => &dense::ENTRY,
        LayerKind::MaxPool => &max_pool::ENTRY,
        LayerKind::AveragePool => &average_pool::ENTRY,
        LayerKind::GlobalAverage => &average_pool::GLOBAL,
        LayerKind::Upsample => &upsample::ENTRY,
        LayerKind::Residual => &add::RESIDUAL,
        LayerKind::Gru => &gru::ENTRY,
        LayerKind::Lstm => &lstm::ENTRY,
        LayerKind::Last => &last::ENTRY,
        LayerKind::Bag => &bag::ENTRY,
        LayerKind::Dropout => &dropout::ENTRY,
        LayerKind::Facts => &facts::ENTRY,
    }
}

/// A kind of the entries of `layers` in recipes.
pub(super) struct Entry {
    /// The keys that it takes; `norm` and `activation` say what may follow it.
    pub(super) keys: &'static [&'static str],
    /// Whether the network's activation follows it when the layer names none.
    pub(super) is_activated: bool,
    /// What it becomes.
    pub(super) build: Build,
}

/// What an entry of `layers` becomes.
pub(super) enum Build {
    /// One node: the operator of a layer at its place.
    Operator(fn(&Layer, &Place) -> Result<Op>),
    /// The sum of layers and of their shortcut.
    Sum,
    /// What joins the facts to the network.
    Fusion,
}

/// Where a layer of a recipe is.
pub(super) struct Place {
    /// `[height, width, channels]` of what it reads.
    pub(super) shape: [usize; 3],
    /// Whether it reads the input itself.
    pub(super) is_first: bool,
    /// Whether a normalisation follows it.
    pub(super) is_normed: bool,
}

impl Place {
    fn check_series(&self) -> Result<()> {
        ensure!(self.shape[0] == 1, "it reads a series, of height 1, and not {:?}", self.shape);
        Ok(())
    }
}

/// Units of a recurrent layer.
const MAX_UNITS: usize = 4096;

/// Returns the channels of a layer.
fn channels(layer: &Layer, most: usize) -> Result<usize> {
    let channels = layer.channels.context("channels are missing")?;
    ensure!((1..=most).contains(&channels), "channels are {channels}, expected 1 to {most}");
    Ok(channels)
}

/// A layer: all that other modules ask of it.
///
/// Methods without a default differ for every layer. The defaults are those of a layer without parameters that candle
/// differentiates.
pub trait Operator {
    /// Returns the shape of the result, `[height, width, channels]`, for the shapes of the inputs.
    ///
    /// # Errors
    ///
    /// When the inputs do not fit each other.
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]>;

    /// Returns what is trained, in the order in which the passes and [`Operator::fold`] take it.
    fn parameters(&self, _inputs: &[[usize; 3]]) -> Vec<Parameter> {
        Vec::new()
    }

    /// Returns what training leaves behind without a gradient.
    fn statistics(&self, _inputs: &[[usize; 3]]) -> Vec<Parameter> {
        Vec::new()
    }

    /// Returns the result, by candle, which differentiates it.
    ///
    /// # Errors
    ///
    /// When a shape does not fit, or the device fails.
    fn forward(&self, pass: &Pass<'_>, mode: &mut Mode<'_>) -> Result<Tensor>;

    /// Returns the result in training on the CPU and the way back, of a layer that has passes of its own; for the others
    /// nothing: candle computes them.
    ///
    /// # Errors
    ///
    /// When parameters are not on the CPU.
    fn train(&self, _pass: &mut Training<'_>) -> Result<Option<Trained>> {
        Ok(None)
    }

    /// Whether [`Operator::train`] rectifies its result itself where a rectifier follows.
    fn rectifies(&self) -> bool {
        false
    }

    /// Whether a rectifier, if it is the only reader, may take over the memory of the result: the way back does not read it.
    fn yields_result(&self) -> bool {
        true
    }

    /// Returns what computes the same on a board: without a normalisation after it, `norm`, which joins its parameters.
    ///
    /// # Errors
    ///
    /// When no normalisation can join it.
    fn fold(&self, parameters: &[&Tensor], norm: Option<&Affine>) -> Result<Folded> {
        if norm.is_some() {
            bail!("it has no weights that a normalisation can join");
        }
        Ok(Folded { op: None, parameters: parameters.iter().map(|&parameter| parameter.clone()).collect() })
    }

    /// Adds the integer operators that compute it on a board and returns the tensor of the result.
    ///
    /// # Errors
    ///
    /// When no integer operators compute it.
    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16>;

    /// Whether it makes the network run on a board a step of its series at a time.
    fn is_streamed(&self) -> bool {
        false
    }

    /// Whether it reads the bytes of a text, which are integers already.
    fn reads_text(&self) -> bool {
        false
    }
}

/// A parameter of a layer, or a statistic.
#[derive(Debug)]
pub struct Parameter {
    /// Its name behind the layer's.
    pub name: Cow<'static, str>,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values before training.
    pub initial: Initial,
}

impl Parameter {
    fn new(name: impl Into<Cow<'static, str>>, shape: impl Into<Vec<usize>>, initial: Initial) -> Self {
        Self { name: name.into(), shape: shape.into(), initial }
    }
}

/// Values before training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// 0, or 1 of a layer whose result is a factor of a product.
    Bias,
    /// He-normal (He 2015) before a ReLU, Glorot-normal elsewhere.
    Weights {
        /// Values that an output is computed from.
        fan_in: usize,
        /// Outputs.
        fan_out: usize,
    },
    /// Glorot-normal.
    Glorot {
        /// Values that an output is computed from.
        fan_in: usize,
        /// Outputs.
        fan_out: usize,
    },
    /// Of mean 0 and deviation 1.
    Normal,
}

/// A layer in a pass by candle.
pub struct Pass<'a> {
    pub(super) node: usize,
    pub(super) name: &'a str,
    /// `[height, width, channels]` of the result.
    pub(super) shape: [usize; 3],
    pub(super) inputs: &'a [&'a Tensor],
    pub(super) parameters: &'a [(String, Var)],
    pub(super) statistics: &'a [(String, Var)],
    pub(super) hook: Option<&'a dyn Hook>,
}

impl Pass<'_> {
    fn input(&self, place: usize) -> Result<&Tensor> {
        self.inputs.get(place).copied().with_context(|| format!("layer {:?} has no input {place}", self.name))
    }

    fn parameter(&self, place: usize) -> Result<&Tensor> {
        let parameter = self.parameters.get(place).map(|(_, var)| var.as_tensor());
        parameter.with_context(|| format!("layer {:?} has too few parameters", self.name))
    }

    /// Returns weights as they are to be used.
    fn weight(&self, place: usize) -> Result<Tensor> {
        let weight = self.parameter(place)?;
        Ok(match self.hook {
            Some(hook) => hook.weight(self.node, place, weight)?,
            None => weight.clone(),
        })
    }

    /// Returns a value on the way to the result as it is to be used.
    fn part(&self, part: &'static str, value: Tensor) -> candle_core::Result<Tensor> {
        match self.hook {
            Some(hook) => hook.part(self.node, part, value),
            None => Ok(value),
        }
    }

    /// Returns a result of one step as it is to be used.
    fn result(&self, value: Tensor) -> candle_core::Result<Tensor> {
        match self.hook {
            Some(hook) => hook.result(self.node, value),
            None => Ok(value),
        }
    }
}

/// A layer in a training pass over plain floats.
pub struct Training<'a> {
    pub(super) batch: usize,
    pub(super) inputs: &'a [&'a [f32]],
    /// `[height, width, channels]` of each input.
    pub(super) shapes: &'a [[usize; 3]],
    /// `[height, width, channels]` of the result.
    pub(super) shape: [usize; 3],
    pub(super) parameters: &'a [(String, Var)],
    pub(super) statistics: &'a [(String, Var)],
    pub(super) random: &'a mut ChaCha8Rng,
    /// Whether the result is to be rectified, of a layer that [`Operator::rectifies`].
    pub(super) rectified: bool,
}

/// The result of a layer in training and its way back.
pub struct Trained {
    pub(super) values: Vec<f32>,
    pub(super) back: Box<dyn Backward>,
}

impl Trained {
    fn new(values: Vec<f32>, back: impl Backward + 'static) -> Self {
        Self { values, back: Box::new(back) }
    }
}

/// The way back through a layer, with what it kept from its pass forward.
pub trait Backward {
    /// Returns the gradients of inputs and parameters.
    ///
    /// # Errors
    ///
    /// When parameters are not on the CPU.
    fn backward(&self, back: Back<'_>) -> Result<Gradients>;
}

/// A layer on the way back.
pub struct Back<'a> {
    pub(super) inputs: &'a [&'a [f32]],
    /// The result; nothing where a rectifier took it over.
    pub(super) result: &'a [f32],
    pub(super) parameters: &'a [(String, Var)],
    /// The gradient of the result.
    pub(super) gradient: Vec<f32>,
    /// The inputs whose gradients are asked for.
    pub(super) wanted: &'a [bool],
}

impl Back<'_> {
    /// Returns the gradients of inputs and parameters; what exceeds the parameters is of some that the layer is without.
    fn gradients(&self, of_inputs: Vec<Vec<f32>>, of_parameters: Vec<Vec<f32>>) -> Result<Gradients> {
        let pairs = self.parameters.iter().zip(of_parameters);
        let of_parameters = pairs
            .map(|((_, var), gradient)| Ok(Some(Tensor::from_vec(gradient, var.shape(), &Device::Cpu)?)))
            .collect::<Result<_>>()?;
        Ok(Gradients { of_parameters, of_inputs })
    }
}

/// The gradients that a layer passes on; an empty one of an input is none.
pub struct Gradients {
    pub(super) of_parameters: Vec<Option<Tensor>>,
    pub(super) of_inputs: Vec<Vec<f32>>,
}

impl Gradients {
    pub(super) fn of_input(gradient: Vec<f32>) -> Self {
        Self { of_parameters: Vec::new(), of_inputs: vec![gradient] }
    }
}

/// A layer as it computes on a board.
pub struct Folded {
    /// What takes its place; the layer itself if nothing.
    pub(super) op: Option<Op>,
    /// The parameters, as the layer of then names them.
    pub(super) parameters: Vec<Tensor>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::recipe::{Padding, Size};

    /// A misspelt key in an entry would refuse what it should take.
    #[test]
    fn keys_of_entries_are_those_of_layers() {
        let size = Some(Size::One(1));
        let full = Layer {
            kind: LayerKind::Conv,
            channels: Some(1),
            kernel: size,
            stride: size,
            dilation: size,
            padding: Some(Padding::Same),
            norm: Some(true),
            activation: Some(Activation::None),
            layers: vec![Layer::of(LayerKind::Conv)],
            shortcut: vec![Layer::of(LayerKind::Conv)],
            share: Some(0.5),
            buckets: Some(1),
            letters: Some([1, 1]),
            words: Some(1),
        };
        let of_entries = LayerKind::ALL.iter().flat_map(|&kind| entry(kind).keys.iter().copied());
        assert_eq!(of_entries.collect::<BTreeSet<_>>(), BTreeSet::from_iter(full.keys()));
        assert!(Layer::of(LayerKind::Conv).keys().is_empty());
    }
}
