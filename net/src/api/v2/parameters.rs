//! The parameters of a keys request, checked in etcd's order: the first failure answers.

use bytes::Bytes;
use quorra_core::store::v2::{Condition, Get, Path, Watch, Write};

use super::errors::{Code, Refusal};
use super::form::Form;
use crate::http::{Method, Request};

/// What a keys request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A change. With `brief` its answer shows no nodes.
    Write {
        write: Write,
        brief: bool,
    },
    Get {
        get: Get,
        quorum: bool,
    },
    Watch(Watch),
}

#[derive(Debug, Default)]
struct Parameters {
    previous_index: u64,
    wait_index: u64,
    recursive: bool,
    sorted: bool,
    wait: bool,
    directory: bool,
    quorum: bool,
    stream: bool,
    previous_value: Bytes,
    brief: bool,
    ttl: Option<u64>,
    previous_exist: Option<bool>,
    refresh: bool,
    value: Bytes,
}

impl Ask {
    /// Reads a request for this key.
    ///
    /// # Errors
    /// The first parameter that is wrong.
    pub(super) fn parse(request: &Request, path: Path) -> Result<Self, Refusal> {
        let form = Form::parse(request);
        let form = form.map_err(|text| Refusal::early(Code::INVALID_FORM, text))?;
        let parameters = Parameters::parse(&form, &request.method)?;
        Ok(parameters.dispatch(&request.method, path))
    }
}

impl Parameters {
    fn parse(form: &Form<'_>, method: &Method) -> Result<Self, Refusal> {
        if form.is_empty() {
            return Ok(Self::default());
        }
        let mut given = Self {
            previous_index: number(form, "prevIndex", Code::INDEX_NOT_A_NUMBER)?.unwrap_or(0),
            wait_index: number(form, "waitIndex", Code::INDEX_NOT_A_NUMBER)?.unwrap_or(0),
            recursive: flag(form, "recursive")?,
            sorted: flag(form, "sorted")?,
            wait: flag(form, "wait")?,
            directory: flag(form, "dir")?,
            quorum: flag(form, "quorum")?,
            stream: flag(form, "stream")?,
            ..Self::default()
        };
        if given.wait && *method != Method::Get {
            let cause = "\"wait\" can only be used with GET requests";
            return Err(Refusal::early(Code::INVALID_FIELD, cause));
        }
        if form.first("prevValue").is_some_and(<[u8]>::is_empty) {
            let cause = "\"prevValue\" cannot be empty";
            return Err(Refusal::early(Code::PREVIOUS_VALUE_REQUIRED, cause));
        }
        given.previous_value = bytes(form, "prevValue");
        given.brief = flag(form, "noValueOnSuccess")?;
        if form.first("ttl").is_some_and(|text| !text.is_empty()) {
            given.ttl = number(form, "ttl", Code::TTL_NOT_A_NUMBER)?;
        }
        given.previous_exist = optional_flag(form, "prevExist")?;
        given.refresh = optional_flag(form, "refresh")?.unwrap_or(false);
        given.value = bytes(form, "value");
        if given.refresh && !given.value.is_empty() {
            let cause = "A value was provided on a refresh";
            return Err(Refusal::early(Code::REFRESH_VALUE, cause));
        }
        if given.refresh && given.ttl.is_none() {
            return Err(Refusal::early(Code::REFRESH_TTL_REQUIRED, "No TTL value set"));
        }
        Ok(given)
    }

    /// Which operation of the store a request is.
    fn dispatch(self, method: &Method, path: Path) -> Ask {
        let brief = self.brief;
        match method {
            Method::Post => Ask::Write { write: self.create(path, true), brief },
            Method::Put => Ask::Write { write: self.put(path), brief },
            Method::Delete => Ask::Write { write: self.delete(path), brief },
            // A quorum read beats a watch.
            Method::Get if self.wait && !self.quorum => Ask::Watch(Watch {
                path,
                recursive: self.recursive,
                stream: self.stream,
                wait_index: (self.wait_index > 0).then_some(self.wait_index),
            }),
            _ => Ask::Get {
                get: Get { path, recursive: self.recursive, sorted: self.sorted },
                quorum: self.quorum && *method == Method::Get,
            },
        }
    }

