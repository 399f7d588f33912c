//! Reads what was typed, runs it, and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_probelet::run(std::env::args_os())
}
