//! The rights on a NATS server that `withe lattice init --nats` prints.

use std::process::Command;

use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use withe_lattice::nats::Options;
use withe_lattice::{Expect, Lattice as _, LatticeError, Nats, names};
use withe_testing::nats::NatsServer;

use super::support::lattice::Lattice;
use super::support::process::{Ended, run};

/// A user's password is its name.
fn server() -> NatsServer {
    let folder = tempfile::tempdir().unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_withe"));
    init.args(["lattice", "init", "--nats", "--json", "--dir", "keys"]);
    let made = init.current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let mut accounts = made["nats"].as_str().unwrap().to_owned();
    for user in ["host", "deployer", "viewer"] {
        let variable = format!("$WITHE_{}_PASSWORD", user.to_uppercase());
        accounts = accounts.replace(&variable, user);
    }
    NatsServer::start_with(&accounts).unwrap()
}

fn url(lattice: &Lattice, user: &str) -> String {
    format!("nats://{user}:{user}@127.0.0.1:{}", lattice.nats.port())
}

fn command(lattice: &Lattice, user: &str, args: &[&str]) -> Command {
    let mut command = lattice.command(args);
    command.env("WITHE_LATTICE", url(lattice, user));
    command.env("WITHE_NATS_INBOX", names::inbox("default", user));
    command
}

fn run_as(lattice: &Lattice, user: &str, args: &[&str]) -> Ended {
    run(command(lattice, user, args))
}

#[test]
fn each_role_may_do_its_work_and_nothing_else() {
    let lattice = Lattice::on(server());
    let host = command(
        &lattice,
        "host",
        &["host", "--name", "a", "--listen", "127.0.0.1:0"],
    );
    let mut host = lattice.start_host(host, "a");
    let component = wat::parse_str("(component)").unwrap();
    std::fs::write(lattice.path("c.wasm"), component).unwrap();
    let manifest = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n    \
                    - {name: c, type: component, properties: {image: ./c.wasm}}\n";
    std::fs::write(lattice.path("app.yaml"), manifest).unwrap();
    run_as(&lattice, "deployer", &["up", "app.yaml"]).printed();
    let shown = run_as(&lattice, "viewer", &["get", "apps"]);
    assert!(shown.printed().contains("runs"), "{shown:#?}");
    run_as(&lattice, "viewer", &["up", "app.yaml", "--wait", "1"])
        .failed(&["Permissions Violation"]);
    run_as(&lattice, "viewer", &["down", "shop"]).failed(&["Permissions Violation"]);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (user, key) in [("deployer", "deployments.shop"), ("host", "apps.shop")] {
        let refused = runtime.block_on(async {
            let mut options = Options::new(url(&lattice, user), "default");
            options.inbox = Some(names::inbox("default", user));
            let member = Nats::connect(options).await.unwrap();
            member.put(key, "x".into(), Expect::Any).await
        });
        assert!(
            matches!(refused, Err(LatticeError::Refused(_))),
            "{user}: {refused:?}"
        );
    }
    // Nor does a viewer hear what others are answered, which they do themselves.
    let listener = |user: &str| {
        runtime.block_on(async {
            let mut options = Options::new(url(&lattice, user), "default");
            options.inbox = Some(names::inbox("default", user));
            let member = Nats::connect(options).await.unwrap();
            let client = member.nats().unwrap();
            let answers = client.subscribe("_INBOX_default_deployer.>").await.unwrap();
            client.flush().await.unwrap();
            (member, answers)
        })
    };
    let (mut viewer, mut deployer) = (listener("viewer"), listener("deployer"));
    run_as(&lattice, "deployer", &["get", "apps"]).printed();
    for (user, (member, answers), hears) in [
        ("viewer", &mut viewer, false),
        ("deployer", &mut deployer, true),
    ] {
        let heard = runtime.block_on(async {
            // Whatever was sent has come when this is answered.
            member.get("apps.shop").await.unwrap();
            answers.next().now_or_never().is_some()
        });
        assert_eq!(heard, hears, "{user}");
    }
    run_as(&lattice, "deployer", &["down", "shop"]).printed();
    assert_eq!(host.leave(), Some(0));
}
