//! A provider for an interface of one's own: `wit/greeter.wit`, whose function it implements.

use std::process::ExitCode;
use std::sync::Arc;

use withe_provider::settings::{Settings, describe};
use withe_provider::{
    ConfigMap, ConfigProblem, Context, Descriptor, Exporter, Functions, Link, ProviderError,
    process, record, variant,
};

const DESCRIPTOR: Descriptor = Descriptor {
    name: "greeter",
    version: env!("CARGO_PKG_VERSION"),
    summary: "greets people",
    wit: &[include_str!("../wit/greeter.wit")],
    aliases: &[],
    paths: &[],
    check_config: |_, config| punctuation(config).1,
    create: |config| Arc::new(greeter(config)),
};

fn main() -> ExitCode {
    process::main(&DESCRIPTOR)
}

// The types of the interface.

record! {
    struct Person {
        name: String,
        language: Option<String>,
    }
}

variant! {
    enum GreetError {
        Nobody,
        UnknownLanguage(language: String),
    }
}

/// What the provider has of one link.
struct Greeter {
    punctuation: String,
}

/// The provider, with its own configuration, which is the default of its links.
fn greeter(own: ConfigMap) -> Exporter<Greeter> {
    let functions = Functions::of("acme:greeter/greeter@0.1.0").function("greet", greet);
    Exporter::new(functions, move |link| {
        let made = make(&own, &link);
        async move { made }
    })
}

fn make(own: &ConfigMap, link: &Link) -> Result<Greeter, ProviderError> {
    let mut config = own.clone();
    config.extend(link.config.clone());
    let (punctuation, problems) = punctuation(&config);
    if !problems.is_empty() {
        return Err(ProviderError(describe(&problems)));
    }
    tracing::info!(component = link.component, "greets for a component");
    Ok(Greeter { punctuation })
}

/// Reads a configuration: the one key that there is, and all that is wrong.
fn punctuation(config: &ConfigMap) -> (String, Vec<ConfigProblem>) {
    let mut settings = Settings::new(config);
    let punctuation = settings.choice("punctuation", &["!", ".", "?"]);
    (punctuation.unwrap_or("!").to_owned(), settings.finish())
}

async fn greet(
    cx: Context<Greeter>,
    (person,): (Person,),
) -> Result<Result<String, GreetError>, withe_provider::CallError> {
    let Person { name, language } = person;
    if name.is_empty() {
        return Ok(Err(GreetError::Nobody));
    }
    let hello = match language.as_deref() {
        None | Some("en") => "Hello",
        Some("de") => "Guten Tag",
        Some("fr") => "Bonjour",
        Some(other) => return Ok(Err(GreetError::UnknownLanguage(other.to_owned()))),
    };
    Ok(Ok(format!("{hello}, {name}{}", cx.link.punctuation)))
}
