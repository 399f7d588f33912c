//! Names as people have them at hand: bare, or with their kind as `kubectl get -o name` writes them.
//!
//! In: a word. Out: the bare name. Whether it can be one is for others to judge. Pure: values only.

/// What a node is called, and what is called as its node is.
pub(crate) const NODE: &[&str] = &[
    "node",
    "nodes",
    "no",
    "nodeprobe",
    "nodeprobes",
    "np",
    "nodeprobe.probelet.io",
    "nodeprobes.probelet.io",
];
/// What a namespace is called.
const NAMESPACE: &[&str] = &["namespace", "namespaces", "ns"];
/// What a `ProbeConfig` is called.
const CONFIG: &[&str] =
    &["probeconfig", "probeconfigs", "pcfg", "probeconfig.probelet.io", "probeconfigs.probelet.io"];

/// The node that is meant.
#[must_use]
pub(crate) fn node(text: &str) -> &str {
    bare(text, NODE)
}

/// The namespace that is meant.
#[must_use]
pub(crate) fn namespace(text: &str) -> &str {
    bare(text, NAMESPACE)
}

/// The `ProbeConfig` that is meant.
#[must_use]
pub(crate) fn config(text: &str) -> &str {
    bare(text, CONFIG)
}

/// What stands behind one of these kinds and a slash; a word with another kind, or with none, as it is.
fn bare<'a>(text: &'a str, kinds: &[&str]) -> &'a str {
    match text.split_once('/') {
        Some((kind, name)) if kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_its_kind_before_it() {
        for text in ["n1", "node/n1", "nodes/n1", "no/n1", "Node/n1", "nodeprobe.probelet.io/n1"] {
            assert_eq!(node(text), "n1", "{text}");
        }
        for text in ["shop", "ns/shop", "namespace/shop", "namespaces/shop"] {
            assert_eq!(namespace(text), "shop", "{text}");
        }
        for text in ["a", "probeconfig/a", "pcfg/a", "ProbeConfig/a", "probeconfig.probelet.io/a"] {
            assert_eq!(config(text), "a", "{text}");
        }
    }

    #[test]
    fn another_kind_stays_where_it_is_seen_to_be_wrong() {
        assert_eq!((node("pod/n1"), node("n1/node/x")), ("pod/n1", "n1/node/x"));
        assert_eq!(namespace("node/shop"), "node/shop");
    }
}
