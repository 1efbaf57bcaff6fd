//! The losses against the teacher's outputs, head by head.

use anyhow::Result;
use candle_core::Tensor;

use super::{Moment, classes};
use crate::heads::{Labels, Target};
use crate::losses::{LogitLoss, Logits};
use crate::recipe::{Scheduled, Term};

/// Returns a loss of a head and its weight at a moment; nothing when it needs labels and none is known.
pub(super) fn term(
    term: &Term,
    loss: &dyn LogitLoss,
    target: &Target,
    samples: &[usize],
    moment: Moment,
    student: &Tensor,
    teacher: &Tensor,
) -> Result<(Option<Tensor>, f64)> {
    let weight = term.weight.map_or_else(|| loss.weight(), |weight| weight.at(moment.share()));
    let batch = Logits {
        student,
        teacher: &teacher.detach(),
        temperature: temperature(term, loss, target, moment),
        classes: &classes(target, samples),
        distance: target.loss,
        numbers: &term.numbers,
    };
    Ok(match target.values {
        Labels::Classes(_) => (loss.of_classes(&batch)?, weight * loss.ramp(&term.numbers, moment.epoch)),
        Labels::Flags(_) => (Some(loss.of_labels(&batch)?), weight),
        Labels::Numbers(_) => (Some(loss.of_numbers(&batch)?), weight),
    })
}

/// What the logits are divided by: the head's own temperature, the recipe's, or the authors'.
fn temperature(term: &Term, loss: &dyn LogitLoss, target: &Target, moment: Moment) -> f64 {
    let own = target.temperature.map(Scheduled::Constant);
    own.or(term.temperature).map_or(loss.temperature().unwrap_or(1.0), |temperature| temperature.at(moment.share()))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::domain::RegressionLoss;
    use crate::heads::{Form, HeadKind};
    use crate::losses::{Formula, LossName};
    use crate::recipe::Linear;

    const MOMENT: Moment = Moment { epoch: 40.0, epochs: 80, view: 0 };

    fn target(kind: HeadKind) -> Target {
        let values = match kind.form() {
            Form::Classes => Labels::Classes(vec![Some(0), Some(2), Some(1), None]),
            Form::Flags => Labels::flags([]),
            Form::Numbers => Labels::numbers([]),
        };
        Target {
            name: "y".into(),
            kind,
            labels: Vec::new(),
            outputs: 3,
            values,
            scaling: vec![[0.0, 1.0]; 3],
            weight: 1.0,
            loss: RegressionLoss::Mse,
            temperature: None,
        }
    }

    fn pair() -> [Var; 2] {
        let student = [1.0f32, -1.0, 0.5, 2.0, 0.0, 1.0, 0.3, -0.7, 0.2, -1.0, 0.4, 0.9];
        let teacher = [2.0f32, 0.0, -1.0, 0.0, 0.0, 3.0, -0.5, 1.5, 0.1, 0.2, 1.1, -2.0];
        [student, teacher].map(|values| Var::from_slice(&values, (4, 3), &Device::Cpu).unwrap())
    }

    #[test]
    fn weights_and_temperatures_follow_their_schedules() {
        let own = Term {
            weight: Some(Scheduled::Linear(Linear { start: 1.0, end: 0.0 })),
            temperature: Some(Scheduled::Linear(Linear { start: 8.0, end: 2.0 })),
            ..Term::of(LossName::HINTON)
        };
        let Formula::Logits(loss) = LossName::HINTON.formula() else { unreachable!() };
        let ([student, teacher], target) = (pair(), target(HeadKind::CLASS));
        let at = |epoch: f64| {
            let moment = Moment { epoch, ..MOMENT };
            let samples = [0, 1, 2, 3];
            let (value, weight) = term(&own, loss, &target, &samples, moment, &student, &teacher).unwrap();
            (value.unwrap().to_scalar::<f32>().unwrap(), weight)
        };
        assert_eq!([at(0.0).1, at(20.0).1, at(80.0).1], [1.0, 0.75, 0.0]);
        assert!(at(0.0).0 != at(80.0).0);
        assert_eq!(temperature(&own, loss, &target, MOMENT), 5.0);
        let head = Target { temperature: Some(3.0), ..target };
        assert_eq!(temperature(&own, loss, &head, MOMENT), 3.0);
    }

    #[test]
    fn no_loss_moves_the_teacher() {
        for name in LossName::all() {
            let Formula::Logits(loss) = name.formula() else { continue };
            for kind in [HeadKind::CLASS, HeadKind::MULTILABEL, HeadKind::REGRESSION] {
                let [student, teacher] = pair();
                let (own, samples) = (Term::of(name), [0, 1, 2, 3]);
                let (value, _) = term(&own, loss, &target(kind), &samples, MOMENT, &student, &teacher).unwrap();
                let gradients = value.unwrap().backward().unwrap();
                assert!(gradients.get(&teacher).is_none() && gradients.get(&student).is_some(), "{name:?} {kind:?}");
            }
        }
    }
}
