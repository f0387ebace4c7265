# One command after the other: exec.py API_URL N (see bench/lua/exec.lua)
import json
import sys
import time

from daytona import Daytona, DaytonaConfig

client = Daytona(DaytonaConfig(api_url=sys.argv[1], api_key="bench", target="local",
                               use_deprecated_polling=True))
sandbox = client.get("bench")


def run(n):
    for _ in range(n):
        assert sandbox.process.exec("uname -a").exit_code == 0


run(50)
n = int(sys.argv[2])
wall, cpu = time.monotonic(), time.process_time()
run(n)
print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "n": n}))
