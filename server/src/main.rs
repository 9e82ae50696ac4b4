//! The server `quorra`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorra::start::main()
}
