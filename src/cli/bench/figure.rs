//! What was measured, and how it is shown.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

/// What a figure should be; a bound that is 0 or infinite is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Aim {
    /// Shown for itself.
    None,
    /// Bounds of the value.
    Value(RangeInclusive<f64>),
    /// Bounds of the ratio.
    Ratio(RangeInclusive<f64>),
}

/// One line of the result.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// The bare stage in the same unit, where there is one.
    pub(super) baseline: Option<f64>,
    pub(super) aim: Aim,
    /// What value and baseline are, for people.
    pub(super) what: String,
}

impl Figure {
    pub(super) fn ratio(&self) -> Option<f64> {
        self.baseline.map(|baseline| self.value / baseline)
    }

    /// `None` where there is nothing to judge by.
    fn reached(&self) -> Option<bool> {
        match &self.aim {
            Aim::None => None,
            Aim::Value(bounds) => Some(bounds.contains(&self.value)),
            Aim::Ratio(bounds) => self.ratio().map(|ratio| bounds.contains(&ratio)),
        }
    }

    fn aim(&self) -> String {
        let (bounds, unit) = match &self.aim {
            Aim::None => return String::new(),
            Aim::Value(bounds) => (bounds, self.unit),
            Aim::Ratio(bounds) => (bounds, "x"),
        };
        let (sign, bound) = if bounds.end().is_finite() { ("<=", bounds.end()) } else { (">=", bounds.start()) };
        let missed = if self.reached() == Some(false) { ", missed" } else { "" };
        format!("{sign} {bound} {unit}{missed}")
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Figure", 4)?;
        object.serialize_field("value", &rounded(self.value))?;
        object.serialize_field("unit", self.unit)?;
        object.serialize_field("baseline", &self.baseline.map(rounded))?;
        object.serialize_field("ratio", &self.ratio().map(rounded))?;
        object.end()
    }
}

/// Four digits are more than a measurement on a shared machine is worth.
fn rounded(value: f64) -> f64 {
    let digits = 3 - value.abs().max(1e-9).log10().floor() as i32;
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// All figures, a line each.
pub(super) fn table(figures: &[Figure]) -> String {
    let heads = ["NAME", "VALUE", "BARE", "RATIO", "AIM", ""].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(figures.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn cells(figure: &Figure) -> [String; 6] {
    let number = |value: f64| format!("{} {}", rounded(value), figure.unit);
    [
        figure.name.to_owned(),
        number(figure.value),
        figure.baseline.map_or_else(String::new, number),
        figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        figure.aim(),
        figure.what.clone(),
    ]
}

/// The one in the middle; 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of them lies; 0 of none.
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
}

/// Measures how long something takes.
pub(super) enum Watch {
    /// The thread's own processor time: what others do to the machine meanwhile does not count.
    Thread(Duration),
    /// Real time.
    Wall(Instant),
}

impl Watch {
    pub(super) fn of_this_thread() -> Self {
        Self::Thread(thread_time())
    }

    pub(super) fn of_the_wall() -> Self {
        Self::Wall(Instant::now())
    }

    /// Milliseconds since it was started.
    pub(super) fn millis(&self) -> f64 {
        millis(match self {
            Self::Thread(begin) => thread_time().saturating_sub(*begin),
            Self::Wall(begin) => begin.elapsed(),
        })
    }
}

/// The calling thread's own processor time.
pub(super) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// In milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, baseline: Option<f64>, aim: Aim) -> Figure {
        Figure { name: "stage", value, unit: "ms", baseline, aim, what: String::new() }
    }

    #[test]
    fn an_aim_is_judged_by_what_it_bounds() {
        let judge = |value, baseline, aim| figure(value, baseline, aim).reached();
        assert_eq!(judge(0.7, None, Aim::Value(0.0..=0.7)), Some(true));
        assert_eq!(judge(0.8, None, Aim::Value(0.0..=0.7)), Some(false));
        assert_eq!(judge(11.0, Some(10.0), Aim::Ratio(0.0..=1.05)), Some(false));
        assert_eq!(judge(95.0, Some(100.0), Aim::Ratio(0.9..=f64::INFINITY)), Some(true));
        assert_eq!(judge(95.0, None, Aim::Ratio(0.9..=f64::INFINITY)), None);
        assert_eq!(figure(0.8, None, Aim::Value(0.0..=0.7)).aim(), "<= 0.7 ms, missed");
    }

    #[test]
    fn as_json_a_figure_has_four_fields() {
        let text = serde_json::to_string(&figure(10.500_04, Some(10.0), Aim::None)).unwrap();
        assert_eq!(text, r#"{"value":10.5,"unit":"ms","baseline":10.0,"ratio":1.05}"#);
        let text = serde_json::to_string(&figure(0.123_46, None, Aim::None)).unwrap();
        assert_eq!(text, r#"{"value":0.1235,"unit":"ms","baseline":null,"ratio":null}"#);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut values = [4.0, 1.0, 3.0, 2.0, 5.0];
        assert_eq!((median(&mut values), quantile(&mut values, 0.99)), (3.0, 5.0));
        assert_eq!(median(&mut []), 0.0);
    }
}
