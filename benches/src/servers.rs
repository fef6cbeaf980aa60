//! The servers that are measured, as processes: `withe up`, and `wasmtime serve` as the floor.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{bare, load};

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _manifest: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts `command`, and waits until it answers on `address`.
    fn start(
        mut command: Command,
        address: SocketAddr,
        path: &str,
        manifest: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        command
            // Wasmtime would take one for each instance of WASI 0.3 that ends.
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut server = Self {
            child,
            address,
            _manifest: manifest,
        };
        let until = Instant::now() + Duration::from_secs(300);
        while !load::answers(address, path) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{:?} ended with {status}", command.get_program());
            }
            if Instant::now() > until {
                bail!(
                    "{:?} did not answer within five minutes",
                    command.get_program()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(server)
    }

    /// Serves the application of this manifest with `withe up`, and waits until it answers.
    pub(crate) fn withe(
        manifest: &str,
        address: SocketAddr,
        path: &str,
        cache: &Path,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bench.yaml");
        std::fs::write(&file, manifest)?;
        let mut command = Command::new(withe()?);
        command.arg("up").arg(&file).env("WITHE_CACHE_DIR", cache);
        Self::start(command, address, path, Some(folder))
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        resident_mib(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// An application of one component that answers HTTP, and what it is linked to.
#[derive(Clone, Debug, Default)]
pub(crate) struct App {
    /// The components: the first answers; each links to the next.
    pub(crate) chain: Vec<PathBuf>,
    /// The binding of the links between them.
    pub(crate) binding: Option<&'static str>,
    /// How many requests an instance may serve.
    pub(crate) reuse: Option<u32>,
    /// The path to ask for.
    pub(crate) path: &'static str,
    /// Whether the last one sends requests, as the runtimes of languages can.
    pub(crate) client: bool,
}

impl App {
    fn manifest(&self, address: SocketAddr) -> String {
        let mut text = String::from(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: bench\nspec:\n  components:\n",
        );
        for (i, image) in self.chain.iter().enumerate() {
            text.push_str(&format!(
                "    - name: c{i}\n      type: component\n      properties:\n        image: {}\n",
                image.display()
            ));
            if let (0, Some(reuse)) = (i, self.reuse) {
                text.push_str(&format!("        reuse: {reuse}\n"));
            }
            let is_last = i + 1 == self.chain.len();
            if is_last && self.client {
                text.push_str(
                    "      traits:\n        - type: link\n          properties:\n            target: client\n",
                );
            }
            if !is_last {
                text.push_str(&format!(
                    "      traits:\n        - type: link\n          properties:\n            target: c{}\n",
                    i + 1
                ));
                if let Some(binding) = self.binding {
                    text.push_str(&format!("            binding: {binding}\n"));
                }
            }
        }
        if self.client {
            text.push_str(
                "    - name: client\n      type: capability\n      properties:\n        image: withe:http-client\n",
            );
        }
        text.push_str(&format!(
            "    - name: http\n      type: capability\n      properties:\n        image: withe:http-server\n      \
             traits:\n        - type: link\n          properties:\n            target: c0\n            source:\n              \
             config:\n                - name: address\n                  properties:\n                    address: {address}\n"
        ));
        text
    }

    /// Serves it with `withe up`.
    pub(crate) fn withe(&self, cache: &Path) -> Result<Server> {
        let address = free_address()?;
        Server::withe(&self.manifest(address), address, self.path, cache)
    }
}

/// Which instances `wasmtime serve` has for requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instances {
    /// One for each.
    Fresh,
    /// For WASI 0.2 the same, for 0.3 one for 128 requests, of which it has 16 at a time.
    Default,
}

/// Serves a component with `wasmtime serve`, each request by a fresh instance or as it does by default.
pub(crate) fn wasmtime(component: &Path, path: &str, instances: Instances) -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(binary("WITHE_BENCH_WASMTIME", "wasmtime")?);
    // `-S cli` only makes interfaces available that the guests import; it costs nothing.
    command
        .args(["serve", "-S", "cli,p3", "-W", "component-model-async"])
        .args(["--addr", &address.to_string()]);
    if let Instances::Fresh = instances {
        command.args(["--max-instance-reuse-count", "1"]);
    }
    command.arg(component);
    Server::start(command, address, path, None)
}

/// The least that can serve a component of WASI 0.2 or 0.3, or none.
pub(crate) fn bare(component: Option<&Path>, path: &str, reused: bool) -> Result<Server> {
    let address = free_address()?;
    let component = component.map(Path::to_string_lossy);
    let command = bare::command(address, component.as_deref(), reused)?;
    Server::start(command, address, path, None)
}

/// An address that nobody listens on now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The program that `variable` names, or else that of this name beside this one.
pub(crate) fn binary(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()?.with_file_name(name);
    if beside.exists() {
        return Ok(beside);
    }
    bail!(
        "there is no `{name}` to measure: `cargo xtask bench` builds it, or name one in {variable}"
    )
}

/// A component that `cargo xtask guests` builds.
pub(crate) fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/guests/build/{name}.wasm"))
}

/// Resident memory of a process in MiB.
pub(crate) fn resident_mib(process: u32) -> Result<f64> {
    memory_mib(process, "VmRSS:")
}

/// The most memory of a process that was resident at a time, in MiB.
pub(crate) fn peak_mib(process: u32) -> Result<f64> {
    memory_mib(process, "VmHWM:")
}

fn memory_mib(process: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.with_context(|| format!("no {field}"))?.parse::<f64>()? / 1024.0)
}

/// The command of this build.
pub(crate) fn withe() -> Result<PathBuf> {
    binary("WITHE_BENCH_WITHE", "withe")
}
