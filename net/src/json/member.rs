//! Answers about members, and errors.

use bytes::{BufMut, Bytes, BytesMut};

use super::answer::put_header;
use super::object::{Object, list, put_text};
use crate::grpc::Status;
use crate::proto::{Header, Member, StatusResponse};

/// `etcdserverpb.MemberListResponse`, or `MemberAddResponse` where one was added.
#[must_use]
pub fn members(header: &Header, added: Option<&Member>, members: &[Member]) -> Bytes {
    let mut out = BytesMut::new();
    let mut object = Object::open(&mut out);
    put_header(object.name("header"), header);
    if let Some(added) = added {
        put_member(object.name("member"), added);
    }
    if !members.is_empty() {
        list(object.name("members"), members, put_member);
    }
    object.close();
    out.freeze()
}

fn put_member(out: &mut BytesMut, member: &Member) {
    let mut object = Object::open(out);
    object.unsigned("ID", member.id);
    object.text("name", &member.name);
    object.texts("peerURLs", &member.peer_urls);
    object.texts("clientURLs", &member.client_urls);
    object.truth("isLearner", member.is_learner);
    object.close();
}

/// `etcdserverpb.StatusResponse`; its header is given apart.
#[must_use]
pub fn status(header: &Header, status: &StatusResponse) -> Bytes {
    let mut out = BytesMut::new();
    let mut object = Object::open(&mut out);
    put_header(object.name("header"), header);
    object.text("version", &status.version);
    object.number("dbSize", status.db_size);
    object.unsigned("leader", status.leader);
    object.unsigned("raftIndex", status.raft_index);
    object.unsigned("raftTerm", status.raft_term);
    object.unsigned("raftAppliedIndex", status.raft_applied_index);
    object.texts("errors", &status.errors);
    object.number("dbSizeInUse", status.db_size_in_use);
    object.truth("isLearner", status.is_learner);
    object.close();
    out.freeze()
}

/// An error as the gateway up to 3.5 writes it.
#[must_use]
pub fn error(status: &Status) -> Bytes {
    let mut out = BytesMut::new();
    let mut object = Object::open(&mut out);
    put_text(object.name("error"), &status.message);
    object.name("code").put_slice(status.code.digits().as_bytes());
    put_text(object.name("message"), &status.message);
    object.close();
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::Code;

    #[test]
    fn members_read_as_etcds() {
        let header = Header { cluster: 1, member: 2, revision: 0, term: 3 };
        let member = Member {
            id: 2,
            name: "a \"b\"".to_string(),
            peer_urls: vec!["http://a".to_string(), "http://b".to_string()],
            client_urls: Vec::new(),
            is_learner: true,
        };
        let expected = concat!(
            r#"{"header":{"cluster_id":"1","member_id":"2","raft_term":"3"},"members":["#,
            r#"{"ID":"2","name":"a \"b\"","peerURLs":["http://a","http://b"],"isLearner":true}]}"#,
        );
        assert_eq!(members(&header, None, std::slice::from_ref(&member)), expected);
        let expected = expected.replace(
            r#""members""#,
            r#""member":{"ID":"2","name":"a \"b\"","peerURLs":["http://a","http://b"],"isLearner":true},"members""#,
        );
        assert_eq!(members(&header, Some(&member), std::slice::from_ref(&member)), expected);
    }

    #[test]
    fn errors_read_as_etcds() {
        let status = Status::new(Code::InvalidArgument, "etcdserver: key is not provided");
        let expected = concat!(
            r#"{"error":"etcdserver: key is not provided","code":3,"#,
            r#""message":"etcdserver: key is not provided"}"#,
        );
        assert_eq!(error(&status), expected);
    }
}
