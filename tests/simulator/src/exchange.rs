//! One exchange: a request is recorded in the ledger, passes the faults, and is handled by its service.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    analysis_services,
    call::Call,
    connection::Connection,
    context::Context,
    entra::{self, Token},
    faults::{
        MatchedFault, Subject,
        action::{Action, When},
    },
    hosts::{Service, Site},
    imds::{self, identities::Choice},
    ledger::{Entry, Row},
    power_bi,
    response::{self, Body, ServiceResponse},
    state::State,
    world::{Lookup, SharedModel, timestamp::TimestampStyle, verbatim::Clock},
};

/// Maximum size of a request's body.
const MAX_REQUEST: usize = 4 << 20;

/// Maximum number of headers that a fault adds: a header map has a limit of its own.
const MOST_HEADERS: u32 = 20_000;

/// The origin of a request: a tunnel to one host, or the metadata service's address.
pub struct Tunnel {
    /// The state of the local Azure.
    pub state: Arc<State>,
    /// The host that the client addressed.
    pub host: Arc<str>,
    /// The service and cloud of that name.
    pub site: Site,
    /// The user name that the client gave the proxy.
    pub proxy_user: Option<Arc<str>>,
    /// The handle that ends the connection.
    pub connection: Arc<Connection>,
}

/// A fault suppresses the response.
#[derive(Debug, thiserror::Error)]
#[error("a fault dropped the request")]
pub struct Dropped;

/// A request, parsed for the addressed service.
enum Target {
    Entra(entra::Request),
    AnalysisServices(analysis_services::Request),
    PowerBi(power_bi::Request),
    Metadata(imds::Request),
}

/// A call in progress.
struct Exchange<'a> {
    tunnel: &'a Tunnel,
    call: Call,
    target: Target,
    token: Option<Arc<Token>>,
    entry: Entry,
}

/// Handles a request.
///
/// # Errors
/// When a fault suppresses the response.
pub async fn respond(tunnel: Arc<Tunnel>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(to_http(ServiceResponse::empty(StatusCode::PAYLOAD_TOO_LARGE))),
    };
    let call = Call {
        host: Arc::clone(&tunnel.host),
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        now: Timestamp::now(),
    };
    let target = match tunnel.site.service {
        Service::Entra => Target::Entra(entra::Request::parse(&call)),
        Service::AnalysisServices => Target::AnalysisServices(analysis_services::Request::parse(&call)),
        Service::PowerBi => Target::PowerBi(power_bi::Request::parse(&call)),
        Service::Metadata => Target::Metadata(imds::Request::parse(&call)),
    };
    let token = call.bearer().and_then(|text| tunnel.state.entra.token(text));
    let row = row(&tunnel, &call, &target, token.as_deref());
    let (path, client, route) = (row.path.clone(), row.client_id.clone(), row.route);
    let entry = tunnel.state.ledger.record(row);
    let subject = Subject { method: call.method.as_str(), host: &call.host, path: &path, client_id: client.as_deref(), route };
    let fault = tunnel.state.faults.match_request(subject);
    let mut exchange = Exchange { tunnel: &tunnel, call, target, token, entry };
    if exchange.call.method == Method::POST
        && let Some(model) = exchange.model()
    {
        model.lock().posted(Timestamp::now());
    }
    let response = match fault {
        None => to_http(exchange.handle().await),
        Some(matched) => {
            exchange.entry.matched(&matched.fault.id);
            exchange.with(&matched).await?
        }
    };
    exchange.entry.responded(response.status().as_u16());
    Ok(response)
}

