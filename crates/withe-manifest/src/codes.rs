//! The codes of this crate's diagnostics, `W0001` to `W0049`, and what each means.

use withe_linker::Code;
use withe_linker::diagnostic::CodeInfo;

/// Declares each code once: its constant and its row of [`CODES`].
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        $(pub(crate) const $name: Code = Code($code);)*

        /// Every code of this crate, in order, with what it means.
        pub const CODES: &[CodeInfo] = &[$(CodeInfo {
            code: $name,
            title: $title,
            explanation: $explanation,
        }),*];
    };
}

codes! {
SYNTAX = "W0001", "not valid YAML or JSON",
"The manifest cannot be read as YAML (or, if it begins like JSON, as JSON), so nothing can be said \
about what it means. Most often the indentation is wrong, a tab indents a line, or a value that \
contains `: ` or begins with a special character is not in quotes.

```yaml
metadata:
  annotations:
    description: 'Counts: visits by page'   # the quotes are needed
```
";

NOT_A_MANIFEST = "W0002", "not an application's manifest",
"The file is empty, or it holds something other than an application. The smallest manifest is:

```yaml
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello
spec:
  components:
    - name: hello
      type: component
      properties:
        image: ./hello.wasm
```
";

WRONG_KIND = "W0003", "not of kind `Application`",
"Withe reads one kind of manifest, `kind: Application` of OAM, which is wasmCloud v1's form. \
wasmCloud v2's `WorkloadDeployment` and other objects for Kubernetes are not understood: describe \
the same components and how they are linked as an application.

```yaml
apiVersion: core.oam.dev/v1beta1
kind: Application
```
";

WRONG_API_VERSION = "W0004", "unknown `apiVersion`",
"The form of a manifest is versioned. There is one version:

```yaml
apiVersion: core.oam.dev/v1beta1
```
";

SEVERAL_APPLICATIONS = "W0005", "more than one application in a file",
"A YAML file can hold several documents, separated by `---`. Only one of them may be an \
application, because commands take one application. Put each into a file of its own.
";

YAML_FEATURE = "W0006", "YAML that means nothing in a manifest",
"YAML can tag values (`!secret x`), use lists and maps as keys, and merge maps with `<<`. A manifest \
has no use for tags other than YAML's own and none for keys that are not text; `<<` merges maps only. \
Anchors, aliases and merged maps work:

```yaml
x-defaults: &defaults
  namespace: wasi
  package: keyvalue
spec:
  components:
    - name: cart
      type: component
      properties: {image: ./cart.wasm}
      traits:
        - type: link
          properties:
            <<: *defaults
            target: kv
```
";

TOO_LARGE = "W0007", "nested too deeply or aliased too often",
"Lists and maps may nest 64 deep, and aliases may stand for 100,000 values in all. No manifest that \
a person writes comes near; the limits keep a hostile one from using up memory.
";

DUPLICATE_KEY = "W0008", "a key is there twice",
"A map can have a key once; which of two values is meant could not be told. Remove one:

```yaml
properties:
  image: ./a.wasm
  image: ./b.wasm   # error
```
";

UNKNOWN_FIELD = "W0009", "unknown field",
"A field that is not understood would have no effect, and a manifest that does less than it says is \
worse than an error. Most often it is misspelled or in the wrong place: the message suggests what is \
meant. A field whose name begins with `x-` is your own and is not looked at, which is useful for YAML \
anchors.

```yaml
traits:
  - type: link
    properties:
      target: kv
      interfaces: [store]   # not `interface`
```
";

MISSING_FIELD = "W0010", "a field is missing",
"A field that must be there is not, or has no value. Add it where the message points:

```yaml
- name: cart
  type: component
  properties:
    image: ./cart.wasm
```
";

WRONG_TYPE = "W0011", "a value of the wrong type",
"A value is, for instance, a list where text is expected. Values of configuration are text; numbers \
and booleans are taken as they are written, but a list or a map has to be put in quotes:

```yaml
properties:
  port: 8080
  cors_allowed_origins: '[\"https://example.com\"]'
```
";

UNKNOWN_VALUE = "W0012", "not a value this field can have",
"The field takes one of a few words, which the message lists:

```yaml
type: component        # component, capability (actor is an older word for component)
binding: auto          # auto, fused, local, host, unix, tcp, nats
scope: caller          # caller, call, shared
locality: lattice      # host, machine, lattice
```
";

NUMBER_RANGE = "W0013", "a number out of range",
"The number is negative, has a fraction, or is too large or too small for what it counts. `reuse` is \
at least 1; `instances` and `weight` may be 0.

```yaml
reuse: 100
```
";

MISPLACED_FIELD = "W0014", "a field that cannot be here",
"The field is known, but not here. `compose`, `reuse` and `command` are for entries with `type: component`: a \
provider serves all its callers alike, for as long as the application runs. `process` is for providers: a \
component is served by another process if a link to it says `binding: unix`. A link's `config` and `secrets` \
belong to one of its ends:

```yaml
- type: link
  properties:
    target:
      name: kv
      config:
        - name: redis
          properties:
            url: redis://127.0.0.1:6379
```
";

CONFLICT = "W0015", "two fields that mean the same",
"`replicas` is an older word for `instances`. Keep one of them:

```yaml
- type: spreadscaler
  properties:
    instances: 2
```
";

IGNORED = "W0016", "ignored",
"The marked text makes no difference here: a field that other tools write for themselves, or \
another document of the same file. Nothing has to be done.
";

DEPRECATED = "W0017", "an older form",
"`source_config` and `target_config` are what links had before wasmCloud 1.1. They work; the newer \
form also has room for secrets:

```yaml
- type: link
  properties:
    target:
      name: cart
    source:
      config:
        - name: http
          properties:
            address: 127.0.0.1:8000
```
";

SUPERSEDED = "W0018", "an older form that has no effect",
"Where `source` is given, `source_config` is not used, and where `target` is a map, `target_config` \
is not used. wasmCloud does the same without saying so. Move the entries:

```yaml
target:
  name: kv
  config:
    - name: redis     # was in target_config
```
";

BAD_NAME = "W0019", "not a name for an application",
"An application's name consists of letters, digits, `-` and `_`, because it becomes part of the ids \
of its components:

```yaml
metadata:
  name: my-shop
```
";

VERSION_LATEST = "W0020", "the version is `latest`",
"`latest` stands for the version put last, so no version can be called that:

```yaml
metadata:
  annotations:
    version: v1.0.0
```
";

BAD_LABEL = "W0021", "not a label",
"The keys of annotations and labels are names of at most 63 letters, digits, `-`, `_` and `.`, with or \
without a domain before them:

```yaml
metadata:
  labels:
    team: shop
    example.com/cost-centre: '42'
```
";

DUPLICATE_NAME = "W0022", "two components of one name",
"Links find their target by name, so every entry of `spec.components` needs a name of its own.
";

DUPLICATE_ID = "W0023", "two components of one id",
"`properties.id` says under which id a component is known on the lattice. Two cannot share one. An \
id may be left out: then it is made from the application's name and the component's.
";

NOTHING_RUNS = "W0024", "nothing will run",
"The application has no components, or one is scaled to no instances. Neither is forbidden, and neither is \
often meant:

```yaml
- type: spreadscaler
  properties:
    instances: 1
```
";

IMAGE_CHOICE = "W0025", "not exactly one of `image`, `compose` and `application`",
"An entry of `spec.components` says in one way where its code comes from: `image` (a file, a \
first-party provider or an OCI reference), `compose` (several components linked into one when the \
application is built) or `application` (a component of another application).

```yaml
properties:
  image: ./cart.wasm
```
";

BAD_IMAGE = "W0026", "not an image",
"An image is a path, a first-party provider, or an OCI reference:

```yaml
image: ./build/cart.wasm                      # relative to the manifest; also file://./build/cart.wasm
image: /opt/parts/cart.wasm
image: withe:http-server                      # also wasmcloud+builtin://http-server
image: ghcr.io/wasmcloud/http-server:0.27.0   # also oci://ghcr.io/…
```
";

BAD_COMPOSE = "W0027", "not a composition",
"`compose` lists components that are linked into one when the application is built: the socket first, \
then what is plugged into it. So it has at least two entries, and all of them are components.

```yaml
properties:
  compose:
    - ./router.wasm
    - ./page.wasm
```
";

SHARED_COMPONENT = "W0028", "a shared component is given settings",
"With `application`, an entry stands for a component that runs in another application, to be linked \
to. Its configuration, secrets, scale, limits and grants are set there.

```yaml
- name: kv
  type: capability
  properties:
    application:
      name: storage
      component: kv
```
";

BAD_DURATION = "W0029", "not a duration",
"A duration is whole numbers with units, largest first: `h`, `m`, `s`, `ms`. A number alone would \
leave open what it counts.

```yaml
timeout: 1m30s
```
";

BAD_SIZE = "W0030", "not a size",
"A size is a number of bytes, alone or with one of the units `KiB`, `MiB`, `GiB`, `TiB` (powers of \
1024) and `kB`, `MB`, `GB` (powers of 1000).

```yaml
limits:
  memory: 64MiB
```
";

UNKNOWN_TRAIT = "W0031", "unknown trait",
"A trait is a `link`, a `spreadscaler` or a `daemonscaler`. There are no custom traits, neither here \
nor in wasmCloud. The `linkdef` of wasmCloud before 1.0 is a `link` now:

```yaml
traits:
  - type: link
    properties:
      target: kv
      namespace: wasi
      package: keyvalue
      interfaces: [store]
```
";

REPEATED_TRAIT = "W0032", "the same trait twice",
"Two traits of a component are the same in every field. The second one says nothing new and is left \
out; remove it.
";

SECOND_SCALER = "W0033", "more than one scaler",
"A component is scaled by one `spreadscaler` or `daemonscaler`. The first one counts. To treat groups \
of hosts differently, name them in one scaler:

```yaml
- type: spreadscaler
  properties:
    instances: 4
    spread:
      - name: east
        requirements: {zone: east}
        weight: 75
      - name: west
        requirements: {zone: west}
        weight: 25
```
";

INCOMPLETE_SELECTION = "W0034", "an interface named in part",
"An interface is named by `namespace`, `package` and `interfaces` together. Give `namespace` and \
`package` (all their interfaces that the target exports), all three, or none of them: then they are \
inferred from what the source imports and the target exports.

```yaml
- type: link
  properties:
    target: kv
    namespace: wasi
    package: keyvalue
    interfaces: [store, atomics]
```
";

BAD_WIT_NAME = "W0035", "not a name of WIT",
"Namespaces, packages and interfaces are words in kebab-case. A version goes with the interface:

```yaml
namespace: wasi
package: keyvalue
interfaces: ['store@0.2.0-draft', atomics]
```
";

DUPLICATE_LINK = "W0036", "two links for the same import",
"Two links of a component have the same name and are for the same interface (and the same version of it, if they \
have two targets), so a call could go either way. Give one of them a name of its own; the component chooses by that name (an import label, or \
`set-link-name` of `wasmcloud:bus`).

```yaml
- type: link
  properties:
    name: cache
    target: redis
    namespace: wasi
    package: keyvalue
    interfaces: [store]
```
";

DUPLICATE_CONFIG = "W0037", "two configs of one name in links",
"A config that is written out in a link is known by its name in the whole application, so each name is \
written out once. To use the same one again, give its name alone:

```yaml
source:
  config:
    - name: default-http
```
";

DUPLICATE_POLICY = "W0038", "two policies of one name",
"Secrets name the policy that says how to fetch them. Of two policies with one name the last one \
counts, as in wasmCloud. Give one of them another name.
";

UNKNOWN_POLICY = "W0039", "a secret names an unknown policy",
"A secret is fetched as a policy of the application says:

```yaml
spec:
  policies:
    - name: vault
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties:
        backend: vault
  components:
    - name: cart
      type: component
      properties:
        image: ./cart.wasm
        secrets:
          - name: api-key
            properties:
              policy: vault
              key: shop/api-key
```
";

NOT_A_SECRET_POLICY = "W0040", "a policy that cannot fetch secrets",
"The policy that a secret names is of another type, or does not say which backend has the secret:

```yaml
policies:
  - name: vault
    type: policy.secret.wasmcloud.dev/v1alpha1
    properties:
      backend: vault
```
";

OTHER_SOURCE = "W0041", "a link's source is another component",
"A link is written on the component that imports, and that is its source. `source.name` need not be \
given; if it names another component it has no effect, as in wasmCloud. Write the link on the \
component that is meant:

```yaml
- name: cart            # the source
  type: component
  properties:
    image: ./cart.wasm
  traits:
    - type: link
      properties:
        target: kv      # the target
```
";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_ours() {
        let codes: Vec<&str> = CODES.iter().map(|info| info.code.0).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(codes.iter().all(|code| ("W0001"..="W0049").contains(code)));
    }
}
