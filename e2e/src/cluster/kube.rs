//! Commands on the cluster: kubectl, both Helms, the dev-cluster's own tool, and curl.
//!
//! In: what a person would type. Out: what they print, or an error with all they said. Every command has a deadline, for
//! a client that waits for ever is no result. Reads that are repeated often go through `kubectl proxy`, as each start of
//! kubectl costs a quarter of a second of CPU. I/O: processes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// Longer than any command here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Both Helms that people have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helm {
    /// The last of the third.
    Three,
    /// The fourth, which applies on the server's side.
    Four,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub good: bool,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// An answer to a GET.
#[derive(Debug)]
pub struct Reply {
    /// 200, 401, … or 0 if no one answered.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// The cluster in one folder.
pub struct Kube {
    /// `$CLUSTER_DIR`.
    pub dir: PathBuf,
    tool: PathBuf,
    proxy: Option<(Child, ChildStdout)>,
    port: u16,
}

impl Kube {
    /// The cluster of that folder, which runs; `tool` is the program that made it.
    pub fn new(dir: &Path, tool: &Path) -> anyhow::Result<Self> {
        let mut kube = Self { dir: dir.to_owned(), tool: tool.to_owned(), proxy: None, port: 0 };
        let mut proxy = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(kube.bin("kubectl"))
            .args(["proxy", "--port=0"])
            .env("KUBECONFIG", kube.kubeconfig())
            .stdout(Stdio::piped())
            .spawn()
            .context("kubectl proxy")?;
        let mut said = BufReader::new(proxy.stdout.take().context("kubectl proxy says nothing")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let port = line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        kube.port = port.with_context(|| format!("kubectl proxy said: {line}"))?;
        kube.proxy = Some((proxy, said.into_inner()));
        Ok(kube)
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// A command with this cluster's settings and a deadline, in a session without a terminal: `timeout` makes a process
    /// group of its own, and what then sets up the terminal of another group, as `kubectl edit` does, is stopped by it.
    fn command(&self, program: &Path, patience: Duration) -> Command {
        let helm = self.dir.join("helm");
        let mut command = Command::new("setsid");
        command
            .args(["--wait", "timeout", "-k", "5", &patience.as_secs().to_string()])
            .arg(program)
            .env("CLUSTER_DIR", &self.dir)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HELM_CACHE_HOME", &helm)
            .env("HELM_CONFIG_HOME", &helm)
            .env("HELM_DATA_HOME", &helm);
        command
    }

    /// Runs kubectl, whatever comes of it.
    pub fn try_kubectl(&self, words: &[&str], input: &str) -> anyhow::Result<Said> {
        let mut command = self.command(&self.bin("kubectl"), PATIENCE);
        command.args(words);
        run(command, input)
    }

    /// Runs kubectl, which must succeed.
    pub fn kubectl(&self, words: &[&str]) -> anyhow::Result<String> {
        self.kubectl_with(words, "")
    }

    /// The same with something to read.
    pub fn kubectl_with(&self, words: &[&str], input: &str) -> anyhow::Result<String> {
        let said = self.try_kubectl(words, input)?;
        ensure!(said.good, "kubectl {}: {}{}", words.join(" "), said.out, said.err);
        Ok(said.out)
    }

    /// Runs kubectl, which must be refused: what it said.
    pub fn refused(&self, words: &[&str], input: &str) -> anyhow::Result<String> {
        let said = self.try_kubectl(words, input)?;
        ensure!(!said.good, "kubectl {} was not refused: {}", words.join(" "), said.out);
        Ok(said.err)
    }

    /// `kubectl edit`, with a script of sed in place of the person.
    pub fn edit(&self, object: &[&str], script: &str) -> anyhow::Result<String> {
        let mut command = self.command(&self.bin("kubectl"), PATIENCE);
        command.arg("edit").args(object).env("KUBE_EDITOR", format!("sed -i {script}"));
        let said = run(command, "")?;
        ensure!(said.good, "kubectl edit {}: {}{}", object.join(" "), said.out, said.err);
        Ok(said.out)
    }

    /// `kubectl probelet …`, the plugin that was built with this program, whatever comes of it.
    pub fn plugin(&self, words: &[&str], input: &str) -> anyhow::Result<Said> {
        run(self.with_plugin(words)?, input)
    }

    /// The same as a client that has this token and no certificate.
    pub fn plugin_as(&self, token: &str, words: &[&str]) -> anyhow::Result<Said> {
        let config =
            self.json(&["config", "view", "--minify", "--flatten", "--raw", "-o", "json"], "")?;
        let mut config = config;
        config["users"][0]["user"] = serde_json::json!({ "token": token });
        let path = self.dir.join("kubeconfig-of-a-token");
        std::fs::write(&path, config.to_string())?;
        let mut command = self.with_plugin(words)?;
        command.env("KUBECONFIG", &path);
        let said = run(command, "");
        std::fs::remove_file(&path)?;
        said
    }

    fn with_plugin(&self, words: &[&str]) -> anyhow::Result<Command> {
        let me = std::env::current_exe()?;
        let folder = me.parent().context("this program is in no folder")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::env::join_paths(
            std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path)),
        )?;
        let mut command = self.command(&self.bin("kubectl"), PATIENCE);
        command.arg("probelet").args(words).env("PATH", paths);
        Ok(command)
    }

