//! Distances that several losses are made of.

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::log_softmax;

/// Returns the mean of (student - teacher)².
pub(super) fn squares(student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    Ok((student - teacher)?.sqr()?.mean_all()?)
}

/// Returns d²/2 up to a distance of 1, |d| - 1/2 beyond (Huber 1964).
pub(crate) fn huber(apart: &Tensor) -> Result<Tensor> {
    let near = apart.clamp(-1f32, 1f32)?;
    // With n the near part: n²/2 + |d| - |n|, of which one half is always zero.
    Ok((((near.sqr()? * 0.5)? + apart.abs()?)? - near.abs()?)?)
}

/// Returns 1 - cos of rows, `[batch, 1]`.
pub(crate) fn cosine_distance(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let length = |x: &Tensor| -> Result<Tensor> { Ok((x.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?) };
    let product = (a * b)?.sum_keepdim(1)?;
    Ok((1.0 - (product / (length(a)? * length(b)?)?)?)?)
}

/// Returns T² KL(p_t^T, p_s^T), summed over the classes, mean over the batch.
pub(super) fn divergence(student: &Tensor, teacher: &Tensor, t: f64) -> Result<Tensor> {
    let (log_p, log_q) = (log_softmax(&(teacher / t)?, 1)?, log_softmax(&(student / t)?, 1)?);
    Ok((kl(&log_p, &log_q)?.mean_all()? * (t * t))?)
}

/// Returns KL by rows, from the logarithms of both distributions.
pub(super) fn kl(log_p: &Tensor, log_q: &Tensor) -> Result<Tensor> {
    Ok((log_p.exp()? * (log_p - log_q)?)?.sum(1)?)
}

/// Returns T² KL of the Bernoulli distributions of labels, mean over the labels.
pub(super) fn divergence_of_labels(student: &Tensor, teacher: &Tensor, t: f64) -> Result<Tensor> {
    let p = sigmoid(&(teacher / t)?)?;
    // The teacher's entropy makes a divergence of the cross-entropy: 0 when the two agree.
    let entropy = binary_cross_entropy(&(teacher / t)?, &p)?.mean_all()?;
    let cross = binary_cross_entropy(&(student / t)?, &p)?.mean_all()?;
    Ok(((cross - entropy)? * (t * t))?)
}

/// Returns `max(z, 0) - z y + ln(1 + e^-|z|)`, which stays finite for any logit.
pub(crate) fn binary_cross_entropy(z: &Tensor, y: &Tensor) -> Result<Tensor> {
    let softplus = (z.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok(((positive(z)? - (z * y)?)? + softplus)?)
}

/// Returns max(z, 0). The gradient of candle's own at 0 is not 0, and `net::ops` is listed after this module.
fn positive(z: &Tensor) -> Result<Tensor> {
    Ok(z.le(0.0)?.where_cond(&z.zeros_like()?, z)?)
}

fn sigmoid(z: &Tensor) -> Result<Tensor> {
    Ok((((z * 0.5)?.tanh()? + 1.0)? * 0.5)?)
}

/// Returns the mean over the positions of a layer, `[batch, channels]`.
pub(super) fn pooled(f: &Tensor) -> Result<Tensor> {
    Ok(f.flatten(1, 2)?.mean(1)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn huber_is_a_square_near_zero_and_a_line_beyond() {
        let d = Var::new(&[0.5f32, -0.5, 3.0, -3.0], &Device::Cpu).unwrap();
        let loss = huber(d.as_tensor()).unwrap();
        assert_eq!(loss.to_vec1::<f32>().unwrap(), [0.125, 0.125, 2.5, 2.5]);
        let gradient = loss.sum_all().unwrap().backward().unwrap().get(&d).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, [0.5, -0.5, 1.0, -1.0]);
    }

    /// As `net::ops::relu`, which labels took before: the bits of trainings stay.
    #[test]
    fn positive_part_has_no_gradient_at_zero_and_below() {
        let z = Var::new(&[-2.0f32, -0.0, 0.0, 3.0], &Device::Cpu).unwrap();
        let y = positive(z.as_tensor()).unwrap();
        let bits: Vec<u32> = y.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, [0.0f32, 0.0, 0.0, 3.0].map(f32::to_bits));
        let gradient = y.sum_all().unwrap().backward().unwrap().get(&z).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, [0.0, 0.0, 0.0, 1.0]);
    }
}
