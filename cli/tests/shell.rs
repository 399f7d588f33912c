//! The real program in shells as people have them: a list of kubeconfigs of which one is missing, a reader that has gone, an API
//! server on loopback.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use probelet_fake_api::socket::{kubeconfig, listen, request, serve};
use serde_json::json;

/// The program with a kubeconfig of a server that has one `ProbeConfig`, whose rollout does not end.
fn program(folder: &Path) -> Command {
    let status = json!({"observedGeneration": 1, "rollout": {"phase": "Rolling", "updated": 1, "total": 9},
        "nodes": {"matched": 9, "effective": 9, "applied": 1, "pending": 8}});
    let one =
        json!({"metadata": {"name": "far-away", "generation": 1}, "spec": {}, "status": status});
    let server = serve(move |_, _, _| (200, json!({"metadata": {}, "items": [one]})));
    let file = folder.join("there");
    std::fs::write(&file, kubeconfig(&format!("http://{server}"), "")).unwrap();
    let list = std::env::join_paths([folder.join("missing"), file]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    command.env("KUBECONFIG", list).args(["--timeout", "5s", "rollout", "status"]);
    command
}

#[test]
fn a_kubeconfig_of_the_list_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();

    let output = program(folder.path()).output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("far-away"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// An API server that has one `ProbeConfig`, and what the first line and headers of each question were.
fn listener() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::default();
    let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&heads);
    let address = listen(move |mut stream| {
        while let Some((head, _)) = request(&mut stream) {
            kept.lock().unwrap().extend(head);
            let body =
                json!({"metadata": {}, "items": [{"metadata": {"name": "far-away"}, "spec": {}}]})
                    .to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
        }
    });
    (address, heads)
}

/// The program with no kubeconfig to be found.
fn lost(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    command.env_remove("KUBECONFIG").env("HOME", folder).args(["rollout", "status"]).args(words);
    let output = command.output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn flags_of_kubectl_say_who_asks_and_whom_without_a_kubeconfig_too() {
    let folder = tempfile::tempdir().unwrap();
    let (address, heads) = listener();
    let server = format!("http://{address}");

    let words = [
        "-s",
        &server,
        "--token",
        "abc",
        "--as",
        "jane",
        "--as-group",
        "a",
        "--as-group",
        "b",
        "--request-timeout",
        "5s",
    ];
    let text = lost(folder.path(), &words);

    assert!(text.contains("far-away"), "{text}");
    let heads = heads.lock().unwrap().join("\n").to_lowercase();
    for header in [
        "authorization: bearer abc",
        "impersonate-user: jane",
        "impersonate-group: a",
        "impersonate-group: b",
    ] {
        assert!(heads.contains(header), "{header}: {heads}");
    }
}

#[test]
fn a_cluster_and_a_user_of_the_kubeconfig_can_be_chosen_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (address, heads) = listener();
    let file = folder.path().join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        clusters: [{{name: near, cluster: {{server: 'http://127.0.0.1:1'}}}}, {{name: far, cluster: {{server: 'http://{address}'}}}}]\n\
        users: [{{name: u, user: {{token: one}}}}, {{name: v, user: {{token: two}}}}]\n\
        contexts: [{{name: c, context: {{cluster: near, user: u}}}}]\n"
    );
    std::fs::write(&file, text).unwrap();

    let file = file.to_str().unwrap();
    let text = lost(folder.path(), &["--kubeconfig", file, "--cluster", "far", "--user", "v"]);

    assert!(text.contains("far-away"), "{text}");
    assert!(heads.lock().unwrap().join("\n").to_lowercase().contains("authorization: bearer two"));
}

