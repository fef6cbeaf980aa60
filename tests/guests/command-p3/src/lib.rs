//! A command of WASI 0.3, whose `run` is async: it prints its arguments, and fails if the last one is `fail`.

wit_bindgen::generate!({
    inline: "
        package t:command;
        world command { export wasi:cli/run@0.3.0; }
        package wasi:cli@0.3.0 { interface run { run: async func() -> result; } }
    ",
    generate_all
});

use exports::wasi::cli::run::Guest;

struct Command;
export!(Command);

impl Guest for Command {
    async fn run() -> Result<(), ()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        println!("{}", arguments.join(" "));
        match arguments.last().is_some_and(|last| last == "fail") {
            true => Err(()),
            false => Ok(()),
        }
    }
}
