//! The files that `withe new` writes: embedded in this program, with packages of WIT that its providers have.
//!
//! A template is text with a few names to be filled in, and nothing else: no conditions, no hooks. Each difference
//! between templates is a file of its own.

use std::path::{Path, absolute};

use anyhow::Context as _;
use clap::ValueEnum;
use withe_provider::wit;

/// Where the SDK is that a provider is built with.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// The kinds of folder that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// A component that answers HTTP requests.
    Http,
    /// A component that others link to.
    Library,
    /// Two components that are made one.
    Composed,
    /// A program that serves an interface to components.
    Provider,
    /// Several components, linked by a manifest, with a key-value store.
    Application,
}

/// The language of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Built by cargo.
    Rust,
    /// Built by `componentize-py`.
    Python,
    /// Built by `componentize-js`.
    #[value(alias = "js")]
    Javascript,
    /// Built by `tsc` and `componentize-js`.
    #[value(alias = "ts")]
    Typescript,
    /// Built by a C compiler for WebAssembly, `wit-bindgen` and `wasm-tools`.
    C,
    /// Built by `go`, `wit-bindgen` and `withe componentize`.
    Go,
}

/// The version of WASI 0.2 that the packages here have.
const WASI: &str = "0.2.12";
/// The one that componentize-js exports, whatever a world says.
const WASI_OF_JAVASCRIPT: &str = "0.2.10";

impl Language {
    /// As people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Javascript => "JavaScript",
            Self::Typescript => "TypeScript",
            Self::C => "C",
            Self::Go => "Go",
        }
    }

    /// A package of WASI in the version that its tools take. The stable part is the same in both.
    fn wasi(self, package: &str) -> String {
        match self {
            Self::Rust | Self::Python | Self::C | Self::Go => package.to_owned(),
            Self::Javascript | Self::Typescript => package.replace(WASI, WASI_OF_JAVASCRIPT),
        }
    }
}

/// One file.
pub(super) struct TemplateFile {
    /// In the folder.
    pub(super) path: &'static str,
    pub(super) text: String,
}

