-- The script that bin/daytona-acp gives to an interpreter.

os.exit(require("daytona.agent.acp.main").run(arg), true)
