//! From a list of fields to the head of a request (RFC 9113, section 8.3).

use bytes::Bytes;

use crate::grpc::{self, Code, Status};
use crate::http::{Headers, Method, Request, Response};

/// What one field costs beside its text (RFC 9113, 6.5.2).
const FIELD_BYTES: usize = 32;

/// A request's head while its fields come in.
#[derive(Debug)]
pub(super) struct HeadReader {
    method: Option<Method>,
    path: Option<Bytes>,
    scheme: bool,
    headers: Headers,
    regular: bool,
    malformed: bool,
    rpc: bool,
    encoding: Option<Bytes>,
    bytes: usize,
    bytes_max: usize,
}

/// What a whole list of fields is.
#[derive(Debug)]
pub(super) enum Head {
    /// A request; its body is still empty.
    Request(Request),
    /// A request that is not looked at, and its answer.
    Refused(Response),
    /// Not a request (RFC 9113, 8.1.1): a stream error.
    Malformed,
}

impl HeadReader {
    /// No fields yet; they may have so many bytes in all.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            method: None,
            path: None,
            scheme: false,
            headers: Headers::with_capacity(8, 256),
            regular: false,
            malformed: false,
            rpc: false,
            encoding: None,
            bytes: 0,
            bytes_max,
        }
    }

    /// What the fields have cost until now (RFC 9113, 6.5.2).
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next field.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        self.bytes += name.len() + value.len() + FIELD_BYTES;
        if self.bytes > self.bytes_max {
            return;
        }
        if name.first() == Some(&b':') {
            return self.pseudo(name, value);
        }
        self.regular = true;
        if name == b"host"
            && let Some(known) = self.headers.first("host")
        {
            // It may be said again, but not differently (RFC 9113, 8.3.1).
            self.malformed |= known != value;
            return;
        }
        match name {
            b"" | b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding"
            | b"upgrade" => self.malformed = true,
            b"te" if value != b"trailers" => self.malformed = true,
            b"content-type" => self.rpc = grpc::is_content_type(value),
            b"grpc-encoding" if !value.is_empty() && value != b"identity" => {
                self.encoding = Some(Bytes::copy_from_slice(value));
            }
            _ => {}
        }
        self.malformed |= name.iter().any(|byte| !is_name(*byte));
        self.malformed |= value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        self.malformed |= !self.headers.push(name, value);
    }

    /// A pseudo-field: once, before all others, and one of four (RFC 9113, 8.3.1).
    fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        self.malformed |= self.regular;
        // A proxy writes them into a line of HTTP/1.1, where a blank or a line end has a meaning.
        self.malformed |= value.iter().any(|byte| byte.is_ascii_control() || *byte == b' ');
        match name {
            b":method" => {
                self.malformed |= value.is_empty();
                self.malformed |= self.method.replace(Method::of(value)).is_some();
            }
            b":path" => {
                self.malformed |= !value.starts_with(b"/") && value != b"*";
                self.malformed |= self.path.replace(Bytes::copy_from_slice(value)).is_some();
            }
            b":scheme" => self.malformed |= std::mem::replace(&mut self.scheme, true),
            b":authority" => {
                self.malformed |= self.headers.first("host").is_some();
                self.malformed |= !self.headers.push(b"host", value);
            }
            _ => self.malformed = true,
        }
    }

    /// The list is complete.
    pub(super) fn finish(self, secure: bool) -> Head {
        if self.bytes > self.bytes_max {
            return Head::Refused(Response::new(431, Bytes::new()));
        }
        let (Some(method), Some(path), true, false) =
            (self.method, self.path, self.scheme, self.malformed)
        else {
            return Head::Malformed;
        };
        if self.rpc
            && let Some(encoding) = self.encoding
        {
            return Head::Refused(compressed(&encoding).response());
        }
        let (path, query) = match path.iter().position(|byte| *byte == b'?') {
            Some(mark) => (path.slice(..mark), Some(path.slice(mark + 1..))),
            None => (path, None),
        };
        Head::Request(Request {
            method,
            path,
            query,
            headers: self.headers,
            body: Bytes::new(),
            oversized: false,
            secure,
            rpc: self.rpc,
        })
    }
}

