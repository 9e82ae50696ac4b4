#!/usr/bin/env python3
"""Debian's python3-etcd against a member: its calls, locks and watches.

  conformance/clients/python_etcd.py http://127.0.0.1:2379

Everything happens below one key of its own, which is removed at the end.
"""
import sys
import threading
import time
import urllib.parse
import uuid

import etcd


def refused(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error as found:
        return found
    raise AssertionError("%s was expected of %s" % (error.__name__, call))


def keys(client, top):
    written = client.write(top + "/a", "1")
    assert (written.action, written.value, written.newKey) == ("set", "1", True)
    again = client.write(top + "/a", "2")
    assert (again.prev_node if hasattr(again, "prev_node") else again._prev_node).value == "1"
    assert client.read(top + "/a").value == "2"
    assert client.get(top + "/a").modifiedIndex == again.modifiedIndex
    refused(etcd.EtcdAlreadyExist, client.write, top + "/a", "3", prevExist=False)
    refused(etcd.EtcdCompareFailed, client.write, top + "/a", "3", prevValue="1")
    assert client.write(top + "/a", "3", prevValue="2").action == "compareAndSwap"
    assert client.test_and_set(top + "/a", "4", "3").value == "4"
    refused(etcd.EtcdKeyNotFound, client.read, top + "/none")
    result = client.read(top + "/a")
    result.value = "5"
    assert client.update(result).value == "5"
    assert client.delete(top + "/a").action == "delete"
    assert (top + "/a") not in client


def directories(client, top):
    client.write(top + "/d", None, dir=True)
    for number in range(3):
        client.write(top + "/d/k%d" % number, str(number))
    names = [child.key for child in client.read(top + "/d", recursive=True, sorted=True).children]
    assert names == [top + "/d/k%d" % number for number in range(3)], names
    refused(etcd.EtcdNotFile, client.write, top + "/d", "x")
    refused(etcd.EtcdDirNotEmpty, client.delete, top + "/d", dir=True)
    assert client.delete(top + "/d", recursive=True).dir
    first = client.write(top + "/queue", "x", append=True)
    second = client.write(top + "/queue", "y", append=True)
    assert first.key < second.key
    assert client.pop(first.key).value == "x"


def expiry(client, top):
    node = client.write(top + "/ttl", "x", ttl=1)
    assert node.ttl == 1
    gone = client.read(top + "/ttl", wait=True, waitIndex=node.modifiedIndex + 1, timeout=10)
    assert gone.action == "expire", gone.action
    client.write(top + "/kept", "x", ttl=1)
    client.refresh(top + "/kept", ttl=30)
    assert client.read(top + "/kept").ttl > 20


def watches(client, top):
    heard = []
    base = client.write(top + "/w/0", "x").modifiedIndex

    def listen():
        for event in client.eternal_watch(top + "/w", index=base + 1, recursive=True):
            heard.append((event.key, event.value))
            if len(heard) == 5:
                return

    listener = threading.Thread(target=listen)
    listener.start()
    expected = [(top + "/w/%d" % number, str(number)) for number in range(1, 6)]
    for key, value in expected:
        client.write(key, value)
    listener.join(20)
    assert heard == expected, heard
    begun = client.write(top + "/once", "1").modifiedIndex
    client.write(top + "/once", "2")
    assert client.watch(top + "/once", index=begun + 1, timeout=10).value == "2"
    refused(etcd.EtcdWatchTimedOut, client.watch, top + "/once", timeout=1)


def locks(client, host, port, name):
    first = etcd.Lock(client, name)
    assert first.acquire(blocking=True, lock_ttl=10)
    other = etcd.Lock(etcd.Client(host=host, port=port), name)
    assert not other.acquire(blocking=False, lock_ttl=10)
    waiting = threading.Thread(target=other.acquire, kwargs={"blocking": True, "lock_ttl": 10})
    waiting.start()
    first.release()
    waiting.join(20)
    assert other.is_acquired and not first.is_acquired
    other.release()
    with etcd.Lock(client, name) as held:
        assert held.is_acquired


def cluster(client):
    assert client.leader["name"]
    assert client.members and client.machines
    assert client.stats["name"] and client.store_stats["setsSuccess"] > 0
    assert client.leader_stats["leader"]
    assert client.version


def main():
    url = urllib.parse.urlsplit(sys.argv[1])
    client = etcd.Client(host=url.hostname, port=url.port, allow_reconnect=True)
    name = "py" + uuid.uuid4().hex[:8]
    top = "/" + name
    begun = time.monotonic()
    for part in (keys, directories, expiry, watches):
        part(client, top)
        print("ok", part.__name__)
    locks(client, url.hostname, url.port, name)
    print("ok locks")
    cluster(client)
    print("ok cluster")
    client.delete(top, recursive=True)
    print("python3-etcd: passed in %.0f s" % (time.monotonic() - begun))


if __name__ == "__main__":
    main()
