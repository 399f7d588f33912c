//! The command of a kubeconfig that gives credentials (`users.exec`), as client-go runs it.
//!
//! In: what the kubeconfig says of it. Out: a token or a certificate, and until when they hold. It must not show its
//! arguments, its environment or its answer: all hold secrets. I/O: runs the command, whose words for people go to standard error.

use std::io::{self, IsTerminal as _};
use std::process::{Command, ExitStatus, Stdio};

use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

/// In which the command finds what is wanted.
const INFO: &str = "KUBERNETES_EXEC_INFO";

/// What a command gave.
pub(super) struct Granted {
    pub(super) token: Option<String>,
    /// A certificate and its key, as PEM.
    pub(super) identity: Option<(String, String)>,
    pub(super) ends: Option<Timestamp>,
}

/// Why it gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig names none.
    #[error("the user of the kubeconfig has an exec without a command")]
    Unnamed,
    /// There is no such program.
    #[error(
        "the command {command}, which the kubeconfig names for credentials, is not there{hint}"
    )]
    Missing {
        /// It.
        command: String,
        /// How to install it, in the words of the kubeconfig.
        hint: String,
    },
    /// It cannot be started.
    #[error("the command {command}, which the kubeconfig names for credentials, cannot be started")]
    Start {
        /// It.
        command: String,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// It would ask, and no one could answer.
    #[error(
        "the command {command}, which the kubeconfig names for credentials, asks for input (interactiveMode: Always), and standard input is no terminal"
    )]
    NoTerminal {
        /// It.
        command: String,
    },
    /// It says that it failed.
    #[error("the command {command}, which the kubeconfig names for credentials, failed: {status}")]
    Failed {
        /// It.
        command: String,
        /// As the system has it.
        status: ExitStatus,
    },
    /// It gave something else.
    #[error(
        "the command {command}, which the kubeconfig names for credentials, gave neither a token nor a certificate with its key"
    )]
    Nothing {
        /// It.
        command: String,
    },
    /// It was to be run again.
    #[error("the command for credentials gave no further token")]
    Stopped,
}

/// What is read of an `ExecCredential`.
#[derive(Deserialize)]
struct Credential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Runs it.
pub(super) fn run(exec: &ExecConfig) -> Result<Granted, Error> {
    let name = exec.command.clone().filter(|name| !name.is_empty()).ok_or(Error::Unnamed)?;
    let asks = asks(exec, io::stdin().is_terminal())
        .ok_or_else(|| Error::NoTerminal { command: name.clone() })?;
    let mut command = Command::new(&name);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let Some(key) = variable.get("name") {
            command.env(key, variable.get("value").map_or("", String::as_str));
        }
    }
    command.env(INFO, info(exec, asks));
    command.stdin(if asks { Stdio::inherit() } else { Stdio::null() }).stderr(Stdio::inherit());
    let output = command.output().map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => Error::Missing { hint: hint(exec), command: name.clone() },
        _ => Error::Start { command: name.clone(), why },
    })?;
    if !output.status.success() {
        return Err(Error::Failed { command: name, status: output.status });
    }
    granted(&output.stdout).ok_or(Error::Nothing { command: name })
}

/// Whether it may ask the person at the terminal; nothing if it must and cannot.
fn asks(exec: &ExecConfig, terminal: bool) -> Option<bool> {
    match exec.interactive_mode {
        Some(ExecInteractiveMode::Never) => Some(false),
        Some(ExecInteractiveMode::Always) => terminal.then_some(true),
        Some(ExecInteractiveMode::IfAvailable) | None => Some(terminal),
    }
}

fn info(exec: &ExecConfig, interactive: bool) -> String {
    let mut spec = json!({ "interactive": interactive });
    if let Some(cluster) = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info) {
        spec["cluster"] = json!(cluster);
    }
    json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec}).to_string()
}

fn hint(exec: &ExecConfig) -> String {
    let hint = exec.install_hint.as_deref().map_or("", str::trim);
    if hint.is_empty() { String::new() } else { format!(". Its hint: {hint}") }
}

/// JSON, or YAML, which client-go reads as well.
fn granted(output: &[u8]) -> Option<Granted> {
    let status = serde_saphyr::from_slice::<Credential>(output).ok()?.status?;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let token = given(status.token).map(|token| token.trim().to_owned());
    let identity = given(status.client_certificate_data).zip(given(status.client_key_data));
    let ends = status.expiration_timestamp.and_then(|text| text.parse().ok());
    (token.is_some() || identity.is_some()).then_some(Granted { token, identity, ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(command: &str, args: &[&str]) -> ExecConfig {
        let args = Some(args.iter().map(|&arg| arg.to_owned()).collect());
        ExecConfig { command: Some(command.to_owned()), args, ..ExecConfig::default() }
    }

    #[test]
    fn a_command_that_is_not_there_is_named_with_how_to_install_it() {
        let mut gone = exec("no-such-login", &[]);
        gone.install_hint = Some("\nbrew install login\n".to_owned());

        let error = run(&gone).err().unwrap().to_string();

        assert!(error.contains("no-such-login") && error.contains("brew install login"), "{error}");
    }

    #[test]
    fn what_fails_shows_no_secret_of_its_arguments_or_its_answer() {
        let mut fails = exec("sh", &["-c", "echo token-abc; exit 3", "--secret=xyz"]);
        let variable = [("name", "KEY"), ("value", "hidden")];
        let variable = variable.map(|(key, value)| (key.to_owned(), value.to_owned()));
        fails.env = Some(vec![variable.into_iter().collect()]);

        let error = run(&fails).err().unwrap().to_string();

        assert!(error.contains("sh") && error.contains('3'), "{error}");
        assert!(!["token-abc", "xyz", "hidden"].iter().any(|word| error.contains(word)), "{error}");
        let odd = run(&exec("echo", &["token-abc"])).err().unwrap().to_string();
        assert!(odd.contains("neither a token") && !odd.contains("token-abc"), "{odd}");
    }

    #[test]
    fn a_command_finds_what_is_wanted_in_its_environment() {
        let script = "test \"$KUBERNETES_EXEC_INFO\" = '{\"apiVersion\":\"v1\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}' && test \"${E-unset}\" = '' && echo 'status: {token: abc}'";
        let mut wanted = exec("sh", &["-c", script]);
        wanted.api_version = Some("v1".to_owned());
        wanted.interactive_mode = Some(ExecInteractiveMode::Never);
        wanted.env = Some(vec![std::iter::once(("name".to_owned(), "E".to_owned())).collect()]);

        assert_eq!(run(&wanted).unwrap().token.as_deref(), Some("abc"));
    }

    #[test]
    fn whether_it_may_ask_depends_on_the_kubeconfig_and_the_terminal() {
        let asks_ = |mode: Option<ExecInteractiveMode>, terminal: bool| {
            asks(&ExecConfig { interactive_mode: mode, ..ExecConfig::default() }, terminal)
        };

        assert_eq!(asks_(None, true), Some(true));
        assert_eq!(asks_(Some(ExecInteractiveMode::IfAvailable), false), Some(false));
        assert_eq!(asks_(Some(ExecInteractiveMode::Never), true), Some(false));
        assert_eq!(asks_(Some(ExecInteractiveMode::Always), false), None);
    }
}
