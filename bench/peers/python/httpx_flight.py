# Commands in flight at once by httpx alone: httpx_flight.py API_URL N CONNECTIONS (see bench/lua/flight.lua)
import asyncio
import json
import sys
import time

import httpx

URL = sys.argv[1].removesuffix("/api") + "/toolbox/bench/process/execute"
COMMAND = {"command": "eval 'uname -a' </dev/null", "envs": {"DAYTONA_EXEC_ID": "70909b6592b1ab8b-70."}, "timeout": 600}


async def main(n, connections):
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(headers={"Authorization": "Bearer bench"}, limits=limits, timeout=600) as client:

        async def run():
            for answer in await asyncio.gather(*(client.post(URL, json=COMMAND) for _ in range(n))):
                assert answer.json()["exitCode"] == 0

        await run()
        wall, cpu = time.monotonic(), time.process_time()
        await run()
        print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "n": n}))


asyncio.run(main(int(sys.argv[2]), int(sys.argv[3])))
