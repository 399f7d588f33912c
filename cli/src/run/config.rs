//! Runs `config effective`, `config diff` and `config dry-run`.
//!
//! I/O: the API server, the files that were named.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use probelet_crds::{GROUP, NodeConfig, PROBE_CONFIG, ProbeConfigSpec};
use serde_json::Value;
use tokio::{join, try_join};

use super::{Run, checked};
use crate::answer::diff::Diff;
use crate::answer::dry_run::DryRun;
use crate::answer::effective::Effective;
use crate::ask::{Error, probe_path};
use crate::seen::config::Config;
use crate::seen::probe::Probe;
use crate::seen::{Node, clean};

/// A file of configurations is not longer.
const MAX_FILE: usize = 4 << 20;

impl Run {
    pub(super) async fn effective(&self, node: &str, changed: bool) -> Result<(), Error> {
        let (probe, object) = (probe_path(checked(node)?), format!("/api/v1/nodes/{node}"));
        let (stored, configs, labels) = join!(
            self.ask.get::<Value>(&probe),
            self.ask.configs(),
            self.ask.find::<Node>(&object)
        );
        let stored = stored?;
        let probe: Probe = serde_json::from_value(stored.clone())
            .map_err(|error| Error::Unreadable { path: probe, why: error.to_string() })?;
        // Who may not read nodes is given everything but who else would match.
        let labels = labels.ok().flatten();
        self.show(&Effective::of(&stored, &probe, labels.as_ref(), &configs?, changed))
    }

    pub(super) async fn diff(
        &self,
        name: &str,
        other: Option<&str>,
        file: Option<&Path>,
    ) -> Result<(), Error> {
        let config = self.ask.config(checked(name)?).await?;
        let now = (format!("{name}, generation {}", config.metadata.generation), spec(&config)?);
        let (from, to) = match (other, file) {
            (Some(other), _) => {
                let other_config = self.ask.config(checked(other)?).await?;
                (now, (other.to_owned(), spec(&other_config)?))
            }
            (None, Some(path)) => {
                let all = read(path)?;
                let named = all.iter().find(|config| config.metadata.name == name);
                let wanted = named.ok_or_else(|| Error::Usage {
                    what: format!("{} has no ProbeConfig named {name}", path.display()),
                    next: "name the one that the file has".to_owned(),
                })?;
                (now, (path.display().to_string(), spec(wanted)?))
            }
            (None, None) => {
                let previous = previous(&config)?;
                (("before the newest change".to_owned(), before(&now.1, previous)), now)
            }
        };
        self.show(&Diff::of((from.0, &from.1), (to.0, &to.1)))
    }

    pub(super) async fn dry_run(&self, file: &Path) -> Result<ExitCode, Error> {
        let wanted = read(file)?;
        let (live, nodes, probes) =
            try_join!(self.ask.configs(), self.ask.nodes(), self.ask.probes(false))?;
        let answer = DryRun::of(&wanted, &live, &nodes, &probes.items);
        self.show(&answer)?;
        Ok(ExitCode::from(u8::from(!answer.refused.is_empty())))
    }
}

/// The spec with its defaults, or what is wrong with it.
pub(super) fn spec(config: &Config) -> Result<ProbeConfigSpec, Error> {
    config.valid().map(|valid| valid.spec).map_err(|errors| Error::Usage {
        what: format!("{} is not valid: {}", config.metadata.name, errors.join("; ")),
        next: format!("kubectl edit probeconfig {}", config.metadata.name),
    })
}

/// The content before the newest change, as the operator keeps it.
pub(super) fn previous(config: &Config) -> Result<NodeConfig, Error> {
    let name = &config.metadata.name;
    let kept = config.status().rollout.and_then(|rollout| rollout.previous);
    kept.and_then(|kept| serde_json::from_value(kept).ok()).ok_or_else(|| Error::Absent {
        what: format!("the operator knows no content of {name} from before its newest change"),
        next: "it keeps one from the first change that it rolls out itself; otherwise use your own version control".to_owned(),
    })
}

/// A whole spec of the content before: who it is for and how it is rolled out is as now.
pub(super) fn before(now: &ProbeConfigSpec, previous: NodeConfig) -> ProbeConfigSpec {
    let ProbeConfigSpec { priority, node_selector, node_names, rollout, .. } = now.clone();
    ProbeConfigSpec { priority, node_selector, node_names, rollout, ..previous.into() }
}

