//! The forms in which answers are printed: simple, json, fields, table and protobuf.

mod fields;
mod protobuf;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use serde::Serialize;

use super::endpoints::{Health, Status};
use super::message::{
    DeleteRangeResponse, Header, KeyValue, Member, MembersResponse, PutResponse, RangeResponse,
    ResponseOp, TxnResponse,
};
use super::{BAD_ARGUMENTS, BAD_FEATURE, failed};
use crate::failure::{Failure, Outcome};
use crate::flags::Flags;
use crate::go;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Simple,
    Json,
    Fields,
    Table,
    Protobuf,
}

/// Prints answers in the form that was asked for.
pub(super) struct Printer {
    form: Form,
    hexadecimal: bool,
    values_only: bool,
}

impl Printer {
    /// The form that flags or environment name.
    pub(super) fn of(flags: &Flags<'_>) -> Result<Self, Failure> {
        let form = match flags.text_or("write-out", &["WRITE_OUT"]).unwrap_or("simple") {
            "simple" => Form::Simple,
            "json" => Form::Json,
            "fields" => Form::Fields,
            "table" => Form::Table,
            "protobuf" => Form::Protobuf,
            _ => return Err(failed(BAD_FEATURE, "unsupported output format")),
        };
        let hexadecimal = flags.bool_or("hex", "HEX").map_err(Failure::usage)?.unwrap_or_default();
        Ok(Self { form, hexadecimal, values_only: false })
    }

    pub(super) fn is_simple(&self) -> bool {
        self.form == Form::Simple
    }

    /// Leaves keys out from now on.
    pub(super) fn only_values(&mut self) -> Outcome {
        if !self.is_simple() {
            let text = "print-value-only is only for `--write-out=simple`";
            return Err(failed(BAD_ARGUMENTS, text));
        }
        self.values_only = true;
        Ok(())
    }

    fn unsupported(&self) -> Outcome {
        let name = match self.form {
            Form::Simple => "simple",
            Form::Json => "json",
            Form::Fields => "fields",
            Form::Table => "table",
            Form::Protobuf => "protobuf",
        };
        Err(failed(BAD_FEATURE, format!("{name} not supported as output format")))
    }

    pub(super) fn range(
        &self,
        answer: &RangeResponse,
        count_only: bool,
        out: &mut dyn Write,
    ) -> Outcome {
        match self.form {
            // As etcdctl since 3.5: there is nothing else to see.
            Form::Simple if count_only => Ok(writeln!(out, "{}", answer.count.0)?),
            Form::Simple => Ok(self.pairs(&answer.kvs, out)?),
            Form::Json => json(answer, out),
            Form::Fields => Ok(fields::range(answer, out)?),
            Form::Protobuf => Ok(protobuf::range(answer, out)?),
            Form::Table => self.unsupported(),
        }
    }

    pub(super) fn put(&self, answer: &PutResponse, out: &mut dyn Write) -> Outcome {
        match self.form {
            Form::Simple => Ok(self.simple_put(answer, out)?),
            Form::Json => json(answer, out),
            Form::Fields => Ok(fields::put(answer, out)?),
            Form::Protobuf => Ok(protobuf::put(answer, out)?),
            Form::Table => self.unsupported(),
        }
    }

    pub(super) fn delete(&self, answer: &DeleteRangeResponse, out: &mut dyn Write) -> Outcome {
        match self.form {
            Form::Simple => Ok(self.simple_delete(answer, out)?),
            Form::Json => json(answer, out),
            Form::Fields => Ok(fields::delete(answer, out)?),
            Form::Protobuf => Ok(protobuf::delete(answer, out)?),
            Form::Table => self.unsupported(),
        }
    }

    pub(super) fn transaction(&self, answer: &TxnResponse, out: &mut dyn Write) -> Outcome {
        match self.form {
            Form::Simple => Ok(self.simple_transaction(answer, out)?),
            Form::Json => json(answer, out),
            Form::Fields => Ok(fields::transaction(answer, out)?),
            Form::Protobuf => Ok(protobuf::transaction(answer, out)?),
            Form::Table => self.unsupported(),
        }
    }

    pub(super) fn members(&self, answer: &MembersResponse, out: &mut dyn Write) -> Outcome {
        let rows: Vec<_> = answer.members.iter().map(member_row).collect();
        match self.form {
            Form::Simple => Ok(lines(&rows, out)?),
            Form::Json => json(answer, out),
            Form::Fields => Ok(fields::members(answer, out)?),
            Form::Table => Ok(table::print(&MEMBER_COLUMNS, &rows, out)?),
            Form::Protobuf => Ok(protobuf::members(answer, out)?),
        }
    }

    /// A change of the members; `done` says what was done to the one with this id.
    pub(super) fn member_changed(
        &self,
        done: &str,
        id: u64,
        answer: &MembersResponse,
        out: &mut dyn Write,
    ) -> Outcome {
        let cluster = answer.header.as_ref().map(|header| header.cluster_id.0).unwrap_or_default();
        match self.form {
            Form::Simple => Ok(writeln!(out, "Member {id:16x} {done} cluster {cluster:16x}")?),
            Form::Json => json(answer, out),
            Form::Protobuf => Ok(protobuf::members(answer, out)?),
            Form::Fields | Form::Table => self.unsupported(),
        }
    }

