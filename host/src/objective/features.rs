//! The layers that losses compare.

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};

use super::Moment;
use crate::losses::{LayerLoss, Layers};
use crate::net::{Graph, Net, Op};
use crate::recipe::Term;
use crate::support::suggest::did_you_mean;

/// A layer of the student and one of the teacher that a loss compares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// The node of the student.
    pub student: usize,
    /// The node of the teacher.
    pub teacher: usize,
    channels: [usize; 2],
}

impl Features {
    /// Finds the layers that a loss names, and checks that they can be compared.
    pub(super) fn find(term: &Term, loss: &dyn LayerLoss, student: &Graph, teacher: Option<&Net>) -> Result<Self> {
        let name = loss.name();
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
        let (own, its) = (node(student, "student", &term.student)?, node(&teacher.graph, "teacher", &term.teacher)?);
        // On the board, and in training as if in integers, a normalisation is part of the layer before it.
        ensure!(
            !matches!(student.nodes[own].op, Op::Norm(_)) && !student.is_normed(own),
            "loss {name:?}: the student's layer {:?} is joined with its normalisation; name what follows, its activation",
            student.nodes[own].name
        );
        let shapes = [student.nodes[own].shape, teacher.graph.nodes[its].shape];
        loss.check_shapes(shapes[0], shapes[1])?;
        Ok(Self { student: own, teacher: its, channels: shapes.map(|shape| shape[2]) })
    }

    /// Returns what a loss learns beside the student, by its place among the losses.
    pub(super) fn learned(
        &self,
        term: &Term,
        loss: &dyn LayerLoss,
        place: usize,
        net: &Net,
    ) -> Result<Vec<(String, Var)>> {
        let [student, teacher] = self.channels;
        let learned = loss.learned(&term.numbers, student, teacher).into_iter();
        learned
            .map(|one| {
                let var = Var::from_vec(one.values, one.shape, net.device())?;
                Ok((format!("{}{}", prefix(loss, place), one.name), var))
            })
            .collect()
    }
}

/// Returns how the parameters of a loss are named among all that are learned beside a network.
fn prefix(loss: &dyn LayerLoss, place: usize) -> String {
    format!("{}{place}.", loss.name())
}

/// A batch of two layers that are compared.
pub(super) struct Compared<'a> {
    pub(super) student: &'a Tensor,
    pub(super) teacher: &'a Tensor,
    /// The classes of the samples in the first class head.
    pub(super) classes: &'a [Option<u32>],
    pub(super) companions: &'a [(String, Var)],
}

/// Returns a loss of layers, times its weight at a moment.
pub(super) fn term(
    term: &Term,
    loss: &dyn LayerLoss,
    place: usize,
    moment: Moment,
    batch: &Compared<'_>,
) -> Result<Tensor> {
    let weight = term.weight.map_or_else(|| loss.weight(), |weight| weight.at(moment.share()));
    let prefix = prefix(loss, place);
    let learned: Vec<(&str, &Var)> =
        batch.companions.iter().filter_map(|(name, var)| Some((name.strip_prefix(&prefix)?, var))).collect();
    let temperature = loss.temperature().unwrap_or(1.0);
    let value = loss.of_layers(&Layers {
        student: batch.student,
        teacher: &batch.teacher.detach(),
        temperature: term.temperature.map_or(temperature, |temperature| temperature.at(moment.share())),
        classes: batch.classes,
        numbers: &term.numbers,
        learned: &learned,
    })?;
    Ok((value * weight)?)
}
