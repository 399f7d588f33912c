//! What the API server has served, by its own count.
//!
//! In: its metrics as text. Out: how many requests of each verb and resource, and the size of etcd's file. It must not
//! guess who asked: which resource is written shows that, because every part of a `NodeProbe` has one writer.
//! Pure: no I/O.

use std::collections::BTreeMap;

/// Verbs that change something, as `apiserver_request_total` spells them.
const WRITES: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];

/// Requests so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// By (verb, resource, subresource, answered 2xx).
    counts: BTreeMap<(String, String, String, bool), u64>,
    /// Of etcd's file.
    pub storage_bytes: u64,
}

impl Requests {
    /// Reads the server's `/metrics`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut requests = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("apiserver_request_total{") {
                requests.count(&format!(",{rest}"));
            } else if line.starts_with("apiserver_storage_size_bytes{")
                && let Some(bytes) = value(line)
            {
                requests.storage_bytes = requests.storage_bytes.max(bytes);
            }
        }
        requests
    }

    fn count(&mut self, line: &str) {
        let Some(count) = value(line) else { return };
        let label = |name: &str| {
            let at = line.find(&format!(",{name}=\""))? + name.len() + 3;
            line[at..].split('"').next()
        };
        let Some(verb) = label("verb") else { return };
        let word = |name: &str| label(name).unwrap_or_default().to_owned();
        let good = label("code").is_some_and(|code| code.starts_with('2'));
        let key = (verb.to_owned(), word("resource"), word("subresource"), good);
        *self.counts.entry(key).or_default() += count;
    }

    /// What was served since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let counts = self.counts.iter().map(|(key, count)| {
            (key.clone(), count.saturating_sub(before.counts.get(key).copied().unwrap_or(0)))
        });
        Self { counts: counts.collect(), storage_bytes: self.storage_bytes }
    }

    /// Writes of a resource; the subresource is empty for the object itself. Refused ones count: they cost as well.
    #[must_use]
    pub fn writes(&self, resource: &str, subresource: &str) -> u64 {
        self.sum(|(verb, r, s, _)| WRITES.contains(&&**verb) && r == resource && s == subresource)
    }

    /// Those of them that were not answered with 2xx: refused, or cut off.
    #[must_use]
    pub fn refused(&self, resource: &str, subresource: &str) -> u64 {
        self.sum(|(verb, r, s, good)| {
            WRITES.contains(&&**verb) && r == resource && s == subresource && !good
        })
    }

    /// What the operator alone writes: specs, the statuses of configurations, events.
    #[must_use]
    pub fn of_operator(&self) -> u64 {
        self.writes("nodeprobes", "")
            + self.writes("probeconfigs", "status")
            + self.writes("events", "")
    }

    /// What agents alone write.
    #[must_use]
    pub fn of_agents(&self) -> u64 {
        self.writes("nodeprobes", "status")
    }

    /// Leases; one renewal in ten seconds is the API server's own.
    #[must_use]
    pub fn of_leases(&self) -> u64 {
        self.writes("leases", "")
    }

    fn sum(&self, wanted: impl Fn(&(String, String, String, bool)) -> bool) -> u64 {
        self.counts.iter().filter(|(key, _)| wanted(key)).map(|(_, count)| count).sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter, which the server may print as 1.2e+06"
)]
fn value(line: &str) -> Option<u64> {
    line.rsplit(' ').next()?.parse::<f64>().ok().map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP apiserver_request_total [STABLE] Counter of apiserver requests
apiserver_request_total{code="200",component="apiserver",dry_run="",group="probelet.io",resource="nodeprobes",scope="resource",subresource="status",verb="APPLY",version="v1alpha1"} 41
apiserver_request_total{code="429",component="apiserver",dry_run="",group="probelet.io",resource="nodeprobes",scope="resource",subresource="status",verb="APPLY",version="v1alpha1"} 2
apiserver_request_total{code="201",component="apiserver",dry_run="",group="probelet.io",resource="nodeprobes",scope="resource",subresource="",verb="POST",version="v1alpha1"} 1.2e+06
apiserver_request_total{code="200",component="apiserver",dry_run="",group="probelet.io",resource="nodeprobes",scope="cluster",subresource="",verb="LIST",version="v1alpha1"} 3
apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 2.3625728e+07
"#;

    #[test]
    fn writes_are_distinguished_from_reads_and_the_object_from_its_status() {
        let requests = Requests::parse(TEXT);

        assert_eq!((requests.of_agents(), requests.of_operator()), (43, 1_200_000));
        assert_eq!(
            (requests.refused("nodeprobes", "status"), requests.storage_bytes),
            (2, 23_625_728)
        );
    }

    #[test]
    fn only_what_came_since_is_counted() {
        let before = Requests::parse(TEXT);
        let after = Requests::parse(&TEXT.replace("} 41", "} 50"));

        assert_eq!((after.since(&before).of_agents(), after.since(&before).of_operator()), (9, 0));
    }
}
