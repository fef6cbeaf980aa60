//! A command that does what its arguments say, one after the other.

wit_bindgen::generate!({
    inline: "
        package t:command;
        world command { export wasi:cli/run@0.2.6; }
        package wasi:cli@0.2.6 { interface run { run: func() -> result; } }
    ",
    generate_all
});

use std::io::{Read as _, Write as _};
use std::{env, fs, io, process};

use exports::wasi::cli::run::Guest;

struct Command;
export!(Command);

impl Guest for Command {
    fn run() -> Result<(), ()> {
        let done = do_all();
        // A program with `fn main` does this at its end.
        io::stdout().flush().unwrap();
        done
    }
}

fn do_all() -> Result<(), ()> {
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "out" => print!("{}", next()),
            "err" => eprintln!("{}", next()),
            "env" => println!("{}", env::var(next()).unwrap_or_default()),
            "read" => println!("{}", fs::read_to_string(next()).unwrap()),
            // Copies its standard input, in upper case.
            "upper" => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).unwrap();
                io::stdout()
                    .write_all(text.to_uppercase().as_bytes())
                    .unwrap();
            }
            "exit" => process::exit(next().parse().unwrap()),
            "fail" => return Err(()),
            "trap" => panic!("told to"),
            other => println!("argument: {other}"),
        }
    }
    Ok(())
}
