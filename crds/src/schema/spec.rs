//! The bounds and rules of `ProbeConfig.spec`, and the bounds of `NodeProbe.spec`.
//!
//! In: the derived schema. Out: the same with every rule of `probe_config::rules`. What CEL cannot say at a fair price
//! is left to the operator, which says it in the condition Accepted: IPv6 ranges that do not begin at their first
//! address, and a range in two groups. A `NodeProbe` has the bounds alone: the operator wrote it from a config that
//! was judged already, and 15,000 of them are written. Pure: values only.

use serde_json::{Map, Value, json};

use super::{LIST, MAP, RULES, at, cel, set};
use crate::DEFAULT;
use crate::probe_config::bounds::{
    self, CIDR_GROUP_NAME, CIDR_GROUPS, CIDRS, LABEL_KEY, LABEL_VALUE, NODE_NAME, NODE_NAMES, Range,
};

/// An IPv6 address and its prefix are at most 39 and 4 letters long.
const CIDR: usize = 43;

/// Completes the schema of a `ProbeConfig` but for its status.
pub(super) fn complete(root: &mut Value) {
    let unselective = "self.metadata.name != 'NAME' || (self.spec.nodeSelector.matchLabels.size() == 0 \
         && self.spec.nodeSelector.matchExpressions.size() == 0)";
    let refusal = "the configuration named default is for all nodes; give it no selector, and make another one with a \
         higher priority for some nodes";
    let rule = cel::plain(&unselective.replace("NAME", DEFAULT), refusal);
    let unnamed = "self.metadata.name != 'NAME' || self.spec.nodeNames.size() == 0";
    let names = cel::plain(
        &unnamed.replace("NAME", DEFAULT),
        "the configuration named default is for all nodes; name none, and make another one with a higher priority for \
         some nodes",
    );
    let rules = [(rule, "spec.nodeSelector"), (names, "spec.nodeNames")]
        .map(|(rule, field)| cel::in_field(rule, field, "FieldValueForbidden"));
    set(root, "", [(RULES, json!(rules))]);
    let spec = &mut root["properties"]["spec"];
    numbers(spec);
    for (field, range) in bounds::RANGES {
        let rules = match range {
            Range::Number(..) => continue,
            Range::Time(low, high) => cel::time(low, high),
            Range::Cpu(low, high) => cel::cpu(low, high),
        };
        let place = at(spec, field);
        place.remove("pattern"); // its rules say the same with a message
        place.remove("anyOf"); // says no more, and shows a person four lines more for a bare 0.5
        place.insert(RULES.to_owned(), rules);
    }
    for (longer, shorter) in bounds::AT_LEAST_AS_LONG {
        at_least_as_long(spec, longer, shorter);
    }
    node_selector(spec);
    node_names(spec);
    cidr_groups(spec);
}

/// Bounds the spec of a `NodeProbe`.
pub(super) fn bound_node_probe(root: &mut Value) {
    let spec = &mut root["properties"]["spec"];
    set(spec, "hash", [("pattern", "^[0-9a-f]{16}$".into()), ("maxLength", 16.into())]);
    set(spec, "clusterSize", [("minimum", 0.into()), ("maximum", 1_048_576.into())]);
    set(spec, "origin", [(MAP, "atomic".into())]);
    set(spec, "origin.name", [("minLength", 1.into()), ("maxLength", 253.into())]);
    set(spec, "origin.uid", [("maxLength", 64.into())]);
    set(spec, "origin.generation", [("minimum", 0.into())]);
    let config = &mut spec["properties"]["config"];
    // One owner, one entry in the managed fields instead of fifty.
    set(config, "", [(MAP, "atomic".into())]);
    numbers(config);
    bound_cidr_groups(config);
    // An agent of an earlier release must not meet a field that no one wrote.
    without_defaults(config);
}

/// What the operator left out stays out.
fn without_defaults(schema: &mut Value) {
    // Not by index, which would write a null where there are none.
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let Some(properties) = properties else { return };
    for field in properties.values_mut() {
        if let Some(field) = field.as_object_mut() {
            field.remove("default");
        }
        without_defaults(field);
    }
}

fn numbers(spec: &mut Value) {
    for (field, range) in bounds::RANGES {
        // A `NodeProbe` has no priority and no rollout.
        if let (Range::Number(low, high), Some(_)) = (range, super::manual::find(spec, field)) {
            set(spec, field, [("minimum", low.into()), ("maximum", high.into())]);
        }
    }
}

/// The rule goes to the object that holds both fields.
fn at_least_as_long(spec: &mut Value, longer: &str, shorter: &str) {
    let name = format!("spec.{shorter}");
    match (longer.split_once('.'), shorter.split_once('.')) {
        (Some((place, longer)), Some((other, shorter))) if place == other => {
            add(at(spec, place), cel::at_least_as_long(longer, shorter, &name));
        }
        _ => add(at(spec, ""), cel::at_least_as_long(longer, shorter, &name)),
    }
}

fn add(place: &mut Map<String, Value>, rule: Value) {
    match place.entry(RULES).or_insert_with(|| json!([])) {
        Value::Array(rules) => rules.push(rule),
        other => *other = json!([rule]),
    }
}