    fn put(self, path: Path) -> Write {
        let condition = self.condition();
        let Self { directory, ttl, refresh, .. } = self;
        match (self.previous_exist, condition) {
            (Some(false), _) => self.create(path, false),
            (_, Some(condition)) => {
                Write::CompareAndSwap { path, value: self.value, ttl, refresh, condition }
            }
            (Some(true), None) => Write::Update { path, value: self.value, ttl, refresh },
            (None, None) => {
                let value = if directory { Bytes::new() } else { self.value };
                Write::Set { path, value, directory, ttl, refresh }
            }
        }
    }

    fn create(self, path: Path, in_order: bool) -> Write {
        let Self { directory, ttl, .. } = self;
        let value = if directory { Bytes::new() } else { self.value };
        Write::Create { path, value, directory, ttl, in_order }
    }

    fn delete(self, path: Path) -> Write {
        match self.condition() {
            Some(condition) => Write::CompareAndDelete { path, condition },
            None => Write::Delete { path, directory: self.directory, recursive: self.recursive },
        }
    }

    fn condition(&self) -> Option<Condition> {
        let value = (!self.previous_value.is_empty()).then(|| self.previous_value.clone());
        let index = (self.previous_index > 0).then_some(self.previous_index);
        (value.is_some() || index.is_some()).then_some(Condition { value, index })
    }
}

/// Whether a request that was found valid asks for all that is below its key, whatever it does.
pub(super) fn is_recursive(request: &Request) -> bool {
    Form::parse(request).is_ok_and(|form| flag(&form, "recursive").unwrap_or(false))
}

fn bytes(form: &Form<'_>, name: &str) -> Bytes {
    form.first(name).map(Bytes::copy_from_slice).unwrap_or_default()
}

/// A decimal number without sign and blanks, if the name is there.
fn number(form: &Form<'_>, name: &str, code: Code) -> Result<Option<u64>, Refusal> {
    let Some(text) = form.first(name) else { return Ok(None) };
    let digits = text.iter().all(u8::is_ascii_digit);
    let parsed = str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    match parsed {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::early(code, format!("invalid value for \"{name}\""))),
    }
}

fn flag(form: &Form<'_>, name: &str) -> Result<bool, Refusal> {
    let Some(text) = form.first(name) else { return Ok(false) };
    boolean(text)
        .ok_or_else(|| Refusal::early(Code::INVALID_FIELD, format!("invalid value for \"{name}\"")))
}

/// A flag whose absence means something, and whose failure etcd tells without quotes.
fn optional_flag(form: &Form<'_>, name: &str) -> Result<Option<bool>, Refusal> {
    let Some(text) = form.first(name) else { return Ok(None) };
    match boolean(text) {
        Some(flag) => Ok(Some(flag)),
        None => Err(Refusal::early(Code::INVALID_FIELD, format!("invalid value for {name}"))),
    }
}

