//! Our CustomResourceDefinitions, complete: what the types say, and every bound and rule that they cannot say.
//!
//! In: the types. Out: the definitions as `make crds` keeps them in the tree. The bounds are those of the Rust rules,
//! so that the API server refuses what an agent would. Only functions of Kubernetes 1.29 stand in the rules: a server
//! accepts in a definition what the version before its own knew, and we support 1.30. Pure: values only.

mod cel;
mod length;
mod manual;
mod spec;
mod status;
mod tidy;

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

pub use manual::{fields, with_fields};

use crate::{NodeProbe, ProbeConfig};

/// Where rules stand, and how lists and maps are merged.
const RULES: &str = "x-kubernetes-validations";
const LIST: &str = "x-kubernetes-list-type";
const MAP: &str = "x-kubernetes-map-type";

/// The definitions of [`ProbeConfig`] and [`NodeProbe`].
#[must_use]
pub fn definitions() -> [Value; 2] {
    let (mut config, mut node) = (definition::<ProbeConfig>(), definition::<NodeProbe>());
    spec::complete(schema_mut(&mut config));
    status::of_probe_config(schema_mut(&mut config));
    spec::bound_node_probe(schema_mut(&mut node));
    status::of_node_probe(schema_mut(&mut node));
    [config, node]
}

/// The schema in a definition.
#[must_use]
pub fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// The name and the text of the file that holds a definition.
///
/// # Errors
/// What cannot be written as YAML, of which a definition has nothing.
pub fn file(definition: &Value) -> Result<(String, String), serde_saphyr::ser::Error> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let yaml = serde_saphyr::to_string(definition)?;
    Ok((
        format!("{name}.yaml"),
        format!("# Written by `make crds` from the types in crds/src.\n{yaml}"),
    ))
}

fn definition<K: CustomResourceExt>() -> Value {
    // A definition has only strings for keys.
    let mut definition = serde_json::to_value(K::crd()).unwrap_or_default();
    tidy::tidy(schema_mut(&mut definition));
    definition
}

fn schema_mut(definition: &mut Value) -> &mut Value {
    &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// The place below `root` that `path` names: `budget.cpu`; `[]` stands for a list's items, `{}` for a map's values. A
/// path that leads nowhere makes a new place, which the tests of the whole definition see.
fn at<'a>(root: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let place = path.split('.').filter(|step| !step.is_empty()).fold(root, |at, step| match step {
        "[]" => &mut at["items"],
        "{}" => &mut at["additionalProperties"],
        field => &mut at["properties"][field],
    });
    if !place.is_object() {
        *place = json!({});
    }
    match place {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Sets keywords at a place.
fn set<const N: usize>(root: &mut Value, path: &str, keywords: [(&str, Value); N]) {
    at(root, path).extend(keywords.map(|(key, value)| (key.to_owned(), value)));
}
