//! Budgets: what a student may take, held against it before anything is trained.

use anyhow::{Result, bail};
use attar_device::Student;
use attar_shared::{HEADER_BYTES, Header};
use candle_core::Device;

use crate::compile::Quantizer;
use crate::data::Dataset;
use crate::facts::Audience;
use crate::net::{self, Net};
use crate::recipe::{Quantize, Recipe, Weights};
use crate::support::random;

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
    lines.push(format!("{:<34} {:>10} {:>10} {:>12}", "layer", "flash", "output", "MACs"));
    for Item { name, flash, output, macs } in items(&header, bytes.len(), quantizer.layers(&net)?) {
        let or_nothing = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        lines.push(format!("{name:<34} {flash:>10} {:>10} {:>12}", or_nothing(output), or_nothing(macs)));
    }
    bail!("{}", lines.join("\n"))
}

/// A line of the table: what something takes.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    name: String,
    flash: i64,
    output: Option<i64>,
    macs: Option<i64>,
}

/// Returns everything that a file consists of; flash and multiply-accumulates add up to those of the whole, the last item.
fn items(header: &Header, len: usize, layers: Vec<(String, usize, usize, u64)>) -> Vec<Item> {
    let mut items: Vec<Item> = layers
        .into_iter()
        .map(|(name, flash, output, macs)| Item {
            name,
            flash: flash as i64,
            output: Some(output as i64),
            macs: Some(macs as i64),
        })
        .collect();
    let weights: i64 = items.iter().map(|item| item.flash).sum();
    let macs: i64 = items.iter().filter_map(|item| item.macs).sum();
    let (saved, saved_macs) = (i64::from(header.weights_len) - weights, i64::from(header.macs) - macs);
    let mut add = |name: &str, flash: i64, macs: Option<i64>| {
        items.push(Item { name: name.into(), flash, output: None, macs });
    };
    // Layers are listed before passes join operators and drop channels.
    if saved != 0 || saved_macs != 0 {
        add("joined operators, dead channels", saved, Some(saved_macs));
    }
    let parts = [
        ("input: name, channels, front-end", i64::from(header.input_len)),
        ("facts: names, values, tables, code", i64::from(header.facts_len)),
        ("heads: names and labels", i64::from(header.heads_len)),
        ("self-test vectors", i64::from(header.tests_len)),
        ("header and checksum", HEADER_BYTES as i64 + 4),
    ];
    for (name, flash) in parts.into_iter().filter(|(_, flash)| *flash > 0) {
        add(name, flash, None);
    }
    let described: i64 = parts.iter().map(|(_, flash)| flash).sum();
    add("records of operators and tensors", len as i64 - described - i64::from(header.weights_len), None);
    add("in all", len as i64, Some(i64::from(header.macs)));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of a refusal explains all of what is refused.
    #[test]
    fn items_add_up_to_the_file() {
        let text = "[data]\nformat='bearing'\nsamples=60\n[[facts]]\nname='rpm'\nkind='number'\n[[facts]]\nname='bearing'\n\
                    kind='category'\n[[heads]]\nname='fault'\nkind='class'\n[student]\narch='cnn'\nchannels=[4,6]\nkernel=[5,3]\n\
                    stride=[4,2]\nseparable=true\nnorm=true\n[distill]\nmethod='none'\n[budget]\nflash=100\n";
        let recipe = Recipe::parse(text, "r.toml", "r", &[]).unwrap();
        let data = crate::data::load(&recipe, "".as_ref()).unwrap();
        let said = check(&recipe, &data).unwrap_err().to_string();
        let refused: i64 =
            said.split("it takes ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
        let rows: Vec<(&str, Vec<i64>)> = said
            .lines()
            .skip(2)
            .map(|line| (&line[..34], line[34..].split_whitespace().map(|cell| cell.parse().unwrap()).collect()))
            .collect();
        let (last, items) = rows.split_last().unwrap();
        assert_eq!((last.0.trim(), last.1[0]), ("in all", refused), "{said}");
        assert_eq!(items.iter().map(|(_, cells)| cells[0]).sum::<i64>(), refused, "{said}");
        let macs = items.iter().filter_map(|(_, cells)| if cells.len() == 1 { None } else { cells.last() });
        assert_eq!(macs.sum::<i64>(), last.1[1], "{said}");
        for part in ["heads: names and labels", "facts: names", "self-test vectors"] {
            assert!(items.iter().any(|(name, cells)| name.contains(part) && cells[0] > 0), "no {part}: {said}");
        }
        // The records have lengths of their own, so that nothing hides in what is left.
        let records = items.iter().find(|(name, _)| name.contains("records")).unwrap().1[0];
        assert!((20..2000).contains(&records) && records % 4 == 0, "{said}");
    }
}