/// Go's `strconv.ParseBool`.
fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v2::tests::request;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn parse(method: &str, query: &str) -> Result<Ask, Refusal> {
        let request = request(method, "/v2/keys/a", query, FORM, "");
        Ask::parse(&request, Path::clean(b"/a"))
    }

    #[test]
    fn the_first_failure_in_the_order_of_etcd_answers() {
        // Each row's failure comes before those of the rows behind it.
        let rows = [
            ("x=%zz", Code::INVALID_FORM, "invalid URL escape \"%zz\""),
            ("prevIndex=x", Code::INDEX_NOT_A_NUMBER, "invalid value for \"prevIndex\""),
            ("waitIndex=-1", Code::INDEX_NOT_A_NUMBER, "invalid value for \"waitIndex\""),
            ("recursive=x", Code::INVALID_FIELD, "invalid value for \"recursive\""),
            ("sorted=", Code::INVALID_FIELD, "invalid value for \"sorted\""),
            ("wait=tRUE", Code::INVALID_FIELD, "invalid value for \"wait\""),
            ("dir=2", Code::INVALID_FIELD, "invalid value for \"dir\""),
            ("quorum", Code::INVALID_FIELD, "invalid value for \"quorum\""),
            ("stream=+1", Code::INVALID_FIELD, "invalid value for \"stream\""),
            ("wait=1", Code::INVALID_FIELD, "\"wait\" can only be used with GET requests"),
            ("prevValue=", Code::PREVIOUS_VALUE_REQUIRED, "\"prevValue\" cannot be empty"),
            ("noValueOnSuccess=x", Code::INVALID_FIELD, "invalid value for \"noValueOnSuccess\""),
            ("ttl=1.5", Code::TTL_NOT_A_NUMBER, "invalid value for \"ttl\""),
            ("prevExist=", Code::INVALID_FIELD, "invalid value for prevExist"),
            ("refresh=x", Code::INVALID_FIELD, "invalid value for refresh"),
            ("refresh=1&value=x", Code::REFRESH_VALUE, "A value was provided on a refresh"),
            ("refresh=1", Code::REFRESH_TTL_REQUIRED, "No TTL value set"),
        ];
        let mut behind = String::new();
        for (query, code, cause) in rows.iter().rev() {
            // The last three rows are about one name, whose first value wins.
            behind = if query.starts_with("refresh") {
                (*query).to_owned()
            } else {
                format!("{query}&{behind}")
            };
            let expected = Refusal::early(*code, *cause);
            assert_eq!(parse("PUT", &behind), Err(expected), "{behind}");
        }
    }

    #[test]
    fn numbers_are_plain_decimals_of_64_bits() {
        for text in ["0x10", "%201", "1_0", "", "-1", "%2b1", "18446744073709551616"] {
            let expected =
                Refusal::early(Code::INDEX_NOT_A_NUMBER, "invalid value for \"prevIndex\"");
            assert_eq!(parse("GET", &format!("prevIndex={text}")), Err(expected));
        }
        assert!(parse("GET", "prevIndex=018446744073709551615&ttl=").is_ok());
    }

    #[test]
    fn methods_and_parameters_choose_the_operation() {
        let path = || Path::clean(b"/a");
        let value = || Bytes::from_static(b"v");
        let condition = |value: Option<&'static str>, index| {
            let value = value.map(Bytes::from);
            Condition { value, index }
        };
        let write = |write| Ask::Write { write, brief: false };
        let set = |directory, value, ttl, refresh| {
            write(Write::Set { path: path(), value, directory, ttl, refresh })
        };
        let create = |in_order, ttl| {
            let (path, value) = (path(), value());
            write(Write::Create { path, value, directory: false, ttl, in_order })
        };
        let swap = |condition| {
            let (path, value) = (path(), value());
            write(Write::CompareAndSwap { path, value, ttl: None, refresh: false, condition })
        };
        let update =
            write(Write::Update { path: path(), value: value(), ttl: None, refresh: false });
        let delete = write(Write::Delete { path: path(), directory: true, recursive: false });
        let delete_if =
            write(Write::CompareAndDelete { path: path(), condition: condition(None, Some(3)) });
        let get = |quorum| Ask::Get {
            get: Get { path: path(), recursive: false, sorted: false },
            quorum,
        };
        let watch = |wait_index| {
            Ask::Watch(Watch { path: path(), recursive: false, stream: false, wait_index })
        };
        let rows = [
            ("PUT", "value=v", set(false, value(), None, false)),
            ("PUT", "value=v&dir=1", set(true, Bytes::new(), None, false)),
            ("PUT", "refresh=1&ttl=0", set(false, Bytes::new(), Some(0), true)),
            ("PUT", "value=v&prevExist=0&prevValue=x&prevIndex=3", create(false, None)),
            ("PUT", "value=v&prevExist=1", update),
            ("PUT", "value=v&prevExist=1&prevIndex=3", swap(condition(None, Some(3)))),
            ("PUT", "value=v&prevValue=x&dir=1", swap(condition(Some("x"), None))),
            ("PUT", "value=v&prevIndex=0", set(false, value(), None, false)),
            ("POST", "value=v&prevExist=1&prevValue=x&refresh=0&ttl=9", create(true, Some(9))),
            ("DELETE", "dir=1&prevExist=0", delete),
            ("DELETE", "dir=1&recursive=1&prevIndex=3", delete_if),
            ("GET", "", get(false)),
            ("GET", "quorum=1&wait=1", get(true)),
            ("HEAD", "quorum=1", get(false)),
            ("GET", "wait=1&waitIndex=0", watch(None)),
            ("GET", "wait=1&waitIndex=7", watch(Some(7))),
        ];
        for (method, query, expected) in rows {
            assert_eq!(parse(method, query), Ok(expected), "{method} {query}");
        }
    }
}
