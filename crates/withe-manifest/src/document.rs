//! Which document of a file is the application, and what to say where none is.

use withe_linker::{Diagnostic, Diagnostics};

use crate::codes;
use crate::fields::wrong_type;
use crate::node::{Document, Node, Value, shorten};
use crate::suggest;

pub(crate) const KIND: &str = "Application";
pub(crate) const API_VERSION: &str = "core.oam.dev/v1beta1";

const SKELETON: &str = "a manifest begins with\n\
                        apiVersion: core.oam.dev/v1beta1\n\
                        kind: Application\n\
                        metadata:\n  name: my-app\n\
                        spec:\n  components:";

/// The root of the one application among `documents`.
pub(crate) fn choose(out: &mut Diagnostics, documents: Vec<Document>) -> Option<Node> {
    let documents: Vec<Document> = documents
        .into_iter()
        .filter(|document| !document.root.is_null())
        .collect();
    let is_application = |document: &Document| kind(&document.root) == Some(KIND);
    let (applications, others): (Vec<_>, Vec<_>) = documents.into_iter().partition(is_application);
    match (applications.as_slice(), others.as_slice()) {
        ([_, ..], _) => choose_application(out, applications, &others),
        ([], [_]) => others
            .into_iter()
            .next()
            .and_then(|document| accept_unnamed(out, document)),
        ([], []) => {
            out.push(
                Diagnostic::error(codes::NOT_A_MANIFEST, "the manifest is empty")
                    .with_help(SKELETON),
            );
            None
        }
        ([], [first, ..]) => {
            out.push(
                Diagnostic::error(
                    codes::NOT_A_MANIFEST,
                    "no document of the file is an application",
                )
                .at(Some(first.root.head()), "not an application")
                .with_note(format!("expected one document with `kind: {KIND}`"))
                .with_help(SKELETON),
            );
            None
        }
    }
}

fn choose_application(
    out: &mut Diagnostics,
    applications: Vec<Document>,
    others: &[Document],
) -> Option<Node> {
    for other in others {
        out.push(
            Diagnostic::note(
                codes::IGNORED,
                "a document that is not an application is ignored",
            )
            .at(Some(other.root.head()), "not looked at"),
        );
    }
    let mut applications = applications.into_iter();
    let first = applications.next()?;
    for second in applications {
        out.push(
            Diagnostic::error(
                codes::SEVERAL_APPLICATIONS,
                "the file holds more than one application",
            )
            .at(Some(second.root.head()), "another one begins here")
            .also(Some(first.root.head()), "the first one begins here")
            .with_help("put each application into a file of its own"),
        );
    }
    out.extend(first.problems);
    check_api_version(out, &first.root);
    Some(first.root)
}

/// A single document whose kind is not the right one: it may be an application all the same.
fn accept_unnamed(out: &mut Diagnostics, document: Document) -> Option<Node> {
    let root = &document.root;
    if !matches!(root.value, Value::Map(_)) {
        out.push(
            Diagnostic::error(
                codes::NOT_A_MANIFEST,
                format!("a manifest must be a map, found {}", root.describe()),
            )
            .at(Some(root.head()), "expected `apiVersion: …`")
            .with_help(SKELETON),
        );
        return None;
    }
    match (root.get("kind"), kind(root)) {
        (Some(node), Some(kind)) => {
            let problem = Diagnostic::error(
                codes::WRONG_KIND,
                format!("the manifest's kind is `{}`, not `{KIND}`", shorten(kind)),
            )
            .at(Some(node.span), format!("expected `{KIND}`"));
            out.push(match about_kind(kind) {
                Some((note, help)) => problem.with_note(note).with_help(help),
                None => problem.with_help(format!("Withe reads `kind: {KIND}` of `{API_VERSION}`")),
            });
            // Only a misspelling says that the rest is worth reading.
            suggest::nearest(kind, [KIND])?;
        }
        (Some(node), None) if !node.is_null() => {
            out.push(wrong_type("`kind`", "text", node).with_help(format!("write `kind: {KIND}`")))
        }
        _ if root.get("spec").is_none() => {
            out.push(
                Diagnostic::error(
                    codes::NOT_A_MANIFEST,
                    "this is not an application's manifest",
                )
                .at(Some(root.head()), "expected `apiVersion: …`")
                .with_note("it has neither `kind` nor `spec`")
                .with_help(SKELETON),
            );
            return None;
        }
        _ => out.push(
            Diagnostic::error(codes::MISSING_FIELD, "the manifest has no `kind`")
                .at(Some(root.head()), "`kind` is missing here")
                .with_help(format!("add `kind: {KIND}`")),
        ),
    }
    out.extend(document.problems);
    check_api_version(out, &document.root);
    Some(document.root)
}

fn check_api_version(out: &mut Diagnostics, root: &Node) {
    let Some(node) = root.get("apiVersion").filter(|node| !node.is_null()) else {
        out.push(
            Diagnostic::error(codes::MISSING_FIELD, "the manifest has no `apiVersion`")
                .at(Some(root.head()), "`apiVersion` is missing here")
                .with_help(format!("add `apiVersion: {API_VERSION}`")),
        );
        return;
    };
    if node.text() != Some(API_VERSION) {
        out.push(
            Diagnostic::error(
                codes::WRONG_API_VERSION,
                format!(
                    "`apiVersion` must be `{API_VERSION}`, found {}",
                    node.describe()
                ),
            )
            .at(Some(node.head()), "not a version that Withe knows")
            .with_help(format!("write `apiVersion: {API_VERSION}`")),
        );
    }
}

fn kind(root: &Node) -> Option<&str> {
    root.get("kind").and_then(Node::text)
}

/// The message for kinds that people are likely to come with.
fn about_kind(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "WorkloadDeployment" | "Workload" | "WorkloadReplicaSet" => Some((
            "this is wasmCloud v2's form, which Kubernetes runs",
            "write the application as `kind: Application`: each component of the workload becomes \
             an entry of `spec.components`, each host interface a link to a provider",
        )),
        "ComponentDefinition" | "TraitDefinition" | "WorkloadDefinition" => Some((
            "this defines an OAM type; Withe's types are built in",
            "give the `kind: Application` that uses it",
        )),
        "Deployment" | "Service" | "Pod" | "ConfigMap" | "SpinApp" => Some((
            "this is an object for Kubernetes",
            "describe the components and their links as `kind: Application`",
        )),
        _ => suggest::nearest(kind, [KIND]).map(|_| {
            (
                "kinds are spelled with a capital",
                "write `kind: Application`",
            )
        }),
    }
}
