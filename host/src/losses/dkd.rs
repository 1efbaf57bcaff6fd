//! Decoupled soft labels: min(epoch / `warm_up`, 1) T² (α KL(target against rest) + β KL(among the rest)), over the
//! samples whose class is known, with T 4, α 1, β 8 and `warm_up` 20 (Zhao et al. 2022).

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::log_softmax;

use super::distance::kl;
use super::{Head, Key, LogitLoss, Logits, Loss, Numbers};

pub(super) struct Dkd;

/// The weight of the target against the rest.
const ALPHA: Key = Key::number("alpha", 1.0);

/// The weight of the classes among the rest.
const BETA: Key = Key::number("beta", 8.0);

/// Epochs over which the weight rises from zero.
const WARM_UP: Key = Key::number("warm_up", 20.0);

impl Loss for Dkd {
    fn name(&self) -> &'static str {
        "dkd"
    }

    fn keys(&self) -> &'static [Key] {
        &[ALPHA, BETA, WARM_UP]
    }

    fn temperature(&self) -> Option<f64> {
        Some(4.0)
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([1.0, 1.0])
    }

    fn warning(&self, head: &Head<'_>, _batch: usize) -> Option<String> {
        if head.has_two_classes() {
            return Some(format!(
                "head {:?} has two classes: nothing is left among the rest, so \"dkd\" sees the target alone; take \"hinton\"",
                head.name
            ));
        }
        head.means_hinton(self.name())
    }
}

impl LogitLoss for Dkd {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        let t = batch.temperature;
        let known: Vec<(u32, u32)> =
            (0u32..).zip(batch.classes).filter_map(|(row, class)| Some((row, (*class)?))).collect();
        if known.is_empty() {
            return Ok(None);
        }
        let (count, outputs) = (known.len(), batch.student.dim(1)?);
        let device = batch.student.device();
        let places = Tensor::from_vec(known.iter().map(|&(row, _)| row).collect::<Vec<u32>>(), count, device)?;
        let classes =
            Tensor::from_vec(known.iter().map(|&(_, class)| class).collect::<Vec<u32>>(), (count, 1), device)?;
        let others: Vec<u32> =
            known.iter().flat_map(|&(_, class)| (0..outputs as u32).filter(move |&other| other != class)).collect();
        let others = Tensor::from_vec(others, (count, outputs - 1), device)?;
        // Of each net: ln p(target), ln p(rest), ln p among the rest.
        let parts = |z: &Tensor| -> Result<[Tensor; 3]> {
            let z = (z.index_select(&places, 0)? / t)?;
            let rest = z.gather(&others, 1)?;
            let whole = z.log_sum_exp(1)?;
            let of_target = (z.gather(&classes, 1)?.squeeze(1)? - &whole)?;
            let of_rest = (rest.log_sum_exp(1)? - whole)?;
            Ok([of_target, of_rest, log_softmax(&rest, 1)?])
        };
        let ([ps, rs, among_s], [pt, rt, among_t]) = (parts(batch.student)?, parts(batch.teacher)?);
        let of_target = ((pt.exp()? * (&pt - ps)?)? + (rt.exp()? * (&rt - rs)?)?)?.mean_all()?;
        let among = kl(&among_t, &among_s)?.mean_all()?;
        let (alpha, beta) = (batch.numbers.value(&ALPHA), batch.numbers.value(&BETA));
        Ok(Some((((of_target * alpha)? + (among * beta)?)? * (t * t))?))
    }

    fn ramp(&self, numbers: &Numbers, epoch: f64) -> f64 {
        let warm_up = numbers.value(&WARM_UP);
        if warm_up > 0.0 { (epoch / warm_up).min(1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLASSES, assert_near, kl, pair, rows, softmax, value};
    use super::*;
    use crate::heads::HeadKind;

    #[test]
    fn loss_equals_its_formula() {
        let (student, teacher) = pair();
        let mut expected = 0.0;
        for ((s, t), class) in rows(&student, 4.0).iter().zip(&rows(&teacher, 4.0)).zip(CLASSES) {
            let class = class.unwrap() as usize;
            let binary = |p: &[f64]| [p[class], 1.0 - p[class]];
            let rest = |z: &[f64]| {
                softmax(&z.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, z)| *z).collect::<Vec<_>>())
            };
            let of_target = kl(&binary(&softmax(t)), &binary(&softmax(s)));
            expected += 16.0 * (of_target + 8.0 * kl(&rest(t), &rest(s))) / 4.0;
        }
        assert_near(value(&Dkd, HeadKind::CLASS, &student, &teacher), expected);
    }

    #[test]
    fn weight_rises_over_the_warm_up() {
        let mut numbers = Numbers::default();
        assert_eq!([0.0, 5.0, 20.0, 40.0].map(|epoch| Dkd.ramp(&numbers, epoch)), [0.0, 0.25, 1.0, 1.0]);
        numbers.set(&WARM_UP, 0.0);
        assert_eq!(Dkd.ramp(&numbers, 0.0), 1.0);
    }
}
