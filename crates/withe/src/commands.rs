//! The subcommands: one file each. `application`, `settle` and those that end in `_args` are what several share.

mod application;
mod application_args;
mod application_file;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod compile_component;
pub(crate) mod completions;
pub(crate) mod componentize;
pub(crate) mod compose;
mod config_args;
pub(crate) mod confine;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod graph;
pub(crate) mod host;
mod input_args;
pub(crate) mod inspect;
mod key_args;
pub(crate) mod lattice;
mod lattice_args;
mod limit_args;
pub(crate) mod link;
mod link_args;
pub(crate) mod lock;
pub(crate) mod man;
pub(crate) mod new;
pub(crate) mod ping;
pub(crate) mod plan;
mod policy_args;
mod program_args;
pub(crate) mod provider;
pub(crate) mod pull;
pub(crate) mod push;
mod registry_args;
mod secret_args;
pub(crate) mod secrets;
mod settle;
pub(crate) mod test;
pub(crate) mod top;
pub(crate) mod ui;
pub(crate) mod up;
pub(crate) mod wit;
pub(crate) mod worker;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::input_args::InputArgs;
    use super::key_args::{KeyArgs, SealArgs, TrustArgs};
    use super::lattice_args::LatticeArgs;
    use super::limit_args::LimitArgs;
    use super::program_args::ProgramArgs;
    use super::registry_args::RegistryArgs;
    use super::secret_args::SecretArgs;
    use crate::cli::Cli;
    use crate::observe::ObserveArgs;

    /// The ids of a set of options.
    fn ids<A: clap::Args>() -> Vec<String> {
        let command = A::augment_args(clap::Command::new("withe"));
        command
            .get_arguments()
            .map(|arg| arg.get_id().to_string())
            .collect()
    }

    #[test]
    fn under_the_heading_of_a_set_of_options_stands_no_option_of_the_command_itself() {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let sets: [(&str, Vec<String>); 7] = [
            (
                "Registries",
                [ids::<RegistryArgs>(), own(&["locked"])].concat(),
            ),
            (
                "Lattice",
                [
                    ids::<LatticeArgs>(),
                    ids::<KeyArgs>(),
                    ids::<SealArgs>(),
                    ids::<TrustArgs>(),
                ]
                .concat(),
            ),
            ("Secrets", ids::<SecretArgs>()),
            ("Programs", ids::<ProgramArgs>()),
            ("Limits", ids::<LimitArgs>()),
            (
                "Watching",
                [ids::<ObserveArgs>(), own(&["no_recent"])].concat(),
            ),
            ("Looking into it", ids::<InputArgs>()),
        ];
        fn walk(command: &clap::Command, sets: &[(&str, Vec<String>)]) {
            for arg in command.get_arguments() {
                let set = sets
                    .iter()
                    .find(|(name, _)| arg.get_help_heading() == Some(name));
                let id = arg.get_id().to_string();
                assert!(
                    set.is_none_or(|(_, ids)| ids.contains(&id)),
                    "`{}` has `{id}` under {:?}",
                    command.get_name(),
                    arg.get_help_heading()
                );
            }
            for subcommand in command.get_subcommands() {
                walk(subcommand, sets);
            }
        }
        walk(&Cli::command(), &sets);
    }
}
