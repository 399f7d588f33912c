//! `bench` before an API server on loopback that plays operator and agent: what is written, and that all of it is taken back.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use probelet_fake_api::socket::{kubeconfig, listen, request};
use serde_json::{Value, json};

/// What the cluster is at the moment.
#[derive(Default)]
struct World {
    /// The configuration that was made for the node.
    own: Option<Value>,
    writes: Vec<String>,
    reads: u32,
    /// Readings for which the agent is being started again.
    away: u32,
}

type Shared = Arc<Mutex<World>>;

/// What metrics call a source.
fn word(source: &str) -> &'static str {
    match source {
        "Bpf" => "bpf",
        "Netlink" => "netlink",
        "Procfs" => "procfs",
        _ => "bpf-compat",
    }
}

/// The source that the node is assigned.
fn source_of(world: &World) -> String {
    world.own.as_ref().map_or("Bpf", |own| own["spec"]["source"].as_str().unwrap()).to_owned()
}

/// The agent's metrics, unless it is being started again.
fn metrics(world: &mut World) -> (u16, String) {
    if world.away > 0 {
        world.away -= 1;
        return (503, String::new());
    }
    world.reads += 1;
    let (cpu, source) = (f64::from(world.reads) / 1000.0, word(&source_of(world)));
    let text = format!(
        "process_cpu_seconds_total {cpu}\nprobelet_agent_cpu_budget_cores 0.005\n\
         probelet_agent_source_info{{source=\"{source}\"}} 1\n"
    );
    (200, text)
}

fn answer(world: &Shared, method: &str, path: &str, body: Value) -> (u16, String) {
    let mut world = world.lock().unwrap();
    if method != "GET" && !path.contains("dryRun=All") && !path.ends_with("/token") {
        world.writes.push(format!("{method} {}", path.split('?').next().unwrap()));
    }
    let found = match (method, path) {
        ("POST", path) if path.contains("/token") => json!({"status": {"token": "short-lived"}}),
        ("POST", path) if path.contains("dryRun=All") => body,
        ("POST", _) => {
            world.own = Some(body.clone());
            body
        }
        ("PATCH", _) => {
            let own = world.own.as_mut().unwrap();
            let generation = own["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
            own["metadata"]["generation"] = json!(generation);
            // One that the agent refuses, and the operator takes back before anyone looks.
            if body["spec"]["source"] == "Procfs" {
                own["status"] = json!({"rollout": {"generation": generation, "hash": "x", "phase": "RolledBack"},
                    "failures": [{"node": "n1", "reason": "SourceUnavailable"}]});
                return (200, own.to_string());
            }
            own["spec"]["source"] = body["spec"]["source"].clone();
            let own = own.clone();
            world.away = 2;
            own
        }
        ("DELETE", _) => {
            world.own = None;
            json!({})
        }
        (_, path) if path.contains("/proxy/metrics") => {
            return metrics(&mut world);
        }
        (_, path) if path.contains("/pods?") => json!({"metadata": {}, "items": [{
            "metadata": {"name": "probelet-agent-x", "namespace": "probelet"},
            "spec": {"nodeName": "n1", "serviceAccountName": "probelet-agent",
                "containers": [{"ports": [{"name": "https", "containerPort": 9466}]}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}]}),
        (_, path) if path.contains("/probeconfigs/") => world.own.clone().unwrap_or_default(),
        (_, path) if path.contains("/nodeprobes/") => {
            // One source does not run there.
            let source = source_of(&world);
            let applied = if source == "BpfCompat" { "False" } else { "True" };
            json!({"metadata": {"name": "n1", "generation": 1}, "spec": {"config": {"source": source}},
                "status": {"observedGeneration": 1, "conditions": [{"type": "ConfigApplied", "status": applied,
                    "message": "source BpfCompat cannot be used here"}]}})
        }
        _ => json!({"metadata": {}, "items": []}),
    };
    (if method == "POST" { 201 } else { 200 }, found.to_string())
}

/// Runs it; exit code, output, and the world afterwards.
fn bench(words: &[&str]) -> (Option<i32>, String, Shared) {
    let (folder, mut command, world) = prepared(words);
    let output = command.output().unwrap();
    drop(folder);
    let said = [output.stdout, output.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    (output.status.code(), said, world)
}

/// The program before that API server, not yet run.
fn prepared(words: &[&str]) -> (tempfile::TempDir, Command, Shared) {
    let world = Shared::default();
    let played = Arc::clone(&world);
    let address = listen(move |mut stream| {
        while let Some((lines, body)) = request(&mut stream) {
            let mut words = lines[0].split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let (code, text) =
                answer(&played, method, path, serde_json::from_slice(&body).unwrap_or_default());
            let head = format!(
                "HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                text.len()
            );
            stream.get_mut().write_all((head + &text).as_bytes()).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(&format!("http://{address}"), "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    command.arg("--kubeconfig").arg(file).args(words);
    (folder, command, world)
}

#[test]
fn the_source_in_use_is_measured_without_a_write() {
    let (code, said, world) = bench(&["bench", "n1", "--time", "1s"]);

    assert_eq!(code, Some(0), "{said}");
    let row = said.lines().find(|line| line.starts_with("bpf "));
    assert!(row.is_some_and(|row| row.matches(" %").count() == 3), "{said}");
    assert_eq!(world.lock().unwrap().writes, Vec::<String>::new());
}

#[test]
fn each_source_is_measured_or_refused_though_the_agent_starts_again_and_the_node_is_given_back() {
    let (code, said, world) = bench(&["bench", "n1", "--each", "--time", "1s"]);

    assert_eq!(code, Some(0), "{said}");
    for source in ["bpf ", "netlink"] {
        let row =
            said.lines().find(|line| line.starts_with(source)).unwrap_or_else(|| panic!("{said}"));
        assert!(row.contains(" % "), "{row}");
    }
    let refused = said.lines().find(|line| line.starts_with("bpf-compat")).unwrap();
    assert!(refused.ends_with("source BpfCompat cannot be used here"), "{said}");
    let taken_back = said.lines().find(|line| line.starts_with("procfs")).unwrap();
    assert!(taken_back.ends_with("the agent refuses it: SourceUnavailable"), "{said}");
    let world = world.lock().unwrap();
    assert!(world.own.is_none(), "the configuration is left behind");
    assert!(
        world.writes[0].starts_with("POST")
            && world
                .writes
                .last()
                .unwrap()
                .ends_with("DELETE /apis/probelet.io/v1alpha1/probeconfigs/bench-n1"),
        "{:?}",
        world.writes
    );
}

#[test]
fn an_interruption_gives_the_node_back() {
    let (_folder, mut command, world) = prepared(&["bench", "n1", "--each", "--time", "60s"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // From the second reading on it waits for the time to pass.
    while world.lock().unwrap().reads < 2 {
        assert!(running.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }

    Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let status = running.wait().unwrap();

    assert_eq!(status.code(), Some(1));
    assert!(world.lock().unwrap().own.is_none(), "the configuration is left behind");
}
