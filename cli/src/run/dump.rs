//! Runs `dump`: what is asked for when something does not work.
//!
//! Objects, logs, metrics and the status, of a bounded number of agents; reports only if they are asked for, as they name
//! every process and connection of a node. Secrets are never in it, and what looks like one in the environment or the
//! arguments of a pod is taken out. The file is for its owner only and never written over another one. What could not be
//! had is listed.
//!
//! I/O: the API server, agents behind its proxy, one file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Run, redact};
use crate::ask::{Agents, ByteBudget, Error, escape};
use crate::bundle::Bundle;
use crate::seen::pod::Pod;
use crate::show::{self, Answer as _};

/// Of each log so many lines, and bytes.
const LOG: &str = "tailLines=2000&limitBytes=1048576";
const OBJECTS: &str = "/apis/probelet.io/v1alpha1";

/// What was gathered, and what could not be.
struct Gathered {
    bundle: Bundle,
    missing: String,
    files: usize,
}

impl Gathered {
    fn put(&mut self, name: &str, content: Result<Vec<u8>, Error>) -> Result<(), Error> {
        match content {
            Ok(content) => {
                self.files += 1;
                self.bundle.add(name, &content).map_err(|error| packing(&error))
            }
            Err(error) => {
                std::fmt::Write::write_fmt(&mut self.missing, format_args!("{name}: {error}\n"))
                    .expect("writing to memory does not fail");
                Ok(())
            }
        }
    }
}

fn packing(error: &std::io::Error) -> Error {
    Error::File { path: "the bundle".to_owned(), why: error.to_string() }
}

impl Run {
    pub(super) async fn dump(
        &self,
        file: Option<PathBuf>,
        reports: bool,
        most: usize,
    ) -> Result<(), Error> {
        let agents = self.agents().await?;
        let now = self.ask.now();
        let stamp = now.strftime("%Y%m%d-%H%M%S").to_string();
        let folder = format!("probelet-dump-{stamp}");
        let file = file.unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
        let bundle = Bundle::new(folder, now.as_second());
        let mut all = Gathered { bundle, missing: String::new(), files: 0 };
        self.objects(&agents, &mut all).await?;
        let troubled = self.picture(&mut all).await?;
        for component in ["operator", "agent"] {
            let mut pods = agents.pods(component).await.unwrap_or_default();
            pods.sort_by_key(|pod| {
                let troubled = troubled.contains(&pod.spec.node_name);
                (pod.is_ready(), !troubled, pod.metadata.name.clone())
            });
            for pod in pods.iter().take(if component == "agent" { most } else { usize::MAX }) {
                self.ask.progress.say(&format!("reading {}", pod.metadata.name));
                self.pod_files(&agents, component, pod, reports, &mut all).await?;
            }
        }
        let missing = std::mem::take(&mut all.missing);
        if !missing.is_empty() {
            all.put("missing.txt", Ok(missing.into_bytes()))?;
        }
        let files = all.files;
        let bytes = all.bundle.finish().map_err(|error| packing(&error))?;
        write(&file, &bytes).map_err(|error| Error::File {
            path: file.display().to_string(),
            why: error.to_string(),
        })?;
        let size = show::bytes(bytes.len() as u64);
        let what = if reports { "it names processes and connections" } else { "without reports" };
        self.done(&file.display().to_string(), &format!("written: {files} files, {size}; {what}"));
        Ok(())
    }

    async fn objects(&self, agents: &Agents, all: &mut Gathered) -> Result<(), Error> {
        let (namespace, fullname) = (&agents.namespace, &agents.fullname);
        let labels = escape(&agents.selector);
        let apps = format!("/apis/apps/v1/namespaces/{namespace}");
        for (name, path) in [
            ("version.json", "/version".to_owned()),
            ("probeconfigs.json", format!("{OBJECTS}/probeconfigs")),
            ("pods.json", agents.path(&format!("pods?labelSelector={labels}&limit=500"))),
            ("daemonset.json", format!("{apps}/daemonsets/{fullname}-agent")),
            ("deployment.json", format!("{apps}/deployments/{fullname}-operator")),
            (
                "lease.json",
                format!(
                    "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{fullname}-operator"
                ),
            ),
            ("events.json", agents.path("events?limit=500")),
            (
                "events-of-configs.json",
                format!(
                    "/apis/events.k8s.io/v1/namespaces/default/events?limit=500&fieldSelector={}",
                    escape("reportingController=probelet-operator")
                ),
            ),
        ] {
            let object = self.ask.get::<Value>(&path).await.map(|mut object| {
                redact::object(&mut object);
                show::json(&object).into_bytes()
            });
            all.put(name, object)?;
        }
        let each = |mut object: Value| {
            redact::object(&mut object);
            format!("{object}\n")
        };
        let probes = self.ask.pages(&format!("{OBJECTS}/nodeprobes"), None, "nodes", each).await;
        all.put("nodeprobes.jsonl", probes.map(|pages| pages.items.concat().into_bytes()))
    }

    /// The status as a person sees it; the nodes that are in trouble.
    async fn picture(&self, all: &mut Gathered) -> Result<Vec<String>, Error> {
        let status = self.fleet(usize::MAX).await;
        let troubled = status.as_ref().map_or_else(
            |_| Vec::new(),
            |status| status.causes.iter().flat_map(|cause| cause.examples.clone()).collect(),
        );
        all.put("status.txt", status.map(|status| status.page(true).text(false).into_bytes()))?;
        Ok(troubled)
    }

    async fn pod_files(
        &self,
        agents: &Agents,
        component: &str,
        pod: &Pod,
        reports: bool,
        all: &mut Gathered,
    ) -> Result<(), Error> {
        let (name, node) = (&pod.metadata.name, &pod.spec.node_name);
        let log = |more: &str| agents.path(&format!("pods/{name}/log?{LOG}{more}"));
        let text = |text: Result<String, Error>| text.map(String::into_bytes);
        all.put(&format!("logs/{name}.log"), text(self.ask.text(&log("")).await))?;
        if pod.restarts() > 0 {
            let previous = self.ask.text(&log("&previous=true")).await;
            all.put(&format!("logs/{name}.previous.log"), text(previous))?;
        }
        let metrics = if component == "agent" {
            agents
                .served_by(node, pod, "metrics", ByteBudget::new())
                .await
                .and_then(|r| r.text("metrics"))
        } else {
            text(
                self.ask
                    .text(
                        &agents
                            .path(&format!("pods/{}/proxy/metrics", pod.endpoint(("http", 9467)))),
                    )
                    .await,
            )
        };
        all.put(&format!("metrics/{name}.txt"), metrics)?;
        if reports && component == "agent" {
            let report = agents.served_by(node, pod, "v1/report", ByteBudget::new()).await;
            all.put(&format!("reports/{node}.json"), report.and_then(|r| r.text("v1/report")))?;
        }
        Ok(())
    }
}

/// For no one else to read, and in place of no other file: not of one that a link leads to either.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    out.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn the_bundle_is_its_owners_alone_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("precious"), "old").unwrap();
        symlink(path("precious"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();

        write(&path("new"), b"bundle").unwrap();

        let mode = std::fs::metadata(path("new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for name in ["precious", "link", "dangling", "new"] {
            assert!(write(&path(name), b"x").is_err(), "{name}");
        }
        assert_eq!(std::fs::read_to_string(path("precious")).unwrap(), "old");
    }
}
