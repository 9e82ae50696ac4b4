//! The v2 store as one flat map from paths to nodes.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorra_core::store::v2::{
    Action, Condition, Error, ErrorKind, Event, Get, NodeView, Path, Write,
};
use quorra_core::time::WallTime;

/// A node; directories have no value.
#[derive(Clone, Debug)]
struct Node {
    value: Option<Bytes>,
    created: u64,
    modified: u64,
    expiration: Option<WallTime>,
}

/// A v2 store: every directory is an entry of its own.
#[derive(Clone, Debug, Default)]
pub struct Model {
    index: u64,
    clock: WallTime,
    nodes: BTreeMap<Bytes, Node>,
}

/// Time stamps before 2000-01-01 are no time to live at all.
const NEVER_BEFORE: i64 = 946_684_800_000_000_000;

type Answer = Result<Event, Error>;

fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/').expect("a key begins with a slash");
    if slash == 0 { b"/" } else { &path[..slash] }
}

fn is_below(path: &[u8], ancestor: &[u8]) -> bool {
    ancestor == b"/" || path.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with(b"/"))
}

fn is_hidden(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name.starts_with(b"_")
}

impl Model {
    /// The newest index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Something took an index and left no node that anyone can see.
    pub fn touch(&mut self) {
        self.index += 1;
    }

    fn error(&self, kind: ErrorKind, cause: impl Into<Vec<u8>>) -> Error {
        Error { kind, cause: Bytes::from(cause.into()), index: self.index }
    }

    fn view(&self, path: &[u8], node: &Node) -> NodeView {
        NodeView {
            path: Path::clean(path),
            value: node.value.clone(),
            directory: node.value.is_none(),
            expiration: node.expiration,
            nodes: Vec::new(),
            modified_index: node.modified,
            created_index: node.created,
        }
    }

    /// The node, or which component is missing, or is a file on the way.
    fn find(&self, path: &Path) -> Result<Node, Error> {
        let path = path.as_bytes();
        if path == b"/" {
            let (value, expiration) = (None, None);
            return Ok(Node { value, created: 0, modified: 0, expiration });
        }
        for end in (1..=path.len()).filter(|end| *end == path.len() || path[*end] == b'/') {
            let part = &path[..end];
            match self.nodes.get(part) {
                None => return Err(self.error(ErrorKind::KeyNotFound, part)),
                Some(node) if end == path.len() => return Ok(node.clone()),
                Some(node) if node.value.is_some() => {
                    return Err(self.error(ErrorKind::NotDirectory, part));
                }
                Some(_) => {}
            }
        }
        unreachable!("the last component ends the path")
    }

