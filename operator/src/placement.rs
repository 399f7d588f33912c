//! Placement: on which nodes an agent is wanted, as the controller of `DaemonSets` decides it.
//!
//! In: the pod template of the agents' `DaemonSet`, and a node's name, labels and taints. Out: whether a pod is wanted
//! there. A node without one is absent: no one waits for it. Without a `DaemonSet` to look at, only what can never run an
//! agent is absent: another system than Linux, Fargate, a virtual kubelet. Pure: values only.

use serde::Deserialize;
use serde_json::Value;

use probelet_core::cluster::objects::VIRTUAL_NODES;
use probelet_core::selector::Labels as _;

use crate::labels::Labels;

/// A node's taint, as far as it decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule` or `NoExecute`; `PreferNoSchedule` keeps no one away.
    #[serde(default)]
    pub effect: String,
}

/// Where agents are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement(Option<Template>);

/// What of a pod template decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Template {
    node_name: String,
    node_selector: std::collections::BTreeMap<String, String>,
    affinity: Affinity,
    tolerations: Vec<Toleration>,
    host_network: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Affinity {
    node_affinity: NodeAffinity,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<Terms>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terms {
    node_selector_terms: Vec<Term>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Term {
    match_expressions: Vec<Requirement>,
    match_fields: Vec<Requirement>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

/// Taints that the controller lets every pod of a `DaemonSet` tolerate: key and effect.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// The same for those on the node's network.
const ON_THE_HOST: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// Labels and taints of nodes on which no agent can ever run.
const FARGATE: &str = "eks.amazonaws.com/compute-type";
const VIRTUAL: &str = "virtual-kubelet.io/provider";

impl Placement {
    /// The placement that the spec of a `DaemonSet` asks for; `None` if it cannot be read.
    #[must_use]
    pub fn of(daemonset: &Value) -> Option<Self> {
        let mut template = daemonset.pointer("/template/spec")?.clone();
        // A null is as good as nothing, which is what serde's defaults are for.
        drop_nulls(&mut template);
        serde_json::from_value(template).ok().map(|template| Self(Some(template)))
    }

    /// Whether a pod of the agents is wanted on a node; `runs` says that an agent has answered there, whom a taint does
    /// not drive away if it only keeps new pods from being put there.
    #[must_use]
    pub fn wants(&self, node: &str, labels: &Labels, taints: &[Taint], runs: bool) -> bool {
        let Some(template) = &self.0 else {
            let is = |key: &str, value: &str| labels.get(key) == Some(value);
            let system = labels.get("kubernetes.io/os").is_none_or(|system| system == "linux");
            let tainted = |taint: &Taint| match taint.key.as_str() {
                VIRTUAL => true,
                FARGATE => taint.value == "fargate",
                _ => false,
            };
            return system
                && !is(FARGATE, "fargate")
                && !VIRTUAL_NODES.into_iter().any(|(key, value)| is(key, value))
                && !taints.iter().any(tainted);
        };
        template.fits(node, labels) && taints.iter().all(|taint| template.tolerates(taint, runs))
    }
}

impl Template {
    fn fits(&self, node: &str, labels: &Labels) -> bool {
        let named = self.node_name.is_empty() || self.node_name == node;
        let mut selected = self.node_selector.iter();
        let selected = selected.all(|(key, value)| labels.get(key) == Some(value.as_str()));
        let terms = self.affinity.node_affinity.required.as_ref();
        named
            && selected
            && terms.is_none_or(|terms| {
                terms.node_selector_terms.iter().any(|term| term.fits(node, labels))
            })
    }

    fn tolerates(&self, taint: &Taint, runs: bool) -> bool {
        let keeps_away = match taint.effect.as_str() {
            "NoExecute" => true,
            "NoSchedule" => !runs,
            _ => false,
        };
        let is = |(key, effect): (&str, &str)| taint.key == key && taint.effect == effect;
        !keeps_away
            || TOLERATED.into_iter().any(is)
            || (self.host_network && is(ON_THE_HOST))
            || self.tolerations.iter().any(|toleration| toleration.covers(taint))
    }
}

impl Term {
    /// All of it must hold; a term that says nothing fits no node.
    fn fits(&self, node: &str, labels: &Labels) -> bool {
        let says = !self.match_expressions.is_empty() || !self.match_fields.is_empty();
        let name = |field: &Requirement| {
            field.key == "metadata.name" && field.holds(Some(node)).unwrap_or(false)
        };
        let label = |wanted: &Requirement| wanted.holds(labels.get(&wanted.key)).unwrap_or(false);
        says && self.match_expressions.iter().all(label) && self.match_fields.iter().all(name)
    }
}

impl Requirement {
    /// `None` for what Kubernetes would refuse.
    fn holds(&self, value: Option<&str>) -> Option<bool> {
        let among = || value.is_some_and(|value| self.values.iter().any(|one| one == value));
        let number = |text: &str| text.parse::<i64>().ok();
        let compared = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|text| number(text))?;
            Some(value.and_then(number).is_some_and(|value| holds(value, bound)))
        };
        match self.operator.as_str() {
            "In" => Some(among()),
            "NotIn" => Some(!among()),
            "Exists" => Some(value.is_some()),
            "DoesNotExist" => Some(value.is_none()),
            "Gt" => compared(|value, bound| value > bound),
            "Lt" => compared(|value, bound| value < bound),
            _ => None,
        }
    }
}

impl Toleration {
    fn covers(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let key = self.key.is_empty() || self.key == taint.key;
        // Without a key only `Exists` says something.
        let value = match self.operator.as_str() {
            "Exists" => true,
            "" | "Equal" => !self.key.is_empty() && self.value == taint.value,
            "Gt" => self.compares(taint, |tainted, bound| tainted > bound),
            "Lt" => self.compares(taint, |tainted, bound| tainted < bound),
            _ => false,
        };
        effect && key && value
    }

    /// A taint whose value is a number is compared with the toleration's (KEP-5471). Where the API server does not know these
    /// operators it refuses the `DaemonSet`, so none is seen.
    fn compares(&self, taint: &Taint, holds: fn(i64, i64) -> bool) -> bool {
        let bound = integer(&self.value);
        !self.key.is_empty()
            && integer(&taint.value)
                .zip(bound)
                .is_some_and(|(tainted, bound)| holds(tainted, bound))
    }
}

/// A number as Kubernetes takes it in taints: no plus sign, no leading zero, no `-0`.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn placement(spec: &Value) -> Placement {
        Placement::of(&json!({"template": {"spec": spec}})).unwrap()
    }

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: value.into(), effect: effect.into() }
    }

    fn wants(placement: &Placement, labels: &[(&str, &str)], taints: &[Taint]) -> bool {
        placement.wants("n1", &Labels::new(labels.iter().copied()), taints, false)
    }

    #[test]
    fn without_a_daemonset_only_what_can_never_run_an_agent_is_absent() {
        let default = Placement::default();
        let linux = ("kubernetes.io/os", "linux");

        assert!(wants(&default, &[], &[]));
        assert!(wants(&default, &[linux], &[taint("dedicated", "db", "NoExecute")]));
        assert!(!wants(&default, &[("kubernetes.io/os", "windows")], &[]));
        assert!(!wants(&default, &[linux, ("eks.amazonaws.com/compute-type", "fargate")], &[]));
        assert!(wants(&default, &[linux, ("eks.amazonaws.com/compute-type", "ec2")], &[]));
        for label in
            [("type", "virtual-kubelet"), ("type", "kwok"), ("liqo.io/type", "virtual-node")]
        {
            assert!(!wants(&default, &[linux, label], &[]), "{label:?}");
        }
        assert!(wants(&default, &[linux, ("type", "worker")], &[]));
        assert!(!wants(
            &default,
            &[linux],
            &[taint("virtual-kubelet.io/provider", "azure", "NoSchedule")]
        ));
    }

    #[test]
    fn every_label_of_the_selector_must_be_there() {
        let placement =
            placement(&json!({"nodeSelector": {"kubernetes.io/os": "linux", "pool": "a"},
            "tolerations": [{"operator": "Exists"}], "affinity": null}));

        assert!(wants(&placement, &[("kubernetes.io/os", "linux"), ("pool", "a")], &[]));
        assert!(!wants(&placement, &[("kubernetes.io/os", "linux"), ("pool", "b")], &[]));
        assert!(!wants(&placement, &[("pool", "a")], &[]));
    }

    #[test]
    fn one_term_of_the_affinity_must_hold_in_all_of_its_parts() {
        let terms = |terms: Value| {
            placement(&json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}}}))
        };
        let odd = terms(json!([
            {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]},
                {"key": "pool", "operator": "NotIn", "values": ["x"]}]},
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}],
                "matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]));

        assert!(wants(&odd, &[("cores", "16")], &[]));
        assert!(!wants(&odd, &[("cores", "16"), ("pool", "x")], &[]));
        assert!(!wants(&odd, &[("cores", "8")], &[]) && !wants(&odd, &[("cores", "many")], &[]));
        assert!(wants(&odd, &[("gpu", "")], &[]));
        assert!(!odd.wants("n2", &Labels::new([("gpu", "")]), &[], false));
        assert!(!wants(&terms(json!([])), &[], &[]), "no term fits no node");
        assert!(!wants(&terms(json!([{}])), &[], &[]), "nor does one that says nothing");
    }

    #[test]
    fn taints_keep_away_who_does_not_tolerate_them() {
        let strict = placement(&json!({"tolerations": [
            {"key": "dedicated", "value": "db", "effect": "NoSchedule"},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}));

        assert!(wants(&strict, &[], &[taint("dedicated", "db", "NoSchedule")]));
        assert!(!wants(&strict, &[], &[taint("dedicated", "web", "NoSchedule")]));
        assert!(!wants(&strict, &[], &[taint("dedicated", "db", "NoExecute")]));
        assert!(wants(&strict, &[], &[taint("dedicated", "web", "PreferNoSchedule")]));
        assert!(wants(
            &strict,
            &[],
            &[taint("node-role.kubernetes.io/control-plane", "", "NoSchedule")]
        ));
        let all = placement(&json!({"tolerations": [{"operator": "Exists"}]}));
        assert!(wants(&all, &[], &[taint("any", "thing", "NoExecute")]));
    }

    #[test]
    fn tolerations_of_numbers_compare_the_value_of_the_taint() {
        let sla = |operator: &str, value: &str| {
            placement(
                &json!({"tolerations": [{"key": "sla", "operator": operator, "value": value}]}),
            )
        };
        let tainted = |value: &str| [taint("sla", value, "NoSchedule")];

        assert!(wants(&sla("Gt", "750"), &[], &tainted("950")));
        assert!(!wants(&sla("Gt", "950"), &[], &tainted("950")));
        assert!(wants(&sla("Lt", "0"), &[], &tainted("-5")));
        assert!(!wants(&sla("Lt", "750"), &[], &tainted("950")));
        for odd in ["", "many", "0950", "+950", "-0", "9223372036854775808"] {
            assert!(!wants(&sla("Gt", "-1"), &[], &tainted(odd)), "{odd}");
            assert!(!wants(&sla("Gt", odd), &[], &tainted("950")), "{odd}");
        }
        assert!(!wants(&sla("Gt", "1"), &[], &[taint("other", "2", "NoSchedule")]));
    }

    #[test]
    fn what_every_daemonset_tolerates_drives_no_one_away() {
        let none = placement(&json!({}));

        for (key, effect) in TOLERATED {
            assert!(wants(&none, &[], &[taint(key, "", effect)]), "{key}");
        }
        let network = [taint(ON_THE_HOST.0, "", ON_THE_HOST.1)];
        assert!(!wants(&none, &[], &network));
        assert!(wants(&placement(&json!({"hostNetwork": true})), &[], &network));
    }

    #[test]
    fn an_agent_that_runs_is_only_driven_away_by_no_execute() {
        let none = placement(&json!({}));
        let runs = |effect| none.wants("n1", &Labels::default(), &[taint("a", "", effect)], true);

        assert!(runs("NoSchedule") && !runs("NoExecute"));
    }
}
