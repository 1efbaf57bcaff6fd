//! Losses against what a layer of the teacher gives; the table in [`super`] has their formulas.

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor, Var};

use super::hard::huber;
use super::{Moment, default_weight, name_of, named};
use crate::net::{Graph, Net, Op};
use crate::recipe::{Loss, LossKind};
use crate::support::suggest::did_you_mean;

/// A layer of the student and one of the teacher that a loss compares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// What it is compared by.
    pub kind: LossKind,
    /// The node of the student.
    pub student: usize,
    /// The node of the teacher.
    pub teacher: usize,
    shapes: [[usize; 3]; 2],
}

impl Features {
    /// Finds the layers that a loss names, and checks that they can be compared.
    pub(super) fn find(loss: &Loss, student: &Graph, teacher: Option<&Net>) -> Result<Self> {
        let name = name_of(loss.kind);
        let teacher = teacher.with_context(|| {
            format!("loss {name:?} looks into the teacher: it takes a single [teacher] that is trained here")
        })?;
        let node = |graph: &Graph, key: &str, layer: &Option<String>| -> Result<usize> {
            let layer = layer.as_ref().with_context(|| format!("loss {name:?}: {key} = \"LAYER\" is missing"))?;
            let names = || graph.nodes.iter().map(|node| node.name.as_str());
            let found = names().position(|other| other == layer).with_context(|| {
                let near = did_you_mean(layer, names());
                let all = names().collect::<Vec<_>>().join(", ");
                format!("loss {name:?}: the {key} has no layer {layer:?}{near}; there are {all}")
            })?;
            Ok(found)
        };
        let (own, its) = (node(student, "student", &loss.student)?, node(&teacher.graph, "teacher", &loss.teacher)?);
        // On the board, and in training as if in integers, a normalisation is part of the layer before it.
        ensure!(
            !matches!(student.nodes[own].op, Op::Norm(_)) && !student.is_normed(own),
            "loss {name:?}: the student's layer {:?} is joined with its normalisation; name what follows, its activation",
            student.nodes[own].name
        );
        let shapes = [student.nodes[own].shape, teacher.graph.nodes[its].shape];
        ensure!(
            loss.kind == LossKind::Relational || shapes[0][..2] == shapes[1][..2],
            "loss {name:?} compares position by position: the student's layer has shape {:?}, the teacher's {:?}",
            shapes[0],
            shapes[1]
        );
        Ok(Self { kind: loss.kind, student: own, teacher: its, shapes })
    }

    /// Returns the regressor that a hint needs, from the student's channels to the teacher's, by its place among the losses.
    pub(super) fn regressor(&self, place: usize, net: &Net) -> Result<Vec<(String, Var)>> {
        if self.kind != LossKind::Hint {
            return Ok(Vec::new());
        }
        let [from, to] = self.shapes.map(|shape| shape[2]);
        // As near to the identity as the sizes allow: no draw that another seed would change.
        let values: Vec<f32> = (0..to * from).map(|at| f32::from(u8::from(at / from % from == at % from))).collect();
        let weight = Var::from_vec(values, (to, from), net.device())?;
        let bias = Var::zeros(to, DType::F32, net.device())?;
        Ok(vec![(format!("hint{place}.weight"), weight), (format!("hint{place}.bias"), bias)])
    }
}

/// Returns a loss of layers, times its weight at a moment.
pub(super) fn term(
    loss: &Loss,
    place: usize,
    moment: Moment,
    student: &Tensor,
    teacher: &Tensor,
    companions: &[(String, Var)],
) -> Result<Tensor> {
    let weight = loss.weight.map_or_else(|| default_weight(loss), |weight| weight.at(moment.share()));
    let teacher = teacher.detach();
    let value = match loss.kind {
        LossKind::Hint => {
            let weight = named(companions, &format!("hint{place}.weight"))?;
            let bias = named(companions, &format!("hint{place}.bias"))?;
            let (batch, height, width, channels) = student.dims4()?;
            let rows = student.reshape((batch * height * width, channels))?;
            let regressed = rows.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape(teacher.shape())?;
            (regressed - teacher)?.sqr()?.mean_all()?
        }
        LossKind::Attention => (attention(student)? - attention(&teacher)?)?.sqr()?.mean_all()?,
        LossKind::Relational => {
            let (s, t) = (pooled(student)?, pooled(&teacher)?);
            let distances = huber(&(distances(&s)? - distances(&t)?)?)?.mean_all()?;
            let angles = huber(&(angles(&s)? - angles(&t)?)?)?.mean_all()?;
            let (beta, gamma) = (loss.beta.unwrap_or(25.0), loss.gamma.unwrap_or(50.0));
            ((distances * beta)? + (angles * gamma)?)?
        }
        kind => bail!("{:?} compares no layers", name_of(kind)),
    };
    Ok((value * weight)?)
}

