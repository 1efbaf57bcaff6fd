//! Yes or no.

use anyhow::{Result, ensure};
use attar_device::HeadOutput;
use serde_json::Value;

use super::class::{top_json, top_text};
use super::evidence::name_of;
use super::metrics::{ClassFigures, one_label};
use super::probabilities::sigmoid;
use super::{Form, Head, HeadMetrics, Kind, Mistake, Target, View, flags};
use crate::tables::Column;

pub(super) struct Binary;

impl Kind for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn format(&self) -> attar_shared::HeadKind {
        attar_shared::HeadKind::Binary
    }

    fn form(&self) -> Form {
        Form::Flags
    }

    fn read_columns(&self, head: &Head, columns: &[Column<'_>]) -> Result<Target> {
        let count = columns.len();
        ensure!(count == 1, "head {:?} is binary and names {count} columns, expected one", head.name);
        let values = flags::read_columns(head, columns, names_of(head)?)?;
        let labels = if head.labels.is_empty() { vec!["no".into(), "yes".into()] } else { head.labels.clone() };
        Ok(Target::new(head, 1, labels, values))
    }

    fn read_numbers(&self, head: &Head, numbers: Vec<Option<f32>>, width: usize, file: &str) -> Result<Target> {
        ensure!(width == 1, "{file}: a binary head takes one value a sample");
        let labels = names_of(head)?.to_vec();
        Ok(Target::new(head, 1, labels, flags::read_numbers(numbers, 1, file)?))
    }

    fn measure(&self, target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
        let rows = samples.iter().zip(logits);
        let known: Vec<(bool, f32)> =
            rows.filter_map(|(&sample, &logit)| Some((target.flags(sample)[0]?, logit))).collect();
        if known.is_empty() {
            return HeadMetrics::default();
        }
        let pairs = || known.iter().map(|&(actual, logit)| (logit >= 0.0, actual));
        let classes = [
            (target.answer_name(false), ClassFigures::of(pairs().map(|(predicted, actual)| (!predicted, !actual)))),
            (target.answer_name(true), ClassFigures::of(pairs())),
        ];
        HeadMetrics { classes: classes.into(), ..one_label(&known) }
    }

    /// The commonest answer is always one. Accuracy hardly moves for a rare label, so the ranking is looked at as well: one by
    /// chance has the share of the label as its precision.
    fn no_better_than_chance(&self, target: &Target, samples: &[usize], figures: &HeadMetrics) -> Option<String> {
        let [no, yes] = [false, true].map(|flag| flags::count(target, samples, 0, flag) as f64);
        let (all, share) = (no + yes, yes / (no + yes));
        if let Some(precision) = figures.average_precision.filter(|&precision| share > 0.0 && precision <= share) {
            return Some(format!("average precision is {precision:.3}, a ranking by chance has {share:.3}"));
        }
        let chance = share.max(1.0 - share);
        let accuracy = figures.accuracy?;
        (accuracy < chance - 2.0 * (chance * (1.0 - chance) / all).sqrt()).then(|| {
            format!(
                "{:.1} % are right at one half, the commonest answer alone makes {:.1} %",
                100.0 * accuracy,
                100.0 * chance
            )
        })
    }

    fn probabilities(&self, _target: &Target, logits: &[f32]) -> Vec<f32> {
        logits.iter().map(|&logit| sigmoid(logit)).collect()
    }

    fn counts(&self, target: &Target, samples: &[usize]) -> Vec<(String, usize)> {
        [false, true].map(|flag| (target.answer_name(flag), flags::count(target, samples, 0, flag))).into()
    }

    /// Of two answers, the logit is that of yes against no.
    fn output_of(&self, target: &Target, label: Option<&str>) -> Result<usize> {
        ensure!(label.is_none(), "distill.rules: head {:?} is yes or no: say holds = false for no", target.name);
        Ok(0)
    }

    fn answer_names(&self, target: &Target) -> Vec<String> {
        [false, true].map(|yes| target.answer_name(yes)).into()
    }

    fn view(&self, target: &Target, samples: &[usize], logits: &[f32]) -> View {
        flags::view(target, samples, logits)
    }

    fn mistake(&self, target: &Target, sample: usize, logits: &[f32]) -> Option<Mistake> {
        flags::mistake(target, sample, logits)
    }

    fn truth_text(&self, answers: &[String], truth: &[Option<f32>]) -> String {
        truth.first().copied().flatten().map(|yes| name_of(answers, yes as usize)).unwrap_or_default()
    }

    fn answer_text(&self, answers: &[String], probabilities: &[f32]) -> String {
        let yes = probabilities.first().copied().unwrap_or(0.0);
        let (class, share) = if yes >= 0.5 { (1, yes) } else { (0, 1.0 - yes) };
        format!("{} {:.0} %", name_of(answers, class), share * 100.0)
    }

    fn output_text(&self, output: &HeadOutput<'_>) -> String {
        top_text(output)
    }

    fn output_json(&self, output: &HeadOutput<'_>) -> Value {
        top_json(output)
    }
}

/// Returns the names of no and yes, or none.
fn names_of(head: &Head) -> Result<&[String]> {
    let count = head.labels.len();
    ensure!(matches!(count, 0 | 2), "head {:?} is binary and has {count} labels, expected no and yes", head.name);
    Ok(&head.labels)
}