#[test]
fn a_busy_api_server_is_asked_again_after_the_time_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Mutex::new(0);
    let address = listen(move |mut stream| {
        while request(&mut stream).is_some() {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            let (status, body) = match *asked {
                1 => (
                    "429 Too Many Requests\r\nRetry-After: 1",
                    json!({"kind": "Status", "message": "later"}),
                ),
                _ => (
                    "200 OK",
                    json!({"metadata": {}, "items": [{"metadata": {"name": "far-away"}, "spec": {}}]}),
                ),
            };
            let body = body.to_string();
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let server = format!("http://{address}");

    let began = Instant::now();
    let text = lost(folder.path(), &["--server", &server, "--timeout", "10s"]);

    assert!(text.contains("far-away"), "{text}");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let address = listen(move |mut stream| {
        while request(&mut stream).is_some() {
            let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 5\r\n\r\nlater";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let text = lost(folder.path(), &["--server", &format!("http://{address}"), "--timeout", "5s"]);
    assert!(
        text.contains("429: later") && text.contains("try again"),
        "no wait beyond the own time: {text}"
    );
}

#[test]
fn kubectl_gets_what_may_follow() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    let output = command.args(["__complete", "rollout", "un"]).output().unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("undo\t") && text.ends_with("\n:4\n"), "{text}");
}

#[test]
fn what_goes_on_until_it_is_stopped_ends_when_its_reader_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path()).arg("--watch").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());

    let until = Instant::now() + Duration::from_secs(30);
    let mut ended = None;
    while ended.is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        ended = child.try_wait().unwrap();
    }
    child.kill().ok();
    child.wait().unwrap();

    assert!(ended.is_some(), "it goes on although no one reads");
}

#[test]
fn an_answer_that_cannot_be_written_whole_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));

    let output = command.arg("runbook").stdout(full).output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output: No space left"), "{said}");
}

#[test]
fn help_and_version_are_words_as_well_as_flags() {
    let said = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };

    assert_eq!(said(&["version"]), said(&["--version"]));
    assert_eq!(said(&["help"]), said(&["--help"]));
    assert_eq!(said(&["help", "config", "diff"]), said(&["config", "diff", "--help"]));
}

#[test]
fn a_moment_without_an_answer_does_not_end_what_waits_for_a_rollout() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Mutex::new(0);
    let address = serve(move |_, _, _| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let phase = match *asked {
            2 | 3 => return (503, json!({"kind": "Status", "message": "etcd is away"})),
            1 => "Rolling",
            _ => "Complete",
        };
        let status = json!({"observedGeneration": 1, "rollout": {"generation": 1, "hash": "x", "phase": phase},
            "nodes": {"matched": 9, "effective": 9, "applied": 9, "pending": 0}});
        let one = json!({"metadata": {"name": "far-away", "generation": 1}, "spec": {}, "status": status});
        (200, json!({"metadata": {}, "items": [one]}))
    });

    let text = lost(folder.path(), &["--server", &format!("http://{address}"), "--watch"]);

    assert!(text.contains("Complete"), "{text}");
    assert_eq!(text.matches("etcd is away; trying again").count(), 1, "{text}");
}

#[test]
fn a_command_for_credentials_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let (address, heads) = listener();
    let (file, log) = (folder.path().join("config"), folder.path().join("log"));
    let script = "echo ran >>\"$0\"; echo '{\"status\": {\"token\": \"from-command\"}}'";
    let args = json!(["-c", script, log]);
    let text = format!(
        "current-context: c\nclusters: [{{name: far, cluster: {{server: 'http://{address}'}}}}]\n\
        users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: {args}, interactiveMode: IfAvailable}}}}}}]\n\
        contexts: [{{name: c, context: {{cluster: far, user: u}}}}]\n"
    );
    std::fs::write(&file, text).unwrap();

    let text = lost(folder.path(), &["--kubeconfig", file.to_str().unwrap()]);

    assert!(text.contains("far-away"), "{text}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ran\n");
    let heads = heads.lock().unwrap().join("\n").to_lowercase();
    assert!(heads.contains("authorization: bearer from-command"), "{heads}");
}

#[test]
fn a_server_that_is_not_verified_needs_no_authorities_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = listener();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    command.env_remove("KUBECONFIG").env("HOME", folder.path());
    command.env("SSL_CERT_FILE", &empty).env("SSL_CERT_DIR", folder.path().join("none"));

    let server = format!("http://{address}");
    let output = command.args(["rollout", "status", "-s", &server]).output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(String::from_utf8_lossy(&output.stdout).contains("far-away"), "{said}");
}
