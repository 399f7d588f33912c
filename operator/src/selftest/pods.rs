//! Whether an agent gets the pods of its node, from where it should.
//!
//! In: an agent's metrics, whether the chart gave it the operator's feed. Out: a verdict, with what to look at. It must not take
//! for well what the metrics do not say.
//!
//! Pure: no I/O.

use super::Found;

/// What is asked of the agent.
pub(super) const METRICS: &str = "/metrics";
/// An idle watch hears something once a minute; a source that has been silent for longer than this is away.
const SILENT_SECONDS: f64 = 180.0;
/// Where it says what to do.
const PAGE: &str = "docs/user/troubleshooting.md#pods-have-no-names";

/// What the agent called `pod` says of the watch of its pods. `feeds` is that it is to ask the operator.
pub(super) fn judged(pod: &str, feeds: bool, metrics: &str) -> Found {
    let state = chosen(metrics, "probelet_agent_kubernetes_watch_state", Some("pods"), "state");
    let source = chosen(metrics, "probelet_agent_pods_source", None, "source");
    let (Some(state), Some(source)) = (state, source) else {
        return Found::Bad(format!("{pod} does not say in {METRICS} where its pods come from"));
    };
    let from = if source == "feed" { "the operator's feed" } else { "the API server" };
    if feeds && source != "feed" {
        return Found::Bad(format!(
            "{pod} gets the pods of its node from {from}, since the operator's feed does not answer it; see {PAGE}"
        ));
    }
    if state != "watching" {
        let failures = failures(metrics);
        let failures =
            if failures.is_empty() { "none so far".to_owned() } else { failures.join(", ") };
        return Found::Bad(format!(
            "{pod} has no pods of its node from {from}: its watch is {state}, failures: {failures}; see {PAGE}"
        ));
    }
    let age = samples(metrics, "probelet_agent_kubernetes_contact_age_seconds")
        .find(|sample| sample.label("kind") == Some("pods"))
        .map(|sample| sample.value);
    match age {
        Some(age) if age <= SILENT_SECONDS => {
            Found::Good(format!("{pod} has them from {from}, which said something {age:.0} s ago"))
        }
        Some(age) => Found::Bad(format!(
            "{pod} has heard nothing of the pods of its node for {age:.0} s from {from}; see {PAGE}"
        )),
        None => Found::Bad(format!(
            "{pod} has never heard of the pods of its node from {from}; see {PAGE}"
        )),
    }
}

/// What failed, by cause: `connect: 3`.
fn failures(metrics: &str) -> Vec<String> {
    samples(metrics, "probelet_agent_kubernetes_errors_total")
        .filter(|sample| sample.label("kind") == Some("pods"))
        .filter_map(|sample| Some(format!("{}: {}", sample.label("class")?, sample.value)))
        .collect()
}

/// The value of a label whose sample is 1, of one kind of object where there are several.
fn chosen<'t>(metrics: &'t str, name: &str, kind: Option<&str>, label: &str) -> Option<&'t str> {
    let on = |sample: &Sample<'_>| sample.value > 0.5 && sample.label("kind") == kind;
    samples(metrics, name).find(on).and_then(|sample| sample.label(label))
}

/// A line of the text format.
struct Sample<'t> {
    labels: &'t str,
    value: f64,
}

impl<'t> Sample<'t> {
    /// Values of labels that are looked for are words of the agent's own, without quotes or commas.
    fn label(&self, name: &str) -> Option<&'t str> {
        let mut pairs = self.labels.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
    }
}

fn samples<'t>(metrics: &'t str, name: &str) -> impl Iterator<Item = Sample<'t>> {
    metrics.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some(Sample { labels, value: value.trim().parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// As an agent writes it.
    fn metrics(source: &str, state: &str, age: Option<f64>, failed: u32) -> String {
        let mut text = String::from("# TYPE probelet_agent_kubernetes_watch_state gauge\n");
        if failed > 0 {
            writeln!(
                text,
                "probelet_agent_kubernetes_errors_total{{class=\"connect\",kind=\"pods\"}} {failed}"
            )
            .unwrap();
            text +=
                "probelet_agent_kubernetes_errors_total{class=\"server\",kind=\"services\"} 9\n";
        }
        if let Some(age) = age {
            writeln!(text, "probelet_agent_kubernetes_contact_age_seconds{{kind=\"pods\",source=\"{source}\"}} {age}").unwrap();
        }
        text += "probelet_agent_kubernetes_watch_state{kind=\"services\",state=\"watching\"} 1\n";
        for one in ["off", "connecting", "listing", "watching", "backing_off", "forbidden"] {
            let on = i32::from(one == state);
            writeln!(
                text,
                "probelet_agent_kubernetes_watch_state{{kind=\"pods\",state=\"{one}\"}} {on}"
            )
            .unwrap();
        }
        for one in ["api", "feed"] {
            let on = i32::from(one == source);
            writeln!(text, "probelet_agent_pods_source{{source=\"{one}\"}} {on}").unwrap();
        }
        text
    }

    fn bad(found: Found) -> String {
        let Found::Bad(text) = found else { panic!("{found:?}") };
        text
    }

    #[test]
    fn an_agent_that_watches_its_pods_where_it_should_is_well() {
        for (feeds, source) in [(true, "feed"), (false, "api")] {
            let found = judged("a", feeds, &metrics(source, "watching", Some(12.25), 3));

            let Found::Good(text) = found else { panic!("{found:?}") };
            assert!(text.contains("12 s ago"), "{text}");
        }
    }

    #[test]
    fn an_agent_whose_feed_does_not_answer_fails_with_the_cause_and_where_to_look() {
        for state in ["off", "connecting", "listing", "backing_off", "forbidden"] {
            let text = bad(judged("a", true, &metrics("feed", state, Some(1.0), 3)));

            for part in [state, "connect: 3", "operator's feed", "pods-have-no-names"] {
                assert!(text.contains(part), "{text}");
            }
            assert!(!text.contains("server: 9"), "of another kind: {text}");
        }
    }

    #[test]
    fn an_agent_that_asks_the_api_server_in_the_feeds_place_fails() {
        let text = bad(judged("a", true, &metrics("api", "watching", Some(1.0), 0)));

        assert!(text.contains("the operator's feed does not answer"), "{text}");
    }

    #[test]
    fn a_feed_that_fell_silent_fails_although_the_watch_is_open() {
        let text = bad(judged("a", true, &metrics("feed", "watching", Some(181.0), 0)));
        assert!(text.contains("181 s"), "{text}");

        let text = bad(judged("a", true, &metrics("feed", "watching", None, 0)));
        assert!(text.contains("never"), "{text}");
    }

    #[test]
    fn metrics_that_do_not_say_it_are_no_good_sign() {
        for text in
            ["", "probelet_agent_pods_source{source=\"feed\"} 1\n", "probelet_agent_pods_source{"]
        {
            assert!(bad(judged("a", true, text)).contains("does not say"));
        }
    }
}