/// The text of one of the files of this crate's `templates`.
macro_rules! text {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

impl Template {
    /// A description of the folder it makes.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Http => "a component that answers HTTP requests",
            Self::Library => "a component that others link to",
            Self::Composed => "two components that are made one",
            Self::Provider => "a provider",
            Self::Application => "an application",
        }
    }

    /// Whether there is one in a language.
    pub(super) fn is_in(self, language: Language) -> bool {
        match language {
            Language::Rust => true,
            Language::Python
            | Language::Javascript
            | Language::Typescript
            | Language::C
            | Language::Go => {
                matches!(self, Self::Http | Self::Application)
            }
        }
    }

    /// All its files.
    ///
    /// # Errors
    ///
    /// If a package of WIT is not there, which is a fault of this program.
    pub(super) fn files(self, language: Language) -> anyhow::Result<Vec<TemplateFile>> {
        let mut files = match self {
            Self::Http if language == Language::Python => vec![
                file("README.md", text!("http-python/README.md")),
                file("app.py", text!("http-python/app.py")),
                file("app.yaml", text!("http-python/app.yaml")),
                file("greeting.py", text!("http-python/greeting.py")),
                file("test_greeting.py", text!("http-python/test_greeting.py")),
                file("wit/world.wit", text!("http/wit/world.wit")),
            ],
            Self::Http if language == Language::Javascript => vec![
                file("README.md", text!("http-javascript/README.md")),
                file("app.js", text!("http-javascript/app.js")),
                file("app.yaml", text!("http-javascript/app.yaml")),
                file("greeting.js", text!("http-javascript/greeting.js")),
                file(
                    "greeting.test.js",
                    text!("http-javascript/greeting.test.js"),
                ),
                file("package.json", text!("http-javascript/package.json")),
                file("wit/world.wit", text!("http-javascript/world.wit")),
            ],
            Self::Http if language == Language::Typescript => vec![
                file("README.md", text!("http-typescript/README.md")),
                file("app.yaml", text!("http-typescript/app.yaml")),
                file("package.json", text!("http-typescript/package.json")),
                file("src/app.ts", text!("http-typescript/src/app.ts")),
                file("src/greeting.ts", text!("http-typescript/src/greeting.ts")),
                file(
                    "test/greeting.test.js",
                    text!("http-typescript/test/greeting.test.js"),
                ),
                file("tsconfig.json", text!("http-typescript/tsconfig.json")),
                file("wit/world.wit", text!("http-javascript/world.wit")),
            ],
            Self::Http if language == Language::C => vec![
                file("Makefile", text!("http-c/Makefile")),
                file("README.md", text!("http-c/README.md")),
                file("app.c", text!("http-c/app.c")),
                file("app.yaml", text!("http-c/app.yaml")),
                file("greeting.c", text!("http-c/greeting.c")),
                file("greeting.h", text!("http-c/greeting.h")),
                file("test_greeting.c", text!("http-c/test_greeting.c")),
                file("tools.mk", text!("c/tools.mk")),
                file("wit/world.wit", text!("http/wit/world.wit")),
            ],
            Self::Http if language == Language::Go => vec![
                file("Makefile", text!("http-go/Makefile")),
                file("README.md", text!("http-go/README.md")),
                file("app.yaml", text!("http-go/app.yaml")),
                file(
                    "component/exports/export_wasi_http_incoming_handler/handler.go",
                    text!("http-go/handler.go"),
                ),
                file("go.mod", text!("http-go/go.mod.txt")),
                file("greeting/greeting.go", text!("http-go/greeting.go")),
                file(
                    "greeting/greeting_test.go",
                    text!("http-go/greeting_test.go"),
                ),
                file("main.go", text!("http-go/main.go")),
                file("tools.mk", text!("go/tools.mk")),
                file("wit/world.wit", text!("http/wit/world.wit")),
            ],
            Self::Http => vec![
                file("Cargo.toml", text!("http/Cargo.toml.txt")),
                file("README.md", text!("http/README.md")),
                file("src/lib.rs", text!("http/src/lib.rs")),
                file("wit/world.wit", text!("http/wit/world.wit")),
            ],
            Self::Library => vec![
                file("Cargo.toml", text!("library/Cargo.toml.txt")),
                file("README.md", text!("library/README.md")),
                file("src/lib.rs", text!("library/src/lib.rs")),
                file("wit/world.wit", text!("library/wit/world.wit")),
            ],
            Self::Composed => vec![
                workspace(&["front", "page"]),
                file("README.md", text!("composed/README.md")),
                file("app.yaml", text!("composed/app.yaml")),
                member("front/Cargo.toml", "front"),
                file("front/src/lib.rs", text!("composed/front/src/lib.rs")),
                member("page/Cargo.toml", "page"),
                file("page/src/lib.rs", text!("composed/page/src/lib.rs")),
                file("wit/world.wit", text!("composed/wit/world.wit")),
            ],
            Self::Provider => vec![
                file("Cargo.toml", text!("provider/Cargo.toml.txt")),
                file("README.md", text!("provider/README.md")),
                file("src/main.rs", text!("provider/src/main.rs")),
                file("wit/provider.wit", text!("provider/wit/provider.wit")),
            ],
            Self::Application => {
                let mut files = match language {
                    Language::Python => vec![
                        workspace(&["counter"]),
                        file("README.md", text!("application-python/README.md")),
                        file("app.yaml", text!("application-python/app.yaml")),
                        file("front/app.py", text!("application-python/app.py")),
                        file("front/said.py", text!("application-python/said.py")),
                        file(
                            "front/test_said.py",
                            text!("application-python/test_said.py"),
                        ),
                    ],
                    Language::Javascript => vec![
                        workspace(&["counter"]),
                        file("README.md", text!("application-javascript/README.md")),
                        file("app.yaml", text!("application-javascript/app.yaml")),
                        file("front/app.js", text!("application-javascript/app.js")),
                        file(
                            "front/package.json",
                            text!("application-javascript/package.json"),
                        ),
                        file("front/said.js", text!("application-javascript/said.js")),
                        file(
                            "front/said.test.js",
                            text!("application-javascript/said.test.js"),
                        ),
                    ],
                    Language::Typescript => vec![
                        workspace(&["counter"]),
                        file("README.md", text!("application-typescript/README.md")),
                        file("app.yaml", text!("application-typescript/app.yaml")),
                        file(
                            "front/package.json",
                            text!("application-typescript/package.json"),
                        ),
                        file(
                            "front/src/app.ts",
                            text!("application-typescript/src/app.ts"),
                        ),
                        file(
                            "front/src/imports.d.ts",
                            text!("application-typescript/src/imports.d.ts"),
                        ),
                        file(
                            "front/src/said.ts",
                            text!("application-typescript/src/said.ts"),
                        ),
                        file(
                            "front/test/said.test.js",
                            text!("application-typescript/test/said.test.js"),
                        ),
                        file(
                            "front/tsconfig.json",
                            text!("application-typescript/tsconfig.json"),
                        ),
                    ],
                    Language::C => vec![
                        workspace(&["counter"]),
                        file("README.md", text!("application-c/README.md")),
                        file("app.yaml", text!("application-c/app.yaml")),
                        file("front/Makefile", text!("application-c/Makefile")),
                        file("front/app.c", text!("application-c/app.c")),
                        file("front/said.c", text!("application-c/said.c")),
                        file("front/said.h", text!("application-c/said.h")),
                        file("front/test_said.c", text!("application-c/test_said.c")),
                        file("front/tools.mk", text!("c/tools.mk")),
                    ],
                    Language::Go => vec![
                        workspace(&["counter"]),
                        file("README.md", text!("application-go/README.md")),
                        file("app.yaml", text!("application-go/app.yaml")),
                        file("front/Makefile", text!("application-go/Makefile")),
                        file(
                            "front/component/exports/export_wasi_http_incoming_handler/handler.go",
                            text!("application-go/handler.go"),
                        ),
                        file("front/go.mod", text!("application-go/go.mod.txt")),
                        file("front/main.go", text!("application-go/main.go")),
                        file("front/said/said.go", text!("application-go/said.go")),
                        file(
                            "front/said/said_test.go",
                            text!("application-go/said_test.go"),
                        ),
                        file("front/tools.mk", text!("go/tools.mk")),
                    ],
                    Language::Rust => vec![
                        workspace(&["counter", "front"]),
                        file("README.md", text!("application/README.md")),
                        file("app.yaml", text!("application/app.yaml")),
                        member("front/Cargo.toml", "front"),
                        file("front/src/lib.rs", text!("application/front/src/lib.rs")),
                    ],
                };
                files.extend([
                    member("counter/Cargo.toml", "counter"),
                    file(
                        "counter/src/lib.rs",
                        text!("application/counter/src/lib.rs"),
                    ),
                    file(
                        "wit/world.wit",
                        &language.wasi(text!("application/wit/world.wit")),
                    ),
                ]);
                files
            }
        };
        let ignored = match language {
            Language::Rust => text!("gitignore.txt").to_owned(),
            // The application has a part in Rust as well.
            Language::Python if self == Self::Application => {
                text!("gitignore.txt").to_owned() + text!("gitignore-python.txt")
            }
            Language::Javascript | Language::Typescript if self == Self::Application => {
                let ignored = text!("gitignore-javascript.txt")
                    .replace("/node_modules", "node_modules")
                    .replace("/dist", "/front/dist");
                text!("gitignore.txt").to_owned() + &ignored
            }
            Language::C if self == Self::Application => {
                text!("gitignore.txt").to_owned() + text!("gitignore-c.txt")
            }
            Language::C => text!("gitignore-c.txt").to_owned(),
            Language::Go if self == Self::Application => {
                let ignored = text!("gitignore-go.txt").lines();
                let of_front = ignored.filter(|line| *line != "/.withe");
                let of_front = of_front.map(|line| format!("/front{line}\n"));
                text!("gitignore.txt").to_owned() + &of_front.collect::<String>()
            }
            Language::Go => text!("gitignore-go.txt").to_owned(),
            Language::Python => text!("gitignore-python.txt").to_owned(),
            Language::Javascript | Language::Typescript => {
                text!("gitignore-javascript.txt").to_owned()
            }
        };
        files.push(file(".gitignore", &ignored));
        if matches!(self, Self::Http | Self::Composed | Self::Application) {
            let of = |package: &str| language.wasi(&stable(package));
            let clocks = of(wit::WASI_CLOCKS_0_2);
            files.push(file("wit/deps/wasi-clocks.wit", &clocks));
            files.push(file("wit/deps/wasi-http.wit", &of(wit::WASI_HTTP_0_2)));
            files.push(file("wit/deps/wasi-io.wit", &of(wit::WASI_IO_0_2)));
        }
        if self == Self::Application {
            files.push(file("wit/deps/wasi-keyvalue.wit", keyvalue()?));
        }
        Ok(files)
    }
}

