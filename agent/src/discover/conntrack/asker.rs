//! The thread that asks connection tracking, and does nothing else: the only one of a running agent that keeps `CAP_NET_ADMIN`.
//!
//! In: questions, a batch at a time. Out: answers, what they cost, and why the rest has none. It must not decide what is asked.
//!
//! It is started by the first question. Once it has given its rights back, it stays in the node's network namespace, where it
//! can open a socket without any right but that one.
//!
//! I/O: through [`super::Conntrack`]; a thread.

use super::{Conntrack, Error};
use crate::capabilities::{Capability, Given, Set, give_back};
use crate::clock::thread_cpu_ns;
use crate::sys::{landlock, seccomp};
use probelet_core::report::{Translated, Translation};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// It holds a buffer of 4 KiB and calls a few functions deep; a debug build needs most of this.
const STACK: usize = 256 << 10;

/// What it is asked to do.
enum Task {
    Ask(Vec<Translation>),
    GiveBack { landlock: bool },
    Narrow(Vec<libc::sock_filter>),
}

/// What came of it.
enum Done {
    Asked(Answers),
    GaveBack(Given, io::Result<()>),
    Narrowed(io::Result<()>),
}

/// What came of a batch of questions.
#[derive(Debug, Default)]
pub struct Answers {
    /// As many as there was an answer to, in order.
    pub answers: Vec<(Translation, Translated)>,
    /// Why there is none to the others.
    pub error: Option<Error>,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

/// The other end of the thread.
#[derive(Debug)]
pub struct Asker {
    proc: PathBuf,
    thread: Option<(SyncSender<Task>, Receiver<Done>)>,
}

impl Asker {
    /// Asks about the node whose first process this `/proc` shows. Nothing is started yet.
    #[must_use]
    pub const fn new(proc: PathBuf) -> Self {
        Self { proc, thread: None }
    }

    /// Asks, and waits for the answers.
    pub fn ask(&mut self, questions: Vec<Translation>) -> Answers {
        match self.run(Task::Ask(questions)) {
            Ok(Done::Asked(answers)) => answers,
            Ok(_) => Answers { error: Some(Error::Gone), ..Answers::default() },
            Err(error) => Answers { error: Some(error), ..Answers::default() },
        }
    }

    /// Has the thread enter the node's namespace for good and give back all but `CAP_NET_ADMIN`; with `landlock` it also reaches
    /// no file from then on, and the second value says why if it does.
    ///
    /// # Errors
    /// There is no thread.
    pub fn give_back(&mut self, landlock: bool) -> Result<(Given, io::Result<()>), Error> {
        match self.run(Task::GiveBack { landlock })? {
            Done::GaveBack(given, landlocked) => Ok((given, landlocked)),
            _ => Err(Error::Gone),
        }
    }

    /// Puts a filter of system calls over the thread alone.
    ///
    /// # Errors
    /// There is no thread, or the kernel refuses.
    pub fn narrow(&mut self, filter: Vec<libc::sock_filter>) -> Result<(), Error> {
        match self.run(Task::Narrow(filter))? {
            Done::Narrowed(outcome) => outcome.map_err(Error::Asking),
            _ => Err(Error::Gone),
        }
    }

    fn run(&mut self, task: Task) -> Result<Done, Error> {
        if self.thread.is_none() {
            self.thread = Some(start(Conntrack::new(&self.proc)).map_err(Error::Asking)?);
        }
        let (tasks, done) = self.thread.as_ref().ok_or(Error::Gone)?;
        // It ends with this value only, or by a panic.
        tasks.send(task).map_err(|_| Error::Gone)?;
        done.recv().map_err(|_| Error::Gone)
    }
}

fn start(conntrack: Conntrack) -> io::Result<(SyncSender<Task>, Receiver<Done>)> {
    let (tasks, asked) = sync_channel(1);
    let (answers, done) = sync_channel(1);
    thread::Builder::new()
        .name("probelet-track".to_owned())
        .stack_size(STACK)
        .spawn(move || serve(conntrack, &asked, &answers))?;
    Ok((tasks, done))
}

fn serve(mut conntrack: Conntrack, tasks: &Receiver<Task>, answers: &SyncSender<Done>) {
    while let Ok(task) = tasks.recv() {
        let done = match task {
            Task::Ask(questions) => Done::Asked(ask(&mut conntrack, &questions)),
            Task::GiveBack { landlock } => {
                conntrack.settle();
                let given = give_back(Set::of([Capability::NetAdmin]));
                let landlocked = if landlock { reach_nothing() } else { Ok(()) };
                Done::GaveBack(given, landlocked)
            }
            Task::Narrow(mut filter) => Done::Narrowed(seccomp::install(&mut filter, false)),
        };
        if answers.send(done).is_err() {
            return;
        }
    }
}

fn reach_nothing() -> io::Result<()> {
    landlock::Rules::new(landlock::version()?, true)?.restrict()
}

fn ask(conntrack: &mut Conntrack, questions: &[Translation]) -> Answers {
    let began = thread_cpu_ns();
    let mut answers = Vec::with_capacity(questions.len());
    let outcome = conntrack.open().and_then(|mut batch| {
        for question in questions {
            let found = batch.entry(question.protocol, question.local, question.remote)?;
            answers.push((*question, found.map_or(Translated::Unknown, Translated::Entry)));
        }
        Ok(())
    });
    Answers { answers, error: outcome.err(), cpu_ns: thread_cpu_ns().saturating_sub(began) }
}
