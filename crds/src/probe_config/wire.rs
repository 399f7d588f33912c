//! How a configuration is called and how it is written, so that programs of several releases agree about it.
//!
//! In: a complete spec. Out: its hash, and the JSON that an operator puts into a `NodeProbe`. Both begin from what the
//! first release had as its defaults: a field that came later counts only where it is not at its default, so that a
//! release with more fields writes the same text under the same name for whatever an earlier one could say. A default
//! that changed since is left out, and each agent fills in its own; its name is another one. Pure: values only.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::ProbeConfigSpec;

/// The defaults of 0.1.0 in the order of its fields, as that release wrote and hashed them. It must never change.
const FIRST: &str = r#"{"priority":0,"nodeSelector":{"matchLabels":{},"matchExpressions":[]},"paused":false,"source":"Auto","intervals":{"sockets":"1s","processes":"1s","containers":"10s","bytes":"10s","report":"1s"},"jitterPercent":10,"budget":{"cpu":"5m","window":"1m","policy":"Degrade"},"limits":{"maxSockets":65536,"maxProcesses":16384,"procfsReadsPerSecond":5000,"fdsPerSecond":20000,"netnsPerSecond":500,"apiWritesPerMinute":6,"reportRequestsPerSecond":20},"shortLived":"Counters","match":{"serviceMatching":"Selectors","peers":"EndpointSlices","cidrGroups":[]},"metrics":{"granularity":"Workload","maxSeries":500,"ttl":"5m"},"reporting":{"mode":"Summary","topN":5,"minInterval":"30s","refreshInterval":"10m"},"rollout":{"maxNodesPerMinute":3000,"canaryPercent":5}}"#;

impl ProbeConfigSpec {
    /// A short name for the content: equal for equal specs, whatever file, order or spelling they came in, and the same
    /// in every release that can say this content.
    #[must_use]
    pub fn hash(&self) -> String {
        // What cannot be written as JSON does not exist among these types.
        let text = serde_json::to_string(&self.composed(true)).unwrap_or_default();
        let fnv1a = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv1a))
    }

    /// What agents of every release can read of it; see the module.
    pub(crate) fn written(&self) -> Value {
        serde_json::to_value(self.composed(false)).unwrap_or_default()
    }

    /// The names of all fields, in their order.
    pub(super) fn fields() -> Vec<String> {
        match Tree::of(&Self::default()) {
            Tree::Map(fields) => fields.into_iter().map(|(name, _)| name).collect(),
            Tree::Leaf(_) | Tree::List(_) => Vec::new(),
        }
    }

    fn composed(&self, fill: bool) -> Tree {
        let first = Tree::parse(FIRST);
        compose(Some(&first), &Tree::of(self), &Tree::of(&Self::default()), fill)
            .unwrap_or(Tree::Map(Vec::new()))
    }
}

/// JSON that keeps the order of its keys.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Leaf(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Leaf(Value::Null))
    }

    fn of(spec: &ProbeConfigSpec) -> Self {
        Self::parse(&serde_json::to_string(spec).unwrap_or_default())
    }

    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, tree)| tree),
            Self::Leaf(_) | Self::List(_) => None,
        }
    }
}

/// What is written of `ours`: what is at our default where the first release had the field, if that had the same default or
/// if everything is to be filled in.
fn compose(first: Option<&Tree>, ours: &Tree, default: &Tree, fill: bool) -> Option<Tree> {
    let (Tree::Map(fields), Tree::Map(known)) = (ours, default) else {
        return leaf(first, ours, default, fill);
    };
    // The keys of an empty default are chosen by people.
    if known.is_empty() {
        return leaf(first, ours, default, fill);
    }
    let mut written = Vec::new();
    let mut add = |key: &str, first: Option<&Tree>| {
        let (Some(ours), Some(default)) = (ours.get(key), default.get(key)) else { return };
        if let Some(tree) = compose(first, ours, default, fill) {
            written.push((key.to_owned(), tree));
        }
    };
    if let Some(Tree::Map(earlier)) = first {
        for (key, tree) in earlier {
            add(key, Some(tree));
        }
    }
    let later = |key: &&String| first.and_then(|first| first.get(key)).is_none();
    fields.iter().map(|(key, _)| key).filter(later).for_each(|key| add(key, None));
    (first.is_some() || !written.is_empty()).then_some(Tree::Map(written))
}

fn leaf(first: Option<&Tree>, ours: &Tree, default: &Tree, fill: bool) -> Option<Tree> {
    if ours != default {
        return Some(ours.clone());
    }
    // By its own name, or who asks for what was the default would be called the same and never be distinguished.
    first.filter(|&first| fill || first == default).map(|_| ours.clone())
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(value) => value.serialize(to),
            Self::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(fields) => {
                let mut map = to.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(key, tree)| map.serialize_entry(key, tree))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::parse(text)
    }

    fn composed(ours: &str, default: &str, fill: bool) -> String {
        let first = tree(r#"{"a":1,"b":{"c":"x","list":[]}}"#);
        let whole = compose(Some(&first), &tree(ours), &tree(default), fill);
        serde_json::to_string(&whole.unwrap()).unwrap()
    }

    #[test]
    fn a_field_that_came_later_counts_only_where_it_is_not_at_its_default() {
        let default = r#"{"new":true,"a":1,"b":{"c":"x","list":[],"d":2},"e":{"f":0}}"#;

        for fill in [true, false] {
            assert_eq!(composed(default, default, fill), r#"{"a":1,"b":{"c":"x","list":[]}}"#);
            let ours =
                r#"{"new":true,"a":1,"b":{"c":"x","list":[{"z":1,"y":2}],"d":3},"e":{"f":4}}"#;
            let written = r#"{"a":1,"b":{"c":"x","list":[{"z":1,"y":2}],"d":3},"e":{"f":4}}"#;
            assert_eq!(composed(ours, default, fill), written);
        }
    }

    #[test]
    fn a_default_that_changed_is_left_to_each_agent_and_hashed_by_a_name_of_its_own() {
        let default = r#"{"a":1,"b":{"c":"y","list":[]}}"#;

        assert_eq!(composed(default, default, true), default);
        assert_eq!(composed(default, default, false), r#"{"a":1,"b":{"list":[]}}"#);
        // Who asks for what was the default is message so.
        let old = r#"{"a":1,"b":{"c":"x","list":[]}}"#;
        assert_eq!(composed(old, default, false), old);
        assert_eq!(composed(old, default, true), old);
    }

    #[test]
    fn the_first_release_is_still_understood() {
        let spec: ProbeConfigSpec = serde_json::from_str(FIRST).unwrap();

        assert_eq!(serde_json::to_string(&spec.composed(true)).unwrap(), FIRST);
    }
}
