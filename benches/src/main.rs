//! Withe's benchmarks, each beside its floor, in one run. The ratios count: machines are noisy.
//!
//! `cargo xtask bench [calls | wire | http | start | scale | hosts | providers]` builds what they need and runs them.
//!
//! * [`calls`]: what one call over a link costs, beside plain composition.
//! * [`wire`]: calls and streams between processes, beside a bare socket.
//! * [`http`]: requests a second, beside `wasmtime serve`, and beside the least that a host can be ([`bare`]).
//! * [`start`]: from the command to the first answer, and memory at idle.
//! * [`scale`]: what the size of an application costs, and how that grows.
//! * [`placing`] (of `scale`): an application of any size over a lattice of twenty hosts, all in one process.
//! * [`providers`]: what the providers do, beside the same done with the clients that they use.
//! * [`hosts`]: an application on one host and on three, and how long faults and changes are felt.

mod bare;
mod calls;
mod hosts;
mod http;
mod load;
mod placing;
mod providers;
mod scale;
mod servers;
mod start;
mod wire;

use anyhow::{Result, bail};
use mimalloc::MiMalloc;

/// The allocator of `withe`: what is measured in this process allocates as it does there.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const NAMES: [&str; 7] = [
    "calls",
    "wire",
    "http",
    "start",
    "scale",
    "hosts",
    "providers",
];

fn main() -> Result<()> {
    // Floors that are processes of their own.
    match &std::env::args().collect::<Vec<_>>()[..] {
        [_, echo, socket] if echo == wire::ECHO => return wire::echo(socket.as_ref()),
        [_, bare, address, component, instances] if bare == bare::BARE => {
            return bare::serve(address, component, instances);
        }
        _ => {}
    }
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    for name in &names {
        if !NAMES.contains(&name.as_str()) {
            bail!(
                "there is no benchmark `{name}`; there are: {}",
                NAMES.join(", ")
            );
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    if wanted("calls") {
        calls::run()?;
    }
    if wanted("wire") {
        wire::run()?;
    }
    if wanted("http") {
        http::run()?;
    }
    if wanted("start") {
        start::run()?;
    }
    if wanted("scale") {
        scale::run()?;
        placing::run()?;
    }
    if wanted("hosts") {
        hosts::run()?;
    }
    if wanted("providers") {
        providers::run()?;
    }
    Ok(())
}

/// The value in the middle: what a noisy machine says most honestly.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
