//! Certificates for servers and clients in tests.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority, and a server's and a client's certificate that it has signed, as files (PEM). They are gone
/// when this is dropped.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them; the server's is for `127.0.0.1` and `localhost`.
    ///
    /// # Errors
    ///
    /// The files cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of another name than those that it signs: OpenSSL would take them for signed by themselves.
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "authority of a test");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(folder.path().join("ca.pem"), ca.pem())?;
        let sign = |name: &str, subjects: &[&str]| -> anyhow::Result<()> {
            let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(subjects)?.signed_by(&key, &ca)?;
            fs::write(folder.path().join(format!("{name}.pem")), certificate.pem())?;
            fs::write(
                folder.path().join(format!("{name}.key")),
                key.serialize_pem(),
            )?;
            Ok(())
        };
        sign("server", &["127.0.0.1", "localhost"])?;
        sign("client", &["client"])?;
        Ok(Self { folder })
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate and its key.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.file("server.pem"), self.file("server.key"))
    }

    /// The client's certificate and its key.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client.pem"), self.file("client.key"))
    }

    fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }
}
