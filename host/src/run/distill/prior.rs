//! What the facts alone say of an answer: log-odds that are fitted before the network, and how much of them it takes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::data::Dataset;
use crate::net::{Dense, Graph, Net, Op};
use crate::objective::Objective;
use crate::recipe;
use crate::support::random;
use crate::train::{self, Task};

/// Fits the priors of a network: for each head a linear model of the facts alone, against the labels. What the network adds to
/// it is learned later, and the priors stay but for one factor each. They are fitted with the network's own epochs, rate,
/// optimiser and hidden facts.
///
/// # Errors
///
/// When the training diverges or is stopped.
pub(super) fn fit(title: &str, net: &Net, data: &Dataset, how: &recipe::Net, heads: &[usize], seed: u64) -> Result<()> {
    let Some(graph) = alone(&net.graph)? else { return Ok(()) };
    let mut prior = Net::new(graph, &mut random::stream(seed, "prior weights"), net.device())?;
    let how = recipe::Net { average: None, patience: None, ..how.clone() };
    let title = format!("{title}: prior from the facts alone");
    let task = Task { seed, quiet: true, ..Task::new(&title, data, &how, Objective::Labels, heads) };
    train::train(&mut prior, &task)?;
    for (name, var) in &prior.parameters {
        let own = net.parameters.iter().find(|(other, _)| other == name);
        own.with_context(|| format!("the network has no {name}"))?.1.set(var.as_tensor())?;
    }
    Ok(())
}

/// Returns how much of each prior a network takes, by the name of its head; nothing for one without priors.
///
/// # Errors
///
/// When the device fails.
pub(super) fn weights(net: &Net) -> Result<BTreeMap<String, f64>> {
    let factors = net.parameters.iter().filter_map(|(name, var)| {
        let head = name.strip_prefix("prior.")?.strip_suffix(".factor")?;
        Some((head.to_string(), var))
    });
    factors.map(|(head, var)| Ok((head, f64::from(var.as_tensor().to_vec1::<f32>()?[0])))).collect()
}

/// Returns the part of a graph that leads from the facts to its priors, a head each; nothing without any.
fn alone(graph: &Graph) -> Result<Option<Graph>> {
    let mut part = Graph { audience: graph.audience, ..Graph::default() };
    let mut place_of = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let place = match &node.op {
            Op::Facts(_) => part.push_source(&node.name, node.op.clone(), node.shape),
            Op::Embedding(_) => part.push(&node.name, node.op.clone(), &[place_of[&node.inputs[0]]])?,
            Op::Prior(prior) => {
                let dense = Dense { outputs: prior.outputs, bias: true };
                let head = part.push(&node.name, dense.into(), &[place_of[&node.inputs[0]]])?;
                part.heads.push(head);
                head
            }
            _ => continue,
        };
        place_of.insert(index, place);
    }
    Ok((!part.heads.is_empty()).then_some(part))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::facts::Audience;
    use crate::heads::Labels;
    use crate::net;
    use crate::recipe::Recipe;

    /// The prior is the least-squares line of the facts alone, and the network that is trained on top leaves it as it is.
    #[test]
    fn prior_is_fitted_on_the_facts_alone_and_stays() {
        let text = "[data]\nformat='random'\nsamples=400\nsplit={test=0.2,validation=0}\n[input]\nshape=[3]\n[[facts]]\nname='f'\n\
                    kind='number'\nencoder='z-score'\nmean=0\ndeviation=1\ndropout=0\n[[heads]]\nname='y'\n\
                    kind='regression'\noutputs=1\n[student]\narch='mlp'\nfusion='prior'\nepochs=150\nrate=0.02\nhidden=[4]\n\
                    [distill]\nmethod='none'\n";
        let recipe = Recipe::parse(text, "r.toml", "r", &[]).unwrap();
        let mut data = crate::data::load(&recipe, "".as_ref()).unwrap();
        // y = 2 f + 1 + x, standardised by 1: the input is noise to whoever sees the facts alone.
        data.targets[0].scaling = vec![[0.0, 1.0]];
        let y = |sample: usize| 2.0 * data.fact_columns[0][sample].unwrap() + 1.0 + data.input(sample)[0];
        data.targets[0].values = Labels::numbers((0..data.len()).map(y));
        let heads = [("y".to_string(), 1)];
        let graph = net::build(&recipe.student, [1, 1, 3], data.facts.input(Audience::Board), &heads).unwrap();
        let mut net = Net::new(graph, &mut random::stream(1, "prior"), &Device::Cpu).unwrap();
        let values = |net: &Net, name: &str| -> Vec<f32> {
            let found = net.parameters.iter().find(|(other, _)| other == name).unwrap();
            found.1.flatten_all().unwrap().to_vec1().unwrap()
        };
        fit("net", &net, &data, &recipe.student, &[0], 1).unwrap();
        let fitted = (values(&net, "prior.y.weight"), values(&net, "prior.y.bias"));
        // The mask, always 1, shares the constant with the bias.
        assert!((fitted.0[0] - 2.0).abs() < 0.2, "{fitted:?}");
        assert!((fitted.0[1] + fitted.1[0] - 1.0).abs() < 0.2, "{fitted:?}");
        assert_eq!(weights(&net).unwrap()["y"], 1.0);
        let task = Task { quiet: true, ..Task::new("net", &data, &recipe.student, Objective::Labels, &[0]) };
        train::train(&mut net, &task).unwrap();
        assert_eq!(fitted, (values(&net, "prior.y.weight"), values(&net, "prior.y.bias")));
        let weight = weights(&net).unwrap()["y"];
        assert!(weight != 1.0 && (weight - 1.0).abs() < 0.3, "{weight}");
        // Folded, the factor is in the weights.
        let folded = net.folded().unwrap();
        assert_eq!(values(&folded, "prior.y.weight")[0], fitted.0[0] * weight as f32);
    }
}
