//! Takes out of objects what no one else should read.
//!
//! In: an object of Kubernetes. Out: the same without values of the environment, without what follows a word such as
//! `--token`, without names and passwords in addresses, and without annotations that hold the whole object once more. What
//! something is called stays: it is what helps. Pure: values only.

use serde_json::Value;

const REDACTED: &str = "(redacted)";
/// Words for what is secret, wherever they stand in the name of a flag.
const SECRET: [&str; 9] =
    ["token", "passw", "pwd", "secret", "credential", "auth", "apikey", "api-key", "private"];
/// Annotations that hold the object itself.
const APPLIED: &str = "last-applied-configuration";

/// An object, or a list of them, at whatever depth pods are in it.
pub(super) fn object(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(object),
        Value::Object(fields) => {
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                metadata.remove("managedFields");
                if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                    annotations.retain(|key, _| !key.ends_with(APPLIED));
                }
            }
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("env", Value::Array(variables)) => variables.iter_mut().for_each(variable),
                    ("args" | "command", Value::Array(list)) => words(list),
                    ("httpHeaders", Value::Array(headers)) => headers.iter_mut().for_each(variable),
                    (_, Value::String(text)) => {
                        if let Some(clean) = address(text) {
                            *text = clean;
                        }
                    }
                    (_, value) => object(value),
                }
            }
        }
        _ => {}
    }
}

fn variable(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value").filter(|value| value.as_str() != Some("")) {
        *value = REDACTED.into();
    }
}

/// The words of a command line: `--token=x`, `--token x`, `TOKEN=x`, and scripts that hold any of these.
fn words(words: &mut [Value]) {
    let mut next = false;
    for word in words {
        let Value::String(text) = word else { continue };
        let flag = text.starts_with('-');
        if std::mem::take(&mut next) && !flag {
            REDACTED.clone_into(text);
            continue;
        }
        let secret = is_secret(text.split('=').next().unwrap_or_default());
        next = flag && secret && !text.contains('=');
        if text.contains(char::is_whitespace) && is_secret(text) {
            // A script: what in it is secret cannot be distinguished from the rest.
            REDACTED.clone_into(text);
        } else if let Some((name, _)) = text.split_once('=').filter(|_| secret) {
            *text = format!("{name}={REDACTED}");
        } else if let Some(clean) = address(text) {
            *text = clean;
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET.iter().any(|word| name.contains(word))
}

/// An address without the name and password in it; nothing if there are none.
fn address(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(['/', '?', '#', ' ', '"', '\'', ',']).unwrap_or(after.len());
        let place = &after[..end];
        out.push_str(before);
        out.push_str("://");
        rest = match place.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(REDACTED);
                out.push('@');
                &after[end - host.len()..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_secret_is_nowhere_and_what_helps_stays() {
        let mut pods = json!({"items": [{
            "metadata": {"name": "a", "managedFields": [1], "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{hunter2}", "note": "kept"}},
            "spec": {"template": {"spec": {"containers": [{
                "image": "probelet-agent:1",
                "env": [{"name": "HTTPS_PROXY", "value": "http://me:hunter2@p:1"}, {"name": "EMPTY", "value": ""},
                    {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "command": ["/bin/sh", "-c", "curl -H 'Authorization: hunter2' x"],
                "args": ["--listen=:9466", "--token=hunter2", "--api-key", "hunter2", "--auth-file", "-v",
                    "DB_PASSWORD=hunter2", "--url=http://me:hunter2@h/x", "--log-level", "warn"],
                "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "X-Key", "value": "hunter2"}]}}}]}}},
            "status": {"message": "cannot pull from https://me:hunter2@registry/x: no"},
        }]});

        object(&mut pods);

        let text = pods.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        let container = &pods["items"][0]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["env"][0]["name"], "HTTPS_PROXY");
        assert_eq!(container["env"][1]["value"], "");
        assert_eq!(container["env"][2]["valueFrom"]["secretKeyRef"]["name"], "s");
        assert_eq!(
            container["args"],
            json!([
                "--listen=:9466",
                "--token=(redacted)",
                "--api-key",
                "(redacted)",
                "--auth-file",
                "-v",
                "DB_PASSWORD=(redacted)",
                "--url=http://(redacted)@h/x",
                "--log-level",
                "warn"
            ])
        );
        assert_eq!(pods["items"][0]["metadata"]["annotations"], json!({"note": "kept"}));
        assert_eq!(
            pods["items"][0]["status"]["message"],
            "cannot pull from https://(redacted)@registry/x: no"
        );
    }
}
