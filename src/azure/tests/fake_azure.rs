//! A server that simulates Entra ID, Analysis Services and Power BI under their real names, with arbitrary responses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::azure::analysis_services::{DatabaseName, ServerName};
use crate::azure::cloud::Cloud;
use crate::azure::identity::managed::Metadata;
use crate::azure::identity::{FieldNames, Identity};
use crate::azure::power_bi::ModelName;
use crate::azure::{Azure, AzureSettings, Call, ModelClient, http};
use crate::operation::{CallKind, OperationKind, ServiceError};

pub(super) const ENTRA: &str = "login.microsoftonline.com";
pub(crate) const SERVER: &str = "westus.asazure.windows.net";
pub(super) const POWER_BI: &str = "api.powerbi.com";
pub(super) const OTHER_HOST: &str = "evil.example.com";
pub(super) const SECRET: &str = "planted-secret";
pub(super) const GROUP: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";
pub(super) const DATASET: &str = "cfafbeb1-8037-4d0c-896e-a46fb27ff229";
pub(crate) const GUID: &str = "f089354e-8366-4e18-aea3-4cb4a3a50b48";

/// A received request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// `POST westus.asazure.windows.net/servers/…`.
    pub(super) line: String,
    pub(super) head: String,
    pub(super) body: String,
}

/// The reaction of the server to a request.
pub(super) enum Reply {
    /// Writes this and closes the connection.
    Write(String),
    /// The same, with bytes.
    WriteBytes(Vec<u8>),
    /// Writes this, and then nothing.
    WriteAndHang(String),
    /// Writes the first text, and then the second one repeatedly.
    WriteEndlessly(String, String),
    /// Closes the connection without a response.
    Close,
}

/// A response with a status, header lines and a body.
pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let length = body.len();
    Reply::Write(format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"))
}

type Script = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

