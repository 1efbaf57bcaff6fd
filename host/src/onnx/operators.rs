//! The operators: one table of names, one function an operator that turns its attributes into what runs.
//!
//! A new operator is a function in a file below and a line of [`TABLE`]. The function takes every attribute that the
//! operator has; the caller refuses those that are left, inputs and outputs beyond those of the table, and unknown names.

mod broadcast;
mod convolution;
mod elementwise;
mod index;
mod matrix;
mod normalization;
mod pool;
mod quantization;
mod recurrent;
mod reduce;
mod resize;
mod shape;
mod window;

use std::cell::Cell;

use anyhow::{Context, Result, ensure};

use super::attributes::Attributes;
use super::tensor::Tensor;
use elementwise::unary;

/// What a node computes from its inputs.
pub(super) type Run = Box<dyn Fn(&Inputs, &Work) -> Result<Vec<Tensor>> + Send + Sync>;

/// An operator as the table lists it.
pub(super) struct Operator {
    pub(super) name: &'static str,
    /// The smallest and the largest number of inputs.
    pub(super) inputs: [usize; 2],
    /// The largest number of outputs.
    pub(super) outputs: usize,
    pub(super) build: fn(&mut Attributes) -> Result<Run>,
}

/// The inputs of a node; one that is left out is none.
#[derive(Debug)]
pub(super) struct Inputs(pub(super) Vec<Option<Tensor>>);

/// The operations that a run may still take, so that no file asks for unbounded time.
#[derive(Debug)]
pub(super) struct Work {
    left: Cell<u64>,
}

impl Inputs {
    /// Returns an input that the operator needs.
    pub(super) fn get(&self, place: usize) -> Result<&Tensor> {
        self.optional(place).with_context(|| format!("input {place} is missing"))
    }

    pub(super) fn optional(&self, place: usize) -> Option<&Tensor> {
        self.0.get(place).and_then(Option::as_ref)
    }

    /// Returns the values of an input of floats.
    pub(super) fn floats(&self, place: usize) -> Result<(&[usize], &[f32])> {
        let tensor = self.get(place)?;
        Ok((&tensor.shape, tensor.as_floats().with_context(|| format!("input {place}"))?))
    }

    /// Returns the values of an input of integers, if it is there.
    pub(super) fn optional_ints(&self, place: usize) -> Result<Option<&[i64]>> {
        self.optional(place).map(|tensor| tensor.as_ints().with_context(|| format!("input {place}"))).transpose()
    }

    /// Returns the inputs, all of which must be there.
    pub(super) fn all(&self) -> Result<Vec<&Tensor>> {
        (0..self.0.len()).map(|place| self.get(place)).collect()
    }
}

impl Work {
    /// Returns the work of one batch.
    pub(super) fn of_batch() -> Self {
        Self { left: Cell::new(MAX_WORK) }
    }

    /// Takes operations of a plain loop, which are slower each than those of a matrix product.
    ///
    /// # Errors
    ///
    /// As [`Work::spend`].
    pub(super) fn spend_slow(&self, sizes: &[usize]) -> Result<()> {
        self.spend(&[sizes, &[SLOW]].concat())
    }

    /// Takes a number of operations, the product of some sizes.
    ///
    /// # Errors
    ///
    /// When the batch has used up what it may take, or the program was asked to stop.
    pub(super) fn spend(&self, sizes: &[usize]) -> Result<()> {
        crate::support::progress::check_stopped()?;
        let cost = sizes.iter().try_fold(1u64, |all, &size| all.checked_mul(size as u64));
        let left = cost.and_then(|cost| self.left.get().checked_sub(cost));
        let left = left.with_context(|| format!("the network takes more than {MAX_WORK} operations a batch"))?;
        self.left.set(left);
        Ok(())
    }
}

/// Returns the operator of a name.
pub(super) fn find(name: &str) -> Option<&'static Operator> {
    TABLE.iter().find(|operator| operator.name == name)
}