fn node_selector(spec: &mut Value) {
    let terms = bounds::SELECTOR_TERMS;
    let both = "self.matchLabels.size() + self.matchExpressions.size()";
    let refusal = format!("labels and conditions are too many; give at most {terms} in all");
    let many = cel::plain(&format!("{both} <= {terms}"), &refusal);
    let selector = &mut spec["properties"]["nodeSelector"];
    set(selector, "", [(MAP, "atomic".into()), (RULES, json!([many]))]);
    let refusal = format!("a label's name has 1 to {LABEL_KEY} letters");
    let keys =
        cel::plain(&format!("self.all(key, size(key) > 0 && size(key) <= {LABEL_KEY})"), &refusal);
    set(selector, "matchLabels", [("maxProperties", terms.into()), (RULES, json!([keys]))]);
    set(selector, "matchLabels.{}", [("maxLength", LABEL_VALUE.into())]);
    let items = [("maxItems", Value::from(terms)), (LIST, "atomic".into())];
    set(selector, "matchExpressions", items.clone());
    set(
        selector,
        "matchExpressions.[].key",
        [("minLength", 1.into()), ("maxLength", LABEL_KEY.into())],
    );
    set(selector, "matchExpressions.[].values", items);
    // What the API server adds inside of a list makes it differ from what is in git for ever: such tools compare lists whole.
    at(selector, "matchExpressions.[].values").remove("default");
    set(selector, "matchExpressions.[].values.[]", [("maxLength", LABEL_VALUE.into())]);
    let (values, none) = (
        "has(self.values) && self.values.size() > 0",
        "self.operator in ['Exists', 'DoesNotExist']",
    );
    let needed = cel::plain(&format!("{none} || ({values})"), "[] needs a value for this operator");
    let empty = cel::plain(&format!("!({none}) || !({values})"), "must be empty for this operator");
    let rules = [needed, empty].map(|rule| cel::in_field(rule, "values", "FieldValueInvalid"));
    set(selector, "matchExpressions.[]", [(RULES, json!(rules))]);
}

fn node_names(spec: &mut Value) {
    set(spec, "nodeNames", [("maxItems", NODE_NAMES.into()), (LIST, "atomic".into())]);
    set(spec, "nodeNames.[]", [("minLength", 1.into()), ("maxLength", NODE_NAME.into())]);
}

/// Sizes, which stand in a `NodeProbe` too.
fn bound_cidr_groups(spec: &mut Value) {
    let groups = &mut spec["properties"]["match"]["properties"]["cidrGroups"];
    set(groups, "", [("maxItems", CIDR_GROUPS.into()), (LIST, "atomic".into())]);
    set(groups, "[].name", [("minLength", 1.into()), ("maxLength", CIDR_GROUP_NAME.into())]);
    set(
        groups,
        "[].cidrs",
        [("minItems", 1.into()), ("maxItems", CIDRS.into()), (LIST, "atomic".into())],
    );
    set(groups, "[].cidrs.[]", [("maxLength", CIDR.into())]);
}

fn cidr_groups(spec: &mut Value) {
    bound_cidr_groups(spec);
    let groups = &mut spec["properties"]["match"]["properties"]["cidrGroups"];
    let unique = cel::plain(
        "self.all(a, self.exists_one(b, a.name == b.name))",
        "two groups have the same name; give each its own",
    );
    set(groups, "", [(RULES, json!([unique]))]);
    let name = "self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')";
    let reserved = format!("!(self in {:?})", bounds::RESERVED);
    let rules = json!([
        cel::string(
            name,
            "is not a name; give 1 to 63 lower case letters, digits and inner dashes"
        ),
        cel::string(&reserved, "is a name with a meaning of its own; choose another"),
    ]);
    set(groups, "[].name", [(RULES, rules)]);
    set(groups, "[].cidrs.[]", [(RULES, cidr())]);
}

/// `isCIDR` came with Kubernetes 1.31. An IPv4 range is checked to its last bit without it.
fn cidr() -> Value {
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    let v4 = format!(r"^({octet}[.]){{3}}{octet}/([12]?[0-9]|3[0-2])$");
    let mut v6: Vec<String> =
        (1..=6).map(|left| format!("(H:){{1,{left}}}(:H){{1,{}}}", 7 - left)).collect();
    v6.extend(["(H:){7}H", "(H:){1,7}:", ":(:H){1,7}", "::"].map(str::to_owned));
    let v6 = v6.join("|").replace('H', "[0-9a-fA-F]{1,4}");
    let v6 = format!("^({v6})/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$");
    let is_v4 = format!("self.matches({})", cel::text(&v4));
    let is_v6 = format!("self.matches({})", cel::text(&v6));
    // The address as a number is a whole multiple of how many addresses the range has.
    let bytes = "self.split('/')[0].split('.')";
    let number = (0..4).map(|i| format!("int({bytes}[{i}]) * {}", 1_u64 << (24 - 8 * i)));
    let number = number.collect::<Vec<_>>().join(" + ");
    let sizes: Vec<u64> = (0..=32).map(|prefix| 1 << (32 - prefix)).collect();
    let first = format!("!{is_v4} || ({number}) % {sizes:?}[int(self.split('/')[1])] == 0");
    json!([
        cel::string(
            &format!("{is_v4} || {is_v6}"),
            "is not a range of addresses; write it like 10.0.0.0/8 or fd00::/8",
        ),
        cel::string(
            &first,
            "does not begin at its first address; all bits after the prefix must be 0"
        ),
    ])
}
