//! A small HTTP/1.1 load generator: so many connections, each with one request at a time.
//!
//! The generator runs on one thread and does as little as it can for a request, as it takes its
//! time from the same processors as the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The results of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Sends `GET path` over `connections` connections for `time`; every answer must be 200.
pub(crate) fn run(
    address: SocketAddr,
    path: &str,
    connections: usize,
    time: Duration,
) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            clients.spawn(client(address, request, start + time));
        }
        let mut times = Vec::new();
        while let Some(client) = clients.join_next().await {
            times.extend(client??);
        }
        let took = start.elapsed();
        times.sort_unstable();
        let at = |q: f64| {
            times
                .get((times.len() as f64 * q) as usize)
                .copied()
                .unwrap_or_default()
        };
        Ok(Load {
            per_second: times.len() as f64 / took.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
        })
    })
}

async fn client(address: SocketAddr, request: String, until: Instant) -> Result<Vec<Duration>> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::with_capacity(1 << 16);
    let mut buffer = vec![0; 16 << 10];
    while Instant::now() < until {
        let start = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let mut have = 0;
        loop {
            let n = stream.read(&mut buffer[have..]).await?;
            if n == 0 {
                bail!("the server closed the connection");
            }
            have += n;
            if is_whole(&buffer[..have])? {
                break;
            }
        }
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Whether `bytes` are a whole response.
fn is_whole(bytes: &[u8]) -> Result<bool> {
    let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = std::str::from_utf8(&bytes[..head])?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!(
            "the server answered {:?}",
            text.lines().next().unwrap_or_default()
        );
    }
    let body = &bytes[head + 4..];
    for line in text.lines().skip(1) {
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(body.len() >= value.trim().parse::<usize>()?);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(body.ends_with(b"0\r\n\r\n"));
        }
    }
    bail!("a response without a length")
}

/// One request over a fresh connection, blocking; whether it was answered with 200.
pub(crate) fn answers(address: SocketAddr, path: &str) -> bool {
    get(address, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// One request over a fresh connection, blocking; the whole answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        // The guest `http-gate` wants to know who asks.
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
