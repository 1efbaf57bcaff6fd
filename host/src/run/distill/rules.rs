//! Rules that teach: what must hold of a label when a condition does, put into what the teacher says (Hu, Ma, Liu, Hovy, Xing:
//! Harnessing deep neural networks with logic rules, ACL 2016).
//!
//! Of all distributions near the teacher's p, the one that breaks the rules least is `q(y) ∝ p(y) exp(-c (1 - r(y)))` with r 1
//! where the rule is kept and 0 where it is broken, c the rule's strength: its logit falls by c where y breaks the rule. The
//! student learns from q in the place of p; how much it does, and how that changes, is `distill.soft`.

use anyhow::{Context, Result, ensure};

use crate::data::Dataset;
use crate::heads::Target;
use crate::recipe::Recipe;
use crate::support::progress::say;

/// Checks that every rule speaks of a label that a teacher answers.
pub(super) fn check(recipe: &Recipe, data: &Dataset) -> Result<()> {
    for rule in &recipe.distill.rules {
        let target = target_of(data, &rule.head)?.1;
        target.kind.output_of(target, rule.label.as_deref())?;
        let answered = recipe.all_teachers().any(|net| net.heads.is_empty() || net.heads.contains(&rule.head));
        ensure!(answered, "distill.rules: head {:?} has no teacher whose answers a rule could change", rule.head);
    }
    Ok(())
}

fn target_of<'a>(data: &'a Dataset, head: &str) -> Result<(usize, &'a Target)> {
    let found = data.targets.iter().enumerate().find(|(_, target)| target.name == head);
    found.with_context(|| format!("distill.rules: there is no head {head:?}"))
}

/// Changes the teacher's logits, `[view][head][sample, output]`, as the recipe's rules say.
pub(super) fn apply(recipe: &Recipe, data: &Dataset, logits: &mut [Vec<Vec<f32>>]) -> Result<()> {
    for (index, rule) in recipe.distill.rules.iter().enumerate() {
        let (place, target) = target_of(data, &rule.head)?;
        let output = target.kind.output_of(target, rule.label.as_deref())?;
        let fact = data.facts.facts.iter().position(|fact| fact.name == rule.fact_name(index));
        let column = &data.fact_columns[fact.context("a rule without its condition")?];
        let holds = |sample: &usize| column[*sample] == Some(1.0);
        let touched: Vec<usize> = data.splits.train.iter().copied().filter(holds).collect();
        say(&format!(
            "rule {}: {:?} decides {} of {} training samples",
            index + 1,
            rule.when.text(),
            touched.len(),
            data.splits.train.len()
        ));
        for view in &mut *logits {
            let Some(answers) = view.get_mut(place).filter(|answers| !answers.is_empty()) else { continue };
            for &sample in &touched {
                let row = &mut answers[sample * target.outputs..][..target.outputs];
                target.kind.shift(row, output, rule.holds, rule.strength as f32);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::heads::HeadKind;

    /// q(y) ∝ p(y) exp(-c (1 - r(y))) by its definition.
    #[test]
    fn shifted_logits_are_those_of_the_nearest_distribution_that_keeps_the_rule() {
        let (p, strength) = ([0.2f32, 0.5, 0.3], 1.5f32);
        for holds in [true, false] {
            let mut logits = p.map(f32::ln);
            HeadKind::CLASS.shift(&mut logits, 1, holds, strength);
            let kept = |class: usize| (class == 1) == holds;
            let q: Vec<f32> =
                (0..3).map(|class| p[class] * if kept(class) { 1.0 } else { (-strength).exp() }).collect();
            let (sum, got_sum) = (q.iter().sum::<f32>(), logits.iter().map(|x| x.exp()).sum::<f32>());
            for (q, logit) in q.iter().zip(&logits) {
                assert!((q / sum - logit.exp() / got_sum).abs() < 1e-6);
            }
        }
        // Yes with p = 0.4: q(yes) = 0.4 / (0.4 + 0.6 e^-c).
        let mut logit = [(0.4f32 / 0.6).ln()];
        HeadKind::BINARY.shift(&mut logit, 0, true, strength);
        let expected = 0.4 / (0.4 + 0.6 * (-strength).exp());
        assert!((1.0 / (1.0 + (-logit[0]).exp()) - expected).abs() < 1e-6);
        let mut logits = [0.5f32, -0.5];
        HeadKind::MULTILABEL.shift(&mut logits, 1, false, 2.0);
        assert_eq!(logits, [0.5, -2.5]);
    }
}
