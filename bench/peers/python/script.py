# The smallest useful program: script.py API_URL (see bench/lua/script.lua)
import sys

from daytona import CreateSandboxFromSnapshotParams, Daytona, DaytonaConfig

client = Daytona(DaytonaConfig(api_url=sys.argv[1], api_key="bench", target="local",
                               use_deprecated_polling=True))
sandbox = client.create(CreateSandboxFromSnapshotParams(language="python"))
assert sandbox.process.exec("uname -a").exit_code == 0
sandbox.delete()