    /// An object from what kubectl prints.
    pub fn json(&self, words: &[&str], input: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl_with(words, input)?)?)
    }

    /// Runs one of the Helms, which must succeed.
    pub fn helm(&self, which: Helm, words: &[&str]) -> anyhow::Result<String> {
        let name = if which == Helm::Three { "helm3" } else { "helm4" };
        let mut command = self.command(&self.bin(name), PATIENCE);
        command.args(words);
        let said = run(command, "")?;
        ensure!(said.good, "{name} {}: {}{}", words.join(" "), said.out, said.err);
        Ok(said.out)
    }

    /// Runs the dev-cluster's tool, which must succeed.
    pub fn cluster(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(&self.tool, PATIENCE);
        command.args(words);
        let said = run(command, "")?;
        ensure!(said.good, "cluster {}: {}{}", words.join(" "), said.out, said.err);
        Ok(said.out)
    }

    /// The same, left running; it ends by itself.
    pub fn cluster_behind(&self, words: &[&str]) -> anyhow::Result<Child> {
        self.command(&self.tool, PATIENCE)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cluster {}", words.join(" ")))
    }

    /// kubectl, left running until it is killed.
    pub fn kubectl_behind(&self, words: &[&str]) -> anyhow::Result<Child> {
        Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(self.bin("kubectl"))
            .args(words)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("kubectl {}", words.join(" ")))
    }

    /// An object of the API server, by its path.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.text(path)?)?)
    }

    /// What the API server has under that path.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        let reply = self.through_api_server(path, &[])?;
        ensure!(reply.status == 200, "GET {path}: {} {}", reply.status, reply.body);
        Ok(reply.body)
    }

    /// Sends a merge patch to the API server itself with nothing but that token, as a pod would.
    pub fn patch_as(&self, token: &str, path: &str, change: &str) -> anyhow::Result<Reply> {
        let config = self.json(&["config", "view", "--minify", "-o", "json"], "")?;
        let server = config.pointer("/clusters/0/cluster/server").and_then(Value::as_str);
        let url = format!("{}{path}", server.context("no server in the kubeconfig")?);
        let token = format!("Authorization: Bearer {token}");
        request(
            &["-X", "PATCH", "-d", change, &url],
            &[&token, "Content-Type: application/merge-patch+json"],
        )
    }

    /// The same with more headers, whatever the answer.
    pub fn through_api_server(&self, path: &str, headers: &[&str]) -> anyhow::Result<Reply> {
        curl(&format!("http://127.0.0.1:{}{path}", self.port), headers)
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        if let Some((proxy, _)) = &mut self.proxy {
            // It may have ended by itself.
            proxy.kill().ok();
            proxy.wait().ok();
        }
    }
}

/// A GET, with any certificate: agents sign theirs themselves.
pub fn curl(url: &str, headers: &[&str]) -> anyhow::Result<Reply> {
    request(&[url], headers)
}

/// A GET of an agent at this address, whose certificate has to be one of these authorities for this name.
pub fn curl_verified(
    (name, address): (&str, &str),
    path: &str,
    authorities: &Path,
) -> anyhow::Result<Reply> {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "5", "--noproxy", "*", "-w", "\n%{http_code}"]);
    command.args(["--resolve", &format!("{name}:9466:{address}"), "--cacert"]).arg(authorities);
    command.arg(format!("https://{name}:9466{path}"));
    let said = run(command, "")?;
    let Some((body, status)) = said.out.rsplit_once('\n') else { bail!("curl: {}", said.err) };
    Ok(Reply { status: status.parse()?, body: body.to_owned() })
}

/// A GET as that of [`curl`], with more words for the program.
fn request(words: &[&str], headers: &[&str]) -> anyhow::Result<Reply> {
    let mut command = Command::new("curl");
    command.args(["-sk", "-m", "5", "--noproxy", "*", "-w", "\n%{http_code}"]).args(words);
    for header in headers {
        command.args(["-H", header]);
    }
    let said = run(command, "")?;
    let Some((body, status)) = said.out.rsplit_once('\n') else { bail!("curl: {}", said.err) };
    Ok(Reply { status: status.parse()?, body: body.to_owned() })
}

fn run(mut command: Command, input: &str) -> anyhow::Result<Said> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Anyone who does not read what is said ends with a reason of its own.
        stdin.write_all(input.as_bytes()).ok();
    }
    let output = child.wait_with_output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut err = text(&output.stderr);
    if output.status.code() == Some(124) {
        err.push_str("(took too long and was ended)");
    }
    Ok(Said { good: output.status.success(), out: text(&output.stdout), err })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_can_be_stopped_by_the_terminal_that_the_test_runs_in() {
        let nowhere = PathBuf::from("/nonexistent");
        let kube = Kube { dir: nowhere.clone(), tool: nowhere, proxy: None, port: 0 };
        // Of a process: state, parent, group, session, terminal (0: none).
        let mut command = kube.command(Path::new("sh"), Duration::from_secs(10));
        command.args(["-c", "sed 's/.*) //' /proc/self/stat; sed 's/.*) //' /proc/$PPID/stat"]);

        let said = run(command, "").unwrap();

        let fields = said.out.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        for process in fields {
            let [group, session, terminal] = [process[2], process[3], process[4]];
            assert_eq!((group, terminal), (session, "0"), "a session of its own, no terminal");
        }
        assert!(said.good, "{said:?}");
    }
}
