//! Contrastive representation distillation: of all pairs of a student's and a teacher's sample, the loss tells those of one
//! sample from the others (Tian, Krishnan, Isola 2020, equation 18).
//!
//! x_ij = g_s(s_i) · g_t(t_j) / τ, with g a learned linear map of the layer's means over the positions to `size` numbers of
//! length 1, and h_ij = e^x_ij / (e^x_ij + N_i e^c). With N_i the number of negatives of sample i, the loss is
//!
//! - mean_i (ln h_ii + sum over the negatives j of ln (1 - h_ij))
//!
//! plus the same for x_ji, in which the teacher's sample is the anchor. τ is 0.07, `size` 128, the weight 0.8, as in the
//! authors' code. Negatives are the other samples of the batch that are not known to be of the same class, in place of
//! a memory of 16,384. e^c stands for the authors' Z / M, which they estimate from the first batch. Noise-contrastive
//! estimation allows to learn it (Gutmann, Hyvärinen 2010); it starts as the mean of e^x over random directions.

use anyhow::Result;
use candle_core::Tensor;
use rand::Rng;

use super::distance::{binary_cross_entropy, pooled};
use super::{Head, Key, LayerLoss, Layers, Learned, Loss, Numbers};
use crate::support::random;

pub(super) struct Crd;

/// The numbers that a layer is mapped to.
const SIZE: Key = Key::count("size", 128.0, 4096);

const TEMPERATURE: f64 = 0.07;

impl Loss for Crd {
    fn name(&self) -> &'static str {
        "crd"
    }

    fn keys(&self) -> &'static [Key] {
        &[SIZE]
    }

    fn weight(&self) -> f64 {
        0.8
    }

    fn temperature(&self) -> Option<f64> {
        Some(TEMPERATURE)
    }

    fn warning(&self, _head: &Head<'_>, batch: usize) -> Option<String> {
        (batch < 8).then(|| format!("batches of {batch} have too few negatives for \"crd\"; take 32 or more"))
    }
}

