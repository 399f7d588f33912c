//! `netpol`: a NetworkPolicy that allows what was observed of a workload.
//!
//! In: the flows of its nodes; pods, Services and groups by which ends are selected. Out: the policy, or why there can be
//! none. It never forbids what was observed: an end that no selector can stand for opens its port to everyone, a port that
//! is not certain opens them all, and a direction in which nothing was observed is not ruled. Comments say so, and what
//! cannot be known: for how long was looked, what was not seen. Pure: values only.

mod labels;
mod select;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

pub use select::Ends;
use select::{Peer, Ports};

use super::edges::{Counted, all_flows};
use super::naming::Names;
use crate::seen::clean;
use crate::seen::report::{Flow, Report};
use crate::show::{self, Page};
use crate::target::Target;

/// A policy.
#[derive(Debug, Serialize)]
pub struct Policy {
    /// The object.
    #[serde(flatten)]
    pub object: Value,
    #[serde(skip)]
    comments: Vec<String>,
    #[serde(skip)]
    name: String,
}

/// Whom a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it is called, `namespace/Kind/name`.
    pub called: String,
    /// What reports call its pods, `namespace/Kind/name` each.
    pub workloads: BTreeSet<String>,
}

/// Why there is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was seen: a policy would cut everything.
    #[error("no connection of {0} was observed, and an empty policy would block everything")]
    Unobserved(String),
    /// There is nothing to select it by.
    #[error("{0} has no visible pods, so there are no labels to select it by")]
    NoPods(String),
    /// Policies pass it by.
    #[error("{0} is on the host network, to which policies do not apply")]
    HostNetwork(String),
    /// Others would be ruled with it.
    #[error("no labels that outlive a release tell the pods of {subject} from those of {others}")]
    Shared {
        /// Whom the policy is for.
        subject: String,
        /// Who has the same labels.
        others: String,
    },
}

impl Refusal {
    /// What to do next.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::Unobserved(_) => {
                "let it run for a while, including nightly jobs and failovers; what is known so far: kubectl probelet map -o wide".to_owned()
            }
            Self::NoPods(_) => "what there is: kubectl get pods -A --show-labels".to_owned(),
            Self::HostNetwork(_) => "rule the other ends of its connections instead".to_owned(),
            Self::Shared { .. } => {
                "give its pods a label of their own, such as app.kubernetes.io/component".to_owned()
            }
        }
    }
}

/// What comes in or goes out: peers, each with its ports. The peers of everyone are empty.
type Rules = BTreeMap<String, (Vec<Value>, Ports)>;

impl Subject {
    /// One workload.
    #[must_use]
    pub fn workload(id: &str) -> Self {
        Self { called: id.to_owned(), workloads: BTreeSet::from([id.to_owned()]) }
    }

    /// Takes the names that agents have for its pods as well: another release may have others.
    pub(crate) fn be_called(&mut self, target: &Target, reports: &[Report]) {
        for report in reports {
            let Some(ids) = target.pods(report) else { continue };
            let pods = report.pods.iter().filter(|pod| ids.contains(&pod.id()));
            self.workloads.extend(pods.map(|pod| pod.workload.clone()));
        }
        self.workloads.remove("");
    }

    fn is(&self, end: Option<&String>) -> bool {
        end.is_some_and(|end| self.workloads.contains(end))
    }

    /// Its flows, as either end's node reports them: of a connection through a Service one of both may know alone who answered.
    fn flows<'a>(
        &'a self,
        reports: &'a [Report],
        names: &'a Names,
    ) -> impl Iterator<Item = Concerned<'a>> {
        all_flows(reports, names).filter_map(|Counted { flow, from, .. }| {
            // Who answers is known better than by the Service that was used.
            let to = names.name(&flow.destination);
            let comes_in = self.is(to.as_ref()) || names.may_be(&flow.destination, &self.workloads);
            let goes_out = self.is(from.as_ref());
            (comes_in || goes_out).then_some(Concerned { flow, from, to, comes_in, goes_out })
        })
    }

    /// What the ends of its flows are called, and itself.
    #[must_use]
    pub fn ends(&self, reports: &[Report], names: &Names) -> BTreeSet<String> {
        let ends = self.flows(reports, names).flat_map(|flow| [flow.from, flow.to]);
        ends.flatten().chain(self.workloads.iter().cloned()).collect()
    }
}

/// A flow of the subject.
struct Concerned<'a> {
    flow: &'a Flow,
    from: Option<String>,
    to: Option<String>,
    comes_in: bool,
    goes_out: bool,
}

/// Whether no connection of a flow was ever made: attempts that failed, of which the port may not even be known.
fn is_attempt(flow: &Flow) -> bool {
    flow.failed > 0 && flow.opened == 0 && flow.current == 0
}

