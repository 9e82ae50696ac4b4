//! The v2 API's requests: paths, queries, forms.

use bytes::Bytes;
use quorra_core::store::v2::Path;
use quorra_net::api::front;

use crate::question::{Asked, request};

/// The input is the method and the target, a line for the content type, and the body.
///
/// Every request is answered or becomes a question, the same each time; a clean path stays as it
/// is when it is cleaned again, and is made of its names.
pub fn run(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (first, media_type, body) = (line(), line(), line());
    let space = first.iter().position(|byte| *byte == b' ');
    let (method, target) = match space {
        Some(space) => (&first[..space], &first[space + 1..]),
        None => (&b"GET"[..], first),
    };
    let request = request(method, target, media_type, Bytes::copy_from_slice(body));
    let asked = Asked::new();
    assert_eq!(asked.begin(&request), asked.begin(&request), "a request means one thing");
    if let Some(path) = front::decoded(&request.path) {
        check_path(&Path::clean(&path));
    }
}

fn check_path(path: &Path) {
    assert_eq!(&Path::clean(path.as_bytes()), path, "a clean path stays as it is");
    let mut built = Path::root();
    for name in path.components() {
        assert!(!name.is_empty() && !name.contains(&b'/'), "a name is one component");
        built = built.child(name);
    }
    assert_eq!(&built, path, "a path is made of its names");
}
