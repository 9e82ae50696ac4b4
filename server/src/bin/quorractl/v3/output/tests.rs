//! Answers recorded from etcd 3.4.23, and what its etcdctl printed of them.

use serde_json::json;

use super::*;

fn printed(form: Form, print: impl FnOnce(&Printer, &mut Vec<u8>) -> Outcome) -> String {
    let printer = Printer { form, hexadecimal: false, values_only: false };
    let mut out = Vec::new();
    print(&printer, &mut out).expect("the form is supported");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_recorded_status_prints_in_every_form() {
    let recorded = json!({
        "header": {"cluster_id": "14930912536174976129", "member_id": "3211106759432434375",
            "revision": "8", "raft_term": "2"},
        "version": "3.4.23", "dbSize": "20480", "leader": "3211106759432434375",
        "raftIndex": "12", "raftTerm": "2", "raftAppliedIndex": "12", "dbSizeInUse": "16384"
    });
    let status = serde_json::from_value(recorded).expect("a status");
    let found = [Status { endpoint: "127.0.0.1:34379".into(), status }];
    let print = |form| printed(form, |printer, out| printer.status(&found, out));
    assert_eq!(
        print(Form::Simple),
        "127.0.0.1:34379, 2c902495a3d372c7, 3.4.23, 20 kB, true, false, 2, 12, 12, \n"
    );
    assert_eq!(
        print(Form::Json),
        concat!(
            r#"[{"Endpoint":"127.0.0.1:34379","Status":{"header":{"cluster_id":"#,
            r#"14930912536174976129,"member_id":3211106759432434375,"revision":8,"raft_term":2},"#,
            r#""version":"3.4.23","dbSize":20480,"leader":3211106759432434375,"raftIndex":12,"#,
            r#""raftTerm":2,"raftAppliedIndex":12,"dbSizeInUse":16384}}]"#,
            "\n"
        )
    );
    assert_eq!(
        print(Form::Fields),
        "\"ClusterID\" : 14930912536174976129\n\"MemberID\" : 3211106759432434375\n\
         \"Revision\" : 8\n\"RaftTerm\" : 2\n\"Version\" : \"3.4.23\"\n\"DBSize\" : 20480\n\
         \"Leader\" : 3211106759432434375\n\"IsLearner\" : false\n\"RaftIndex\" : 12\n\
         \"RaftTerm\" : 2\n\"RaftAppliedIndex\" : 12\n\"Errors\" : []\n\
         \"Endpoint\" : \"127.0.0.1:34379\"\n\n"
    );
}

#[test]
fn recorded_members_print_as_a_table() {
    let recorded = json!({"members": [{"ID": "3211106759432434375", "name": "default",
        "peerURLs": ["http://127.0.0.1:34380"], "clientURLs": ["http://127.0.0.1:34379"]}]});
    let answer = serde_json::from_value(recorded).expect("members");
    let rule = "+------------------+---------+---------+------------------------+\
                ------------------------+------------+\n";
    assert_eq!(
        printed(Form::Table, |printer, out| printer.members(&answer, out)),
        format!(
            "{rule}|        ID        | STATUS  |  NAME   |       PEER ADDRS       |      \
             CLIENT ADDRS      | IS LEARNER |\n{rule}| 2c902495a3d372c7 | started | default | \
             http://127.0.0.1:34380 | http://127.0.0.1:34379 |      false |\n{rule}"
        )
    );
}

#[test]
fn a_member_that_was_added_is_named_with_spaces_before_a_short_id() {
    let recorded = json!({"header": {"cluster_id": "14930912536174976129"}});
    let answer = serde_json::from_value(recorded).expect("an answer");
    let print = |printer: &Printer, out: &mut Vec<u8>| {
        printer.member_changed("added to", 0x0235_9138_75c1_4de3, &answer, out)
    };
    assert_eq!(
        printed(Form::Simple, print),
        "Member  235913875c14de3 added to cluster cf3541d82322dc81\n"
    );
}

#[test]
fn keys_have_no_table() {
    let printer = Printer { form: Form::Table, hexadecimal: false, values_only: false };
    let failure = printer.put(&PutResponse::default(), &mut Vec::new()).expect_err("no table");
    let message = "Error: table not supported as output format\n".to_string();
    assert_eq!(failure, Failure { code: BAD_FEATURE, message });
}

/// What the printer writes as protobuf.
fn protobuf(print: impl FnOnce(&Printer, &mut Vec<u8>) -> Outcome) -> Vec<u8> {
    let printer = Printer { form: Form::Protobuf, hexadecimal: false, values_only: false };
    let mut out = Vec::new();
    print(&printer, &mut out).expect("the form is supported");
    out
}

#[test]
fn a_transaction_is_protobuf_with_what_is_zero_left_out() {
    let recorded = json!({"header": {"revision": "300"}, "succeeded": true, "responses": [
        {"response_range": {"header": {"revision": "300"}, "kvs": [{"key": "YQ==",
            "create_revision": "2", "mod_revision": "300", "version": "1", "value": "Yg=="}],
            "count": "7"}},
        {"response_txn": {"header": {}}}, {"response_delete_range": {"deleted": "1"}}]});
    let answer = serde_json::from_value(recorded).expect("a transaction");
    assert_eq!(
        protobuf(|printer, out| printer.transaction(&answer, out)),
        [
            &b"\x0a\x03\x18\xac\x02\x10\x01\x1a\x18\x0a\x16\x0a\x03\x18\xac\x02\x12\x0d"[..],
            b"\x0a\x01a\x10\x02\x18\xac\x02\x20\x01\x2a\x01b\x20\x07",
            b"\x1a\x04\x22\x02\x0a\x00\x1a\x04\x1a\x02\x10\x01",
        ]
        .concat()
    );
}

#[test]
fn an_added_member_is_a_field_of_its_own_in_protobuf() {
    let member = json!({"ID": "300", "peerURLs": ["http://a:1"], "isLearner": true});
    let bytes = b"\x08\xac\x02\x1a\x0ahttp://a:1\x28\x01";
    let listed = serde_json::from_value(json!({"members": [member]})).expect("an answer");
    let added = json!({"member": member, "members": [member]});
    let added = serde_json::from_value(added).expect("an answer");
    let field = |number: u8| [&[number << 3 | 2, 17][..], bytes].concat();
    for done in ["removed from", "updated in", "promoted in"] {
        let printed = protobuf(|printer, out| printer.member_changed(done, 300, &listed, out));
        assert_eq!(printed, field(2), "{done}");
    }
    assert_eq!(protobuf(|printer, out| printer.members(&listed, out)), field(2));
    assert_eq!(
        protobuf(|printer, out| printer.member_changed("added to", 300, &added, out)),
        [field(2), field(3)].concat()
    );
}

#[test]
fn endpoints_have_no_protobuf() {
    let printer = Printer { form: Form::Protobuf, hexadecimal: false, values_only: false };
    let message = "Error: protobuf not supported as output format\n".to_string();
    let refused = Err(Failure { code: BAD_FEATURE, message });
    assert_eq!(printer.health(&[], &mut Vec::new()), refused);
    assert_eq!(printer.status(&[], &mut Vec::new()), refused);
}
