"""The official Python SDK does what it knows best against the local server.

DAYTONA_API_URL and DAYTONA_API_KEY say where. Whatever it complains about is a defect of
the server. Prints a line a step, and ends with "N passed, N failed".
"""
import os, sys, tempfile, traceback, urllib.request, uuid

from daytona import (
    CreateSandboxFromImageParams, CreateSandboxFromSnapshotParams, CreateSecretParams, CreateSnapshotParams, Daytona, DaytonaNotFoundError,
    Image, SessionExecuteRequest, VolumeMount,
)
from daytona._sync.object_storage import ObjectStorage, S3Store

def unencrypted_store(*args, client_options, **options):
    return S3Store(*args, client_options={**client_options, "allow_http": True}, **options)


counts = {True: 0, False: 0}
client = Daytona()


def step(fn):
    """Runs the function; what it raises is printed, counted and goes no further."""
    name = "python sdk: " + fn.__name__.replace("_", " ")
    try:
        result, fine = fn(), True
        print("ok     ", name, flush=True)
    except Exception:
        result, fine = None, False
        print("failed ", name + "\n        " + traceback.format_exc().replace("\n", "\n        "), flush=True)
    counts[fine] += 1
    return result


@step
def sandbox():
    box = client.create(CreateSandboxFromSnapshotParams(
        name="python-sdk", language="python", labels={"sdk": "python"}, env_vars={"GREETING": "bonjour"}))
    assert box.state == "started", box.state
    assert client.get("python-sdk").id == box.id
    assert box.id in [one.id for one in client.list()]
    return box


@step
def a_command_and_code():
    ran = sandbox.process.exec("echo $GREETING; exit 3")
    assert (ran.exit_code, ran.result) == (3, "bonjour\n"), ran
    assert sandbox.process.code_run("print(6 * 7)").result == "42\n"
    assert sandbox.process.exec("python -c 'print(1)'").exit_code == 0


@step
def a_bar_chart():
    code = "\n".join(["import matplotlib", "matplotlib.use('Agg')", "import matplotlib.pyplot as plt",
                      "plt.bar(['a', 'b'], [40, 2])", "plt.title('bars')", "plt.show()"])
    ran = sandbox.process.code_run(code)
    if "No module named 'matplotlib'" in ran.result:
        return
    chart = ran.artifacts.charts[0]
    assert (chart.title, [one.value for one in chart.elements]) == ("bars", ["40", "2"]), chart


@step
def files():
    sandbox.fs.upload_file(b"\0hello", "dir/a.bin")
    assert sandbox.fs.download_file("dir/a.bin") == b"\0hello"
    assert [one.name for one in sandbox.fs.list_files("dir")] == ["a.bin"]
    sandbox.fs.delete_file("dir/a.bin")


@step
def a_session():
    sandbox.process.create_session("s")
    ran = sandbox.process.execute_session_command("s", SessionExecuteRequest(command="cd /tmp; pwd"))
    assert (ran.exit_code, ran.stdout) == (0, "/tmp\n"), ran
    sandbox.process.delete_session("s")


@step
def the_entrypoint_session():
    session = sandbox.process.get_entrypoint_session()
    assert session.session_id == "entrypoint", session
    sandbox.process.get_entrypoint_logs()


@step
def signed_urls_and_their_key():
    sandbox.fs.upload_file(b"signed", "signed.txt")
    url = sandbox.download_url("signed.txt")
    assert urllib.request.urlopen(url).read() == b"signed"
    sandbox.rotate_signing_key()
    try:
        urllib.request.urlopen(url)
        raise AssertionError("the old address is still good")
    except urllib.error.HTTPError as e:
        assert e.code in (401, 403), e
    assert urllib.request.urlopen(sandbox.download_url("signed.txt")).read() == b"signed"


@step
def a_bad_question_is_an_error():
    try:
        client.get("no-such-sandbox")
        raise AssertionError("it was found")
    except DaytonaNotFoundError:
        pass