    /// Answers a read, at no time in particular.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn get(&self, get: &Get) -> Answer {
        let node = self.find(&get.path)?;
        let mut view = self.view(get.path.as_bytes(), &node);
        self.list(&mut view, get.recursive, true);
        Ok(Event { at: None, ..self.event(Action::Get, view, None) })
    }

    fn list(&self, view: &mut NodeView, recursive: bool, top: bool) {
        if !view.directory || !(recursive || top) {
            return;
        }
        let path = view.path.as_bytes().to_vec();
        let children = self.nodes.iter().filter(|(key, _)| parent(key) == path && !is_hidden(key));
        view.nodes = children.map(|(key, node)| self.view(key, node)).collect();
        view.nodes.iter_mut().for_each(|child| self.list(child, recursive, false));
    }

    fn event(&self, action: Action, node: NodeView, previous: Option<NodeView>) -> Event {
        let previous = previous.map(Box::new);
        let (index, at) = (self.index, Some(self.clock));
        Event { action, node, previous, index, at, created: false, refresh: false }
    }

    /// Carries out a write that its leader stamped with `now`.
    ///
    /// # Errors
    /// When it is refused; nothing has changed then.
    pub fn apply(&mut self, write: &Write, now: WallTime) -> Answer {
        self.clock = now;
        let until = |ttl: &Option<u64>| expiration(now, *ttl);
        match write {
            Write::Set { path, value, directory, ttl, refresh } => {
                self.set(path, value, *directory, until(ttl), *refresh)
            }
            Write::Create { path, value, directory, ttl, in_order } => {
                let path = if *in_order { self.next_in_order(path) } else { path.clone() };
                self.create(&path, value, *directory, until(ttl), Action::Create)
            }
            Write::Update { path, value, ttl, refresh } => {
                self.update(path, value, until(ttl), *refresh)
            }
            Write::CompareAndSwap { path, value, ttl, refresh, condition } => {
                self.compare_and_swap(path, value, until(ttl), *refresh, condition)
            }
            Write::Delete { path, directory, recursive } => {
                self.delete(path, *directory, *recursive)
            }
            Write::CompareAndDelete { path, condition } => self.compare_and_delete(path, condition),
        }
    }

    fn next_in_order(&self, directory: &Path) -> Path {
        let mut path = directory.as_bytes().to_vec();
        path.extend_from_slice(format!("/{:020}", self.index + 1).as_bytes());
        Path::clean(&path)
    }

    fn writable(&self, path: &Path) -> Result<(), Error> {
        let root = path.as_bytes() == b"/";
        if root { Err(self.error(ErrorKind::RootReadOnly, b"/")) } else { Ok(()) }
    }

    fn set(
        &mut self,
        path: &Path,
        value: &Bytes,
        directory: bool,
        expiration: Option<WallTime>,
        refresh: bool,
    ) -> Answer {
        self.writable(path)?;
        let old = self.find(path);
        let value = match &old {
            Ok(node) if node.value.is_none() => {
                return Err(self.error(ErrorKind::NotFile, path.as_bytes()));
            }
            Ok(node) if refresh => node.value.clone().expect("it is a file"),
            Err(error) if refresh || error.kind == ErrorKind::NotDirectory => {
                return Err(error.clone());
            }
            _ => value.clone(),
        };
        let previous = old.ok().map(|node| self.view(path.as_bytes(), &node));
        self.nodes.remove(path.as_bytes());
        let event = self.create(path, &value, directory, expiration, Action::Set)?;
        let created = previous.is_none();
        Ok(Event { previous: previous.map(Box::new), created, refresh, ..event })
    }

    fn create(
        &mut self,
        path: &Path,
        value: &Bytes,
        directory: bool,
        expiration: Option<WallTime>,
        action: Action,
    ) -> Answer {
        self.writable(path)?;
        match self.find(path) {
            Ok(_) => return Err(self.error(ErrorKind::NodeExists, path.as_bytes())),
            Err(error) if error.kind == ErrorKind::NotDirectory => return Err(error),
            Err(_) => self.index += 1,
        }
        let index = self.index;
        let node = |value| Node { value, created: index, modified: index, expiration: None };
        let mut ancestor = parent(path.as_bytes()).to_vec();
        while ancestor != b"/" && !self.nodes.contains_key(&ancestor[..]) {
            self.nodes.insert(Bytes::from(ancestor.clone()), node(None));
            ancestor = parent(&ancestor).to_vec();
        }
        let value = (!directory).then(|| value.clone());
        let node = Node { expiration, ..node(value) };
        self.nodes.insert(Bytes::copy_from_slice(path.as_bytes()), node.clone());
        let event = self.event(action, self.view(path.as_bytes(), &node), None);
        Ok(Event { created: true, ..event })
    }

    fn update(
        &mut self,
        path: &Path,
        value: &Bytes,
        expiration: Option<WallTime>,
        refresh: bool,
    ) -> Answer {
        self.writable(path)?;
        let old = self.find(path)?;
        if old.value.is_none() && !value.is_empty() && !refresh {
            return Err(self.error(ErrorKind::NotFile, path.as_bytes()));
        }
        self.index += 1;
        let mut node = Node { expiration, modified: self.index, ..old.clone() };
        node.value =
            old.value.as_ref().map(|old| if refresh { old.clone() } else { value.clone() });
        let view = self.view(path.as_bytes(), &node);
        if node.value.is_none() {
            node.modified = old.modified;
        }
        self.nodes.insert(Bytes::copy_from_slice(path.as_bytes()), node);
        let previous = self.view(path.as_bytes(), &old);
        Ok(Event { refresh, ..self.event(Action::Update, view, Some(previous)) })
    }

    /// The file, if the condition holds for it.
    fn compared(&self, path: &Path, condition: &Condition) -> Result<Node, Error> {
        let node = self.find(path)?;
        let Some(actual) = &node.value else {
            return Err(self.error(ErrorKind::NotFile, path.as_bytes()));
        };
        let mut wrong = Vec::new();
        if let Some(given) = condition.value.as_ref().filter(|given| *given != actual) {
            wrong.push([b"[", &given[..], b" != ", &actual[..], b"]"].concat());
        }
        if let Some(given) = condition.index.filter(|given| *given != node.modified) {
            wrong.push(format!("[{given} != {}]", node.modified).into_bytes());
        }
        if wrong.is_empty() {
            Ok(node)
        } else {
            Err(self.error(ErrorKind::CompareFailed, wrong.join(&b' ')))
        }
    }

    fn compare_and_swap(
        &mut self,
        path: &Path,
        value: &Bytes,
        expiration: Option<WallTime>,
        refresh: bool,
        condition: &Condition,
    ) -> Answer {
        self.writable(path)?;
        let old = self.compared(path, condition)?;
        self.index += 1;
        let value = if refresh { old.value.clone() } else { Some(value.clone()) };
        let previous = self.view(path.as_bytes(), &old);
        let node = Node { value, expiration, modified: self.index, ..old };
        let view = self.view(path.as_bytes(), &node);
        self.nodes.insert(Bytes::copy_from_slice(path.as_bytes()), node);
        Ok(Event { refresh, ..self.event(Action::CompareAndSwap, view, Some(previous)) })
    }

    fn delete(&mut self, path: &Path, directory: bool, recursive: bool) -> Answer {
        self.writable(path)?;
        let old = self.find(path)?;
        if old.value.is_none() {
            if !directory && !recursive {
                return Err(self.error(ErrorKind::NotFile, path.as_bytes()));
            }
            let occupied = self.nodes.keys().any(|key| is_below(key, path.as_bytes()));
            if occupied && !recursive {
                return Err(self.error(ErrorKind::DirectoryNotEmpty, path.as_bytes()));
            }
        }
        Ok(self.remove(path.as_bytes(), &old, Action::Delete))
    }

    fn compare_and_delete(&mut self, path: &Path, condition: &Condition) -> Answer {
        if path.as_bytes() == b"/" {
            return Err(self.error(ErrorKind::NotFile, b""));
        }
        let old = self.compared(path, condition)?;
        Ok(self.remove(path.as_bytes(), &old, Action::CompareAndDelete))
    }

    fn remove(&mut self, path: &[u8], old: &Node, action: Action) -> Event {
        self.index += 1;
        self.nodes.retain(|key, _| &key[..] != path && !is_below(key, path));
        let mut view = self.view(path, old);
        (view.value, view.expiration, view.modified_index) = (None, None, self.index);
        self.event(action, view, Some(self.view(path, old)))
    }

    /// Removes the node that is overdue for the longest time, if one is.
    pub fn expire(&mut self, now: WallTime) -> Option<Event> {
        self.clock = now;
        let overdue = self.nodes.iter().filter_map(|(key, node)| {
            let until = node.expiration.filter(|until| *until <= now)?;
            // Nodes of one time go by the age of their directories, then by name.
            let directory = parent(key);
            let age = self.nodes.get(directory).map_or(0, |directory| directory.created);
            Some(((until, age, Bytes::copy_from_slice(directory)), key.clone(), node.clone()))
        });
        let first = overdue.min_by_key(|(order, key, _)| (order.clone(), key.clone()));
        first.map(|(_, key, node)| self.remove(&key, &node, Action::Expire))
    }
}