/// The draft of `wasi:keyvalue` that components mostly import.
fn keyvalue() -> anyhow::Result<&'static str> {
    let packages = withe_provider_keyvalue::DESCRIPTOR.wit.iter();
    let mut wanted = packages.filter(|text| text.contains("package wasi:keyvalue@0.2.0-draft;"));
    let found = wanted.next().copied();
    found.context("the keyvalue provider has no `wasi:keyvalue@0.2.0-draft`")
}

/// The functions of `wasi:http` that WASI calls unstable, and that no host has. A component that imports all of an
/// interface, as Python does, could be linked nowhere with them.
const UNSTABLE: [&str; 1] = ["send-informational:"];

/// A package without its unstable functions.
fn stable(package: &str) -> String {
    let is_stable = |line: &&str| {
        !UNSTABLE
            .iter()
            .any(|name| line.trim_start().starts_with(name))
    };
    let lines = package.lines().filter(is_stable);
    lines.map(|line| format!("{line}\n")).collect()
}

fn file(path: &'static str, text: &str) -> TemplateFile {
    TemplateFile {
        path,
        text: text.to_owned(),
    }
}

fn workspace(members: &[&str]) -> TemplateFile {
    let members: Vec<_> = (members.iter()).map(|name| format!("\"{name}\"")).collect();
    let members = members.join(", ");
    TemplateFile {
        path: "Cargo.toml",
        text: text!("workspace.txt").replace("{{members}}", &members),
    }
}

