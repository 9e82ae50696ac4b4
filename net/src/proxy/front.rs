//! What a proxy answers itself, in etcd's order: path cleaning, `/metrics`, refusing writes where
//! it only reads, CORS, OPTIONS, and its own endpoint list.

use bytes::Bytes;
use quorra_core::time::Instant;

use super::endpoints::Endpoints;
use super::metrics::Metrics;
use crate::api::front::{bad_request, cleaned, decoded, method_not_allowed, moved};
use crate::api::origins::{self, Origins};
use crate::grpc::{Code, Status};
use crate::http::{Method, Request, Response};

/// The front door of a proxy.
#[derive(Debug)]
pub(super) struct Front {
    origins: Origins,
    read_only: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Begun {
    /// The proxy answers it.
    Respond(Response),
    /// An endpoint does; the origin is added to its answer.
    Forward(Option<Bytes>),
}

impl Front {
    pub(super) fn new(cors: &[String], read_only: bool) -> Self {
        Self { origins: Origins::new(cors), read_only }
    }

    pub(super) fn begin(
        &self,
        request: &Request,
        endpoints: &Endpoints,
        metrics: &Metrics,
        now: Instant,
    ) -> Begun {
        if request.rpc {
            let status = Status::new(Code::Unimplemented, "the v2 proxy does not serve gRPC");
            return Begun::Respond(status.response());
        }
        let Some(path) = decoded(&request.path) else { return Begun::Respond(bad_request()) };
        if let Some(clean) = cleaned(&path) {
            return Begun::Respond(moved(request, &clean));
        }
        if *path == *b"/metrics" {
            let response = Response::new(200, metrics.text())
                .with("Content-Type", &b"text/plain; version=0.0.4; charset=utf-8"[..]);
            return Begun::Respond(response);
        }
        if self.read_only && request.method != Method::Get {
            return Begun::Respond(Response::new(501, Bytes::new()));
        }
        let origin = self.origins.allowed(request);
        let own = if request.method == Method::Options {
            Response::new(200, Bytes::new())
        } else if *path == *b"/v2/config/local/proxy" {
            own_endpoints(request, endpoints, now)
        } else if request.oversized {
            error(500, "failed to read request body: http: request body too large")
        } else {
            return Begun::Forward(origin);
        };
        Begun::Respond(with_origin(own, origin.as_ref()))
    }
}

fn own_endpoints(request: &Request, endpoints: &Endpoints, now: Instant) -> Response {
    if request.method != Method::Get {
        return method_not_allowed("GET");
    }
    let urls: Vec<&str> = endpoints.available(now).map(|url| &**url).collect();
    Response::new(200, format!("{}\n", serde_json::json!({ "endpoints": urls })))
        .with("Content-Type", &b"text/plain; charset=utf-8"[..])
}

/// An error of the proxy's own.
pub(super) fn error(status: u16, text: &str) -> Response {
    let body = serde_json::json!({ "message": format!("httpproxy: {text}") });
    Response::new(status, body.to_string()).with("Content-Type", &b"application/json"[..])
}

/// The same with etcd's fields for an allowed origin.
pub(super) fn with_origin(mut response: Response, origin: Option<&Bytes>) -> Response {
    if let Some(origin) = origin {
        origins::allow(&mut response, origin);
    }
    response
}
