#!/usr/bin/env python3
"""Patroni keeps a PostgreSQL primary by the v2 API, through the loss of both leaders.

  conformance/clients/patroni.py [--quorra target/release/quorra]

Needs Debian's patroni and postgresql, and a user `postgres` when run as root. Three members of
Quorra and two Patronis on free loopback ports, everything in a directory of its own:

1. a primary and a streaming standby come up;
2. the primary's Patroni and PostgreSQL are killed: the standby takes over, with what was written;
3. the old primary comes back as a standby;
4. Quorra's leader is killed: the primary stays, and writes go on.
"""
import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

PATIENCE = 90.0


def free_ports(count):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError, subprocess.CalledProcessError):
            found = condition()
            if found:
                return found
        time.sleep(0.2)
    raise SystemExit("FAILED: waited in vain for " + what)


def get(url):
    with urllib.request.urlopen(url, timeout=3) as answer:
        return answer.read().decode()


def as_postgres(command):
    if os.getuid() == 0:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] + command
    return command


class Quorra:
    """Three members."""

    def __init__(self, program, directory):
        ports = free_ports(6)
        self.clients, self.peers = ports[:3], ports[3:]
        self.program, self.directory, self.children = program, directory, []
        for number in range(3):
            self.children.append(self.start(number))
        for port in self.clients:
            wait_for("the cluster", lambda p=port: "true" in get("http://127.0.0.1:%d/health" % p))

    def start(self, number):
        client = "http://127.0.0.1:%d" % self.clients[number]
        peer = "http://127.0.0.1:%d" % self.peers[number]
        cluster = ",".join("q%d=http://127.0.0.1:%d" % each for each in enumerate(self.peers))
        with open(os.path.join(self.directory, "q%d.log" % number), "w", encoding="utf-8") as log:
            return subprocess.Popen(
                [self.program, "--name", "q%d" % number,
                 "--data-dir", os.path.join(self.directory, "q%d" % number),
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", cluster],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def leader(self):
        for number, port in enumerate(self.clients):
            if self.children[number].poll() is None:
                state = json.loads(get("http://127.0.0.1:%d/v2/stats/self" % port))
                if state["state"] == "StateLeader":
                    return number
        return None

    def hosts(self):
        return ", ".join("127.0.0.1:%d" % port for port in self.clients)


class Patroni:
    """One Patroni with its PostgreSQL."""

    def __init__(self, name, quorra, directory, binaries):
        self.name, self.directory = name, os.path.join(directory, name)
        self.postgres, self.rest = free_ports(2)
        os.mkdir(self.directory)
        os.chmod(self.directory, 0o700)
        if os.getuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        user = "{username: %s, password: secret}"
        self.configuration = os.path.join(directory, name + ".yml")
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write("\n".join([
                "scope: demo", "name: " + name,
                "restapi: {listen: '127.0.0.1:%d', connect_address: '127.0.0.1:%d'}"
                % (self.rest, self.rest),
                "etcd: {hosts: '%s'}" % quorra.hosts(),
                "bootstrap:",
                "  dcs: {ttl: 20, loop_wait: 2, retry_timeout: 5, postgresql: {use_pg_rewind: true}}",
                "  initdb: [{encoding: UTF8}, data-checksums]",
                "  pg_hba: ['host all all 127.0.0.1/32 md5', 'host replication all 127.0.0.1/32 md5']",
                "postgresql:",
                "  listen: 127.0.0.1:%d" % self.postgres,
                "  connect_address: 127.0.0.1:%d" % self.postgres,
                "  data_dir: %s/data" % self.directory,
                "  bin_dir: " + binaries,
                "  pgpass: %s/pgpass" % self.directory,
                "  parameters: {unix_socket_directories: '%s', fsync: 'off'}" % self.directory,
                "  authentication:",
                "    superuser: " + user % "postgres",
                "    replication: " + user % "replicator",
            ]))
        os.chmod(self.configuration, 0o644)
        self.child = None
        self.start()

    def start(self):
        with open(self.configuration + ".log", "a", encoding="utf-8") as log:
            self.child = subprocess.Popen(
                as_postgres(["patroni", self.configuration]), cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill(self):
        """Patroni and its PostgreSQL at once, as a power cut would."""
        with open(self.directory + "/data/postmaster.pid", encoding="utf-8") as file:
            postmaster = int(file.readline())
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()
        os.kill(postmaster, signal.SIGQUIT)

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(30)
            self.child.kill()
            self.child.wait()

    def state(self):
        return json.loads(get("http://127.0.0.1:%d/patroni" % self.rest))

    def is_primary(self):
        state = self.state()
        return state["role"] in ("master", "primary") and state["state"] == "running"

    def is_standby(self):
        state = self.state()
        return state["role"] == "replica" and state["state"] in ("running", "streaming")

    def run(self, statement):
        environment = dict(os.environ, PGPASSWORD="secret")
        return subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(self.postgres), "-U", "postgres", "-qAtc", statement],
            check=True, capture_output=True, text=True, env=environment, timeout=20).stdout.strip()


def play(quorra, directory, binaries):
    patronis = [Patroni("p%d" % number, quorra, directory, binaries) for number in range(2)]
    try:
        primary = wait_for("a primary", lambda: next(
            (each for each in patronis if reached(each.is_primary)), None))
        standby = patronis[1 - patronis.index(primary)]
        wait_for("a standby", standby.is_standby)
        primary.run("create table kept (value int)")
        primary.run("insert into kept values (1)")
        wait_for("replication", lambda: standby.run("select count(*) from kept") == "1")
        print("ok a primary and a standby")

        primary.kill()
        began = time.monotonic()
        wait_for("the standby to take over", standby.is_primary)
        took = time.monotonic() - began
        wait_for("a write", lambda: standby.run("insert into kept values (2) returning 1"))
        print("ok the standby took over after %.0f s" % took)

        primary.start()
        wait_for("the old primary to follow", primary.is_standby)
        wait_for("what it missed", lambda: primary.run("select count(*) from kept") == "2")
        print("ok the old primary follows")

        wait_for("Quorra's leader", lambda: quorra.leader() is not None)
        leader = quorra.leader()
        quorra.children[leader].kill()
        quorra.children[leader].wait()
        wait_for("another leader of Quorra", lambda: quorra.leader() is not None)
        end = time.monotonic() + 30
        count = 2
        while time.monotonic() < end:
            standby.run("insert into kept values (3)")
            count += 1
            if not standby.is_primary():
                raise SystemExit("FAILED: the primary stepped down when Quorra lost its leader")
            time.sleep(1)
        wait_for("replication", lambda: primary.run("select count(*) from kept") == str(count))
        print("ok the primary stayed while Quorra changed its leader, %d writes" % (count - 2))
    finally:
        for each in patronis:
            each.stop()


def reached(question):
    try:
        return question()
    except (OSError, ValueError):
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quorra", default="target/release/quorra")
    options = parser.parse_args()
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not binaries or not shutil.which("patroni"):
        raise SystemExit("patroni and postgresql are needed")
    directory = tempfile.mkdtemp(prefix="quorra-patroni-")
    os.chmod(directory, 0o755)
    quorra = None
    try:
        quorra = Quorra(options.quorra, directory)
        play(quorra, directory, binaries[-1])
    except BaseException:
        print("logs are in " + directory, file=sys.stderr)
        directory = None
        raise
    finally:
        for child in quorra.children if quorra else []:
            child.kill()
            child.wait()
        if directory:
            shutil.rmtree(directory)
    print("patroni: passed")


if __name__ == "__main__":
    main()