/// All `ProbeConfigs` of a file, or of standard input.
fn read(path: &Path) -> Result<Vec<Config>, Error> {
    let failed = |why: String| Error::File { path: path.display().to_string(), why };
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| failed(error.to_string()))?;
    if text.len() > MAX_FILE {
        return Err(failed(format!("it is longer than {MAX_FILE} bytes")));
    }
    // Editors of Windows begin a file with a mark.
    let objects: Vec<Value> = serde_saphyr::from_multiple(text.trim_start_matches('\u{feff}'))
        .map_err(|error| failed(error.to_string()))?;
    let (mut configs, mut others) = (Vec::new(), BTreeSet::new());
    for object in objects.into_iter().flat_map(items) {
        let version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        // A file for `kubectl apply` has whatever belongs together: what is not ours is not judged.
        if object["kind"] != PROBE_CONFIG || group != GROUP {
            others.insert(object["kind"].as_str().unwrap_or("object without a kind").to_owned());
            continue;
        }
        if version != probelet_crds::API_VERSION {
            let known = probelet_crds::API_VERSION;
            return Err(failed(format!("apiVersion is {version}; this command knows {known}")));
        }
        let config: Config = clean::value(object).map_err(|error| failed(error.to_string()))?;
        checked(&config.metadata.name)?;
        configs.push(config);
    }
    if configs.is_empty() {
        let instead = match others.into_iter().collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => String::new(),
            others => format!(", only: {others}"),
        };
        return Err(failed(format!("it has no {PROBE_CONFIG} of {GROUP}{instead}")));
    }
    Ok(configs)
}

/// The objects of a `List`, or the object.
fn items(object: Value) -> Vec<Value> {
    match object {
        Value::Null => Vec::new(),
        Value::Object(mut list)
            if list.get("kind").and_then(Value::as_str).is_some_and(is_list) =>
        {
            match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            }
        }
        object => vec![object],
    }
}

/// `List`, as kubectl writes it, or `ProbeConfigList`, as the API server does.
fn is_list(kind: &str) -> bool {
    kind == "List" || kind == format!("{PROBE_CONFIG}List")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: probelet.io/v1alpha1\nkind: ProbeConfig\nmetadata: {name: ";

    fn names(text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.yaml");
        std::fs::write(&path, text).unwrap();
        let read = read(&path).map_err(|error| error.to_string())?;
        Ok(read.into_iter().map(|config| config.metadata.name).collect())
    }

    #[test]
    fn a_file_may_hold_several_documents() {
        let text = format!("{HEAD}a}}\nspec: {{priority: 1}}\n---\n{HEAD}b}}\n");

        assert_eq!(names(&text).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_else_is_in_the_file_is_passed_over() {
        let text = format!(
            "---\n# a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: x}}\n---\n{HEAD}a}}\n---\n\
             apiVersion: other.io/v1\nkind: ProbeConfig\nmetadata: {{name: theirs}}\n"
        );

        assert_eq!(names(&text).unwrap(), ["a"]);
    }

    #[test]
    fn a_file_without_any_configuration_says_what_it_has() {
        let error = names("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n").unwrap_err();

        assert!(error.ends_with("it has no ProbeConfig of probelet.io, only: Pod"), "{error}");
    }

    #[test]
    fn lists_are_read_no_matter_who_wrote_them() {
        for kind in ["List", "ProbeConfigList"] {
            let text = format!(
                "apiVersion: v1\nkind: {kind}\nitems:\n- {{apiVersion: probelet.io/v1alpha1, kind: ProbeConfig, metadata: {{name: a}}}}\n"
            );

            assert_eq!(names(&text).unwrap(), ["a"]);
        }
    }

    #[test]
    fn files_of_windows_and_files_with_anchors_are_read() {
        let crlf = format!("\u{feff}{HEAD}a}}\nspec: &s {{priority: 1}}\n---\n{HEAD}b}}\n")
            .replace('\n', "\r\n");
        assert_eq!(names(&crlf).unwrap(), ["a", "b"]);

        let anchors = format!(
            "{HEAD}a}}\nspec:\n  intervals: &i {{sockets: 2s}}\n  x: *i\n  y:\n    <<: *i\n"
        );
        assert_eq!(names(&anchors).unwrap(), ["a"]);

        let twice = format!("{HEAD}a}}\nspec:\n  priority: 1\n  priority: 2\n");
        assert!(names(&twice).unwrap_err().contains("priority"), "{:?}", names(&twice));
    }
}
