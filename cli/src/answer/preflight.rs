//! `preflight`: what a cluster means for probelet before it is installed, with the values to set.
//!
//! In: what could be read of the cluster. Out: findings, groups of alike nodes, values for the chart. It must not say that all
//! is well where it could not look. Pure: values only.

mod admission;
mod limits;
mod network;
mod nodes;
mod ports;
mod rules;

use serde::Serialize;
use serde_json::{Map, Value, json};

use self::nodes::{Alike, Nodes, Platform};
use super::finding::{Finding, Mark, lines};
use crate::seen::cluster::Cluster;
use crate::show::{self, Align, Cell, Column, Page, Table};

/// The oldest Kubernetes that the chart is for (charts/probelet/Chart.yaml).
const OLDEST: (u32, u32) = (1, 30);
/// Groups of nodes that a page shows.
const GROUPS: usize = 12;
/// Nodes that the operator's default memory limit is for, and how many MiB that is (docs/user/sizes.md).
const SIZE: (usize, usize) = (10_000, 256);

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    server: String,
    namespace: String,
    fits: bool,
    findings: Vec<Finding>,
    nodes: Vec<Alike>,
    /// What could not be read, and why.
    unseen: Vec<String>,
    platform: Option<&'static str>,
    values: Value,
    #[serde(skip)]
    page: Option<&'static str>,
}

impl Preflight {
    /// From what could be read.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut findings = vec![version(cluster)];
        findings.extend(present(cluster));
        let nodes = cluster.machines.as_deref().map(Nodes::of).ok();
        let mut asked = Vec::new();
        let platform = nodes.as_ref().and_then(|nodes| nodes.platforms.first().copied());
        if let Some(platform) = platform {
            let (name, _, text) = platform.about();
            findings.push(Finding::new(
                Mark::Ok,
                "platform",
                format!("{name}: values that the chart is tested with are below"),
            ));
            asked.push(serde_saphyr::from_str(text).unwrap_or_default());
        }
        let wanted = nodes.as_ref().map_or(0, |nodes| nodes.wanted);
        asked.extend(sizes(wanted));
        findings.extend(rules::space(cluster));
        findings.extend(rules::quotas(cluster, wanted, &mut asked));
        findings.extend(admission::admission(cluster));
        findings.extend(network::network(cluster));
        findings.extend(ports::ports(cluster, &mut asked));
        findings.extend(metrics(cluster, &mut asked));
        if nodes.as_ref().is_some_and(|nodes| nodes.old > 0) {
            // Whatever the platform's page says: these nodes would see next to nothing.
            asked.push(json!({"agent": {"capabilities": {"fallback": true}}}));
        }
        let mut values = Value::Object(Map::new());
        for value in asked {
            merge(&mut values, value);
        }
        let (alike, of_nodes) =
            nodes.map_or_else(Default::default, |nodes| (nodes.alike, nodes.findings));
        findings.splice(1..1, of_nodes);
        let unseen = unseen(cluster);
        let fits = findings.iter().all(|finding| finding.mark != Mark::Bad);
        Self {
            server: cluster.server.clone(),
            namespace: cluster.namespace.clone(),
            fits,
            findings,
            nodes: alike,
            unseen,
            platform: platform.map(|platform| platform.about().0),
            values,
            page: platform.map(|platform: Platform| platform.about().1),
        }
    }

    /// Nothing is in the way, and all of it was looked at.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.fits && self.unseen.is_empty()
    }

    /// The values alone, as a file for Helm.
    #[must_use]
    pub fn values(&self) -> String {
        if self.values.as_object().is_some_and(Map::is_empty) {
            "{}\n".to_owned()
        } else {
            show::yaml(&self.values)
        }
    }
}

fn version(cluster: &Cluster) -> Finding {
    let text = format!("{}.{}", cluster.version.major, cluster.version.minor);
    match cluster.version.numbers() {
        None => Finding::new(
            Mark::Note,
            "kubernetes",
            format!("version {text} is not known; the chart needs 1.30 or newer"),
        ),
        Some(version) if version < OLDEST => Finding::new(
            Mark::Bad,
            "kubernetes",
            format!("{text} is too old: the chart needs 1.30 or newer"),
        )
        .next("admission policies are stable since 1.30, and tokens of pods name their node"),
        Some(_) => {
            Finding::new(Mark::Ok, "kubernetes", format!("{text}; the chart needs 1.30 or newer"))
        }
    }
}