    pub(super) fn health(&self, found: &[Health], out: &mut dyn Write) -> Outcome {
        match self.form {
            Form::Simple => Ok(simple_health(found, &mut io::stderr())?),
            Form::Json => json(&found, out),
            Form::Fields => Ok(fields::health(found, out)?),
            Form::Table => {
                let row = |it: &Health| {
                    vec![
                        it.endpoint.clone(),
                        it.health.to_string(),
                        it.took.clone(),
                        it.error.clone(),
                    ]
                };
                let rows: Vec<_> = found.iter().map(row).collect();
                Ok(table::print(&["endpoint", "health", "took", "error"], &rows, out)?)
            }
            Form::Protobuf => self.unsupported(),
        }
    }

    pub(super) fn status(&self, found: &[Status], out: &mut dyn Write) -> Outcome {
        let rows: Vec<_> = found.iter().map(status_row).collect();
        match self.form {
            Form::Simple => Ok(lines(&rows, out)?),
            Form::Json => json(&found, out),
            Form::Fields => Ok(fields::status(found, out)?),
            Form::Table => Ok(table::print(&STATUS_COLUMNS, &rows, out)?),
            Form::Protobuf => self.unsupported(),
        }
    }

    fn pairs(&self, pairs: &[KeyValue], out: &mut dyn Write) -> io::Result<()> {
        for pair in pairs {
            if !self.values_only {
                self.bytes(&pair.key.0, out)?;
            }
            self.bytes(&pair.value.0, out)?;
        }
        Ok(())
    }

    /// A line with bytes as they are, or each of them in hexadecimal.
    fn bytes(&self, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        if self.hexadecimal {
            let digits: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            return writeln!(out, "{digits}");
        }
        out.write_all(bytes)?;
        writeln!(out)
    }

    fn simple_put(&self, answer: &PutResponse, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "OK")?;
        self.pairs(answer.prev_kv.as_slice(), out)
    }

    fn simple_delete(&self, answer: &DeleteRangeResponse, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", answer.deleted.0)?;
        self.pairs(&answer.prev_kvs, out)
    }

    fn simple_transaction(&self, answer: &TxnResponse, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", if answer.succeeded { "SUCCESS" } else { "FAILURE" })?;
        for response in &answer.responses {
            writeln!(out)?;
            match response {
                ResponseOp::Range(answer) => self.pairs(&answer.kvs, out)?,
                ResponseOp::Put(answer) => self.simple_put(answer, out)?,
                ResponseOp::DeleteRange(answer) => self.simple_delete(answer, out)?,
                ResponseOp::Txn(answer) => self.simple_transaction(answer, out)?,
            }
        }
        Ok(())
    }
}

fn json(document: &impl Serialize, out: &mut dyn Write) -> Outcome {
    Ok(writeln!(out, "{}", go::json(document))?)
}

fn lines(rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    rows.iter().try_for_each(|row| writeln!(out, "{}", row.join(", ")))
}

const MEMBER_COLUMNS: [&str; 6] =
    ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];

fn member_row(member: &Member) -> Vec<String> {
    vec![
        format!("{:x}", member.id.0),
        if member.name.is_empty() { "unstarted" } else { "started" }.to_string(),
        member.name.clone(),
        member.peer_urls.join(","),
        member.client_urls.join(","),
        member.is_learner.to_string(),
    ]
}

const STATUS_COLUMNS: [&str; 10] = [
    "endpoint",
    "ID",
    "version",
    "db size",
    "is leader",
    "is learner",
    "raft term",
    "raft index",
    "raft applied index",
    "errors",
];

fn status_row(found: &Status) -> Vec<String> {
    let status = &found.status;
    let id = header(status.header.as_ref()).member_id;
    vec![
        found.endpoint.clone(),
        format!("{:x}", id.0),
        status.version.clone(),
        go::humanize(u64::try_from(status.db_size.0).unwrap_or_default()),
        (status.leader == id).to_string(),
        status.is_learner.to_string(),
        status.raft_term.0.to_string(),
        status.raft_index.0.to_string(),
        status.raft_applied_index.0.to_string(),
        status.errors.join(", "),
    ]
}

/// A header that is missing is one of zeros.
fn header(header: Option<&Header>) -> Header {
    header.cloned().unwrap_or_default()
}

fn simple_health(found: &[Health], out: &mut dyn Write) -> io::Result<()> {
    for Health { endpoint, took, error, .. } in found {
        match error.as_str() {
            "" => writeln!(
                out,
                "{endpoint} is healthy: successfully committed proposal: took = {took}"
            )?,
            _ => {
                writeln!(out, "{endpoint} is unhealthy: failed to commit proposal: {error}")?;
            }
        }
    }
    Ok(())
}
