//! Losses against the teacher's outputs; the table in [`super`] has their formulas.

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::{log_softmax, softmax};

use super::hard::{binary_cross_entropy, cosine_distance, huber};
use super::{Moment, default_weight};
use crate::domain::RegressionLoss;
use crate::heads::{Labels, Target};
use crate::recipe::{Loss, LossKind, Scheduled};

/// Returns a loss of a head and its weight at a moment; nothing when it needs labels and none is known.
pub(super) fn term(
    loss: &Loss,
    target: &Target,
    samples: &[usize],
    moment: Moment,
    student: &Tensor,
    teacher: &Tensor,
) -> Result<(Option<Tensor>, f64)> {
    let weight = loss.weight.map_or_else(|| default_weight(loss), |weight| weight.at(moment.share()));
    if loss.kind == LossKind::Dkd && matches!(target.values, Labels::Classes(_)) {
        let warm_up = loss.warm_up.unwrap_or(20.0);
        let ramp = if warm_up > 0.0 { (moment.epoch / warm_up).min(1.0) } else { 1.0 };
        return Ok((dkd(loss, target, samples, moment, student, teacher)?, weight * ramp));
    }
    Ok((Some(soft_loss(loss, target, moment, student, teacher)?), weight))
}

/// Returns a loss against the teacher's logits that needs no labels, both `[batch, outputs]`.
///
/// # Errors
///
/// When shapes do not fit or the device fails.
pub fn soft_loss(loss: &Loss, target: &Target, moment: Moment, student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let t = temperature(loss, target, moment);
    let teacher = teacher.detach();
    match (loss.kind, &target.values) {
        (LossKind::Mse, Labels::Classes(_) | Labels::Flags(_)) => squares(student, &teacher),
        (LossKind::Huber, _) => Ok(huber(&(student - teacher)?)?.mean_all()?),
        (LossKind::Cosine, _) => Ok(cosine_distance(student, &teacher)?.mean_all()?),
        (_, Labels::Numbers(_)) => match target.loss {
            RegressionLoss::Mse => squares(student, &teacher),
            RegressionLoss::Huber => Ok(huber(&(student - teacher)?)?.mean_all()?),
            RegressionLoss::Cosine => Ok(cosine_distance(student, &teacher)?.mean_all()?),
        },
        (LossKind::Standardized, Labels::Classes(_)) => {
            divergence(&standardized(student)?, &standardized(&teacher)?, t)
        }
        (LossKind::Dist, Labels::Classes(_)) => dist(loss, student, &teacher, t),
        (_, Labels::Classes(_)) => divergence(student, &teacher, t),
        (_, Labels::Flags(_)) => {
            let p = sigmoid(&(&teacher / t)?)?;
            // The teacher's entropy makes a divergence of the cross-entropy: 0 when the two agree.
            let entropy = binary_cross_entropy(&(&teacher / t)?, &p)?;
            let cross = binary_cross_entropy(&(student / t)?, &p)?;
            Ok(((cross - entropy)? * (t * t))?)
        }
    }
}

/// What the logits are divided by: the loss's own, the head's, or the authors'.
fn temperature(loss: &Loss, target: &Target, moment: Moment) -> f64 {
    let usual = if loss.kind == LossKind::Standardized { 2.0 } else { 4.0 };
    let own = target.temperature.map(Scheduled::Constant);
    own.or(loss.temperature).map_or(usual, |temperature| temperature.at(moment.share()))
}

fn squares(student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    Ok((student - teacher)?.sqr()?.mean_all()?)
}

/// Returns T² KL(p_t^T, p_s^T), summed over the classes, mean over the batch.
fn divergence(student: &Tensor, teacher: &Tensor, t: f64) -> Result<Tensor> {
    let (log_p, log_q) = (log_softmax(&(teacher / t)?, 1)?, log_softmax(&(student / t)?, 1)?);
    Ok((kl(&log_p, &log_q)?.mean_all()? * (t * t))?)
}

/// Returns KL by rows, from the logarithms of both distributions.
fn kl(log_p: &Tensor, log_q: &Tensor) -> Result<Tensor> {
    Ok((log_p.exp()? * (log_p - log_q)?)?.sum(1)?)
}

