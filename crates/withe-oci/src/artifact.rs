//! The forms of artefacts: what is made to be pushed, and how what was pulled is recognised.
//!
//! A component has the form that other tools of Wasm give it (the CNCF's Wasm OCI artifact layout), a provider's
//! archive that of wasmCloud v1. An application is its manifest and all its parts, each a layer with its path as its
//! title, so that tools which know nothing of Withe unpack it to the folder that it was. Nothing in an artefact depends
//! on when, where or by whom it was made: the same bytes have the same digest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest_of;

/// The form of manifests that are pushed.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

const COMPONENT_CONFIG: &str = "application/vnd.wasm.config.v0+json";
const COMPONENT: &str = "application/wasm";
/// The media type that older tools of wasmCloud give components.
const OLD_COMPONENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const ARCHIVE_CONFIG: &str = "application/vnd.wasmcloud.provider.archive.config";
const ARCHIVE: &str = "application/vnd.wasmcloud.provider.archive.layer.v1+par";
const PROGRAM_CONFIG: &str = "application/vnd.withe.provider.program.config.v1+json";
const PROGRAM: &str = "application/vnd.withe.provider.program.v1";
const APPLICATION_CONFIG: &str = "application/vnd.withe.application.config.v1+json";
const APPLICATION_MANIFEST: &str = "application/vnd.withe.application.manifest.v1+yaml";
/// A layer of anything, which older tools give providers.
const ANYTHING: &str = "application/vnd.oci.image.layer.v1.tar";

/// The annotation with a layer's path.
const TITLE: &str = "org.opencontainers.image.title";
/// The folder of an application's parts.
pub(crate) const IMAGES: &str = "images";
/// The most layers of an application.
const MOST_LAYERS: usize = 4_096;
/// The most bytes of one layer.
pub(crate) const MOST_BLOB: u64 = 512 << 20;
/// The most bytes of all layers of one artefact.
const MOST_BYTES: u64 = 2 << 30;

/// The kind of a file of an artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A WebAssembly component.
    Component,
    /// A provider's archive, as of wasmCloud v1.
    Archive,
    /// A provider's program.
    Program,
}

impl FileKind {
    /// The kind of these bytes, by how they begin; `None` if they are of none.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\0asm") {
            Some(Self::Component)
        } else if bytes.starts_with(&[0x1f, 0x8b]) || bytes.get(257..262) == Some(b"ustar") {
            Some(Self::Archive)
        } else if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!") {
            Some(Self::Program)
        } else {
            None
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Component => COMPONENT,
            Self::Archive => ARCHIVE,
            Self::Program => PROGRAM,
        }
    }
}

/// The content of an artefact that was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A component or a provider.
    File {
        /// Which of them.
        kind: FileKind,
        /// The digest of its bytes.
        digest: String,
        /// Its bytes.
        bytes: Bytes,
    },
    /// An application.
    Application {
        /// Its manifest, whose images are paths of the files.
        manifest: String,
        /// Its files.
        files: Vec<ApplicationFile>,
    },
}

/// A part of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationFile {
    /// Its path from the manifest: `images/` and a name.
    pub path: String,
    /// The file's kind.
    pub kind: FileKind,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why something in a registry is nothing that runs here.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// Its manifest is not understood.
    #[error("its manifest in the registry is not understood: {0}")]
    Manifest(#[source] serde_json::Error),
    /// There are several, for other platforms.
    #[error("it is a list of images for platforms, and none is for `wasm`")]
    NoPlatform,
    /// The artefact is an image for containers.
    #[error("it is an image for containers")]
    Containers,
    /// The artefact is of another kind.
    #[error("it is neither a component nor a provider nor an application: its layers are {0}")]
    Other(String),
    /// An application lacks its manifest, or has two.
    #[error("it is an application that has not exactly one manifest")]
    NoManifest,
    /// An application's manifest is no text.
    #[error("it is an application whose manifest is not UTF-8")]
    NotText,
    /// A file of an application has no name that can be used.
    #[error(
        "it is an application with a file that is called `{0}`, which leads out of its folder or is there twice"
    )]
    Path(String),
    /// The artefact is larger than any that is taken.
    #[error("it has {0}, which is more than is taken")]
    TooLarge(String),
    /// The bytes are not what the layer says they are.
    #[error("its layer is called `{0}`, and its bytes are something else")]
    Mislabelled(String),
}

