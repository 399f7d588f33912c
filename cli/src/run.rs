//! Run: from what was typed to what is printed.
//!
//! In: a command line. Out: an exit code. It joins what the other modules do and decides nothing itself.
//!
//! I/O: standard output and error, files that were named.

mod bench;
mod change;
mod config;
mod dump;
mod look;
mod node;
mod outage;
mod preflight;
mod redact;
mod rollout;
mod screen;
mod status;
mod targets;
mod top;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::answer::conns::incomplete;
use crate::answer::runbook::Runbooks;
use crate::args::{self, Args, Color, Command, Common, ConfigCommand, Format, RolloutCommand};
use crate::ask::{Access, Agents, Ask, Error, Progress};
use crate::complete;
use crate::seen::clean;
use crate::show::{self, Answer};

/// What all subcommands work with.
pub(crate) struct Run {
    pub(crate) ask: Ask,
    pub(crate) common: Common,
    pub(crate) colours: bool,
    /// Whether it was said that not everything is shown.
    pub(crate) hidden_said: Cell<bool>,
    /// The agents, and when they were found.
    found: RefCell<Option<(Instant, Agents)>>,
}

/// Agents that were found count for so long in a command that goes on: half as long as the token that they are shown.
const FOUND: Duration = Duration::from_mins(5);

/// Does what was typed. An answer that could not be written whole is a failure, whatever was found.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = done(words.into_iter().collect());
    match UNWRITTEN.get() {
        Some(why) => failed(&Error::File { path: "standard output".to_owned(), why: why.clone() }),
        None => code,
    }
}

/// What people type who look for help where other programs have it.
fn as_flags(mut words: Vec<OsString>) -> Vec<OsString> {
    let flag = match words.get(1).and_then(|word| word.to_str()) {
        Some(word) if word == complete::HELP.0 => "--help",
        Some(word) if word == complete::VERSION.0 => "--version",
        _ => return words,
    };
    words.remove(1);
    words.push(flag.into());
    words
}

fn done(words: Vec<OsString>) -> ExitCode {
    let words = as_flags(words);
    if words.get(1).is_some_and(|word| word == complete::WORD) {
        let words: Vec<_> = words[2..].iter().map(|it| it.to_string_lossy().into_owned()).collect();
        print(&complete::complete(args::command(), &words));
        return ExitCode::SUCCESS;
    }
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => {
            // No one is left to tell that the terminal is gone.
            error.print().ok();
            let asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
            return ExitCode::from(if asked { 0 } else { 2 });
        }
    };
    if let Command::Completion { shell } = args.command {
        return script(shell);
    }
    if let Command::Runbook { name } = &args.command {
        let colours = colours(args.common.color);
        let text = Runbooks::of(name.as_deref())
            .and_then(|answer| show::show(&answer, args.common.output, colours));
        return match text {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        };
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&Error::File { path: "runtime".to_owned(), why: error.to_string() });
        }
    };
    match runtime.block_on(work(args)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    let mut err = io::stderr().lock();
    // Causes come from files, commands and libraries as well as from answers.
    writeln!(err, "error: {}", clean::lines(&error.to_string())).ok();
    if let Some(next) = error.next() {
        writeln!(err, "next:  {}", clean::lines(&next)).ok();
    }
    ExitCode::from(error.exit_code())
}

/// The script that completes the plugin's own name, with the dash.
fn script(shell: clap_complete::Shell) -> ExitCode {
    let mut command = args::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "kubectl-probelet", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// Whether what was printed could not be written: there is no reader left, or no room.
static UNREAD: AtomicBool = AtomicBool::new(false);
/// Why not, unless the reader has gone.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Anyone who reads may have gone: `| head`. Anything else leaves half an answer, as on a full disk.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        UNREAD.store(true, Ordering::Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe {
            UNWRITTEN.get_or_init(|| error.to_string());
        }
    }
}

/// Whether a command that goes on until it is stopped ends here, as its reader has gone.
pub(crate) fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

fn colours(when: Color) -> bool {
    // An empty one is none, and a terminal without any abilities shows the codes themselves.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    match when {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stdout().is_terminal() && !plain,
    }
}

async fn work(args: Args) -> Result<ExitCode, Error> {
    let Args { common, command } = args;
    let common = common.without_empty();
    let access = Access {
        kubeconfig: common.kubeconfig.clone(),
        context: common.context.clone(),
        connection: common.connection.clone(),
    };
    let ask = Ask::new(&access, common.timeout, Progress::new()).await?;
    let colours = colours(common.color);
    let run =
        Run { ask, common, colours, hidden_said: Cell::new(false), found: RefCell::default() };
    let done = run.run(command).await;
    run.ask.progress.clear();
    done
}