/// Returns logits with mean 0 and deviation 1 in each sample, n - 1 in the denominator.
fn standardized(z: &Tensor) -> Result<Tensor> {
    let count = z.dim(1)? as f64;
    let centred = z.broadcast_sub(&z.mean_keepdim(1)?)?;
    let variance = (centred.sqr()?.sum_keepdim(1)? / (count - 1.0).max(1.0))?;
    // The root has no derivative at 0.
    let deviation = ((variance + 1e-14)?.sqrt()? + 1e-7)?;
    Ok(centred.broadcast_div(&deviation)?)
}

/// Returns T² (α KL(target against rest) + β KL(among the rest)) over the samples whose class is known.
fn dkd(
    loss: &Loss,
    target: &Target,
    samples: &[usize],
    moment: Moment,
    student: &Tensor,
    teacher: &Tensor,
) -> Result<Option<Tensor>> {
    let t = temperature(loss, target, moment);
    let known =
        samples.iter().enumerate().filter_map(|(row, &sample)| Some((row as u32, target.class(sample)? as u32)));
    let (places, known): (Vec<u32>, Vec<u32>) = known.unzip();
    if known.is_empty() {
        return Ok(None);
    }
    let (count, outputs) = (known.len(), target.outputs);
    let device = student.device();
    let places = Tensor::from_vec(places, count, device)?;
    let others: Vec<u32> =
        known.iter().flat_map(|&class| (0..outputs as u32).filter(move |&other| other != class)).collect();
    let classes = Tensor::from_vec(known, (count, 1), device)?;
    let others = Tensor::from_vec(others, (count, outputs - 1), device)?;
    // Of each net: ln p(target), ln p(rest), ln p among the rest.
    let parts = |z: &Tensor| -> Result<[Tensor; 3]> {
        let z = (z.index_select(&places, 0)? / t)?;
        let rest = z.gather(&others, 1)?;
        let whole = z.log_sum_exp(1)?;
        let of_target = (z.gather(&classes, 1)?.squeeze(1)? - &whole)?;
        let of_rest = (rest.log_sum_exp(1)? - whole)?;
        Ok([of_target, of_rest, log_softmax(&rest, 1)?])
    };
    let ([ps, rs, among_s], [pt, rt, among_t]) = (parts(student)?, parts(&teacher.detach())?);
    let of_target = ((pt.exp()? * (&pt - ps)?)? + (rt.exp()? * (&rt - rs)?)?)?.mean_all()?;
    let among = kl(&among_t, &among_s)?.mean_all()?;
    let (alpha, beta) = (loss.alpha.unwrap_or(1.0), loss.beta.unwrap_or(8.0));
    Ok(Some((((of_target * alpha)? + (among * beta)?)? * (t * t))?))
}

/// Returns T² (β (1 - mean correlation of rows) + γ (1 - mean correlation of columns)) of the soft labels.
fn dist(loss: &Loss, student: &Tensor, teacher: &Tensor, t: f64) -> Result<Tensor> {
    let (p, q) = (softmax(&(teacher / t)?, 1)?, softmax(&(student / t)?, 1)?);
    let correlation = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
        let centred = |x: &Tensor| x.broadcast_sub(&x.mean_keepdim(1)?);
        Ok((1.0 - cosine_distance(&centred(a)?, &centred(b)?)?)?.mean_all()?)
    };
    let rows = (1.0 - correlation(&q, &p)?)?;
    let columns = (1.0 - correlation(&q.t()?.contiguous()?, &p.t()?.contiguous()?)?)?;
    let (beta, gamma) = (loss.beta.unwrap_or(1.0), loss.gamma.unwrap_or(1.0));
    Ok((((rows * beta)? + (columns * gamma)?)? * (t * t))?)
}