impl KindError {
    /// The remedy, if there is one to suggest.
    pub(crate) fn help(&self) -> Option<String> {
        let help = match self {
            Self::Containers | Self::NoPlatform | Self::Other(_) => {
                "components and providers are pushed with `withe push` or `wkg oci push`"
            }
            Self::Mislabelled(_) => "push it again with `withe push`",
            _ => return None,
        };
        Some(help.into())
    }
}

/// Something that is pushed: a manifest and its blobs.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub(crate) manifest: Bytes,
    pub(crate) blobs: Vec<(String, Bytes)>,
}

/// The manifest of an artefact or, if it has `manifests`, the list of several.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// The entry of a blob in a manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Platform {
    architecture: String,
}

/// The configuration of a component, as other tools of Wasm read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentConfig<'a> {
    created: String,
    architecture: &'a str,
    os: &'a str,
    layer_digests: Vec<&'a str>,
    component: ComponentWorld<'a>,
}

#[derive(Serialize)]
struct ComponentWorld<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<String>,
}

#[derive(Serialize)]
struct ApplicationConfig<'a> {
    name: &'a str,
    files: Vec<(&'a str, FileKind)>,
}

impl Artifact {
    /// A component, with what it imports and exports.
    pub fn component(
        bytes: Bytes,
        imports: &[String],
        exports: &[String],
        annotations: BTreeMap<String, String>,
    ) -> Self {
        let digest = digest_of(&bytes);
        let config = json(&ComponentConfig {
            created: created(),
            architecture: "wasm",
            os: "wasip2",
            layer_digests: vec![&digest],
            component: ComponentWorld {
                exports,
                imports,
                target: None,
            },
        });
        let layers = vec![(COMPONENT, None, bytes)];
        Self::new(COMPONENT_CONFIG, config, layers, annotations, None)
    }

    /// A provider's archive.
    pub fn archive(bytes: Bytes, annotations: BTreeMap<String, String>) -> Self {
        let layers = vec![(ARCHIVE, None, bytes)];
        Self::new(ARCHIVE_CONFIG, empty(), layers, annotations, None)
    }

    /// A provider's program.
    pub fn program(bytes: Bytes, annotations: BTreeMap<String, String>) -> Self {
        let layers = vec![(PROGRAM, None, bytes)];
        Self::new(
            PROGRAM_CONFIG,
            empty(),
            layers,
            annotations,
            Some(PROGRAM_CONFIG),
        )
    }

    /// An application, whose manifest has the paths of the files.
    ///
    /// # Errors
    ///
    /// If a file's path is none that could be pulled.
    pub fn application(
        name: &str,
        manifest: String,
        files: &[ApplicationFile],
        annotations: BTreeMap<String, String>,
    ) -> Result<Self, KindError> {
        if let Some(file) = files.iter().find(|file| !is_safe(&file.path)) {
            return Err(KindError::Path(file.path.clone()));
        }
        let config = json(&ApplicationConfig {
            name,
            files: files.iter().map(|f| (&*f.path, f.kind)).collect(),
        });
        let mut layers = vec![(
            APPLICATION_MANIFEST,
            Some("manifest.yaml".to_owned()),
            Bytes::from(manifest),
        )];
        layers.extend(files.iter().map(|file| {
            let media_type = file.kind.media_type();
            (media_type, Some(file.path.clone()), file.bytes.clone())
        }));
        let kind = Some(APPLICATION_CONFIG);
        Ok(Self::new(
            APPLICATION_CONFIG,
            config,
            layers,
            annotations,
            kind,
        ))
    }

    fn new(
        config_type: &str,
        config: Bytes,
        layers: Vec<(&str, Option<String>, Bytes)>,
        annotations: BTreeMap<String, String>,
        artifact_type: Option<&str>,
    ) -> Self {
        let mut blobs = Vec::new();
        let mut described = |media_type: &str, title: Option<String>, bytes: Bytes| {
            let digest = digest_of(&bytes);
            let size = bytes.len() as u64;
            blobs.push((digest.clone(), bytes));
            Descriptor {
                media_type: media_type.into(),
                digest,
                size,
                annotations: title
                    .map(|title| (TITLE.to_owned(), title))
                    .into_iter()
                    .collect(),
                platform: None,
            }
        };
        let config = described(config_type, None, config);
        let layers = layers.into_iter();
        let layers = layers.map(|(kind, title, bytes)| described(kind, title, bytes));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.into()),
            artifact_type: artifact_type.map(Into::into),
            config: Some(config),
            layers: layers.collect(),
            manifests: Vec::new(),
            annotations,
        };
        Self {
            manifest: json(&manifest),
            blobs,
        }
    }

    /// The digest that its manifest has in a registry.
    pub fn digest(&self) -> String {
        digest_of(&self.manifest)
    }

    /// The bytes that it has in a registry, with all that belongs to it.
    pub fn size(&self) -> u64 {
        let blobs: usize = self.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
        (self.manifest.len() + blobs) as u64
    }
}

