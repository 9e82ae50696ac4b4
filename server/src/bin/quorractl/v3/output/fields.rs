//! One line for each field: its name between quotes, a colon, its value.

use std::io::{self, Write};

use super::super::endpoints::{Health, Status};
use super::super::message::{
    DeleteRangeResponse, Header, KeyValue, MembersResponse, PutResponse, RangeResponse, ResponseOp,
    TxnResponse,
};
use crate::go;

type Out<'a> = &'a mut dyn Write;

fn quoted(name: &str, bytes: &[u8], out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\"{name}\" : {}", go::quote(bytes))
}

fn field(name: &str, value: impl std::fmt::Display, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\"{name}\" : {value}")
}

fn header(header: Option<&Header>, out: Out<'_>) -> io::Result<()> {
    let header = super::header(header);
    field("ClusterID", header.cluster_id.0, out)?;
    field("MemberID", header.member_id.0, out)?;
    field("Revision", header.revision.0, out)?;
    field("RaftTerm", header.raft_term.0, out)
}

fn pair(prefix: &str, pair: &KeyValue, out: Out<'_>) -> io::Result<()> {
    quoted(&format!("{prefix}Key"), &pair.key.0, out)?;
    field(&format!("{prefix}CreateRevision"), pair.create_revision.0, out)?;
    field(&format!("{prefix}ModRevision"), pair.mod_revision.0, out)?;
    field(&format!("{prefix}Version"), pair.version.0, out)?;
    quoted(&format!("{prefix}Value"), &pair.value.0, out)?;
    field(&format!("{prefix}Lease"), pair.lease.0, out)
}

pub(super) fn range(answer: &RangeResponse, out: Out<'_>) -> io::Result<()> {
    header(answer.header.as_ref(), out)?;
    for found in &answer.kvs {
        pair("", found, out)?;
    }
    field("More", answer.more, out)?;
    field("Count", answer.count.0, out)
}

pub(super) fn put(answer: &PutResponse, out: Out<'_>) -> io::Result<()> {
    header(answer.header.as_ref(), out)?;
    answer.prev_kv.iter().try_for_each(|previous| pair("Prev", previous, out))
}

pub(super) fn delete(answer: &DeleteRangeResponse, out: Out<'_>) -> io::Result<()> {
    header(answer.header.as_ref(), out)?;
    field("Deleted", answer.deleted.0, out)?;
    answer.prev_kvs.iter().try_for_each(|previous| pair("Prev", previous, out))
}

pub(super) fn transaction(answer: &TxnResponse, out: Out<'_>) -> io::Result<()> {
    header(answer.header.as_ref(), out)?;
    field("Succeeded", answer.succeeded, out)?;
    for response in &answer.responses {
        match response {
            ResponseOp::Range(answer) => range(answer, out)?,
            ResponseOp::Put(answer) => put(answer, out)?,
            ResponseOp::DeleteRange(answer) => delete(answer, out)?,
            ResponseOp::Txn(answer) => transaction(answer, out)?,
        }
    }
    Ok(())
}

pub(super) fn members(answer: &MembersResponse, out: Out<'_>) -> io::Result<()> {
    header(answer.header.as_ref(), out)?;
    for member in &answer.members {
        field("ID", member.id.0, out)?;
        quoted("Name", member.name.as_bytes(), out)?;
        for url in &member.peer_urls {
            quoted("PeerURL", url.as_bytes(), out)?;
        }
        for url in &member.client_urls {
            quoted("ClientURL", url.as_bytes(), out)?;
        }
        field("IsLearner", member.is_learner, out)?;
        writeln!(out)?;
    }
    Ok(())
}

pub(super) fn health(found: &[Health], out: Out<'_>) -> io::Result<()> {
    for it in found {
        quoted("Endpoint", it.endpoint.as_bytes(), out)?;
        field("Health", it.health, out)?;
        field("Took", &it.took, out)?;
        field("Error", &it.error, out)?;
        writeln!(out)?;
    }
    Ok(())
}

pub(super) fn status(found: &[Status], out: Out<'_>) -> io::Result<()> {
    for Status { endpoint, status } in found {
        header(status.header.as_ref(), out)?;
        quoted("Version", status.version.as_bytes(), out)?;
        field("DBSize", status.db_size.0, out)?;
        field("Leader", status.leader.0, out)?;
        field("IsLearner", status.is_learner, out)?;
        field("RaftIndex", status.raft_index.0, out)?;
        field("RaftTerm", status.raft_term.0, out)?;
        field("RaftAppliedIndex", status.raft_applied_index.0, out)?;
        field("Errors", format!("[{}]", status.errors.join(" ")), out)?;
        quoted("Endpoint", endpoint.as_bytes(), out)?;
        writeln!(out)?;
    }
    Ok(())
}
