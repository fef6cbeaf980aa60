//! The request that an application makes of this host, and whether the host's policy accepts it.
//!
//! The request is made of the plan, for that is what runs: whatever a manifest says elsewhere, and by whatever name it
//! asks for a provider, the plan has the result. Where paths lead is looked up here, so that neither `..` nor links
//! lead out of a directory that is accepted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use withe_linker::input::{ConfigMap, Image};
use withe_linker::plan::{Plan, PlannedComponent};
use withe_load::{Loaded, ProviderSource, V1Source};

use crate::desired::Desired;
use crate::policy::{
    AdmissionRequest, RefusedByPolicy, RequestedCode, RequestedDirectory, RequestedPart,
};
use crate::programs::file_name;
use crate::real_path::real_path;
use crate::records::AppRecord;
use crate::this_host::ThisHost;

/// Lets what a plan runs here through, if the host's policy accepts all of it.
///
/// # Errors
///
/// Everything that the policy does not accept.
pub(crate) async fn admit(
    this: &ThisHost,
    desired: &Desired,
    loaded: &Loaded,
    plan: &Plan,
) -> Result<(), RefusedByPolicy> {
    let record = &desired.record;
    let mut request = AdmissionRequest {
        names: vec![record.name.clone()],
        deployer: desired.deployer.clone(),
        parts: Vec::new(),
    };
    // The parts have their ids by the manifest's.
    if plan.application != record.name {
        request.names.push(plan.application.clone());
    }
    let images = images(loaded);
    for part in plan.components.iter().filter(|part| !part.elsewhere) {
        let provider = loaded.part(&part.name).and_then(|part| part.provider());
        let code = match provider {
            Some(provider) => of_provider(this, record, &part.name, provider).await,
            None => RequestedCode::Component {
                images: images.get(&*part.name).cloned().unwrap_or_default(),
                digest: part.digest.clone(),
            },
        };
        let mut directories = granted(part, &loaded.folder);
        if let Some(provider) = provider {
            directories.extend(configured(plan, part, provider, &loaded.folder));
        }
        request.parts.push(RequestedPart {
            name: part.name.clone(),
            code,
            directories,
            network: part.grants.network,
            env: part.grants.env.keys().cloned().collect(),
            memory: part.memory,
            time: part.time_ms.map(Duration::from_millis),
            instances: part.instances,
        });
    }
    match this.policy.refusals(&request) {
        refusals if refusals.is_empty() => Ok(()),
        refusals => Err(RefusedByPolicy(refusals)),
    }
}

/// The images of parts, by the part: a component's count, also if it is declared as a provider.
fn images(loaded: &Loaded) -> BTreeMap<&str, Vec<String>> {
    let components = (loaded.application.iter()).flat_map(|app| &app.components);
    let of = |image: &Image| match image {
        Image::Compose(images) => images.iter().filter_map(|image| name(image)).collect(),
        image => Vec::from_iter(name(image)),
    };
    components
        .map(|component| (component.name.as_str(), of(&component.image)))
        .collect()
}

/// An image as a manifest names it; `None` for those that stand for something else.
fn name(image: &Image) -> Option<String> {
    match image {
        Image::File(path) => Some(path.clone()),
        Image::Builtin(name) => Some(format!("withe:{name}")),
        Image::Oci(reference) => Some(reference.clone()),
        Image::Lattice(id) => Some(format!("lattice:{id}")),
        Image::Compose(_) | Image::Application { .. } | Image::Invalid => None,
    }
}

async fn of_provider(
    this: &ThisHost,
    record: &AppRecord,
    part: &str,
    provider: &ProviderSource,
) -> RequestedCode {
    let image = match provider {
        // A manifest may have another name for it.
        ProviderSource::InHost(descriptor) | ProviderSource::OwnProcess(descriptor) => {
            format!("withe:{}", descriptor.name)
        }
        ProviderSource::V1(part) => match &part.source {
            V1Source::Lattice(id) => format!("lattice:{id}"),
            V1Source::Archive(..) => String::new(),
        },
        ProviderSource::Program(_) => String::new(),
    };
    if provider.file().is_none() {
        return RequestedCode::Provider { image };
    }
    match record.programs.get(part) {
        Some(program) => RequestedCode::Program {
            file: file_name(program),
            digest: program.digest.clone(),
            is_listed: this.programs.place(program).await.is_some(),
        },
        // The record does not say which, so that no list can have it.
        None => RequestedCode::Program {
            file: part.to_owned(),
            digest: String::new(),
            is_listed: false,
        },
    }
}

/// The directories that a component is granted.
fn granted(part: &PlannedComponent, folder: &Path) -> Vec<RequestedDirectory> {
    let directories = part.grants.directories.iter();
    directories
        .map(|directory| {
            let named = folder.join(&directory.host);
            RequestedDirectory {
                real: real_path(&named),
                named,
                is_written: !directory.read_only,
                key: None,
            }
        })
        .collect()
}

/// The files that a provider's own configuration and that of its links name.
fn configured<'a>(
    plan: &'a Plan,
    part: &'a PlannedComponent,
    provider: &'a ProviderSource,
    folder: &'a Path,
) -> impl Iterator<Item = RequestedDirectory> {
    let sources = (plan.links.iter()).filter(|link| link.source == part.name);
    let targets = (plan.links.iter()).filter(|link| link.target == part.name);
    let of_links = sources
        .map(|link| &link.source_config)
        .chain(targets.map(|link| &link.target_config));
    let paths = move |config: &'a ConfigMap| {
        let paths = config.iter().filter(move |(key, value)| {
            !value.is_empty() && provider.is_path(&key.to_ascii_lowercase())
        });
        paths.map(move |(key, value)| {
            let named = folder.join(value);
            RequestedDirectory {
                real: real_path(&named),
                named,
                is_written: true,
                key: Some(key.clone()),
            }
        })
    };
    std::iter::once(&part.config)
        .chain(of_links)
        .flat_map(paths)
}
