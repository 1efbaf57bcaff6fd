//! Folding: a normalisation joins the weights of the layer before it, as it will stand on the board.

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};

use super::Net;
use super::graph::Graph;
use super::layers::{Affine, Folded, Op};

impl Net {
    /// Returns the network that computes the same in evaluation, without normalisations; its parameters are its own.
    ///
    /// # Errors
    ///
    /// When a normalisation follows a layer that it cannot join.
    pub fn folded(&self) -> Result<Self> {
        let mut graph = Graph { audience: self.graph.audience, ..Graph::default() };
        let mut place_of: Vec<usize> = Vec::with_capacity(self.graph.nodes.len());
        let mut parameters = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let inputs: Vec<usize> = node.inputs.iter().map(|&input| place_of[input]).collect();
            if matches!(node.op, Op::Norm(_)) {
                place_of.push(inputs[0]);
                continue;
            }
            let what = || format!("layer {:?} as it is on the board", node.name);
            let own: Vec<&Tensor> = self.parameters_of(index).iter().map(|(_, var)| var.as_tensor()).collect();
            let norm = self.normalization_of(index)?;
            let Folded { op, parameters: folded } = node.op.fold(&own, norm.as_ref()).with_context(what)?;
            let op = op.unwrap_or_else(|| node.op.clone());
            // What a layer forgets to hand on would be missing on the board.
            let expected = op.parameters(&graph.shapes(&inputs));
            ensure!(
                folded.len() == expected.len(),
                "{} has {} parameters, expected {}",
                what(),
                folded.len(),
                expected.len()
            );
            for (expected, tensor) in expected.iter().zip(folded) {
                let name = format!("{}.{}", node.name, expected.name);
                let got = tensor.dims();
                ensure!(got == expected.shape, "{name:?} has shape {got:?}, expected {:?}", expected.shape);
                parameters.push((name, Var::from_tensor(&tensor.detach().copy()?)?));
            }
            place_of.push(if inputs.is_empty() {
                graph.push_source(&node.name, op, node.shape)
            } else {
                graph.push(&node.name, op, &inputs)?
            });
        }
        graph.heads = self.graph.heads.iter().map(|&head| place_of[head]).collect();
        Ok(Self { graph, parameters, statistics: Vec::new(), device: self.device.clone() })
    }

    /// Returns the normalisation that follows a node, if one does.
    fn normalization_of(&self, index: usize) -> Result<Option<Affine>> {
        if !self.graph.is_normed(index) {
            return Ok(None);
        }
        let name = &self.graph.nodes[index].name;
        let mut readers = self.graph.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&index));
        let (norm, _) = readers.next().with_context(|| format!("nothing reads layer {name:?}"))?;
        ensure!(readers.next().is_none(), "layer {name:?} is read by more than its normalisation");
        Ok(Some(Affine::new(self.parameters_of(norm), self.statistics_of(norm))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::layers::{Add, Dense, Gru, Input, Norm, Prior};
    use crate::net::{Hook, Mode};
    use crate::support::random;
    use candle_core::Device;

    /// Returns a network whose parameters and statistics are all different from their initial values.
    fn trained(graph: Graph) -> Net {
        let net = Net::new(graph, &mut random::stream(1, "fold"), &Device::Cpu).unwrap();
        for (place, (_, var)) in net.state().enumerate() {
            let values = (0..var.elem_count()).map(|n| 0.2 + 0.1 * ((7 * n + place) % 11) as f32).collect();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        net
    }

    fn message(graph: Graph) -> String {
        format!("{:#}", trained(graph).folded().unwrap_err())
    }

    #[test]
    fn folded_network_has_every_parameter_and_computes_the_same() {
        let mut graph = Graph::default();
        let input = graph.push_source("input", Input.into(), [1, 4, 3]);
        let gru = graph.push("gru", Gru { units: 5 }.into(), &[input]).unwrap();
        let dense = graph.push("dense", Dense { outputs: 6, bias: false }.into(), &[gru]).unwrap();
        let norm = graph.push("dense.norm", Norm.into(), &[dense]).unwrap();
        let prior = graph.push("prior", Prior { outputs: 6, folded: false }.into(), &[input]).unwrap();
        let sum = graph.push("sum", Add.into(), &[norm, prior]).unwrap();
        graph.heads = vec![sum];
        let net = trained(graph);
        let folded = net.folded().unwrap();
        let names: Vec<&str> = folded.parameters.iter().map(|(name, _)| name.as_str()).collect();
        let expected =
            ["gru.weight", "gru.state", "gru.bias", "dense.weight", "dense.bias", "prior.weight", "prior.bias"];
        assert_eq!(names, expected);
        let x = Tensor::from_vec((0..24).map(|n| n as f32 / 24.0).collect(), (2, 1, 4, 3), &Device::Cpu).unwrap();
        let none: Option<&dyn Hook> = None;
        let logits = |net: &Net| net.logits(&x, None, Mode::Evaluate, none).unwrap()[0].to_vec2::<f32>().unwrap();
        for (got, expected) in logits(&folded).concat().iter().zip(logits(&net).concat()) {
            assert!((got - expected).abs() < 1e-4 * expected.abs().max(1.0), "{got}, expected {expected}");
        }
    }

    #[test]
    fn normalisation_of_what_has_no_weights_is_refused() {
        let mut graph = Graph::default();
        let input = graph.push_source("input", Input.into(), [1, 4, 3]);
        let gru = graph.push("gru", Gru { units: 5 }.into(), &[input]).unwrap();
        graph.push("norm", Norm.into(), &[gru]).unwrap();
        assert!(
            message(graph).contains("\"gru\" as it is on the board: it has no weights that a normalisation can join")
        );
    }

    #[test]
    fn normalised_layer_with_another_reader_is_refused() {
        let mut graph = Graph::default();
        let input = graph.push_source("input", Input.into(), [1, 1, 3]);
        let dense = graph.push("dense", Dense { outputs: 3, bias: false }.into(), &[input]).unwrap();
        let norm = graph.push("norm", Norm.into(), &[dense]).unwrap();
        graph.push("sum", Add.into(), &[dense, norm]).unwrap();
        assert!(message(graph).contains("layer \"dense\" is read by more than its normalisation"));
    }

    /// Without a bias of its own and without a normalisation, a layer has nothing to be the bias on the board.
    #[test]
    fn folded_layer_without_all_of_its_parameters_is_refused() {
        let mut graph = Graph::default();
        let input = graph.push_source("input", Input.into(), [1, 1, 3]);
        graph.push("dense", Dense { outputs: 3, bias: false }.into(), &[input]).unwrap();
        assert!(message(graph).contains("layer \"dense\" as it is on the board has 1 parameters, expected 2"));
    }
}
