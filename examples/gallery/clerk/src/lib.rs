//! Pins what comes as a message, and has old notes archived when its time has come.

wit_bindgen::generate!({ world: "clerk", path: "../wit", generate_all });

use exports::wasmcloud::cron::scheduler::Guest as Scheduler;
use exports::wasmcloud::messaging::handler::Guest as Handler;
use wasmcloud::messaging::types::BrokerMessage;
use withe_examples::gallery::notes;

struct Clerk;
export!(Clerk);

impl Handler for Clerk {
    fn handle_message(message: BrokerMessage) -> Result<(), String> {
        let text = String::from_utf8(message.body).map_err(|_| "a note is text".to_owned())?;
        notes::pin(text.trim())
    }
}

impl Scheduler for Clerk {
    /// The payload says how many notes stay.
    fn invoke(payload: Vec<u8>) -> Result<(), String> {
        let keep = String::from_utf8_lossy(&payload);
        let keep = keep
            .trim()
            .parse()
            .map_err(|_| format!("`{keep}` is no number of notes"))?;
        notes::tidy(keep).map(drop)
    }
}
