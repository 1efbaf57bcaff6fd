//! How the learning rate goes on, and weights that change over the training.

use crate::recipe::{self, Schedule};

/// Returns the learning rate after `done` epochs, a fraction within an epoch included.
pub(super) fn rate(how: &recipe::Net, done: f64) -> f64 {
    if done < how.warm_up {
        // From a little above zero, so that the first step is one.
        return how.rate * ((done + 1e-3) / how.warm_up).min(1.0);
    }
    let share = ((done - how.warm_up) / (how.epochs as f64 - how.warm_up).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    match how.schedule {
        Schedule::Constant => how.rate,
        Schedule::Cosine => how.rate * 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
        Schedule::Steps => {
            let passed = how.steps.iter().filter(|&&step| done >= step as f64).count();
            how.rate * how.step_factor.powi(passed as i32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> recipe::Net {
        let text = format!("arch = 'mlp'\nepochs = 10\nrate = 0.1\n{text}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn rates_warm_up_and_fall_as_they_say() {
        let cosine = net("warm_up = 2.0");
        assert!(rate(&cosine, 0.0) > 0.0 && rate(&cosine, 0.0) < 0.001);
        assert!((rate(&cosine, 1.0) - 0.05).abs() < 1e-4);
        assert!((rate(&cosine, 2.0) - 0.1).abs() < 1e-9);
        assert!((rate(&cosine, 6.0) - 0.05).abs() < 1e-9);
        assert!(rate(&cosine, 10.0) < 1e-9);
        let steps = net("schedule = 'steps'\nsteps = [4, 8]\nstep_factor = 0.1");
        for (done, expected) in [(0.0, 0.1), (3.99, 0.1), (4.0, 0.01), (9.0, 0.001)] {
            assert!((rate(&steps, done) - expected).abs() < 1e-12, "{done}");
        }
        assert_eq!(rate(&net("schedule = 'constant'"), 7.0), 0.1);
    }
}
