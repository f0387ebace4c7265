"""Requests about sandboxes and snapshots, and seconds, of creating and changing one with the official SDK.

DAYTONA_API_URL and DAYTONA_API_KEY name a local server; the argument is how many rounds are
counted after a first one. A line a step: "REQUESTS SECONDS", means.
"""
import json, os, sys, time, urllib.request

from daytona import CreateSnapshotParams, Daytona, Image

rounds = int(sys.argv[1])
client = Daytona()


def ask(method):
    request = urllib.request.Request(
        os.environ["DAYTONA_API_URL"] + "/__devserver/requests", method=method,
        headers={"Authorization": "Bearer " + os.environ["DAYTONA_API_KEY"]})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def count():
    return sum(one["path"].startswith(("/sandbox", "/snapshots")) for one in json.loads(ask("GET")))


box, sums = None, [[0, 0] for _ in range(5)]


def create():
    global box
    box = client.create()


def snapshot():
    image = Image.base("debian:12").run_commands(f"echo python{number}")
    client.snapshot.create(CreateSnapshotParams(name=f"python-{number}", image=image))


for number in range(rounds + 1):
    steps = [create, lambda: box.stop(), lambda: box.start(), lambda: box.delete(wait=True), snapshot]
    for i, step in enumerate(steps):
        ask("DELETE")
        begun = time.monotonic()
        step()
        seconds = time.monotonic() - begun
        if number:
            sums[i][0] += count() / rounds
            sums[i][1] += seconds / rounds
for requests, seconds in sums:
    print(f"{requests:.1f} {seconds:.2f}")
sys.stdout.flush()
os._exit(0)  # no waiting for the SDK's threads
