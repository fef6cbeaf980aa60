//! Checks the example application as a visitor sees it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::manifest::Changes;
use super::{START, listening, stop, up};
use crate::http::{self, Answer};
use crate::process;
use crate::ui;

/// Serves the application twice, on the same data, and checks what it answers.
///
/// # Errors
///
/// Anything is not as it should be.
pub(super) async fn run(withe: &Path) -> Result<()> {
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let address = free_address()?;
    let with_binding = |binding| {
        let data = scratch.path();
        super::manifest::write(
            data,
            &Changes {
                address,
                data,
                binding,
                spread: false,
            },
        )
    };

    ui::step("check the plan");
    let manifest = with_binding(None)?;
    plan_is_repeatable(withe, &manifest).await?;
    super::show_plan(withe, &manifest).await?;
    ui::step(format!("check the application on {address}"));
    serve(withe, &manifest, address, first_visits).await?;

    ui::step("check it again after a restart, with another binding");
    let manifest = with_binding(Some("local"))?;
    serve(withe, &manifest, address, later_visits).await
}

/// Runs `withe up` around some checks; it must stop well.
async fn serve(
    withe: &Path,
    manifest: &Path,
    address: SocketAddr,
    checks: impl AsyncFnOnce(Visitor) -> Result<()>,
) -> Result<()> {
    let mut up = up(withe, manifest)?;
    tokio::select! {
        status = up.ended() => bail!("`withe up` ended ({})", status?),
        listening = listening(address) => listening?,
    }
    checks(Visitor(address)).await?;
    stop(up).await?;
    ui::ok("Ctrl-C ends it well");
    Ok(())
}

async fn plan_is_repeatable(withe: &Path, manifest: &Path) -> Result<()> {
    let mut plans = Vec::new();
    for _ in 0..2 {
        let mut plan = Command::new(withe);
        plan.args(["plan", "--json"]).arg(manifest);
        plans.push(process::output("plan the application", &mut plan, START).await?);
    }
    ensure!(
        plans[0] == plans[1],
        "the same manifest was planned in two ways:\n{}\n{}",
        plans[0],
        plans[1]
    );
    let plan: Value = serde_json::from_str(&plans[0]).context("the plan is not JSON")?;
    let links = plan["links"].as_array().map_or(0, Vec::len);
    ensure!(
        links == 3,
        "expected 3 links in the plan, found {links}: {plan}"
    );
    ui::ok("the same manifest gives the same plan");
    Ok(())
}

async fn first_visits(visitor: Visitor) -> Result<()> {
    let page = visitor.get("/a").await?;
    ensure!(page.status == 200, "expected a page, found {page:?}");
    ensure!(
        page.header("content-type").starts_with("text/html"),
        "expected HTML, found {page:?}"
    );
    contains(&page, "Welcome to Withe")?;
    contains(&page, "<code>/a</code> was visited <strong>once</strong>")?;
    let page = visitor.get("/a").await?;
    contains(&page, "<strong>2 times</strong>")?;
    contains(&page, "by &lt;xtask&gt;.")?;
    contains(
        &visitor.get("/b?x=1").await?,
        "<code>/b</code> was visited <strong>once</strong>",
    )?;
    ui::ok("pages count their visits");

    let list = visitor.get("/api/visits").await?;
    ensure!(
        list.header("content-type") == "application/json",
        "expected JSON, found {list:?}"
    );
    counts(&list, &[("/a", 2), ("/b", 1)])?;
    let by = &list.json()?["visits"][0]["last"]["visitor"];
    ensure!(
        by == http::USER_AGENT,
        "expected the last visitor to be `{}`, found {by}",
        http::USER_AGENT
    );
    counts(&visitor.get("/api/visits?limit=1").await?, &[("/a", 2)])?;
    counts(&visitor.get("/api/visits?limit=0").await?, &[])?;
    ui::ok("the most visited paths are listed");

    contains(&visitor.get("/%3Cb%3E").await?, "<code>/%3Cb%3E</code>")?;
    let refused = visitor.send("POST", "/a").await?;
    failed(&refused, 405)?;
    ensure!(
        refused.header("allow") == "GET",
        "expected `allow: GET`, found {refused:?}"
    );
    failed(&visitor.get("/api/visits?limit=many").await?, 400)?;
    failed(
        &visitor.get(&format!("/{}", "long".repeat(100))).await?,
        400,
    )?;
    failed(&visitor.get("/api/nothing").await?, 404)?;
    ui::ok("what is wrong is refused");
    Ok(())
}

async fn later_visits(visitor: Visitor) -> Result<()> {
    counts(&visitor.get("/api/visits?limit=1").await?, &[("/a", 2)])?;
    let page = visitor.get("/a").await?;
    contains(&page, "Welcome to Withe")?;
    contains(&page, "<strong>3 times</strong>")?;
    counts(&visitor.get("/api/visits?limit=1").await?, &[("/a", 3)])?;
    ui::ok("the counts survived the restart");
    Ok(())
}

/// Someone who asks the application.
#[derive(Clone, Copy)]
pub(super) struct Visitor(pub(super) SocketAddr);

impl Visitor {
    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path).await
    }

    async fn send(&self, method: &str, path: &str) -> Result<Answer> {
        http::send(self.0, method, path).await
    }
}

pub(super) fn contains(page: &Answer, text: &str) -> Result<()> {
    ensure!(
        page.body.contains(text),
        "expected `{text}` in the page, found {page:?}"
    );
    Ok(())
}

/// Whether these paths, and only these, are listed in this order.
fn counts(list: &Answer, expected: &[(&str, u64)]) -> Result<()> {
    let visits = &list.json()?["visits"];
    let found = visits
        .as_array()
        .with_context(|| format!("expected a list, found {list:?}"))?;
    let found: Vec<_> = found
        .iter()
        .map(|visit| json!([visit["path"], visit["count"]]))
        .collect();
    ensure!(
        json!(found) == json!(expected),
        "expected {expected:?}, found {found:?}"
    );
    Ok(())
}

/// Whether it is an error of this status, said in JSON.
fn failed(answer: &Answer, status: u16) -> Result<()> {
    ensure!(
        answer.status == status,
        "expected status {status}, found {answer:?}"
    );
    ensure!(
        answer.json()?["error"].is_string(),
        "expected an `error` in JSON, found {answer:?}"
    );
    Ok(())
}

/// An address on this machine that nobody listens on now.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    listener.local_addr().context("a listener has no address")
}