@step
def stop_archive_and_start_while_archiving():
    sandbox.stop()
    sandbox.archive()
    sandbox.start()
    assert sandbox.state == "started", sandbox.state
    assert sandbox.fs.download_file("signed.txt") == b"signed"


@step
def a_sandbox_of_an_image():
    box = client.create(CreateSandboxFromImageParams(image=Image.debian_slim("3.12").run_commands("echo built")))
    assert box.build_info.context_hashes == [], box.build_info
    assert box.process.exec("echo here").result == "here\n"
    box.delete()


@step
def a_sandbox_of_an_image_with_local_files():
    ObjectStorage.__init__.__globals__["S3Store"] = unencrypted_store  # the SDK's takes only https
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "local.txt")
        with open(path, "w") as file:
            file.write("mine")
        image = Image.base("debian:12").add_local_file(path, "/opt/local.txt")
        lines = []
        box = client.create(CreateSandboxFromImageParams(image=image), on_snapshot_create_logs=lines.append)
    assert [len(one) for one in box.build_info.context_hashes] == [32], box.build_info
    assert lines, "no log of the build"
    box.delete()


@step
def a_snapshot():
    name = "python-" + uuid.uuid4().hex[:8]
    lines = []
    made = client.snapshot.create(
        CreateSnapshotParams(name=name, image=Image.base("debian:12").run_commands("echo snap")), on_logs=lines.append)
    assert (made.name, made.state) == (name, "active"), made
    assert lines, "no log of the build"
    assert name in [one.name for one in client.snapshot.list().items]
    box = client.create(CreateSandboxFromSnapshotParams(snapshot=name))
    assert box.snapshot == name, box.snapshot
    box.delete()
    client.snapshot.delete(client.snapshot.get(name))


@step
def a_volume_of_two_sandboxes():
    volume = client.volume.get("python-" + uuid.uuid4().hex[:8], create=True)
    assert volume.name in [one.name for one in client.volume.list()]
    while client.volume.get(volume.name).state != "ready":
        pass
    params = CreateSandboxFromSnapshotParams(volumes=[VolumeMount(volume_id=volume.id, mount_path="/home/daytona/shared")])
    one, two = client.create(params), client.create(params)
    one.process.exec("echo shared >/home/daytona/shared/file")
    assert two.process.exec("cat /home/daytona/shared/file").result == "shared\n"
    one.delete(wait=True)
    two.delete(wait=True)
    client.volume.delete(client.volume.get(volume.name))


@step
def a_secret_that_is_not_shown():
    made = client.secret.create(CreateSecretParams(name="python-" + uuid.uuid4().hex[:8], value="hidden", hosts=["a.example"]))
    assert "hidden" not in repr(made), made
    assert made.name in [one.name for one in client.secret.list().items]
    box = client.create(CreateSandboxFromSnapshotParams(secrets={"TOKEN": made.name}))
    seen = box.process.exec('echo "$TOKEN"').result
    assert seen != "\n" and "hidden" not in seen, seen
    box.delete()
    client.secret.delete(made.id)


@step
def a_warm_pool():
    pool = client.warm_pool.create(client.snapshot.list().items[0].name, 1)
    assert client.warm_pool.update(pool.id, 2).pool == 2
    assert pool.id in [one.id for one in client.warm_pool.list()]
    client.warm_pool.delete(pool.id)


@step
def a_preview():
    link = sandbox.get_preview_link(3000)
    assert ":3000" in link.url or "3000-" in link.url, link
    assert link.token, link
    signed = sandbox.create_signed_preview_url(3000, 60)
    sandbox.expire_signed_preview_url(3000, signed.token)


@step
def the_end():
    sandbox.delete(wait=True)
    try:
        client.get(sandbox.id)
        raise AssertionError("it is still there")
    except DaytonaNotFoundError:
        pass


print(f"{counts[True]} passed, {counts[False]} failed")
sys.stdout.flush()
os._exit(1 if counts[False] else 0)  # no waiting for the SDK's threads
