//! A name server on loopback that answers what it is told to, by UDP and by TCP.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::base::iana::{Class, Rcode};
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{Cname, Srv, Txt};

use super::message::Heard;
use super::*;
use crate::flags::ServiceRecords;
use crate::urls::{self, Url};

const NAME: &str = "_etcd-server._tcp.example.org";

/// What the server says to one question; none is silence.
type Say = fn(&Message<Vec<u8>>) -> Vec<Vec<u8>>;

/// A server that answers each of these questions in turn and then ends. A question over TCP is
/// answered with the first message alone.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

enum By {
    Udp(Say),
    Tcp(Say),
}

fn serve(script: Vec<By>) -> Server {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = udp.local_addr().expect("a bound socket has an address");
        // Another process may have the same port for TCP.
        if let Ok(tcp) = TcpListener::bind(address) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().expect("a bound socket has an address");
    let thread = std::thread::spawn(move || {
        for step in script {
            match step {
                By::Udp(say) => {
                    let mut buffer = [0; 512];
                    let (count, from) = udp.recv_from(&mut buffer).expect("a question");
                    for message in say(&question(&buffer[..count])) {
                        udp.send_to(&message, from).expect("the resolver listens");
                    }
                }
                By::Tcp(say) => {
                    let (mut stream, _) = tcp.accept().expect("a connection");
                    let mut length = [0; 2];
                    stream.read_exact(&mut length).expect("a length");
                    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut bytes).expect("a question");
                    let message = say(&question(&bytes)).remove(0);
                    let length = u16::try_from(message.len()).expect("messages are short");
                    stream.write_all(&length.to_be_bytes()).expect("the resolver listens");
                    stream.write_all(&message).expect("the resolver listens");
                }
            }
        }
    });
    Server { address, thread }
}

fn question(bytes: &[u8]) -> Message<Vec<u8>> {
    Message::from_octets(bytes.to_vec()).expect("a question is a message")
}

fn resolver(servers: &[&Server]) -> Resolver {
    let servers = servers.iter().map(|server| server.address).collect();
    Resolver::new(Settings { servers, timeout: Duration::from_millis(300), attempts: 1 })
}

/// What is found of a service whose server says this.
fn found(script: Vec<By>) -> Result<Vec<String>, Reason> {
    let server = serve(script);
    let services = resolver(&[&server]).services(NAME);
    if let Err(panic) = server.thread.join() {
        std::panic::resume_unwind(panic);
    }
    let services = services.map_err(|error| error.reason)?;
    Ok(services.iter().map(|each| format!("{}:{}", each.host, each.port)).collect())
}

fn one(say: Say) -> Result<Vec<String>, Reason> {
    found(vec![By::Udp(say)])
}

fn name(text: &str) -> Name<Vec<u8>> {
    Name::vec_from_str(text).expect(text)
}

fn start(asked: &Message<Vec<u8>>, code: Rcode) -> AnswerBuilder<Vec<u8>> {
    MessageBuilder::new_vec().start_answer(asked, code).expect("there is room")
}

fn with(asked: &Message<Vec<u8>>, add: impl FnOnce(&mut AnswerBuilder<Vec<u8>>)) -> Vec<Vec<u8>> {
    let mut builder = start(asked, Rcode::NOERROR);
    add(&mut builder);
    vec![builder.finish()]
}

fn service(builder: &mut AnswerBuilder<Vec<u8>>, owner: &str, priority: u16, target: &str) {
    let data = Srv::new(priority, 0, 2380, name(target));
    builder.push((name(owner), Class::IN, 60, data)).expect("there is room");
}

fn alias(builder: &mut AnswerBuilder<Vec<u8>>, owner: &str, target: &str) {
    builder.push((name(owner), Class::IN, 60, Cname::new(name(target)))).expect("there is room");
}

fn good(asked: &Message<Vec<u8>>) -> Vec<Vec<u8>> {
    with(asked, |answer| service(answer, NAME, 0, "a.example.org"))
}

#[test]
fn services_come_by_priority_and_otherwise_in_the_servers_order() {
    let services = one(|asked| {
        with(asked, |answer| {
            service(answer, NAME, 2, "c.example.org");
            service(answer, "_ETCD-server._tcp.Example.org", 1, "b.example.org");
            service(answer, NAME, 1, "A.example.org");
            service(answer, "other.example.org", 0, "x.example.org");
            let text = Txt::<Vec<u8>>::build_from_slice(b"hello").expect("short");
            answer.push((name(NAME), Class::IN, 60, text)).expect("there is room");
        })
    });
    let expected = ["b.example.org:2380", "A.example.org:2380", "c.example.org:2380"];
    assert_eq!(services, Ok(expected.map(str::to_string).to_vec()));
}

