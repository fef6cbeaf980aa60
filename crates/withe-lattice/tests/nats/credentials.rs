//! The files that an operator would make with `nsc`: an operator, its accounts and a user, as JWTs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// The credentials for a server that trusts an operator.
pub(crate) struct Credentials {
    /// The server's configuration.
    pub(crate) configuration: String,
    /// The text of a `.creds` file of a user it lets in.
    pub(crate) file: String,
    /// The seed, which must never be shown.
    pub(crate) seed: String,
}

impl Credentials {
    pub(crate) fn new() -> Self {
        let operator = KeyPair::new_operator();
        let operator_jwt = jwt(
            &operator,
            &operator,
            json!({ "type": "operator", "version": 2 }),
        );
        let account = |is_system: bool| {
            let storage = if is_system { 0 } else { -1 };
            let limits = json!({
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1,
                "leaf": -1, "wildcards": true, "mem_storage": storage, "disk_storage": storage,
                "streams": storage, "consumer": storage,
            });
            let account = KeyPair::new_account();
            let claims = json!({ "type": "account", "version": 2, "limits": limits });
            let jwt = jwt(&operator, &account, claims);
            (account, jwt)
        };
        let (system, system_jwt) = account(true);
        let (members, members_jwt) = account(false);
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let user_jwt = jwt(&members, &user, claims);
        let seed = user.seed().unwrap();
        Self {
            configuration: format!(
                "operator: {operator_jwt}\nsystem_account: {system}\nresolver: MEMORY\n\
                 resolver_preload: {{ {system}: {system_jwt}, {members}: {members_jwt} }}\n",
                system = system.public_key(),
                members = members.public_key(),
            ),
            file: format!(
                "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            ),
            seed,
        }
    }
}

/// Claims about `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: Value) -> String {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let body = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&body));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
