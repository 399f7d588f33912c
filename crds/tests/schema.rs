//! The schemas, judged as the API server judges them: structure first, then the rules.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "offline/server.rs"]
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use probelet_crds::{NodeProbeStatus, ProbeConfigSpec, schema};
use serde_json::{Value, json};
use server::Server;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An example as it lies in the tree: its object, and which field is refused with which words.
struct Example {
    name: String,
    object: Value,
    field: String,
    says: String,
}

fn examples(folder: &str) -> Vec<Example> {
    let mut files: Vec<_> = fs::read_dir(here("tests/examples").join(folder))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let line =
            |key| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
        Example {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            object: serde_saphyr::from_str(&text).unwrap(),
            field: line("# field:").to_owned(),
            says: line("# says:").to_owned(),
        }
    };
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(read)
        .collect()
}

/// Shows every place of a schema with its path.
fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(inner, &format!("{path}.{name}"), see);
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[inner].is_object() {
            walk(&schema[inner], &format!("{path}{mark}"), see);
        }
    }
}

#[test]
fn the_files_are_what_the_types_give() {
    let definitions = schema::definitions();
    for definition in &definitions {
        let (name, yaml) = schema::file(definition).unwrap();
        for folder in [".", "../charts/probelet/files/crds"] {
            let kept = fs::read_to_string(here(folder).join(&name)).unwrap_or_default();
            assert!(kept == yaml, "{folder}/{name} is old: run `make crds`");
        }
        assert!(yaml.len() < 262_144, "kubectl apply keeps a copy in an annotation");
    }
    let page = fs::read_to_string(here("../docs/user/configure.md")).unwrap();
    let table = schema::fields(schema::schema(&definitions[0]));
    assert!(schema::with_fields(&page, &table) == Some(page), "the table is old: run `make crds`");
}

#[test]
fn what_the_schemas_accept_is_accepted() {
    let server = Server::new();
    for example in examples("accepted") {
        assert_eq!(server.refuses(&example.object), Vec::new(), "{}", example.name);
    }
}

#[test]
fn what_the_schemas_refuse_is_refused_with_a_message_at_its_field() {
    let server = Server::new();
    for example in examples("refused") {
        let reported = server.refuses(&example.object);
        let [(field, message)] = reported.as_slice() else {
            panic!("{}: {reported:?}", example.name)
        };
        assert_eq!(field, &example.field, "{}", example.name);
        assert!(
            message.is_empty() || example.says.ends_with(message.as_str()),
            "{}: {message}",
            example.name
        );
    }
}

/// A `ProbeConfig` with this value at a path that begins with `spec`.
fn with(path: &str, value: Value) -> Value {
    let inner = path.rsplit('.').fold(value, |inner, field| json!({ field: inner }));
    json!({"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig", "metadata": {"name": "x"}, "spec": inner["spec"]})
}

/// What the server and the Rust rules say of it; of the server only what concerns the field.
fn opinions(server: &Server, path: &str, value: Value) -> (Vec<String>, Vec<String>) {
    let object = with(path, value);
    let reported = server.refuses(&object).into_iter().filter(|(field, _)| field == path);
    let ours = ProbeConfigSpec::from_value(&object["spec"]).err().unwrap_or_default();
    let ours = ours.iter().filter(|error| error.field == path).map(ToString::to_string);
    (reported.map(|(_, message)| message).collect(), ours.collect())
}