fn member(path: &'static str, name: &str) -> TemplateFile {
    TemplateFile {
        path,
        text: text!("member.txt").replace("{{member}}", name),
    }
}

/// The names that are filled in.
pub(super) struct Names {
    name: String,
    /// As files and modules have it.
    file: String,
    sdk: String,
}

impl Names {
    /// # Errors
    ///
    /// Returns an error if there is no SDK in that folder.
    pub(super) fn new(name: &str, sdk: Option<&Path>) -> anyhow::Result<Self> {
        let sdk = match sdk {
            None => format!("git = {REPOSITORY:?}"),
            Some(folder) => {
                let path = absolute(folder.join("crates/withe-provider"));
                let path = path.ok().filter(|path| path.join("Cargo.toml").is_file());
                let path = path.with_context(|| {
                    format!(
                        "`{}` has no `crates/withe-provider`: name the folder of Withe's sources",
                        folder.display()
                    )
                })?;
                format!("path = {:?}", path.display().to_string())
            }
        };
        Ok(Self {
            name: name.to_owned(),
            file: name.replace('-', "_"),
            sdk,
        })
    }

    /// A text with them in it.
    pub(super) fn put_into(&self, text: &str) -> String {
        text.replace("{{name}}", &self.name)
            .replace("{{file}}", &self.file)
            .replace("{{sdk}}", &self.sdk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasi_has_one_version_in_all_files() {
        let all = Template::value_variants().iter();
        let all = all.flat_map(|t| Language::value_variants().iter().map(move |l| (t, *l)));
        for (template, language) in all.filter(|(template, language)| template.is_in(*language)) {
            let wanted = language.wasi(WASI);
            let files = template.files(language).unwrap();
            for file in files.iter().filter(|file| file.path.ends_with(".wit")) {
                let versions = file.text.lines().filter(|line| line.contains("@0.2."));
                for line in versions.filter(|line| !line.contains("since")) {
                    let is_draft = line.contains("@0.2.0-draft");
                    assert!(
                        is_draft || line.contains(&wanted),
                        "{template:?} {language:?} {}: {line}",
                        file.path
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        let names = Names::new("my-app", None).unwrap();
        let all = Template::value_variants().iter();
        let all = all.flat_map(|t| Language::value_variants().iter().map(move |l| (t, *l)));
        for (template, language) in all.filter(|(template, language)| template.is_in(*language)) {
            let files = template.files(language).unwrap();
            for file in &files {
                let text = names.put_into(&file.text);
                // Rust has two braces in a row, too, but no such words between them.
                for name in ["name", "file", "sdk", "member", "members"] {
                    let left = format!("{{{{{name}}}}}");
                    assert!(!text.contains(&left), "{template:?}: {}", file.path);
                }
            }
            assert!(
                files.iter().any(|file| file.path == "README.md"),
                "{template:?}"
            );
        }
    }
}
