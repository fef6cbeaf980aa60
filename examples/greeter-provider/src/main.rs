//! A provider for an interface of one's own: `wit/greeter.wit`.

use std::process::ExitCode;
use std::sync::Arc;

use acme::greeter::greeter::{self, GreetError, Person};
use withe_provider::settings::{Settings, describe};
use withe_provider::{
    CallError, ConfigMap, ConfigProblem, Context, Descriptor, Exporter, ProviderError, process,
};

// `WIT`, `functions`, and the module `acme::greeter::greeter`.
withe_provider::generate!("wit");

const DESCRIPTOR: Descriptor = Descriptor {
    name: "greeter",
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
            if !problems.is_empty() {
                return Err(ProviderError(describe(&problems)));
            }
            tracing::info!(component = link.component, "greets for a component");
            Ok(greeter)
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
}

impl greeter::Interface for Greeter {
    async fn greet(
        &self,
        _: &Context<'_>,
        person: Person,
    ) -> Result<Result<String, GreetError>, CallError> {
        if person.name.is_empty() {
            return Ok(Err(GreetError::Nobody));
        }
        let hello = match person.language.as_deref() {
            None | Some("en") => "Hello",
            Some("de") => "Guten Tag",
            Some("fr") => "Bonjour",
            Some(other) => return Ok(Err(GreetError::UnknownLanguage(other.to_owned()))),
        };
        Ok(Ok(format!("{hello}, {}{}", person.name, self.punctuation)))
    }
}
