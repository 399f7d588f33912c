//! Entry point of the agent: allocator, arguments, exit code. Everything else is in the library.

use std::process::ExitCode;

/// Gives freed memory back at once; see `.cargo/config.toml` for how it is set up.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    probelet_agent::run::main(std::env::args_os()).into()
}
