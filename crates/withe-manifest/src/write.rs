//! An application as the text of a manifest: what [`parse`](crate::parse) reads back as the same.
//!
//! For applications that are made from the arguments of a command, so that one can be kept, sent to a lattice, and
//! read by people. Fields that no argument can say (secrets, scalers, policies, links by their interfaces) are not written; a
//! manifest is never read to be written again, because its comments would be lost. The YAML is our own, of a dozen lines:
//! with a serializer the order of fields and the quotes would be another's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use withe_linker::input::{
    Application, Command, Component, ComponentKind, DirectoryGrant, Grants, Image, Link,
    NamedConfig,
};

use crate::document::{API_VERSION, KIND};

/// The text of an application that was made from arguments.
pub fn write(application: &Application) -> String {
    let mut out = Text::default();
    out.line(0, &format!("apiVersion: {API_VERSION}"));
    out.line(0, &format!("kind: {KIND}"));
    out.line(0, "metadata:");
    out.field(1, "name", &application.name);
    out.line(0, "spec:");
    out.line(1, "components:");
    for component in &application.components {
        out.component(component);
    }
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{:1$}{text}", "", depth * 2);
    }

    fn field(&mut self, depth: usize, name: &str, value: &str) {
        self.line(depth, &format!("{name}: {}", scalar(value)));
    }

    fn map(&mut self, depth: usize, name: &str, values: &BTreeMap<String, String>) {
        if values.is_empty() {
            return;
        }
        self.line(depth, &format!("{name}:"));
        for (key, value) in values {
            self.field(depth + 1, &scalar(key), value);
        }
    }

    fn component(&mut self, component: &Component) {
        self.line(2, &format!("- name: {}", scalar(&component.name)));
        let kind = match component.kind {
            ComponentKind::Component => "component",
            ComponentKind::Provider => "capability",
        };
        self.field(3, "type", kind);
        self.line(3, "properties:");
        self.image(&component.image);
        self.configs(4, &component.config);
        self.grants(&component.grants);
        if let Some(command) = &component.command {
            self.command(command);
        }
        if !component.links.is_empty() {
            self.line(3, "traits:");
        }
        for link in &component.links {
            self.link(link);
        }
    }

    fn image(&mut self, image: &Image) {
        match image {
            Image::Compose(parts) => {
                self.line(4, "compose:");
                for part in parts {
                    self.line(5, &format!("- {}", scalar(&reference(part))));
                }
            }
            image => self.field(4, "image", &reference(image)),
        }
    }

    fn configs(&mut self, depth: usize, configs: &[NamedConfig]) {
        if configs.is_empty() {
            return;
        }
        self.line(depth, "config:");
        for config in configs {
            self.line(depth + 1, &format!("- name: {}", scalar(&config.name)));
            if config.secret {
                self.line(depth + 2, "secret: true");
            }
            if let Some(properties) = &config.properties {
                let properties = properties.iter();
                let plain = properties.map(|(key, value)| (key.clone(), value.value.clone()));
                self.map(depth + 2, "properties", &plain.collect());
            }
        }
    }

    fn grants(&mut self, grants: &Grants) {
        let network = grants.network.as_ref().is_some_and(|network| network.value);
        if grants.directories.is_empty() && grants.env.is_empty() && !network {
            return;
        }
        self.line(4, "grants:");
        if !grants.directories.is_empty() {
            self.line(5, "directories:");
        }
        for directory in &grants.directories {
            let DirectoryGrant {
                host,
                guest,
                read_only,
            } = directory;
            self.line(6, &format!("- host: {}", scalar(host)));
            self.field(7, "guest", guest);
            if *read_only {
                self.line(7, "read_only: true");
            }
        }
        self.map(5, "env", &grants.env);
        if network {
            self.line(5, "network: true");
        }
    }

    fn command(&mut self, command: &Command) {
        if command.arguments.is_empty() {
            return self.line(4, "command: {}");
        }
        self.line(4, "command:");
        self.line(5, "arguments:");
        for argument in &command.arguments {
            self.line(6, &format!("- {}", scalar(argument)));
        }
    }

    fn link(&mut self, link: &Link) {
        self.line(4, "- type: link");
        self.line(5, "properties:");
        if link.target_config.is_empty() {
            self.field(6, "target", &link.target);
        } else {
            self.line(6, "target:");
            self.field(7, "name", &link.target);
            self.configs(7, &link.target_config);
        }
        if !link.source_config.is_empty() {
            self.line(6, "source:");
            self.configs(7, &link.source_config);
        }
    }
}

