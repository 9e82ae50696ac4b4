//! Answers of `/v2/keys`, and the three forms in which they are printed.

use std::io::{self, Write};

use quorra::client::Answer;
use serde::{Deserialize, Serialize};

use super::cluster::CallError;
use crate::go;

/// What happened, or was found. Serialised as etcdctl's `-o json` has it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    pub(super) action: String,
    pub(super) node: Node,
    pub(super) prev_node: Option<Node>,
    /// The store's index at that time; from a header.
    #[serde(skip)]
    index: u64,
}

/// A key or a directory.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Node {
    pub(super) key: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) dir: bool,
    pub(super) value: String,
    nodes: Option<Vec<Self>>,
    created_index: u64,
    pub(super) modified_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    ttl: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A refusal.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Refusal {
    error_code: i64,
    message: String,
    cause: String,
    index: u64,
}

/// The text for an answer that is none of etcd's.
const NOT_ETCD: &str = "client: response is invalid json. The endpoint is probably not valid etcd \
                        cluster endpoint";

impl Response {
    /// Reads an answer. `None` if it has no body: a watch that the server ended.
    pub(super) fn read(answer: &Answer) -> Result<Option<Self>, CallError> {
        if !matches!(answer.status, 200 | 201) {
            let refusal: Refusal = serde_json::from_slice(&answer.body).map_err(|_| NOT_ETCD)?;
            let Refusal { error_code, message, cause, index } = refusal;
            return Err(format!("{error_code}: {message} ({cause}) [{index}]").into());
        }
        if answer.body.is_empty() {
            return Ok(None);
        }
        let mut response: Self = serde_json::from_slice(&answer.body).map_err(|_| NOT_ETCD)?;
        let index = answer.header("x-etcd-index").and_then(|index| index.parse().ok());
        response.index = index.unwrap_or_default();
        Ok(Some(response))
    }

    /// Prints it in one of the forms; of a directory only what it has in common with a key.
    pub(super) fn print(&self, format: &str, out: &mut dyn Write) -> io::Result<()> {
        match format {
            "simple" => self.print_simple(out),
            "extended" => self.print_extended(out),
            "json" => writeln!(out, "{}", go::json(self)),
            _ => writeln!(io::stderr(), "Unsupported output format: {format}"),
        }
    }

    fn print_simple(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.prev_node {
            Some(node) if self.action == "delete" => {
                writeln!(out, "PrevNode.Value: {}", node.value)
            }
            _ => writeln!(out, "{}", self.node.value),
        }
    }

    fn print_extended(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Key: {}", self.node.key)?;
        writeln!(out, "Created-Index: {}", self.node.created_index)?;
        writeln!(out, "Modified-Index: {}", self.node.modified_index)?;
        if let Some(node) = &self.prev_node {
            writeln!(out, "PrevNode.Value: {}", node.value)?;
        }
        writeln!(out, "TTL: {}", self.node.ttl)?;
        writeln!(out, "Index: {}", self.index)?;
        match self.action.as_str() {
            "delete" => Ok(()),
            _ => writeln!(out, "\n{}", self.node.value),
        }
    }

    /// Prints the names below a directory; a key prints its own.
    pub(super) fn print_names(&self, slashes: bool, out: &mut dyn Write) -> io::Result<()> {
        if !self.node.dir {
            writeln!(out, "{}", self.node.key)?;
        }
        print_nodes(self.node.nodes.as_deref().unwrap_or_default(), slashes, out)
    }
}

fn print_nodes(nodes: &[Node], slashes: bool, out: &mut dyn Write) -> io::Result<()> {
    for node in nodes {
        let slash = if node.dir && slashes { "/" } else { "" };
        writeln!(out, "{}{slash}", node.key)?;
        print_nodes(node.nodes.as_deref().unwrap_or_default(), slashes, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let headers = vec![("x-etcd-index".to_string(), "9".to_string())];
        Answer { status, headers, body: body.as_bytes().to_vec() }
    }

    fn printed(body: &str, format: &str) -> String {
        let response = Response::read(&answer(200, body)).expect(body).expect("a body");
        let mut out = Vec::new();
        response.print(format, &mut out).expect("memory takes all bytes");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn recorded_answers_print_as_etcdctl_prints_them() {
        let set = r#"{"action":"set","node":{"key":"/a","value":"<y>","expiration":
            "2026-11-22T20:56:26.482742015Z","ttl":100,"modifiedIndex":6,"createdIndex":6},
            "prevNode":{"key":"/a","value":"x","modifiedIndex":5,"createdIndex":5}}"#;
        assert_eq!(printed(set, "simple"), "<y>\n");
        assert_eq!(
            printed(set, "extended"),
            "Key: /a\nCreated-Index: 6\nModified-Index: 6\nPrevNode.Value: x\nTTL: 100\n\
             Index: 9\n\n<y>\n"
        );
        assert_eq!(
            printed(set, "json"),
            concat!(
                r#"{"action":"set","node":{"key":"/a","value":"\u003cy\u003e","nodes":null,"#,
                r#""createdIndex":6,"modifiedIndex":6,"expiration":"#,
                r#""2026-11-22T20:56:26.482742015Z","ttl":100},"prevNode":{"key":"/a","#,
                r#""value":"x","nodes":null,"createdIndex":5,"modifiedIndex":5}}"#,
                "\n"
            )
        );
        let delete = r#"{"action":"delete","node":{"key":"/a","modifiedIndex":7,"createdIndex":6},
            "prevNode":{"key":"/a","value":"y","modifiedIndex":6,"createdIndex":6}}"#;
        assert_eq!(printed(delete, "simple"), "PrevNode.Value: y\n");
    }

    #[test]
    fn refusals_carry_code_cause_and_index() {
        let body = r#"{"errorCode":100,"message":"Key not found","cause":"/nope","index":3}"#;
        let error = Response::read(&answer(404, body)).expect_err("a refusal");
        assert_eq!(error.to_string(), "100: Key not found (/nope) [3]");
        let error = Response::read(&answer(404, "404 page not found")).expect_err("no etcd");
        assert_eq!(error.to_string(), NOT_ETCD);
    }
}
