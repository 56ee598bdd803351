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

  curl http://127.0.0.1:40002/ledger          # what was asked of it
  curl http://127.0.0.1:40002/faults -d '{\"match\":{\"method\":\"POST\"},\"action\":{\"dropAfter\":{}}}'

  tests/simulator/README.md has all of the control API.";

/// A local Azure: Entra ID, Analysis Services and Power BI under their real names, behind an HTTPS CONNECT proxy on loopback.
///
/// Point any client at it by its proxy setting (`HTTPS_PROXY`, `--proxy`) and by trusting the certificate in --ca-file. It leads
/// nowhere else: other hosts are refused. When it is ready it prints one line of JSON that says where it listens. SIGTERM and
/// Ctrl-C end it with exit code 0; bad usage or settings give 2, and the rest 1.
#[derive(Parser)]
#[command(name = "simulator", version, after_long_help = EXAMPLE)]
pub struct Cli {
    /// Where the proxy listens: a loopback address; port 0 means any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub proxy_address: SocketAddr,
    /// Where the control API listens: a loopback address; port 0 means any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub control_address: SocketAddr,
    /// Where to write the certificate that clients are to trust (PEM); made anew at each start
    #[arg(long, value_name = "FILE")]
    pub ca_file: PathBuf,
    /// What there is at the start (JSON or YAML): {clouds: […], applications: […], issuers: […], managedIdentities: […], models: […],
    /// entra: {…}, faults: […]}, each as the body of the control API; without it, the example below
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// End when standard input does, so that no simulator outlives whoever has started it
    #[arg(long)]
    pub parent_exits: bool,
}
