//! The documentation: its links lead somewhere, its command lines are ones that the command takes, and the site has all of its
//! pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use withe_testing::cosign::Signer;

use crate::sandbox::Sandbox;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// The Markdown of this repository, by path: not that of templates, whose names are not filled in.
fn pages() -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_dir() {
                // Built, fetched, or hidden.
                if !["target", "node_modules", "templates"].contains(&name)
                    && !name.starts_with('.')
                {
                    walk(&path, pages);
                }
            } else if name.ends_with(".md") {
                pages.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut pages = BTreeMap::new();
    walk(&root(), &mut pages);
    pages
}

/// One page, as far as these tests look at it.
#[derive(Default)]
struct Page {
    /// The anchors of its headings, as GitHub and mdbook make them.
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// The lines of its `console` blocks that begin with `$ `, with those that they go on in.
    commands: Vec<String>,
}

fn read(text: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    let mut is_console = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap());
                let again = (1..).map(|n| format!("{anchor}-{n}"));
                let mut names = std::iter::once(anchor.clone()).chain(again);
                let free = names.find(|name| !page.anchors.contains(name)).unwrap();
                page.anchors.insert(free);
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => {
                is_console = kind.split(',').next() == Some("console");
            }
            Event::End(TagEnd::CodeBlock) => is_console = false,
            Event::Text(text) if is_console => page.commands.extend(commands(&text)),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    page
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// The command lines of a `console` block.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        let typed = match line.strip_prefix("$ ") {
            Some(typed) => {
                commands.push(String::new());
                typed
            }
            None if goes_on => line,
            None => continue,
        };
        goes_on = typed.ends_with('\\');
        let command = commands.last_mut().unwrap();
        command.push_str(typed.trim_end_matches('\\'));
        command.push(' ');
    }
    commands
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let read: BTreeMap<_, _> = pages
        .iter()
        .map(|(path, text)| (path, read(text)))
        .collect();
    let mut broken = Vec::new();
    for (path, page) in &read {
        for link in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => (*path).clone(),
                file => path.parent().unwrap().join(file),
            };
            let is_there = match target.canonicalize() {
                Err(_) => false,
                Ok(_) if anchor.is_empty() => true,
                Ok(target) => read
                    .get(&target)
                    .is_none_or(|page| page.anchors.contains(anchor)),
            };
            if !is_there {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(read.len() > 30, "the pages were not found");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The words of a command line, up to what a shell makes of it: a comment, a pipe, another command.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut is_open = false;
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if !is_open => break,
            (None, '|' | ';' | '&' | '<' | '>') => break,
            (None, '\'' | '"') => {
                quote = Some(c);
                if !is_open {
                    words.push(String::new());
                    is_open = true;
                }
            }
            (Some(end), c) if c == end => quote = None,
            (None, c) if c.is_whitespace() => is_open = false,
            (_, c) => {
                if !is_open {
                    words.push(String::new());
                    is_open = true;
                }
                words.last_mut().unwrap().push(c);
            }
        }
    }
    words
}

/// With `--help` behind them, options are looked at, and nothing is done.
#[test]
fn command_lines_are_ones_that_the_command_takes() {
    let sandbox = Sandbox::new();
    // The key that pages name: whoever gives one has it read.
    let signer = Signer::new().unwrap();
    signer.write_public(&sandbox.path("cosign.pub")).unwrap();
    let mut looked_at = 0;
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        for line in read(&text).commands {
            // Also where another command comes first, as in `cd hello && withe dev`.
            for part in line.split("&&") {
                let words = words(part);
                let Some((program, arguments)) = words.split_first() else {
                    continue;
                };
                // A word in capitals, or one with `…`, stands for others.
                if program != "withe" || arguments.iter().any(|word| word == "…" || word == "help")
                {
                    continue;
                }
                let own = arguments.iter().take_while(|word| *word != "--");
                let mut arguments: Vec<_> = own.map(String::as_str).collect();
                arguments.push("--help");
                looked_at += 1;
                let shown = sandbox.run(&arguments);
                if !shown.starts_with("exit code: 0\n") {
                    wrong.push(format!("{}: {part}\n{shown}", path.display()));
                }
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} were found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn all_pages_are_in_the_sites_summary() {
    let docs = root().join("docs");
    let summary = read(&fs::read_to_string(docs.join("SUMMARY.md")).unwrap());
    let listed: BTreeSet<_> = summary.links.into_iter().collect();
    let there: BTreeSet<_> = (fs::read_dir(&docs).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn words_are_those_of_a_shell() {
    assert_eq!(
        words("withe call c.wasm 'f([{a: \"b\"}])' --x=\"1 2\" # why"),
        ["withe", "call", "c.wasm", "f([{a: \"b\"}])", "--x=1 2"]
    );
    assert_eq!(
        words("withe up a.wasm --emit-manifest > a.yaml"),
        ["withe", "up", "a.wasm", "--emit-manifest"]
    );
    assert_eq!(commands("$ a \\\n    b\nsaid\n$ c\n"), ["a      b ", "c "]);
    assert_eq!(anchor("withe up: `--ui`, and why"), "withe-up---ui-and-why");
}
