//! A provider: a program that serves an interface to components.

use std::process::ExitCode;
use std::sync::Arc;

use example::{{file}}::greeter;
use withe_provider::settings::{Settings, describe};
use withe_provider::{
    CallError, ConfigMap, ConfigProblem, Context, Descriptor, Exporter, ProviderError, process,
};

// `WIT`, `functions`, and the module `example::{{file}}::greeter`.
withe_provider::generate!("wit");

const DESCRIPTOR: Descriptor = Descriptor {
    name: "{{name}}",
    version: env!("CARGO_PKG_VERSION"),
    summary: "greets people",
    wit: WIT,
    aliases: &[],
    paths: &[],
    check_config: |_, config| Greeter::new(config).1,
    create: |config| Arc::new(provider(config)),
};

fn main() -> ExitCode {
    process::main(&DESCRIPTOR)
}

/// The provider. Its own configuration is the default of its links.
fn provider(own: ConfigMap) -> Exporter<Greeter> {
    Exporter::new(functions(), move |link| {
        let mut config = own.clone();
        config.extend(link.config);
        async move {
            let (greeter, problems) = Greeter::new(&config);
            match problems.is_empty() {
                true => Ok(greeter),
                false => Err(ProviderError(describe(&problems))),
            }
        }
    })
}

/// The provider's state of one link.
struct Greeter {
    punctuation: String,
}

impl Greeter {
    /// As a configuration says, and all that is wrong with that.
    fn new(config: &ConfigMap) -> (Self, Vec<ConfigProblem>) {
        let mut settings = Settings::new(config);
        let punctuation = settings.choice("punctuation", &["!", ".", "?"]);
        let punctuation = punctuation.unwrap_or("!").to_owned();
        (Self { punctuation }, settings.finish())
    }

    fn greeting(&self, name: &str) -> Result<String, String> {
        match name.trim() {
            "" => Err("nobody is there to be greeted".to_owned()),
            name => Ok(format!("hello, {name}{}", self.punctuation)),
        }
    }
}

impl greeter::Interface for Greeter {
    async fn greet(
        &self,
        _: &Context<'_>,
        name: String,
    ) -> Result<Result<String, String>, CallError> {
        Ok(self.greeting(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_greeted_as_the_configuration_says() {
        let config = [("punctuation".to_owned(), "?".to_owned())].into();
        let (greeter, problems) = Greeter::new(&config);
        assert!(problems.is_empty());
        assert_eq!(greeter.greeting("ada"), Ok("hello, ada?".to_owned()));
        assert!(greeter.greeting("").is_err());
    }
}
