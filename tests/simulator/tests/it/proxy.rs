//! The proxy itself: its tunnels, and its refusal of all other targets.

use serde_json::json;
use simulator::{Settings, Simulator, simulator::Error};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{LocalAzure, MODEL};

/// The proxy's response to these bytes.
async fn send_raw(azure: &LocalAzure, text: &str) -> String {
    let mut stream = TcpStream::connect(azure.simulator.proxy_url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut response = vec![0; 4_096];
    let mut length = 0;
    while !String::from_utf8_lossy(&response[..length]).contains("\n\r\n")
        || (response.starts_with(b"HTTP/1.1 403") && !response[..length].ends_with(b".\n"))
    {
        let read = stream.read(&mut response[length..]).await.unwrap();
        assert!(read > 0, "the connection was closed");
        length += read;
    }
    String::from_utf8_lossy(&response[..length]).into_owned()
}

#[tokio::test]
async fn tunnels_to_other_targets_are_refused() {
    let azure = LocalAzure::new(json!({})).await;
    for (request, word) in [
        ("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n", "example.com"),
        ("CONNECT 127.0.0.1:443 HTTP/1.1\r\nhost: 127.0.0.1:443\r\n\r\n", "127.0.0.1"),
        ("CONNECT westus.asazure.windows.net:22 HTTP/1.1\r\nhost: x\r\n\r\n", "443"),
        ("GET http://westus.asazure.windows.net/ HTTP/1.1\r\nhost: x\r\n\r\n", "CONNECT"),
    ] {
        let response = send_raw(&azure, request).await;
        assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\n") && response.contains(word), "{response}");
        let row = azure.last_row().await;
        assert_eq!((&row["route"], &row["status"], &row["handled"]), (&json!("refused"), &json!(403), &json!(false)));
    }
    assert!(send_raw(&azure, "CONNECT api.powerbi.com:443 HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    let error = azure.http.get("https://example.com/").send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn user_of_the_proxy_is_in_the_ledger() {
    let azure = LocalAzure::new(json!({})).await;
    azure.get("/refreshes").await;
    assert_eq!(azure.last_row().await["proxyUser"], json!(null));
    let proxy = azure.simulator.proxy_url().replacen("http://", "http://replica-1:any@", 1);
    let client = reqwest::Client::builder()
        .proxy(reqwest::Proxy::https(proxy).unwrap())
        .tls_certs_only([reqwest::Certificate::from_pem(azure.simulator.ca_pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    assert_eq!(client.get(format!("{MODEL}/refreshes")).bearer_auth(&azure.token).send().await.unwrap().status(), 200);
    assert_eq!(azure.last_row().await["proxyUser"], json!("replica-1"));
}

#[tokio::test]
async fn non_loopback_address_is_refused() {
    let settings = Settings { proxy_address: "0.0.0.0:0".parse().unwrap(), ..Settings::default() };
    assert!(matches!(Simulator::start(settings).await, Err(Error::NotLoopback(_))));
}

#[tokio::test]
async fn certificate_is_signed_by_own_authority() {
    let azure = LocalAzure::new(json!({})).await;
    let other = Simulator::start(Settings::default()).await.unwrap();
    let distrustful = reqwest::Client::builder()
        .proxy(reqwest::Proxy::https(azure.simulator.proxy_url()).unwrap())
        .tls_certs_only([reqwest::Certificate::from_pem(other.ca_pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    assert!(distrustful.get("https://api.powerbi.com/").send().await.is_err());
}
