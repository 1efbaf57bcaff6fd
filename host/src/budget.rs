//! Budgets: what a student may take, held against it before anything is trained.

use anyhow::{Result, bail};
use attar_device::Student;
use candle_core::Device;

use crate::data::Dataset;
use crate::facts::Audience;
use crate::net::{self, Net};
use crate::quantize::Quantizer;
use crate::random;
use crate::recipe::{Quantize, Recipe, Weights};

/// Holds the student of a recipe, untrained, against its budget; what is trained later takes as much or less.
///
/// # Errors
///
/// When a layer does not fit another, the student does not fit the format, or it takes more than its budget; then the
/// message lists what each layer takes.
pub fn check(recipe: &Recipe, data: &Dataset) -> Result<()> {
    let heads: Vec<(String, usize)> = data.targets.iter().map(|target| (target.name.clone(), target.outputs)).collect();
    let graph = net::build(&recipe.student, data.input_shape, data.facts.input(Audience::Board), &heads)?;
    let net = Net::new(graph, &mut random::stream(recipe.seed, "budget"), &Device::Cpu)?.folded()?;
    // Weights of automatic width may all become narrow.
    let weights = match recipe.quantize.weights {
        Weights::Auto => Weights::Int4,
        weights => weights,
    };
    let how = Quantize { weights, calibration: recipe.quantize.calibration.min(16), ..recipe.quantize.clone() };
    let quantizer = Quantizer::new(&net, data, &how, None, recipe.seed)?;
    let bytes = quantizer.file(&net)?;
    let header = Student::parse(&bytes)?.model().header();
    let budget = &recipe.budget;
    let flash = budget.flash.as_ref().map(crate::recipe::Bytes::get).transpose()?;
    let ram = budget.ram.as_ref().map(crate::recipe::Bytes::get).transpose()?;
    let taken = [
        ("flash", "bytes", bytes.len() as u64, flash),
        ("ram", "bytes of arena", u64::from(header.arena_len), ram),
        ("macs", "multiply-accumulates", u64::from(header.macs), budget.macs),
        ("work", "steps", u64::from(header.work), budget.work),
    ];
    let over: Vec<String> = taken
        .iter()
        .filter_map(|&(key, unit, taken, allowed)| {
            let allowed = allowed.filter(|&allowed| taken > allowed)?;
            Some(format!("it takes {taken} {unit}, budget.{key} allows {allowed}"))
        })
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    let mut lines = vec![format!("the student does not fit its budget: {}", over.join("; "))];
    lines.push(format!("{:<28} {:>10} {:>10} {:>12}", "layer", "flash", "output", "MACs"));
    for (name, flash, output, macs) in quantizer.layers(&net)? {
        lines.push(format!("{name:<28} {flash:>10} {output:>10} {macs:>12}"));
    }
    bail!("{}", lines.join("\n"))
}