impl Exchange<'_> {
    fn context(&self) -> Context<'_> {
        Context {
            call: &self.call,
            site: self.tunnel.site,
            token: self.token.as_deref(),
            sequence: self.entry.sequence(),
            activity: uuid::Uuid::new_v4(),
        }
    }

    /// Passes the request to the service.
    async fn handle(&mut self) -> ServiceResponse {
        // A fault may have delayed the request: the time at which the service receives it counts.
        self.call.now = Timestamp::now();
        let state = &self.tunnel.state;
        let response = match &self.target {
            Target::Entra(request) => state.entra.handle(request, &self.call, self.tunnel.site.cloud).await,
            Target::AnalysisServices(request) => analysis_services::handle(&state.world, request, &self.context()),
            Target::PowerBi(request) => power_bi::handle(&state.world, request, &self.context()),
            Target::Metadata(request) => imds::handle(state, request, &self.call),
        };
        self.entry.handled(response.operation);
        response
    }

    /// Applies a fault.
    async fn with(&mut self, matched: &MatchedFault) -> Result<Response<Body>, Dropped> {
        let (connection, fault) = (&self.tunnel.connection, &matched.fault);
        Ok(match matched.action() {
            Action::Hold { at: When::Before } => {
                fault.hold().await;
                to_http(self.handle().await)
            }
            Action::Hold { at: When::After } => {
                let response = self.handle().await;
                fault.hold().await;
                to_http(response)
            }
            Action::Pass {} | Action::Responses(_) => to_http(self.handle().await),
            Action::Status { code, body, headers, handled } => {
                if *handled {
                    self.handle().await;
                }
                let response = ServiceResponse::empty(status(*code)).with_template(body.as_ref(), &self.clock());
                to_http(headers.iter().fold(response, |response, (name, value)| response.with_named(name, Some(value))))
            }
            Action::DropBefore { alone } => return self.dropped(*alone).await,
            Action::DropAfter { alone } => {
                self.handle().await;
                return self.dropped(*alone).await;
            }
            Action::Delay { millis, before } => {
                let wait = Duration::from_millis(*millis);
                if *before {
                    tokio::time::sleep(wait).await;
                }
                let response = self.handle().await;
                if !*before {
                    tokio::time::sleep(wait).await;
                }
                to_http(response)
            }
            Action::Hang { after } => {
                if *after {
                    self.handle().await;
                }
                std::future::pending().await
            }
            Action::Truncate { bytes } => {
                let response = self.handle().await;
                let body = response::cut(&response.body, *bytes, Arc::clone(connection), false);
                // Exceeds what is sent, even if the body is short and sent completely.
                let content_length = response.body.len().max(response.body.len().min(*bytes) + 1);
                streamed(response, body, Some(content_length))
            }
            Action::ResetMidBody {} => {
                let response = self.handle().await;
                let body = response::cut(&response.body, response.body.len() / 2, Arc::clone(connection), true);
                let content_length = response.body.len().max(1);
                streamed(response, body, Some(content_length))
            }
            Action::Huge { bytes } => streamed(self.handle().await, response::huge(*bytes), None),
            Action::Repeat { code, head, piece, count, tail, announced } => {
                let response = match code {
                    Some(code) => ServiceResponse::empty(status(*code)),
                    None => self.handle().await,
                };
                let length = response::repeated_length(head, piece, *count, tail);
                streamed(response, response::repeated(head, piece, *count, tail), announced.then_some(length))
            }
            Action::Gzip { blanks } => {
                let mut response = self.handle().await;
                response.body = response::gzip(&response.body, *blanks);
                to_http(response.with(CONTENT_ENCODING, "gzip"))
            }
            Action::ManyHeaders { count } => {
                let value = "x".repeat(1_000);
                let add = |response: ServiceResponse, number| response.with_named(&format!("x-many-{number}"), Some(&value));
                to_http((0..*count.min(&MOST_HEADERS)).fold(self.handle().await, add))
            }
            Action::Slow { bytes_per_second } => {
                let response = self.handle().await;
                let body = response::slow(response.body.clone(), *bytes_per_second);
                let content_length = response.body.len();
                streamed(response, body, Some(content_length))
            }
            Action::Html { code, handled } => {
                if *handled {
                    self.handle().await;
                }
                to_http(ServiceResponse::html(status(*code)))
            }
            Action::Redirect { code, location } => to_http(ServiceResponse::empty(status(*code)).with(LOCATION, location)),
            Action::Location { value } => to_http(self.handle().await.with_named(LOCATION.as_str(), value.as_deref())),
            Action::Body(body) => to_http(self.handle().await.with_template(Some(body), &self.clock())),
            Action::Headers(headers) => {
                let response = self.handle().await;
                to_http(headers.iter().fold(response, |response, (name, value)| response.with_named(name, value.as_deref())))
            }
            Action::StatusAfter { code } => {
                let mut response = self.handle().await;
                response.status = status(*code);
                to_http(response)
            }
        })
    }

    /// The model that the request addresses.
    fn model(&self) -> Option<SharedModel> {
        let world = &self.tunnel.state.world;
        match &self.target {
            Target::AnalysisServices(request) => match world.find(request.server.as_deref()?, request.database.as_deref()?) {
                Lookup::Found(model) => Some(model),
                Lookup::NoServer | Lookup::NoModel(_) => None,
            },
            Target::PowerBi(request) => world.find_dataset(request.group?, request.dataset?),
            Target::Entra(_) | Target::Metadata(_) => None,
        }
    }

    /// The timestamp format in bodies of faults: that of the model's list.
    fn clock(&self) -> Clock {
        let plain = Clock { post: None, style: TimestampStyle::default(), skew: SignedDuration::ZERO };
        let clock = self.model().map_or(plain, |model| {
            let model = model.lock();
            model.clock(model.settings().list_style())
        });
        clock.posted_by(Timestamp::now())
    }

    /// Suppresses the response: resets the stream alone (the connection in HTTP/1.1), or ends the whole connection.
    async fn dropped(&self, alone: bool) -> Result<Response<Body>, Dropped> {
        if alone {
            return Err(Dropped);
        }
        self.tunnel.connection.kill(false);
        std::future::pending().await
    }
}