#[test]
fn beyond_its_bounds_each_number_and_each_time_is_refused_by_the_schema_and_by_the_rules() {
    let (server, [config, _]) = (Server::new(), schema::definitions());
    let page = schema::fields(schema::schema(&config));
    let mut seen = 0;
    for row in page.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some((low, high)) = cells[3].split_once(" to ") else { continue };
        let path = format!("spec.{}", cells[1].trim_matches('`'));
        let (below, above) = match (low.parse::<i64>(), high.parse::<i64>()) {
            (Ok(low), Ok(high)) => {
                for good in [low, high] {
                    let none = (Vec::new(), Vec::new());
                    assert_eq!(opinions(&server, &path, good.into()), none, "{path}: {good}");
                }
                (json!(low - 1), json!(high + 1))
            }
            // A budget of 1m is a thousandth of a core, any other 1m a minute.
            _ if path == "spec.budget.cpu" => (json!("0.5m"), json!("9")),
            _ => (json!("1ms"), json!("25h")),
        };
        for (value, says) in [
            (below, format!("is too small; give at least {low}")),
            (above, format!("is too large; give at most {high}")),
        ] {
            let (reported, ours) = opinions(&server, &path, value.clone());
            // A window of 1ms is too short for the sockets' interval as well.
            let fits = |message: &&String| message.is_empty() || message.ends_with(&says);
            assert_eq!(reported.iter().filter(fits).count(), 1, "{path}: {value}: {reported:?}");
            assert!(ours.contains(&format!("{path}: {value} {says}")), "{path}: {value}: {ours:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 23);
}

#[test]
fn the_examples_of_the_manual_are_accepted() {
    let page = fs::read_to_string(here("../docs/user/configure.md")).unwrap();
    let server = Server::new();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let objects: Vec<Value> = blocks.map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect();
    assert!(objects.len() >= 2);
    for object in objects {
        assert_eq!(server.refuses(&object), Vec::new());
        assert!(ProbeConfigSpec::from_value(&object["spec"]).is_ok());
    }
}

#[test]
fn every_reason_fits_and_is_in_the_manual() {
    let page = |name| fs::read_to_string(here("../docs/user").join(name)).unwrap();
    let pages = ["configure.md", "troubleshooting.md"].map(|name| (name, page(name)));
    let source = fs::read_to_string(here("src/condition/reasons.rs")).unwrap();
    let reasons: Vec<&str> = source
        .lines()
        .filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";"))
        .collect();
    assert!(reasons.len() > 40);
    for reason in reasons {
        assert!(reason.len() <= 24, "{reason}");
        for (name, page) in &pages {
            assert!(page.contains(&format!("`{reason}`")), "{reason} is not in docs/user/{name}");
        }
    }
}