#[test]
fn answers_to_other_questions_are_noise() {
    let services = one(|asked| {
        let mut other_number = good(asked).remove(0);
        other_number[0] ^= 1;
        let mut question = MessageBuilder::new_vec().question();
        question.header_mut().set_id(asked.header().id());
        question.push((name("_etcd-server._tcp.evil.org"), Rtype::SRV)).expect("there is room");
        let other_name = good(&Message::from_octets(question.finish()).expect("a message"));
        let mut not_an_answer = good(asked).remove(0);
        not_an_answer[2] &= 0x7f;
        let spoofed = [b"x".to_vec(), other_number, other_name[0].clone(), not_an_answer];
        spoofed.into_iter().chain(good(asked)).collect()
    });
    assert_eq!(services, Ok(vec!["a.example.org:2380".to_string()]));
    let silence = one(|_| vec![b"noise".to_vec()]);
    assert_eq!(silence, Err(Reason::Unreachable("i/o timeout".into())));
}

#[test]
fn what_does_not_fit_is_asked_for_over_tcp() {
    fn cut(asked: &Message<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut builder = start(asked, Rcode::NOERROR);
        builder.header_mut().set_tc(true);
        vec![builder.finish()]
    }
    fn many(asked: &Message<Vec<u8>>) -> Vec<Vec<u8>> {
        with(asked, |answer| {
            (0..1_000).for_each(|n| service(answer, NAME, 0, &format!("m{n}.example.org")));
        })
    }
    let services = found(vec![By::Udp(cut), By::Tcp(many)]).expect("all of them");
    assert_eq!((services.len(), services[999].as_str()), (1_000, "m999.example.org:2380"));
    let error = found(vec![By::Udp(cut), By::Tcp(cut)]);
    assert_eq!(error, Err(Reason::Malformed("it is truncated over TCP too")));
}

#[test]
fn aliases_are_followed_but_not_in_circles() {
    let inside = one(|asked| {
        with(asked, |answer| {
            alias(answer, NAME, "b.example.org");
            alias(answer, "b.example.org", "c.example.org");
            service(answer, "c.example.org", 0, "a.example.org");
        })
    });
    assert_eq!(inside, Ok(vec!["a.example.org:2380".to_string()]));
    let asked_again = found(vec![
        By::Udp(|asked| with(asked, |answer| alias(answer, NAME, "b.example.org"))),
        By::Udp(|asked| with(asked, |answer| service(answer, "b.example.org", 0, "a.example.org"))),
    ]);
    assert_eq!(asked_again, Ok(vec!["a.example.org:2380".to_string()]));
    let circle = one(|asked| {
        with(asked, |answer| {
            alias(answer, NAME, "b.example.org");
            alias(answer, "b.example.org", NAME);
        })
    });
    assert_eq!(circle, Err(Reason::Aliases));
    let far: Say = |asked| {
        let owner = asked.first_question().expect("a question").qname().to_string();
        with(asked, |answer| alias(answer, &owner, &format!("x.{owner}")))
    };
    assert_eq!(found((0..8).map(|_| By::Udp(far)).collect()), Err(Reason::Aliases));
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let cut_off = one(|asked| {
        let mut bytes = good(asked).remove(0);
        bytes.truncate(bytes.len() - 3);
        vec![bytes]
    });
    assert_eq!(cut_off, Err(Reason::Malformed("a bad record")));
    let looping_name = one(|asked| {
        let mut bytes = good(asked).remove(0);
        let place = u16::try_from(bytes.len() - 2).expect("short");
        // The target points at itself.
        let target = (0xc000 | place).to_be_bytes();
        bytes.truncate(bytes.len() - "a.example.org".len() - 2);
        let start = 0xc000 | u16::try_from(bytes.len()).expect("short");
        bytes.extend(start.to_be_bytes());
        bytes.resize(usize::from(place), 0);
        bytes.extend(target);
        vec![bytes]
    });
    assert_eq!(looping_name, Err(Reason::Malformed("a bad record")));
    let no_host =
        one(|asked| with(asked, |answer| service(answer, NAME, 0, "a=http://b:1,c.example.org")));
    assert_eq!(no_host, Err(Reason::Malformed("a bad record")));
}

#[test]
fn the_next_server_is_asked_when_one_cannot_tell_but_not_when_it_denies() {
    let refuses: Say = |asked| vec![start(asked, Rcode::SERVFAIL).finish()];
    let (first, second) = (serve(vec![By::Udp(refuses)]), serve(vec![By::Udp(good)]));
    assert!(resolver(&[&first, &second]).services(NAME).is_ok());
    let first = serve(vec![By::Udp(refuses)]);
    let error = resolver(&[&first]).services(NAME).expect_err("it cannot tell");
    let place = format!("lookup {NAME} on {}", first.address);
    assert_eq!(error.to_string(), format!("{place}: server misbehaving (SERVFAIL)"));
    let denials: [Say; 2] =
        [|asked| vec![start(asked, Rcode::NXDOMAIN).finish()], |asked| with(asked, |_| {})];
    for denies in denials {
        let (first, never) = (serve(vec![By::Udp(denies)]), serve(Vec::new()));
        let error = resolver(&[&first, &never]).services(NAME).expect_err("it denies");
        let place = format!("lookup {NAME} on {}", first.address);
        assert_eq!(error.to_string(), format!("{place}: no such host"));
    }
    let nowhere = one(|asked| with(asked, |answer| service(answer, NAME, 0, ".")));
    assert_eq!(nowhere, Err(Reason::NotOffered));
    let error = resolver(&[&first]).services(&"x".repeat(64)).expect_err("no label is so long");
    assert_eq!(error.reason, Reason::BadName);
}