impl Policy {
    /// For a workload and what else goes by its name.
    pub fn of(
        subject: &Subject,
        reports: &[Report],
        names: &Names,
        ends: &Ends,
    ) -> Result<Self, Refusal> {
        let (mut ingress, mut egress) = (Rules::new(), Rules::new());
        let mut open = BTreeSet::new();
        for Concerned { flow, from, to, comes_in, goes_out } in subject.flows(reports, names) {
            if flow.port == 0 && is_attempt(flow) {
                continue;
            }
            let protocol = flow.protocol.to_ascii_uppercase();
            let ports = || ends.ports(&flow.destination, to.as_deref(), flow.port, &protocol);
            if comes_in {
                put(&mut ingress, ends.peer(&flow.source, from.as_deref()), ports(), &mut open);
            }
            if goes_out {
                put(&mut egress, ends.peer(&flow.destination, to.as_deref()), ports(), &mut open);
            }
        }
        if ingress.is_empty() && egress.is_empty() {
            return Err(Refusal::Unobserved(subject.called.clone()));
        }
        let labels = ends.only(subject)?;
        let mut comments = seen(&subject.called, reports);
        if !open.is_empty() {
            comments.push(
                "Open to everyone on its port, because no selector can match the other end:"
                    .to_owned(),
            );
            comments.extend(open.into_iter().map(|line| format!("- {line}")));
        }
        let mut spec = json!({"podSelector": {"matchLabels": labels}, "policyTypes": []});
        for (direction, rules, key, word) in
            [("Ingress", ingress, "ingress", "from"), ("Egress", egress, "egress", "to")]
        {
            if rules.is_empty() {
                comments.push(format!(
                    "{direction} is not ruled: nothing was observed in that direction. Add it to policyTypes to forbid it."
                ));
                continue;
            }
            spec["policyTypes"]
                .as_array_mut()
                .into_iter()
                .for_each(|all| all.push(direction.into()));
            spec[key] = shown(rules, word).into();
        }
        let mut words = subject.called.splitn(3, '/');
        let (namespace, name) = (words.next(), words.nth(1).unwrap_or("workload"));
        let name = format!("{}-observed", &name[..name.floor_char_boundary(200)]);
        let object = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        });
        Ok(Self { object, comments, name })
    }

    /// As YAML that can be applied, with its comments.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.comments {
            // A comment ends with its line, whatever is in a name.
            show::put(&mut text, format_args!("# {}\n", clean::text(line)));
        }
        text + &show::yaml(&self.object)
    }
}

fn put(rules: &mut Rules, peer: Peer, ports: Ports, open: &mut BTreeSet<String>) {
    let peers = match peer {
        Peer::These(peers) => peers,
        Peer::Everyone(why) => {
            open.insert(format!("{ports}: {why}"));
            Vec::new()
        }
    };
    let key = Value::from(peers.clone()).to_string();
    rules.entry(key).or_insert_with(|| (peers, Ports::default())).1.add(ports);
}

fn shown(rules: Rules, word: &str) -> Vec<Value> {
    let rule = |(peers, ports): (Vec<Value>, Ports)| {
        let mut rule = json!({});
        if !peers.is_empty() {
            rule[word] = peers.into();
        }
        if let Some(ports) = ports.values() {
            rule["ports"] = ports.into();
        }
        rule
    };
    rules.into_values().map(rule).collect()
}

/// For how long was looked, and what cannot have been seen.
fn seen(called: &str, reports: &[Report]) -> Vec<String> {
    let since = |report: &Report| report.time - report.agent.started;
    let shortest = reports.iter().map(since).fold(f64::INFINITY, f64::min);
    let age = std::time::Duration::try_from_secs_f64(shortest.max(0.0)).unwrap_or_default();
    let opened: u64 = reports.iter().map(|report| report.coverage.total.opened).sum();
    let least = reports.iter().filter_map(|report| report.coverage.total.ratio).fold(1.0, f64::min);
    let nodes: Vec<&str> = reports.iter().map(|report| report.node.as_str()).collect();
    vec![
        format!("What probelet observed of {called} on {}.", nodes.join(", ")),
        format!(
            "Its agents have looked for {} and saw at least {} of the {} connections that opened on these nodes.",
            show::age(age),
            show::percent(least),
            show::count(opened)
        ),
        "Not seen, and so not allowed unless you add it:".to_owned(),
        "- what did not happen in that time: failovers, nightly jobs, releases; flows that were idle for long are forgotten".to_owned(),
        "- UDP without connect(), which is how most programs ask DNS: add port 53 to kube-dns".to_owned(),
        "- connections that were refused or timed out, and some of those that lived for less than a second".to_owned(),
        "- traffic of pods on the host network: policies do not apply to it".to_owned(),
    ]
}

impl show::Answer for Policy {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        for line in self.text().lines() {
            page.line(line);
        }
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("networkpolicy.networking.k8s.io/{}", self.name)]
    }
}