fn sigmoid(z: &Tensor) -> Result<Tensor> {
    Ok((((z * 0.5)?.tanh()? + 1.0)? * 0.5)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::domain::HeadKind;
    use crate::recipe::Linear;

    const MOMENT: Moment = Moment { epoch: 40.0, epochs: 80, view: 0 };

    fn target(kind: HeadKind, outputs: usize) -> Target {
        let values = match kind {
            HeadKind::Class => Labels::classes([0, 2, 1, 1]),
            HeadKind::Binary | HeadKind::Multilabel => Labels::flags([]),
            HeadKind::Regression | HeadKind::Reconstruction => Labels::numbers([]),
        };
        Target {
            name: "y".into(),
            kind,
            labels: Vec::new(),
            outputs,
            values,
            scaling: vec![[0.0, 1.0]; outputs],
            weight: 1.0,
            loss: RegressionLoss::Mse,
            temperature: None,
        }
    }

    fn tensor(values: &[f32], width: usize) -> Tensor {
        Tensor::from_vec(values.to_vec(), (values.len() / width, width), &Device::Cpu).unwrap()
    }

    fn pair() -> (Tensor, Tensor) {
        let student = [1.0, -1.0, 0.5, 2.0, 0.0, 1.0, 0.3, -0.7, 0.2, -1.0, 0.4, 0.9];
        let teacher = [2.0, 0.0, -1.0, 0.0, 0.0, 3.0, -0.5, 1.5, 0.1, 0.2, 1.1, -2.0];
        (tensor(&student, 3), tensor(&teacher, 3))
    }

    fn value(kind: LossKind, head: HeadKind, student: &Tensor, teacher: &Tensor) -> f64 {
        let (loss, target) = (Loss::of(kind), target(head, student.dim(1).unwrap()));
        let (value, _) = term(&loss, &target, &[0, 1, 2, 3], MOMENT, student, teacher).unwrap();
        f64::from(value.unwrap().to_scalar::<f32>().unwrap())
    }

    fn softmax_of(z: &[f64]) -> Vec<f64> {
        let exps: Vec<f64> = z.iter().map(|z| z.exp()).collect();
        let sum: f64 = exps.iter().sum();
        exps.iter().map(|e| e / sum).collect()
    }

    fn rows_of(z: &Tensor, by: f64) -> Vec<Vec<f64>> {
        let rows = z.to_vec2::<f32>().unwrap();
        rows.iter().map(|row| row.iter().map(|&z| f64::from(z) / by).collect()).collect()
    }

    fn kl_of(p: &[f64], q: &[f64]) -> f64 {
        p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
    }

    #[test]
    fn losses_of_classes_equal_their_formulas() {
        let (student, teacher) = pair();
        let classes = [0usize, 2, 1, 1];
        let (s, t) = (rows_of(&student, 4.0), rows_of(&teacher, 4.0));
        let mut expected = [0.0; 4];
        for ((s, t), class) in s.iter().zip(&t).zip(classes) {
            let (p, q) = (softmax_of(t), softmax_of(s));
            expected[0] += 16.0 * kl_of(&p, &q) / 4.0;
            let binary = |p: &[f64]| [p[class], 1.0 - p[class]];
            let rest = |z: &[f64]| {
                softmax_of(&z.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, z)| *z).collect::<Vec<_>>())
            };
            expected[1] += 16.0 * (kl_of(&binary(&p), &binary(&q)) + 8.0 * kl_of(&rest(t), &rest(s))) / 4.0;
            let standard = |z: &[f64]| -> Vec<f64> {
                let mean = z.iter().sum::<f64>() / 3.0;
                let deviation = (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
                z.iter().map(|z| (z - mean) / (deviation + 1e-7) / 2.0).collect()
            };
            expected[2] += 4.0 * kl_of(&softmax_of(&standard(t)), &softmax_of(&standard(s))) / 4.0;
        }
        let correlation = |a: &[f64], b: &[f64]| {
            let n = a.len() as f64;
            let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
            let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
            sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
        };
        let (p, q): (Vec<_>, Vec<_>) = t.iter().zip(&s).map(|(t, s)| (softmax_of(t), softmax_of(s))).unzip();
        let by_row = p.iter().zip(&q).map(|(p, q)| correlation(p, q)).sum::<f64>() / 4.0;
        let column = |rows: &[Vec<f64>], c: usize| rows.iter().map(|row| row[c]).collect::<Vec<f64>>();
        let by_column = (0..3).map(|c| correlation(&column(&p, c), &column(&q, c))).sum::<f64>() / 3.0;
        expected[3] = 16.0 * (2.0 - by_row - by_column);
        let kinds = [LossKind::Hinton, LossKind::Dkd, LossKind::Standardized, LossKind::Dist];
        for (kind, expected) in kinds.into_iter().zip(expected) {
            let got = value(kind, HeadKind::Class, &student, &teacher);
            assert!((got - expected).abs() < 1e-4 * expected.abs().max(1.0), "{kind:?}: {got} {expected}");
        }
    }

    #[test]
    fn losses_are_zero_where_student_and_teacher_agree_and_finite_for_extreme_logits() {
        let (_, teacher) = pair();
        let extreme = tensor(&[200.0, -200.0, 0.0, -200.0, 200.0, 3.0, 0.0, 0.0, 0.0, 80.0, 80.0, -80.0], 3);
        use LossKind::*;
        for kind in [Hinton, Mse, Standardized, Dkd, Dist, Huber, Cosine] {
            for head in [HeadKind::Class, HeadKind::Multilabel, HeadKind::Regression] {
                let agreed = value(kind, head, &teacher, &teacher);
                assert!(agreed.abs() < 2e-5, "{kind:?} {head:?}: {agreed}");
                assert!(value(kind, head, &extreme, &teacher).is_finite(), "{kind:?} {head:?}");
                assert!(value(kind, head, &teacher, &extreme).is_finite(), "{kind:?} {head:?}");
            }
        }
    }

    /// Gradients of every loss against finite differences; the teacher gets none.
    #[test]
    fn every_soft_loss_moves_the_student_as_finite_differences_say_and_leaves_the_teacher() {
        let (student, teacher) = pair();
        use LossKind::*;
        for kind in [Hinton, Mse, Standardized, Dkd, Dist, Huber, Cosine] {
            for head in [HeadKind::Class, HeadKind::Binary, HeadKind::Multilabel, HeadKind::Regression] {
                let (student, teacher) = if head == HeadKind::Binary {
                    (student.narrow(1, 0, 1).unwrap().contiguous().unwrap(), teacher.narrow(1, 0, 1).unwrap())
                } else {
                    (student.clone(), teacher.clone())
                };
                let (s, t) =
                    (Var::from_tensor(&student).unwrap(), Var::from_tensor(&teacher.contiguous().unwrap()).unwrap());
                let (loss, target) = (Loss::of(kind), target(head, student.dim(1).unwrap()));
                let samples = [0, 1, 2, 3];
                let (value_of, _) = term(&loss, &target, &samples, MOMENT, s.as_tensor(), t.as_tensor()).unwrap();
                let gradients = value_of.unwrap().backward().unwrap();
                assert!(gradients.get(&t).is_none(), "{kind:?} {head:?}");
                let gradient = gradients.get(&s).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                // One output has no direction but its sign.
                let flat = kind == Cosine && head == HeadKind::Binary;
                assert!(flat || gradient.iter().any(|g| g.abs() > 1e-3), "{kind:?} {head:?}");
                let values = student.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                for place in [0, values.len() / 2, values.len() - 1] {
                    let at = |by: f32| {
                        let mut values = values.clone();
                        values[place] += by;
                        let moved = tensor(&values, student.dim(1).unwrap());
                        value(kind, head, &moved, &teacher)
                    };
                    let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                    let got = f64::from(gradient[place]);
                    assert!((slope - got).abs() < 2e-2 * (1.0 + slope.abs()), "{kind:?} {head:?}: {got} {slope}");
                }
            }
        }
    }

    /// What a public tutorial got wrong: the gradient has to change with the weight of the soft loss.
    #[test]
    fn weights_and_temperatures_follow_their_schedules() {
        let loss = Loss {
            weight: Some(Scheduled::Linear(Linear { start: 1.0, end: 0.0 })),
            temperature: Some(Scheduled::Linear(Linear { start: 8.0, end: 2.0 })),
            ..Loss::of(LossKind::Hinton)
        };
        let (student, teacher) = pair();
        let target = target(HeadKind::Class, 3);
        let at = |epoch: f64| {
            let moment = Moment { epoch, ..MOMENT };
            let (value, weight) = term(&loss, &target, &[0, 1, 2, 3], moment, &student, &teacher).unwrap();
            (value.unwrap().to_scalar::<f32>().unwrap(), weight)
        };
        assert_eq!([at(0.0).1, at(20.0).1, at(80.0).1], [1.0, 0.75, 0.0]);
        assert!(at(0.0).0 != at(80.0).0);
        assert_eq!(temperature(&loss, &target, MOMENT), 5.0);
    }
}