/// The server, and the requests that it received.
pub(super) struct FakeAzure {
    pub(super) address: SocketAddr,
    ca_pem: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeAzure {
    /// Starts the server. Without a reply of the script, it grants tokens and returns 404 to all other requests.
    pub(super) async fn new(script: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let (tls, ca_pem) = tls(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(tls.clone(), stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { address, ca_pem, requests }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// Number of requests whose line starts with this text.
    pub(super) fn count(&self, start: &str) -> usize {
        self.requests.lock().iter().filter(|request| request.line.starts_with(start)).count()
    }

    pub(super) fn settings(&self) -> AzureSettings {
        settings(&self.ca_pem)
    }

    /// A client that resolves every name to this server.
    pub(super) fn azure(&self, settings: AzureSettings) -> Azure {
        azure(settings, self.address, self.address)
    }

    /// The same, with Analysis Services at another address.
    pub(super) fn azure_with(&self, settings: AzureSettings, server: SocketAddr) -> Azure {
        azure(settings, self.address, server)
    }

    /// The model of the tests.
    pub(super) fn model(&self) -> ModelClient {
        model_of(&self.azure(self.settings()))
    }

    /// Settings with a short timeout, for tests that wait for it.
    pub(super) fn with_short_timeout(&self) -> AzureSettings {
        AzureSettings { call_timeout: Duration::from_secs(2), ..self.settings() }
    }
}

/// Settings that trust this authority.
pub(crate) fn settings(ca_pem: &str) -> AzureSettings {
    AzureSettings {
        cloud: Cloud::public(),
        extra_ca_pem: Some(ca_pem.as_bytes().to_vec()),
        call_timeout: Duration::from_secs(20),
        max_calls_per_server: 4,
        max_refresh_duration: Duration::from_hours(48),
        user_agent: "tabular-operator/test".to_owned(),
        on_call: None,
    }
}

/// A client that resolves Analysis Services to one address, and all other names to another one.
pub(crate) fn azure(settings: AzureSettings, entra: SocketAddr, server: SocketAddr) -> Azure {
    let http = http::Client::build(&settings, |builder| {
        builder
            .https_only(true)
            .no_proxy()
            .resolve(ENTRA, entra)
            .resolve(OTHER_HOST, entra)
            .resolve(SERVER, server)
            .resolve(POWER_BI, server)
    });
    // Neither the real address nor a proxy from the environment.
    let metadata =
        Metadata::build(&settings, move |builder| builder.no_proxy().proxy(reqwest::Proxy::http(format!("http://{entra}")).unwrap()));
    Azure::assemble(settings, http.unwrap(), metadata)
}

pub(super) fn model_of(azure: &Azure) -> ModelClient {
    model_in(azure, "bi")
}

/// The same model with another identity.
pub(super) fn model_as(azure: &Azure, identity: Identity) -> ModelClient {
    model_with(azure, identity, "bi")
}

fn model_with(azure: &Azure, identity: Identity, namespace: &str) -> ModelClient {
    let server = ServerName::parse(&format!("asazure://{SERVER}/myserver"), azure.cloud()).unwrap();
    azure.analysis_services(server, DatabaseName::parse("Adventure Works").unwrap(), identity, namespace)
}

impl ModelClient {
    /// Prepares a call of an arbitrary kind. Only tests of throttles depend on the kind.
    pub(super) async fn prepare(&self) -> Result<Call, ServiceError> {
        self.prepare_for(CallKind::Submit(OperationKind::Refresh)).await
    }
}

/// The same model for another namespace.
pub(super) fn model_in(azure: &Azure, namespace: &str) -> ModelClient {
    model_with(azure, Identity::service_principal_secret(GUID, GUID, SECRET, FieldNames::SECRET_KEYS).unwrap(), namespace)
}

/// The semantic model of the tests.
pub(super) fn power_bi_of(azure: &Azure) -> ModelClient {
    power_bi_named(azure, ModelName::by_ids(GROUP, DATASET).unwrap())
}

pub(super) fn power_bi_named(azure: &Azure, name: ModelName) -> ModelClient {
    azure.power_bi(name, Identity::service_principal_secret(GUID, GUID, SECRET, FieldNames::SECRET_KEYS).unwrap(), "bi").unwrap()
}

/// The TLS settings of the server for all names, and the certificate of its authority.
pub(crate) fn tls(protocols: &[&[u8]]) -> (TlsAcceptor, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = [ENTRA, SERVER, POWER_BI, OTHER_HOST].map(str::to_owned).to_vec();
    let issuer = Issuer::new(ca, ca_key);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), ca_certificate.pem())
}

async fn serve(tls: TlsAcceptor, stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Request>>>) {
    let Ok(mut stream) = tls.accept(stream).await else {
        return;
    };
    let mut received = Vec::new();
    let request = loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(n) => received.extend_from_slice(&piece[..n]),
        }
        if let Some(request) = request(&String::from_utf8_lossy(&received)) {
            break request;
        }
    };
    log.lock().push(request.clone());
    match script(&request).unwrap_or_else(|| default_reply(&request)) {
        Reply::Write(text) => write(&mut stream, text.as_bytes()).await,
        Reply::WriteBytes(bytes) => write(&mut stream, &bytes).await,
        Reply::WriteAndHang(text) => {
            write(&mut stream, text.as_bytes()).await;
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        Reply::WriteEndlessly(head, piece) => {
            write(&mut stream, head.as_bytes()).await;
            while stream.write_all(piece.as_bytes()).await.is_ok() {}
        }
        Reply::Close => {}
    }
    let _ = stream.shutdown().await;
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
}

/// Parses the request, if it is complete.
fn request(text: &str) -> Option<Request> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let line = format!("{method} {}{path}", header("host").unwrap_or_default());
    (body.len() >= length).then(|| Request { line, head: head.to_owned(), body: body.to_owned() })
}

fn default_reply(request: &Request) -> Reply {
    if request.line.starts_with(&format!("POST {ENTRA}")) {
        return reply(200, &[], r#"{"token_type":"Bearer","expires_in":3599,"access_token":"planted-token"}"#);
    }
    reply(404, &[], "")
}
