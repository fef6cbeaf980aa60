//! The provider as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    withe_provider::process::main(&pipe_provider::DESCRIPTOR)
}