fn records(name: &str) -> ServiceRecords {
    ServiceRecords { domain: "example.org".into(), name: name.into() }
}

/// Answers with one service for each of these ports of this machine.
fn ports(asked: &Message<Vec<u8>>, ports: &[u16]) -> Vec<Vec<u8>> {
    let owner = asked.first_question().expect("a question").qname().to_string();
    with(asked, |answer| {
        for port in ports {
            let data = Srv::new(0, 0, *port, name("localhost"));
            answer.push((name(&owner), Class::IN, 60, data)).expect("there is room");
        }
    })
}

fn denies(asked: &Message<Vec<u8>>) -> Vec<Vec<u8>> {
    vec![start(asked, Rcode::NXDOMAIN).finish()]
}

fn cluster(script: Vec<By>, name: &str) -> Result<String, String> {
    let server = serve(script);
    let own = Url::parse_list("http://127.0.0.1:2").expect("good URLs");
    server_cluster(&resolver(&[&server]), &records(""), name, &own)
}

#[test]
fn both_lookups_are_merged_and_a_member_knows_itself() {
    let plain = cluster(vec![By::Udp(denies), By::Udp(|asked| ports(asked, &[1, 2, 3]))], "a");
    let list = "0=http://localhost:1,a=http://localhost:2,1=http://localhost:3";
    assert_eq!(plain, Ok(list.into()));
    let both =
        || vec![By::Udp(|asked| ports(asked, &[1, 2])), By::Udp(|asked| ports(asked, &[1, 3]))];
    let list = "1=https://localhost:1,2=http://localhost:3";
    assert_eq!(cluster(both(), "0"), Ok(list.into()), "the own entry has another scheme");
    let list = "0=https://localhost:1,1=http://localhost:3";
    assert_eq!(cluster(both(), "a"), Ok(list.into()));
}

#[test]
fn a_domain_without_members_says_so_of_both_lookups() {
    let server = serve(vec![By::Udp(denies), By::Udp(denies)]);
    let own = Url::parse_list("http://127.0.0.1:2").expect("good URLs");
    let error = server_cluster(&resolver(&[&server]), &records("x"), "a", &own);
    let at = server.address;
    let expected = format!(
        "error querying DNS SRV records for _etcd-server-ssl lookup \
         _etcd-server-ssl-x._tcp.example.org on {at}: no such host; error querying DNS SRV \
         records for _etcd-server lookup _etcd-server-x._tcp.example.org on {at}: no such host"
    );
    assert_eq!(error, Err(expected));
}

#[test]
fn clients_find_members_by_either_lookup() {
    let both = vec![By::Udp(|asked| ports(asked, &[1])), By::Udp(|asked| ports(asked, &[2]))];
    for (script, expected) in [
        (both, "https://localhost:1,http://localhost:2"),
        (vec![By::Udp(denies), By::Udp(|asked| ports(asked, &[2]))], "http://localhost:2"),
    ] {
        let server = serve(script);
        let found = client_endpoints(&resolver(&[&server]), &records(""));
        assert_eq!(found.map(|found| urls::join(&found)), Ok(expected.into()));
    }
    let server = serve(vec![By::Udp(denies), By::Udp(denies)]);
    let error = client_endpoints(&resolver(&[&server]), &records("")).expect_err("nobody");
    let at = server.address;
    assert_eq!(
        error,
        format!(
            "dns lookup errors: lookup _etcd-client-ssl._tcp.example.org on {at}: no such host and \
             lookup _etcd-client._tcp.example.org on {at}: no such host"
        )
    );
}

#[test]
fn no_damage_to_an_answer_does_harm() {
    let question = Question::new(NAME, 7).expect("a name");
    let asked = Message::from_octets(question.bytes.clone()).expect("a message");
    let whole = with(&asked, |answer| {
        alias(answer, NAME, "b.example.org");
        service(answer, "b.example.org", 0, "a.example.org");
    });
    let whole = &whole[0];
    assert!(matches!(question.understand(whole), Heard::Answer(Ok(Answer::Services(_)))));
    let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
    let changed = (0..whole.len()).flat_map(|place| {
        [0x01, 0x3f, 0x80, 0xc0, 0xff].map(|bits| {
            let mut bytes = whole.clone();
            bytes[place] ^= bits;
            bytes
        })
    });
    for bytes in cut.chain(changed) {
        if let Heard::Answer(Ok(Answer::Services(services))) = question.understand(&bytes) {
            assert!(!services.is_empty());
            let plain =
                |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
            assert!(services.iter().all(|service| plain(&service.host)), "{services:?}");
        }
    }
}
