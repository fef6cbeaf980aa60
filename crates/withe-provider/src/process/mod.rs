//! A provider as a process of its own.
//!
//! The program of a provider calls [`main`]; a program that has several calls [`describe`] and [`serve`].
//! Whoever starts it keeps to this:
//!
//! * Started with the argument `--describe`, it prints a [`Description`] as one JSON object, and ends.
//! * Started with the argument `--check`, it reads a [`Question`] from its standard input, a JSON object, prints
//!   what is wrong with that configuration, an array of [`ConfigProblem`](crate::ConfigProblem)s, and ends.
//!   Only a program whose description says so is asked.
//! * Started without, it reads one line from its standard input, an [`Assignment`] as JSON, and keeps reading:
//!   one byte more asks it to finish what it does and end, and so does the end of the input, by
//!   which it knows that its host has gone.
//! * What it has to say of itself goes to standard output, one [`Event`] a line. Standard error is its log,
//!   a line an event; a line may begin with its level (`WARN no space left`).
//! * On the assignment's socket it serves the invocation protocol. The link to [`CONTROL`] takes
//!   [`Request`]s; a link that was put is called under its number.
//! * A successor connects to the assignment's path for handing over, and is given the sockets that it listens on.
//! * For links of which it is the source, it calls the components on the host's socket, under
//!   the link's number, as [`http_wire`](crate::http_wire) has it.

mod assignment;
mod control;
mod description;
mod inherit;
mod log;
mod program;
mod protocol;
mod serve;
#[cfg(test)]
mod tests;

pub use assignment::{Assignment, AssignmentError, Event};
pub use control::{
    Answer, CONTROL, ControlError, LinkPeer, LinkPut, ProviderState, Request, control_functions,
    link_functions, read_answer, write_request,
};
pub use description::{DescribedAlias, Description, Question};
pub use program::{ProcessError, check, describe, main, run, serve};
pub use protocol::PROTOCOL;