/// The blobs of an artefact that are to be pulled.
#[derive(Debug)]
pub(crate) enum Described {
    /// Another manifest.
    Manifest(String),
    /// One layer, of this kind if it is known.
    File(Option<FileKind>, Descriptor),
    /// An application's manifest, and its files with their paths.
    Application(Descriptor, Vec<(String, FileKind, Descriptor)>),
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, KindError> {
        serde_json::from_slice(bytes).map_err(KindError::Manifest)
    }

    /// The blobs that are to be pulled.
    ///
    /// # Errors
    ///
    /// If it is nothing that runs here.
    pub(crate) fn described(&self) -> Result<Described, KindError> {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        if INDEXES.contains(&media_type) || (self.config.is_none() && !self.manifests.is_empty()) {
            return match &*self.manifests {
                [only] => Ok(Described::Manifest(only.digest.clone())),
                several => {
                    let for_wasm = |d: &&Descriptor| {
                        (d.platform.as_ref()).is_some_and(|p| p.architecture == "wasm")
                    };
                    let found = several.iter().find(for_wasm);
                    let found = found.ok_or(KindError::NoPlatform)?;
                    Ok(Described::Manifest(found.digest.clone()))
                }
            };
        }
        if self.layers.len() > MOST_LAYERS {
            let layers = format!("{} layers", self.layers.len());
            return Err(KindError::TooLarge(layers));
        }
        let bytes = self
            .layers
            .iter()
            .fold(0_u64, |sum, l| sum.saturating_add(l.size));
        let is_large = self.layers.iter().any(|layer| layer.size > MOST_BLOB);
        if is_large || bytes > MOST_BYTES {
            return Err(KindError::TooLarge(format!("{bytes} bytes")));
        }
        let config = self.config.as_ref().map_or("", |c| &c.media_type);
        if config == APPLICATION_CONFIG {
            return self.application();
        }
        match &*self.layers {
            [layer] => match kind_of(&layer.media_type) {
                Some(kind) => Ok(Described::File(Some(kind), layer.clone())),
                None if layer.media_type == ANYTHING && !is_of_containers(config) => {
                    Ok(Described::File(None, layer.clone()))
                }
                None => Err(self.other(config)),
            },
            _ => Err(self.other(config)),
        }
    }

    fn application(&self) -> Result<Described, KindError> {
        let is_manifest = |layer: &&Descriptor| layer.media_type == APPLICATION_MANIFEST;
        let mut manifests = self.layers.iter().filter(is_manifest);
        let (Some(manifest), None) = (manifests.next(), manifests.next()) else {
            return Err(KindError::NoManifest);
        };
        let mut files = Vec::new();
        let mut paths = BTreeSet::new();
        for layer in self.layers.iter().filter(|layer| !is_manifest(layer)) {
            let path = layer.annotations.get(TITLE).cloned().unwrap_or_default();
            if !is_safe(&path) || !paths.insert(path.clone()) {
                return Err(KindError::Path(path));
            }
            let Some(kind) = kind_of(&layer.media_type) else {
                return Err(KindError::Other(layer.media_type.clone()));
            };
            files.push((path, kind, layer.clone()));
        }
        Ok(Described::Application(manifest.clone(), files))
    }

    fn other(&self, config: &str) -> KindError {
        if is_of_containers(config) {
            return KindError::Containers;
        }
        let layers: Vec<_> = (self.layers.iter())
            .map(|layer| format!("`{}`", layer.media_type))
            .collect();
        match layers.is_empty() {
            true => KindError::Other("none".into()),
            false => KindError::Other(layers.join(", ")),
        }
    }
}