impl LayerLoss for Crd {
    fn of_layers(&self, batch: &Layers<'_>) -> Result<Tensor> {
        let embedded = |f: &Tensor, weight: &str, bias: &str| -> Result<Tensor> {
            let mapped = pooled(f)?.matmul(&batch.learned(weight)?.t()?)?.broadcast_add(batch.learned(bias)?)?;
            let length = (mapped.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?;
            Ok(mapped.broadcast_div(&length)?)
        };
        let student = embedded(batch.student, "student.weight", "student.bias")?;
        let teacher = embedded(batch.teacher, "teacher.weight", "teacher.bias")?;
        let scores = (student.matmul(&teacher.t()?)? / batch.temperature)?;
        let (is_negative, counts) = negatives(batch.classes, &scores)?;
        let offset = counts.log()?.broadcast_add(batch.learned("offset")?)?;
        let samples = scores.dim(0)?;
        let is_pair = Tensor::eye(samples, scores.dtype(), scores.device())?;
        let counted = (&is_pair + is_negative)?;
        let anchored = |scores: &Tensor| -> Result<Tensor> {
            // h is a logistic function, so its logarithms are a cross-entropy, which stays finite.
            let terms = binary_cross_entropy(&scores.broadcast_sub(&offset)?, &is_pair)?;
            Ok(((terms * &counted)?.sum_all()? / samples as f64)?)
        };
        Ok((anchored(&scores)? + anchored(&scores.t()?.contiguous()?)?)?)
    }

    fn check_shapes(&self, _student: [usize; 3], _teacher: [usize; 3]) -> Result<()> {
        Ok(())
    }

    fn learned(&self, numbers: &Numbers, student: usize, teacher: usize) -> Vec<Learned> {
        let size = numbers.value(&SIZE) as usize;
        // The same draw for every seed: what differs between seeds is the student.
        let map = |name, channels: usize| {
            let (mut random, limit) = (random::stream(0, name), 1.0 / (channels as f32).sqrt());
            let values = (0..size * channels).map(|_| random.random_range(-limit..=limit)).collect();
            Learned { name, shape: vec![size, channels], values }
        };
        let bias = |name| Learned { name, shape: vec![size], values: vec![0.0; size] };
        // The mean of e^x, x of variance 1 / (τ² size).
        let offset = 0.5 / (TEMPERATURE * TEMPERATURE * size as f64);
        vec![
            map("student.weight", student),
            bias("student.bias"),
            map("teacher.weight", teacher),
            bias("teacher.bias"),
            Learned { name: "offset", shape: vec![1, 1], values: vec![offset as f32] },
        ]
    }
}

/// Returns which pairs are negatives, `[batch, batch]`, and how many each sample has, at least 1, `[batch, 1]`.
fn negatives(classes: &[Option<u32>], like: &Tensor) -> Result<(Tensor, Tensor)> {
    let samples = like.dim(0)?;
    let is_negative = |i: usize, j: usize| {
        let [a, b] = [i, j].map(|place| classes.get(place).copied().flatten());
        i != j && (a.is_none() || a != b)
    };
    let is_negative: Vec<f32> =
        (0..samples * samples).map(|at| f32::from(u8::from(is_negative(at / samples, at % samples)))).collect();
    let counts: Vec<f32> = is_negative.chunks(samples).map(|row| row.iter().sum::<f32>().max(1.0)).collect();
    let is_negative = Tensor::from_vec(is_negative, (samples, samples), like.device())?;
    Ok((is_negative, Tensor::from_vec(counts, (samples, 1), like.device())?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLASSES, assert_near, layer, learned_of, value_of_layers};
    use super::*;

    #[test]
    fn loss_equals_its_formula() {
        let (student, teacher) = (layer(1, 3), layer(2, 5));
        let learned = learned_of(&Crd, 3, 5);
        let values = |name: &str| -> Vec<f64> {
            let (_, var) = learned.iter().find(|(other, _)| *other == name).unwrap();
            var.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
        };
        let embed = |f: &Tensor, weight: &[f64]| -> Vec<Vec<f64>> {
            let means = pooled(f).unwrap().to_vec2::<f32>().unwrap();
            let map = |mean: &Vec<f32>| {
                let dot = |row: &[f64]| row.iter().zip(mean).map(|(w, f)| w * f64::from(*f)).sum::<f64>();
                let mapped: Vec<f64> = weight.chunks(mean.len()).map(dot).collect();
                let length = mapped.iter().map(|v| v * v).sum::<f64>().sqrt();
                mapped.iter().map(|v| v / length).collect()
            };
            means.iter().map(map).collect()
        };
        let (s, t) = (embed(&student, &values("student.weight")), embed(&teacher, &values("teacher.weight")));
        assert_eq!((s.len(), s[0].len(), values("student.bias").iter().sum::<f64>()), (4, 128, 0.0));
        let x = |i: usize, j: usize| s[i].iter().zip(&t[j]).map(|(a, b)| a * b).sum::<f64>() / 0.07;
        let mut expected = 0.0;
        for (i, class) in CLASSES.iter().enumerate() {
            let negatives: Vec<usize> = (0..4).filter(|&j| j != i && CLASSES[j] != *class).collect();
            let noise = negatives.len() as f64 * values("offset")[0].exp();
            let h = |x: f64| x.exp() / (x.exp() + noise);
            expected -= 2.0 * h(x(i, i)).ln() / 4.0;
            for &j in &negatives {
                expected -= ((1.0 - h(x(i, j))).ln() + (1.0 - h(x(j, i))).ln()) / 4.0;
            }
        }
        assert!(expected > 1.0, "{expected}");
        assert_near(value_of_layers(&Crd, &student, &teacher, &learned), expected);
    }

    #[test]
    fn negatives_are_the_other_samples_but_those_of_the_same_class() {
        let like = Tensor::zeros((4, 4), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let of = |classes: &[Option<u32>]| {
            let (is_negative, counts) = negatives(classes, &like).unwrap();
            (is_negative.to_vec2::<f32>().unwrap(), counts.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let (is_negative, counts) = of(&[Some(0), Some(1), None, Some(1)]);
        assert_eq!(is_negative, [[0., 1., 1., 1.], [1., 0., 1., 0.], [1., 1., 0., 1.], [1., 0., 1., 0.]]);
        assert_eq!(counts, [3.0, 2.0, 3.0, 2.0]);
        assert_eq!(of(&[None; 4]).1, [3.0; 4]);
        // One class only: no negatives, and no logarithm of 0.
        assert_eq!(of(&[Some(0); 4]), (vec![vec![0.0; 4]; 4], vec![1.0; 4]));
    }
}
