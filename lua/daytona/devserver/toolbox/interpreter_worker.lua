--- The Python that a context of the interpreter runs: executes pieces of code one
-- after another in one namespace. Kept in a Lua file so that it is installed
-- with the rest.
--
-- It talks JSON lines on descriptor 3, which no program started from the code
-- inherits: { code, envs } comes in; { type, text, name, value, traceback } goes
-- out. What is printed through sys.stdout and sys.stderr goes out as messages;
-- what is written to descriptors 1 and 2 directly is the daemon's to read.

return [==[
import io
import json
import os
import sys
import threading
import traceback
import types

SOURCE = "<string>"   # as what the code is compiled
SHOWN = "<stdin>"     # as what its frames are shown


class Link:
    def __init__(self, fd):
        os.set_inheritable(fd, False)
        self.fd, self.lock = fd, threading.Lock()
        self.input = os.fdopen(os.dup(fd), "rb")

    def send(self, kind, text="", name="", value="", trace=""):
        message = json.dumps({"type": kind, "text": text, "name": name,
                              "value": value, "traceback": trace})
        data = message.encode() + b"\n"
        with self.lock:
            while data:
                data = data[os.write(self.fd, data):]

    def receive(self):
        while True:
            try:
                line = self.input.readline()
                return json.loads(line) if line else None
            except KeyboardInterrupt:
                pass


class Output(io.TextIOBase):
    encoding = "utf-8"

    def __init__(self, link, kind, fd):
        self.link, self.kind, self.fd = link, kind, fd
        self.held, self.size = [], 0

    def writable(self):
        return True

    def fileno(self):
        return self.fd

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not " + type(text).__name__)
        if text:
            self.held.append(text)
            self.size += len(text)
            if "\n" in text or self.size >= 1024:
                self.flush()
        return len(text)

    def flush(self):
        held, self.held, self.size = self.held, [], 0
        if held:
            self.link.send(self.kind, clean("".join(held)))


def clean(text):
    """Lone surrogates cannot travel."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def frames_of(error):
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == SOURCE:
            lines.append('  File "%s", line %d, in %s\n' % (SHOWN, frame.lineno, frame.name))
    return lines


def describe(error):
    name = type(error).__name__
    try:
        value = clean(str(error))
    except Exception:
        value = "<exception str() failed>"
    last = name + ": " + value if value else name
    lines = frames_of(error)
    if not lines:
        return name, value, last + "\n"
    return name, value, "Traceback (most recent call last):\n" + "".join(lines) + last + "\n"


def swap_environment(envs):
    """Sets variables; returns what they were."""
    before = {name: os.environ.get(name) for name in envs}
    for name, value in envs.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before


def run(link, namespace, job):
    before = swap_environment(job.get("envs") or {})
    outcome = "completed"
    try:
        try:
            exec(compile(job["code"], SOURCE, "exec"), namespace)
        except KeyboardInterrupt:
            outcome = "interrupted"
        except SystemExit:
            pass
        except BaseException as error:
            sys.stdout.flush()
            sys.stderr.flush()
            name, value, trace = describe(error)
            link.send("error", name=name, value=value, trace=trace)
        sys.stdout.flush()
        sys.stderr.flush()
        swap_environment(before)
    except KeyboardInterrupt:
        outcome = "interrupted"
    link.send("control", text=outcome)


def main():
    link = Link(3)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = [""]
    sys.path.insert(0, "")
    sys.stdout, sys.stderr = Output(link, "stdout", 1), Output(link, "stderr", 2)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    link.send("control", text="ready")
    while True:
        job = link.receive()
        if job is None:
            return
        run(link, module.__dict__, job)


main()
]==]