fn expiration(now: WallTime, ttl: Option<u64>) -> Option<WallTime> {
    let ttl = i64::try_from(ttl?).ok()?;
    let until = now.0.checked_add(ttl.checked_mul(1_000_000_000)?)?;
    (until >= NEVER_BEFORE).then_some(WallTime(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_700_000_000_000_000_000);

    fn set(path: &str, value: &'static str, ttl: Option<u64>) -> Write {
        let value = Bytes::from_static(value.as_bytes());
        let path = Path::clean(path.as_bytes());
        Write::Set { path, value, directory: false, ttl, refresh: false }
    }

    fn get(model: &Model, path: &str) -> Answer {
        model.get(&Get { path: Path::clean(path.as_bytes()), recursive: true, sorted: true })
    }

    #[test]
    fn a_set_makes_its_directories_and_forgets_its_creation() {
        let mut model = Model::default();
        let first = model.apply(&set("/a/b/c", "1", None), NOW).expect("it is new");
        assert!(first.created && first.previous.is_none());
        let second = model.apply(&set("/a/b/c", "2", None), NOW).expect("it is a file");
        assert_eq!((second.node.created_index, second.created), (2, false));
        let root = get(&model, "/").expect("the root exists");
        assert_eq!(root.node.nodes[0].nodes[0].nodes[0].value, Some(Bytes::from_static(b"2")));
        assert_eq!(root.node.nodes[0].modified_index, 1);
    }

    #[test]
    fn refusals_name_etcds_cause_and_take_no_index() {
        let mut model = Model::default();
        model.apply(&set("/file", "x", None), NOW).expect("it is new");
        let refused = |error: Error| (error.kind, error.cause, error.index);
        let missing = get(&model, "/no/such/key").map_err(refused);
        assert_eq!(missing, Err((ErrorKind::KeyNotFound, Bytes::from_static(b"/no"), 1)));
        let through = model.apply(&set("/file/x", "", None), NOW).map_err(refused);
        assert_eq!(through, Err((ErrorKind::NotDirectory, Bytes::from_static(b"/file"), 1)));
        let condition = Condition { value: Some(Bytes::from_static(b"y")), index: Some(7) };
        let path = Path::clean(b"/file");
        let swap = Write::CompareAndDelete { path, condition };
        let wrong = model.apply(&swap, NOW).map_err(refused);
        let cause = Bytes::from_static(b"[y != x] [7 != 1]");
        assert_eq!(wrong, Err((ErrorKind::CompareFailed, cause, 1)));
    }

    #[test]
    fn what_is_overdue_goes_earliest_first_with_an_index_each() {
        let mut model = Model::default();
        for (path, ttl) in [("/late", 9), ("/early", 3), ("/never", 60)] {
            model.apply(&set(path, "", Some(ttl)), NOW).expect("it is new");
        }
        let later = WallTime(NOW.0 + 10_000_000_000);
        assert!(model.expire(later).is_some() && get(&model, "/early").is_err());
        assert!(model.expire(later).is_some() && model.expire(later).is_none());
        assert_eq!(model.index(), 5);
        let left = get(&model, "/").expect("the root exists").node.nodes;
        assert_eq!(left.len(), 1);
    }
}
