//! The server `quorra`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect();
    match quorra::flags::read(arguments, std::env::vars()) {
        Ok(quorra::flags::Asked::Member(_, _)) => ExitCode::SUCCESS,
        Ok(quorra::flags::Asked::Text(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprint!("{}", refusal.message);
            ExitCode::from(refusal.code)
        }
    }
}