/// What is there of probelet already.
fn present(cluster: &Cluster) -> Option<Finding> {
    if cluster.operated == Ok(true) {
        return Some(
            Finding::new(
                Mark::Note,
                "probelet",
                "it is in this cluster already, and only one installation works in a cluster",
            )
            .next("to see it: kubectl probelet status; to upgrade it: docs/user/upgrade.md"),
        );
    }
    let groups = cluster.groups.as_deref().unwrap_or_default();
    groups.iter().any(|group| group.name == probelet_crds::GROUP).then(|| {
        Finding::new(Mark::Note, "probelet", "its definitions are there, of an installation that is gone or not yet complete: its ProbeConfigs are in force again once an operator runs")
    })
}

/// What the number of nodes asks for.
fn sizes(nodes: usize) -> Option<Value> {
    let (size, memory) = SIZE;
    match nodes {
        1 => Some(json!({"operator": {"replicas": 1, "pdb": {"enabled": false}}})),
        nodes if nodes > size => {
            let limit = format!("{}Mi", nodes.div_ceil(size) * memory);
            Some(json!({"operator": {"resources": {"limits": {"memory": limit}}}}))
        }
        _ => None,
    }
}

/// Who would read metrics, alerts and dashboards.
fn metrics(cluster: &Cluster, asked: &mut Vec<Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Ok(kinds) = &cluster.monitors {
        let has = |kind: &str| kinds.iter().any(|one| one == kind);
        if has("ServiceMonitor") {
            asked.push(json!({"metrics": {"serviceMonitor": {"enabled": true}}}));
        }
        if has("PrometheusRule") {
            asked.push(json!({"metrics": {"prometheusRule": {"enabled": true}}}));
        }
        found.extend(scraped(has("ServiceMonitor"), has("PrometheusRule"), asked));
    }
    let Ok(groups) = &cluster.groups else { return found };
    if groups.iter().any(|group| group.name == "grafana.integreatly.org") {
        asked.push(json!({"dashboards": {"grafanaOperator": {"enabled": true}}}));
        found.push(Finding::new(Mark::Ok, "dashboards", "grafana-operator is there: dashboards are in the values below; check dashboards.grafanaOperator.instanceSelector"));
    }
    found
}

/// Who scrapes what. No PodMonitor is proposed: agents want a token, which a PodMonitor takes from a Secret that someone has to
/// renew, and the chart refuses one without.
fn scraped(monitors: bool, rules: bool, asked: &mut Vec<Value>) -> Vec<Finding> {
    let (mark, text) = match (monitors, rules) {
        (true, true) => (
            Mark::Ok,
            "prometheus-operator is there: the operator's monitor and alerts are in the values below; check metrics.serviceMonitor.labels and metrics.prometheusRule.labels",
        ),
        (true, false) => (
            Mark::Ok,
            "the cluster knows ServiceMonitor and no PrometheusRule: the operator's monitor is in the values below; check metrics.serviceMonitor.labels",
        ),
        (false, true) => (
            Mark::Ok,
            "the cluster knows PrometheusRule and no ServiceMonitor: alerts are in the values below; scrape the operator by a job of your own",
        ),
        (false, false) => {
            let finding = Finding::new(
                Mark::Note,
                "metrics",
                "no prometheus-operator: scrape agents by a job of your own",
            );
            return vec![finding.next("docs/user/install.md#metrics")];
        }
    };
    // So that Prometheus has an authority to verify agents by.
    asked.push(json!({"agent": {"tls": {"mode": "operator"}}}));
    let alarm = if rules { "; until they are, ProbeletAgentsMissing fires" } else { "" };
    let agents = format!(
        "agents are scraped with a token of Prometheus' own account, by a job of your own{alarm}"
    );
    vec![
        Finding::new(mark, "metrics", text),
        Finding::new(Mark::Note, "metrics", agents).next("docs/user/install.md#metrics"),
    ]
}

