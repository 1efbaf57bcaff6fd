//! A day of the year, so that summer lies as near to spring as to autumn: set as the number of days since the first of
//! January, read from cells like `2026-11-25`, `11-25`, or that number.

use anyhow::{Context, Result, ensure};

use super::{EncoderKind, Kind, Value};

pub(super) struct Date;

/// Days of each month; a leap year's last day of February is that of any other.
const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Kind for Date {
    fn name(&self) -> &'static str {
        "date"
    }

    fn value(&self) -> Value {
        Value::Number
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::Periodic, EncoderKind::None]
    }

    fn unit(&self) -> &'static str {
        "d"
    }

    fn period(&self) -> Option<f32> {
        Some(365.0)
    }

    fn read(&self, text: &str) -> Result<f32> {
        let parts: Vec<&str> = text.split('-').collect();
        let (month, day) = match parts.as_slice() {
            [month, day] | [_, month, day] => (*month, *day),
            _ => {
                let days = text.parse::<f32>().ok().filter(|days| (0.0..366.0).contains(days));
                return days.with_context(|| {
                    format!("holds {text:?}, which is no date like 2026-11-25, and no day of a year")
                });
            }
        };
        let number = |part: &str| {
            part.parse::<u32>().with_context(|| format!("holds {text:?}, which is no date like 2026-11-25"))
        };
        let (month, day) = (number(month)?, number(day)?);
        ensure!((1..=12).contains(&month), "holds {text:?}, but there is no month {month}");
        let before = &DAYS[..month as usize - 1];
        let longest = DAYS[month as usize - 1] + u32::from(month == 2);
        ensure!((1..=longest).contains(&day), "holds {text:?}, but that month has no day {day}");
        Ok((before.iter().sum::<u32>() + day.min(DAYS[month as usize - 1]) - 1) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_the_first_of_january() {
        for (text, day) in
            [("2026-01-01", 0.0), ("03-01", 59.0), ("2024-02-29", 58.0), ("1999-12-31", 364.0), ("12", 12.0)]
        {
            assert_eq!(Date.read(text).unwrap(), day, "{text}");
        }
        for text in ["2026-13-01", "02-30", "04-31", "summer", "400", "1-2-3-4", "2026-00-10", "2026-05-00"] {
            assert!(Date.read(text).is_err(), "{text}");
        }
    }
}