/// The messages are compressed in a way that is not spoken here; as grpc-go words it.
fn compressed(encoding: &[u8]) -> Status {
    let name = String::from_utf8_lossy(encoding);
    let text = format!("grpc: Decompressor is not installed for grpc-encoding {name:?}");
    Status::new(Code::Unimplemented, text)
}

/// Names are tokens in lower case (RFC 9113, 8.2.1).
fn is_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        let mut reader = HeadReader::new(1000);
        fields.iter().for_each(|(name, value)| reader.field(name.as_bytes(), value.as_bytes()));
        reader.finish(false)
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "http"), (":path", "/a?b=c"), (":authority", "x:1")];

    #[test]
    fn a_request_is_taken_apart() {
        let Head::Request(request) = head(&GET) else { panic!("a request") };
        assert_eq!(request.method, Method::Get);
        assert_eq!((&request.path[..], request.query.as_deref()), (&b"/a"[..], Some(&b"b=c"[..])));
        assert_eq!(request.headers.first("host"), Some(&b"x:1"[..]));
        assert!(!request.rpc);
    }

    #[test]
    fn a_request_has_one_host() {
        let with = |host: &'static str| [&GET[..], &[("host", host)]].concat();
        let Head::Request(request) = head(&with("x:1")) else { panic!("a request") };
        assert_eq!(request.headers.all("host").collect::<Vec<_>>(), [b"x:1"]);
        assert!(matches!(head(&with("y:1")), Head::Malformed));
    }

    #[test]
    fn nonsense_is_malformed() {
        let bad: [(&str, &str); 8] = [
            ("Upper", "x"),
            ("connection", "close"),
            ("te", "gzip"),
            ("", "x"),
            ("a b", "x"),
            ("a", "x\r\nb: c"),
            (":path", "/twice"),
            (":unknown", "x"),
        ];
        for field in bad {
            let mut fields = GET.to_vec();
            fields.push(field);
            assert!(matches!(head(&fields), Head::Malformed), "{field:?}");
        }
        for missing in 0..3 {
            let mut fields = GET.to_vec();
            fields.remove(missing);
            assert!(matches!(head(&fields), Head::Malformed), "without {missing}");
        }
        assert!(matches!(head(&[("a", "b"), GET[0], GET[1], GET[2]]), Head::Malformed));
    }

    /// What would be another request behind a proxy is none here.
    #[test]
    fn pseudo_fields_fit_a_line() {
        let rows = [
            (":method", "GET / HTTP/1.1\r\nX:"),
            (":method", ""),
            (":path", "/a HTTP/1.1\r\nHost: x\r\n\r\nDELETE /v2/keys/b"),
            (":path", "/a b"),
            (":path", "/a\0"),
            (":path", "a"),
            (":path", ""),
            (":path", "http://x/a"),
            (":authority", "x\r\ny: z"),
            (":authority", "x y"),
        ];
        for (name, value) in rows {
            let mut fields = GET.to_vec();
            let field = fields.iter_mut().find(|field| field.0 == name).expect("it is there");
            field.1 = value;
            assert!(matches!(head(&fields), Head::Malformed), "{name}: {value:?}");
        }
        let options = [(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]];
        assert!(matches!(head(&options), Head::Request(_)));
    }

    #[test]
    fn fields_are_bounded() {
        let mut fields = GET.to_vec();
        let long = "x".repeat(1000);
        fields.push(("a", &long));
        assert!(matches!(head(&fields), Head::Refused(response) if response.status == 431));
    }

    #[test]
    fn calls_are_known_by_their_content_type() {
        let mut fields = GET.to_vec();
        fields.push(("content-type", "application/grpc+proto"));
        assert!(matches!(head(&fields), Head::Request(request) if request.rpc));
        for other in ["application/grpc-web", "application/grpcx", "application/json", ""] {
            let fields = [&GET[..], &[("content-type", other)]].concat();
            assert!(matches!(head(&fields), Head::Request(request) if !request.rpc), "{other}");
        }
        fields.push(("grpc-encoding", "gzip"));
        let Head::Refused(refusal) = head(&fields) else { panic!("a refusal") };
        let message = refusal.headers.iter().find(|(name, _)| *name == "grpc-message");
        let text = "grpc: Decompressor is not installed for grpc-encoding \"gzip\"";
        assert_eq!(message.map(|(_, text)| &text[..]), Some(text.as_bytes()));
    }
}