/// Returns an axis counted from the front.
///
/// # Errors
///
/// When a tensor of the rank has no such axis.
fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let place = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let place = place.and_then(|place| usize::try_from(place).ok()).filter(|&place| place < rank);
    place.with_context(|| format!("axis {axis} is outside of the {rank} dimensions"))
}

/// Returns axes counted from the front, in rising order.
///
/// # Errors
///
/// As [`axis_of`], and when one is there twice.
fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut all = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>>>()?;
    all.sort_unstable();
    ensure!(all.windows(2).all(|pair| pair[0] != pair[1]), "axes {axes:?} name a dimension twice");
    Ok(all)
}

/// Returns the number of elements before, along and behind an axis.
fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Returns how far elements are apart along each axis.
fn strides_of(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Returns the one output of most operators.
fn one(tensor: Result<Tensor>) -> Result<Vec<Tensor>> {
    Ok(vec![tensor?])
}

/// The largest number of operations of a batch: 8.6 billion a sample for a batch of 16.
const MAX_WORK: u64 = if cfg!(fuzzing) { 1 << 26 } else { 1 << 37 };
/// What an operation of a plain loop counts.
const SLOW: usize = 8;

const fn operator(
    name: &'static str,
    inputs: [usize; 2],
    outputs: usize,
    build: fn(&mut Attributes) -> Result<Run>,
) -> Operator {
    Operator { name, inputs, outputs, build }
}

/// No bound on the number of inputs or outputs.
const MANY: usize = usize::MAX;

/// All operators.
pub(super) static TABLE: &[Operator] = &[
    operator("Abs", [1, 1], 1, elementwise::abs),
    operator("Acos", [1, 1], 1, |_| unary(f32::acos)),
    operator("Acosh", [1, 1], 1, |_| unary(f32::acosh)),
    operator("Add", [2, 2], 1, broadcast::add),
    operator("And", [2, 2], 1, broadcast::and),
    operator("ArgMax", [1, 1], 1, reduce::arg_max),
    operator("ArgMin", [1, 1], 1, reduce::arg_min),
    operator("Asin", [1, 1], 1, |_| unary(f32::asin)),
    operator("Asinh", [1, 1], 1, |_| unary(f32::asinh)),
    operator("Atan", [1, 1], 1, |_| unary(f32::atan)),
    operator("Atanh", [1, 1], 1, |_| unary(f32::atanh)),
    operator("AveragePool", [1, 1], 1, pool::average),
    operator("BatchNormalization", [5, 5], 1, normalization::batch),
    operator("Cast", [1, 1], 1, elementwise::cast),
    operator("CastLike", [2, 2], 1, elementwise::cast_like),
    operator("Ceil", [1, 1], 1, |_| unary(f32::ceil)),
    operator("Celu", [1, 1], 1, elementwise::celu),
    operator("Clip", [1, 3], 1, elementwise::clip),
    operator("Concat", [1, MANY], 1, shape::concat),
    operator("Constant", [0, 0], 1, shape::constant),
    operator("ConstantOfShape", [1, 1], 1, shape::constant_of_shape),
    operator("Conv", [2, 3], 1, convolution::convolution),
    operator("ConvInteger", [2, 4], 1, quantization::convolution_integer),
    operator("ConvTranspose", [2, 3], 1, convolution::transposed),
    operator("Cos", [1, 1], 1, |_| unary(f32::cos)),
    operator("Cosh", [1, 1], 1, |_| unary(f32::cosh)),
    operator("CumSum", [2, 2], 1, reduce::cumulative_sum),
    operator("DepthToSpace", [1, 1], 1, shape::depth_to_space),
    operator("DequantizeLinear", [2, 3], 1, quantization::dequantize),
    operator("Div", [2, 2], 1, broadcast::divide),
    operator("Dropout", [1, 3], 1, elementwise::dropout),
    operator("DynamicQuantizeLinear", [1, 1], 3, quantization::dynamic_quantize),
    operator("Einsum", [1, MANY], 1, matrix::einsum),
    operator("Elu", [1, 1], 1, elementwise::elu),
    operator("Equal", [2, 2], 1, broadcast::equal),
    operator("Erf", [1, 1], 1, |_| unary(libm::erff)),
    operator("Exp", [1, 1], 1, |_| unary(f32::exp)),
    operator("Expand", [2, 2], 1, shape::expand),
    operator("EyeLike", [1, 1], 1, shape::eye_like),
    operator("Flatten", [1, 1], 1, shape::flatten),
    operator("Floor", [1, 1], 1, |_| unary(f32::floor)),
    operator("GRU", [3, 6], 2, recurrent::gru),
    operator("Gather", [2, 2], 1, index::gather),
    operator("GatherElements", [2, 2], 1, index::gather_elements),
    operator("GatherND", [2, 2], 1, index::gather_nd),
    operator("Gelu", [1, 1], 1, elementwise::gelu),
    operator("Gemm", [2, 3], 1, matrix::gemm),
    operator("GlobalAveragePool", [1, 1], 1, pool::global_average),
    operator("GlobalLpPool", [1, 1], 1, pool::global_lp),
    operator("GlobalMaxPool", [1, 1], 1, pool::global_max),
    operator("Greater", [2, 2], 1, broadcast::greater),
    operator("GreaterOrEqual", [2, 2], 1, broadcast::greater_or_equal),
    operator("GroupNormalization", [3, 3], 1, normalization::group),
    operator("HardSigmoid", [1, 1], 1, elementwise::hard_sigmoid),
    operator("HardSwish", [1, 1], 1, |_| unary(elementwise::hard_swish)),
    operator("Hardmax", [1, 1], 1, normalization::hardmax),
    operator("Identity", [1, 1], 1, elementwise::identity),
    operator("InstanceNormalization", [3, 3], 1, normalization::instance),
    operator("IsInf", [1, 1], 1, elementwise::is_infinite),
    operator("IsNaN", [1, 1], 1, elementwise::is_nan),
    operator("LRN", [1, 1], 1, normalization::local_response),
    operator("LSTM", [3, 8], 3, recurrent::lstm),
    operator("LayerNormalization", [2, 3], 3, normalization::layer),
    operator("LeakyRelu", [1, 1], 1, elementwise::leaky_relu),
    operator("Less", [2, 2], 1, broadcast::less),
    operator("LessOrEqual", [2, 2], 1, broadcast::less_or_equal),
    operator("Log", [1, 1], 1, |_| unary(f32::ln)),
    operator("LogSoftmax", [1, 1], 1, normalization::log_softmax),
    operator("LpNormalization", [1, 1], 1, normalization::lp),
    operator("LpPool", [1, 1], 1, pool::lp),
    operator("MatMul", [2, 2], 1, matrix::multiply),
    operator("MatMulInteger", [2, 4], 1, quantization::multiply_integer),
    operator("Max", [1, MANY], 1, broadcast::maximum),
    operator("MaxPool", [1, 1], 1, pool::maximum),
    operator("Mean", [1, MANY], 1, broadcast::mean),
    operator("MeanVarianceNormalization", [1, 1], 1, normalization::mean_variance),
    operator("Min", [1, MANY], 1, broadcast::minimum),
    operator("Mish", [1, 1], 1, |_| unary(|x| x * elementwise::softplus(x).tanh())),
    operator("Mod", [2, 2], 1, broadcast::modulo),
    operator("Mul", [2, 2], 1, broadcast::multiply),
    operator("Neg", [1, 1], 1, elementwise::negate),
    operator("NonZero", [1, 1], 1, index::non_zero),
    operator("Not", [1, 1], 1, elementwise::not),
    operator("OneHot", [3, 3], 1, index::one_hot),
    operator("Or", [2, 2], 1, broadcast::or),
    operator("PRelu", [2, 2], 1, broadcast::parametric_relu),
    operator("Pad", [1, 4], 1, shape::pad),
    operator("Pow", [2, 2], 1, broadcast::power),
    operator("QLinearConv", [8, 9], 1, quantization::convolution),
    operator("QLinearMatMul", [8, 8], 1, quantization::multiply),
    operator("QuantizeLinear", [2, 3], 1, quantization::quantize),
    operator("RMSNormalization", [2, 2], 1, normalization::root_mean_square),
    operator("RNN", [3, 6], 2, recurrent::rnn),
    operator("Range", [3, 3], 1, shape::range),
    operator("Reciprocal", [1, 1], 1, |_| unary(|x| 1.0 / x)),
    operator("ReduceL1", [1, 2], 1, reduce::l1),
    operator("ReduceL2", [1, 2], 1, reduce::l2),
    operator("ReduceLogSum", [1, 2], 1, reduce::log_sum),
    operator("ReduceLogSumExp", [1, 2], 1, reduce::log_sum_exp),
    operator("ReduceMax", [1, 2], 1, reduce::maximum),
    operator("ReduceMean", [1, 2], 1, reduce::mean),
    operator("ReduceMin", [1, 2], 1, reduce::minimum),
    operator("ReduceProd", [1, 2], 1, reduce::product),
    operator("ReduceSum", [1, 2], 1, reduce::sum),
    operator("ReduceSumSquare", [1, 2], 1, reduce::sum_of_squares),
    operator("Relu", [1, 1], 1, elementwise::relu),
    operator("Reshape", [1, 2], 1, shape::reshape),
    operator("Resize", [1, 4], 1, resize::resize),
    operator("Round", [1, 1], 1, |_| unary(f32::round_ties_even)),
    operator("ScatterElements", [3, 3], 1, index::scatter_elements),
    operator("ScatterND", [3, 3], 1, index::scatter_nd),
    operator("Selu", [1, 1], 1, elementwise::selu),
    operator("Shape", [1, 1], 1, shape::shape),
    operator("Shrink", [1, 1], 1, elementwise::shrink),
    operator("Sigmoid", [1, 1], 1, |_| unary(elementwise::sigmoid)),
    operator("Sign", [1, 1], 1, elementwise::sign),
    operator("Sin", [1, 1], 1, |_| unary(f32::sin)),
    operator("Sinh", [1, 1], 1, |_| unary(f32::sinh)),
    operator("Size", [1, 1], 1, shape::size),
    operator("Slice", [1, 5], 1, shape::slice),
    operator("Softmax", [1, 1], 1, normalization::softmax),
    operator("Softplus", [1, 1], 1, |_| unary(elementwise::softplus)),
    operator("Softsign", [1, 1], 1, |_| unary(|x| x / (1.0 + x.abs()))),
    operator("SpaceToDepth", [1, 1], 1, shape::space_to_depth),
    operator("Split", [1, 2], MANY, shape::split),
    operator("Sqrt", [1, 1], 1, |_| unary(f32::sqrt)),
    operator("Squeeze", [1, 2], 1, shape::squeeze),
    operator("Sub", [2, 2], 1, broadcast::subtract),
    operator("Sum", [1, MANY], 1, broadcast::sum),
    operator("Swish", [1, 1], 1, elementwise::swish),
    operator("Tan", [1, 1], 1, |_| unary(f32::tan)),
    operator("Tanh", [1, 1], 1, |_| unary(f32::tanh)),
    operator("ThresholdedRelu", [1, 1], 1, elementwise::thresholded_relu),
    operator("Tile", [2, 2], 1, shape::tile),
    operator("TopK", [2, 2], 2, index::top_k),
    operator("Transpose", [1, 1], 1, shape::transpose),
    operator("Trilu", [1, 2], 1, shape::triangle),
    operator("Unsqueeze", [1, 2], 1, shape::unsqueeze),
    operator("Upsample", [2, 2], 1, resize::upsample),
    operator("Where", [3, 3], 1, broadcast::choose),
    operator("Xor", [2, 2], 1, broadcast::xor),
];