/// An image as `image:` names it.
fn reference(image: &Image) -> String {
    match image {
        Image::File(path) if ["/", "./", "../"].iter().any(|s| path.starts_with(s)) => path.clone(),
        Image::File(path) => format!("./{path}"),
        Image::Builtin(name) => format!("withe:{name}"),
        Image::Oci(reference) => reference.clone(),
        Image::Lattice(id) => format!("lattice:{id}"),
        // No argument names any of these.
        Image::Compose(_) | Image::Application { .. } | Image::Invalid => String::new(),
    }
}

/// A text as a YAML scalar: plain where nobody could take it for anything else, else in quotes, as JSON has them.
fn scalar(text: &str) -> String {
    // Words that some reader of YAML takes for a boolean or nothing.
    const WORDS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.');
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_number = text.starts_with('.') && !text.starts_with("./") && !text.starts_with("../");
    if text.starts_with(begins)
        && text.chars().all(is_plain)
        && !text.ends_with(':')
        && !is_word
        && !is_number
    {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const TEXT: &str = r#"apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: shop
spec:
  components:
    - name: http-server
      type: capability
      properties:
        image: withe:http-server
        config:
          - name: http-server
            properties:
              address: "127.0.0.1:8080"
      traits:
        - type: link
          properties:
            target: shop
    - name: shop
      type: component
      properties:
        compose:
          - ./a.wasm
          - "/b b.wasm"
        config:
          - name: config
            properties:
              "": ""
              a: "true"
              b: "it's \"1\"\n# and: so on"
          - name: secret
            secret: true
            properties:
              key: "•"
        grants:
          directories:
            - host: ../data
              guest: /
              read_only: true
          env:
            LANG: de
          network: true
        command:
          arguments:
            - "-v"
            - ".5"
            - "no"
            - plain
"#;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let parsed = parse(TEXT);
        assert!(!parsed.diagnostics.has_errors(), "{:?}", parsed.diagnostics);
        let application = parsed.application.unwrap();
        assert_eq!(write(&application), TEXT);
        let arguments = &application.command().unwrap().1.arguments;
        assert_eq!(arguments, &["-v", ".5", "no", "plain"]);
    }

    #[test]
    fn scalars_are_read_as_the_text_they_were() {
        for text in [
            "",
            " a",
            "a ",
            "a: b",
            "a #b",
            "- a",
            "~",
            "1",
            "0x1",
            "1e3",
            ".nan",
            ".5",
            "é",
            "a:",
            "!t",
            "&a",
            "*a",
            "@",
            "`",
            "%",
            "{}",
            "[]",
            "\t",
            "\u{7f}",
            "\u{feff}",
            "\u{2028}",
            "No",
            "a:b/c@1.0",
        ] {
            let manifest = format!(
                "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: a}}\nspec:\n  components:\n    \
                 - name: a\n      type: component\n      properties:\n        image: ./a.wasm\n        command:\n          \
                 arguments:\n            - {}\n",
                scalar(text)
            );
            let parsed = parse(&manifest);
            let application = parsed.application.unwrap();
            let found = &application.command().unwrap().1.arguments;
            assert_eq!(found, &[text], "{manifest}{:?}", parsed.diagnostics);
        }
    }
}
