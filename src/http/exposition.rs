//! Metrics as data, read out of Prometheus' text form: so both say the same.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Principal;

/// All metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Metrics {
    /// By name.
    pub metrics: Vec<Metric>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub r#type: String,
    /// What it counts.
    pub help: String,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Sample {
    /// The metric's name; a histogram's end in `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// What sets it apart from the metric's other values.
    pub labels: BTreeMap<String, String>,
    /// `null` where it is no number.
    pub value: Option<f64>,
}

/// Leaves out what is said of cameras that do not exist for whoever asks.
pub(super) fn seen_by(principal: &Principal, text: String) -> String {
    if principal.cameras.is_none() {
        return text;
    }
    let shows = |line: &&str| {
        let sample = if line.starts_with('#') { None } else { sample(line) };
        sample.is_none_or(|sample| sample.labels.get("camera").is_none_or(|camera| principal.sees(camera)))
    };
    text.split_inclusive('\n').filter(shows).collect()
}

/// Reads Prometheus' text form as this program writes it.
pub(super) fn read(text: &str) -> Metrics {
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), help) => {
                metrics.push(Metric {
                    name: name.to_owned(),
                    help: help.unwrap_or_default().to_owned(),
                    ..Metric::default()
                });
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                if metrics.last().is_none_or(|metric| metric.name != name) {
                    metrics.push(Metric { name: name.to_owned(), ..Metric::default() });
                }
                if let Some(metric) = metrics.last_mut() {
                    metric.r#type = kind.to_owned();
                }
            }
            _ => {
                if let (Some(metric), Some(sample)) = (metrics.last_mut(), sample(line)) {
                    metric.samples.push(sample);
                }
            }
        }
    }
    Metrics { metrics }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok().filter(|value: &f64| value.is_finite());
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: BTreeMap::new(), value });
    };
    Some(Sample { name: name.to_owned(), labels: labels_of(labels.strip_suffix('}')?), value })
}

/// `a="x",b="y\"z"`.
fn labels_of(mut text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => {}
                },
                plain => value.push(plain),
            }
        }
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        text = &rest[end..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_becomes_data() {
        let text = "# HELP visor_a_total what it is\n# TYPE visor_a_total counter\n\
                    visor_a_total{x=\"1\",y=\"a \\\"b\\\", c\"} 3\nvisor_a_total 4\n\n\
                    # TYPE visor_b_seconds histogram\nvisor_b_seconds_bucket{le=\"+Inf\"} 7\nvisor_b_seconds_sum NaN\n";
        let read = serde_json::to_value(read(text)).unwrap();
        let expected = serde_json::json!({"metrics": [
            {"name": "visor_a_total", "type": "counter", "help": "what it is", "samples": [
                {"name": "visor_a_total", "labels": {"x": "1", "y": "a \"b\", c"}, "value": 3.0},
                {"name": "visor_a_total", "labels": {}, "value": 4.0},
            ]},
            {"name": "visor_b_seconds", "type": "histogram", "help": "", "samples": [
                {"name": "visor_b_seconds_bucket", "labels": {"le": "+Inf"}, "value": 7.0},
                {"name": "visor_b_seconds_sum", "labels": {}, "value": null},
            ]},
        ]});
        assert_eq!(read, expected);
    }

    #[test]
    fn who_sees_some_cameras_is_told_of_these_and_of_no_others() {
        let text = "# HELP visor_camera_up 1 while \n# TYPE visor_camera_up gauge\nvisor_camera_up{camera=\"front\"} 1\n\
                    visor_camera_up{camera=\"hall\"} 1\nvisor_x_total{stage=\"detect\",camera=\"hall\"} 2\n\nvisor_y_total 3\n";
        let front = Principal::parse(None, Some("front,yard")).unwrap();
        let seen = seen_by(&front, text.to_owned());
        assert!(!seen.contains("hall") && seen.lines().count() == 5, "{seen}");
        assert_eq!(seen_by(&Principal::LOCAL, text.to_owned()), text);
    }

    #[test]
    fn nothing_of_the_programs_own_metrics_is_lost() {
        let exporter = crate::metrics::install().unwrap();
        ::metrics::counter!(crate::metrics::HTTP_REQUESTS, "status" => "299").increment(2);
        let text = exporter.render();
        let samples: usize = read(&text).metrics.iter().map(|metric| metric.samples.len()).sum();
        assert_eq!(samples, text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count());
    }
}
