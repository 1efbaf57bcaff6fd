//! Gradients of whole networks against finite differences: what the operators' own tests cannot see is how they are joined.

use attar::data;
use attar::data::dataset::FactUse;
use attar::facts::Audience;
use attar::net::{self, Mode, Net};
use attar::objective::{Moment, Objective, Outputs, Soft};
use attar::recipe::{Distill, Recipe, Scheduled};
use attar::support::random;
use candle_core::{Device, Tensor};

use crate::toys::small_recipe;

#[test]
fn gradients_of_whole_networks_are_those_of_finite_differences() {
    // Smooth activations: a finite difference across the kink of a ReLU is no gradient.
    for sets in [
        &["student.activation=tanh"][..],
        &["student.activation=sigmoid", "student.gather=flatten"],
        &["student.activation=tanh", "student.fusion=concat", "student.fuse_at=input", "student.pool=[2]"],
        &["student.activation=tanh", "student.separable=false", "student.hidden=[7]"],
    ] {
        check(&small_recipe(sets));
    }
}

/// Networks over series: gates, states that run through all steps, dilated causal windows.
#[test]
fn gradients_of_networks_over_series_are_those_of_finite_differences() {
    for student in [
        "arch = 'gru'\nwidth = 5\ndepth = 2\n",
        "arch = 'lstm'\nwidth = 5\ndepth = 2\n",
        "arch = 'tcn'\nwidth = 4\ndepth = 3\nactivation = 'tanh'\n",
    ] {
        let text = crate::toys::SMALL;
        let start = text.find("[student]").unwrap();
        let text = format!("{}[student]\n{student}", &text[..start]);
        check(&Recipe::parse(&text, "series.toml", "series", &[]).unwrap());
    }
}

fn check(recipe: &Recipe) {
    let data = data::load(recipe, "".as_ref()).unwrap();
    let heads = vec![("fault".to_string(), 4)];
    let graph = net::build(&recipe.student, data.input_shape, data.facts.input(Audience::Board), &heads).unwrap();
    let net = Net::new(graph, &mut random::stream(3, "gradients"), &Device::Cpu).unwrap();
    let samples: Vec<usize> = (0..8).collect();
    let logits = (0..data.len() * 4).map(|i| (i % 7) as f32 / 3.0).collect();
    let soft = Soft { logits: vec![vec![logits]], network: None };
    let constant = |value: f64| Some(Scheduled::Constant(value));
    let distill =
        Distill { temperature: constant(2.0), hard: constant(0.4), soft: constant(0.6), ..Distill::default() };
    let loss = || -> Tensor {
        let batch = data.batch(&samples, FactUse::AsKnown(Audience::Board), &Device::Cpu).unwrap();
        let logits = net.logits(&batch.input, batch.facts.as_ref(), Mode::Evaluate, None).unwrap();
        let outputs = Outputs { logits: &logits, features: &[], companions: &[], heads: &[0] };
        let moment = Moment { epoch: 0.0, epochs: 1, view: 0 };
        Objective::Distilled(&distill, &soft).loss(&data, &samples, moment, outputs).unwrap()
    };
    let gradients = loss().backward().unwrap();
    let value = || f64::from(loss().to_scalar::<f32>().unwrap());
    for (name, var) in &net.parameters {
        let gradient = gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let before = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // The greatest component stands out most from the rounding of f32.
        let place = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
        // A long step rises above the rounding of f32; a short one crosses fewer of the kinks of a max pool.
        let step = if recipe.student.pool.is_empty() { 4e-3 } else { 5e-4 };
        let at = |offset: f32| {
            let mut values = before.clone();
            values[place] += offset;
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
            value()
        };
        let difference = (at(step) - at(-step)) / (2.0 * f64::from(step));
        at(0.0);
        let error = (difference - f64::from(gradient[place])).abs();
        assert!(
            error < 0.03 * difference.abs() + 2e-4,
            "{:?} {name}[{place}]: gradient {}, finite difference {difference}",
            recipe.student,
            gradient[place]
        );
    }
}
