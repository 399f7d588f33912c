//! Reads the Prometheus text of an agent, an operator or the API server.
//!
//! In: the text. Out: the sum of the series of one name that have some labels. Pure: no I/O.

/// The sum of all series with that name and at least these labels; `None` if there is no such series.
#[must_use]
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = None;
    for line in text.lines().filter(|line| line.starts_with(name)) {
        let rest = &line[name.len()..];
        let (series, value) = match rest.split_at_checked(1) {
            Some((" ", value)) => ("", value),
            Some(("{", rest)) => match rest.rsplit_once("} ") {
                Some(parts) => parts,
                None => continue,
            },
            _ => continue,
        };
        if labels.iter().all(|(label, value)| series.contains(&format!("{label}=\"{value}\"")))
            && let Some(value) = value.split_whitespace().next().and_then(|v| v.parse::<f64>().ok())
        {
            *found.get_or_insert(0.0) += value;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total x\n# TYPE a_total counter\na_total{verb=\"APPLY\",code=\"200\"} 3\n\
        a_total{verb=\"APPLY\",code=\"409\"} 1\na_total{verb=\"GET\",code=\"200\"} 10\na_total_other 7\nb 1.5e3\n";

    #[test]
    fn series_with_these_labels_are_summed() {
        assert_eq!(sum(TEXT, "a_total", &[("verb", "APPLY")]), Some(4.0));
    }

    #[test]
    fn a_series_without_labels_is_read() {
        assert_eq!(sum(TEXT, "b", &[]), Some(1500.0));
    }

    #[test]
    fn a_longer_name_is_another_metric() {
        assert_eq!(sum(TEXT, "a_total", &[]), Some(14.0));
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(sum(TEXT, "a_total", &[("verb", "PATCH")]), None);
    }
}
