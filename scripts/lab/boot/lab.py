"""What programs of this folder share: a network with servers and a machine, and one measured boot."""
import json
import os
import signal
import subprocess
import time

boot_scripts = os.path.dirname(os.path.abspath(__file__))
lab_folder = os.environ.get("ROWFS_LAB") or os.path.normpath(os.path.join(boot_scripts, "../../../.lab"))
# As in lib.sh.
MAIN, PROXY = "10.77.1.1", "10.77.2.1"
COMMAND_LINE = "console=ttyS0 mitigations=off tsc=unstable"


class Failure(Exception):
    pass


def script(name, *arguments):
    return [os.path.join(boot_scripts, name), *arguments]


def output(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Network:
    """A network of its own, which goes when its block ends."""

    def __enter__(self):
        # Else a killed run would leave it; so the next run removes it.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        self.name = output(script("net", "up", "--owner", str(os.getpid())))
        self.folder = os.path.join(lab_folder, "boot/net", self.name)
        self.state = os.path.join(self.folder, "state")
        return self

    def __exit__(self, *_):
        subprocess.run(script("net", "down", self.name), check=False)

    def inside(self, side, command):
        return ["ip", "netns", "exec", f"rowfs-{self.name}-{side}", *command]

    def start(self, name, command):
        """Starts a server, and waits for its first line; it ends with the network."""
        log = os.path.join(self.folder, f"{name}.log")
        with open(log, "w") as errors:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                       text=True, start_new_session=True)
        if not process.stdout.readline():
            with open(log) as file:
                raise Failure(f"{name} does not start: {file.read()[-500:]}")
        return process

    def stop(self, process):
        subprocess.run(script("end-processes", str(process.pid)), check=True)
        process.wait()

    def start_main(self, directory, writable=False):
        state = os.path.join(self.folder, "ganesha")
        os.makedirs(state)
        command = [os.path.join(boot_scripts, "../ganesha"), "--address", MAIN, "--port", "2049", "--mount-port",
                   "20048", "--state", state] + (["--writable"] if writable else []) + [directory]
        server = subprocess.Popen(self.inside("main", command), start_new_session=True)
        listens = ["bash", "-c", f"exec 3<>/dev/tcp/{MAIN}/2049"]
        for _ in range(200):
            if subprocess.run(self.inside("main", listens), stderr=subprocess.DEVNULL).returncode == 0:
                return
            if server.poll() is not None:
                break
            time.sleep(0.1)
        raise Failure("nfs-ganesha does not start")

    def long_line(self, delay, rate, address):
        options = ["--delay", str(delay)] + (["--rate", str(rate)] if rate else [])
        pairs = [f"{address}:{port}={MAIN}:{port}" for port in (2049, 20048)]
        self.start("line", self.inside("proxy", [output(script("build-line")), *options, *pairs]))

    def start_line(self, delay, rate):
        """Returns the export at the other end; without a delay main is reached over the cable."""
        if not delay:
            return f"nfs://{MAIN}/export?mountport=20048"
        self.long_line(delay, rate, "127.0.0.1")
        return "nfs://127.0.0.1/export?mountport=20048"

    def start_direct_line(self, image, delay, rate):
        """The machine's own traffic goes over the line, which is where it takes the server to be."""
        self.long_line(delay, rate, PROXY)
        self.start("portmapper", self.inside("proxy", script("portmapper", PROXY, "2049", "20048")))
        self.start("pxe", script("pxe-server", self.name, image, "export", COMMAND_LINE))

    def start_machines(self, rowctl, main, image, session, options=()):
        """Starts the proxy and what boots machines."""
        return self.start("machines", script(
            "serve-machines", self.name, "--rowctl", rowctl, "--state", self.state,
            *(f"--with={option}" for option in options), main, image, session))

    def vm(self, *arguments):
        done = subprocess.run(script("vm", self.name, "--timeout", "1200", *arguments))
        if done.returncode:
            raise Failure(f"vm {arguments[0]} failed")

    def proxy(self):
        with open(os.path.join(self.folder, "proxy.pid")) as file:
            return int(file.read())

    def status(self, rowctl, session):
        return json.loads(output([rowctl, "stat-session", session, "--json", "--state", self.state]))

    def report(self, rowctl, session):
        return json.loads(output([rowctl, "report", session, "--json", "--state", self.state]))

    def settle(self, rowctl, session):
        """Until main has not been called for a while: what is fetched ahead goes on when nobody waits."""
        calls, quiet = None, 0
        while quiet < 4:
            time.sleep(0.5)
            now = self.status(rowctl, session)["calls"]["main"]
            quiet = quiet + 1 if now == calls else 0
            calls = now

    def fetched(self, session):
        """What was fetched for it, see there; the session must be the only one."""
        return json.loads(output(script("fetched", "--json", self.state, session)))


def used(pid):
    """Seconds of the processor, and bytes of memory at most since that was reset."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status") as file:
        peak = next(line for line in file if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) * 1024


def difference(later, earlier):
    if isinstance(later, dict):
        counts = {key: difference(value, earlier.get(key, {} if isinstance(value, dict) else 0))
                  for key, value in later.items()}
        return {key: value for key, value in counts.items() if value}
    return later - earlier


class Boot:
    """One boot of the machine of a network, from its power on until systemd calls it running."""

    def __init__(self, net, rowctl=None, session=None, since_start=False):
        """Figures are those since the power went on, or since the proxy started, which may fetch before that."""
        self.net, self.rowctl, self.session, self.since_start = net, rowctl, session, since_start

    def figures(self):
        if not self.rowctl:
            return {}
        status = self.net.status(self.rowctl, self.session)
        report = self.net.report(self.rowctl, self.session)
        cpu, peak = used(self.net.proxy())
        calls = status["calls"]
        return {
            "client": calls["client"], "main": calls["main"], "checks": calls["main_checks"],
            "from_main": status["bytes"]["from_main"], "to_client": status["bytes"]["to_client"],
            "from_client": status["bytes"]["from_client"], "touched": report["bytes"]["touched"],
            "stored": status["bytes"]["shadow_stored"], "cpu": cpu, "peak": peak,
        }

    def measure(self):
        before = self.figures()
        if before:
            with open(f"/proc/{self.net.proxy()}/clear_refs", "w") as file:
                file.write("5")  # the most memory is counted anew
        result = {"milestones": {}}
        started = time.monotonic()
        machine = subprocess.Popen(script("vm", self.net.name, "--timeout", "1800", "start"),
                                   stdout=subprocess.PIPE, text=True)
        for line in machine.stdout:
            result["milestones"][line.split()[0]] = round(time.monotonic() - started, 1)
        if machine.wait():
            raise Failure("the machine does not boot")
        result["shell"] = result["milestones"]["shell"]
        state = subprocess.run(script("vm", self.net.name, "run", "systemctl is-system-running --wait"),
                               stdout=subprocess.PIPE, text=True).stdout.strip()
        result["running"] = round(time.monotonic() - started, 1)
        if state != "running":
            raise Failure(f"the machine is not in order: {state}")
        if before:
            after = self.figures()
            result |= {"peak": after.pop("peak"), "stored": after.pop("stored"), "touched": after.pop("touched")}
            for name in after:
                result[name] = after[name] if self.since_start else difference(after[name], before[name])
            # Those stored, and asked for, are of all boots of the session.
        return result