/// Returns the mean of the squares over the channels, brought to length 1 in each sample, `[batch, positions]`.
fn attention(f: &Tensor) -> Result<Tensor> {
    let map = f.sqr()?.mean(3)?.flatten_from(1)?;
    let length = (map.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?;
    Ok(map.broadcast_div(&length)?)
}

/// Returns the mean over the positions, `[batch, channels]`.
fn pooled(f: &Tensor) -> Result<Tensor> {
    Ok(f.flatten(1, 2)?.mean(1)?)
}

/// Returns the distances of all pairs by their mean, `[batch, batch]`, 0 on the diagonal.
fn distances(x: &Tensor) -> Result<Tensor> {
    let apart = (x.unsqueeze(1)?.broadcast_sub(&x.unsqueeze(0)?)?).sqr()?.sum(2)?;
    let batch = x.dim(0)?;
    let off = off_diagonal(batch, x)?;
    // The root has no derivative at 0, where two samples or a sample and itself meet.
    let distances = ((apart + 1e-12)?.sqrt()? * &off)?;
    let pairs = (batch * batch.saturating_sub(1)).max(1) as f64;
    let mean = ((distances.sum_all()? / pairs)? + 1e-12)?;
    Ok(distances.broadcast_div(&mean)?)
}

/// Returns the cosines of the angles at the second of all triples, `[batch, batch, batch]`.
fn angles(x: &Tensor) -> Result<Tensor> {
    let apart = x.unsqueeze(0)?.broadcast_sub(&x.unsqueeze(1)?)?;
    let length = (apart.sqr()?.sum_keepdim(2)? + 1e-12)?.sqrt()?;
    let direction = apart.broadcast_div(&length)?;
    Ok(direction.matmul(&direction.transpose(1, 2)?.contiguous()?)?)
}

fn off_diagonal(batch: usize, like: &Tensor) -> Result<Tensor> {
    let values: Vec<f32> = (0..batch * batch).map(|at| f32::from(u8::from(at / batch != at % batch))).collect();
    Ok(Tensor::from_vec(values, (batch, batch), like.device())?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const MOMENT: Moment = Moment { epoch: 0.0, epochs: 1, view: 0 };

    fn tensor(seed: usize, channels: usize) -> Tensor {
        let values: Vec<f32> =
            (0..4 * 6 * channels).map(|i| ((i * 37 + seed * 101) % 89) as f32 / 40.0 - 1.0).collect();
        Tensor::from_vec(values, (4, 2, 3, channels), &Device::Cpu).unwrap()
    }

    fn companions(from: usize, to: usize) -> Vec<(String, Var)> {
        let weight: Vec<f32> = (0..from * to).map(|i| (i % 5) as f32 / 4.0 - 0.4).collect();
        vec![
            ("hint0.weight".into(), Var::from_vec(weight, (to, from), &Device::Cpu).unwrap()),
            ("hint0.bias".into(), Var::zeros(to, DType::F32, &Device::Cpu).unwrap()),
        ]
    }

    fn value(kind: LossKind, student: &Tensor, teacher: &Tensor) -> f64 {
        let loss = Loss::of(kind);
        let companions = companions(student.dim(3).unwrap(), teacher.dim(3).unwrap());
        let value = term(&loss, 0, MOMENT, student, teacher, &companions).unwrap();
        f64::from(value.to_scalar::<f32>().unwrap())
    }

    /// What distances and angles are by three loops over samples.
    #[test]
    fn relations_equal_their_formula() {
        let x = pooled(&tensor(1, 3)).unwrap();
        let rows = x.to_vec2::<f32>().unwrap();
        let apart =
            |i: usize, j: usize| -> Vec<f64> { rows[i].iter().zip(&rows[j]).map(|(a, b)| f64::from(a - b)).collect() };
        let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let mean =
            (0..4).flat_map(|i| (0..4).map(move |j| (i, j))).map(|(i, j)| length(&apart(i, j))).sum::<f64>() / 12.0;
        let (d, a) = (distances(&x).unwrap().to_vec2::<f32>().unwrap(), angles(&x).unwrap().to_vec3::<f32>().unwrap());
        for i in 0..4 {
            for j in 0..4 {
                assert!((f64::from(d[i][j]) - length(&apart(i, j)) / mean).abs() < 1e-4);
                for (k, &got) in a[i][j].iter().enumerate() {
                    let (u, v) = (apart(j, i), apart(k, i));
                    let cos = u.iter().zip(&v).map(|(u, v)| u * v).sum::<f64>() / (length(&u) * length(&v)).max(1e-9);
                    assert!((f64::from(got) - cos).abs() < 1e-3, "{i} {j} {k}");
                }
            }
        }
    }

    #[test]
    fn equal_layers_have_no_loss_and_gradients_are_those_of_finite_differences() {
        for kind in [LossKind::Hint, LossKind::Attention, LossKind::Relational] {
            if kind != LossKind::Hint {
                assert!(value(kind, &tensor(1, 3), &tensor(1, 3)).abs() < 1e-6, "{kind:?}");
            }
            let (student, teacher) = (tensor(1, 3), tensor(2, 5));
            let leaf = Var::from_tensor(&student).unwrap();
            let companions = companions(3, 5);
            let loss = term(&Loss::of(kind), 0, MOMENT, leaf.as_tensor(), &teacher, &companions).unwrap();
            let store = loss.backward().unwrap();
            let gradient = store.get(&leaf).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(store.get(&companions[0].1).is_some(), kind == LossKind::Hint);
            let values = student.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for place in [0, 17, 40, 71] {
                let at = |by: f32| {
                    let mut values = values.clone();
                    values[place] += by;
                    value(kind, &Tensor::from_vec(values, student.shape(), &Device::Cpu).unwrap(), &teacher)
                };
                let slope = (at(5e-3) - at(-5e-3)) / 1e-2;
                let got = f64::from(gradient[place]);
                assert!((slope - got).abs() < 3e-2 * (0.3 + slope.abs()), "{kind:?}: {got} {slope}");
            }
        }
    }
}
