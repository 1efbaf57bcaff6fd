//! What layers with weights have in common: a pass forward and a pass back over plain floats, and the operator of candle that
//! they make.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::storage::{floats, with_floats};

/// A layer with weights and a bias, its sizes known.
pub(crate) trait Layer {
    /// What it is called in errors.
    fn name(&self) -> &'static str;

    /// The shape of its result.
    fn shape(&self) -> Shape;

    /// The result for `x`.
    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32>;

    /// The gradients of input, weight and bias; that of the input is empty unless it is asked for.
    fn backward(&self, x: &[f32], weight: &[f32], grad: &[f32], with_input: bool) -> [Vec<f32>; 3];
}

/// Runs a layer as an operator of candle, which takes its gradients from it.
pub(super) fn apply<L: Layer + Send + Sync + 'static>(
    layer: L,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Operator(layer))
}

struct Operator<L>(L);

impl<L: Layer> CustomOp3 for Operator<L> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (floats(x, x_layout)?, floats(weight, weight_layout)?);
        let y = self.0.forward(x, weight, Some(floats(bias, bias_layout)?));
        Ok((CpuStorage::F32(y), self.0.shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let gradients = with_floats(x, |values| {
            with_floats(weight, |weight| {
                with_floats(&grad, |grad| Ok(self.0.backward(values, weight, grad, x.track_op())))
            })
        })?;
        let [dx, dweight, dbias] = gradients;
        let dx = if x.track_op() { Some(Tensor::from_vec(dx, x.shape(), x.device())?) } else { None };
        let dweight = Tensor::from_vec(dweight, weight.shape(), weight.device())?;
        let dbias = Tensor::from_vec(dbias, bias.shape(), bias.device())?;
        Ok((dx, Some(dweight), Some(dbias)))
    }
}