impl Run {
    async fn run(&self, command: Command) -> Result<ExitCode, Error> {
        match command {
            Command::Status { most, check, tolerate } => {
                return self.status(most, check, tolerate / 100.0).await;
            }
            Command::Top { what, node, most, interval, once } => {
                self.top(&top::Wanted { ranking: what, node, most, interval, once }).await?;
            }
            Command::Conns { target, watch, closed, port, interval } => {
                let which = crate::answer::conns::Which { closed, port };
                self.conns(&target.join(" "), which, watch.then_some(interval)).await?;
            }
            Command::Procs { target } => self.procs(&target.join(" ")).await?,
            Command::Map { namespace, all, all_namespaces } => {
                let own = self.common.namespace.clone().filter(|_| !all_namespaces);
                self.map(namespace.or(own), all).await?;
            }
            Command::Config(ConfigCommand::Effective { node, changed }) => {
                self.effective(&node, changed).await?;
            }
            Command::Config(ConfigCommand::Diff { config, other, file }) => {
                self.diff(&config, other.as_deref(), file.as_deref()).await?;
            }
            Command::Config(ConfigCommand::DryRun { file }) => return self.dry_run(&file).await,
            Command::Rollout(command) => return self.rollout(command).await,
            Command::Pause(who) => self.pause(&who, true).await?,
            Command::Resume(who) => self.pause(&who, false).await?,
            Command::Explain { node } => self.explain(&node).await?,
            Command::Doctor { target } => return self.doctor(&target.join(" ")).await,
            Command::Bench { node, each, time } => return self.bench(&node, each, time).await,
            Command::Preflight { values } => return self.preflight(values).await,
            Command::Netpol { target } => self.netpol(&target.join(" ")).await?,
            Command::Dump { file, reports, agents } => self.dump(file, reports, agents).await?,
            // Done before there was a cluster to ask.
            Command::Completion { .. } | Command::Runbook { .. } => {}
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn rollout(&self, command: RolloutCommand) -> Result<ExitCode, Error> {
        match command {
            RolloutCommand::Status { config, watch } => {
                return self.rollout_status(config.as_deref(), watch).await;
            }
            RolloutCommand::Pause { config } => self.hold(&config, true).await?,
            RolloutCommand::Resume { config } => self.hold(&config, false).await?,
            RolloutCommand::Undo { config, dry_run } => self.undo(&config, dry_run).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The namespace of pods, Services and workloads.
    pub(crate) fn namespace(&self) -> &str {
        self.common.namespace.as_deref().unwrap_or(&self.ask.namespace)
    }

    /// The agents, wherever they are.
    pub(crate) async fn agents(&self) -> Result<Agents, Error> {
        if let Some((at, agents)) = &*self.found.borrow()
            && at.elapsed() < FOUND
        {
            return Ok(agents.clone());
        }
        let agents = self.find_agents().await?;
        self.found.replace(Some((Instant::now(), agents.clone())));
        Ok(agents)
    }

    /// Looks for the agents again when they are needed next: one did not answer as it should.
    pub(crate) fn forget_agents(&self) {
        self.found.take();
    }

    async fn find_agents(&self) -> Result<Agents, Error> {
        let agents = Agents::find(&self.ask, self.common.probelet_namespace.as_deref()).await?;
        match &self.common.account {
            Some(account) => Ok(agents.with_account(self.namespace(), checked(account)?)),
            None => Ok(agents),
        }
    }

    /// Prints an answer as it was asked for.
    pub(crate) fn show(&self, answer: &impl Answer) -> Result<(), Error> {
        let text = show::show(answer, self.common.output, self.colours)?;
        self.ask.progress.clear();
        print(&text);
        if self.common.output == Format::Name {
            Self::say_unasked(answer);
        }
        Ok(())
    }

    /// Says beside an answer, whose format has no room for it, what it lacks.
    pub(crate) fn say_unasked(answer: &impl Answer) {
        for (node, why) in answer.unasked() {
            let line = clean::lines(&incomplete(node, why));
            // No one is left to tell that the terminal is gone.
            writeln!(io::stderr(), "{line}").ok();
        }
    }

    /// Says once that an answer does not come, and that it is waited for.
    pub(crate) fn wait_for(&self, error: &Error) {
        self.ask.progress.clear();
        let error = clean::lines(&error.to_string());
        // No one is left to tell that the terminal is gone.
        writeln!(io::stderr(), "note: {error}; trying again").ok();
    }

    /// Prints what was done: a word for people, the object's name for programs.
    pub(crate) fn done(&self, name: &str, what: &str) {
        self.ask.progress.clear();
        print(&match self.common.output {
            Format::Name => format!("{name}\n"),
            Format::Json => show::json(&serde_json::json!({"object": name, "done": what})),
            _ => format!("{name} {what}\n"),
        });
    }
}

/// What cannot be a Kubernetes name never becomes part of a path.
pub(crate) fn checked(name: &str) -> Result<&str, Error> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    if !name.is_empty() && name.len() <= 253 && name.bytes().all(fits) {
        return Ok(name);
    }
    Err(Error::Usage {
        what: format!("`{name}` is not a valid object name"),
        next: "names have small letters, digits, dashes and dots".to_owned(),
    })
}