#[test]
fn the_schema_and_the_rust_rules_have_the_same_opinion() {
    // The rule on the name is about the object, not its spec. A file may have a bare fraction, the API may not.
    let only_in_the_schema = [
        "default-with-labels",
        "default-with-expressions",
        "default-with-names",
        "cpu-fraction-without-quotes",
    ];
    for (folder, good) in [("accepted", true), ("refused", false)] {
        for example in examples(folder) {
            let judged = ProbeConfigSpec::from_value(&example.object["spec"]);
            let expected = good || only_in_the_schema.contains(&example.name.as_str());
            assert_eq!(judged.is_ok(), expected, "{}: {judged:?}", example.name);
            let Err(errors) = judged else { continue };
            assert_eq!(errors.len(), 1, "{}: {errors:?}", example.name);
            // What CEL says in its own words, and what the server says of the structure.
            let own =
                ["no-range", "range-with", "group-name-twice", "selector-", "number-fraction"];
            let native = ["in body", "Too long", "Too many", "Unsupported"];
            if own.iter().any(|own| example.name.starts_with(own))
                || native.iter().any(|native| example.says.contains(native))
            {
                continue;
            }
            let ours = errors[0].to_string();
            let (_, message) = ours.split_once(": ").unwrap();
            assert!(example.says.ends_with(message), "{ours}; the schema: {}", example.says);
        }
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_types() {
    let server = Server::new();
    let full =
        server.stored(&json!({"kind": "ProbeConfig", "spec": {"intervals": {}, "budget": null}}));
    assert_eq!(full["spec"], serde_json::to_value(ProbeConfigSpec::default()).unwrap());
}

#[test]
fn everything_is_bounded_and_described_in_whole_messages() {
    for definition in schema::definitions() {
        let mut seen = 0;
        walk(schema::schema(&definition), "", &mut |path, place| {
            seen += 1;
            let has = |key: &str| !place[key].is_null();
            match place["type"].as_str() {
                Some("string") => assert!(has("maxLength") || has("enum"), "{path}"),
                Some("array") => {
                    assert!(has("maxItems") && has("x-kubernetes-list-type"), "{path}");
                }
                Some("object") if has("additionalProperties") => {
                    assert!(has("maxProperties"), "{path}");
                }
                _ => {}
            }
            assert!(!has("nullable") && !has("title"), "{path}");
            let format = place["format"].as_str().unwrap_or("int32");
            assert!(["int32", "int64", "date-time"].contains(&format), "{path}: {format}");
            if !path.ends_with("[]") && !path.ends_with("{}") {
                let text = place["description"].as_str().unwrap_or_default();
                assert!(text.ends_with('.') && !text.contains(['\n', '`']), "{path}: {text}");
            }
        });
        assert!(seen > 60);
    }
}

#[test]
fn each_description_names_the_default_and_the_range() {
    let [config, _] = schema::definitions();
    walk(&schema::schema(&config)["properties"]["spec"], "spec", &mut |path, place| {
        let text = place["description"].as_str().unwrap_or_default();
        let is_leaf =
            place["properties"].is_null() && !path.contains("[]") && !path.ends_with("{}");
        if is_leaf && path != "spec" {
            assert!(text.contains("efault"), "{path}: {text}");
        }
        if let Value::String(default) = &place["default"] {
            assert!(text.contains(default.as_str()), "{path}: {default}: {text}");
        }
        if let (Some(low), Some(high)) = (place["minimum"].as_i64(), place["maximum"].as_i64()) {
            assert!(text.contains(&format!("From {low} to {high}")), "{path}: {text}");
        }
    });
    let page = schema::fields(schema::schema(&config));
    for line in page.lines() {
        let range = line.split('|').nth(3).unwrap().trim();
        if !range.contains(" to ") {
            continue;
        }
        assert!(line.contains(&format!("From {range}")), "{line}");
    }
}

#[test]
fn the_api_server_adds_nothing_inside_of_lists_nor_to_what_the_operator_writes() {
    let [config, node] = schema::definitions();
    walk(schema::schema(&config), "", &mut |path, place| {
        assert!(!path.contains("[]") || place["default"].is_null(), "{path}");
    });
    let reported = &schema::schema(&node)["properties"]["spec"]["properties"]["config"];
    walk(reported, "config", &mut |path, place| assert!(place["default"].is_null(), "{path}"));
}

#[test]
fn a_definition_has_the_names_that_people_type() {
    let [config, node] = schema::definitions();
    assert_eq!(config["spec"]["names"]["shortNames"], json!(["pcfg"]));
    assert_eq!(node["spec"]["names"]["shortNames"], json!(["np"]));
    for definition in [config, node] {
        assert_eq!(definition["spec"]["names"]["categories"], json!(["probelet"]));
        assert_eq!(definition["spec"]["versions"][0]["subresources"]["status"], json!({}));
    }
}

#[test]
fn statuses_of_the_examples_are_judged_alike() {
    let server = Server::new();
    for (folder, good) in [("status/accepted", true), ("status/refused", false)] {
        for example in examples(folder) {
            let reported = server.refuses(&example.object);
            assert_eq!(reported.is_empty(), good, "{}: {reported:?}", example.name);
            assert!(good || reported[0].0 == example.field, "{}: {reported:?}", example.name);
            let status: NodeProbeStatus =
                serde_json::from_value(example.object["status"].clone()).unwrap();
            assert_eq!(status.clone().fit() == status, good, "{}", example.name);
        }
    }
}
