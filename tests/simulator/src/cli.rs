//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

const EXAMPLE: &str = "\
EXAMPLE

  simulator --ca-file ca.pem &
  {\"proxy\":\"http://127.0.0.1:40001\",\"control\":\"http://127.0.0.1:40002\",\"caFile\":\"ca.pem\"}

  Without --world there is a tenant, an application with a secret, and a model of three tables in each service:
    tenant    72f988bf-0000-4000-8000-000000000001
    client    11111111-0000-4000-8000-000000000001   secret  example-secret
    server    asazure://westus.asazure.windows.net/myserver   database  AdventureWorks
    group     f089354e-8366-4e18-aea3-4cb4a3a50b48   dataset   cfafbeb1-8037-4d0c-896e-a46fb27ff229

  AZURE=\"--proxy http://127.0.0.1:40001 --cacert ca.pem --silent --show-error\"
  TOKEN=$(curl $AZURE https://login.microsoftonline.com/72f988bf-0000-4000-8000-000000000001/oauth2/v2.0/token \\
    -d grant_type=client_credentials -d client_id=11111111-0000-4000-8000-000000000001 \\
    -d client_secret=example-secret --data-urlencode 'scope=https://*.asazure.windows.net/.default' \\
    | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  MODEL=https://westus.asazure.windows.net/servers/myserver/models/AdventureWorks
  curl $AZURE -i -H \"Authorization: Bearer $TOKEN\" --json '{\"Type\":\"Full\"}' $MODEL/refreshes
  curl $AZURE    -H \"Authorization: Bearer $TOKEN\" $MODEL/refreshes

  curl http://127.0.0.1:40002/ledger          # the received requests
  curl http://127.0.0.1:40002/faults -d '{\"match\":{\"method\":\"POST\"},\"action\":{\"dropAfter\":{}}}'

  tests/simulator/README.md has all of the control API.";

/// A local Azure: Entra ID, Analysis Services and Power BI under their real names, behind an HTTPS CONNECT proxy on loopback.
///
/// Configure a client with its proxy setting (`HTTPS_PROXY`, `--proxy`) and trust the certificate in --ca-file. Other hosts are refused.
/// When ready, it prints one line of JSON with its addresses. It exits with 0 after SIGTERM or Ctrl-C, with 2 after invalid usage or
/// settings, and otherwise with 1.
#[derive(Parser)]
#[command(name = "simulator", version, after_long_help = EXAMPLE)]
pub struct Cli {
    /// Address of the proxy; loopback only, port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub proxy_address: SocketAddr,
    /// Address of the control API; loopback only, port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub control_address: SocketAddr,
    /// File for the certificate that clients must trust (PEM); each start creates a new certificate
    #[arg(long, value_name = "FILE")]
    pub ca_file: PathBuf,
    /// Initial state (JSON or YAML): {clouds: […], applications: […], issuers: […], managedIdentities: […], models: […], entra: {…},
    /// faults: […]}, each as in the control API; default: the example below
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// Exit when standard input ends, so that no simulator outlives the process that started it
    #[arg(long)]
    pub parent_exits: bool,
}