/// The request's row in the ledger.
fn row(tunnel: &Tunnel, call: &Call, target: &Target, token: Option<&Token>) -> Row {
    let mut row = Row {
        time: call.now,
        host: Arc::clone(&call.host),
        method: call.method.to_string(),
        path: if call.query.is_empty() { call.path.clone() } else { format!("{}?{}", call.path, call.query) },
        route: "unknown",
        client_id: token.map(|token| Arc::clone(&token.client)),
        credential: token.map(|token| token.credential.label()),
        token_audience: token.map(|token| token.audience.into()),
        content_type: call.header(CONTENT_TYPE.as_str()).map(ToOwned::to_owned),
        user_agent: call.header(USER_AGENT.as_str()).map(Into::into),
        client_request_id: call.header("x-ms-client-request-id").map(ToOwned::to_owned),
        proxy_user: tunnel.proxy_user.clone(),
        ..Row::default()
    };
    match target {
        Target::Entra(request) => {
            row.route = request.route();
            row.client_id = request.client_id().map(Into::into);
            row.credential = request.credential().map(entra::CredentialKind::label);
            row.set_body(request.redacted_body().as_bytes());
        }
        Target::AnalysisServices(request) => {
            row.route = request.route();
            row.server.clone_from(&request.server);
            row.database.clone_from(&request.database);
            row.operation_id = request.operation;
            row.set_body(&call.body);
        }
        Target::PowerBi(request) => {
            row.route = request.route();
            row.group_id = request.group;
            row.dataset_id = request.dataset;
            row.operation_id = request.operation;
            row.set_body(&call.body);
        }
        Target::Metadata(request) => {
            row.route = request.route();
            row.credential = Some(entra::CredentialKind::Managed.label());
            row.client_id = match (tunnel.state.identities.find(request.wanted()), request.wanted()) {
                (Choice::One(identity), _) => Some(Arc::clone(&identity.client_id)),
                (Choice::None | Choice::Several, imds::Wanted::Client(id)) => Some(id.into()),
                (Choice::None | Choice::Several, _) => None,
            };
        }
    }
    row
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn to_http(response: ServiceResponse) -> Response<Body> {
    assemble(response.status, response.headers, response::whole(response.body))
}

/// A response whose body is a stream, with the declared length.
fn streamed(response: ServiceResponse, body: Body, content_length: Option<usize>) -> Response<Body> {
    let mut headers = response.headers;
    if let Some(length) = content_length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    assemble(response.status, headers, body)
}

fn assemble(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
