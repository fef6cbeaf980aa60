//! Components that a manifest says are commands, and that cannot be run as such.

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::parts::{PartId, Parts};
use crate::wording::list;

pub(crate) const NOT_RUN: CodeInfo = CodeInfo {
    code: Code("W0106"),
    title: "a command that cannot be run",
    explanation: "\
`command:` says that the application is a command: `withe up` runs the component, and ends when it does. A \
component is run by calling its `wasi:cli/run`, of WASI 0.2 or 0.3, and this one does not export it. In Rust a \
program with `fn main` does, built for `wasm32-wasip2`; a library (`cdylib`) does not.

Leave `command:` out for a component that serves others, or call one of its functions with `withe call`.",
};

pub(crate) const SEVERAL: CodeInfo = CodeInfo {
    code: Code("W0107"),
    title: "several commands in one application",
    explanation: "\
An application ends when its command does, has that one's standard input and output, and its exit code. So it \
has one command. Leave `command:` out of the others: they run when the command calls them. Put commands that have \
nothing to do with each other into applications of their own.",
};

pub(crate) fn not_run(parts: &Parts<'_>, part: PartId) -> Diagnostic {
    let declared = parts.declared(part);
    let place = declared.command.as_ref().and_then(|command| command.span);
    let name = parts.name(part);
    let message = format!("`{name}` is to run as a command, but does not export `wasi:cli/run`");
    let exports = parts.world(part).map(|world| &world.exports);
    let exports = list(exports.into_iter().flatten().map(|export| &export.name));
    Diagnostic::error(NOT_RUN.code, message)
        .at(place, "not a command")
        .with_note(format!("it exports {exports}"))
        .with_help(
            "leave `command` out, or build it as a program: with `fn main`, for `wasm32-wasip2`",
        )
}

pub(crate) fn several(parts: &Parts<'_>, first: PartId, other: PartId) -> Diagnostic {
    let place = |part| {
        let command = parts.declared(part).command.as_ref();
        command.and_then(|command| command.span)
    };
    let message = format!(
        "`{}` and `{}` are both commands, and an application has one",
        parts.name(first),
        parts.name(other)
    );
    Diagnostic::error(SEVERAL.code, message)
        .at(place(other), "another command")
        .also(place(first), "the first one")
        .with_help("leave `command` out of all but one of them")
}

#[cfg(test)]
mod tests {
    use crate::input::{Command, Spanned};
    use crate::testing::App;

    const WIT: &str = "
        package wasi:cli@0.2.6 { interface run { run: func() -> result; } }
        package a:b { interface other { f: func(); } }
        world tool { export wasi:cli/run@0.2.6; }
        world library { export a:b/other; }
    ";

    fn with_command(app: App) -> App {
        app.edit(|component| component.command = Some(Spanned::unplaced(Command::default())))
    }

    #[test]
    fn a_command_is_called_from_outside() {
        let app = with_command(App::new(WIT).component("tool"));
        assert_eq!(app.problems(), "");
        assert!(app.plan().components[0].entry);
    }

    #[test]
    fn what_cannot_be_run_and_what_is_too_many() {
        let app = with_command(App::new(WIT).component("tool"));
        let app = with_command(app.component("library"));
        insta::assert_snapshot!(app.problems());
    }
}
