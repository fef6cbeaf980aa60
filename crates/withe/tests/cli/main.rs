//! The built command, on what newcomers give it: exit code, standard output and standard error.

mod build;
mod call;
mod check;
mod component;
mod componentize;
mod deploy;
mod docs;
mod folders;
mod host;
mod inspect;
mod misc;
mod new;
mod parts;
mod plan;
mod policy;
mod sandbox;
mod split;
mod up;
mod versions;
mod wit;