/// Each part that was refused, in the words of the refusal.
fn unseen(cluster: &Cluster) -> Vec<String> {
    let parts: [(&str, Option<&String>); 11] = [
        ("nodes", cluster.machines.as_ref().err()),
        ("kinds of the API", cluster.groups.as_ref().err()),
        ("kinds of prometheus-operator", cluster.monitors.as_ref().err()),
        ("the namespace", cluster.space.as_ref().err()),
        ("quotas", cluster.quotas.as_ref().err()),
        ("limits", cluster.ranges.as_ref().err()),
        ("validating webhooks", cluster.validating.as_ref().err()),
        ("mutating webhooks", cluster.mutating.as_ref().err()),
        ("admission policies", cluster.policies.as_ref().err()),
        ("DaemonSets", cluster.daemons.as_ref().err()),
        ("another installation", cluster.operated.as_ref().err()),
    ];
    parts.into_iter().filter_map(|(what, why)| Some(format!("{what}: {}", why?))).collect()
}

/// Lays one set of values over another, as Helm does.
fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over,
    }
}

impl show::Answer for Preflight {
    fn page(&self, wide: bool) -> Page {
        let mut page = Page::default();
        let verdict = match (self.fits, self.unseen.is_empty()) {
            (false, _) => Cell::bad("something is in the way"),
            (true, false) => Cell::warn("nothing is in the way, as far as could be seen"),
            (true, true) => Cell::good("nothing is in the way"),
        };
        page.cells(vec![
            Cell::bold(format!("probelet in {}, namespace {}: ", self.server, self.namespace)),
            verdict,
        ]);
        for unseen in &self.unseen {
            page.cells(vec![Cell::warn("NOT SEEN "), unseen.as_str().into()]);
        }
        page.gap();
        lines(&mut page, &self.findings);
        self.table(&mut page, wide);
        page.gap();
        self.commands(&mut page);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("namespace/{}", self.namespace)]
    }
}

impl Preflight {
    fn table(&self, page: &mut Page, wide: bool) {
        let mut table = Table::new(&[
            Column("NODES", Align::Right),
            Column("ARCH", Align::Left),
            Column("SYSTEM", Align::Left),
            Column("KERNEL", Align::Left),
            Column("RUNTIME", Align::Left),
            Column("KUBELET", Align::Left),
            Column("SOURCE", Align::Left),
        ]);
        let shown = if wide { self.nodes.len() } else { GROUPS };
        for group in self.nodes.iter().take(shown) {
            let source = group.source.map_or_else(|| Cell::dim("none"), Cell::from);
            table.row(vec![
                group.nodes.to_string().into(),
                group.architecture.as_str().into(),
                group.os.as_str().into(),
                group.kernel.as_str().into(),
                group.runtime.as_str().into(),
                group.kubelet.as_str().into(),
                source,
            ]);
        }
        if !table.is_empty() {
            page.gap();
        }
        page.table(table);
        if let Some(more) = self.nodes.len().checked_sub(shown).filter(|more| *more > 0) {
            page.line(Cell::dim(format!("{more} more kinds of nodes (-o wide shows them)")));
        }
    }

    fn commands(&self, page: &mut Page) {
        let install = |file: &str| {
            format!(
                "helm install probelet charts/probelet --namespace {} --set image.registry=REGISTRY{file} --wait",
                self.namespace
            )
        };
        if self.values.as_object().is_some_and(Map::is_empty) {
            page.line("No value needs to be set but where the images are:");
            page.line(format!("  {}", install("")));
            return;
        }
        page.line(Cell::bold(
            "Values, as values.yaml (kubectl probelet preflight --values >values.yaml):",
        ));
        for line in self.values().lines() {
            page.line(format!("  {line}"));
        }
        if let Some(name) = self.page {
            page.line(format!("Why, and what is lost there: docs/user/platforms/{name}.md"));
        }
        // Kind's values name a place: images that were loaded.
        let named = self.values.pointer("/image/registry").is_some();
        let command = install(" -f values.yaml");
        page.line(format!(
            "  {}",
            if named { command.replace(" --set image.registry=REGISTRY", "") } else { command }
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_laid_over_each_other_as_helm_does_it() {
        let mut values = json!({"agent": {"port": 1, "tolerations": [1, 2]}});

        merge(&mut values, json!({"agent": {"tolerations": [3], "auth": null}, "x": 1}));

        assert_eq!(values, json!({"agent": {"port": 1, "tolerations": [3], "auth": null}, "x": 1}));
    }
}
