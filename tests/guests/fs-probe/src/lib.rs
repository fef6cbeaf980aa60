//! Tries to reach the machine through the standard library.

wit_bindgen::generate!({ world: "fs-probe", path: "../wit", generate_all });

use std::net::TcpStream;
use std::{env, fs, io};

use exports::t::probe::run::Guest;

struct FsProbe;
export!(FsProbe);

impl Guest for FsProbe {
    fn read_dir(path: String) -> Result<Vec<String>, String> {
        let names: io::Result<Vec<String>> = fs::read_dir(path).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        });
        let mut names = names.map_err(|e| e.to_string())?;
        names.sort();
        Ok(names)
    }

    fn read_file(path: String) -> Result<String, String> {
        fs::read_to_string(path).map_err(|e| e.to_string())
    }

    fn write_file(path: String, text: String) -> Result<(), String> {
        fs::write(path, text).map_err(|e| e.to_string())
    }

    fn env(name: String) -> Option<String> {
        env::var(name).ok()
    }

    fn connect(address: String) -> Result<(), String> {
        TcpStream::connect(address)
            .map(drop)
            .map_err(|e| e.to_string())
    }
}
