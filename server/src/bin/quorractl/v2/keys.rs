//! The verbs that read and write keys.

use std::io::{self, Read, Write};

use clap::Command;

use super::cluster::{Call, Cluster};
use super::response::Response;
use super::{BAD_ARGUMENTS, SERVER_ERROR, failed};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, number, valued, verb};
use crate::go;

/// The verbs.
pub(super) fn commands() -> Vec<Command> {
    let ttl = || number("ttl", "Time to live in seconds [default: 0, for ever].");
    let sort = || boolean("sort", "Sort the result.");
    let quorum = || boolean("quorum", "Read what a quorum has agreed on.").short('q');
    let recursive = |help| boolean("recursive", help).short('r');
    vec![
        verb("get", "Print the value of a key. [v2]", "KEY").args([sort(), quorum()]),
        verb("ls", "List a directory. [v2]", "KEY").args([
            sort(),
            recursive("List directories below it as well."),
            boolean("p", "Put a slash behind directories.").short('p'),
            quorum(),
        ]),
        verb("set", "Set the value of a key. [v2]", "KEY VALUE").args([
            ttl(),
            valued("swap-with-value", "Only if this is its value."),
            number("swap-with-index", "Only if it was changed at this index."),
        ]),
        verb("mk", "Make a new key. [v2]", "KEY VALUE").args([
            boolean("in-order", "Make a key with a number below the directory KEY."),
            ttl(),
        ]),
        verb("update", "Change the value of a key that exists. [v2]", "KEY VALUE").arg(ttl()),
        verb("mkdir", "Make a new directory. [v2]", "KEY").arg(ttl()),
        verb("setdir", "Make a directory, or change its time to live. [v2]", "KEY").arg(ttl()),
        verb("updatedir", "Change the time to live of a directory. [v2]", "KEY").arg(ttl()),
        verb("rm", "Remove a key or a directory. [v2]", "KEY").args([
            boolean("dir", "Also if it is an empty directory."),
            recursive("Also if it is a directory, with all below it."),
            valued("with-value", "Only if this is its value."),
            number("with-index", "Only if it was changed at this index."),
        ]),
        verb("rmdir", "Remove a key or an empty directory. [v2]", "KEY"),
    ]
}

/// Performs a verb.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    // As in etcdctl the cluster is asked before the arguments are looked at.
    let mut cluster = Cluster::open(flags, out)?;
    let key = match flags.arguments().first() {
        Some(key) => *key,
        None if verb == "ls" => "/",
        None => return Err(failed(BAD_ARGUMENTS, "key required")),
    };
    let call = match verb {
        "get" => read(key, false, flags),
        "ls" => read(key, flags.is_set("recursive"), flags),
        "rm" | "rmdir" => remove(key, verb, flags),
        _ => write(key, verb, flags)?,
    };
    let deadline = cluster.deadline();
    let answer = cluster.call(&call, deadline);
    let response = answer.and_then(|answer| match Response::read(&answer)? {
        Some(response) => Ok(response),
        None => Err("client: response body is empty".into()),
    });
    let response = response.map_err(|error| failed(SERVER_ERROR, error))?;
    print(verb, &response, flags, out)
}

fn print(verb: &str, response: &Response, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let format = flags.text("output").unwrap_or("simple");
    let simple = format == "simple";
    match verb {
        "get" if response.node.dir => {
            let message = format!("{}: is a directory", response.node.key);
            return Err(Failure::new(BAD_ARGUMENTS, message));
        }
        "ls" if simple => response.print_names(flags.is_set("p"), out)?,
        "mkdir" | "setdir" | "updatedir" if simple => {}
        "rm" | "rmdir" if simple && response.node.dir => {}
        _ => response.print(format, out)?,
    }
    Ok(())
}

/// The escaped path of a key.
pub(super) fn path(key: &str) -> String {
    go::escape_path(&go::clean_path(&format!("/v2/keys/{key}")))
}

/// A path with a query; parameters are escaped, and sorted as Go sorts them.
pub(super) fn with_query(path: &str, parameters: &mut [(&str, String)]) -> String {
    match form(parameters) {
        none if none.is_empty() => path.to_string(),
        query => format!("{path}?{query}"),
    }
}

fn form(parameters: &mut [(&str, String)]) -> String {
    parameters.sort();
    let pairs =
        parameters.iter().map(|(name, value)| format!("{name}={}", go::escape_query(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn read(key: &str, recursive: bool, flags: &Flags<'_>) -> Call {
    let flag = |name| flags.is_set(name).to_string();
    let mut parameters = [
        ("quorum", flag("quorum")),
        ("recursive", recursive.to_string()),
        ("sorted", flag("sort")),
    ];
    Call::new("GET", with_query(&path(key), &mut parameters))
}

fn remove(key: &str, verb: &str, flags: &Flags<'_>) -> Call {
    let mut parameters = Vec::new();
    if verb == "rmdir" {
        parameters.push(("dir", "true".to_string()));
    } else {
        let conditions = flags.text("with-value").map(|value| ("prevValue", value.to_string()));
        parameters.extend(conditions);
        let index = flags.number("with-index");
        parameters.extend((index != 0).then(|| ("prevIndex", index.to_string())));
        let set = |name| flags.is_set(name).then(|| (name, "true".to_string()));
        parameters.extend([set("dir"), set("recursive")].into_iter().flatten());
    }
    Call::new("DELETE", with_query(&path(key), &mut parameters)).form(String::new()).once()
}

fn write(key: &str, verb: &str, flags: &Flags<'_>) -> Result<Call, Failure> {
    let directory = verb.ends_with("dir");
    let mut parameters = Vec::new();
    let mut fields = Vec::new();
    if directory {
        parameters.push(("dir", "true".to_string()));
    } else {
        fields.push(("value", value(flags)?));
    }
    if verb == "set" {
        let value = flags.text("swap-with-value").map(|value| ("prevValue", value.to_string()));
        parameters.extend(value);
        let index = flags.number("swap-with-index");
        parameters.extend((index != 0).then(|| ("prevIndex", index.to_string())));
    }
    let ttl = flags.number("ttl");
    fields.extend((ttl > 0).then(|| ("ttl", ttl.to_string())));
    if verb == "mk" && flags.is_set("in-order") {
        return Ok(Call::new("POST", path(key)).form(form(&mut fields)));
    }
    let exists = match verb {
        "mk" | "mkdir" => Some("false"),
        "update" | "updatedir" => Some("true"),
        _ => None,
    };
    parameters.extend(exists.map(|exists| ("prevExist", exists.to_string())));
    let path = with_query(&path(key), &mut parameters);
    let call = Call::new("PUT", path).form(form(&mut fields));
    Ok(if exists == Some("false") { call.once() } else { call })
}

/// The value: the second argument, or all of the input.
fn value(flags: &Flags<'_>) -> Result<String, Failure> {
    if let Some(value) = flags.arguments().get(1) {
        return Ok((*value).to_string());
    }
    let mut value = String::new();
    match io::stdin().read_to_string(&mut value) {
        Ok(count) if count > 0 => Ok(value),
        _ => Err(failed(BAD_ARGUMENTS, "value required")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_parameters_are_escaped_and_sorted() {
        assert_eq!(path("a b//c/../d/"), "/v2/keys/a%20b/d/");
        assert_eq!(path("/"), "/v2/keys/");
        let mut parameters = [("prevValue", "a&b c".to_string()), ("dir", "true".to_string())];
        assert_eq!(with_query("/p", &mut parameters), "/p?dir=true&prevValue=a%26b+c");
        assert_eq!(with_query("/p", &mut []), "/p");
    }
}
