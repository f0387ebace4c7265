# One command after the other by httpx alone: httpx_exec.py API_URL N (see bench/lua/exec.lua)
import json
import sys
import time

import httpx

url = sys.argv[1].removesuffix("/api") + "/toolbox/bench/process/execute"
client = httpx.Client(headers={"Authorization": "Bearer bench"})
command = {"command": "eval 'uname -a' </dev/null", "envs": {"DAYTONA_EXEC_ID": "70909b6592b1ab8b-70."}, "timeout": 600}


def run(n):
    for _ in range(n):
        assert client.post(url, json=command).json()["exitCode"] == 0


run(50)
n = int(sys.argv[2])
wall, cpu = time.monotonic(), time.process_time()
run(n)
print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "n": n}))
