//! The process under test.
//!
//! In: where its binary and kubeconfig are. Out: it runs, with its log in a file; dropped, it is gone. It is killed,
//! not asked to end: what it has not written yet must not matter. I/O: one process, one file.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its binary.
    pub binary: PathBuf,
    /// Who it is to the API server.
    pub kubeconfig: PathBuf,
    /// What it says, appended.
    pub log: PathBuf,
    /// The namespace of its lease.
    pub namespace: String,
    /// Where it serves its metrics.
    pub listen: String,
}

/// An operator that runs.
#[derive(Debug)]
pub struct Operator(Child);

impl Launch {
    /// Starts it.
    pub fn start(&self) -> anyhow::Result<Operator> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.binary)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.namespace, "--listen", &self.listen])
            // The same name after a restart: a pod's lease is its own, and taken up at once.
            .args(["--identity", "fleet", "--log-format", "text"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| self.binary.display().to_string())?;
        Ok(Operator(child))
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Operator {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself; there is no one left to tell.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
