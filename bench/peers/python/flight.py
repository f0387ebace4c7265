# Commands in flight at once by the SDK's asynchronous client: flight.py API_URL N CONNECTIONS
# (see bench/lua/flight.lua)
import asyncio
import json
import sys
import time

from daytona import AsyncDaytona, DaytonaConfig


async def main(url, n, connections):
    config = DaytonaConfig(api_url=url, api_key="bench", target="local", use_deprecated_polling=True,
                           connection_pool_maxsize=connections)
    async with AsyncDaytona(config) as client:
        sandbox = await client.get("bench")

        async def run():
            for done in await asyncio.gather(*(sandbox.process.exec("uname -a") for _ in range(n))):
                assert done.exit_code == 0

        await run()
        wall, cpu = time.monotonic(), time.process_time()
        await run()
        print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "n": n}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