fn is_of_containers(config: &str) -> bool {
    matches!(
        config,
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

fn kind_of(media_type: &str) -> Option<FileKind> {
    match media_type {
        COMPONENT | OLD_COMPONENT => Some(FileKind::Component),
        ARCHIVE => Some(FileKind::Archive),
        PROGRAM => Some(FileKind::Program),
        _ => None,
    }
}

/// Whether a path is that of a part: a name in the folder of images, and nothing that leads out of it.
fn is_safe(path: &str) -> bool {
    let name = path.strip_prefix(IMAGES).and_then(|p| p.strip_prefix('/'));
    name.is_some_and(|name| {
        !name.is_empty()
            && name.len() <= 255
            && !name.starts_with('.')
            && !name.contains(['/', '\\', '\0'])
            && !name.contains(char::is_control)
    })
}

/// The creation time of artefacts: a fixed moment, or the one that a build says.
fn created() -> String {
    let seconds = std::env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = seconds.and_then(|text| text.trim().parse().ok());
    let moment = jiff::Timestamp::from_second(seconds.unwrap_or(0));
    moment.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn empty() -> Bytes {
    Bytes::from_static(b"{}")
}

/// Data of this crate as JSON, which it always has: texts, numbers, and maps by texts.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(artifact: &Artifact) -> Result<Described, KindError> {
        Manifest::read(&artifact.manifest).unwrap().described()
    }

    #[test]
    fn the_same_component_has_the_same_digest_whenever_it_is_made() {
        let make = || {
            let bytes = Bytes::from_static(b"\0asm");
            let exports = ["wasi:cli/run@0.2.6".to_owned()];
            Artifact::component(bytes, &[], &exports, BTreeMap::new())
        };
        assert_eq!(make().digest(), make().digest());
        let artifact = make();
        let config: serde_json::Value = serde_json::from_slice(&artifact.blobs[0].1).unwrap();
        assert_eq!(config["os"], "wasip2");
        assert_eq!(config["layerDigests"][0], digest_of(b"\0asm"));
        assert_eq!(config["component"]["exports"][0], "wasi:cli/run@0.2.6");
        let Ok(Described::File(Some(FileKind::Component), layer)) = described(&artifact) else {
            panic!("no component");
        };
        assert_eq!(layer.digest, digest_of(b"\0asm"));
    }

    #[test]
    fn an_application_is_its_manifest_and_its_files() {
        let file = |path: &str| ApplicationFile {
            path: path.into(),
            kind: FileKind::Component,
            bytes: Bytes::from_static(b"\0asm"),
        };
        let make = |path: &str| {
            Artifact::application("shop", "kind: x".into(), &[file(path)], BTreeMap::new())
        };
        let artifact = make("images/a.wasm").unwrap();
        let Ok(Described::Application(_, files)) = described(&artifact) else {
            panic!("no application");
        };
        assert_eq!(files[0].0, "images/a.wasm");
        for bad in [
            "../a",
            "images/../a",
            "images/.a",
            "images/",
            "/images/a",
            "a",
            "images/a/b",
        ] {
            assert!(make(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_something_else_says_what() {
        let read = |text: &str| {
            let manifest = Manifest::read(text.as_bytes())?;
            manifest.described()
        };
        let of = |config: &str, layer: &str, size: u64| {
            format!(
                r#"{{"schemaVersion": 2, "config": {{"mediaType": "{config}", "digest": "sha256:0", "size": 2}},
                    "layers": [{{"mediaType": "{layer}", "digest": "sha256:1", "size": {size}}}]}}"#
            )
        };
        let containers = "application/vnd.oci.image.config.v1+json";
        assert!(matches!(
            read(&of(containers, ANYTHING, 1)),
            Err(KindError::Containers)
        ));
        assert!(matches!(
            read(&of("", "text/plain", 1)),
            Err(KindError::Other(_))
        ));
        assert!(matches!(
            read(&of(ARCHIVE_CONFIG, ANYTHING, 1)),
            Ok(Described::File(None, _))
        ));
        assert!(matches!(
            read(&of("", COMPONENT, u64::MAX)),
            Err(KindError::TooLarge(_))
        ));
        assert!(matches!(read("[]"), Err(KindError::Manifest(_))));
        let list = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": "m", "digest": "sha256:a", "size": 1, "platform": {"architecture": "amd64"}},
            {"mediaType": "m", "digest": "sha256:b", "size": 1, "platform": {"architecture": "wasm"}}]}"#;
        assert!(matches!(read(list), Ok(Described::Manifest(digest)) if digest == "sha256:b"));
    }
}
